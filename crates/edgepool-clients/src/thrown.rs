use core::fmt;

use edgepool_llm::Failure;
use edgepool_llm::json::{FieldError, object, write};
use edgepool_llm::provider::OptionError;
use serde_json::Value;

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
        Self::wrong(field, accepted, message)
    }

    fn wrong(field: &str, accepted: &str, message: String) -> Self {
        Self(object(vec![
            ("kind", "request".into()),
            ("option", field.into()),
            ("accepted", accepted.into()),
            ("message", message.into()),
        ]))
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(&self.0))
    }
}

impl From<OptionError> for Thrown {
    fn from(error: OptionError) -> Self {
        let message = error.to_string();
        let OptionError { provider, option, message: accepted, .. } = error;
        Self(object(vec![
            ("kind", "option".into()),
            ("provider", provider.into()),
            ("option", option.into()),
            ("accepted", accepted.into()),
            ("message", message.into()),
        ]))
    }
}

impl From<FieldError> for Thrown {
    fn from(error: FieldError) -> Self {
        let message = error.to_string();
        Self::wrong(&error.field, &error.message, message)
    }
}

impl From<Failure> for Thrown {
    fn from(failure: Failure) -> Self {
        let mut value = failure.to_json();
        value["kind"] = "failure".into();
        Self(value)
    }
}
