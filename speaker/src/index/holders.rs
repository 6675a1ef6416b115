//! Who shows which address, and so who has to go together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use metallb_kit::watch::ObjectKey;

/// The Services that show each address.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// Nearly always one.
    by_ip: BTreeMap<IpAddr, Vec<ObjectKey>>,
    by_service: BTreeMap<ObjectKey, Box<[IpAddr]>>,
}

impl Holders {
    /// The Service shows these addresses now.
    pub(crate) fn show(&mut self, key: &ObjectKey, ips: &[IpAddr]) {
        let before = match ips {
            [] => self.by_service.remove(key),
            _ => self.by_service.insert(key.clone(), ips.into()),
        };
        for ip in before.unwrap_or_default() {
            if let Some(holders) = self.by_ip.get_mut(&ip) {
                holders.retain(|it| it != key);
                if holders.is_empty() {
                    self.by_ip.remove(&ip);
                }
            }
        }
        for ip in ips {
            let holders = self.by_ip.entry(*ip).or_default();
            if let Err(at) = holders.binary_search(key) {
                holders.reserve_exact(1);
                holders.insert(at, key.clone());
            }
        }
    }

    /// Those that show an address.
    pub(crate) fn of(&self, ip: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.by_ip.get(&ip).into_iter().flatten()
    }

    /// The Service and all that share an address with it, or with one that does, and so on.
    pub(crate) fn group(&self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        let mut group = BTreeSet::from([key.clone()]);
        let mut new = vec![key.clone()];
        while let Some(key) = new.pop() {
            let ips = self.by_service.get(&key).into_iter().flatten();
            for other in ips.filter_map(|ip| self.by_ip.get(ip)).flatten() {
                if group.insert(other.clone()) {
                    new.push(other.clone());
                }
            }
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_share_go_together_over_both_families() {
        let key = |name: &str| ObjectKey::new("ns", name);
        let ips = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>();
        let mut holders = Holders::default();
        let names = |holders: &Holders, name: &str| {
            let group = holders.group(&key(name));
            group
                .iter()
                .map(|it| it.name.to_string())
                .collect::<Vec<_>>()
        };
        holders.show(&key("dual"), &ips(&["192.0.2.1", "2001:db8::1"]));
        holders.show(&key("four"), &ips(&["192.0.2.1"]));
        holders.show(&key("six"), &ips(&["2001:db8::1"]));
        holders.show(&key("other"), &ips(&["192.0.2.2"]));
        assert_eq!(names(&holders, "four"), ["dual", "four", "six"]);
        assert_eq!(names(&holders, "other"), ["other"]);
        assert_eq!(names(&holders, "unknown"), ["unknown"]);
        holders.show(&key("dual"), &ips(&["192.0.2.2"]));
        assert_eq!(names(&holders, "four"), ["four"]);
        assert_eq!(names(&holders, "other"), ["dual", "other"]);
        for name in ["dual", "four", "six", "other"] {
            holders.show(&key(name), &[]);
        }
        assert!(holders.by_ip.is_empty() && holders.by_service.is_empty());
    }
}
