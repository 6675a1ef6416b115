//! The key that speakers seal their heartbeats with.

use crate::observed::Fingerprint;

/// What is known of the key in the memberlist Secret. It outlives the Secret: one that is deleted
/// by hand comes back with the same key, since speakers with two keys would not hear each other.
#[derive(Debug, Default)]
pub(crate) struct Memberlist {
    /// It was looked for.
    pub(crate) known: bool,
    /// The key that was there.
    pub(crate) existing: Option<Vec<u8>>,
    /// Randomness for a key, should there be none.
    pub(crate) fresh: [u8; 16],
    /// The state of the Secret that was looked at last.
    pub(crate) read_at: Option<Fingerprint>,
}

impl Memberlist {
    /// Takes in what the Secret has, if there is one; `random` is asked once.
    pub(crate) fn learn(
        &mut self,
        read: Option<(Option<Vec<u8>>, Fingerprint)>,
        random: impl FnOnce() -> [u8; 16],
    ) {
        if !std::mem::replace(&mut self.known, true) {
            self.fresh = random();
        }
        if let Some((key, fingerprint)) = read {
            self.read_at = Some(fingerprint);
            if key.is_some() {
                self.existing = key;
            }
        }
    }
}
