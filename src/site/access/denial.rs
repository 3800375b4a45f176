//! Why a client is not served.

use http::StatusCode;

/// A request that a rule of its route refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The client's address is denied, or not among those that are allowed.
    Address,
    /// The client's country is denied, or not among those that are allowed.
    Country,
    /// A page of an origin that is not allowed asks whether it may send a request.
    Origin,
    /// The client asks too often.
    Rate {
        /// Seconds until it may ask again.
        wait: u64,
    },
    /// The route is closed.
    Maintenance {
        /// Seconds until it may be open again.
        wait: u64,
    },
    /// The page that asks is not one that may embed.
    Referer,
    /// The URL is not signed.
    NoSignature,
    /// The signature of the URL is not right.
    WrongSignature,
    /// The signature was right until now.
    Expired,
}

impl Denial {
    /// The status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Rate { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Maintenance { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        }
    }

    /// The stable name, in `Cache-Status`, log and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address-denied",
            Self::Country => "country-denied",
            Self::Origin => "origin-denied",
            Self::Rate { .. } => "rate-limited",
            Self::Maintenance { .. } => "maintenance",
            Self::Referer => "referer-denied",
            Self::NoSignature => "signature-missing",
            Self::WrongSignature => "signature-wrong",
            Self::Expired => "signature-expired",
        }
    }

    /// What the client reads.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Address => "The resource is not served to this address.",
            Self::Country => "The resource is not served in this country.",
            Self::Origin => "The resource is not for pages of this origin.",
            Self::Rate { .. } => "Too many requests come from this address.",
            Self::Maintenance { .. } => "The resource is closed for maintenance.",
            Self::Referer => "The resource is not for pages of this host.",
            Self::NoSignature => "The URL is not signed.",
            Self::WrongSignature => "The signature of the URL is not right.",
            Self::Expired => "The URL has expired.",
        }
    }

    /// Seconds after which the client may try again, where that would help.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::Rate { wait } | Self::Maintenance { wait } => Some(wait),
            _ => None,
        }
    }
}
