//! Prefixes as they stand in messages (RFC 4271 section 4.3): a length in bits, and as many bytes
//! as that takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::read::Reader;

/// One that is encoded as a prefix.
pub(super) trait Prefix: Sized {
    /// Appends it.
    fn encode(&self, out: &mut Vec<u8>);
    /// Takes one; nothing if there is none, or it is longer than an address or than what is left.
    fn decode(reader: &mut Reader<'_>) -> Option<Self>;
}

impl Prefix for Ipv4Net {
    fn encode(&self, out: &mut Vec<u8>) {
        encode(self.prefix_len(), &self.network().octets(), out);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (len, octets) = decode(reader)?;
        Some(Self::new(Ipv4Addr::from(octets), len).ok()?.trunc())
    }
}

impl Prefix for Ipv6Net {
    fn encode(&self, out: &mut Vec<u8>) {
        encode(self.prefix_len(), &self.network().octets(), out);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (len, octets) = decode(reader)?;
        Some(Self::new(Ipv6Addr::from(octets), len).ok()?.trunc())
    }
}

fn encode(len: u8, octets: &[u8], out: &mut Vec<u8>) {
    out.push(len);
    out.extend(&octets[..usize::from(len).div_ceil(8)]);
}

fn decode<const N: usize>(reader: &mut Reader<'_>) -> Option<(u8, [u8; N])> {
    let len = reader.u8()?;
    let bytes = reader.take(usize::from(len).div_ceil(8))?;
    let mut octets = [0; N];
    octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some((len, octets))
}

/// All prefixes of a field; nothing if it is not made of them.
pub(super) fn decode_all<P: Prefix>(mut field: Reader<'_>) -> Option<Vec<P>> {
    let mut prefixes = Vec::new();
    while !field.is_empty() {
        prefixes.push(P::decode(&mut field)?);
    }
    Some(prefixes)
}

/// Appends them all.
pub(super) fn encode_all<P: Prefix>(prefixes: &[P], out: &mut Vec<u8>) {
    for prefix in prefixes {
        prefix.encode(out);
    }
}
