//! Addresses instead of Services: several Services may share one, and it is announced as long as
//! one of them wants it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_kit::watch::ObjectKey;
use metallb_l2::Interfaces;

use crate::decide::Announcement;

/// What the protocol thread is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Answer for the address on these interfaces and on no others.
    Announce(IpAddr, Interfaces),
    /// The same, once nobody else on the segment seems to have it.
    Probe(IpAddr, Interfaces),
    /// Another station has it. If it is still probed for, it is asked for again later.
    Refuse(IpAddr),
    /// Answer for the address no longer.
    Withdraw(IpAddr),
    /// The same, but another node takes over: answer until it must have said so.
    Yield(IpAddr),
    /// Announce it again, since somebody else has done so.
    Again(IpAddr),
}

/// Who wants which address announced, and where.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// Nearly always one.
    by_ip: BTreeMap<IpAddr, Vec<(ObjectKey, Interfaces)>>,
    by_service: BTreeMap<ObjectKey, Box<[IpAddr]>>,
}

impl Addresses {
    /// The Service now wants this announced, or nothing any more. What follows from it is pushed
    /// to `commands`.
    pub(crate) fn want(
        &mut self,
        key: &ObjectKey,
        announcement: Option<&Announcement>,
        commands: &mut Vec<Command>,
    ) {
        let ips = announcement.map(|it| it.ips.as_slice()).unwrap_or_default();
        let before = match ips {
            [] => self.by_service.remove(key),
            _ => self.by_service.insert(key.clone(), ips.into()),
        };
        for ip in before.unwrap_or_default() {
            if !ips.contains(&ip) {
                self.change(ip, commands, |wants| wants.retain(|(it, _)| it != key));
            }
        }
        let Some(Announcement { interfaces, .. }) = announcement else {
            return;
        };
        for ip in ips {
            self.change(*ip, commands, |wants| {
                wants.retain(|(it, _)| it != key);
                wants.reserve_exact(1);
                wants.push((key.clone(), interfaces.clone()));
            });
        }
    }

    /// How many Services want something announced.
    pub(crate) fn services(&self) -> usize {
        self.by_service.len()
    }

    /// Whether somebody wants it announced.
    pub(crate) fn is_wanted(&self, ip: IpAddr) -> bool {
        self.by_ip.contains_key(&ip)
    }

    fn change(
        &mut self,
        ip: IpAddr,
        commands: &mut Vec<Command>,
        change: impl FnOnce(&mut Vec<(ObjectKey, Interfaces)>),
    ) {
        let wants = self.by_ip.entry(ip).or_default();
        let before = union(wants);
        change(wants);
        let after = union(wants);
        if after.is_none() {
            self.by_ip.remove(&ip);
        }
        match after {
            _ if before == after => {}
            Some(interfaces) => commands.push(Command::Announce(ip, interfaces)),
            None => commands.push(Command::Withdraw(ip)),
        }
    }
}

fn union(wants: &[(ObjectKey, Interfaces)]) -> Option<Interfaces> {
    let mut wants = wants.iter().map(|(_, interfaces)| interfaces);
    let first = wants.next()?.clone();
    Some(wants.fold(first, Interfaces::union))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(ips: &[&str], interfaces: &[&str]) -> Announcement {
        Announcement {
            pool: "pool".into(),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            interfaces: match interfaces {
                [] => Interfaces::All,
                names => Interfaces::Named(names.iter().map(|&name| name.into()).collect()),
            },
        }
    }

    #[test]
    fn an_address_is_withdrawn_when_the_last_service_lets_go() {
        let mut addresses = Addresses::default();
        let (one, two) = (ObjectKey::new("ns", "one"), ObjectKey::new("ns", "two"));
        let mut want = |key: &ObjectKey, wanted: Option<(&[&str], &[&str])>| {
            let wanted = wanted.map(|(ips, interfaces)| announcement(ips, interfaces));
            let mut commands = Vec::new();
            addresses.want(key, wanted.as_ref(), &mut commands);
            let texts = commands.iter().map(|command| match command {
                Command::Announce(ip, interfaces) => format!("announce {ip} on {interfaces}"),
                Command::Withdraw(ip) => format!("withdraw {ip}"),
                other => format!("{other:?}"),
            });
            texts.collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(
            want(&one, Some((&["192.0.2.1"], &["eth0"]))),
            ["announce 192.0.2.1 on eth0"]
        );
        assert_eq!(want(&one, Some((&["192.0.2.1"], &["eth0"]))), none);
        assert_eq!(
            want(&two, Some((&["192.0.2.1"], &["eth1"]))),
            ["announce 192.0.2.1 on eth0,eth1"]
        );
        assert_eq!(
            want(&two, Some((&["192.0.2.1"], &[]))),
            ["announce 192.0.2.1 on all"]
        );
        assert_eq!(want(&one, None), none);
        assert_eq!(
            want(&two, Some((&["192.0.2.2", "2001:db8::2"], &[]))),
            [
                "withdraw 192.0.2.1",
                "announce 192.0.2.2 on all",
                "announce 2001:db8::2 on all"
            ]
        );
        assert_eq!(
            want(&two, None),
            ["withdraw 192.0.2.2", "withdraw 2001:db8::2"]
        );
        assert_eq!(want(&two, None), none);
        assert!(addresses.by_ip.is_empty() && addresses.by_service.is_empty());
    }
}
