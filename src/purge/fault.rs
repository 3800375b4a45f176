//! Why a purge is refused, in words for the one who asked.

use std::fmt;

use serde_json::Value;

use crate::object::PurgeUrlError;

/// Purges in one request, at most.
pub const BATCH_MAX: usize = 1000;

/// A request that purged nothing, as far as its fault does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The entry's place, where the request was a list.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub fault: PurgeFault,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "[{index}].{}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<PurgeFault> for Refused {
    fn from(fault: PurgeFault) -> Self {
        Self { index: None, fault }
    }
}

/// What is wrong with a purge. Each text begins with the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeFault {
    /// So many purges wait, for the journal or the event loops, that no more are taken.
    #[error("purges: too many wait to be carried out; expected a retry later")]
    Busy,
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
    /// The journal failed, which says how.
    #[error("purges: none was carried out: {0}")]
    Journal(String),
    /// The journal has not answered in time. The only fault that leaves open what becomes of the
    /// purges.
    #[error("purges: the journal does not answer; they may yet be carried out, expected a retry")]
    JournalLate,
    /// What came is no JSON.
    #[error("body: expected a JSON object or a list of them: {0}")]
    Json(String),
    /// The URL belongs to a site to which the token is not limited.
    #[error("value: expected a URL of a site that the token is for, found one of site {0:?}")]
    OtherScope(String),
    /// The URL belongs to another site than was said.
    #[error("site: expected {actual:?}, to which the URL belongs, found {found:?}")]
    OtherSite {
        /// The site that answers to the host.
        actual: String,
        /// The site that was said.
        found: String,
    },
    /// A field that no purge has.
    #[error("{0}: unknown field; expected kind, value, site, soft or exact")]
    UnknownField(String),
    /// No site answers to the URL's host.
    #[error("value: expected a host of one of this node's sites, found {0:?}")]
    UnknownHost(String),
    /// A kind of purge that comes with a later version.
    #[error("kind: purges by {0:?} are not supported yet by this version; expected \"url\"")]
    Unsupported(String),
    /// The value is no URL.
    #[error("value: {error}, found {found:?}")]
    Url {
        /// What was expected.
        error: PurgeUrlError,
        /// What was there.
        found: String,
    },
}

impl PurgeFault {
    pub(super) fn invalid(
        field: &'static str,
        expected: &'static str,
        found: Option<&Value>,
    ) -> Self {
        let found = found.map_or("nothing".to_owned(), |found| shorten(&found.to_string()));
        Self::Invalid { field, expected, found }
    }

    pub(super) fn at(self, index: usize) -> Refused {
        Refused { index: Some(index), fault: self }
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
