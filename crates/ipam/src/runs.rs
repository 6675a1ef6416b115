//! Numbers in use, kept as runs.

use std::collections::BTreeMap;

/// A set of numbers, as the runs of consecutive ones: the first of each with its last. No two runs
/// touch, so the lowest number that is not in the set is found from the first run alone, however
/// many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs(BTreeMap<u128, u128>);

impl Runs {
    /// The lowest number not in the set.
    pub(crate) fn lowest_free(&self) -> u128 {
        match self.0.first_key_value() {
            Some((0, last)) => last + 1,
            _ => 0,
        }
    }

    /// Adds a number; false when it was there.
    pub(crate) fn insert(&mut self, number: u128) -> bool {
        let joins_next = self.0.get(&(number + 1)).copied();
        let last = joins_next.unwrap_or(number);
        let before = self.0.range_mut(..=number).next_back();
        match before {
            Some((_, end)) if *end >= number => return false,
            Some((_, end)) if *end + 1 == number => *end = last,
            _ => {
                self.0.insert(number, last);
            }
        }
        if joins_next.is_some() {
            self.0.remove(&(number + 1));
        }
        true
    }

    /// Takes a number out; false when it was not there.
    pub(crate) fn remove(&mut self, number: u128) -> bool {
        let Some((&first, end)) = self.0.range_mut(..=number).next_back() else {
            return false;
        };
        let last = *end;
        if last < number {
            return false;
        }
        if first == number {
            self.0.remove(&first);
        } else {
            *end = number - 1;
        }
        if number < last {
            self.0.insert(number + 1, last);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_join_and_split() {
        let mut runs = Runs::default();
        for number in [0, 2, 1] {
            assert!(runs.insert(number));
            assert!(!runs.insert(number));
        }
        assert_eq!(runs.0, [(0, 2)].into());
        assert!(runs.remove(1));
        assert!(!runs.remove(1));
        assert_eq!(runs.0, [(0, 0), (2, 2)].into());
        assert_eq!(runs.lowest_free(), 1);
    }

    proptest! {
        #[test]
        fn like_a_set(calls in prop::collection::vec((any::<bool>(), 0..40u128), 0..200)) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (insert, number) in calls {
                if insert {
                    prop_assert_eq!(runs.insert(number), set.insert(number));
                } else {
                    prop_assert_eq!(runs.remove(number), set.remove(&number));
                }
                prop_assert_eq!(runs.lowest_free(), (0..=40).find(|n| !set.contains(n)).unwrap());
                let listed: BTreeSet<_> = runs.0.iter().flat_map(|(a, b)| *a..=*b).collect();
                prop_assert_eq!(&listed, &set);
                let ends: Vec<_> = runs.0.iter().collect();
                prop_assert!(ends.windows(2).all(|pair| *pair[0].1 + 1 < *pair[1].0));
            }
        }
    }
}
