use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use pnet::util::MacAddr;

use crate::{DropReason, arp, ndp};

/// Answers ARP requests and Neighbor Solicitations on one interface.
///
/// It answers with the interface's own MAC, for the addresses that [`Responder::announce`] was told
/// and no others. Loses nothing when dropped: a new interface, MAC or link-local address is a new
/// responder.
#[derive(Clone, Debug)]
pub struct Responder {
    mac: MacAddr,
    link_local: Option<Ipv6Addr>,
    announced: HashSet<IpAddr>,
}

/// A frame to send, and whom it speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The announced address; the label of upstream's counters.
    pub ip: IpAddr,
    /// A whole Ethernet frame, to go out on the interface the request came in.
    pub frame: Vec<u8>,
}

impl Responder {
    /// A responder that answers for nothing yet. Without `link_local` it is silent on IPv6.
    pub fn new(mac: MacAddr, link_local: Option<Ipv6Addr>) -> Self {
        Self {
            mac,
            link_local,
            announced: HashSet::new(),
        }
    }

    /// Answer for `ip` from now on. False if it did already.
    pub fn announce(&mut self, ip: IpAddr) -> bool {
        self.announced.insert(ip.to_canonical())
    }

    /// No longer answer for `ip`. False if it did not.
    pub fn withdraw(&mut self, ip: IpAddr) -> bool {
        self.announced.remove(&ip.to_canonical())
    }

    /// Whether this interface answers for `ip`.
    pub fn announces(&self, ip: IpAddr) -> bool {
        self.announced.contains(&ip.to_canonical())
    }

    /// The addresses that this interface answers for, in no order.
    pub fn announced(&self) -> impl Iterator<Item = IpAddr> {
        self.announced.iter().copied()
    }

    /// What to send back for a received frame.
    ///
    /// An ARP request is answered when it was sent to everybody or to us alone, a solicitation when
    /// it was sent to a group or to us alone.
    ///
    /// # Errors
    /// The reason for silence. Everything but a request for an announced address is one.
    pub fn answer(&self, frame: &[u8]) -> Result<Answer, DropReason> {
        match arp::decode(frame) {
            Err(DropReason::NotNeighborDiscovery) => self.answer_solicitation(frame),
            Err(reason) => Err(reason),
            Ok(request) => self.answer_request(&request),
        }
    }

    /// The frames that tell the whole segment that `ip` is here now: two forms of gratuitous ARP, or
    /// one unsolicited Neighbor Advertisement. None if this interface does not announce it.
    pub fn announcements(&self, ip: IpAddr) -> Vec<Vec<u8>> {
        let ip = ip.to_canonical();
        match (ip, self.link_local) {
            _ if !self.announced.contains(&ip) => Vec::new(),
            (IpAddr::V4(ip), _) => arp::gratuitous(ip, self.mac).into(),
            (IpAddr::V6(ip), Some(own)) => vec![ndp::unsolicited(ip, self.mac, own)],
            (IpAddr::V6(_), None) => Vec::new(),
        }
    }

    fn answer_request(&self, request: &arp::Request) -> Result<Answer, DropReason> {
        if !request.destination.is_broadcast() && request.destination != self.mac {
            return Err(DropReason::NotForUs);
        }
        let ip = IpAddr::V4(request.target);
        if !self.announced.contains(&ip) {
            return Err(DropReason::NotAnnounced);
        }
        Ok(Answer {
            ip,
            frame: arp::reply(request, self.mac),
        })
    }

    fn answer_solicitation(&self, frame: &[u8]) -> Result<Answer, DropReason> {
        let asked = ndp::decode(frame)?;
        if asked.destination.is_unicast() && asked.destination != self.mac {
            return Err(DropReason::NotForUs);
        }
        let ip = IpAddr::V6(asked.target);
        if !self.announced.contains(&ip) {
            return Err(DropReason::NotAnnounced);
        }
        let own = self.link_local.ok_or(DropReason::NoLinkLocal)?;
        Ok(Answer {
            ip,
            frame: ndp::advertisement(&asked, self.mac, own),
        })
    }
}
