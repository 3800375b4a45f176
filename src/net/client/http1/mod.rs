//! HTTP/1.1: keep-alive connections, one exchange at a time on each.
//!
//! ```text
//! Shared ┬─ permits    connections in use, over all event loops (bounded wait)
//!        ├─ open       connections that exist, idle ones included
//!        └─ idle[i]    idle connections of event loop i; they never migrate
//! ```
//!
//! A connection has no task of its own: whoever waits for a response or reads its body drives it
//! (`live`), so an exchange costs no wake-up between tasks, and to drop the wait or the body is to
//! close the connection. It goes back to its loop's list once the body was read to the end. An idle
//! connection is driven by nobody; a sweep looks whether its server closed it (`idle`).
//!
//! A request with `Upgrade` has a fresh connection, which is never at rest: after a 101 it is a
//! [`Tunnel`], and after any other answer who knows what stands between takes it for one.
//!
//! Uses hyper's connection, nothing of its pool.

mod idle;
mod incoming;
mod live;
mod outgoing;
mod request;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::header::UPGRADE;
use http::{Response, StatusCode, response};
use hyper::body::{Body as _, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use self::idle::Lease;
pub(super) use self::idle::Shared;
use self::incoming::IncomingBody;
use self::live::{Failed, Live};
use self::request::{prepare, protocol, spare};
use super::connect::{Counted, Transport, connect};
use super::error::describe;
use super::request::content_length;
use super::{ClientError, ClientErrorKind, IncomingResponse, OutgoingRequest, Retry};
use crate::message::{Body, Tunnel};
use crate::net::worker;

/// HTTP/1.1, as ALPN names it (RFC 7301 section 6).
pub(super) const ALPN: &[u8] = b"http/1.1";

/// Sends a request and waits for the response head. Cancel safe.
pub(super) async fn send(
    shared: &Arc<Shared>,
    request: OutgoingRequest,
) -> Result<IncomingResponse, ClientError> {
    let mut request = prepare(request, &shared.server)?;
    let upgrades = request.headers().contains_key(UPGRADE);
    let permit = shared.permit().await?;
    while !upgrades && let Some(mut live) = shared.take() {
        let again = spare(&request);
        match live.exchange(request, shared.config.response_timeout).await {
            Ok(response) => return shared.incoming(response, live, permit, upgrades),
            Err(Failed { unsent: Some(unsent), .. }) => request = unsent,
            Err(Failed { error, .. }) => match again {
                Some(again) if error.retry() == Retry::IfReused => {
                    request = again;
                    break;
                }
                _ => return Err(error),
            },
        }
    }
    let mut live = shared.connect().await?;
    match live.exchange(request, shared.config.response_timeout).await {
        Ok(response) => shared.incoming(response, live, permit, upgrades),
        Err(failed) => Err(failed.error),
    }
}

impl Shared {
    pub(super) fn open_connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    pub(super) fn busy(&self) -> usize {
        let exchanges = self.permits_max.saturating_sub(self.permits.available_permits());
        exchanges + self.tunnels.load(Relaxed)
    }

    /// Waits for the right to use a connection. Cancel safe.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, ClientError> {
        let Shared { permits, places, config, .. } = self;
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let exhausted = |detail| ClientError::unsent(ClientErrorKind::PoolExhausted, detail);
        let _place = places.try_acquire().map_err(|_| exhausted("max_waiting requests wait"))?;
        match timeout(config.max_wait, permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(exhausted("no connection came free within max_wait")),
        }
    }

    /// Takes a connection that was made elsewhere, as one at rest.
    pub(super) async fn adopt(self: &Arc<Self>, transport: Transport) {
        let counted = Counted::new(&self.open);
        // What breaks at once is as good as never made.
        if let Ok(live) = Live::new(transport, self.config.header_bytes, counted).await {
            self.rest(worker::index(), live);
        }
    }

    /// Cancel safe.
    async fn connect(&self) -> Result<Box<Live>, ClientError> {
        let Shared { server, config, open, .. } = self;
        if self.is_full() {
            // The permit says that a connection may be used, so one of those is at rest elsewhere.
            self.evict();
        }
        let counted = Counted::new(open);
        let transport = connect(server, &*config.egress.dialer, config.connect_timeout).await?;
        Live::new(transport, config.header_bytes, counted)
            .await
            .map_err(|error| ClientError::unsent(ClientErrorKind::Connect, describe(&error)))
    }

    fn incoming(
        self: &Arc<Self>,
        response: Response<Incoming>,
        mut live: Box<Live>,
        permit: OwnedSemaphorePermit,
        upgrades: bool,
    ) -> Result<IncomingResponse, ClientError> {
        let (head, incoming) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return self.switched(head, *live, upgrades);
        }
        if upgrades {
            live.retire();
        }
        let (reused, ended) = (live.is_reused(), incoming.is_end_stream());
        let content_length = content_length(&head.headers);
        let chunked = head.headers.contains_key(http::header::TRANSFER_ENCODING);
        let lease = Lease::new(live, self.clone(), permit);
        let body = if ended {
            lease.give_back();
            Body::Empty
        } else {
            let read_timeout = self.config.read_timeout;
            Body::Stream(Box::new(IncomingBody::new(incoming, lease, read_timeout)))
        };
        Ok(IncomingResponse {
            status: head.status,
            headers: head.headers,
            body,
            content_length,
            until_close: !ended && !chunked && content_length.is_none(),
            reused,
            protocol: protocol(head.version),
        })
    }

    /// The response that ends HTTP on a connection, where that was `asked` for.
    fn switched(
        &self,
        head: response::Parts,
        live: Live,
        asked: bool,
    ) -> Result<IncomingResponse, ClientError> {
        let reused = live.is_reused();
        let malformed = |detail: &str| {
            let (kind, detail) = (ClientErrorKind::Malformed, detail.to_owned());
            ClientError { kind, sent: true, reused, detail }
        };
        if !asked {
            return Err(malformed("a 101 that was not asked for"));
        }
        let mut named = head.headers.get_all(UPGRADE).iter();
        let (Some(named), None) = (named.next(), named.next()) else {
            return Err(malformed("a 101 without the one Upgrade that tells the protocol"));
        };
        let (stream, early) = live.leave_http().ok_or(malformed("a 101 before the request"))?;
        let mut tunnel = Tunnel::new(Box::new(stream), early, named.clone());
        tunnel.hold(Counted::new(&self.tunnels));
        Ok(IncomingResponse {
            status: head.status,
            headers: head.headers,
            body: Body::Tunnel(Box::new(tunnel)),
            content_length: None,
            until_close: false,
            reused,
            protocol: protocol(head.version),
        })
    }
}
