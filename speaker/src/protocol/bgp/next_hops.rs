//! Where our routes lead.

use std::net::IpAddr;

use metallb_bgp::session::Link;
use metallb_bgp::wire::NextHop;

/// Where our routes lead on a connection from this address of ours: there, and for the other
/// family to an address of the same interface. With a link-local address goes a global one, or,
/// where there is none, it itself, as FRR has it: the form that is taken everywhere, while some
/// know no next hop that is a link-local address alone.
pub(super) fn link(local: IpAddr, others: &[IpAddr]) -> Link {
    let mut all = std::iter::once(local).chain(others.iter().copied());
    let v4 = all.clone().find_map(|ip| match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    let global = all.find_map(|ip| match ip {
        IpAddr::V6(ip) if !ip.is_unicast_link_local() => Some(ip),
        _ => None,
    });
    let v6 = match local {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            Some(NextHop::V6WithLinkLocal(global.unwrap_or(ip), ip))
        }
        _ => global.map(NextHop::V6),
    };
    Link {
        next_hop_v4: v4,
        next_hop_v6: v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_lead_to_an_address_of_the_connections_interface() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let v6 = |text: &str| text.parse().expect("an address");
        let (on_link, global) = ("fe80::1", "2001:db8::1");
        let all = ["192.0.2.1", on_link, global].map(ip);
        let bare = link(ip(on_link), &all[1..2]);
        let itself = NextHop::V6WithLinkLocal(v6(on_link), v6(on_link));
        assert_eq!((bare.next_hop_v4, bare.next_hop_v6), (None, Some(itself)));
        let both = NextHop::V6WithLinkLocal(v6(global), v6(on_link));
        assert_eq!(link(ip(on_link), &all).next_hop_v6, Some(both));
        for local in ["192.0.2.1", global] {
            let link = link(ip(local), &all);
            assert_eq!(link.next_hop_v4, Some([192, 0, 2, 1].into()));
            assert_eq!(link.next_hop_v6, Some(NextHop::V6(v6(global))));
        }
    }
}
