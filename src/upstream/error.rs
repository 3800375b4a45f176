//! Why upstream gave no response, and whose fault it is.

use crate::net::client::{ClientError, ClientErrorKind, RootsError};
use crate::semantics::verdict::Failure;

/// The name under which shields stand beside origins in status and errors.
pub(super) const SHIELD: &str = "shield";

/// No response from upstream.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{origin}: {detail}")]
pub struct UpstreamError {
    /// The origin's name; `shield` for the shields.
    pub origin: String,
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether it took too long.
    pub timeout: bool,
    /// A stable name for `Cache-Status`, the log and metrics.
    pub reason: &'static str,
    /// For the log, never shown to a client.
    pub detail: String,
}

/// Why an origin cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The name of one of its servers is none that a certificate could bear.
    #[error("{0}: expected servers of names that a certificate can bear")]
    Name(String),
    /// A variable of the environment by which credentials are found is missing or wrong.
    #[error("{origin}: credentials: expected {expected} in {variable}")]
    Variable {
        /// The origin's name.
        origin: String,
        /// The variable.
        variable: &'static str,
        /// What it has to hold.
        expected: &'static str,
    },
    /// The trusted roots cannot be read.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's: its content broke off, or cannot be sent on.
    Client,
    /// The client's: its content is larger than the limit.
    ContentTooLarge,
    /// The client's: its request cannot be said in HTTP, so nobody was asked.
    Unsayable,
    /// The origin's.
    Origin,
    /// A shield's.
    Shield,
    /// Ours: a limit of this node.
    Ours,
}

impl Fault {
    /// Whether it says nothing of whoever was asked.
    pub fn is_clients(self) -> bool {
        matches!(self, Fault::Client | Fault::ContentTooLarge | Fault::Unsayable)
    }
}

impl UpstreamError {
    pub(super) fn of(origin: &str, error: &ClientError) -> Self {
        let (fault, reason) = classify(error.kind);
        Self {
            origin: origin.to_owned(),
            fault,
            timeout: is_timeout(error.kind),
            reason,
            detail: error.to_string(),
        }
    }

    /// The shield at `url` gave no response.
    pub(super) fn of_shield(url: &str, error: &ClientError) -> Self {
        let (fault, reason) = classify_shield(error.kind);
        Self {
            origin: SHIELD.to_owned(),
            fault,
            timeout: is_timeout(error.kind),
            reason,
            detail: format!("{url}: {error}"),
        }
    }

    /// The shield at `url` gave a response that does not serve the request.
    pub(super) fn declined_answer(url: &str) -> Self {
        let detail = format!("{url}: its answer does not serve this request");
        Self::shield("shield-answer-declined", detail)
    }

    /// What is at `url` gave a response that no shield gives to a peer.
    pub(super) fn no_peers_answer(url: &str) -> Self {
        let detail = format!(
            "{url}: it did not accept the peer secret, or is no shield; expected a node of role \
             shield there, and the same secret behind peer.secret_file here and there"
        );
        Self::shield("shield-answer-refused", detail)
    }

    /// There is no shield to ask.
    pub(super) fn no_shield() -> Self {
        Self::shield("shield-without-server", "no shield is left to ask".to_owned())
    }

    fn shield(reason: &'static str, detail: String) -> Self {
        let (origin, fault) = (SHIELD.to_owned(), Fault::Shield);
        Self { origin, fault, timeout: false, reason, detail }
    }

    /// `origin` switched to a protocol that it was not offered.
    pub fn not_offered(origin: &str) -> Self {
        let (fault, reason) = classify(ClientErrorKind::Malformed);
        Self {
            origin: origin.to_owned(),
            fault,
            timeout: false,
            reason,
            detail: "a 101 to a protocol that was not offered".to_owned(),
        }
    }

    /// There is no origin named `origin`.
    pub fn unknown(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            fault: Fault::Origin,
            timeout: false,
            reason: "origin-unknown",
            detail: "the route names an origin that is not configured".to_owned(),
        }
    }

    /// The fetch that another request led from `origin` failed, and its error is told there.
    pub fn of_another(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            fault: Fault::Origin,
            timeout: false,
            reason: "collapsed-fetch-failed",
            detail: "the fetches of others for the same resource failed".to_owned(),
        }
    }

    /// The response of `origin` broke off before any of it was sent on.
    pub fn broken_off(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            fault: Fault::Origin,
            timeout: false,
            reason: "origin-broke-off",
            detail: "the response broke off before any of it was sent on".to_owned(),
        }
    }

    /// The failure as stale-if-error sees it (RFC 5861 section 4).
    pub fn failure(&self) -> Failure {
        if self.timeout { Failure::Timeout } else { Failure::Unreachable }
    }
}

/// Whose fault a failure of `kind` is, and its stable name.
pub(super) fn classify(kind: ClientErrorKind) -> (Fault, &'static str) {
    use ClientErrorKind as Kind;
    match kind {
        Kind::BodyFailed => (Fault::Client, "request-body-failed"),
        Kind::BodyTimeout => (Fault::Client, "request-body-timeout"),
        Kind::BodyTooLarge => (Fault::ContentTooLarge, "request-body-too-large"),
        Kind::Connect => (Fault::Origin, "origin-unreachable"),
        Kind::ConnectTimeout => (Fault::Origin, "origin-connect-timeout"),
        Kind::Dns => (Fault::Origin, "origin-name-unresolved"),
        Kind::InvalidRequest => (Fault::Unsayable, "request-not-forwardable"),
        Kind::BadHead | Kind::Malformed => (Fault::Origin, "origin-malformed-response"),
        Kind::PoolExhausted => (Fault::Ours, "origin-connections-exhausted"),
        Kind::Protocol => (Fault::Origin, "origin-protocol-refused"),
        Kind::Reset | Kind::StreamReset => (Fault::Origin, "origin-reset"),
        Kind::ResponseTimeout => (Fault::Origin, "origin-timeout"),
        Kind::Tls => (Fault::Origin, "origin-tls-failed"),
    }
}

/// The same of a shield.
fn classify_shield(kind: ClientErrorKind) -> (Fault, &'static str) {
    use ClientErrorKind as Kind;
    let reason = match kind {
        Kind::Connect => "shield-unreachable",
        Kind::ConnectTimeout => "shield-connect-timeout",
        Kind::Dns => "shield-name-unresolved",
        Kind::BadHead | Kind::Malformed => "shield-malformed-response",
        Kind::PoolExhausted => return (Fault::Ours, "shield-connections-exhausted"),
        Kind::Protocol => "shield-protocol-refused",
        Kind::Reset | Kind::StreamReset => "shield-reset",
        Kind::ResponseTimeout => "shield-timeout",
        Kind::Tls => "shield-tls-failed",
        Kind::BodyFailed | Kind::BodyTimeout | Kind::BodyTooLarge | Kind::InvalidRequest => {
            return classify(kind);
        }
    };
    (Fault::Shield, reason)
}

fn is_timeout(kind: ClientErrorKind) -> bool {
    use ClientErrorKind as Kind;
    matches!(kind, Kind::BodyTimeout | Kind::ConnectTimeout | Kind::ResponseTimeout)
}
