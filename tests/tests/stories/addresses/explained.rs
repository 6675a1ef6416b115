//! Whoever gets no address is told why, where people look.

use anyhow::{Result, ensure};
use metallb_tests::product::{self, NAMESPACE};
use serde_json::{Map, Value, json};

use super::crowd::service;
use crate::world::Installed;

/// What is asked for in vain: annotations, fields of the spec, and words of the answer.
struct Refused {
    name: &'static str,
    annotations: &'static [(&'static str, &'static str)],
    spec: fn() -> Value,
    words: &'static str,
}

const REFUSED: &[Refused] = &[
    Refused {
        name: "asks-unknown-pool",
        annotations: &[("metallb.io/address-pool", "nobodys")],
        spec: nothing_else,
        words: "unknown pool \"nobodys\"",
    },
    Refused {
        name: "asks-full-pool",
        annotations: &[("metallb.io/address-pool", "small")],
        spec: nothing_else,
        words: "no available IPs in pool \"small\"",
    },
    Refused {
        name: "asks-other-family",
        annotations: &[("metallb.io/address-pool", "spare")],
        spec: || json!({ "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack" }),
        words: "no available IPs in pool \"spare\" for ipv6 IPFamily",
    },
    Refused {
        name: "asks-foreign-address",
        annotations: &[("metallb.io/loadBalancerIPs", "203.0.113.7")],
        spec: nothing_else,
        words: "is not allowed in config",
    },
    Refused {
        name: "asks-old-and-new-way",
        annotations: &[("metallb.io/loadBalancerIPs", "10.13.0.1")],
        spec: || json!({ "loadBalancerIP": "10.13.0.1" }),
        words: "service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP",
    },
    Refused {
        name: "asks-address-of-other-pool",
        annotations: &[
            ("metallb.io/loadBalancerIPs", "10.13.2.1"),
            ("metallb.io/address-pool", "demo"),
        ],
        spec: nothing_else,
        words: "is not compatible with requested address pool demo",
    },
    Refused {
        name: "asks-in-words",
        annotations: &[("metallb.io/loadBalancerIPs", "the first, please")],
        spec: nothing_else,
        words: "the first",
    },
    Refused {
        name: "asks-in-wide-digits",
        annotations: &[("metallb.io/loadBalancerIPs", "１０.13.0.1")],
        spec: nothing_else,
        words: "１０.13.0.1",
    },
    Refused {
        name: "asks-taken-address",
        annotations: &[("metallb.io/loadBalancerIPs", "10.13.0.1")],
        spec: nothing_else,
        words: "address also in use by default/small-000",
    },
    Refused {
        name: "asks-reserved-pool",
        annotations: &[("metallb.io/address-pool", "reserved")],
        spec: nothing_else,
        words: "pool reserved not compatible for ip assignment",
    },
];

/// Each refusal is an Event with upstream's words, and a condition with the reasons of the pools;
/// a Service beside them is served all the while.
pub(crate) fn refusals(world: &Installed) -> Result<()> {
    world.apply_pool("small", &["10.13.0.1/32"])?;
    world.apply_pool("spare", &["10.13.2.0/30"])?;
    world.apply_all(&[json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": { "name": "reserved", "namespace": NAMESPACE },
        "spec": {
            "addresses": ["10.13.1.0/24"],
            "serviceAllocation": { "namespaces": ["kube-system"] },
        },
    })])?;
    world.crowd("small", 1)?;
    product::assigned(&world.kubectl, "small-000", 1)?;

    let asking: Vec<Value> = REFUSED.iter().map(Refused::service).collect();
    world.apply_all(&asking)?;
    for refused in REFUSED {
        world.refused(refused.name, refused.words)?;
    }
    world.apply_service("beside", &[])?;
    product::assigned(&world.kubectl, "beside", 1)?;
    world.delete("default", "service", "beside")?;

    for refused in REFUSED {
        world.delete("default", "service", refused.name)?;
    }
    for pool in ["reserved", "spare"] {
        world.delete(NAMESPACE, "ipaddresspool", pool)?;
    }
    world.crowd_leaves("small")
}

/// TCP and UDP of one name server have one address, as they ask; who has another key, or comes
/// for a port that is taken, is told so.
pub(crate) fn sharing(world: &Installed) -> Result<()> {
    world.apply_pool("shared", &["10.16.0.1/32"])?;
    let asks = |name: &str, key: &str, protocol: &str| {
        let mut service = service(name, "shared");
        let annotations = &mut service["metadata"]["annotations"];
        annotations["metallb.io/allow-shared-ip"] = json!(key);
        annotations["metallb.io/loadBalancerIPs"] = json!("10.16.0.1");
        service["spec"]["ports"] = json!([{ "port": 53, "protocol": protocol }]);
        service
    };
    world.apply_all(&[asks("dns-tcp", "dns", "TCP"), asks("dns-udp", "dns", "UDP")])?;
    let tcp = product::assigned(&world.kubectl, "dns-tcp", 1)?;
    let udp = product::assigned(&world.kubectl, "dns-udp", 1)?;
    ensure!(tcp == udp, "{tcp:?} and {udp:?}");

    world.apply_all(&[
        asks("dns-other-key", "mail", "TCP"),
        asks("dns-same-port", "dns", "TCP"),
    ])?;
    world.refused(
        "dns-other-key",
        "sharing key \"mail\" does not match existing sharing key \"dns\"",
    )?;
    world.refused(
        "dns-same-port",
        "port TCP/53 is already in use on \"10.16.0.1\"",
    )?;

    // The first goes; whoever waits for its port has it, beside the one that stays.
    world.delete("default", "service", "dns-tcp")?;
    let next = product::assigned(&world.kubectl, "dns-same-port", 1)?;
    ensure!(next == udp, "{next:?} beside {udp:?}");
    for name in ["dns-udp", "dns-other-key", "dns-same-port"] {
        world.delete("default", "service", name)?;
    }
    world.crowd_leaves("shared")
}

impl Refused {
    fn service(&self) -> Value {
        let mut service = service(self.name, "");
        let annotations: Map<String, Value> = self
            .annotations
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.into()))
            .collect();
        service["metadata"]["annotations"] = annotations.into();
        if let (Value::Object(spec), Value::Object(more)) = (&mut service["spec"], (self.spec)()) {
            spec.extend(more);
        }
        service
    }
}

fn nothing_else() -> Value {
    json!({})
}
