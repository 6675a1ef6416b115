//! Why a Service does not get or keep an address.

use std::net::IpAddr;

use crate::ips::{Ips, IpsError};
use crate::port::Port;
use crate::request::Families;
use crate::sharing::Mismatch;
use metallb_config::ObjectKey;

/// Why a Service does not get an address, or cannot keep the one it has.
///
/// The words follow `Failed to allocate IP for "namespace/name": ` in an event, and are upstream's
/// where it has any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No pool that the Service may have addresses of without asking has one left.
    #[error("no available IPs")]
    Exhausted,
    /// The pool that it asks for has no address left.
    #[error("no available IPs in pool {0:?}")]
    PoolExhausted(String),
    /// The pool that it asks for has addresses left, but not of the families it needs.
    #[error("no available IPs in pool {pool:?} for {families} IPFamily")]
    FamilyExhausted {
        /// The pool.
        pool: String,
        /// What is needed.
        families: Families,
    },
    /// There is no pool of the name that it asks for.
    #[error("unknown pool {0:?}")]
    UnknownPool(String),
    /// No pool gives out all of the addresses.
    #[error("{0} is not allowed in config")]
    NotInPools(Ips),
    /// The pool is reserved for other Services.
    #[error("pool {0} not compatible for ip assignment")]
    NotForService(String),
    /// It asks for addresses and for a pool that does not have them.
    #[error(
        "requested loadBalancer IP(s) {ips} is not compatible with requested address pool {pool}"
    )]
    NotInRequestedPool {
        /// The addresses it asks for.
        ips: Ips,
        /// The pool it asks for.
        pool: String,
    },
    /// It asks for addresses of other families than it has itself.
    #[error("requested loadBalancer IP(s) {0} does not match the ipFamily of the service")]
    RequestedFamily(Ips),
    /// It holds addresses of other families than it has now.
    #[error("IP for wrong family assigned: {ips} to a service of IPFamily {families}")]
    HeldFamily {
        /// The addresses it holds.
        ips: Ips,
        /// The families it has.
        families: Families,
    },
    /// It holds addresses of another pool than it asks for.
    #[error("{ips} is in pool {held:?}, and the service requests address pool {requested:?}")]
    HeldPool {
        /// The addresses it holds.
        ips: Ips,
        /// The pool they are in.
        held: String,
        /// The pool it asks for.
        requested: String,
    },
    /// It holds other addresses than it asks for.
    #[error("{held} is not what the service requests: {requested}")]
    HeldIps {
        /// The addresses it holds.
        held: Ips,
        /// The addresses it asks for.
        requested: Ips,
    },
    /// Others have the address, and cannot share it with the Service.
    #[error(transparent)]
    InUse(Box<InUse>),
    /// Another Service, with which it could share the address, has one of its ports.
    #[error("port {port} is already in use on \"{ip}\" by {by}")]
    PortInUse {
        /// The port.
        port: Port,
        /// The address.
        ip: IpAddr,
        /// Who has it.
        by: ObjectKey,
    },
    /// Another Service is to give the address up, and its status still shows it.
    #[error("address \"{ip}\" is being given up by {by}")]
    Lingering {
        /// The address.
        ip: IpAddr,
        /// Whose status shows it.
        by: ObjectKey,
    },
    /// The pool has no address left, and the Service cannot share the one that others share under
    /// its key. Only in an [explanation](crate::Explanation).
    #[error("no available IPs in pool {pool:?} and none to share: {why}")]
    NoneToShare {
        /// The pool.
        pool: String,
        /// Why it cannot be shared.
        why: Box<Self>,
    },
    /// The pool is not given out without being asked for. Only in an
    /// [explanation](crate::Explanation).
    #[error("pool {0} is for those who ask for it: its autoAssign is false")]
    NotAutomatic(String),
    /// The pool has the address and does not give it out. Only in an
    /// [explanation](crate::Explanation).
    #[error("pool {pool} does not give out \"{ip}\": it has avoidBuggyIPs")]
    LeftOut {
        /// The pool.
        pool: String,
        /// The address.
        ip: IpAddr,
    },
    /// The pool has one of two addresses, which must be from one pool. Only in an
    /// [explanation](crate::Explanation).
    #[error("pool {pool} has \"{ip}\" but not the other address: both must be in one pool")]
    NotTogether {
        /// The pool.
        pool: String,
        /// The address that it has.
        ip: IpAddr,
    },
    /// A list that cannot be the addresses of one Service.
    #[error(transparent)]
    Ips(#[from] IpsError),
}

/// An address that others have, and why it cannot be shared with them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "can't change sharing key for \"{service}\", address also in use by {}: {why} on \"{ip}\"",
    names(.by, *.more)
)]
pub struct InUse {
    /// The Service that does not get it.
    pub service: ObjectKey,
    /// The address.
    pub ip: IpAddr,
    /// Who has it, the first few by their keys.
    pub by: Vec<ObjectKey>,
    /// How many others have it.
    pub more: usize,
    /// Why they cannot share it.
    pub why: Mismatch,
}

/// `a,b and 3 more`.
fn names(keys: &[ObjectKey], more: usize) -> String {
    let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
    let names = names.join(",");
    match more {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}
