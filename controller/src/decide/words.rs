//! What is said: in conditions, Events and the log. Upstream's words where it has any.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use metallb_ipam::{Assignment, Ips, Refusal};

use super::{Line, Note};
use crate::condition::AddressAssigned;
use crate::service::{Held, Service};
use crate::wish::Mistake;

/// The condition of a Service that has addresses.
pub(super) fn assigned(assignment: &Assignment, lack: Option<&Note>) -> AddressAssigned {
    let Assignment { pool, ips } = assignment;
    let mut message = format!("{ips} from pool {pool:?}");
    if let Some(lack) = lack {
        message.push_str("; ");
        message.push_str(&lack.message);
    }
    AddressAssigned::yes(message)
}

/// The condition of a Service that was refused, with the reasons of the pools.
pub(super) fn refused(why: &str, explanation: String) -> AddressAssigned {
    let message = if explanation.starts_with(why) {
        explanation
    } else if explanation.is_empty() {
        why.to_owned()
    } else {
        format!("{why}: {explanation}")
    };
    AddressAssigned::no("AllocationFailed", message)
}

/// What a condition says while it is not sure that the Service was not given something else.
pub(super) fn unsure(mut condition: AddressAssigned) -> AddressAssigned {
    condition
        .message
        .push_str("; making sure that nothing else was written");
    condition
}

/// The condition of a Service that makes no sense.
pub(super) fn mistaken(mistake: &Mistake) -> AddressAssigned {
    AddressAssigned::no(mistake.reason(), mistake.to_string())
}

/// What to say of addresses that are new.
pub(super) fn allocated(service: &Service, assignment: &Assignment) -> (Note, Line) {
    let Assignment { pool, ips } = assignment;
    let added = match &service.held {
        Held::Ips(held) if held.iter().all(|ip| ips.contains(ip)) => {
            ips.iter().find(|ip| !held.contains(ip))
        }
        _ => None,
    };
    let (message, shown, msg) = match added {
        Some(ip) => (
            format!("Assigned additional IP \"{ip}\""),
            Ips::from(*ip),
            "Additional IP address assigned by controller",
        ),
        None => (
            format!("Assigned IP {ips}"),
            *ips,
            "IP address assigned by controller",
        ),
    };
    let mut line = Line::new(&service.key, "ipAllocated", msg);
    line.ips = Some(shown);
    line.pool = Some(pool.clone());
    (Note::normal("IPAllocated", message), line)
}

/// What to say when addresses are taken away. Nothing when the user asked for others.
pub(super) fn cleared(service: &Service, refusal: &Refusal) -> Option<Note> {
    if matches!(refusal, Refusal::HeldPool { .. } | Refusal::HeldIps { .. }) {
        return None;
    }
    let key = service.key.to_string();
    let message = format!(
        "current IP for {key:?} not allowed by config, will attempt for new IP assignment: {refusal}"
    );
    Some(Note::normal("ClearAssignment", message))
}

pub(super) fn taken_away(service: &Service, refusal: &Refusal) -> Line {
    let (reason, msg) = match refusal {
        Refusal::HeldPool { .. } => (
            "differentPoolRequested",
            "user requested a different pool than the one currently assigned",
        ),
        Refusal::HeldIps { .. } => (
            "differentIPRequested",
            "user requested a different IP than the one currently assigned",
        ),
        _ => (
            "notAllowedByConfig",
            "current IP not allowed by config, clearing",
        ),
    };
    let mut line = Line::new(&service.key, "clearAssignment", msg);
    line.reason = Some(reason);
    if let Held::Ips(ips) = &service.held {
        line.ips = Some(*ips);
    }
    line
}

pub(super) fn digest(note: &Note) -> u64 {
    let mut hasher = DefaultHasher::new();
    (note.reason, &note.message).hash(&mut hasher);
    hasher.finish()
}

/// What to say when there is no address of a second family.
pub(super) fn no_second_family(refusal: &Refusal) -> Note {
    let message = format!("cannot assign additional IP in PreferDualStack: {refusal}");
    Note::normal("AdditionalAssignFailed", message)
}
