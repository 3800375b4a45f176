//! The head that leaves: what upstream said, cleaned once.
//!
//! ```text
//!  upstream ──► received: hop-by-hop fields out, Date and Via in
//!                  ├── passed ─► leave: the route's changes ─► block
//!                  └── shared ─► Age, Cache-Status, Trailer out ─► leave ─► block, withheld
//!  304 ───────► freshened: block and withheld, its fields in their places ─► leave
//! ```

use http::header::{AGE, CONNECTION, CONTENT_LENGTH, DATE, ETAG, SET_COOKIE, TRAILER, VARY, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::coding;
use super::context::{Inbound, Journey};
use super::hop::with_trailers;
use crate::message::{Body, FieldBlock, Protocol, push_field};
use crate::object::ObjectHead;
use crate::semantics::freshness::{ResponseFacts, SetCookie};
use crate::semantics::headers::{connection_names, is_hop_by_hop, is_refreshed, write_via};
use crate::semantics::time::{Timestamp, write_http_date};
use crate::site::HeaderRules;

/// Fields that hold tags.
const TAGS: [&str; 2] = ["surrogate-key", "cache-tag"];

/// Fields that are for tiers and not sent to clients.
static FOR_TIERS: [HeaderName; 5] = [
    HeaderName::from_static(TAGS[0]),
    HeaderName::from_static(TAGS[1]),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("headland-cdn-cache-control"),
    coding::MARK,
];

/// Stands among withheld lines for a field that we set and upstream did not: its value is the name.
const ADDED: HeaderName = HeaderName::from_static("headland-added");

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How a head is made ready.
pub(super) struct Preparation<'a> {
    /// This node's name, for `Via`.
    pub(super) name: &'a str,
    /// The route's changes.
    pub(super) rules: &'a HeaderRules,
    /// Cookies are for nobody, where the response is for many.
    pub(super) removes_cookies: bool,
    /// When the response came.
    pub(super) received_at: Timestamp,
}

/// A head made ready for many.
pub(super) struct Prepared {
    /// The lines that leave.
    pub(super) block: FieldBlock,
    /// Lines as upstream sent them that leave otherwise, or not at all; and which that leave are
    /// ours alone.
    pub(super) withheld: Option<Box<FieldBlock>>,
    /// What caches on the way said of this response; no later one is told so.
    pub(super) cache_status: Option<HeaderValue>,
}

impl Preparation<'_> {
    /// The lines of a response that is handed on, to a client or `to_edge`. Its `Age` and
    /// `Cache-Status` still hold.
    pub(super) fn passed(
        &self,
        headers: HeaderMap,
        protocol: Protocol,
        to_edge: bool,
    ) -> FieldBlock {
        let mut headers = self.received(headers, protocol);
        if !to_edge {
            self.leave(&mut headers);
        }
        FieldBlock::from_map(&headers)
    }

    /// The lines of a response that is shared: what is said anew in each response is left out.
    pub(super) fn shared(&self, headers: HeaderMap, protocol: Protocol) -> Prepared {
        let mut headers = self.received(headers, protocol);
        headers.remove(AGE);
        // RFC 9111 section 3.1: trailers are not stored, so none may be announced.
        headers.remove(TRAILER);
        let lines: Vec<_> =
            headers.get_all(CACHE_STATUS).iter().map(HeaderValue::as_bytes).collect();
        let cache_status = match &lines[..] {
            [] => None,
            lines => HeaderValue::from_bytes(&lines.join(&b", "[..])).ok(),
        };
        headers.remove(CACHE_STATUS);
        self.remove_cookies(&mut headers);
        let withheld = self.leave(&mut headers);
        Prepared { block: FieldBlock::from_map(&headers), withheld, cache_status }
    }

    /// RFC 9111 section 3.2: the fields as upstream said them, with those of a 304 in their places.
    /// Its tag is the stored one but perhaps for the weakness, which it does not lift (section
    /// 4.3.4).
    pub(super) fn freshened(&self, stored: &ObjectHead, mut update: HeaderMap) -> HeaderMap {
        remove_hop_by_hop(&mut update);
        update.remove(ETAG);
        // Both tell of the message, not of what is stored.
        update.remove(VIA);
        update.remove(CACHE_STATUS);
        self.add_date(&mut update);
        let names = update.keys().filter(|name| !is_refreshed(name.as_str())).cloned();
        for name in names.collect::<Vec<_>>() {
            update.remove(name);
        }
        let mut merged = HeaderMap::new();
        for (name, value) in upstream_lines(stored) {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            if let Ok(value) = HeaderValue::from_bytes(value)
                && !update.contains_key(&name)
            {
                merged.append(name, value);
            }
        }
        for (name, value) in &update {
            merged.append(name.clone(), value.clone());
        }
        merged
    }

    /// The lines of a response that a 304 has freshened.
    pub(super) fn freshened_lines(&self, mut merged: HeaderMap) -> Prepared {
        merged.remove(AGE);
        self.remove_cookies(&mut merged);
        let withheld = self.leave(&mut merged);
        Prepared { block: FieldBlock::from_map(&merged), withheld, cache_status: None }
    }

    /// What came, without what concerned that connection alone.
    fn received(&self, mut headers: HeaderMap, protocol: Protocol) -> HeaderMap {
        remove_hop_by_hop(&mut headers);
        headers.remove(CONTENT_LENGTH);
        self.add_date(&mut headers);
        let mut via = Vec::new();
        let lines = headers.get_all(VIA).iter().map(HeaderValue::as_bytes);
        write_via(lines, protocol.via(), self.name, &mut via);
        insert(&mut headers, VIA, via);
        headers
    }

    fn remove_cookies(&self, headers: &mut HeaderMap) {
        if self.removes_cookies {
            headers.remove(SET_COOKIE);
        }
    }

    /// RFC 9110 section 6.6.1: a recipient with a clock adds the date that is missing.
    fn add_date(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(DATE) {
            let mut date = Vec::new();
            write_http_date(self.received_at, &mut date);
            insert(headers, DATE, date);
        }
    }

    /// Makes `headers` those that clients see; returns what tells which they were.
    fn leave(&self, headers: &mut HeaderMap) -> Option<Box<FieldBlock>> {
        let mut withheld = HeaderMap::new();
        let varies = headers.contains_key(coding::MARK).then_some(&VARY);
        let ours = self.rules.set.iter().chain(&self.rules.add).map(|(name, _)| name);
        let ours: Vec<_> = ours.chain(varies).collect();
        for name in FOR_TIERS.iter().chain(&self.rules.remove).chain(ours.iter().copied()) {
            if !withheld.contains_key(name) {
                for value in headers.get_all(name) {
                    withheld.append(name.clone(), value.clone());
                }
            }
        }
        for name in ours {
            if !withheld.contains_key(name) {
                withheld.append(ADDED, HeaderValue::from_name(name.clone()));
            }
        }
        for name in &FOR_TIERS {
            headers.remove(name);
        }
        self.rules.apply(headers);
        if varies.is_some() {
            coding::vary(headers);
        }
        (!withheld.is_empty()).then(|| Box::new(FieldBlock::from_map(&withheld)))
    }
}

