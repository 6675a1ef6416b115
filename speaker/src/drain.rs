//! Whether a node that is being drained can be stopped.

use std::time::{Duration, Instant};

use metallb_kit::configuration_state::Note;

/// The condition of `ConfigurationState` that says so, on a node with the taint.
pub(crate) const DRAINED: &str = "Drained";

/// Since when nothing is announced from a node that is being drained.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    empty_since: Option<Instant>,
    /// It has been said that the node can be stopped.
    over: bool,
}

impl Drain {
    /// Takes in whether the node is being drained, and of how many Services it announces addresses;
    /// gives what to say of it. Nothing on a node that stays.
    pub(crate) fn update(&mut self, now: Instant, drains: bool, announced: usize) -> Option<Note> {
        let is_empty = drains && announced == 0;
        self.empty_since = is_empty.then(|| self.empty_since.unwrap_or(now));
        let is_so = self
            .empty_since
            .is_some_and(|since| now >= since + HANDED_OVER);
        self.over = is_so;
        drains.then(|| Note {
            is_so,
            reason: match (is_so, is_empty) {
                (true, _) => "NothingAnnounced",
                (false, true) => "HandingOver",
                (false, false) => "NoOtherNode",
            },
            message: if is_so {
                "no address is announced from here: the node can be stopped".to_owned()
            } else if is_empty {
                "the last addresses are being handed over to other nodes".to_owned()
            } else {
                format!(
                    "the addresses of {announced} Services are announced from here, since no other \
                     node can: they are lost while the node is stopped"
                )
            },
        })
    }

    /// When [`update`](Self::update) has something else to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.empty_since.filter(|_| !self.over)?;
        Some(since + HANDED_OVER)
    }
}

/// Longer than the protocol thread answers on for what others have taken over, and caches of
/// neighbours take to follow.
const HANDED_OVER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_can_be_stopped_when_nothing_has_been_announced_for_a_moment() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut drain = Drain::default();
        for (ms, drains, announced, said) in [
            (0, false, 7, None),
            (100, true, 7, Some((false, "NoOtherNode"))),
            (200, true, 0, Some((false, "HandingOver"))),
            (1199, true, 0, Some((false, "HandingOver"))),
            (1200, true, 0, Some((true, "NothingAnnounced"))),
            // The last other node has gone.
            (1300, true, 1, Some((false, "NoOtherNode"))),
            (1400, true, 0, Some((false, "HandingOver"))),
            (1500, false, 0, None),
            (1600, true, 0, Some((false, "HandingOver"))),
        ] {
            let note = drain.update(at(ms), drains, announced);
            let brief = note.as_ref().map(|note| (note.is_so, note.reason));
            assert_eq!(brief, said, "{ms} ms");
        }
        assert_eq!(drain.poll_timeout(), Some(at(2600)));
        drain.update(at(2600), true, 0);
        assert_eq!(drain.poll_timeout(), None);
    }
}
