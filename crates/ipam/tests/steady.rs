//! Giving and taking addresses needs nothing of the heap, once the maps have their room.

mod story;

use metallb_config::ObjectKey;
use metallb_ipam::{Allocator, Families, Refusal, Request};
use story::{BOTH, PREFER, Story, V4, V6, pool};

/// Services that come and go in a pool with `kept` others.
struct Traffic {
    allocator: Allocator,
    families: Families,
    services: Vec<ObjectKey>,
}

impl Traffic {
    fn new(ranges: &str, kept: u32, families: Families) -> Self {
        let mut allocator = Story::with(vec![pool("p", ranges)]).allocator;
        for n in 0..kept {
            let key = ObjectKey::new("kept", &n.to_string());
            let given = allocator.allocate(&Request::new(&key, 0, families));
            given.expect("there are enough");
        }
        let services = (0..400).map(|n| ObjectKey::new("moving", &n.to_string()));
        Self {
            allocator,
            families,
            services: services.collect(),
        }
    }

    /// Some get addresses, some give them back, in an order that never repeats.
    fn move_some(&mut self, rounds: usize) {
        let count = self.services.len();
        for n in 0..rounds {
            let key = &self.services[n * n * 31 % count];
            if self.allocator.release(key).is_none() {
                let given = self
                    .allocator
                    .allocate(&Request::new(key, 1, self.families));
                given.expect("there are enough");
            }
        }
    }
}

#[test]
fn giving_and_taking_back() {
    for (ranges, kept, families) in [
        ("10.0.0.0/16", 64_880, V4),
        ("fd00::/64", 50_000, V6),
        ("10.0.0.0/16 fd00::/64", 64_880, BOTH),
        ("10.0.0.0/24 fd00::/64", 50_000, PREFER),
    ] {
        let mut traffic = None;
        let room = allocation_counter::measure(|| {
            traffic = Some(Traffic::new(ranges, kept, families));
        });
        assert!(room.count_total > 0, "it is counted");
        let mut traffic = traffic.expect("it is made");
        traffic.move_some(20_000);
        let used = allocation_counter::measure(|| traffic.move_some(20_000));
        assert_eq!(used.count_total, 0, "{ranges}");
    }
}

#[test]
fn refusing() {
    let mut traffic = Traffic::new("10.0.0.0/16", 65_536, V4);
    let key = &traffic.services[0];
    let used = allocation_counter::measure(|| {
        for families in [V4, V6, BOTH, PREFER] {
            let refused = traffic.allocator.allocate(&Request::new(key, 1, families));
            assert_eq!(refused, Err(Refusal::Exhausted));
        }
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn adopting_what_is_held() {
    let mut traffic = Traffic::new("10.0.0.0/16", 64_880, V4);
    traffic.move_some(20_000);
    let key = &traffic.services[0];
    let request = Request::new(key, 1, V4);
    let held = traffic.allocator.allocate(&request).expect("one is free");
    let used = allocation_counter::measure(|| {
        for _ in 0..100 {
            let adopted = traffic.allocator.adopt(&request, &held.ips);
            assert!(adopted.is_ok_and(|it| it.assignment == held));
        }
    });
    assert_eq!(used.count_total, 0);
}