/// The lines of an interim response that leave.
pub(super) fn interim_lines(mut headers: HeaderMap, rules: &HeaderRules) -> FieldBlock {
    remove_hop_by_hop(&mut headers);
    for name in FOR_TIERS.iter().chain(&rules.remove).chain([&CONTENT_LENGTH]) {
        headers.remove(name);
    }
    FieldBlock::from_map(&headers)
}

/// The values of `name` (lower-case) as upstream sent them.
pub(super) fn as_received<'h>(
    stored: &'h ObjectHead,
    name: &str,
) -> impl Iterator<Item = &'h [u8]> {
    upstream_lines(stored).filter_map(move |(line, value)| (line == name).then_some(value))
}

/// What upstream said, whatever the site changes by now: the lines that leave but for ours, and
/// those withheld.
pub(super) fn upstream_lines(stored: &ObjectHead) -> impl Iterator<Item = (&str, &[u8])> {
    let withheld = || stored.withheld().into_iter().flat_map(FieldBlock::iter);
    let is_ours = move |name: &str| {
        withheld().any(|(line, value)| match line == ADDED.as_str() {
            true => value == name.as_bytes(),
            false => line == name,
        })
    };
    let leaving = stored.fields().filter(move |(name, _)| !is_ours(name));
    leaving.chain(withheld().filter(|(name, _)| *name != ADDED.as_str()))
}

impl Inbound {
    /// The lines that tell of a stored response to whoever asks: an edge makes its own changes.
    pub(super) fn lines_of(&self, stored: &ObjectHead) -> FieldBlock {
        if self.edge.is_none() {
            return stored.block();
        }
        let mut lines = Vec::new();
        for (name, value) in upstream_lines(stored) {
            push_field(&mut lines, name, value);
        }
        FieldBlock::from_lines(lines.into())
    }
}

impl Journey {
    /// How heads of this route's responses are made ready.
    pub(super) fn preparation(&self) -> Preparation<'_> {
        Preparation {
            name: &self.proxy.config.name,
            rules: &self.route.response_headers,
            removes_cookies: self.route.freshness.set_cookie == SetCookie::Remove,
            received_at: self.inbound.arrival.later(),
        }
    }
}

/// What a head says of storing and using the response.
pub(super) fn facts_of(status: u16, headers: &HeaderMap) -> ResponseFacts {
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    ResponseFacts::read(status, fields)
}

/// An error that comes in the place of a response has the tags of that one, where the origin gives
/// it none: who purges by a tag expects to see what has become of everything that had it.
pub(super) fn inherit_tags(status: StatusCode, headers: &mut HeaderMap, replaced: &ObjectHead) {
    let has_own = TAGS.iter().any(|name| headers.contains_key(*name));
    if has_own || !(status.is_client_error() || status.is_server_error()) {
        return;
    }
    for (line, value) in replaced.withheld().into_iter().flat_map(FieldBlock::iter) {
        let name = TAGS.into_iter().find(|name| *name == line);
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

/// RFC 9110 section 7.6.1: what belongs to one connection goes no further.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    let known = headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned();
    for name in known.collect::<Vec<_>>().into_iter().chain(named) {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    connection_names(lines).filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

impl Journey {
    /// The body of a response, whose trailers are held to the same rules as its `headers`.
    pub(super) fn trailers_out(&self, body: Body, headers: &HeaderMap) -> Body {
        let (named, route) = (named_by_connection(headers), self.route.clone());
        with_trailers(body, move |name| {
            !is_hop_by_hop(name)
                // RFC 9110 section 6.5.1: it is for one client, and a body may be for many.
                && name != SET_COOKIE.as_str()
                && !named.iter().any(|named| named == name)
                && !FOR_TIERS.iter().chain(&route.response_headers.remove).any(|it| it == name)
        })
    }
}

/// Sets a field to a value that is known to be valid, or leaves it out.
pub(super) fn insert(headers: &mut HeaderMap, name: HeaderName, value: Vec<u8>) {
    match HeaderValue::from_maybe_shared(bytes::Bytes::from(value)) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests;
