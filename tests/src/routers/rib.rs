//! What a router knows, in the same words whichever router it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// All routes that a router was told by BGP.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rib(BTreeMap<String, BTreeSet<Path>>);

/// One way to a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Where it leads; of two next hops the one that is not link-local.
    pub next_hop: IpAddr,
    /// What was said of it.
    pub attributes: Attributes,
}

/// What was said of a path.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes {
    /// The ASes that it came through; none if it is of the router's own.
    pub as_path: Vec<u32>,
    /// Of a path within the router's AS; from elsewhere, preference is the router's own affair.
    pub local_pref: Option<u32>,
    /// Such as `64500:7` and, of the large ones, `64500:1:2`.
    pub communities: BTreeSet<String>,
}

/// A session with a node, as the router sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// The AS that the node is in.
    pub asn: u32,
    /// Its BGP identifier.
    pub identifier: String,
    /// What both agreed on, in seconds.
    pub hold_time: u64,
    /// Another one when the session has come up again.
    pub epoch: Epoch,
}

/// Which of all sessions that a router has had with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// The router counts them.
    Count(u64),
    /// When it came up, on a clock of the router's choice. BIRD reckons that each time from how
    /// long it has been up, and is a millisecond off now and then.
    Since(Duration),
}

impl Epoch {
    /// Whether it is the same session. None comes up twice within half a second.
    pub fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Since(one), Self::Since(other)) => {
                one.abs_diff(other) < Duration::from_millis(500)
            }
            _ => self == other,
        }
    }
}

impl Rib {
    /// The paths to a prefix such as `192.0.2.7/32`.
    pub fn paths(&self, prefix: &str) -> impl Iterator<Item = &Path> {
        self.0.get(prefix).into_iter().flatten()
    }

    /// The prefixes that are there, as text.
    pub fn prefixes(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub(super) fn add(&mut self, prefix: &str, path: Path) {
        self.0.entry(prefix.to_owned()).or_default().insert(path);
    }
}

/// A line for each prefix and what was said of it, with all next hops of which that was said.
impl fmt::Display for Rib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (prefix, paths) in &self.0 {
            let mut alike: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for path in paths {
                let hops = alike.entry(&path.attributes).or_default();
                hops.push(path.next_hop.to_string());
            }
            for (attributes, hops) in alike {
                writeln!(f, "{prefix} via {}{attributes}", hops.join(" "))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for asn in &self.as_path {
            write!(f, ", from {asn}")?;
        }
        if let Some(preference) = self.local_pref {
            write!(f, ", preference {preference}")?;
        }
        for community in &self.communities {
            write!(f, ", {community}")?;
        }
        Ok(())
    }
}

impl Attributes {
    /// `local_pref` as the router shows it, its own included.
    pub(super) fn new(
        as_path: Vec<u32>,
        local_pref: Option<u64>,
        communities: impl IntoIterator<Item = String>,
    ) -> Self {
        let shown = local_pref.and_then(|it| u32::try_from(it).ok());
        Self {
            local_pref: shown.filter(|_| as_path.is_empty()),
            as_path,
            communities: communities.into_iter().collect(),
        }
    }
}

/// The well-known community of RFC 8326, which FRR calls by its name.
pub(super) const GRACEFUL_SHUTDOWN: &str = "65535:0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_the_same_though_its_router_reckons_a_millisecond_less() {
        let since = |millis| Epoch::Since(Duration::from_millis(millis));
        assert!(since(28_305).is_same(since(28_304)));
        assert!(!since(28_305).is_same(since(30_305)));
        assert!(Epoch::Count(1).is_same(Epoch::Count(1)));
        assert!(!Epoch::Count(1).is_same(Epoch::Count(2)));
    }
}
