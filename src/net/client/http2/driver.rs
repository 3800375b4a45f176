//! The task of one connection: bytes both ways, signs of life, and leaving when idle too long.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use h2::client::Connection;
use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::heard::Heard;
use super::links::Shared;
use crate::net::client::Http2Config;
use crate::net::client::connect::Counted;
use crate::net::timer::Timer;

/// Drives a connection until it has ended.
///
/// Dropping the future closes the connection and breaks off its exchanges.
pub(super) async fn drive(
    mut connection: Connection<Heard>,
    received: Arc<AtomicU64>,
    shared: Weak<Shared>,
    home: usize,
    id: u64,
    counted: Counted,
) {
    let Some((http2, idle_timeout)) =
        shared.upgrade().map(|shared| (shared.config.http2.clone(), shared.config.idle_timeout))
    else {
        return;
    };
    let mut vigil = connection.ping_pong().map(|pings| Vigil::new(pings, received, http2));
    let mut idle = Some(Timer::new(Instant::now() + idle_timeout));
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = Pin::new(&mut connection).poll(cx) {
            if let Err(error) = outcome {
                tracing::debug!(%error, "HTTP/2 connection to a server failed");
            }
            return Poll::Ready(());
        }
        if vigil.as_mut().is_some_and(|vigil| vigil.poll_silent(cx).is_ready()) {
            tracing::debug!("HTTP/2 connection to a server is dead: no answer to PING");
            return Poll::Ready(());
        }
        // Without the pool nobody sends any more, and the connection ends with its last exchange.
        if let Some(shared) = shared.upgrade() {
            shared.turn(home);
            while let Some(timer) = &mut idle
                && timer.poll_expired(cx).is_ready()
            {
                match shared.retire(home, id, Instant::now()) {
                    Some(again) => timer.set(again),
                    None => idle = None,
                }
            }
        }
        Poll::Pending
    })
    .await;
    drop((connection, counted));
    if let Some(shared) = shared.upgrade() {
        shared.closed(home, id);
    }
}

/// Asks a silent server for a sign of life.
struct Vigil {
    pings: PingPong,
    received: Arc<AtomicU64>,
    /// Bytes received when last looked at.
    heard: u64,
    /// Nothing has come since the server was asked.
    asked: bool,
    timer: Timer,
    config: Http2Config,
}

impl Vigil {
    fn new(pings: PingPong, received: Arc<AtomicU64>, config: Http2Config) -> Self {
        let timer = Timer::new(Instant::now() + config.ping_interval);
        Self { pings, received, heard: 0, asked: false, timer, config }
    }

    /// Ready once the server let a PING go unanswered. Whatever it sends is a sign of life, for the
    /// answer may be a long way behind bodies.
    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let received = self.received.load(Relaxed);
        if std::mem::replace(&mut self.heard, received) != received {
            self.asked = false;
            self.timer.set(Instant::now() + self.config.ping_interval);
        }
        loop {
            ready!(self.timer.poll_expired(cx));
            if std::mem::replace(&mut self.asked, true) {
                return Poll::Ready(());
            }
            // The answer to the last one makes room for the next; where that has yet to come the
            // next is not sent, and this wait is for the last.
            let _ = self.pings.poll_pong(cx);
            let _ = self.pings.send_ping(Ping::opaque());
            self.timer.set(Instant::now() + self.config.ping_timeout);
        }
    }
}
