//! May this response be stored, and if not, why (RFC 9111 section 3).

mod odd;

use super::directives::RequestDirectives;
use super::freshness::{
    Freshness, FreshnessFlags, FreshnessPolicy, ResponseFacts, SetCookie, freshness,
    is_heuristically_cacheable,
};
use super::time::Timestamp;

pub use self::odd::is_odd;

/// What of a request bears on storing and reusing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestFacts {
    /// Method.
    pub method: Method,
    /// Authorization is there.
    pub authorization: bool,
    /// The request has content.
    pub body: bool,
    /// Of what chooses a response, the origin may read something otherwise than the key.
    pub ambiguous: bool,
    /// Range is there and asks for part of the content.
    pub range: bool,
    /// What it asks of caches, where the site obeys that.
    pub directives: Option<RequestDirectives>,
    /// It may leave HTTP for another protocol.
    pub upgrade: bool,
    /// It is of a kind on which servers fail: see [`is_odd`].
    pub odd: bool,
}

impl RequestFacts {
    /// RFC 9111 section 5.2.1.5: whether nothing of the exchange is to be stored.
    pub fn no_store(&self) -> bool {
        self.directives.is_some_and(|asked| asked.no_store)
    }

    /// RFC 9111 section 5.2.1.7: whether it is to go nowhere.
    pub fn only_if_cached(&self) -> bool {
        self.directives.is_some_and(|asked| asked.only_if_cached)
    }
}

/// Request method, as far as caching tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// PATCH
    Patch,
    /// CONNECT
    Connect,
    /// Any other.
    Other,
}

impl Method {
    /// Reads a method; they are case-sensitive (RFC 9110 section 9.1).
    pub fn from_bytes(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"PATCH" => Method::Patch,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }

    /// RFC 9110 section 9.2.1. A method that is not known here is not known to be safe.
    pub const fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether a stored response may answer it here.
    pub const fn is_cacheable(self) -> bool {
        matches!(self, Method::Get | Method::Head)
    }
}

/// Whether a response may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Yes, with this freshness.
    Store(Freshness),
    /// No.
    Refuse(NoStore),
}

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoStore {
    /// The method is not GET.
    Method,
    /// The request had content, of which the key knows nothing.
    RequestBody,
    /// The origin may have read otherwise what the key was made of.
    AmbiguousKey,
    /// The request said no-store.
    RequestNoStore,
    /// The status says nothing of the resource by itself: 1xx, 304, 412, 416, 417.
    Status,
    /// Partial content.
    Partial,
    /// No success, and the request is of a kind on which servers fail.
    Provoked,
    /// must-understand, and the status is not known here.
    NotUnderstood,
    /// The response said no-store.
    NoStore,
    /// The response said private.
    Private,
    /// The request bore Authorization and the response does not allow sharing.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// Vary contains `*`, or names more fields than are kept apart.
    VaryStar,
    /// Neither the origin nor the site nor the status allows it.
    NoFreshness,
    /// It could only be used after validation, and cannot be validated.
    NoValidator,
}

impl NoStore {
    /// The stable name, in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            NoStore::Method => "method",
            NoStore::RequestBody => "request-body",
            NoStore::AmbiguousKey => "ambiguous-key",
            NoStore::RequestNoStore => "request-no-store",
            NoStore::Status => "status",
            NoStore::Partial => "partial",
            NoStore::Provoked => "provoked",
            NoStore::NotUnderstood => "status-not-understood",
            NoStore::NoStore => "no-store",
            NoStore::Private => "private",
            NoStore::Authorization => "authorization",
            NoStore::SetCookie => "set-cookie",
            NoStore::VaryStar => "vary-star",
            NoStore::NoFreshness => "no-freshness",
            NoStore::NoValidator => "no-validator",
        }
    }

    /// Whether it says nothing of what other requests would bring.
    pub const fn is_of_request(self) -> bool {
        matches!(self, NoStore::Authorization | NoStore::Provoked | NoStore::RequestNoStore)
    }
}

