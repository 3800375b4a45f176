//! Why a purge is refused, in words for the one who asked.

use std::fmt;

use crate::object::CommandFault;

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

impl From<(Option<usize>, CommandFault)> for Refused {
    fn from((index, fault): (Option<usize>, CommandFault)) -> Self {
        Self { index, fault: fault.into() }
    }
}

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
    /// It cannot be read.
    #[error(transparent)]
    Command(#[from] CommandFault),
    /// Purges come from a control plane.
    #[error("purges: this node follows a control plane; expected there, which purges every node")]
    Follower,
    /// The journal failed, which says how.
    #[error("purges: none was carried out: {0}")]
    Journal(String),
    /// The journal has not answered in time. The only fault that leaves open what becomes of the
    /// purges.
    #[error("purges: the journal does not answer; they may yet be carried out, expected a retry")]
    JournalLate,
    /// The purge is of a site for which the token is not.
    #[error("value: expected a URL of a site that the token is for, found one of site {0:?}")]
    OtherScope(String),
    /// The purge may be of sites for which the token is not.
    #[error("site: expected one of the sites that the token is for, found nothing")]
    NoScope,
    /// The URL belongs to another site than was said.
    #[error("site: expected {actual:?}, to which the URL belongs, found {found:?}")]
    OtherSite {
        /// The site that answers to the host.
        actual: String,
        /// The site that was said.
        found: String,
    },
    /// A survey failed, which says how.
    #[error("dry_run: what is stored cannot be looked at: {0}")]
    Survey(String),
    /// Another survey is under way.
    #[error("dry_run: another one is under way; expected a retry later")]
    Surveying,
    /// No site answers to the URL's host.
    #[error("value: expected a host of one of this node's sites, found {0:?}")]
    UnknownHost(String),
    /// There is no such site.
    #[error("site: expected the name of one of this node's sites, found {0:?}")]
    UnknownSite(String),
}

impl PurgeFault {
    pub(super) fn at(self, index: usize) -> Refused {
        Refused { index: Some(index), fault: self }
    }
}
