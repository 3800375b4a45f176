//! The end of a connection: the last response, and a close that does not destroy it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::encode::Asked;
use super::{Connection, End, Rest};
use crate::message::Protocol;
use crate::net::{Fault, Handler, Outcome};

/// How long a client may go on sending to a connection that is closed for it.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that it may send meanwhile.
const LINGER_MAX: usize = 512 * 1024;

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// Sends what is owed and closes. Gives a transport back that is to be reset.
    pub(super) async fn close(mut self, end: End) -> Option<IO> {
        let end = match end {
            End::Refused(fault) => self.refuse(fault).await,
            end => end,
        };
        let end = match end {
            End::Gone | End::Broken => end,
            end => self.flush().await.err().unwrap_or(end),
        };
        match end {
            End::Gone => return None,
            End::Cut | End::Broken => return Some(self.io),
            _ => {}
        }
        self.patience.wait_for(LINGER);
        self.shut_down().await?;
        if end == End::Linger {
            self.linger().await;
        }
        None
    }

    async fn refuse(&mut self, fault: Fault) -> End {
        let minor = match self.peer.protocol {
            Protocol::Http1 { minor } => minor,
            Protocol::Http2 | Protocol::Http3 => 1,
        };
        let head = self.input.asks_head;
        let asked = Asked { head, minor, persistent: false, takes_trailers: false };
        self.patience.wait_for(self.limits.header_timeout);
        self.out.mark();
        let reply = self.out.handler().refuse(&self.peer, fault);
        let outcome = match self.begin(reply, asked).rest {
            Rest::Ended(outcome) => Ok(outcome),
            Rest::Stream(sender) => self.stream(sender).await,
            // To refuse is not to switch.
            Rest::Tunnel(_) => Ok(Outcome::Truncated),
        };
        match outcome {
            Err(end) => end,
            Ok(outcome) => {
                self.out.finish(outcome);
                if outcome == Outcome::Complete { End::Linger } else { End::Cut }
            }
        }
    }

    /// Ends our side of the transport; `None` if that fails.
    async fn shut_down(&mut self) -> Option<()> {
        let Self { io, patience, .. } = self;
        poll_fn(|cx| match Pin::new(&mut *io).poll_shutdown(cx) {
            Poll::Ready(done) => Poll::Ready(done.ok()),
            Poll::Pending => patience.poll(cx).map(|_| None),
        })
        .await
    }

    /// RFC 9112 section 9.6: reads on for a while. To close a socket with unread input resets it,
    /// and a reset may take the response from the client before it was read.
    async fn linger(&mut self) {
        let mut left = LINGER_MAX;
        while !self.input.closed && left > 0 {
            self.input.buffer.clear();
            if self.read_more().await.is_err() {
                break;
            }
            left = left.saturating_sub(self.input.buffer.len());
        }
    }
}
