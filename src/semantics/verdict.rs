//! The one decision: what to do with a request, given what is stored.
//!
//! [`verdict`] and [`on_failure`] are pure; the live path, the log, the metrics, `Cache-Status` and
//! `explain` all show what they return. Four properties hold whatever is passed in, and a property
//! test keeps them:
//!
//! - what is hard-purged or possibly purged is never served without validation;
//! - nor is what is marked no-cache, nor what is stale and must be revalidated;
//! - a client has its wish for something fresher, and for something stale only where that may be;
//! - only GET and HEAD that have no content, and stay in HTTP, are ever served from the store.

use super::cache_status::Forward;
use super::cacheability::{Method, RequestFacts};
use super::freshness::{Freshness, FreshnessFlags};
use super::time::Timestamp;

/// What of a stored response bears on its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFacts {
    /// How fresh it is.
    pub freshness: Freshness,
    /// It can be validated: an entity tag or Last-Modified.
    pub validator: bool,
    /// It can be validated by a strong entity tag.
    pub strong_validator: bool,
    /// Whether a purge covers it.
    pub purged: PurgeState,
}

/// Whether a purge covers a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PurgeState {
    /// None does.
    #[default]
    Clean,
    /// A soft one: it counts as stale.
    Soft,
    /// A hard one: it is gone.
    Hard,
    /// It cannot be known: fenced, behind, or of a foreign log.
    Possibly,
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Serve what is stored.
    Serve(Reason),
    /// Serve what is stored, and refresh it in the background.
    ServeAndRefresh(Reason),
    /// Ask upstream whether what is stored still holds; by a conditional GET also for HEAD, so
    /// that a new response can take the old one's place.
    Revalidate(Reason),
    /// Fetch the whole by GET; join a flight for it or lead one.
    Fetch(Reason),
    /// Hand the request on as it is, and share nothing.
    Pass(Reason),
    /// Do not answer it from here or upstream: 504.
    Refuse(Reason),
}

impl Verdict {
    /// The stable name of what is done.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Serve(_) => "serve",
            Verdict::ServeAndRefresh(_) => "serve-and-refresh",
            Verdict::Revalidate(_) => "revalidate",
            Verdict::Fetch(_) => "fetch",
            Verdict::Pass(_) => "pass",
            Verdict::Refuse(_) => "refuse",
        }
    }

    /// Why.
    pub const fn reason(self) -> Reason {
        match self {
            Verdict::Serve(reason)
            | Verdict::ServeAndRefresh(reason)
            | Verdict::Revalidate(reason)
            | Verdict::Fetch(reason)
            | Verdict::Pass(reason)
            | Verdict::Refuse(reason) => reason,
        }
    }

    /// Why the request goes forward, in the words of Cache-Status; `None` if it does not.
    pub const fn forward(self) -> Option<Forward> {
        match self {
            Verdict::Serve(_) | Verdict::ServeAndRefresh(_) | Verdict::Refuse(_) => None,
            Verdict::Revalidate(reason) | Verdict::Fetch(reason) | Verdict::Pass(reason) => {
                Some(reason.forward())
            }
        }
    }
}

/// Why a verdict is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Stored and fresh.
    Fresh,
    /// Stale, within its stale-while-revalidate window.
    StaleWhileRevalidate,
    /// Stale, within its stale-if-error window, and upstream failed (see [`on_failure`]).
    StaleIfError,
    /// Nothing is stored.
    Miss,
    /// Stored and stale.
    Stale,
    /// Stored and never to be used without validation.
    NoCache,
    /// Covered by a soft purge.
    SoftPurged,
    /// Covered by a hard purge.
    HardPurged,
    /// Perhaps covered by a purge.
    PossiblyPurged,
    /// The method is never answered from the store.
    Method,
    /// The request has content.
    RequestBody,
    /// The request may leave HTTP for another protocol.
    Upgrade,
    /// The origin may read otherwise what the key is made of.
    AmbiguousKey,
    /// The request wanted a stored response or none.
    OnlyIfCached,
    /// Stored and fresh, and the request asks for a fresher one, or for validation.
    RequestDirective,
    /// The request asks for nothing to be stored.
    RequestNoStore,
    /// Stale, and the request accepts that.
    MaxStale,
}

