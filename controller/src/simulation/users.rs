//! What users do: with Services, with pools, and by mistake.

use metallb_config::ObjectKey;
use metallb_crds::names::{ADDRESS_POOL, ALLOW_SHARED_IP, LOAD_BALANCER_IPS};
use metallb_crds::v1beta1::{IPAddressPool, ServiceAllocation};
use metallb_seeds::Dice;

use super::replica::Millis;
use super::store::Store;
use crate::fixtures::pool;
use crate::watched::WatchedService;

/// The namespaces that there are.
pub(super) const NAMESPACES: [&str; 2] = ["ns", "other"];

/// Does something; says what.
pub(super) fn act(dice: &mut Dice, now: Millis, store: &mut Store) -> String {
    let number = dice.below(14);
    let namespace = NAMESPACES[usize::from(number.is_multiple_of(4))];
    let key = ObjectKey::new(namespace, &format!("s{number}"));
    match dice.below(100) {
        0..60 => write_service(dice, now, store, &key),
        60..80 => {
            store.delete_service(&key);
            format!("the user deletes {key}")
        }
        80..97 => write_pool(dice, store),
        _ => scribble(dice, store, &key),
    }
}

/// What is there before anybody does anything.
pub(super) fn first_pools(store: &mut Store) {
    store.put_pool("a", pool("a", &["192.0.2.1-192.0.2.4"]));
    store.put_pool("b", pool("b", &["192.0.2.16/30", "2001:db8::/126"]));
}

/// Makes good what is no good, so that everybody can have what the pools say.
pub(super) fn repair(store: &mut Store) {
    let broken = |pool: &&IPAddressPool| pool.spec.addresses.iter().any(|it| it == NONSENSE);
    let broken: Vec<_> = store.pools.values().filter(broken).cloned().collect();
    for (n, mut pool) in broken.into_iter().enumerate() {
        let name = pool.metadata.name.clone().unwrap_or_default();
        pool.spec.addresses = vec![format!("192.0.2.{}/32", 200 + n)];
        store.put_pool(&name, pool);
    }
}

/// Creates or changes a Service.
fn write_service(dice: &mut Dice, now: Millis, store: &mut Store, key: &ObjectKey) -> String {
    let there = store.services.get(key).cloned();
    let service = there.unwrap_or_else(|| create(dice, now, key));
    let service = change(dice, service);
    let (spec, annotations) = (&service.spec, &service.metadata.annotations);
    let done = format!(
        "the user writes {key}: {} {:?} {} {:?} {annotations:?}",
        spec.type_, spec.cluster_ips, spec.external_traffic_policy, spec.ports
    );
    store.put_service(key, service);
    done
}

fn create(dice: &mut Dice, now: Millis, key: &ObjectKey) -> WatchedService {
    let created = i64::try_from(now / 1000).expect("lives are short");
    let mut service = WatchedService::test(&key.to_string()).created(created);
    service.metadata.uid = Some(format!("{key} of {now}"));
    let labels = service.metadata.labels.get_or_insert_default();
    labels.insert("app".to_owned(), dice.pick(&["web", "api"]).to_owned());
    let service = match dice.below(10) {
        0 | 1 => service.dual_stack("RequireDualStack"),
        2 | 3 => service.dual_stack("PreferDualStack"),
        4 => service.cluster_ips(&["fd00::1"]),
        _ => service,
    };
    let service = service.load_balancer().port("TCP", 80);
    if dice.percent(30) {
        return share(dice, service);
    }
    service
}

