//! Command lines as upstream's Go programs take them.

use std::ffi::OsString;

use clap::{Parser, ValueEnum};

/// How much is logged; upstream's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything, the same as `debug`.
    All,
    /// What a developer wants to see.
    Debug,
    /// What happens; the default.
    #[default]
    Info,
    /// What may need a look.
    Warn,
    /// What went wrong.
    Error,
    /// Nothing.
    None,
}

/// Reads the command line. Go's single-dash long flags (`-flag=value`, `-flag value`) work like
/// double-dash ones. `--help` and `--version` print and exit 0; bad input prints one line and
/// exits 1.
///
/// A boolean flag that must take `--flag`, `--flag=true` and `--flag=false` is declared with
/// `#[arg(long, value_parser = go_bool, num_args = 0..=1, require_equals = true,
/// default_missing_value = "true", default_value = "false")]`.
pub fn parse<A: Parser>() -> A {
    match try_parse(std::env::args_os()) {
        Ok(args) => args,
        Err(Stop::Print(text)) => {
            print!("{text}");
            std::process::exit(0);
        }
        Err(Stop::Bad(line)) => {
            eprintln!("{line}");
            std::process::exit(1);
        }
    }
}

/// Go's `strconv.ParseBool`.
///
/// # Errors
/// Any text but 1, 0, t, f, true, false in Go's spellings.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("want true or false".to_owned()),
    }
}

/// Why parsing gave no arguments.
#[derive(Debug, PartialEq)]
enum Stop {
    /// Help or version was asked for.
    Print(String),
    /// One line that says what is wrong.
    Bad(String),
}

fn try_parse<A: Parser>(raw: impl IntoIterator<Item = OsString>) -> Result<A, Stop> {
    A::try_parse_from(raw.into_iter().enumerate().map(
        |(i, arg)| {
            if i == 0 { arg } else { double_dash(arg) }
        },
    ))
    .map_err(|error| {
        if error.exit_code() == 0 {
            return Stop::Print(error.to_string());
        }
        let text = error.to_string();
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("bad flags");
        let line = line
            .strip_prefix("error: ")
            .unwrap_or(line)
            .trim_end_matches(':');
        // clap lists missing flags on lines of their own.
        let detail: Vec<&str> = text
            .lines()
            .filter(|l| l.starts_with("  --"))
            .map(str::trim)
            .collect();
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(": {}", detail.join(", "))
        };
        Stop::Bad(format!(
            "{}: {line}{detail} (see --help)",
            A::command().get_name()
        ))
    })
}

/// `-flag` becomes `--flag`; `-1`, `-h`, `-`, `--flag` and values stay.
fn double_dash(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text)
            if text.len() > 2
                && text.starts_with('-')
                && text.as_bytes()[1].is_ascii_alphabetic() =>
        {
            format!("-{text}").into()
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser, Debug, PartialEq)]
    #[command(name = "prog", version)]
    struct Args {
        #[arg(long, default_value_t = 9120)]
        port: u16,
        #[arg(long, value_enum, default_value_t)]
        log_level: LogLevel,
        #[arg(
            long,
            value_parser = go_bool,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "true",
            default_value = "false"
        )]
        webhook_http2: bool,
    }

    fn parse(line: &str) -> Result<Args, Stop> {
        try_parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn go_and_gnu_spellings_mean_the_same() {
        let want = Args {
            port: 1,
            log_level: LogLevel::Debug,
            webhook_http2: true,
        };
        for line in [
            "prog --port=1 --log-level=debug --webhook-http2",
            "prog -port=1 -log-level=debug -webhook-http2",
            "prog -port 1 -log-level debug -webhook-http2=true",
            "prog --port 1 --log-level debug --webhook-http2=T",
        ] {
            assert_eq!(parse(line).as_ref(), Ok(&want), "{line}");
        }
        assert!(!parse("prog --webhook-http2=false").unwrap().webhook_http2);
    }

    #[test]
    fn bad_input_is_one_line_that_names_the_flag() {
        for (line, word) in [
            ("prog --port=x", "port"),
            ("prog --nonsense", "--nonsense"),
            ("prog --log-level=loud", "loud"),
            ("prog stray", "stray"),
        ] {
            let Err(Stop::Bad(text)) = parse(line) else {
                panic!("{line} was taken")
            };
            assert!(
                text.contains(word) && !text.contains('\n'),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn help_and_version_are_printed() {
        assert!(matches!(parse("prog --help"), Err(Stop::Print(text)) if text.contains("--port")));
        assert!(matches!(parse("prog --version"), Err(Stop::Print(text)) if text.contains("prog")));
    }
}
