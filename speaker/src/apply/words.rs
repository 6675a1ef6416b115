//! What users read of decisions on layer 2: the words of Events, and the log.

use std::net::IpAddr;

use metallb_kit::watch::ObjectKey;
use metallb_l2::Rival;

use crate::decide::Decision;
use crate::reason::Reason;

/// A node announces.
pub(super) fn assigned(node: &str) -> String {
    format!("announcing from node \"{node}\" with protocol \"layer2\"")
}

/// It is to announce, and has none of the interfaces.
pub(super) fn failed(ip: IpAddr, node: &str) -> String {
    format!(
        "the interfaces specified by LB IP \"{ip}\" doesn't exist in assigned node \"{node}\" with \
         protocol \"layer2\""
    )
}

/// A station that is no node uses an address, which is asked for before it is announced, or not.
pub(super) fn conflict(Rival { ip, mac }: Rival, is_probed: bool) -> String {
    let (used, then) = if is_probed {
        (
            "used",
            "; until then it is not announced, and asked for every 10 s",
        )
    } else {
        ("also used", "")
    };
    format!(
        "the address \"{ip}\" is {used} by {mac}, which is no node of this cluster: find that \
         station and give it another address{then}"
    )
}

/// The line of log about a decision.
pub(super) fn log(key: &ObjectKey, before: Option<&Decision>, now: &Decision) {
    let service = || key.to_string();
    match (before.and_then(Decision::announced), now) {
        (_, Decision::Announce(it)) => tracing::info!(
            event = "serviceAnnounced", service = service(), ip = ?it.ips, pool = it.pool,
            protocol = "layer2", interfaces = it.interfaces.to_string(),
            "service has IP, announcing"
        ),
        (_, Decision::NoInterface(it)) => tracing::warn!(
            op = "setBalancer", event = "announceFailed", service = service(), ip = ?it.ips,
            protocol = "layer2", interfaces = it.interfaces.to_string(),
            "this node is to announce the service but has none of the interfaces"
        ),
        (Some(old), Decision::Withhold(reason)) => tracing::info!(
            event = "serviceWithdrawn", service = service(), ip = ?old.ips, protocol = "layer2",
            reason = reason.as_str(), "withdrawing service announcement"
        ),
        (None, Decision::Withhold(reason @ (Reason::InvalidIp | Reason::IpNotAllowed))) => {
            tracing::error!(
                op = "setBalancer",
                service = service(),
                reason = reason.as_str(),
                "the service's address is not one that the configuration allows"
            );
        }
        (None, Decision::Withhold(reason @ Reason::AddressInUse)) => tracing::warn!(
            op = "setBalancer",
            service = service(),
            reason = reason.as_str(),
            "an older service has the service's address and does not share it"
        ),
        (None, Decision::Withhold(reason)) => tracing::debug!(
            event = "serviceNotAnnounced",
            service = service(),
            protocol = "layer2",
            reason = reason.as_str(),
            "service is not announced from here"
        ),
    }
}
