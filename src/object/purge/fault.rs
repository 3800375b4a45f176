//! Why a purge cannot be read, in words for the one who asked.

use serde_json::Value;

use super::{BATCH_MAX, PurgeUrlError};

/// What is wrong with a purge. Each text begins with the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandFault {
    /// None, or too many at once.
    #[error("purges: expected 1 to {BATCH_MAX} of them, found {found}")]
    Count {
        /// How many.
        found: usize,
    },
    /// A field that is not of its type.
    #[error("{field}: expected {expected}, found {found}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was there, as JSON.
        found: String,
    },
    /// What came is no JSON.
    #[error("body: expected a JSON object or a list of them: {0}")]
    Json(String),
    /// A field that no purge has.
    #[error("{0}: unknown field; expected kind, value, site, soft or exact")]
    UnknownField(String),
    /// The value is no URL.
    #[error("value: {error}, found {found:?}")]
    Url {
        /// What was expected.
        error: PurgeUrlError,
        /// What was there.
        found: String,
    },
}

impl CommandFault {
    pub(super) fn invalid(
        field: &'static str,
        expected: &'static str,
        found: Option<&Value>,
    ) -> Self {
        let found = found.map_or("nothing".to_owned(), |found| shorten(&found.to_string()));
        Self::Invalid { field, expected, found }
    }
}

/// As much of a text as a message can bear.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
