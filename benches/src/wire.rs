//! Frames and links of those who ask.

use std::net::Ipv4Addr;

use anyhow::Result;
use metallb_l2::MacAddr;
use metallb_netio::{Interface, LinkWatch};

/// Asks everybody who has `target`, as the station `mac` with the address `ip`.
pub fn arp_request(mac: MacAddr, ip: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend(mac.octets());
    arp.extend(ip.octets());
    arp.extend([0; 6]);
    arp.extend(target.octets());
    ethernet(mac, BROADCAST, ARP, &arp)
}

/// A frame with this payload.
pub fn ethernet(from: MacAddr, to: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [
        &to.octets()[..],
        &from.octets(),
        &ethertype.to_be_bytes(),
        payload,
    ]
    .concat()
}

/// A link in the network namespace of this thread, once frames can get through it.
///
/// # Errors
/// Links cannot be watched here.
pub fn link(name: &str) -> Result<Interface> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut links = LinkWatch::open()?;
        loop {
            let all = links.changed().await?;
            if let Some(link) = all.values().find(|link| link.name == name && link.running) {
                return Ok(link.clone());
            }
        }
    })
}

/// All stations of a segment.
pub const BROADCAST: MacAddr = MacAddr(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
/// ARP among the kinds of frames.
pub const ARP: u16 = 0x0806;
