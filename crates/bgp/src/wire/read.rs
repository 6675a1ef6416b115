//! Bytes that are still to be read. Nothing here can read beyond the end.

/// The rest of something that came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// So many bytes; nothing is taken when there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// What a length of one byte announces.
    pub(super) fn behind_u8(&mut self) -> Option<Self> {
        let mut after = *self;
        let count = after.u8()?;
        let taken = after.take(count.into())?;
        *self = after;
        Some(Self(taken))
    }

    /// What a length of two bytes announces.
    pub(super) fn behind_u16(&mut self) -> Option<Self> {
        let mut after = *self;
        let count = after.u16()?;
        let taken = after.take(count.into())?;
        *self = after;
        Some(Self(taken))
    }

    /// All of it as numbers of 32 bits, if it is made of them.
    pub(super) fn all_u32(mut self) -> Option<Vec<u32>> {
        let mut all = Vec::with_capacity(self.len() / 4);
        while !self.is_empty() {
            all.push(self.u32()?);
        }
        Some(all)
    }
}
