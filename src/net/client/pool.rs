//! The pool: a permit, a connection at rest or a fresh one, an exchange.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::Response;
use hyper::body::{Body as _, Incoming};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::connect::connect;
use super::error::describe;
use super::idle::{Lease, Shared};
use super::incoming::IncomingBody;
use super::live::{Counted, Failed, Live};
use super::request::{content_length, http_minor, prepare, spare};
use super::{ClientError, ClientErrorKind, IncomingResponse, OutgoingRequest, Retry, Server};
use crate::message::Body;

/// Limits of a pool; each is for one server.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Connections, over all event loops; 0: no limit. Default: 256.
    pub max_connections: usize,
    /// Requests that may wait for a connection to come free. Default: 1024.
    pub max_waiting: usize,
    /// How long such a request waits. Default: 5 s.
    pub max_wait: Duration,
    /// Connections at rest that each event loop keeps. Default: 32.
    pub max_idle: usize,
    /// How long a connection may rest. Default: 50 s, below the 60 to 75 s of usual servers.
    pub idle_timeout: Duration,
    /// For name resolution, TCP and TLS together. Default: 2 s.
    pub connect_timeout: Duration,
    /// From the request (or the last part of its content) to the response head. Default: 30 s.
    pub response_timeout: Duration,
    /// Between the bytes of a response body, while they are waited for. Default: 30 s.
    pub read_timeout: Duration,
    /// Bytes of a response head, and of body read at once; at least 8 KiB. Default: 128 KiB.
    pub header_bytes: usize,
    /// Event loops that use the pool. Default: 1.
    pub loops: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_waiting: 1024,
            max_wait: Duration::from_secs(5),
            max_idle: 32,
            idle_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            header_bytes: 128 * 1024,
            loops: 1,
        }
    }
}

/// Keep-alive connections to one server. Clones share them.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

impl Pool {
    /// A pool without connections as yet.
    pub fn new(server: Server, config: PoolConfig) -> Self {
        Self(Arc::new(Shared::new(server, config)))
    }

    /// Connections that are open, idle ones included.
    pub fn open_connections(&self) -> usize {
        self.0.open.load(Relaxed)
    }

    /// Connections that are in use.
    pub fn busy(&self) -> usize {
        self.0.permits_max.saturating_sub(self.0.permits.available_permits())
    }

    /// Sends a request and waits for the response head.
    ///
    /// A kept connection that turns out closed is replaced unseen: always if nothing was sent, and
    /// once by a fresh one if the method is idempotent and the content is at hand.
    ///
    /// Cancel safe: dropping the future gives up its place in the queue and closes the connection
    /// in use. The server may have got the request.
    pub async fn send(&self, request: OutgoingRequest) -> Result<IncomingResponse, ClientError> {
        let shared = &self.0;
        let mut request = prepare(request, &shared.server)?;
        let permit = self.permit().await?;
        while let Some(mut live) = shared.take() {
            let again = spare(&request);
            match live.exchange(request, shared.config.response_timeout).await {
                Ok(response) => return Ok(self.incoming(response, live, permit)),
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
        let mut live = self.connect().await?;
        match live.exchange(request, shared.config.response_timeout).await {
            Ok(response) => Ok(self.incoming(response, live, permit)),
            Err(failed) => Err(failed.error),
        }
    }

    /// Waits for the right to use a connection. Cancel safe.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, ClientError> {
        let Shared { permits, places, config, .. } = &*self.0;
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

    /// Cancel safe.
    async fn connect(&self) -> Result<Box<Live>, ClientError> {
        let Shared { server, config, open, .. } = &*self.0;
        if self.0.is_full() {
            // The permit says that a connection may be used, so one of those is at rest elsewhere.
            self.0.evict();
        }
        let counted = Counted::new(open);
        let transport = connect(server, config.connect_timeout).await?;
        Live::new(transport, config.header_bytes, counted)
            .await
            .map_err(|error| ClientError::unsent(ClientErrorKind::Connect, describe(&error)))
    }

    fn incoming(
        &self,
        response: Response<Incoming>,
        live: Box<Live>,
        permit: OwnedSemaphorePermit,
    ) -> IncomingResponse {
        let (head, incoming) = response.into_parts();
        let (reused, ended) = (live.is_reused(), incoming.is_end_stream());
        let content_length = content_length(&head.headers);
        let chunked = head.headers.contains_key(http::header::TRANSFER_ENCODING);
        let lease = Lease::new(live, self.0.clone(), permit);
        let body = if ended {
            lease.give_back();
            Body::Empty
        } else {
            let read_timeout = self.0.config.read_timeout;
            Body::Stream(Box::new(IncomingBody::new(incoming, lease, read_timeout)))
        };
        IncomingResponse {
            status: head.status,
            headers: head.headers,
            body,
            content_length,
            until_close: !ended && !chunked && content_length.is_none(),
            reused,
            http_minor: http_minor(head.version),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("server", &self.0.server).finish_non_exhaustive()
    }
}
