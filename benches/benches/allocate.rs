//! One allocation, by criterion: `cargo bench -p metallb-benches --bench allocate`.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use metallb_benches::allocate::{BATCH, CASES, Filled};

fn allocate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocate");
    for case in CASES {
        let mut filled = Filled::new(case);
        group.bench_function(case.name, |bencher| {
            // A batch at a time, so that the pool stays as much in use as the case says.
            bencher.iter_custom(|iterations| {
                let mut took = Duration::ZERO;
                let mut left = iterations;
                while left > 0 {
                    let count = u32::try_from(left).unwrap_or(BATCH).min(BATCH);
                    took += filled.allocate(count);
                    left -= u64::from(count);
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, allocate);
criterion_main!(benches);
