//! The addresses of one Service.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

use metallb_config::Family;

/// The addresses of one Service: one, or one of each family, in the order of its status.
///
/// Shown as in upstream's events: `["192.0.2.1" "2001:db8::1"]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ips {
    /// The second is the first again when there is none.
    ips: [IpAddr; 2],
    len: usize,
}

/// Why a list of addresses cannot be those of one Service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpsError {
    /// There is none.
    #[error("no addresses")]
    None,
    /// There are three or more.
    #[error("more than two addresses {}", quoted(.0))]
    TooMany(Vec<IpAddr>),
    /// There are two of one family.
    #[error("\"{0}\" \"{1}\" has the same family")]
    SameFamily(IpAddr, IpAddr),
}

impl Ips {
    /// These two in this order, when there is a second one.
    pub(crate) fn pair(first: IpAddr, second: Option<IpAddr>) -> Self {
        Self {
            ips: [first, second.unwrap_or(first)],
            len: 1 + usize::from(second.is_some()),
        }
    }

    /// Whether these are the same addresses as `other`, in whatever order.
    pub fn same_set(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|ip| other.contains(ip))
    }

    /// The address of this family.
    pub(crate) fn of_family(&self, family: Family) -> Option<IpAddr> {
        self.iter().copied().find(|ip| Family::of(*ip) == family)
    }
}

impl From<IpAddr> for Ips {
    fn from(ip: IpAddr) -> Self {
        Self::pair(ip, None)
    }
}

impl TryFrom<&[IpAddr]> for Ips {
    type Error = IpsError;

    fn try_from(ips: &[IpAddr]) -> Result<Self, IpsError> {
        match *ips {
            [] => Err(IpsError::None),
            [ip] => Ok(ip.into()),
            [a, b] if Family::of(a) == Family::of(b) => Err(IpsError::SameFamily(a, b)),
            [a, b] => Ok(Self::pair(a, Some(b))),
            _ => Err(IpsError::TooMany(ips.to_vec())),
        }
    }
}

impl Deref for Ips {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        &self.ips[..self.len]
    }
}

impl fmt::Display for Ips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(self))
    }
}

impl fmt::Debug for Ips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn quoted(ips: &[IpAddr]) -> String {
    let quoted: Vec<_> = ips.iter().map(|ip| format!("\"{ip}\"")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<IpAddr> {
        text.split_whitespace()
            .map(|ip| ip.parse().unwrap())
            .collect()
    }

    #[test]
    fn one_or_one_of_each_family() {
        for (text, shown) in [
            ("1.2.3.4", "[\"1.2.3.4\"]"),
            ("fc00::1", "[\"fc00::1\"]"),
            ("1.2.3.4 fc00::1", "[\"1.2.3.4\" \"fc00::1\"]"),
            ("fc00::1 1.2.3.4", "[\"fc00::1\" \"1.2.3.4\"]"),
        ] {
            let ips = Ips::try_from(list(text).as_slice()).unwrap();
            assert_eq!(ips.to_string(), shown);
            assert_eq!(*ips, *list(text));
        }
        for (text, error) in [
            ("", "no addresses"),
            (
                "1.2.3.4 1.2.3.5",
                "\"1.2.3.4\" \"1.2.3.5\" has the same family",
            ),
            (
                "fc00::1 fc00::1",
                "\"fc00::1\" \"fc00::1\" has the same family",
            ),
            (
                "1.1.1.1 ::1 ::2",
                "more than two addresses [\"1.1.1.1\" \"::1\" \"::2\"]",
            ),
        ] {
            let refused = Ips::try_from(list(text).as_slice()).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
    }

    #[test]
    fn order_is_kept_and_can_be_ignored() {
        let read = |text| Ips::try_from(list(text).as_slice()).unwrap();
        let (a, b) = (read("1.2.3.4 fc00::1"), read("fc00::1 1.2.3.4"));
        assert!(a != b && a.same_set(&b));
        assert!(!a.same_set(&read("1.2.3.4")) && !read("1.2.3.4").same_set(&a));
    }
}
