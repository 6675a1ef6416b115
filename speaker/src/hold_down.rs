//! When a node that comes back may take over from others again.

use std::time::{Duration, Instant};

/// How long this node has been fit to take over. Once it was so for [`HOLD`], nothing takes that
/// back: a kubelet that dies later is no reason to move addresses.
#[derive(Debug, Default)]
pub(crate) struct HoldDown {
    fit_since: Option<Instant>,
    over: bool,
}

impl HoldDown {
    /// Takes in whether the node is fit now. True when the hold-down is over.
    pub(crate) fn update(&mut self, now: Instant, fit: bool) -> bool {
        if !self.over {
            let since = fit.then(|| self.fit_since.unwrap_or(now));
            self.fit_since = since;
            self.over = since.is_some_and(|since| now >= since + HOLD);
        }
        self.over
    }

    /// When [`update`](Self::update) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.fit_since.filter(|_| !self.over)?;
        Some(since + HOLD)
    }
}

/// Long enough for the programs that forward Services' traffic to have caught up after their own
/// start; until then the others keep what they have taken over.
const HOLD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_takes_over_when_it_has_been_fit_for_a_while_and_stays_so() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut hold = HoldDown::default();
        assert!(!hold.update(at(0), false));
        assert_eq!(hold.poll_timeout(), None);
        assert!(!hold.update(at(100), true));
        assert!(!hold.update(at(1000), false));
        assert!(!hold.update(at(1100), true));
        assert_eq!(hold.poll_timeout(), Some(at(3100)));
        assert!(!hold.update(at(3099), true));
        assert!(hold.update(at(3100), true));
        assert!(hold.update(at(4000), false));
        assert_eq!(hold.poll_timeout(), None);
    }
}
