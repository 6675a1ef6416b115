//! What happens to a session, and what it wants done.

use std::fmt;

use super::settings::Link;
use crate::wire::Notification;

/// Which of two connections: that is, who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// We did.
    Out,
    /// The peer did.
    In,
}

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// It is wanted (RFC 4271 event 1).
    Start,
    /// It is not wanted any more (event 2).
    Stop {
        /// What the peer is told.
        notification: Notification,
        /// We come back soon: if that was agreed on, the peer is to keep our routes.
        restarts: bool,
    },
    /// A connection is open (events 16 and 17).
    Connected(Way, Link),
    /// There is a way to the peer where there was none: who waits to try again need not.
    Reachable,
    /// Connecting has failed, for this reason (event 18).
    ConnectFailed(String),
    /// Bytes came in.
    Received(Way, &'a [u8]),
    /// The network has taken so many bytes.
    Sent(Way, usize),
    /// A connection is gone, for this reason (event 18).
    Closed(Way, String),
    /// BFD says that the peer cannot be reached any more.
    BfdDown,
    /// All routes are to be told as those of one that is about to go (RFC 8326), or not any more.
    GracefulShutdown(bool),
}

/// What a session wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection to the peer; give up the one that is being opened.
    Connect,
    /// Give up the connection that is being opened.
    GiveUp,
    /// Send these bytes.
    Send(Way, Vec<u8>),
    /// Close a connection, when what was to be sent is sent.
    Close(Way),
    /// Routes can be told from now on.
    Up,
    /// They cannot any more.
    Down(End),
    /// Something ended before it could be used.
    Failed(End),
}

/// Why a session, or an attempt at one, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// We ended it.
    Sent(Notification),
    /// The peer ended it.
    Received(Notification),
    /// The connection is gone.
    Lost {
        /// What the network says.
        why: String,
        /// How far it had come.
        state: State,
    },
    /// There was no connection in the first place.
    Unreachable(String),
}

/// The states of RFC 4271 section 8.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not wanted, or waiting after an error.
    Idle,
    /// Connecting.
    Connect,
    /// Waiting to connect again, or for the peer to.
    Active,
    /// Waiting for the peer's OPEN.
    OpenSent,
    /// Waiting for the peer's KEEPALIVE.
    OpenConfirm,
    /// Routes are told.
    Established,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(it) => write!(f, "ended by us: {it}"),
            Self::Received(it) => write!(f, "ended by the peer: {it}"),
            Self::Lost { why, state } => write!(f, "connection lost in state {state}: {why}"),
            Self::Unreachable(why) => write!(f, "cannot connect: {why}"),
        }
    }
}
