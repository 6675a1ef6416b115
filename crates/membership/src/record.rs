//! What is known of one speaker, and which of two things said of it is newer.

use std::sync::Arc;

/// Whether a speaker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It runs and does not know yet what falls to it.
    Starting,
    /// It runs, and has come while others were at work: it takes nothing over from them yet.
    Returning,
    /// It runs.
    Alive,
    /// Others have not heard it for too long. It may know better, and then begins a new
    /// incarnation.
    Dead,
    /// It said that it stops.
    Left,
}

impl Status {
    /// Nothing more comes of this incarnation.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Dead | Self::Left)
    }
}

/// What is known of one speaker. Whoever has two of them keeps the newer one, so all end with the
/// same, in whichever order they hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Raised by the speaker itself alone: when it starts, and when others say that it is over.
    pub(crate) incarnation: u64,
    /// Raised by the speaker itself with each change within an incarnation.
    pub(crate) version: u32,
    pub(crate) status: Status,
    /// What the speaker says of itself, which is nothing to us.
    pub(crate) state: Arc<[u8]>,
}

/// What of a record says how new it is; the greater, the newer.
pub(crate) type Age = (u64, bool, u32);

impl Record {
    /// That a speaker was not heard any more. What it said of itself is of no use then.
    pub(crate) fn dead(incarnation: u64) -> Self {
        Self {
            incarnation,
            version: 0,
            status: Status::Dead,
            state: Arc::default(),
        }
    }

    /// The end of an incarnation is newer than anything else in it.
    pub(crate) fn age(&self) -> Age {
        (self.incarnation, self.status.is_over(), self.version)
    }

    /// A number by which two speakers see whether they know the same of a third.
    pub(crate) fn mark(&self, name: &str) -> u64 {
        let (incarnation, over, version) = self.age();
        let mut mark = place(name);
        for part in [incarnation, u64::from(over), u64::from(version)] {
            mark = mix(mark ^ part);
        }
        mark
    }
}

/// Where a speaker stands among all, by its name: everywhere the same, and with no regard to how
/// names are given.
pub(crate) fn place(name: &str) -> u64 {
    // FNV-1a, and a last mix since names differ in their last bytes only.
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The last step of `SplitMix64`.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(incarnation: u64, version: u32, status: Status) -> Record {
        Record {
            incarnation,
            version,
            status,
            state: Arc::default(),
        }
    }

    #[test]
    fn of_two_records_one_is_newer() {
        let in_order = [
            record(1, 1, Status::Starting),
            record(1, 2, Status::Returning),
            record(1, 3, Status::Alive),
            Record::dead(1),
            record(1, 4, Status::Left),
            record(2, 1, Status::Alive),
            Record::dead(2),
        ];
        for pair in in_order.windows(2) {
            assert!(pair[0].age() < pair[1].age(), "{pair:?}");
            assert_ne!(pair[0].mark("n1"), pair[1].mark("n1"), "{pair:?}");
        }
    }

    #[test]
    fn names_that_are_alike_stand_apart() {
        let mut places: Vec<_> = (0..100).map(|n| place(&format!("node-{n}"))).collect();
        places.sort_unstable();
        let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.clone().all(|gap| gap > 0));
        // A hundred at random leave no gap of a quarter of the circle.
        assert!(gaps.max() < Some(u64::MAX / 4));
    }
}
