//! What a program says of the configuration in its `ConfigurationState`, without the time.

use metallb_crds::v1beta1::ConfigurationResult;

use crate::rejected::Rejected;

/// The type of the controller's condition.
pub const CONTROLLER_CONDITION: &str = "poolReconcilerValid";
/// The type of a speaker's condition.
pub const SPEAKER_CONDITION: &str = "configReconcilerValid";

/// What to say of a configuration that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `Valid`, or `Invalid` when any object was rejected.
    pub result: ConfigurationResult,
    /// The messages of what is wrong; empty if nothing is.
    pub error_summary: String,
    /// The condition's status: `True` or `False`.
    pub status: &'static str,
    /// The condition's reason: `Reconciled` or `ConfigurationError`.
    pub reason: &'static str,
    /// The condition's message, at most as long as the API server takes.
    pub message: String,
}

impl Report {
    /// What to say when these objects were rejected, all that were.
    pub fn of(rejected: &[Rejected]) -> Self {
        if rejected.is_empty() {
            return Self {
                result: ConfigurationResult::Valid,
                error_summary: String::new(),
                status: "True",
                reason: "Reconciled",
                message: String::new(),
            };
        }
        let message = message(rejected);
        Self {
            result: ConfigurationResult::Invalid,
            // The summary joins the messages of all conditions, and there is but one.
            error_summary: message.clone(),
            status: "False",
            reason: "ConfigurationError",
            message,
        }
    }
}

/// Upstream has but one error to tell; here each object has one, on a line of its own.
fn message(rejected: &[Rejected]) -> String {
    let mut message = "configuration error: ".to_owned();
    let mut room = MESSAGE_LIMIT - message.chars().count() - "\n... and 4294967295 more".len();
    for (told, bad) in rejected.iter().enumerate() {
        let line = format!("{}{bad}", if told == 0 { "" } else { "\n" });
        let length = line.chars().count();
        if length > room {
            if told == 0 {
                message.extend(line.chars().take(room));
            }
            let untold = rejected.len() - told.max(1);
            let end = match untold {
                0 => "...".to_owned(),
                _ => format!("\n... and {untold} more"),
            };
            message.push_str(&end);
            break;
        }
        message += &line;
        room -= length;
    }
    message
}

/// Characters in a condition's message, by the schema of conditions.
const MESSAGE_LIMIT: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;
    use crate::pool::PoolError;
    use crate::rejected::InEffect;

    fn bad(name: &str) -> Rejected {
        Rejected {
            kind: Kind::IPAddressPool,
            namespace: "metallb-system".to_owned(),
            name: name.to_owned(),
            uid: None,
            error: PoolError::Name(name.to_owned()).into(),
            in_effect: InEffect::LastForm,
        }
    }

    #[test]
    fn nothing_wrong() {
        let report = Report::of(&[]);
        assert_eq!(report.result, ConfigurationResult::Valid);
        assert_eq!((report.status, report.reason), ("True", "Reconciled"));
        assert_eq!((&*report.error_summary, &*report.message), ("", ""));
    }

    #[test]
    fn each_object_has_a_line() {
        let report = Report::of(&[bad("a"), bad("b")]);
        assert_eq!(report.result, ConfigurationResult::Invalid);
        assert_eq!(
            (report.status, report.reason),
            ("False", "ConfigurationError")
        );
        assert_eq!(
            report.message,
            "configuration error: IPAddressPool metallb-system/a: duplicate definition of pool \
             \"a\"\nIPAddressPool metallb-system/b: duplicate definition of pool \"b\""
        );
        assert_eq!(report.error_summary, report.message);
    }

    #[test]
    fn a_message_is_no_longer_than_the_api_server_takes() {
        let many: Vec<_> = (0..10_000).map(|n| bad(&format!("пул-{n}"))).collect();
        let message = Report::of(&many).message;
        let length = message.chars().count();
        assert!(
            MESSAGE_LIMIT - 200 < length && length <= MESSAGE_LIMIT,
            "{length}"
        );
        let told = message.matches("IPAddressPool").count();
        assert!(message.ends_with(&format!("\n... and {} more", 10_000 - told)));

        let huge = bad(&"я".repeat(40_000));
        for (rejected, end) in [
            (vec![huge.clone()], "яяя..."),
            (vec![huge.clone(), huge], "яяя\n... and 1 more"),
        ] {
            let message = Report::of(&rejected).message;
            let length = message.chars().count();
            assert!(
                MESSAGE_LIMIT - 200 < length && length <= MESSAGE_LIMIT,
                "{length}"
            );
            assert!(message.ends_with(end));
        }
    }
}
