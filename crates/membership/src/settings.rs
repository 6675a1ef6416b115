use std::time::Duration;

/// How often is spoken and how long silence is borne. All are times on the own monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Every other speaker gets a heartbeat this often.
    pub heartbeat: Duration,
    /// After this much silence a peer is asked directly, again and again, until it answers or
    /// `dead_after` has passed. Lost datagrams alone therefore condemn nobody.
    pub suspect_after: Duration,
    /// Time between two such questions, and between two announcements of the own leaving.
    pub ask_every: Duration,
    /// After this much silence a peer is dead.
    pub dead_after: Duration,
    /// How often the own leaving is said.
    pub leave_repeats: u32,
}

impl Settings {
    /// For speakers that are far from each other (`--ml-wan-config`): death is noticed after two
    /// seconds.
    pub fn wan() -> Self {
        Self {
            heartbeat: Duration::from_millis(300),
            suspect_after: Duration::from_secs(1),
            ask_every: Duration::from_millis(100),
            dead_after: Duration::from_secs(2),
            leave_repeats: 4,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            suspect_after: Duration::from_millis(300),
            ask_every: Duration::from_millis(20),
            dead_after: Duration::from_millis(500),
            leave_repeats: 4,
        }
    }
}
