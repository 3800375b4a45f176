//! What of a request's fields goes on to the next server.
//!
//! ```text
//!  client's fields ─► by name: go on? ─┬─► the request upstream
//!  what this node says of the request ─┼─► the key
//!                                      └─► the choice of a variant
//! ```
//!
//! Invariant: the three are told the same. What is stored under a key and a variant is what the
//! origin made of just those values, so no client can have its answer stored for others by a field
//! that the origin sees otherwise than this node.

use std::cell::OnceCell;

use http::header::{HeaderName, VIA};
use http::{HeaderMap, Method};
use smallvec::{SmallVec, smallvec};

use super::context::{Inbound, Journey};
use super::head::insert;
use super::hop::{named_by_connection, with_trailers};
use crate::message::Body;
use crate::object::{Selection, VarySpec};
use crate::semantics::coding::Taken;
use crate::semantics::headers::{write_cdn_loop, write_via};
use crate::semantics::onward::goes_on;
use crate::semantics::vary::write_selection;
use crate::site::KeyPolicy;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// Fields in which this node speaks of the request, whatever came in them.
const OWN: [HeaderName; 8] = [
    http::header::ACCEPT_ENCODING,
    CDN_LOOP,
    http::header::HOST,
    HeaderName::from_static("surrogate-capability"),
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// The name by which an origin addresses this cache, and the language that it speaks to it (Edge
/// Architecture Specification 1.0, section 3.2).
const CAPABILITY: &[u8] = b"headland=\"Surrogate/1.0\"";

/// The fields of a request as they go on.
pub(super) struct Onward<'a> {
    inbound: &'a Inbound,
    /// The host that is asked for.
    host: &'a [u8],
    /// This node's name.
    node: &'a str,
    /// Values that are made when they are first asked for.
    codings: OnceCell<String>,
    client: OnceCell<String>,
    via: OnceCell<Vec<u8>>,
    cdn_loop: OnceCell<Vec<u8>>,
}

impl<'a> Onward<'a> {
    pub(super) fn new(inbound: &'a Inbound, host: &'a [u8], node: &'a str) -> Self {
        let (codings, client, via, cdn_loop) = Default::default();
        Self { inbound, host, node, codings, client, via, cdn_loop }
    }

    /// The codings that the request takes, if its route has settled that.
    pub(super) fn taken(&self) -> Option<Taken> {
        self.inbound.taken.get().copied()
    }

    /// What this node says in the field of this lower-case name, if it has a say in it.
    fn own(&self, name: &str) -> Option<&[u8]> {
        // A proven edge has said who its client is.
        let is_first = self.inbound.edge.is_none();
        let (fields, peer) = (&self.inbound.head.fields, &self.inbound.head.peer);
        Some(match name {
            "accept-encoding" => {
                let taken = self.taken()?;
                self.codings.get_or_init(|| taken.asked()).as_bytes()
            }
            "cdn-loop" => self.cdn_loop.get_or_init(|| {
                let mut value = Vec::new();
                write_cdn_loop(fields.all(name), self.node, &mut value);
                value
            }),
            "host" => self.host,
            "surrogate-capability" => CAPABILITY,
            "via" => self.via.get_or_init(|| {
                let mut value = Vec::new();
                write_via(fields.all(name), peer.protocol.via(), self.node, &mut value);
                value
            }),
            "x-forwarded-for" if is_first => {
                let client = || peer.address.ip().to_canonical().to_string();
                self.client.get_or_init(client).as_bytes()
            }
            "x-forwarded-host" if is_first => self.host,
            "x-forwarded-proto" if is_first => peer.scheme.as_str().as_bytes(),
            _ => return None,
        })
    }

    /// The lines that go on in the field of this lower-case name.
    fn lines(&self, name: &str) -> SmallVec<[&[u8]; 4]> {
        match self.own(name) {
            Some(own) => smallvec![own],
            None if goes_on(name, self.inbound.edge.is_some()) => {
                self.inbound.head.fields.all(name).collect()
            }
            None => SmallVec::new(),
        }
    }

    /// All of them.
    pub(super) fn headers(&self) -> HeaderMap {
        let from_edge = self.inbound.edge.is_some();
        let mut headers = self.inbound.head.fields.to_map(|name| goes_on(name, from_edge));
        for name in OWN {
            if let Some(value) = self.own(name.as_str()) {
                insert(&mut headers, name, value.to_vec());
            }
        }
        // RFC 9110 section 7.6.2.
        if let Some(left) = self.inbound.forwards_left() {
            insert(&mut headers, MAX_FORWARDS, left.saturating_sub(1).to_string().into());
        }
        headers
    }

    /// What they add to the key.
    pub(super) fn key_extra(&self, policy: &KeyPolicy) -> SmallVec<[u8; 64]> {
        policy.extra(|name| self.lines(name))
    }

    /// Writes the selecting fields, normalised.
    pub(super) fn select(&self, spec: &VarySpec, out: &mut Selection) {
        self.select_as(self.taken(), spec, out);
    }

    /// The same, as if the request took these codings.
    pub(super) fn select_as(&self, taken: Option<Taken>, spec: &VarySpec, out: &mut Selection) {
        let lines = |name: &str| {
            let lines = match taken {
                Some(taken) if name == "accept-encoding" => {
                    smallvec![taken.selecting().as_bytes()]
                }
                _ => self.lines(name),
            };
            (!lines.is_empty()).then_some(lines)
        };
        write_selection(spec, lines, out);
    }
}

impl Journey {
    /// The fields of a request for the resource, as it is shared.
    pub(super) fn onward(&self) -> Onward<'_> {
        Onward::new(&self.inbound, self.resource.host.as_bytes(), &self.proxy.config.name)
    }

    /// Writes the normalised selecting fields of this request.
    pub(super) fn select(&self, spec: &VarySpec, out: &mut Selection) {
        self.onward().select(spec, out);
    }
}

impl Inbound {
    /// RFC 9110 section 7.6.2: how often an OPTIONS may go on, where it says so.
    pub(super) fn forwards_left(&self) -> Option<u64> {
        if self.head.method != Method::OPTIONS {
            return None;
        }
        let digits = std::str::from_utf8(self.only(MAX_FORWARDS.as_str())?).ok()?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    }

    /// RFC 9110 section 7.6.2: whether another server is to be asked for it.
    #[inline]
    pub(super) fn may_go_on(&self) -> bool {
        self.head.method != Method::OPTIONS || self.forwards_left() != Some(0)
    }

    /// The value of a field that has one line; several are none.
    pub(super) fn only(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.head.fields.all(name);
        lines.next().filter(|_| lines.next().is_none())
    }

    /// The content, whose trailers are held to the same rules as the fields before it.
    pub(super) fn content_onward(&self, body: Body) -> Body {
        let (from_edge, named) = (self.edge.is_some(), named_by_connection(&self.head.fields));
        let goes = move |name: &str| {
            goes_on(name, from_edge) && !named.iter().any(|it| it.eq_ignore_ascii_case(name))
        };
        with_trailers(body, goes)
    }
}
