//! Ctrl-C, SIGTERM and SIGHUP while a cluster is built: noticed between steps, so that what was
//! started is taken down again.

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static WATCHING: Once = Once::new();

/// From now on the signals are noted instead of ending this process.
pub(crate) fn watch() {
    WATCHING.call_once(|| {
        std::thread::spawn(|| {
            // Without a runtime the signals keep their usual effect, which is to end the process;
            // the next `up` then clears what is left.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
            {
                runtime.block_on(note_signals());
            }
        });
    });
}

/// An error once a signal has come.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Forgets the signal, so that cleaning up is not interrupted by the signal that asked for it.
pub(crate) fn clear() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}

async fn note_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    let streams = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal)
    .map(Result::ok);
    let [Some(mut interrupt), Some(mut terminate), Some(mut hangup)] = streams else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
}
