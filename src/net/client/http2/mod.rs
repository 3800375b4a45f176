//! HTTP/2: few connections, many exchanges at a time on each.
//!
//! ```text
//! Shared ─ loops[i] ─ List ┬─ links     connections of event loop i, oldest first
//!                          ├─ opening   connects under way
//!                          └─ waiting   requests for which no stream is free, in their order
//!
//! Link ─ driver    one task: reads, writes, asks for signs of life, leaves when idle too long
//! Slot             the right to one stream of one link, from request to end of response
//! ```
//!
//! A request takes a stream of the first link that has one left, so that surplus links fall idle
//! and leave. Where none has, it waits, and a link is opened if those being opened are spoken for.
//! A stream that comes free goes to whoever waited longest. Each list has a lock of its own, never
//! held across an await; nothing of the engine that runs under it calls back.
//!
//! Where the server may agree to HTTP/1.1 instead, each fresh connection finds out. One that does
//! goes to the pool of `http1`, and so do the requests that wait; and all others, as long as there
//! is no link and that pool has connections.
//!
//! Uses the engine below hyper's client, `h2`, and not that client: only the engine's handle tells
//! how many streams the server allows now and whether it said GOAWAY, which the choice of a link
//! depends on; and hyper takes a body that was reset without an error for whole.

mod clock;
mod driver;
mod exchange;
mod heard;
mod incoming;
mod links;
mod open;
mod request;
mod upload;

use std::sync::Arc;

use http::header::UPGRADE;

use self::exchange::{Failed, exchange};
pub(super) use self::links::Shared;
use self::request::{prepare, spare};
use super::{
    ClientError, ClientErrorKind, IncomingResponse, OutgoingRequest, PoolConfig, Retry, Server,
    http1,
};

/// How often a request is sent again before the failure is told.
const REPEATS: usize = 2;

/// A pool without connections as yet; `http1` serves where the server agrees to HTTP/1.1 only.
pub(super) fn pool(
    server: &Server,
    config: PoolConfig,
    http1: Option<Arc<http1::Shared>>,
) -> Arc<Shared> {
    let connect = |shared, home| drop(tokio::spawn(open::open(shared, home)));
    let offered: &[&[u8]] =
        if http1.is_some() { &[open::ALPN, http1::ALPN] } else { &[open::ALPN] };
    Arc::new(Shared::new(server.with_alpn(offered), config, http1, connect))
}

/// Sends a request and waits for the response head. Cancel safe.
pub(super) async fn send(
    shared: &Arc<Shared>,
    mut request: OutgoingRequest,
) -> Result<IncomingResponse, ClientError> {
    // RFC 9110 section 7.8: only a connection of HTTP/1.1 can be upgraded.
    if let Some(http1) = &shared.http1
        && (shared.has_agreed_to_http1() || request.headers.contains_key(UPGRADE))
    {
        return http1::send(http1, request).await;
    }
    let mut slot = match (shared.slot().await, &shared.http1) {
        (Err(error), Some(http1)) if error.kind == ClientErrorKind::Protocol => {
            return http1::send(http1, request).await;
        }
        (slot, _) => slot?,
    };
    let on_interim = request.on_interim.take();
    let mut request = prepare(request, &shared.server)?;
    let mut repeats = 0;
    loop {
        let again = spare(&request);
        let exchange = exchange(slot, request, on_interim.as_ref(), &shared.config);
        let Failed { error, unsent } = match exchange.await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        repeats += 1;
        request = match unsent.or(again) {
            Some(request) if may_repeat(&error, &request, repeats) => request,
            _ => return Err(error),
        };
        slot = shared.slot().await?;
    }
}

/// RFC 9113 section 8.7: what was not processed may be sent again. RFC 9110 section 9.2.2: so may,
/// once, an idempotent request that met the end of a kept connection.
fn may_repeat(error: &ClientError, request: &request::Prepared, repeats: usize) -> bool {
    match error.retry() {
        Retry::Yes => repeats <= REPEATS,
        Retry::IfReused => repeats == 1 && request.method().is_idempotent(),
        Retry::No => false,
    }
}
