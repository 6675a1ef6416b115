//! One allocation, in pools of different sizes and use.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_config::{AddrRange, Config, Family, ObjectKey, Pool};
use metallb_ipam::{Allocator, Families, Request};

/// A pool and how much of it is in use when something is allocated.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it is called in tables.
    pub name: &'static str,
    /// The addresses of the pool.
    pub range: &'static str,
    /// How many of them are in use.
    pub in_use: u128,
    /// Which ones.
    pub order: Order,
}

/// Which addresses of a pool are in use.
#[derive(Debug, Clone, Copy)]
pub enum Order {
    /// The lowest ones.
    Lowest,
    /// Any among the first so many, chosen by a fixed seed.
    Shuffled(u128),
}

/// All that is measured. The bar for each is 1 µs.
pub const CASES: [Case; 7] = [
    Case {
        name: "ipv4_16/0%",
        range: "10.0.0.0/16",
        in_use: 0,
        order: Order::Lowest,
    },
    Case {
        name: "ipv4_16/50%",
        range: "10.0.0.0/16",
        in_use: HALF,
        order: Order::Lowest,
    },
    Case {
        name: "ipv4_16/50%_shuffled",
        range: "10.0.0.0/16",
        in_use: HALF,
        order: SHUFFLED,
    },
    Case {
        name: "ipv4_16/99%",
        range: "10.0.0.0/16",
        in_use: MOST,
        order: Order::Lowest,
    },
    Case {
        name: "ipv4_16/99%_shuffled",
        range: "10.0.0.0/16",
        in_use: MOST,
        order: SHUFFLED,
    },
    Case {
        name: "ipv6_64/50000",
        range: "2001:db8::/64",
        in_use: 50_000,
        order: Order::Lowest,
    },
    Case {
        name: "ipv6_64/50000_shuffled",
        range: "2001:db8::/64",
        in_use: 50_000,
        order: SHUFFLED,
    },
];

/// A pool in the state of a [`Case`].
#[derive(Debug)]
pub struct Filled {
    allocator: Allocator,
    families: Families,
    newcomers: Vec<ObjectKey>,
}

/// How many nanoseconds one allocation takes: the median over batches of the mean within one.
pub fn nanoseconds(case: Case) -> f64 {
    let mut filled = Filled::new(case);
    let mut batches: Vec<_> = (0..BATCHES).map(|_| filled.allocate(BATCH)).collect();
    batches.sort();
    batches[batches.len() / 2].as_secs_f64() * 1e9 / f64::from(BATCH)
}

impl Filled {
    /// Sets the pool up.
    pub fn new(case: Case) -> Self {
        let range: AddrRange = case.range.parse().expect("cases have sound ranges");
        let mut config = Config::default();
        let pool = Pool::new("pool", vec![range]).expect("cases have sound pools");
        config.add_pool(pool).expect("the pool is the only one");
        let mut allocator = Allocator::default();
        allocator.set_pools(&config);
        let families = Families::One(Family::of(range.first()));
        for (n, ip) in (0..).zip(addresses(range, case)) {
            let key = ObjectKey::new("default", &format!("service-{n}"));
            let request = Request::new(&key, n, families);
            allocator
                .adopt(&request, &[ip])
                .expect("the address is free");
        }
        let newcomers = (0..BATCH)
            .map(|n| ObjectKey::new("default", &format!("newcomer-{n}")))
            .collect();
        Self {
            allocator,
            families,
            newcomers,
        }
    }

    /// How long it takes to allocate for `count` Services in a row, at most [`BATCH`]. They are
    /// released again, which is not part of that time.
    pub fn allocate(&mut self, count: u32) -> Duration {
        let newcomers = &self.newcomers[..count.min(BATCH) as usize];
        let start = Instant::now();
        for key in newcomers {
            let request = Request::new(key, i64::MAX, self.families);
            std::hint::black_box(self.allocator.allocate(&request)).expect("addresses are left");
        }
        let took = start.elapsed();
        for key in newcomers {
            self.allocator.release(key);
        }
        took
    }
}

/// The addresses in use.
fn addresses(range: AddrRange, case: Case) -> Vec<IpAddr> {
    let mut offsets: Vec<u128> = match case.order {
        Order::Lowest => (0..case.in_use).collect(),
        Order::Shuffled(among) => shuffled((0..among).collect()),
    };
    offsets.truncate(usize::try_from(case.in_use).expect("cases fit in memory"));
    offsets
        .into_iter()
        .filter_map(|offset| range.nth(offset))
        .collect()
}

/// Fisher and Yates' shuffle, always the same one.
fn shuffled(mut numbers: Vec<u128>) -> Vec<u128> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for left in (1..numbers.len()).rev() {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let below = u64::try_from(left + 1).expect("cases fit in memory");
        numbers.swap(
            left,
            usize::try_from(state % below).expect("less than the length"),
        );
    }
    numbers
}

/// How many allocations are measured in a row.
pub const BATCH: u32 = 256;
const BATCHES: u32 = 400;
const HALF: u128 = 1 << 15;
const MOST: u128 = (1 << 16) * 99 / 100;
const SHUFFLED: Order = Order::Shuffled(1 << 16);
