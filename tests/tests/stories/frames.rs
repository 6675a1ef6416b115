//! What a broken or hostile host on the segment may send.

use std::{net::IpAddr, path::Path};

use anyhow::{Context as _, Result, ensure};
use metallb_netio::{NetworkNamespace, plain_packet_socket};
use metallb_tests::{
    Place,
    product::{self, NAMESPACE},
};

use crate::world::Installed;

/// Questions about our addresses, cut short or with junk behind at every length up to 128 bytes:
/// nothing restarts, and good questions are answered as before.
pub(crate) fn malformed(world: &Installed) -> Result<()> {
    let restarts = restarts(world)?;
    let link = world
        .cluster
        .output(Place::Client, &["ip", "-j", "link", "show", "eth0"])?;
    let link: serde_json::Value = serde_json::from_str(&link)?;
    let ifindex = u32::try_from(link[0]["ifindex"].as_u64().context("no ifindex")?)?;

    let mut frames = Vec::new();
    for address in world.addresses()? {
        let question = question(address);
        for len in ETHERNET..=LONGEST {
            frames.push(cut_or_padded(&question, len, 0x00));
            frames.push(cut_or_padded(&question, len, 0xff));
            // Every byte behind the Ethernet header is wrong.
            let mut inverted = cut_or_padded(&question, len, 0x00);
            inverted[ETHERNET..]
                .iter_mut()
                .for_each(|byte| *byte = !*byte);
            frames.push(inverted);
        }
    }
    let client = format!("/run/netns/{}", world.cluster.netns(Place::Client));
    NetworkNamespace::open(Path::new(&client))?.run(|| -> Result<()> {
        let socket = plain_packet_socket(ifindex, ANY)?;
        for frame in &frames {
            socket.send(frame)?;
        }
        Ok(())
    })??;
    println!("  {} frames sent", frames.len());

    world.page_answers()?;
    for address in world.addresses()? {
        world.owner(address)?;
    }
    ensure!(
        self::restarts(world)? == restarts,
        "a speaker was restarted"
    );
    Ok(())
}

/// A broadcast ARP request or a neighbour solicitation for `address`; the latter with a checksum
/// of zero, which is as good as wrong.
fn question(address: IpAddr) -> Vec<u8> {
    let source = [2, 0, 0, 0, 0, 0x0a];
    match address {
        IpAddr::V4(target) => [
            &[0xff; 6][..],
            &source,
            &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1],
            &source,
            &Place::Client.address().v4.octets(),
            &[0; 6],
            &target.octets(),
        ]
        .concat(),
        IpAddr::V6(target) => [
            &[0x33, 0x33, 0, 0, 0, 1][..],
            &source,
            &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255],
            &Place::Client.address().v6.octets(),
            &[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[135, 0, 0, 0, 0, 0, 0, 0],
            &target.octets(),
        ]
        .concat(),
    }
}

fn cut_or_padded(frame: &[u8], len: usize, filler: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.resize(len, filler);
    frame
}

/// How often the speakers' containers were restarted.
fn restarts(world: &Installed) -> Result<String> {
    let counts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}";
    let select = [
        "-n",
        NAMESPACE,
        "get",
        "pods",
        "-l",
        "component=speaker",
        "-o",
        counts,
    ];
    let counts = world.kubectl.output(&select)?;
    ensure!(
        product::pods(&world.kubectl, "speaker")?.len() == 3,
        "a speaker is missing"
    );
    Ok(counts)
}

/// The kernel sends no frame that is shorter than its header.
const ETHERNET: usize = 14;
const LONGEST: usize = 128;
/// The socket only sends.
const ANY: u16 = 0;
