//! What a Service asks for.

use std::fmt;
use std::net::IpAddr;

use metallb_config::{Family, Labels, ObjectKey};

use crate::ips::Ips;
use crate::port::Port;
use crate::refusal::Refusal;

/// What a Service asks for, and what decides which pools it may have addresses of.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The Service.
    pub service: &'a ObjectKey,
    /// When it was created, in seconds since 1970. Of two Services that hold one address the
    /// older keeps it.
    pub created: i64,
    /// Its labels.
    pub labels: &'a Labels,
    /// The labels of its namespace.
    pub namespace_labels: &'a Labels,
    /// The families it has addresses of.
    pub families: Families,
    /// The pool that it asks for.
    pub pool: Option<&'a str>,
    /// The addresses that it asks for.
    pub ips: Option<Ips>,
    /// The key by which it shares addresses with others of the same one (`allow-shared-ip`);
    /// empty when it shares with nobody.
    pub sharing_key: &'a str,
    /// What its endpoints are, as far as that decides with whom it can share: empty unless
    /// `externalTrafficPolicy` is `Local`, else its `spec.selector` as text.
    pub backend_key: &'a str,
    /// Its ports. Of those who share an address each has its own.
    pub ports: &'a [Port],
}

/// The families of addresses that a Service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Families {
    /// This one alone.
    One(Family),
    /// Both, out of one pool, or none at all.
    Both,
    /// Both, out of one pool, but rather one than none.
    PreferBoth {
        /// The one to have when both cannot be had.
        first: Family,
    },
}

impl<'a> Request<'a> {
    /// A request for any addresses of these families, by a Service without labels that shares with
    /// nobody.
    pub fn new(service: &'a ObjectKey, created: i64, families: Families) -> Self {
        static NONE: Labels = Labels::new();
        Self {
            service,
            created,
            labels: &NONE,
            namespace_labels: &NONE,
            families,
            pool: None,
            ips: None,
            sharing_key: "",
            backend_key: "",
            ports: &[],
        }
    }
}

impl Request<'_> {
    /// Whether one that holds these addresses of this pool asks for nothing else.
    pub fn accepts(&self, pool: &str, ips: &Ips) -> Result<(), Refusal> {
        self.accepts_families(ips)?;
        if let Some(requested) = self.pool.filter(|requested| *requested != pool) {
            let (held, requested) = (pool.to_owned(), requested.to_owned());
            return Err(Refusal::HeldPool {
                ips: *ips,
                held,
                requested,
            });
        }
        match self.ips {
            Some(requested) if !has_requested(self.families, &requested, ips) => {
                let held = *ips;
                Err(Refusal::HeldIps { held, requested })
            }
            _ => Ok(()),
        }
    }

    /// Whether it has these families.
    pub(crate) fn accepts_families(&self, ips: &Ips) -> Result<(), Refusal> {
        let families = self.families;
        if families.accept(ips) {
            return Ok(());
        }
        let ips = *ips;
        Err(Refusal::HeldFamily { ips, families })
    }
}

/// Whether a Service that holds these addresses has what it asks for by name. One that asked for an
/// address of one family, and became `PreferDualStack` later, was given another beside it.
fn has_requested(families: Families, requested: &Ips, held: &Ips) -> bool {
    let one_beside = matches!(families, Families::PreferBoth { .. })
        && requested.len() == 1
        && held.contains(&requested[0]);
    one_beside || requested.same_set(held)
}

impl Families {
    /// The families that a Service has by its cluster addresses, and whether its policy is
    /// `PreferDualStack`. Nothing when it has no address, or two of one family.
    pub fn of_cluster_ips(cluster_ips: &[IpAddr], prefer_dual_stack: bool) -> Option<Self> {
        match *cluster_ips {
            [ip] => Some(Self::One(Family::of(ip))),
            [a, b] if Family::of(a) == Family::of(b) => None,
            [a, _] if prefer_dual_stack => Some(Self::PreferBoth {
                first: Family::of(a),
            }),
            [_, _] => Some(Self::Both),
            _ => None,
        }
    }

    /// Whether a Service of these families can have these addresses.
    pub fn accept(self, ips: &Ips) -> bool {
        match self {
            Self::One(family) => ips.len() == 1 && ips.of_family(family).is_some(),
            Self::Both => ips.len() == 2,
            Self::PreferBoth { .. } => true,
        }
    }

    /// What is tried one after the other until it can be had.
    pub(crate) fn in_turn(self) -> impl Iterator<Item = Self> {
        let turns = match self {
            Self::One(_) | Self::Both => [Some(self), None, None],
            Self::PreferBoth { first } => [
                Some(Self::Both),
                Some(Self::One(first)),
                Some(Self::One(first.other())),
            ],
        };
        turns.into_iter().flatten()
    }
}

impl fmt::Display for Families {
    /// Upstream's words in events: `ipv4`, `ipv6`, `dual`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(family) => family.fmt(f),
            Self::Both | Self::PreferBoth { .. } => f.write_str("dual"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_namespace_and_a_name() {
        let key = ObjectKey::new("shop", "web");
        assert_eq!(
            (key.namespace(), key.name(), key.to_string().as_str()),
            ("shop", "web", "shop/web")
        );
    }

    #[test]
    fn families_are_those_of_the_cluster_addresses() {
        let (v4, v6) = (Family::V4, Family::V6);
        for (ips, prefer, families) in [
            (vec!["10.0.0.1"], false, Some(Families::One(v4))),
            // PreferDualStack in a cluster of one family.
            (vec!["fd00::1"], true, Some(Families::One(v6))),
            (vec!["10.0.0.1", "fd00::1"], false, Some(Families::Both)),
            (
                vec!["10.0.0.1", "fd00::1"],
                true,
                Some(Families::PreferBoth { first: v4 }),
            ),
            (
                vec!["fd00::1", "10.0.0.1"],
                true,
                Some(Families::PreferBoth { first: v6 }),
            ),
            (vec![], false, None),
            (vec!["10.0.0.1", "10.0.0.2"], true, None),
            (vec!["10.0.0.1", "fd00::1", "fd00::2"], true, None),
        ] {
            let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
            assert_eq!(
                Families::of_cluster_ips(&ips, prefer),
                families,
                "{ips:?} {prefer}"
            );
        }
    }
}
