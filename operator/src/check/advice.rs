//! What is sound and does nothing: users lose hours to it.

use metallb_config::Config;

/// About which object, by kind and name, and what.
pub(super) fn on(config: &Config) -> Vec<(&'static str, String, String)> {
    let mut advice = Vec::new();
    for pool in config.pools().values() {
        let by_l2 = config.l2_advertisements_of(pool).next();
        let by_bgp = config.bgp_advertisements_of(pool).next();
        if by_l2.is_none() && by_bgp.is_none() {
            let text = "no advertisement selects this pool: Services get addresses that nobody \
                        announces";
            advice.push(("IPAddressPool", pool.name.clone(), text.to_owned()));
        }
    }
    let l2 = config.l2_advertisements().values();
    let l2 = l2.map(|it| ("L2Advertisement", &it.name, &it.scope));
    let bgp = config.bgp_advertisements().values();
    let bgp = bgp.map(|it| ("BGPAdvertisement", &it.name, &it.scope));
    for (kind, name, scope) in l2.chain(bgp) {
        if !config.pools().values().any(|pool| scope.selects_pool(pool)) {
            let text = "selects no pool of these files: it announces nothing".to_owned();
            advice.push((kind, name.clone(), text));
        }
    }
    let advertisements = || config.bgp_advertisements().values();
    for peer in config.peers().values() {
        if !advertisements().any(|it| it.selects_peer(&peer.name)) {
            let text = "no BGPAdvertisement is for this peer: it is told nothing".to_owned();
            advice.push(("BGPPeer", peer.name.clone(), text));
        }
    }
    for advertisement in advertisements() {
        if config.peers().is_empty() {
            let text = "there is no BGPPeer in these files to announce to".to_owned();
            advice.push(("BGPAdvertisement", advertisement.name.clone(), text));
        }
        for peer in &advertisement.peers {
            if !config.peers().contains_key(peer) {
                let text = format!("names a peer that is not in these files: {peer}");
                advice.push(("BGPAdvertisement", advertisement.name.clone(), text));
            }
        }
    }
    advice
}
