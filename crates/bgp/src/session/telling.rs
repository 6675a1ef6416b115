//! Routes for one connection, from the moment that it is agreed how they are told.

use crate::rib::{Export, Rib, Target, Version};

/// Where the telling of routes stands.
#[derive(Clone, Debug)]
pub(super) struct Telling {
    export: Export,
    /// What goes out first, made while the peer's KEEPALIVE is on its way, and the version of the
    /// routes that it was made of.
    ready: Option<(Version, Batch)>,
}

/// Messages that go out together.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: u64,
}

impl Telling {
    /// Nothing was told yet.
    pub(super) fn new(target: Target, marks_refreshes: bool) -> Self {
        Self {
            export: Export::new(target, marks_refreshes),
            ready: None,
        }
    }

    /// What the peer was told, and what is left.
    pub(super) fn export(&self) -> &Export {
        &self.export
    }

    pub(super) fn export_mut(&mut self) -> &mut Export {
        &mut self.export
    }

    /// All routes are told as those of one that is about to go, or not any more.
    pub(super) fn shut_down_gracefully(&mut self, goes: bool) {
        if self.ready.take().is_some() {
            self.export.begin_anew();
        }
        self.export.shut_down_gracefully(goes);
    }

    /// Makes the first messages, of so many bytes at least if there are, once: none of them goes
    /// out before the peer has confirmed, and by then they are there.
    pub(super) fn prepare<K>(&mut self, rib: &Rib<K>, room: usize) {
        if self.ready.is_none() {
            let batch = self.make(rib, room);
            self.ready = Some((rib.version(), batch));
        }
    }

    /// The next messages, of so many bytes at least if there are.
    pub(super) fn next<K>(&mut self, rib: &Rib<K>, room: usize) -> Option<Batch> {
        let ready = match self.ready.take() {
            Some((version, batch)) if version == rib.version() => Some(batch),
            // Routes have changed meanwhile: nobody was told the old ones.
            Some(_) => {
                self.export.begin_anew();
                None
            }
            None => None,
        };
        let batch = ready.unwrap_or_else(|| self.make(rib, room));
        (batch.messages > 0).then_some(batch)
    }

    fn make<K>(&mut self, rib: &Rib<K>, room: usize) -> Batch {
        let mut batch = Batch::default();
        while batch.bytes.len() < room {
            let Some(message) = self.export.next(rib) else {
                break;
            };
            batch.bytes.extend(message);
            batch.messages += 1;
        }
        batch
    }
}