fn change(dice: &mut Dice, mut service: WatchedService) -> WatchedService {
    let annotations = service.metadata.annotations.get_or_insert_default();
    match dice.below(20) {
        0 => drop(annotations.insert(ADDRESS_POOL.to_owned(), dice.pick(&["a", "c"]).to_owned())),
        1 => drop(annotations.remove(ADDRESS_POOL)),
        2 => {
            let mut ips = format!("192.0.2.{}", 1 + dice.below(6));
            if service.spec.cluster_ips.len() == 2 {
                ips = format!("192.0.2.{},2001:db8::{}", 16 + dice.below(4), dice.below(4));
            }
            annotations.insert(LOAD_BALANCER_IPS.to_owned(), ips);
        }
        3 => drop(annotations.remove(LOAD_BALANCER_IPS)),
        4 => service = service.type_("ClusterIP"),
        5 => service = service.load_balancer(),
        6..9 => service = share(dice, service),
        9 => drop(annotations.remove(ALLOW_SHARED_IP)),
        10 => {
            let port = dice.pick(&[80, 81, 82]);
            service = service.ports(&[("TCP", port)]);
        }
        11 => service = service.local(&[("app", dice.pick(&["web", "api"]))]),
        12 => service.spec.external_traffic_policy = "Cluster".to_owned(),
        // A family is added, and given up again.
        13 => service = service.dual_stack("PreferDualStack"),
        14 => service = service.cluster_ips(&["10.96.0.1"]).policy("SingleStack"),
        _ => {}
    }
    service
}

/// It shares addresses from now on, mostly with another port than others have.
fn share(dice: &mut Dice, service: WatchedService) -> WatchedService {
    let port = dice.pick(&[80, 81, 82, 83]);
    let service = service.annotation(ALLOW_SHARED_IP, dice.pick(&["one", "one", "two"]));
    service.ports(&[("TCP", port)])
}

fn write_pool(dice: &mut Dice, store: &mut Store) -> String {
    const FORMS: [(&str, &[&str]); 9] = [
        ("a", &["192.0.2.1-192.0.2.4"]),
        ("a", &["192.0.2.2-192.0.2.6"]),
        ("a", &["192.0.2.1-192.0.2.2", "192.0.2.5-192.0.2.7"]),
        ("b", &["192.0.2.16/30", "2001:db8::/126"]),
        ("b", &["192.0.2.18-192.0.2.21", "2001:db8::1-2001:db8::6"]),
        ("b", &["192.0.2.16/30"]),
        ("c", &["198.51.100.254-198.51.101.1"]),
        ("c", &["198.51.100.255-198.51.101.2", "2001:db8:c::/127"]),
        // What one of the others may have had, under another name.
        ("d", &["192.0.2.5-192.0.2.7"]),
    ];
    if dice.percent(8) {
        let name = dice.pick(&["b", "c", "d"]);
        store.delete_pool(name);
        return format!("the user deletes pool {name}");
    }
    let (name, addresses) = dice.pick(&FORMS);
    let mut pool = pool(name, addresses);
    if name == "c" {
        pool.spec.avoid_buggy_ips = dice.percent(50);
        pool.spec.auto_assign = dice.percent(70);
        pool.spec.service_allocation = dice.percent(50).then(|| reserve(dice));
    }
    if dice.percent(6) {
        pool.spec.addresses.push(NONSENSE.to_owned());
    }
    let done = format!("the user writes pool {name}: {:?}", pool.spec);
    store.put_pool(name, pool);
    done
}

fn reserve(dice: &mut Dice) -> ServiceAllocation {
    let namespaces = dice.percent(50).then(|| "other".to_owned());
    ServiceAllocation {
        priority: 1,
        namespaces: namespaces.into_iter().collect(),
        ..ServiceAllocation::default()
    }
}

/// Writes nonsense into a status by hand.
fn scribble(dice: &mut Dice, store: &mut Store, key: &ObjectKey) -> String {
    let Some(service) = store.services.get(key).cloned() else {
        return format!("the user finds no {key}");
    };
    let ip = format!("192.0.2.{}", 1 + dice.below(23));
    let done = format!("the user scribbles {ip} on {key}");
    store.put_service(key, service.ingress("a", &[&ip]));
    done
}

/// An entry of `addresses` that is none.
const NONSENSE: &str = "192.0.2.300/32";
