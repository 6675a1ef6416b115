//! Numbers in use.

use std::collections::HashMap;

/// A set of numbers, of which the lowest that is *not* there is found in a few steps, however many
/// are in it and however they lie.
///
/// A tree of words of 64 bits: in the lowest level a bit is a number, above it a bit is a word of
/// the level below that is full. Words that are zero are not kept, so few numbers far apart cost
/// little. Nothing is allocated by taking numbers out and in again: the maps keep their room.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    levels: Vec<HashMap<u128, u64>>,
    len: usize,
}

impl Numbers {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a number.
    pub(crate) fn insert(&mut self, number: u128) {
        self.len += usize::from(self.word(0, number >> 6) & bit(number) == 0);
        let mut at = number;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(HashMap::new());
            }
            let word = self.levels[level].entry(at >> 6).or_default();
            *word |= bit(at);
            if *word != FULL {
                return;
            }
            at >>= 6;
        }
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, number: u128) {
        self.len -= usize::from(self.word(0, number >> 6) & bit(number) != 0);
        let mut at = number;
        for level in &mut self.levels {
            let Some(word) = level.get_mut(&(at >> 6)) else {
                return;
            };
            let was_full = *word == FULL;
            *word &= !bit(at);
            if *word == 0 {
                level.remove(&(at >> 6));
            }
            if !was_full {
                return;
            }
            at >>= 6;
        }
    }

    /// The lowest number that is not in the set.
    pub(crate) fn lowest_missing(&self) -> u128 {
        // Up while all below is full, then down to the first that is not.
        let mut level = 0;
        while self.word(level, 0) == FULL {
            level += 1;
        }
        (0..=level).rev().fold(0, |at, level| {
            at << 6 | u128::from(self.word(level, at).trailing_ones())
        })
    }

    fn word(&self, level: usize, at: u128) -> u64 {
        let words = self.levels.get(level);
        words.and_then(|words| words.get(&at)).copied().unwrap_or(0)
    }
}

/// The bit of a number in its word.
pub(crate) fn bit(number: u128) -> u64 {
    1 << (number & 63)
}

const FULL: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_words_are_passed_over() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.lowest_missing(), 0);
        for number in (0..300_000).rev() {
            numbers.insert(number);
        }
        assert_eq!(numbers.lowest_missing(), 300_000);
        numbers.insert(u128::MAX);
        for number in [299_999, 70_000, 4096, 64, 63, 0] {
            numbers.remove(number);
            assert_eq!(numbers.lowest_missing(), number);
        }
        for (number, next) in [(0, 63), (63, 64), (64, 4096), (4096, 70_000)] {
            numbers.insert(number);
            assert_eq!(numbers.lowest_missing(), next);
        }
        // What is empty takes no room.
        for number in (0..300_000).chain([u128::MAX]) {
            numbers.remove(number);
        }
        assert!(numbers.levels.iter().all(HashMap::is_empty));
    }

    proptest! {
        #[test]
        fn like_a_set(calls in prop::collection::vec((prop::bool::weighted(0.7), 0..200u128), 0..600)) {
            let (mut numbers, mut set) = (Numbers::default(), BTreeSet::new());
            for (insert, number) in calls {
                if insert {
                    numbers.insert(number);
                    set.insert(number);
                } else {
                    numbers.remove(number);
                    set.remove(&number);
                }
                let lowest = (0..=200).find(|n| !set.contains(n)).unwrap();
                prop_assert_eq!(numbers.lowest_missing(), lowest);
                prop_assert_eq!(numbers.len(), set.len());
            }
        }
    }
}
