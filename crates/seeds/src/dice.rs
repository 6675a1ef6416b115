//! Chance, from a seed.

use std::time::Duration;

/// `SplitMix64`: as random as a test needs, and the same on every machine and in every version.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The course of events of this seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed);
        // Seeds that follow one another have nothing in common from here on.
        let start = dice.roll();
        Self(start)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("sizes have at most 64 bits");
        usize::try_from(self.roll() % end).expect("less than a size")
    }

    /// Yes, in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Up to so long, most of the times much less.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        let part = (self.roll() % 1000 + 1) * (self.roll() % 1000 + 1);
        longest.mul_f64(f64::from(u32::try_from(part).expect("a million")) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_the_same_course() {
        let rolls = |seed| {
            let mut dice = Dice::new(seed);
            [dice.roll(), dice.roll(), dice.roll()]
        };
        assert_eq!(rolls(1), rolls(1));
        assert_ne!(rolls(1), rolls(2));
    }

    #[test]
    fn everything_happens() {
        let mut dice = Dice::new(0);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[dice.below(5)] += 1;
            let picked = dice.pick(&[1, 2]);
            assert!((1..=2).contains(&picked));
            assert!(!dice.percent(0) && dice.percent(100));
            assert!(dice.duration(Duration::from_secs(3)) <= Duration::from_secs(3));
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
