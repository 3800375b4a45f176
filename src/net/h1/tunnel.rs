//! A connection that has left HTTP (RFC 9110 section 7.8): bytes go both ways, untouched.
//!
//! ```text
//!  client ──▶ Flow ──▶ server      read on the stack, written at once;
//!         ◀── Flow ◀──             what is not taken waits in `left`
//! ```
//!
//! A tunnel at rest holds no buffer. One whose reader is slow holds what was read once, and reads
//! no more on the other side until that is taken. The end of what one side sends is passed on, and
//! the other may still send; who breaks off has the other side cut.
//!
//! Nobody is held to a pace here: protocols that push may be silent for long. Only where both sides
//! stand still for `tunnel_idle_timeout` is the tunnel given up. A drain waits for it as long as it
//! waits for anything, for there is no way to ask the two to come to an end.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, End};
use crate::message::Tunnel;
use crate::net::{Handler, Outcome};

/// Bytes of one read.
const READ: usize = 16 * 1024;

/// Bytes on their way from one side to the other.
struct Flow {
    /// What was read and is not taken yet.
    left: Bytes,
    step: Step,
    unflushed: bool,
    /// Bytes taken since this was last asked.
    moved: u64,
}

#[derive(Clone, Copy)]
enum Step {
    Moving,
    /// The end has come, and is still to be passed on.
    Ending,
    Over(Result<(), Broken>),
}

/// Why a flow ended before its end.
#[derive(Clone, Copy)]
enum Broken {
    Reading,
    Writing,
}

impl Flow {
    fn new(left: Bytes) -> Self {
        Self { left, step: Step::Moving, unflushed: false, moved: 0 }
    }

    /// Moves what can be moved. Ready once nothing more is, and the end is passed on.
    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin + ?Sized),
        to: &mut (impl AsyncWrite + Unpin + ?Sized),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            match self.step {
                Step::Moving => match ready!(self.poll_move(from, to, cx)) {
                    Ok(()) => {}
                    Err(broken) => self.step = Step::Over(Err(broken)),
                },
                Step::Ending => {
                    let ended = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.step = Step::Over(ended.map_err(|_| Broken::Writing));
                }
                Step::Over(result) => return Poll::Ready(result),
            }
        }
    }

    /// Passes one read on, after what was left of the last.
    fn poll_move(
        &mut self,
        from: &mut (impl AsyncRead + Unpin + ?Sized),
        to: &mut (impl AsyncWrite + Unpin + ?Sized),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let writing = |_| Broken::Writing;
        let mut left = std::mem::take(&mut self.left);
        left.advance(self.write(&left, to, cx).map_err(writing)?);
        if !left.is_empty() {
            self.left = left;
            return Poll::Pending;
        }
        let mut bytes = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut bytes);
        match Pin::new(from).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) if read.filled().is_empty() => self.step = Step::Ending,
            Poll::Ready(Ok(())) => {
                let taken = self.write(read.filled(), to, cx).map_err(writing)?;
                self.left = Bytes::copy_from_slice(&read.filled()[taken..]);
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Reading)),
            Poll::Pending => {
                if self.unflushed {
                    ready!(Pin::new(to).poll_flush(cx)).map_err(writing)?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is taken of `bytes` now; the task is woken when more of them may be.
    fn write(
        &mut self,
        bytes: &[u8],
        to: &mut (impl AsyncWrite + Unpin + ?Sized),
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match Pin::new(&mut *to).poll_write(cx, &bytes[taken..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => taken += written?,
                Poll::Pending => break,
            }
        }
        self.unflushed |= taken > 0;
        self.moved += taken as u64;
        Ok(taken)
    }
}

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    /// Carries bytes both ways until both sides are done, one breaks off, or neither goes on.
    pub(super) async fn tunnel(&mut self, mut tunnel: Tunnel) -> End {
        if let Err(end) = self.flush().await {
            return end;
        }
        self.patience.stop_sending();
        self.patience.stop_taking();
        self.patience.stop_reviews();
        self.patience.wait_for(self.limits.tunnel_idle_timeout);
        // The client may not have waited for the 101.
        let mut up = Flow::new(std::mem::take(&mut self.input.buffer).freeze());
        let mut down = Flow::new(std::mem::take(&mut tunnel.early));
        let end = poll_fn(|cx| self.poll_tunnel(&mut tunnel, &mut up, &mut down, cx)).await;
        match end {
            End::Done | End::Linger => self.out.finish(Outcome::Complete),
            End::Cut => self.out.finish(Outcome::Truncated),
            End::Broken | End::Gone | End::Refused(_) => {}
        }
        end
    }

    fn poll_tunnel(
        &mut self,
        tunnel: &mut Tunnel,
        up: &mut Flow,
        down: &mut Flow,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        let upward = up.poll(&mut self.io, &mut tunnel.stream, cx);
        let downward = down.poll(&mut tunnel.stream, &mut self.io, cx);
        self.out.passed(down.moved);
        if std::mem::take(&mut up.moved) + std::mem::take(&mut down.moved) > 0 {
            self.patience.wait_for(self.limits.tunnel_idle_timeout);
        }
        match (upward, downward) {
            (Poll::Ready(Err(Broken::Reading)), _) => Poll::Ready(End::Gone),
            (_, Poll::Ready(Err(Broken::Writing))) => Poll::Ready(End::Gone),
            (_, Poll::Ready(Err(Broken::Reading))) => Poll::Ready(End::Cut),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(End::Done),
            // The server has said all that it had to say, and takes nothing any more.
            (Poll::Ready(Err(Broken::Writing)), Poll::Ready(Ok(()))) => Poll::Ready(End::Linger),
            // Where only writing to the server fails, it may have said something before it left.
            _ => self.patience.poll(cx).map(|_| End::Cut),
        }
    }
}
