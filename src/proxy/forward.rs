//! The request that goes upstream, made from the client's.

use http::header::{
    CACHE_CONTROL, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    PRAGMA, RANGE,
};
use http::{HeaderMap, HeaderName, Method};

use super::context::Journey;
use super::head::insert;
use super::onward::Onward;
use crate::message::Body;
use crate::object::ObjectHead;
use crate::semantics::onward::{is_alike, is_ambiguous};
use crate::semantics::range::{ByteRange, write_range};
use crate::semantics::time::write_http_date;
use crate::upstream::OutgoingRequest;

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
        self.remove_alike(&mut headers);
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
            body: self.inbound.content_onward(body),
            content_length: self.inbound.head.content_length,
            on_interim: None,
        }
    }

    /// The fields that go on, and ours, with the changes of the route.
    fn headers(&self, host: &[u8]) -> HeaderMap {
        let mut headers = Onward::new(&self.inbound, host, &self.proxy.config.name).headers();
        self.route.request_headers.apply(&mut headers);
        headers
    }

    /// Takes away what gateways to programs may take for a field by which the response is chosen,
    /// and which is none to the key: of the names that look alike only those with `-`, those that
    /// the site has in its key, and those that it sets.
    fn remove_alike(&self, headers: &mut HeaderMap) {
        let (keyed, set) = (&self.route.key.headers, &self.route.request_headers.set);
        let is_held = |name: &&HeaderName| {
            if set.iter().any(|(set, _)| set == *name) {
                return false;
            }
            let alike = keyed.iter().find(|keyed| is_alike(keyed.as_str(), name.as_str()));
            alike.map_or_else(|| is_ambiguous(name.as_str()), |keyed| keyed != *name)
        };
        for name in headers.keys().filter(is_held).cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
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
