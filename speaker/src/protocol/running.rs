//! Since when frames get through on each interface.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metallb_netio::Interface;

/// Remembers since when each interface has a carrier. One that it had from the start counts at
/// once; another only after [`STEADY`], so that a link that flaps takes nothing over, and a node
/// that was cut off has heard who else is there before it announces anything.
#[derive(Debug, Default)]
pub(super) struct Running {
    started: bool,
    since: BTreeMap<u32, Instant>,
    told: Option<Instant>,
}

impl Running {
    /// Takes in the interfaces as they are now.
    pub(super) fn update<'a>(
        &mut self,
        now: Instant,
        interfaces: impl Iterator<Item = &'a Interface>,
    ) {
        let running: Vec<_> = interfaces
            .filter(|it| it.running)
            .map(|it| it.index)
            .collect();
        self.since.retain(|index, _| running.contains(index));
        let first = !std::mem::replace(&mut self.started, true);
        let since = if first {
            now.checked_sub(STEADY).unwrap_or(now)
        } else {
            now
        };
        for index in running {
            self.since.entry(index).or_insert(since);
        }
    }

    /// Whether frames have got through on the interface for long enough.
    pub(super) fn is_steady(&mut self, now: Instant, index: u32) -> bool {
        self.told = Some(now);
        let since = self.since.get(&index);
        since.is_some_and(|since| now >= *since + STEADY)
    }

    /// When another interface will have become steady since this was last asked.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let steady = self.since.values().map(|since| *since + STEADY);
        steady
            .filter(|at| self.told.is_some_and(|told| *at > told))
            .min()
    }
}

/// As long as it takes others at most to take us for dead, and hear of us again.
const STEADY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, running: bool) -> Interface {
        Interface {
            index,
            running,
            ..Interface::default()
        }
    }

    #[test]
    fn what_runs_from_the_start_counts_at_once_and_what_comes_back_later() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut running = Running::default();
        running.update(at(0), [interface(1, true), interface(2, false)].iter());
        assert!(running.is_steady(at(0), 1) && !running.is_steady(at(0), 2));
        assert_eq!(running.poll_timeout(), None);
        // A link that flaps never counts.
        for ms in (100..2000).step_by(50) {
            running.update(
                at(ms),
                [interface(1, true), interface(2, ms % 100 == 0)].iter(),
            );
            assert!(
                running.is_steady(at(ms), 1) && !running.is_steady(at(ms), 2),
                "{ms}"
            );
        }
        running.update(at(2000), [interface(1, true), interface(2, true)].iter());
        assert!(!running.is_steady(at(2000), 2));
        assert_eq!(running.poll_timeout(), Some(at(2500)));
        assert!(running.is_steady(at(2500), 2));
        assert_eq!(running.poll_timeout(), None);
        running.update(at(3000), [interface(2, true)].iter());
        assert!(!running.is_steady(at(3000), 1), "it is gone");
    }
}