impl Reason {
    /// The stable name, in the access log, metrics, `Cache-Status` and `explain`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Fresh => "fresh",
            Reason::StaleWhileRevalidate => "stale-while-revalidate",
            Reason::StaleIfError => "stale-if-error",
            Reason::Miss => "miss",
            Reason::Stale => "stale",
            Reason::NoCache => "no-cache",
            Reason::SoftPurged => "soft-purged",
            Reason::HardPurged => "hard-purged",
            Reason::PossiblyPurged => "possibly-purged",
            Reason::Method => "method",
            Reason::RequestBody => "request-body",
            Reason::Upgrade => "upgrade",
            Reason::AmbiguousKey => "ambiguous-key",
            Reason::OnlyIfCached => "only-if-cached",
            Reason::RequestDirective => "request-directive",
            Reason::RequestNoStore => "request-no-store",
            Reason::MaxStale => "max-stale",
        }
    }

    /// Why a request goes forward, in the words of RFC 9211 section 2.2. A look-up knows one key
    /// and variant, so misses are not told apart; what is there and needs the origin's word counts
    /// as stale.
    pub const fn forward(self) -> Forward {
        match self {
            Reason::Miss | Reason::HardPurged => Forward::Miss,
            Reason::Method => Forward::Method,
            Reason::RequestBody | Reason::Upgrade | Reason::AmbiguousKey => Forward::Bypass,
            Reason::OnlyIfCached | Reason::RequestDirective | Reason::RequestNoStore => {
                Forward::Request
            }
            Reason::Fresh
            | Reason::StaleWhileRevalidate
            | Reason::StaleIfError
            | Reason::MaxStale
            | Reason::Stale
            | Reason::NoCache
            | Reason::SoftPurged
            | Reason::PossiblyPurged => Forward::Stale,
        }
    }
}

/// Decides what to do with `request`, given what is `stored` for its key and variant.
pub fn verdict(request: &RequestFacts, stored: Option<&StoredFacts>, now: Timestamp) -> Verdict {
    if !request.method.is_cacheable() {
        return Verdict::Pass(Reason::Method);
    }
    // RFC 9110 section 9.3.1: content in a GET has no meaning that a key could hold.
    if request.body {
        return Verdict::Pass(Reason::RequestBody);
    }
    if request.upgrade {
        return Verdict::Pass(Reason::Upgrade);
    }
    if request.ambiguous {
        return Verdict::Pass(Reason::AmbiguousKey);
    }
    let verdict = match stored {
        Some(stored) => judge(request, stored, now),
        None => from_upstream(request, false, Reason::Miss),
    };
    match verdict {
        Verdict::Serve(_) | Verdict::ServeAndRefresh(_) => verdict,
        _ if request.only_if_cached() => Verdict::Refuse(Reason::OnlyIfCached),
        // What would be stored is not even fetched for others.
        _ if request.no_store() => Verdict::Pass(Reason::RequestNoStore),
        _ => verdict,
    }
}

/// What an attempt upstream ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or one that broke before the response.
    Unreachable,
    /// No response in time.
    Timeout,
    /// A response with this status.
    Status(u16),
}

impl Failure {
    /// RFC 5861 section 4: an error is one of these statuses; any other is the origin's answer.
    pub const fn is_error(self) -> bool {
        match self {
            Failure::Unreachable | Failure::Timeout => true,
            Failure::Status(status) => matches!(status, 500 | 502 | 503 | 504),
        }
    }
}

/// What to do when upstream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Serve what is stored, for [`Reason::StaleIfError`].
    ServeStale,
    /// Tell the client of the failure.
    Fail,
}

