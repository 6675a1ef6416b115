//! The table of webhooks holds upstream's names, paths and rules.

use kube::core::admission::Operation;
use metallb_admission::{WEBHOOKS, Webhook};

#[test]
fn names_paths_and_rules_are_upstreams() {
    let table: Vec<_> = WEBHOOKS
        .iter()
        .map(|it| {
            let operations: Vec<_> = it.operations.iter().map(|it| format!("{it:?}")).collect();
            format!(
                "{} {} {} {} {}",
                it.name,
                it.path,
                it.version,
                it.resource,
                operations.join("+")
            )
        })
        .collect();
    assert_eq!(
        table,
        [
            "bgppeersvalidationwebhook.metallb.io /validate-metallb-io-v1beta2-bgppeer v1beta2 bgppeers Create+Update",
            "bfdprofilevalidationwebhook.metallb.io /validate-metallb-io-v1beta1-bfdprofile v1beta1 bfdprofiles Create+Delete",
            "bgpadvertisementvalidationwebhook.metallb.io /validate-metallb-io-v1beta1-bgpadvertisement v1beta1 bgpadvertisements Create+Update",
            "communityvalidationwebhook.metallb.io /validate-metallb-io-v1beta1-community v1beta1 communities Create+Update",
            "ipaddresspoolvalidationwebhook.metallb.io /validate-metallb-io-v1beta1-ipaddresspool v1beta1 ipaddresspools Create+Update",
            "l2advertisementvalidationwebhook.metallb.io /validate-metallb-io-v1beta1-l2advertisement v1beta1 l2advertisements Create+Update",
        ]
    );
}

#[test]
fn the_chart_names_one_of_them_differently() {
    let differ: Vec<_> = WEBHOOKS
        .iter()
        .filter(|it| it.name != it.helm_name)
        .map(|it| (it.name, it.helm_name))
        .collect();
    assert_eq!(
        differ,
        [(
            "bgppeersvalidationwebhook.metallb.io",
            "bgppeervalidationwebhook.metallb.io"
        )]
    );
}

#[test]
fn deletion_is_asked_about_for_profiles_alone() {
    let asked = WEBHOOKS
        .iter()
        .filter(|it| it.operations.contains(&Operation::Delete));
    assert_eq!(
        asked.map(|it| it.resource).collect::<Vec<_>>(),
        ["bfdprofiles"]
    );
}

#[test]
fn a_webhook_is_found_by_its_path() {
    for webhook in WEBHOOKS {
        assert_eq!(Webhook::at(webhook.path), Some(webhook));
    }
    assert_eq!(Webhook::at("/validate"), None);
}
