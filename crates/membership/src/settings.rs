use std::time::Duration;

/// How often is spoken and how long silence is borne. All are times on the own monotonic clock.
///
/// A node that dies is noticed `confirm_after` after its last heartbeat, which was up to one
/// `heartbeat` before: on average after `confirm_after - heartbeat / 2`. Shorter times find a death
/// sooner and take a node whose processor stalls for dead more often; the load is `watchers`
/// datagrams each `heartbeat`, whatever the size of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Those who watch a speaker get a heartbeat of it this often.
    pub heartbeat: Duration,
    /// How many others watch each speaker.
    pub watchers: usize,
    /// After this much silence a speaker is asked directly, again and again, and the others who
    /// watch it are asked whether they hear it. Lost datagrams alone therefore condemn nobody.
    pub suspect_after: Duration,
    /// Time between two such questions.
    pub ask_every: Duration,
    /// After this much silence a speaker is dead, if another who watches it hears nothing either.
    pub confirm_after: Duration,
    /// After this much silence a speaker is dead, if nobody is left who could tell otherwise.
    pub dead_after: Duration,
    /// How often news is told to everybody; what is lost all the same is found by comparing.
    pub repeats: u32,
    /// How long after it learned of another key a speaker still seals with the old one: until
    /// every other has learned of it, too.
    pub key_change: Duration,
}

impl Settings {
    /// With another pace; silence is borne in proportion.
    pub fn with_heartbeat(heartbeat: Duration) -> Self {
        let usual = Self::default();
        let factor = heartbeat.as_secs_f64() / usual.heartbeat.as_secs_f64();
        Self {
            heartbeat,
            suspect_after: usual.suspect_after.mul_f64(factor),
            ask_every: usual.ask_every.mul_f64(factor),
            confirm_after: usual.confirm_after.mul_f64(factor),
            dead_after: usual.dead_after.mul_f64(factor),
            ..usual
        }
    }

    /// For speakers that are far from each other (`--ml-wan-config`): death is noticed after a
    /// second and a half.
    pub fn wan() -> Self {
        Self {
            heartbeat: Duration::from_millis(300),
            suspect_after: Duration::from_secs(1),
            ask_every: Duration::from_millis(100),
            confirm_after: Duration::from_millis(1500),
            dead_after: Duration::from_secs(2),
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            watchers: 3,
            suspect_after: Duration::from_millis(250),
            ask_every: Duration::from_millis(20),
            confirm_after: Duration::from_millis(350),
            dead_after: Duration::from_millis(500),
            repeats: 3,
            // A kubelet shows pods a changed Secret within its sync period and the lifetime of its
            // cache, a minute each.
            key_change: Duration::from_mins(3),
        }
    }
}
