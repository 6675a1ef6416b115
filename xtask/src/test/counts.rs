//! What test programs say of themselves, counted.

/// Tests counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// What ended well, those that skipped themselves included.
    pub(super) ended_well: u32,
    pub(super) failed: u32,
    ignored: u32,
    /// What printed `skipped: ` and its reason, and then ended well.
    skipped_itself: u32,
}

impl Counts {
    /// Takes in what a line of a test program says.
    pub(super) fn read(&mut self, line: &str) {
        if line.trim_start().starts_with("skipped: ") {
            self.skipped_itself += 1;
        }
        let Some(summary) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in summary.split(['.', ';']) {
            let mut words = part.split_whitespace();
            if let (Some(Ok(number)), Some(word)) =
                (words.next().map(str::parse::<u32>), words.next())
            {
                match word {
                    "passed" => self.ended_well += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.ended_well += other.ended_well;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped_itself += other.skipped_itself;
    }

    pub(super) fn passed(self) -> u32 {
        self.ended_well.saturating_sub(self.skipped_itself)
    }

    pub(super) fn skipped(self) -> u32 {
        self.ignored + self.skipped_itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "skipped: needs root",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "test a::b ... ok",
        ] {
            counts.read(line);
        }
        assert_eq!(
            (counts.passed(), counts.failed, counts.skipped()),
            (14, 2, 2)
        );
    }
}
