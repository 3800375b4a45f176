//! Requests that leave HTTP (RFC 9110 section 7.8), such as those for a WebSocket (RFC 6455).
//!
//! ```text
//!  offered by the client ∩ allowed by the route ── a place? ──► origin ── 101 ──► Tunnel
//!                                                    │ no          └── else ──► passed on
//!                                                    └─► 503
//! ```
//!
//! Such a request goes to the origin of its route, past any shield: nothing of it is ever shared,
//! and what shields are asked by is HTTP/2, where a connection cannot be given away (RFC 9113
//! section 8.6). What replaces it there, extended CONNECT (RFC 8441), is not spoken: clients of
//! HTTP/2 and 3 are not told that it is, and open a connection of HTTP/1.1 for their WebSockets.

use std::sync::Arc;

use http::header::UPGRADE;
use http::{HeaderValue, Method};
use tokio::sync::OwnedSemaphorePermit;

use super::context::{Inbound, Journey, Sent, Served};
use super::tier::Fetched;
use super::{Proxy, Refusal};
use crate::message::{Body, Protocol, Seen};
use crate::semantics::upgrade::{Asked, is_offered, offer};
use crate::semantics::verdict::Reason;
use crate::site::Route;
use crate::telemetry::metrics::Metrics;
use crate::upstream::UpstreamError;

impl Inbound {
    /// The protocols that this request may leave HTTP for; `None` if it is an ordinary one.
    #[inline]
    pub(super) fn offer(&self, route: &Route, body: &Body) -> Option<HeaderValue> {
        if !self.head.fields.seen().any(Seen::UPGRADE) || route.upgrade.is_empty() {
            return None;
        }
        let asked = Asked {
            is_get: self.head.method == Method::GET,
            has_content: !matches!(body, Body::Empty),
            is_http_1_1: self.head.peer.protocol == Protocol::Http1 { minor: 1 },
            upgrade: self.head.fields.all("upgrade"),
            connection: self.head.fields.all("connection"),
        };
        HeaderValue::try_from(offer(asked, &route.upgrade)?).ok()
    }
}

impl Journey {
    /// Asks the origin to switch to one of the protocols of `offer`.
    ///
    /// Cancel safe: a client that leaves closes the connection to the origin.
    pub(super) async fn upgrade(&self, offer: &HeaderValue, why: Reason) -> Sent {
        let Some(place) = Place::take(&self.proxy) else { return self.refused(Refusal::Tunnels) };
        let mut request = self.pass_request(Body::Empty);
        request.headers.insert(UPGRADE, offer.clone());
        request.on_interim = self.on_interim();
        match self.fetch_from_origin(request, self.fetch_sequence()).await {
            Ok(fetched) => self.switched(fetched, offer, place, why),
            Err(error) => self.failed(&error, why.forward()),
        }
    }

    /// What the origin makes of it: an answer that is no 101 is an ordinary one.
    fn switched(
        &self,
        fetched: Fetched,
        offer: &HeaderValue,
        mut place: Place,
        why: Reason,
    ) -> Sent {
        let Fetched { mut response, source, .. } = fetched;
        let mut served = Served::Pass;
        if let Body::Tunnel(tunnel) = &mut response.body {
            if !is_offered(tunnel.protocol.as_bytes(), offer.as_bytes()) {
                let error = UpstreamError::not_offered(&self.route.origin);
                return self.failed(&error, why.forward());
            }
            place.open();
            tunnel.hold(place);
            served = Served::Upgraded;
        }
        Sent { served, ..self.passed(response, source, why.forward(), why.as_str()) }
    }
}

/// A place among the tunnels of a node, given back when it is dropped.
struct Place {
    metrics: Arc<Metrics>,
    is_open: bool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(proxy: &Proxy) -> Option<Self> {
        let permit = proxy.tunnels.clone().try_acquire_owned().ok()?;
        Some(Self { metrics: proxy.metrics.clone(), is_open: false, _permit: permit })
    }

    /// It is that of a tunnel, from now on.
    fn open(&mut self) {
        self.is_open = true;
        self.metrics.tunnels().inc();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_open {
            self.metrics.tunnels().dec();
        }
    }
}
