use core::fmt;

use edgepool_llm::Failure;
use edgepool_llm::json::FieldError;
use edgepool_llm::provider::OptionError;
use serde_json::{Value, json};

/// What a function throws that was called with something wrong: JSON whose `kind` is `option` for a
/// provider's, `request` for those of a call, and `failure` for a call that cannot be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Thrown(Value);

impl Thrown {
    /// Returns it as JSON.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.0
    }

    pub(crate) fn request(field: &str, accepted: &str) -> Self {
        let message = format!("\"{field}\" {accepted}");
        Self(json!({"kind": "request", "option": field, "accepted": accepted, "message": message}))
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<OptionError> for Thrown {
    fn from(error: OptionError) -> Self {
        let message = error.to_string();
        let OptionError { provider, option, message: accepted, .. } = error;
        Self(json!({
            "kind": "option",
            "provider": provider,
            "option": option,
            "accepted": accepted,
            "message": message,
        }))
    }
}

impl From<FieldError> for Thrown {
    fn from(error: FieldError) -> Self {
        let message = error.to_string();
        let FieldError { field, message: accepted, .. } = error;
        Self(json!({
            "kind": "request",
            "option": field,
            "accepted": accepted,
            "message": message,
        }))
    }
}

impl From<Failure> for Thrown {
    fn from(failure: Failure) -> Self {
        let mut value = failure.to_json();
        value["kind"] = json!("failure");
        Self(value)
    }
}
