use super::files::parse;
use super::*;

fn said(text: &str) -> Vec<String> {
    let documents = parse("f.yaml", text).expect("it is YAML");
    let all = findings(&documents).all;
    all.iter().map(ToString::to_string).collect()
}

const SOUND: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: web, namespace: metallb-system }
spec: { addresses: [192.0.2.0/24] }
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: { name: all, namespace: metallb-system }
---
apiVersion: v1
kind: Service
metadata: { name: not-ours }
";

#[test]
fn nothing_is_said_of_what_is_sound() {
    assert_eq!(said(SOUND), [""; 0]);
    let documents = parse("f.yaml", SOUND).expect("it is YAML");
    assert_eq!(findings(&documents).checked, 2);
}

#[test]
fn what_the_webhooks_refuse_is_an_error_of_the_same_words() {
    let overlap = format!(
        "{SOUND}---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\n\
         metadata: {{ name: zeb }}\nspec: {{ addresses: [192.0.2.128/25] }}\n"
    );
    let said = said(&overlap);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("f.yaml: IPAddressPool zeb: error: "),
        "{said:?}"
    );
    assert!(said[0].contains("192.0.2.128"), "{said:?}");
}

#[test]
fn a_field_that_there_is_not_is_named_with_what_may_be_meant() {
    let typo = "
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: { name: tor }
spec: { myASN: 64500, peerASN: 64501, peeraddress: 192.0.2.1, nodeSelector: [], bfdProfile: fast }
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisment
metadata: { name: all }
";
    let said = said(typo);
    let has = |text: &str| assert!(said.iter().any(|it| it.contains(text)), "{text}: {said:?}");
    has("unknown field spec.peeraddress; is peerAddress meant?");
    has("unknown field spec.nodeSelector; is nodeSelectors meant?");
    has("there is no kind BGPAdvertisment in metallb.io/v1beta1");
}

#[test]
fn what_does_nothing_is_a_warning() {
    let idle = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: web }
spec: { addresses: [192.0.2.0/24] }
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: { name: other }
spec: { ipAddressPools: [db], peers: [gone] }
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: { name: tor }
spec: { myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, bfdProfile: fast }
";
    let said = said(idle);
    let has = |text: &str| assert!(said.iter().any(|it| it.contains(text)), "{text}: {said:?}");
    has("IPAddressPool web: warning: no advertisement selects this pool");
    has("BGPAdvertisement other: warning: selects no pool");
    has("BGPAdvertisement other: warning: names a peer that there is not: gone");
    has("BGPPeer tor: warning: ");
    assert!(!said.iter().any(|it| it.contains(": error: ")), "{said:?}");
}

#[test]
fn the_metallb_object_is_checked_as_the_operator_does() {
    let metallb = "
apiVersion: metallb.io/v1beta1
kind: MetalLB
metadata: { name: metallb, namespace: metallb-system }
spec: { bgpBackend: quagga }
---
apiVersion: metallb.io/v1beta1
kind: MetalLB
metadata: { name: other, namespace: metallb-system }
";
    let said = said(metallb);
    assert!(said[0].contains("invalid BGP Backend"), "{said:?}");
    assert!(
        said[1].contains("Incorrect MetalLB resource name: other"),
        "{said:?}"
    );
}

#[test]
fn our_own_samples_have_no_errors() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/samples");
    let documents = read(&[samples.into()]).expect("they are there");
    let findings = findings(&documents);
    let errors: Vec<_> = findings.all.iter().filter(|it| it.grave).collect();
    assert!(errors.is_empty() && findings.checked > 5, "{errors:?}");
}
