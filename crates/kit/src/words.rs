//! Errors as people read them, in logs, on the command line and in answers.

use std::error::Error;
use std::fmt::Write as _;

use kube::core::Status;

/// What an error and its causes say, each of them once; what the API server answered, in its own
/// words.
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if let Some(status) = cause.downcast_ref::<Box<Status>>() {
            // kube prints the API server's answer twice, and once as only a program reads it.
            text = text.replace(&format!(" ({status:?})"), "");
        }
        // Many errors print their cause themselves.
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher;

    use super::*;

    #[test]
    fn an_answer_of_the_api_server_is_in_its_words_and_each_cause_said_once() {
        let answer = Status::failure("storage is (re)initializing", "TooManyRequests");
        let error = watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(answer)));
        assert_eq!(
            in_words(&error),
            "failed to start watching object: ApiError: storage is (re)initializing: \
             TooManyRequests"
        );
    }
}
