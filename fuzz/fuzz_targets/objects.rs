//! Any JSON may come as objects of any kind: they are read or rejected, each for itself, in
//! whatever order they come.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metallb_config::{InEffect, Objects, References, Report, parse, reparse};
use serde::de::DeserializeOwned;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Array(list)) = serde_json::from_slice(bytes) else {
        return;
    };
    let (read, turned) = (Lists::of(&list), Lists::of(list.iter().rev()));
    for references in [
        References::MayFollow,
        References::MustExist { secrets: None },
    ] {
        let objects = read.objects(references);
        let parsed = parse(&objects);
        // What is alike in name and age has no other order than that of the list.
        if read.are_different() {
            let turned = parse(&turned.objects(references));
            assert_eq!(parsed.config, turned.config);
            assert_eq!(parsed.rejected, turned.rejected);
        }
        let again = reparse(&objects, &parsed.config);
        assert_eq!(parsed.config, again.config);
        let is_new = |effect| effect != InEffect::LastForm;
        assert!(parsed.rejected.iter().all(|it| is_new(it.in_effect)));
        let _ = Report::of(&parsed.rejected);
    }
});

struct Lists {
    pools: Vec<metallb_crds::v1beta1::IPAddressPool>,
    l2_advertisements: Vec<metallb_crds::v1beta1::L2Advertisement>,
    bgp_advertisements: Vec<metallb_crds::v1beta1::BGPAdvertisement>,
    peers: Vec<metallb_crds::v1beta2::BGPPeer>,
    bfd_profiles: Vec<metallb_crds::v1beta1::BFDProfile>,
    communities: Vec<metallb_crds::v1beta1::Community>,
    names: Vec<(Value, Value)>,
}

impl Lists {
    fn of<'a>(list: impl IntoIterator<Item = &'a Value> + Clone) -> Self {
        let names = list.clone().into_iter();
        Self {
            pools: of_kind(list.clone(), "IPAddressPool"),
            l2_advertisements: of_kind(list.clone(), "L2Advertisement"),
            bgp_advertisements: of_kind(list.clone(), "BGPAdvertisement"),
            peers: of_kind(list.clone(), "BGPPeer"),
            bfd_profiles: of_kind(list.clone(), "BFDProfile"),
            communities: of_kind(list, "Community"),
            names: names
                .map(|it| (it["kind"].clone(), it["metadata"]["name"].clone()))
                .collect(),
        }
    }

    fn are_different(&self) -> bool {
        let mut all = self.names.iter().enumerate();
        all.all(|(at, name)| name.1.is_string() && !self.names[..at].contains(name))
    }

    fn objects<'a>(&'a self, references: References<'a>) -> Objects<'a> {
        Objects {
            pools: &self.pools,
            l2_advertisements: &self.l2_advertisements,
            bgp_advertisements: &self.bgp_advertisements,
            bgp_peers: &self.peers,
            bfd_profiles: &self.bfd_profiles,
            communities: &self.communities,
            references,
            ..Objects::default()
        }
    }
}

fn of_kind<'a, K: DeserializeOwned>(
    list: impl IntoIterator<Item = &'a Value>,
    kind: &str,
) -> Vec<K> {
    list.into_iter()
        .filter(|it| it["kind"] == kind)
        .filter_map(|it| serde_json::from_value(it.clone()).ok())
        .collect()
}
