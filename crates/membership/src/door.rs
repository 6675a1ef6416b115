//! What comes in and goes out: keys, sessions and numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aes_gcm::Aes256Gcm;

use crate::message::Body;
use crate::seal::{self, Header, SessionId};
use crate::{Dropped, Key};

/// Opens datagrams and seals them.
#[derive(Debug)]
pub(crate) struct Door {
    session: SessionId,
    sequence: u64,
    keys: Keys,
    /// What our datagrams are sealed with.
    cipher: Option<Aes256Gcm>,
    /// Ciphers of the sessions that we hear, by session; each belongs to one speaker.
    sessions: HashMap<SessionId, (String, Aes256Gcm)>,
    dropped: BTreeMap<Dropped, u64>,
}

/// The keys of the cluster.
#[derive(Debug)]
struct Keys {
    /// Seals; without one, all is open.
    ours: Option<Key>,
    /// What takes its place, and when.
    next: Option<(Instant, Option<Key>)>,
    /// What others may still seal with, and how long.
    before: Option<(Instant, Option<Key>)>,
    /// How long the others may take to learn of another key.
    change: Duration,
}

/// A datagram that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) sealed: bool,
    pub(crate) sequence: u64,
    pub(crate) body: Body,
}

impl Door {
    /// `key_change` is how long the others may take to learn of another key.
    pub(crate) fn new(session: SessionId, key: Option<Key>, key_change: Duration) -> Self {
        Self {
            session,
            sequence: 0,
            cipher: key.as_ref().map(|key| key.session(&session)),
            keys: Keys {
                ours: key,
                next: None,
                before: None,
                change: key_change,
            },
            sessions: HashMap::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// The cluster has another key. It opens at once, and seals only when all others must have
    /// learned of it, too; as long after that, what was sealed with the old one is still opened.
    pub(crate) fn change_key(&mut self, now: Instant, key: Option<Key>) {
        let known = self.keys.next.as_ref().map_or(&self.keys.ours, |it| &it.1);
        if *known != key {
            self.keys.next = Some((now + self.keys.change, key));
        }
    }

    /// When [`turn`](Self::turn) has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let times = self.keys.next.iter().chain(&self.keys.before);
        times.map(|(at, _)| *at).min()
    }

    /// Seals with the new key, or forgets the old one, when it is time.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.keys.before.take_if(|(until, _)| now >= *until);
        if let Some((_, key)) = self.keys.next.take_if(|(at, _)| now >= *at) {
            self.cipher = key.as_ref().map(|key| key.session(&self.session));
            let before = std::mem::replace(&mut self.keys.ours, key);
            self.keys.before = Some((now + self.keys.change, before));
        }
    }

    /// Opens a datagram. `is_known` says whether a name is one of the speakers' names.
    pub(crate) fn open(
        &mut self,
        bytes: &[u8],
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Opened, Dropped> {
        let (header, rest) = Header::decode(bytes)?;
        let opened = |body| Opened {
            sealed: header.sealed,
            sequence: header.sequence,
            body,
        };
        if !header.sealed {
            return if self.keys.is_open() {
                Body::decode(rest).map(opened)
            } else {
                Err(Dropped::Unsealed)
            };
        }
        if let Some((_, cipher)) = self.sessions.get(&header.session)
            && let Ok(plain) = seal::open(cipher, header.sequence, bytes)
        {
            return Body::decode(&plain).map(opened);
        }
        for key in self.keys.all() {
            let cipher = key.session(&header.session);
            let Ok(plain) = seal::open(&cipher, header.sequence, bytes) else {
                continue;
            };
            let body = Body::decode(&plain)?;
            if is_known(&body.name) {
                // A speaker has one session at a time.
                self.sessions.retain(|_, (name, _)| *name != body.name);
                let session = (body.name.clone(), cipher);
                self.sessions.insert(header.session, session);
            }
            return Ok(opened(body));
        }
        Err(Dropped::Forged)
    }

    /// The whole datagram.
    pub(crate) fn seal(&mut self, body: &Body) -> Arc<[u8]> {
        self.sequence += 1;
        let plain = body.encode();
        seal::seal(self.cipher.as_ref(), self.session, self.sequence, &plain).into()
    }

    pub(crate) fn drop(&mut self, reason: Dropped) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    pub(crate) fn dropped(&self) -> &BTreeMap<Dropped, u64> {
        &self.dropped
    }
}

impl Keys {
    /// Whether what is not sealed is heard.
    fn is_open(&self) -> bool {
        self.valid().any(|key| key.is_none())
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        self.valid().flatten()
    }

    fn valid(&self) -> impl Iterator<Item = Option<&Key>> {
        let others = self.next.iter().chain(&self.before);
        let others = others.map(|(_, key)| key.as_ref());
        std::iter::once(self.ours.as_ref()).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    const AFTER: Duration = Duration::from_mins(1);

    fn door(session: u8, secret: &[u8]) -> Door {
        Door::new([session; 16], Key::derive(secret), AFTER)
    }

    fn body(name: &str) -> Body {
        Body {
            name: name.to_owned(),
            incarnation: 1,
            version: 1,
            message: Message::Fetch,
        }
    }

    fn hears(hearer: &mut Door, speaker: &mut Door) -> Result<(), Dropped> {
        let bytes = speaker.seal(&body("n1"));
        hearer.open(&bytes, |_| true).map(drop)
    }

    #[test]
    fn a_key_changes_without_a_gap_in_whichever_order_they_learn_of_it() {
        let start = Instant::now();
        for (old, new) in [("old", "new"), ("", "new"), ("old", "")] {
            let [mut first, mut last] = [1, 2].map(|session| door(session, old.as_bytes()));
            let both = |first: &mut Door, last: &mut Door, when: &str| {
                assert_eq!(hears(last, first), Ok(()), "{old} {new} {when}");
                assert_eq!(hears(first, last), Ok(()), "{old} {new} {when}");
            };
            let at = |secs| start + Duration::from_secs(secs);
            first.change_key(at(0), Key::derive(new.as_bytes()));
            both(&mut first, &mut last, "one knows");
            last.change_key(at(50), Key::derive(new.as_bytes()));
            both(&mut first, &mut last, "both know");
            assert_eq!(first.poll_timeout(), Some(at(60)));
            first.turn(at(60));
            both(&mut first, &mut last, "one seals with it");
            last.turn(at(110));
            both(&mut first, &mut last, "both seal with it");
            // One that starts now knows the new one only.
            both(&mut door(3, new.as_bytes()), &mut last, "a third");
            // And in the end the old one opens nothing.
            assert_eq!(first.poll_timeout(), Some(at(120)));
            first.turn(at(120));
            assert!(hears(&mut first, &mut door(4, old.as_bytes())).is_err());
        }
    }

    #[test]
    fn the_same_key_again_is_no_change() {
        let now = Instant::now();
        let mut door = door(1, b"old");
        door.change_key(now, Key::derive(b"old"));
        assert_eq!(door.poll_timeout(), None);
        door.change_key(now, Key::derive(b"new"));
        door.change_key(now + AFTER / 2, Key::derive(b"new"));
        assert_eq!(door.poll_timeout(), Some(now + AFTER));
    }

    #[test]
    fn sessions_of_strangers_take_no_room() {
        let mut door = door(1, b"s");
        for session in 0..100 {
            let bytes = self::door(session, b"s").seal(&body("n1"));
            assert!(door.open(&bytes, |_| session % 2 == 0).is_ok());
        }
        assert_eq!(door.sessions.len(), 1, "one for each speaker");
    }
}
