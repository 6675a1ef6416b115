//! Two controllers, one API server, and everything that can go wrong between them, under a virtual
//! clock: thousands of lives in seconds, each replayed from its seed.
//!
//! The controllers are the real index, the real decisions and the real elector; the API server is a
//! store with resourceVersions ([`store`]). What happens is drawn from the seed ([`life`]): users
//! create, edit and delete ([`users`]); watches lag, break and fall silent; requests are late,
//! refused, or answered to nobody; controllers freeze, die and come back.
//!
//! After each step the promises are held against the store ([`promises`]), by rules that are told
//! once more ([`rules`]). A write is judged by what the writer had heard when it decided
//! ([`knowledge`]), who put what where before ([`history`]), and who of two has to leave
//! ([`contest`]).
//!
//! `metallb-seeds` says how to live more lives, and how to see one again; then it is told.

mod contest;
mod history;
mod knowledge;
mod life;
mod promises;
mod replica;
mod rules;
mod store;
mod users;

use std::sync::Mutex;

use metallb_seeds::for_each_seed;

use life::Life;

#[test]
fn no_address_is_lost_or_moved_in_any_life() {
    let sum = Mutex::new([0; 5]);
    let told = std::env::var_os("METALLB_SEED").is_some();
    let command = "cargo test -p metallb-controller no_address_is_lost -- --nocapture";
    for_each_seed(command, 2_000, |seed| {
        let mut life = Life::new(seed, told);
        life.live().unwrap_or_else(|broken| panic!("{broken}"));
        let counts = life.promises.counts;
        let counts = [
            counts.late_writes,
            counts.doubles,
            counts.asked,
            counts.unshared,
            counts.yielded,
        ];
        let mut sum = sum.lock().unwrap();
        for (sum, one) in sum.iter_mut().zip(counts) {
            *sum += one;
        }
    });
    let sum = *sum.lock().unwrap();
    let [late, doubles, asked, unshared, yielded] = sum;
    println!(
        "{late} late writes of deposed leaders, {doubles} addresses on two Services for a while; \
         moved: {asked} by pools and requests, {unshared} that shared otherwise, {yielded} younger"
    );
    // A simulation in which nothing goes wrong shows nothing.
    assert!(told || sum.iter().all(|count| *count > 0));
}
