//! One speaker that falls to us to watch: what its silence asks of us.

use std::time::{Duration, Instant};

use crate::Settings;

/// The watch over one speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// Its last sign of life, heard by us or by another who told us; or from when on we listen.
    sign: Instant,
    /// The same, of what we heard ourselves: hearsay is not passed on, or two who hear nothing would
    /// tell each other for ever that the other has heard it a moment later.
    own: Instant,
    /// When it was last asked for a sign.
    asked: Option<Instant>,
    /// Another who watches it has not heard it either, since its last sign.
    confirmed: bool,
}

/// What the time asks of us about a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Ask it for a sign, and the others who watch it whether they hear it.
    Ask,
    Dead,
}

impl Watch {
    /// Begins. It may not know yet that we watch it, so it is asked at once; and if it has died
    /// with those who watched it before, that shall not take as long again.
    pub(crate) fn new(now: Instant, settings: &Settings) -> Self {
        let since = now.checked_sub(settings.suspect_after).unwrap_or(now);
        Self {
            sign: since,
            own: since,
            asked: None,
            confirmed: false,
        }
    }

    /// There was a sign of life then.
    pub(crate) fn heard(&mut self, now: Instant) {
        (self.sign, self.own, self.asked, self.confirmed) = (now, now, None, false);
    }

    /// Another who watches it last heard it then.
    pub(crate) fn told(&mut self, now: Instant, at: Option<Instant>, settings: &Settings) {
        if let Some(at) = at.filter(|at| *at > self.sign) {
            (self.sign, self.confirmed) = (at, false);
        }
        let silence = at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        self.confirmed |= self.asked.is_some() && silence >= settings.suspect_after;
    }

    /// Nobody was to blame for that much silence.
    pub(crate) fn excuse(&mut self, now: Instant, late: Duration) {
        self.sign = (self.sign + late).min(now);
        self.own = (self.own + late).min(now);
    }

    /// How long ago its last sign was, if that is long.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sign)
    }

    /// How long ago we heard it ourselves.
    pub(crate) fn own_silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.own)
    }

    pub(crate) fn due(&self, now: Instant, settings: &Settings) -> Due {
        let silence = self.silence(now);
        if silence >= self.patience(settings) {
            Due::Dead
        } else if silence >= settings.suspect_after
            && self
                .asked
                .is_none_or(|asked| now >= asked + settings.ask_every)
        {
            Due::Ask
        } else {
            Due::Nothing
        }
    }

    /// It is being asked.
    pub(crate) fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// When `due` will next say something.
    pub(crate) fn poll_timeout(&self, settings: &Settings) -> Instant {
        let suspect = self.sign + settings.suspect_after;
        let again = self.asked.map(|asked| asked + settings.ask_every);
        let ask = again.map_or(suspect, |again| again.max(suspect));
        ask.min(self.sign + self.patience(settings))
    }

    fn patience(&self, settings: &Settings) -> Duration {
        if self.confirmed {
            settings.confirm_after
        } else {
            settings.dead_after
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_then_confirmed_or_borne_longer() {
        let (start, settings) = (Instant::now(), Settings::default());
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(start, &settings);
        assert_eq!(watch.due(start, &settings), Due::Ask, "asked at once");
        watch.heard(start);
        for (asked, told, now, due) in [
            (None, None, 0, Due::Nothing),
            (None, None, 249, Due::Nothing),
            (None, None, 250, Due::Ask),
            (Some(250), None, 260, Due::Nothing),
            (Some(250), None, 270, Due::Ask),
            (Some(340), None, 350, Due::Nothing),
            // Another heard as little, or never heard it at all.
            (Some(340), Some(Some(0)), 350, Due::Dead),
            (Some(340), Some(None), 350, Due::Dead),
            (Some(340), Some(Some(0)), 349, Due::Nothing),
            // Another has heard it meanwhile.
            (Some(340), Some(Some(110)), 459, Due::Ask),
            (Some(340), Some(Some(110)), 610, Due::Dead),
            (Some(490), None, 499, Due::Nothing),
            (Some(490), None, 500, Due::Dead),
            // What was told before anybody asked says nothing.
            (None, Some(None), 350, Due::Ask),
        ] {
            let mut watch = watch.clone();
            if let Some(asked) = asked {
                watch.ask(at(asked));
            }
            if let Some(told) = told {
                watch.told(at(350), told.map(at), &settings);
            }
            assert_eq!(
                watch.due(at(now), &settings),
                due,
                "asked {asked:?}, told {told:?}, at {now} ms"
            );
        }
        assert_eq!(watch.poll_timeout(&settings), at(250));
        watch.ask(at(490));
        assert_eq!(watch.poll_timeout(&settings), at(500));
    }

    #[test]
    fn hearsay_counts_once_and_is_not_passed_on() {
        let (start, settings) = (Instant::now(), Settings::default());
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(start, &settings);
        watch.heard(start);
        watch.ask(at(250));
        watch.told(at(255), Some(at(100)), &settings);
        assert_eq!(watch.silence(at(300)), Duration::from_millis(200));
        assert_eq!(watch.own_silence(at(300)), Duration::from_millis(300));
        // And it is asked no sooner for that.
        watch.told(at(256), Some(at(5)), &settings);
        assert_eq!(watch.due(at(269), &settings), Due::Nothing);
    }

    #[test]
    fn what_is_due_is_done_at_the_time_that_was_told() {
        let (start, settings) = (Instant::now(), Settings::default());
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(start, &settings);
        watch.heard(start);
        watch.ask(at(250));
        // We were late ourselves, and there is no doubt any more.
        watch.excuse(at(260), Duration::from_millis(100));
        assert_eq!(watch.poll_timeout(&settings), at(350));
        for ms in 260..350 {
            assert_eq!(watch.due(at(ms), &settings), Due::Nothing);
        }
        assert_eq!(watch.due(at(350), &settings), Due::Ask);
    }

    #[test]
    fn a_sign_of_life_ends_all_doubt() {
        let (start, settings) = (Instant::now(), Settings::default());
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(start, &settings);
        watch.ask(at(340));
        watch.told(at(345), None, &settings);
        watch.heard(at(349));
        assert_eq!(watch.due(at(400), &settings), Due::Nothing);
        assert_eq!(watch.due(at(349 + 499), &settings), Due::Ask);
    }
}
