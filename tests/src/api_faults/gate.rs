//! Whether bytes move through the proxy, and which connections still live.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

/// What happens to the bytes of all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// They pass.
    #[default]
    Open,
    /// They wait; connections stay and new ones are accepted.
    Stalled,
    /// There are none: a new connection is reset at once.
    Refusing,
}

/// The switch that all connections look at.
#[derive(Debug, Default)]
pub(crate) struct Gate(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    flow: Flow,
    /// How often everything was cut; a connection lives while this stays as it found it.
    cuts: u64,
}

impl Gate {
    pub(crate) fn flow(&self) -> Flow {
        self.0.borrow().flow
    }

    pub(crate) fn set(&self, flow: Flow) {
        self.0.send_modify(|state| state.flow = flow);
    }

    /// Ends every connection that is open now.
    pub(crate) fn cut(&self) {
        self.0.send_modify(|state| state.cuts += 1);
    }

    /// The view of one new connection.
    pub(crate) fn pass(&self) -> Pass {
        let state = self.0.subscribe();
        let cuts = state.borrow().cuts;
        Pass { state, cuts }
    }
}

/// One connection's view of the gate.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    state: watch::Receiver<State>,
    cuts: u64,
}

impl Pass {
    /// Waits until this connection is cut.
    pub(crate) async fn cut(mut self) {
        let cuts = self.cuts;
        // An error means that the proxy ends, which cuts as well.
        let _ = self.state.wait_for(|state| state.cuts != cuts).await;
    }

    /// Copies until `from` ends, holding each piece back while the gate is stalled.
    pub(crate) async fn copy(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let length = from.read(&mut piece).await?;
            let _ = self
                .state
                .wait_for(|state| state.flow != Flow::Stalled)
                .await;
            if length == 0 {
                return to.shutdown().await;
            }
            to.write_all(&piece[..length]).await?;
        }
    }
}
