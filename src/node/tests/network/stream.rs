//! One end of a connection, as engines and pools use it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::{End, Network, PIPE, Piece};
use crate::net::Reset;
use crate::node::tests::time::{instant, now};

/// One end of a connection.
pub(crate) struct Stream {
    network: Network,
    id: u64,
    side: usize,
    /// Rings when the next piece is due.
    alarm: Option<Pin<Box<Sleep>>>,
    is_reset: AtomicBool,
}

impl Stream {
    pub(super) fn new(network: Network, id: u64, side: usize) -> Self {
        Self { network, id, side, alarm: None, is_reset: AtomicBool::new(false) }
    }

    /// Reads what is due; else says when that is, if it is known.
    fn read(&self, buffer: &mut ReadBuf<'_>, cx: &Context<'_>) -> Result<Option<Waker>, Wait> {
        let mut state = self.network.0.lock();
        let Some(connection) = state.connections.get_mut(&self.id) else {
            return Err(Wait::Failed(ErrorKind::ConnectionReset));
        };
        let pipe = &mut connection.pipes[1 - self.side];
        pipe.reader = Some(cx.waker().clone());
        let Some((due, piece)) = pipe.pieces.front_mut() else { return Err(Wait::Unknown) };
        let Some(due) = *due else { return Err(Wait::Unknown) };
        if due > now() {
            return Err(Wait::Until(due));
        }
        match piece {
            Piece::End => return Ok(None),
            Piece::Reset => return Err(Wait::Failed(ErrorKind::ConnectionReset)),
            Piece::Data(bytes) => {
                let count = bytes.len().min(buffer.remaining());
                buffer.put_slice(&bytes[..count]);
                bytes.advance(count);
                let is_empty = bytes.is_empty();
                pipe.bytes -= count;
                if is_empty {
                    pipe.pieces.pop_front();
                }
            }
        }
        Ok(pipe.writer.take())
    }

    fn write(&self, bytes: &[u8], cx: &Context<'_>) -> Poll<io::Result<(usize, Vec<Waker>)>> {
        let mut state = self.network.0.lock();
        let broken = || Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        let Some(connection) = state.connections.get_mut(&self.id) else { return broken() };
        let is_reset = |(due, piece): &(Option<Duration>, Piece)| {
            matches!(piece, Piece::Reset) && due.is_some_and(|due| due <= now())
        };
        if connection.pipes[1 - self.side].pieces.iter().any(is_reset) {
            return broken();
        }
        let pipe = &mut connection.pipes[self.side];
        let room = PIPE.saturating_sub(pipe.bytes);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let is_gone = connection.ends[1 - self.side] == End::Gone;
        let count = bytes.len().min(room);
        let mut wakers = Vec::new();
        if is_gone {
            // Nobody is there to take it, and that is said.
            wakers.extend(state.send(self.id, 1 - self.side, Piece::Reset));
            return Poll::Ready(Ok((count, wakers)));
        }
        let random = &mut pipe.random;
        let split = if count > 1 && random.u8(..8) == 0 { random.usize(1..count) } else { count };
        for part in [&bytes[..split], &bytes[split..count]] {
            if !part.is_empty() {
                let piece = Piece::Data(Bytes::copy_from_slice(part));
                wakers.extend(state.send(self.id, self.side, piece));
            }
        }
        Poll::Ready(Ok((count, wakers)))
    }
}

/// Why nothing was read.
enum Wait {
    Until(Duration),
    Unknown,
    Failed(ErrorKind),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.read(buffer, cx) {
                Ok(writer) => {
                    writer.into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(()));
                }
                Err(Wait::Failed(kind)) => return Poll::Ready(Err(kind.into())),
                Err(Wait::Unknown) => return Poll::Pending,
                Err(Wait::Until(due)) => {
                    let due = instant(due);
                    let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
                    alarm.as_mut().reset(due);
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes, cx).map_ok(|(count, wakers)| {
            wakers.into_iter().for_each(Waker::wake);
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = self.network.0.lock().send(self.id, self.side, Piece::End);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Reset for Stream {
    fn reset(&self) -> io::Result<()> {
        self.is_reset.store(true, Relaxed);
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let wakers = self.network.0.lock().leave(self.id, self.side, self.is_reset.load(Relaxed));
        wakers.into_iter().for_each(Waker::wake);
    }
}
