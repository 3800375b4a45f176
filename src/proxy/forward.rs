//! The request that goes upstream, made from the client's.

use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::context::Journey;
use super::demand::is_between_tiers;
use super::head::{insert, remove_hop_by_hop};
use crate::message::Body;
use crate::object::ObjectHead;
use crate::semantics::headers::{write_cdn_loop, write_via};
use crate::semantics::range::{ByteRange, write_range};
use crate::semantics::time::write_http_date;
use crate::upstream::OutgoingRequest;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const SURROGATE_CAPABILITY: HeaderName = HeaderName::from_static("surrogate-capability");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether a client could make an origin answer for another URL, host or method than the key says
/// by the field of this lower-case name. Only a node that stands before the origin has a say in it.
/// Gateways to programs (RFC 3875 section 4.1.18) make no difference between `-` and `_`.
fn is_not_the_clients(name: &str) -> bool {
    let spelled = || name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
    let begins = |known: &str| spelled().take(known.len()).eq(known.bytes());
    ["x-forwarded", "x-original-", "x-rewrite-"].into_iter().any(begins)
        || NOT_THE_CLIENTS.iter().any(|known| spelled().eq(known.bytes()))
}

const NOT_THE_CLIENTS: [&str; 23] = [
    "base-url",
    "client-ip",
    "forwarded",
    "front-end-https",
    "proxy",
    "proxy-host",
    "request-uri",
    "surrogate-capability",
    "true-client-ip",
    "url-scheme",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarder-for",
    "x-host",
    "x-host-override",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-real-ip",
    "x-url-scheme",
];

/// The name by which an origin addresses this cache, and the language that it speaks to it.
const CAPABILITY: &str = "headland=\"Surrogate/1.0\"";

/// Fields that make a response one client's own.
const CONDITIONS: [HeaderName; 6] =
    [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];

impl Journey {
    /// The request for a whole response that may be shared; conditional on what is `stored`.
    pub(super) fn fetch_request(&self, stored: Option<&ObjectHead>) -> OutgoingRequest {
        // The key knows neither port nor spelling of the host, so the origin learns of none: what
        // it makes of them, in links or redirects, would be stored for everybody.
        let mut headers = self.headers(self.resource.host.as_bytes());
        for name in &CONDITIONS {
            headers.remove(name);
        }
        // Nor is what one client asks of caches asked for everybody, unless the site says so.
        if !self.route.freshness.obeys_requests {
            headers.remove(CACHE_CONTROL);
            headers.remove(PRAGMA);
        }
        if let Some(stored) = stored {
            add_validators(&mut headers, stored);
        }
        OutgoingRequest {
            method: Method::GET,
            target: self.resource.target().into(),
            headers,
            body: Body::Empty,
            content_length: None,
            on_interim: None,
        }
    }

    /// The request for one `slice` of such a response, if it is still the one that `etag` names.
    pub(super) fn slice_request(&self, slice: ByteRange, etag: &[u8]) -> OutgoingRequest {
        let mut request = self.fetch_request(None);
        ask_for_slice(&mut request, slice);
        insert(&mut request.headers, IF_RANGE, etag.to_vec());
        request
    }

    /// The client's request, handed on with its query as it is but for what is ours; its path is
    /// the one that chose the route.
    pub(super) fn pass_request(&self, body: Body) -> OutgoingRequest {
        let query = self.inbound.query().and_then(|query| self.route.key.passed(query));
        let target = match query {
            Some(query) => format!("{}?{query}", self.resource.path),
            None => self.resource.path.to_string(),
        };
        OutgoingRequest {
            method: self.inbound.head.method.clone(),
            target: target.into(),
            headers: self.headers(&self.inbound.head.host),
            body,
            content_length: self.inbound.head.content_length,
            on_interim: None,
        }
    }

    /// The fields that go on, and ours.
    fn headers(&self, host: &[u8]) -> HeaderMap {
        let inbound = &self.inbound;
        // A proven edge has said who its client is.
        let edge = inbound.edge.is_some();
        let goes_on = |name: &str| !is_between_tiers(name) && (edge || !is_not_the_clients(name));
        let mut headers = inbound.head.fields.to_map(goes_on);
        remove_hop_by_hop(&mut headers);
        for name in [CONTENT_LENGTH, EXPECT] {
            headers.remove(name);
        }
        insert(&mut headers, HOST, host.to_vec());
        if let Some(coding) = inbound.coding.get() {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding.as_str()));
        }
        if !edge {
            let client = inbound.head.peer.address.ip().to_canonical();
            insert(&mut headers, X_FORWARDED_FOR, client.to_string().into());
            insert(&mut headers, X_FORWARDED_HOST, host.to_vec());
            insert(&mut headers, X_FORWARDED_PROTO, inbound.head.peer.scheme.as_str().into());
        }
        let mut via = Vec::new();
        let lines = headers.get_all(VIA).iter().map(HeaderValue::as_bytes);
        write_via(lines, inbound.head.peer.protocol.via(), &self.proxy.config.name, &mut via);
        insert(&mut headers, VIA, via);
        let mut cdn_loop = Vec::new();
        let lines = headers.get_all(CDN_LOOP).iter().map(HeaderValue::as_bytes);
        write_cdn_loop(lines, &self.proxy.config.name, &mut cdn_loop);
        insert(&mut headers, CDN_LOOP, cdn_loop);
        // Edge Architecture Specification 1.0, section 3.2: whose Surrogate-Control is obeyed.
        headers.insert(SURROGATE_CAPABILITY, HeaderValue::from_static(CAPABILITY));
        self.route.request_headers.apply(&mut headers);
        headers
    }
}

/// Narrows a request to the bytes of `slice`.
pub(super) fn ask_for_slice(request: &mut OutgoingRequest, slice: ByteRange) {
    let mut value = Vec::new();
    write_range(slice, &mut value);
    insert(&mut request.headers, RANGE, value);
}

/// RFC 9111 section 4.3.1: both validators, where both are stored.
fn add_validators(headers: &mut HeaderMap, stored: &ObjectHead) {
    if let Some(etag) = stored.etag() {
        insert(headers, IF_NONE_MATCH, etag.to_vec());
    }
    if let Some(last_modified) = stored.last_modified() {
        let mut date = Vec::new();
        write_http_date(last_modified, &mut date);
        insert(headers, IF_MODIFIED_SINCE, date);
    }
}
