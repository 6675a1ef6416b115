//! Watches that stop telling anything while their connections stay: what a dead server or a
//! forgetful middlebox looks like from the client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper::body::{Body as HttpBody, Bytes, Frame};
use hyper::http::request::Parts;
use tokio::sync::watch;

use super::proxy::Body;
use super::rule::Requests;

/// Which watches are mute now.
#[derive(Debug, Default)]
pub(super) struct Muting {
    state: watch::Sender<State>,
    /// How many watches have begun.
    begun: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct State {
    watches: Option<Requests>,
    /// Those that have begun before so many had.
    before: u64,
}

impl Muting {
    /// Makes the watches that are open and fit fall mute, or all speak again.
    pub(super) fn set(&self, watches: Option<Requests>) {
        let before = self.begun.load(Ordering::Relaxed);
        self.state.send_replace(State { watches, before });
    }

    pub(super) fn get(&self) -> Option<Requests> {
        self.state.borrow().watches.clone()
    }

    /// The body of the answer to a watch.
    pub(super) fn body(&self, body: Body, request: Parts) -> Muted {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        Muted {
            body,
            state: self.state.subscribe(),
            watch: Arc::new((number, request)),
            held: None,
            silence: None,
        }
    }
}

impl State {
    fn mutes(&self, (number, request): &(u64, Parts)) -> bool {
        let fits = |watches: &Requests| *number < self.before && watches.matches(request);
        self.watches.as_ref().is_some_and(fits)
    }
}

/// The body of a watch, of which nothing comes while it is mute.
pub(super) struct Muted {
    body: Body,
    state: watch::Receiver<State>,
    /// Its number and request.
    watch: Arc<(u64, Parts)>,
    /// What had come when it fell mute.
    held: Option<Result<Frame<Bytes>, hyper::Error>>,
    /// Ends when it may speak again.
    silence: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Muted {
    fn is_mute(&self) -> bool {
        self.state.borrow().mutes(&self.watch)
    }

    fn silence(&self) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let (mut state, watch) = (self.state.clone(), self.watch.clone());
        Box::pin(async move {
            // An error means that the proxy ends.
            let _ = state.wait_for(|state| !state.mutes(&watch)).await;
        })
    }
}

impl HttpBody for Muted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            if self.is_mute() && self.silence.is_none() {
                self.silence = Some(self.silence());
            }
            if let Some(silence) = &mut self.silence {
                ready!(silence.as_mut().poll(context));
                self.silence = None;
                continue;
            }
            if let Some(held) = self.held.take() {
                return Poll::Ready(Some(held));
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            if !self.is_mute() {
                return Poll::Ready(frame);
            }
            // The end too stays untold.
            let Some(frame) = frame else { continue };
            self.held = Some(frame);
        }
    }
}
