//! Panics that are looked at instead of printed.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// What this thread's panics say, while they are caught.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Where and why a test panics; nothing if it does not. It is not printed.
pub fn panic_message(test: impl FnOnce()) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            let is_caught = CAUGHT.with_borrow_mut(|caught| {
                let is_caught = caught.is_some();
                if is_caught {
                    *caught = Some(info.to_string());
                }
                is_caught
            });
            if !is_caught {
                print(info);
            }
        }));
    });
    // A test may itself look at what panics in it.
    let outer = CAUGHT.replace(Some(String::new()));
    let ended = catch_unwind(AssertUnwindSafe(test));
    let caught = CAUGHT.replace(outer);
    ended.is_err().then_some(caught).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_say_where_and_why() {
        assert_eq!(panic_message(|| ()), None);
        assert_eq!(
            panic_message(|| assert!(panic_message(|| panic!()).is_some())),
            None
        );
        let said = panic_message(|| panic!("of {}", "cards")).unwrap();
        assert!(
            said.contains("panics.rs") && said.ends_with("of cards"),
            "{said}"
        );
    }
}
