//! A set of small numbers.

use super::Place;

/// A bit for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    pub(super) fn has(&self, place: Place) -> bool {
        let (word, bit) = at(place);
        self.words.get(word).is_some_and(|it| it & bit != 0)
    }

    pub(super) fn insert(&mut self, place: Place) {
        let (word, bit) = at(place);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.count += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    pub(super) fn remove(&mut self, place: Place) {
        if self.has(place) {
            let (word, bit) = at(place);
            self.words[word] &= !bit;
            self.count -= 1;
        }
    }

    /// How many are in it.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

fn at(place: Place) -> (usize, u64) {
    (place as usize / 64, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_in_it_once() {
        let mut bits = Bits::default();
        for place in [0, 63, 64, 1000, 64] {
            bits.insert(place);
        }
        assert_eq!(bits.count(), 4);
        bits.remove(64);
        bits.remove(64);
        bits.remove(5000);
        assert_eq!(bits.count(), 3);
        let inside: Vec<_> = (0..2000).filter(|it| bits.has(*it)).collect();
        assert_eq!(inside, [0, 63, 1000]);
    }
}
