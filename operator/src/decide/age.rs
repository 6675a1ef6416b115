//! Whether a newer operator has been at work here: an older one must not take back what that did
//! only because it runs too, and comes to lead for a while.

use kube::ResourceExt as _;
use metallb_crds::names::DOWNGRADE;
use metallb_crds::v1beta1::MetalLB;
use semver::Version;

/// The version of a newer operator that wrote the status of `metallb`, unless its annotation says
/// that an operator of `version` is to go on from there.
pub(super) fn newer(metallb: &MetalLB, version: &str) -> Option<String> {
    let wrote = metallb
        .status
        .as_ref()?
        .versions
        .as_ref()?
        .operator
        .clone()?;
    let allowed = metallb.annotations().get(DOWNGRADE);
    if allowed.is_some_and(|allowed| allowed == version) {
        return None;
    }
    let parse = |version: &str| Version::parse(version).ok();
    (parse(&wrote)? > parse(version)?).then_some(wrote)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(wrote: &str, annotations: &serde_json::Value) -> Option<String> {
        let metallb = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
            "metadata": { "name": "metallb", "annotations": annotations },
            "spec": {}, "status": { "versions": { "operator": wrote } },
        });
        newer(
            &serde_json::from_value(metallb).expect("a MetalLB"),
            "1.9.0",
        )
    }

    #[test]
    fn versions_are_compared_as_such() {
        for (wrote, is_newer) in [
            ("1.10.0", true),
            ("2.0.0-rc.1", true),
            ("1.9.0", false),
            ("1.9.0-rc.1", false),
            ("1.8.7", false),
            ("main", false),
        ] {
            assert_eq!(of(wrote, &json!({})).is_some(), is_newer, "{wrote}");
        }
    }

    #[test]
    fn who_names_the_version_may_go_back_to_it() {
        let downgrade = |to: &str| of("1.10.0", &json!({ DOWNGRADE: to }));
        assert_eq!(downgrade("1.9.0"), None);
        assert!(downgrade("1.8.0").is_some(), "that of another time");
    }
}
