//! How much of a pool is in use.

/// How many addresses are in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Out of how many that are given out; `i64::MAX` when there are more.
    pub total: i64,
    /// How many.
    pub in_use: i64,
}

impl Usage {
    /// How many addresses are free.
    pub fn available(&self) -> i64 {
        self.total - self.in_use
    }
}
