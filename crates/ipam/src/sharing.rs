//! Who may share an address with whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use metallb_config::Labels;

use crate::numbers::bit;
use crate::port::Port;
use crate::request::Request;

/// What Services that share an address must have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sharing {
    /// Not empty.
    key: Arc<str>,
    backend: Arc<str>,
}

impl Sharing {
    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// With whom a Service shares its addresses, and what it has of them for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub(crate) sharing: Sharing,
    pub(crate) ports: Box<[Port]>,
}

/// Why two Services cannot share an address whatever their ports are; upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Who has it has no sharing key.
    #[error("existing service does not allow sharing")]
    Existing,
    /// Who wants it has no sharing key.
    #[error("new service does not allow sharing")]
    New,
    /// They have different sharing keys.
    #[error("sharing key {new:?} does not match existing sharing key {existing:?}")]
    Key {
        /// Of the one that wants it.
        new: String,
        /// Of the one that has it.
        existing: String,
    },
    /// They do not have the same endpoints, and one of them wants its traffic to stay on the node.
    #[error("backend key {new:?} does not match existing sharing key {existing:?}")]
    Backend {
        /// Of the one that wants it.
        new: String,
        /// Of the one that has it.
        existing: String,
    },
}

impl Share {
    /// How a Service with this sharing key, [backend key](backend_key) and these ports shares;
    /// nothing when the sharing key is empty, as it shares with nobody then.
    pub fn new(sharing_key: &str, backend_key: &str, ports: &[Port]) -> Option<Self> {
        if sharing_key.is_empty() {
            return None;
        }
        let sharing = Sharing {
            key: sharing_key.into(),
            backend: backend_key.into(),
        };
        let ports = ports.into();
        Some(Self { sharing, ports })
    }

    /// How the Service that asks shares.
    pub(crate) fn of(request: &Request<'_>) -> Option<Self> {
        Self::new(request.sharing_key, request.backend_key, request.ports)
    }

    /// A port that both have.
    pub(crate) fn common_port(&self, other: &Self) -> Option<Port> {
        let mut ports = self.ports.iter().copied();
        ports.find(|port| other.ports.contains(port))
    }
}

/// The backend key of a Service: what its endpoints are matters only where the traffic stays on the
/// node (`externalTrafficPolicy` is `Local`), and is then its selector as text.
pub fn backend_key(local: bool, selector: &Labels) -> String {
    let terms = selector.iter().filter(|_| local);
    let terms: Vec<_> = terms.map(|(key, value)| format!("{key}={value}")).collect();
    terms.join(",")
}

/// Whether one that shares like `new` can be where others share like `existing`, if their ports
/// allow it.
pub(crate) fn agree(existing: Option<&Share>, new: Option<&Share>) -> Result<(), Mismatch> {
    let existing = &existing.ok_or(Mismatch::Existing)?.sharing;
    let new = &new.ok_or(Mismatch::New)?.sharing;
    if new.key != existing.key {
        return Err(Mismatch::Key {
            new: new.key.to_string(),
            existing: existing.key.to_string(),
        });
    }
    if new.backend != existing.backend {
        return Err(Mismatch::Backend {
            new: new.backend.to_string(),
            existing: existing.backend.to_string(),
        });
    }
    Ok(())
}

/// A bit for each number of a set, 64 to a word.
pub(crate) type Bits = BTreeMap<u128, u64>;

/// The addresses, by number, that Services of one [`Sharing`] hold, and which ports are taken on
/// each. Sixty-four addresses are looked at in one step.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// A bit for each address.
    members: Bits,
    /// A bit for each address on which the port is taken.
    taken: BTreeMap<(Port, u128), u64>,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The lowest address.
    pub(crate) fn first(&self) -> Option<u128> {
        let (at, word) = self.members.first_key_value()?;
        Some(at << 6 | u128::from(word.trailing_zeros()))
    }

    /// Somebody with these ports holds the address.
    pub(crate) fn join(&mut self, number: u128, ports: &[Port]) {
        *self.members.entry(number >> 6).or_default() |= bit(number);
        for port in ports {
            *self.taken.entry((*port, number >> 6)).or_default() |= bit(number);
        }
    }

    /// Somebody with these ports holds the address no more; `last` says that nobody does.
    pub(crate) fn leave(&mut self, number: u128, ports: &[Port], last: bool) {
        for port in ports {
            clear(&mut self.taken, &(*port, number >> 6), number);
        }
        if last {
            clear(&mut self.members, &(number >> 6), number);
        }
    }

    /// Whether one of the ports is taken on the address.
    pub(crate) fn is_taken(&self, number: u128, ports: &[Port]) -> bool {
        self.taken_in(number >> 6, ports) & bit(number) != 0
    }

    /// The lowest address below `end` on which all of these ports are free, and that is not
    /// `closed`.
    pub(crate) fn lowest_with(&self, ports: &[Port], end: u128, closed: &Bits) -> Option<u128> {
        let mut members = self.members.range(..=end >> 6);
        let lowest = members.find_map(|(&at, word)| {
            let open = word & !self.taken_in(at, ports) & !closed.get(&at).unwrap_or(&0);
            (open != 0).then(|| at << 6 | u128::from(open.trailing_zeros()))
        });
        lowest.filter(|number| *number < end)
    }

    /// The addresses of a word on which one of the ports is taken.
    fn taken_in(&self, at: u128, ports: &[Port]) -> u64 {
        ports.iter().fold(0, |taken, port| {
            taken | self.taken.get(&(*port, at)).copied().unwrap_or(0)
        })
    }
}

/// Clears the bit of a number, and drops the word with its last bit.
pub(crate) fn clear<K: Ord>(words: &mut BTreeMap<K, u64>, at: &K, number: u128) {
    if let Some(word) = words.get_mut(at) {
        *word &= !bit(number);
        if *word == 0 {
            words.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Protocol;

    #[test]
    fn endpoints_matter_where_traffic_is_local() {
        let selector = [("tier", "front"), ("app", "web")];
        let selector = selector.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(backend_key(false, &selector.clone().into()), "");
        assert_eq!(backend_key(true, &selector.into()), "app=web,tier=front");
        assert_eq!(backend_key(true, &Labels::new()), "");
    }

    #[test]
    fn full_words_of_conflicts_are_passed_over() {
        let [a, b] = [1, 2].map(|number| Port::new(Protocol::Tcp, number));
        let mut group = Group::default();
        let open = Bits::new();
        assert_eq!(group.lowest_with(&[a], u128::MAX, &open), None);
        for number in 0..1000 {
            group.join(number, &[a]);
        }
        group.join(500, &[b]);
        assert_eq!(group.lowest_with(&[a], u128::MAX, &open), None);
        assert_eq!(group.lowest_with(&[b], u128::MAX, &open), Some(0));
        assert!(group.is_taken(7, &[b, a]) && !group.is_taken(7, &[b]));
        group.leave(500, &[a], false);
        group.leave(900, &[a], true);
        assert_eq!(group.lowest_with(&[a], u128::MAX, &open), Some(500));
        assert_eq!(group.lowest_with(&[a], 500, &open), None);
        let closed = [(500 >> 6, bit(500))].into();
        assert_eq!(group.lowest_with(&[a], u128::MAX, &closed), None);
        // One has the one port and all others have the other.
        assert_eq!(group.lowest_with(&[a, b], u128::MAX, &open), None);
        for number in 0..1000 {
            group.leave(number, &[a, b], true);
        }
        assert!(group.is_empty() && group.taken.is_empty());
    }
}
