//! The answer to an admission request.

use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::core::{DynamicObject, Status};

/// Whether what is asked for may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may, and whoever asked should read this.
    Allow {
        /// For people; often none.
        warnings: Vec<String>,
    },
    /// It may not, for this reason.
    Deny(String),
    /// The request makes no sense, for this reason.
    Malformed(String),
}

impl Verdict {
    /// It may, and there is nothing to say.
    pub(crate) fn allow() -> Self {
        Self::Allow {
            warnings: Vec::new(),
        }
    }

    /// The review to send back. The codes are upstream's: 403 for what may not be, 400 for what
    /// makes no sense.
    pub fn answer(
        self,
        request: &AdmissionRequest<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::from(request);
        match self {
            Self::Allow { warnings } => {
                response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
            }
            Self::Deny(reason) => {
                response.allowed = false;
                response.result = Status::failure(&reason, "Forbidden").with_code(403);
            }
            Self::Malformed(reason) => {
                response.allowed = false;
                response.result = Status::failure(&reason, "BadRequest").with_code(400);
            }
        }
        response.into_review()
    }
}