/// Decides whether to store a response asked for at `request_time` whose head came at
/// `response_time`, and how fresh it is then.
pub fn storage(
    request: &RequestFacts,
    response: &ResponseFacts,
    policy: &FreshnessPolicy,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Storage {
    let forbidden = forbidden_by_request(request, response.status)
        .or_else(|| forbidden_by_response(response))
        .or_else(|| forbidden_to_share(request, response, policy));
    if let Some(why) = forbidden {
        return Storage::Refuse(why);
    }
    let freshness = freshness(response, policy, request_time, response_time);
    match not_worth_storing(response, policy, &freshness, response_time) {
        Some(why) => Storage::Refuse(why),
        None => Storage::Store(freshness),
    }
}

/// Whether stored responses for the target must be invalidated by this exchange: an unsafe method
/// with a non-error status (RFC 9111 section 4.4).
pub fn invalidates(method: Method, status: u16) -> bool {
    !method.is_safe() && (200..400).contains(&status)
}

fn forbidden_by_request(request: &RequestFacts, status: u16) -> Option<NoStore> {
    if request.method != Method::Get {
        return Some(NoStore::Method);
    }
    if request.body {
        return Some(NoStore::RequestBody);
    }
    if request.ambiguous {
        return Some(NoStore::AmbiguousKey);
    }
    // Whatever lifetime it is given: one client's fault is not to be everybody's error, nor what
    // sends them elsewhere.
    if request.odd && status != 200 {
        return Some(NoStore::Provoked);
    }
    request.no_store().then_some(NoStore::RequestNoStore)
}

fn forbidden_by_response(response: &ResponseFacts) -> Option<NoStore> {
    let directives = response.directives();
    match response.status {
        // RFC 9111 section 3.3: a part is not the whole, whatever its status claims.
        206 => return Some(NoStore::Partial),
        _ if response.is_part => return Some(NoStore::Partial),
        304 | 0..=199 | 600.. => return Some(NoStore::Status),
        // They answer a precondition, a range or an expectation of one request, of which the key
        // knows nothing.
        412 | 416 | 417 => return Some(NoStore::Status),
        _ => {}
    }
    // RFC 9111 section 5.2.2.3: must-understand displaces no-store for who knows the status.
    let understood = is_understood(response.status);
    if directives.must_understand && !understood {
        return Some(NoStore::NotUnderstood);
    }
    if directives.no_store && !directives.must_understand {
        return Some(NoStore::NoStore);
    }
    response.vary.is_star().then_some(NoStore::VaryStar)
}

fn forbidden_to_share(
    request: &RequestFacts,
    response: &ResponseFacts,
    policy: &FreshnessPolicy,
) -> Option<NoStore> {
    let directives = response.directives();
    // RFC 9111 section 5.2.2.7: named fields could be left out; the whole is refused instead.
    if directives.private.is_present() {
        return Some(NoStore::Private);
    }
    // RFC 9111 section 3.5. What cannot be read in full allows nothing.
    let shareable = !directives.malformed
        && (directives.public || directives.must_revalidate || directives.s_maxage.is_some());
    if request.authorization && !shareable {
        return Some(NoStore::Authorization);
    }
    // RFC 9111 section 7.3 leaves it open; a cookie given to another client is never right unless
    // the site says so.
    (response.set_cookie && policy.set_cookie == SetCookie::Pass).then_some(NoStore::SetCookie)
}

/// Refuses what could never be used: neither fresh nor stale, nor to save a body at validation.
fn not_worth_storing(
    response: &ResponseFacts,
    policy: &FreshnessPolicy,
    freshness: &Freshness,
    response_time: Timestamp,
) -> Option<NoStore> {
    let directives = response.directives();
    // RFC 9111 section 3, last item.
    let permitted = directives.public
        || response.explicit_lifetime(response_time).is_some()
        || policy.lifetime(response.status).is_some()
        || is_heuristically_cacheable(response.status);
    if !permitted {
        return Some(NoStore::NoFreshness);
    }
    // A conditional request is answered with 304 only where the answer would be a success
    // (RFC 9110 section 13.2.1).
    let can_validate = response.has_validator() && matches!(response.status, 200 | 203);
    if can_validate {
        return None;
    }
    if freshness.flags.has(FreshnessFlags::NO_CACHE) {
        return Some(NoStore::NoValidator);
    }
    // The origin may ask for use once stale without ever having been fresh. A window that only
    // the site gives is no reason to keep what the origin calls stale.
    let stale_use = !freshness.flags.has(FreshnessFlags::MUST_REVALIDATE)
        && (directives.stale_while_revalidate.is_some_and(|seconds| seconds > 0)
            || directives.stale_if_error.is_some_and(|seconds| seconds > 0));
    (!freshness.is_fresh(response_time) && !stale_use).then_some(NoStore::NoFreshness)
}

/// Final statuses whose caching rules are known and kept here.
fn is_understood(status: u16) -> bool {
    matches!(
        status,
        200..=205 | 300..=303 | 307 | 308 | 400..=417 | 421..=426 | 428 | 429 | 431 | 451
            | 500..=508 | 511
    )
}

#[cfg(test)]
mod tests;