/// Decides whether what is `stored` may stand in for an upstream that failed (RFC 5861 section 4).
pub fn on_failure(stored: Option<&StoredFacts>, failure: Failure, now: Timestamp) -> OnFailure {
    match stored {
        Some(stored) if failure.is_error() && may_be_stale(stored, now, StaleUse::IfError) => {
            OnFailure::ServeStale
        }
        _ => OnFailure::Fail,
    }
}

fn judge(request: &RequestFacts, stored: &StoredFacts, now: Timestamp) -> Verdict {
    match stored.purged {
        // No validator leaves the node for what is hard-purged: a 304 would revive it.
        PurgeState::Hard => return from_upstream(request, false, Reason::HardPurged),
        // A weak validator could confirm bytes that differ from the origin's.
        PurgeState::Possibly => {
            return from_upstream(request, stored.strong_validator, Reason::PossiblyPurged);
        }
        PurgeState::Clean | PurgeState::Soft => {}
    }
    // RFC 9111 section 5.2.2.4.
    if stored.freshness.flags.has(FreshnessFlags::NO_CACHE) {
        return from_upstream(request, stored.validator, Reason::NoCache);
    }
    let soft = stored.purged == PurgeState::Soft;
    if !soft && stored.freshness.is_fresh(now) {
        // RFC 9111 sections 5.2.1.1, 5.2.1.3 and 5.2.1.4.
        return match request.directives {
            Some(asked) if !asked.takes_fresh(&stored.freshness, now) => {
                from_upstream(request, stored.validator, Reason::RequestDirective)
            }
            _ => Verdict::Serve(Reason::Fresh),
        };
    }
    // RFC 9111 section 5.2.1.2. What a soft purge has made stale is not the client's to accept.
    if let Some(asked) = request.directives.filter(|_| !soft)
        && asked.takes_stale(&stored.freshness, now)
        && may_be_stale(stored, now, StaleUse::Asked)
    {
        return Verdict::Serve(Reason::MaxStale);
    }
    let waits = request.directives.is_some_and(|asked| asked.limits_age());
    if !waits && may_be_stale(stored, now, StaleUse::WhileRevalidate) {
        let reason = if soft { Reason::SoftPurged } else { Reason::StaleWhileRevalidate };
        return Verdict::ServeAndRefresh(reason);
    }
    let reason = if soft { Reason::SoftPurged } else { Reason::Stale };
    from_upstream(request, stored.validator, reason)
}

/// A conditional GET where there is a validator to send, else a fetch. A HEAD that cannot be
/// answered by validating passes as HEAD: it must not cost a body nobody asked for.
fn from_upstream(request: &RequestFacts, validator: bool, reason: Reason) -> Verdict {
    match (validator, request.method) {
        (true, _) => Verdict::Revalidate(reason),
        (false, Method::Head) => Verdict::Pass(reason),
        (false, _) => Verdict::Fetch(reason),
    }
}

/// For what a stale response would be used.
enum StaleUse {
    Asked,
    WhileRevalidate,
    IfError,
}

/// RFC 9111 section 4.2.4: whether the response may be served though it is stale. Staleness by a
/// soft purge begins with the purge, of which no time is known: it counts as just stale.
fn may_be_stale(stored: &StoredFacts, now: Timestamp, purpose: StaleUse) -> bool {
    let freshness = &stored.freshness;
    let forbidden = matches!(stored.purged, PurgeState::Hard | PurgeState::Possibly)
        || freshness.flags.has(FreshnessFlags::NO_CACHE)
        || freshness.flags.has(FreshnessFlags::MUST_REVALIDATE);
    let window = match purpose {
        StaleUse::Asked => u32::MAX,
        StaleUse::WhileRevalidate => freshness.stale_while_revalidate,
        StaleUse::IfError => freshness.stale_if_error,
    };
    !forbidden && freshness.staleness(now) < window
}

#[cfg(test)]
mod tests;
