//! Speakers and routers on a network under a virtual clock, with connections that break, stall
//! and meet halfway.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use metallb_seeds::{Dice, for_each_seed};

use super::*;
use crate::rib::{Audience, Route, RouteAttributes};
use crate::session::{Input, Link, Output, RemoteAs, State, Way};
use crate::wire::Family;

mod network;
mod stories;

use network::Network;

fn settings(own: usize, peer: usize) -> Settings {
    let number = |at: usize| u32::try_from(at).expect("a few");
    Settings {
        peer: peer.to_string(),
        local_as: 64512 + number(own),
        remote_as: RemoteAs::Number(64512 + number(peer)),
        identifier: Ipv4Addr::from(0x0a00_0001 + number(own)),
        hold_time: 9,
        keepalive: 3,
        connect_retry: Duration::from_secs(4),
        families: Family::ALL.into(),
        v6_next_hops: true,
        graceful_restart: Some(120),
        hostname: format!("speaker-{own}"),
        connects: true,
        local_pref: 100,
    }
}

fn link() -> Link {
    Link {
        next_hop_v4: Some([192, 0, 2, 1].into()),
        next_hop_v6: None,
    }
}

fn routes(of: usize, from: u32, count: u32) -> Vec<Route> {
    let base = 0x0a00_0000 + (u32::try_from(of).expect("a few") << 16);
    let route = |n: u32| Route {
        prefix: IpNet::new((base + n).to_be_bytes().into(), 32).expect("a length"),
        audience: Audience::default(),
        attributes: Arc::new(RouteAttributes::default()),
    };
    (from..from + count).map(route).collect()
}
