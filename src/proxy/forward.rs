//! The request that goes upstream, made from the client's.

use http::header::{
    CONTENT_LENGTH, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, VIA,
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
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether a client could make an origin answer for another URL, host or method than the key says
/// by the field of this lower-case name. Only a node that stands before the origin has a say in it.
fn is_not_the_clients(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "forwarded"
                | "front-end-https"
                | "x-host"
                | "x-http-method"
                | "x-http-method-override"
                | "x-method-override"
                | "x-original-host"
                | "x-original-url"
                | "x-real-ip"
                | "x-rewrite-url"
                | "x-url-scheme"
        )
}

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
        if let Some(stored) = stored {
            add_validators(&mut headers, stored);
        }
        OutgoingRequest {
            method: Method::GET,
            target: self.resource.target().into(),
            headers,
            body: Body::Empty,
            content_length: None,
        }
    }

    /// The request for one `slice` of such a response, if it is still the one that `etag` names.
    pub(super) fn slice_request(&self, slice: ByteRange, etag: &[u8]) -> OutgoingRequest {
        let mut request = self.fetch_request(None);
        ask_for_slice(&mut request, slice);
        insert(&mut request.headers, IF_RANGE, etag.to_vec());
        request
    }

    /// The client's request, handed on with its query as it is; its path is the one that chose the
    /// route.
    pub(super) fn pass_request(&self, body: Body) -> OutgoingRequest {
        let sent = &self.inbound.target;
        let target = match memchr::memchr(b'?', sent) {
            Some(query) => [self.resource.path.as_bytes(), &sent[query..]].concat(),
            None => self.resource.path.as_bytes().to_vec(),
        };
        OutgoingRequest {
            method: self.inbound.method.clone(),
            target: target.into(),
            headers: self.headers(&self.inbound.host),
            body,
            content_length: self.inbound.content_length,
        }
    }

    /// The fields that go on, and ours.
    fn headers(&self, host: &[u8]) -> HeaderMap {
        let inbound = &self.inbound;
        // A proven edge has said who its client is.
        let edge = inbound.edge.is_some();
        let goes_on = |name: &str| !is_between_tiers(name) && (edge || !is_not_the_clients(name));
        let mut headers = inbound.fields.to_map(goes_on);
        remove_hop_by_hop(&mut headers);
        for name in [CONTENT_LENGTH, EXPECT] {
            headers.remove(name);
        }
        insert(&mut headers, HOST, host.to_vec());
        if !edge {
            let client = inbound.peer.address.ip().to_canonical();
            insert(&mut headers, X_FORWARDED_FOR, client.to_string().into());
            insert(&mut headers, X_FORWARDED_HOST, host.to_vec());
            insert(&mut headers, X_FORWARDED_PROTO, inbound.peer.scheme.as_str().into());
        }
        let mut via = Vec::new();
        let lines = headers.get_all(VIA).iter().map(HeaderValue::as_bytes);
        write_via(lines, inbound.peer.protocol.via(), &self.proxy.config.name, &mut via);
        insert(&mut headers, VIA, via);
        let mut cdn_loop = Vec::new();
        let lines = headers.get_all(CDN_LOOP).iter().map(HeaderValue::as_bytes);
        write_cdn_loop(lines, &self.proxy.config.name, &mut cdn_loop);
        insert(&mut headers, CDN_LOOP, cdn_loop);
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
