//! Others with our addresses, told of at a pace.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metallb_l2::Rival;

/// When each was told of last.
#[derive(Debug, Default)]
pub(crate) struct RivalPace(BTreeMap<Rival, Instant>);

impl RivalPace {
    /// Whether to tell of it: of each at most once a second.
    pub(crate) fn lets_pass(&mut self, now: Instant, rival: Rival) -> bool {
        let is_recent = |last: &Instant| now < *last + PACE;
        if self.0.get(&rival).is_some_and(is_recent) {
            return false;
        }
        if self.0.len() >= MOST {
            self.0.retain(|_, last| is_recent(last));
        }
        // More than that in a second are somebody's invention.
        let has_room = self.0.len() < MOST;
        if has_room {
            self.0.insert(rival, now);
        }
        has_room
    }
}

/// Between two words about one rival.
const PACE: Duration = Duration::from_secs(1);
/// So many are told apart.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use metallb_l2::MacAddr;

    use super::*;

    #[test]
    fn each_is_told_of_once_a_second_and_inventions_take_no_memory() {
        let start = Instant::now();
        let rival = |n| Rival {
            ip: IpAddr::V4(Ipv4Addr::from_bits(n)),
            mac: MacAddr::zero(),
        };
        let mut pace = RivalPace::default();
        assert!(pace.lets_pass(start, rival(0)) && pace.lets_pass(start, rival(1)));
        assert!(!pace.lets_pass(start + PACE / 2, rival(0)));
        assert!(pace.lets_pass(start + PACE, rival(0)));
        let passed = (0..10_000).filter(|n| pace.lets_pass(start + 3 * PACE, rival(*n)));
        assert_eq!(passed.count(), MOST);
        assert_eq!(pace.0.len(), MOST);
    }
}
