//! Why tests failed, kept for the end: there it is found, whatever was printed in between.

/// What test programs say of those of theirs that failed.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// How many more lines of the test that is being read belong here.
    left: usize,
    /// Whether what is being read is about tests that failed.
    failed: bool,
    kept: Vec<String>,
}

impl Failures {
    /// Takes in a line of a test program.
    pub(super) fn read(&mut self, line: &str) {
        if line == "failures:" {
            self.failed = true;
            self.left = 0;
        } else if line == "successes:" || line.starts_with("test result: ") {
            self.failed = false;
        } else if self.failed && line.starts_with("---- ") {
            self.kept.push(line.to_owned());
            self.left = LINES;
        } else if line.eq_ignore_ascii_case("stack backtrace:") {
            self.left = 0;
        } else if self.failed && self.left > 0 {
            self.left -= 1;
            self.kept.push(line.to_owned());
        }
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.kept
    }
}

/// Of each test: enough for a reason, not for all that it printed.
const LINES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_that_failed_the_reason_is_kept_and_no_backtrace() {
        let mut failures = Failures::default();
        let printed = "\
running 3 tests
successes:
---- one stdout ----
all is well
successes:
    one
failures:
---- two stdout ----
thread 'two' panicked at src/lib.rs:1:2:
1 is not 2
stack backtrace:
   0: somewhere
---- three ----
no route
Stack backtrace:
   0: elsewhere
failures:
    two
    three
test result: FAILED. 1 passed; 2 failed;
---- kubectl get pods
nothing of ours";
        printed.lines().for_each(|line| failures.read(line));
        assert_eq!(
            failures.lines(),
            [
                "---- two stdout ----",
                "thread 'two' panicked at src/lib.rs:1:2:",
                "1 is not 2",
                "---- three ----",
                "no route",
            ]
        );
    }

    #[test]
    fn of_one_that_prints_much_the_beginning_is_kept() {
        let mut failures = Failures::default();
        failures.read("failures:");
        failures.read("---- much stdout ----");
        (0..1000).for_each(|line| failures.read(&line.to_string()));
        assert_eq!(failures.lines().len(), 1 + LINES);
    }
}
