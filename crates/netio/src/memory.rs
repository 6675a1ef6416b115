//! What a burst of work has left behind.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Gives memory that is free back to the kernel every 10 s, for ever: what was needed for a while,
/// as for the first list of a cluster, for connections that are opened all at once, or for a
/// thousand statuses. The allocator keeps what it once had, mostly, and a program would have the
/// size of that for ever.
pub async fn stay_small() {
    let mut times = interval(GIVE_BACK);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        give_back();
    }
}

#[expect(unsafe_code, reason = "the allocator is C")]
fn give_back() {
    // SAFETY: takes a number and looks at nothing of ours.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How often what is free is given back.
const GIVE_BACK: Duration = Duration::from_secs(10);
