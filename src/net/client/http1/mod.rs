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
//! Uses hyper's connection, nothing of its pool.

mod idle;
mod incoming;
mod live;
mod outgoing;
mod request;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::Response;
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
use crate::message::Body;
use crate::net::worker;

/// HTTP/1.1, as ALPN names it (RFC 7301 section 6).
pub(super) const ALPN: &[u8] = b"http/1.1";

/// Sends a request and waits for the response head. Cancel safe.
pub(super) async fn send(
    shared: &Arc<Shared>,
    request: OutgoingRequest,
) -> Result<IncomingResponse, ClientError> {
    let mut request = prepare(request, &shared.server)?;
    let permit = shared.permit().await?;
    while let Some(mut live) = shared.take() {
        let again = spare(&request);
        match live.exchange(request, shared.config.response_timeout).await {
            Ok(response) => return Ok(shared.incoming(response, live, permit)),
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
        Ok(response) => Ok(shared.incoming(response, live, permit)),
        Err(failed) => Err(failed.error),
    }
}

impl Shared {
    pub(super) fn open_connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    pub(super) fn busy(&self) -> usize {
        self.permits_max.saturating_sub(self.permits.available_permits())
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
        live: Box<Live>,
        permit: OwnedSemaphorePermit,
    ) -> IncomingResponse {
        let (head, incoming) = response.into_parts();
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
        IncomingResponse {
            status: head.status,
            headers: head.headers,
            body,
            content_length,
            until_close: !ended && !chunked && content_length.is_none(),
            reused,
            protocol: protocol(head.version),
        }
    }
}
