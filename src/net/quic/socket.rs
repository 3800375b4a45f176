//! One UDP socket: datagrams in by recvmmsg and GRO, out by GSO.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use quinn_proto::{EcnCodepoint, Transmit};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::net::sys;

/// Asked of the kernel, which may give less: room for the bursts of many connections.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;
/// The longest datagram taken; longer ones are cut by the kernel and dropped as malformed.
pub(super) const DATAGRAM: usize = 1500;
/// Bytes that one segmented send may hold: a UDP length, less the headers.
const SEGMENTED: usize = 65_000;

/// A bound socket, registered with the event loop it was made on.
///
/// Only its readability is watched: on loopback and fast links each datagram that leaves the send
/// buffer would be an event of its own, and none of them is of use unless a send has failed.
#[derive(Debug)]
pub(super) struct Socket {
    io: AsyncFd<UdpSocket>,
    /// Watches for room, while a send waits for it.
    room: Option<AsyncFd<UdpSocket>>,
    state: UdpSocketState,
    buffer: Box<[u8]>,
}

/// A received run of datagrams of equal length (the last may be shorter) from one client.
pub(super) struct Received {
    pub(super) meta: RecvMeta,
    pub(super) bytes: BytesMut,
}

impl Socket {
    /// Takes a bound socket over. Larger kernel buffers are asked for, not demanded.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        for result in [
            state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER),
            state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER),
        ] {
            if let Err(error) = result {
                tracing::debug!(%error, "UDP socket buffers left at the system's default");
            }
        }
        let buffer = vec![0; BATCH_SIZE * state.gro_segments() * DATAGRAM].into();
        let io = watch(socket, Interest::READABLE)?;
        Ok(Self { io, room: None, state, buffer })
    }

    /// Whether the path's MTU may be probed: the kernel must not fragment behind our back.
    pub(super) fn may_probe_mtu(&self) -> bool {
        !self.state.may_fragment()
    }

    /// How many datagrams of `size` bytes one send may hold.
    pub(super) fn segments(&self, size: u16) -> usize {
        self.state.max_gso_segments().min(SEGMENTED / usize::from(size)).max(1)
    }

    /// Receives one batch into `out`.
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Received>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut readable = ready!(self.io.poll_read_ready(cx))?;
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut slices = self.buffer.chunks_exact_mut(self.buffer.len() / BATCH_SIZE);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(slices.next().unwrap_or_default()));
            let socket = UdpSockRef::from(self.io.get_ref());
            let count = match self.state.recv(socket, &mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    readable.clear_ready();
                    continue;
                }
                // ICMP errors are anybody's to forge, and say nothing of the other connections.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => continue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if count < BATCH_SIZE {
                // The queue was empty; whatever comes from now on is a new event.
                readable.clear_ready();
            }
            out.extend(
                metas.into_iter().zip(&slices).take(count).map(|(meta, slice)| Received {
                    meta,
                    bytes: BytesMut::from(&slice[..meta.len]),
                }),
            );
            return Poll::Ready(Ok(()));
        }
    }

    /// Sends `contents` as `transmit` says. False if the socket cannot take it now: ask
    /// [`poll_room`](Self::poll_room), then repeat. All other failures are losses, which
    /// QUIC repairs.
    pub(super) fn send(&self, transmit: &Transmit, contents: &[u8]) -> bool {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
            contents: &contents[..transmit.size],
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        let sent = self.state.send(UdpSockRef::from(self.io.get_ref()), &transmit);
        !sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Blocks until a send may succeed, for `longest` at most; the time that is left of it.
    pub(super) fn wait_for_room(&self, longest: Duration) -> Duration {
        sys::wait_until_writable(self.io.get_ref(), longest)
    }

    /// Ready once a send may succeed. An error means that the wait is impossible.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.room.is_none() {
            let socket = self.io.get_ref().try_clone()?;
            self.room = Some(watch(socket, Interest::WRITABLE)?);
        }
        if let Some(room) = &self.room {
            // The registration ends with the wait, so its readiness need not be cleared.
            let _ready = ready!(room.poll_write_ready(cx))?;
        }
        self.room = None;
        Poll::Ready(Ok(()))
    }
}

#[expect(deprecated, reason = "sound: a UdpSocket keeps its descriptor; the other way is unsafe")]
fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, interest)
}

/// The marking in the words of the state machine.
pub(super) fn ecn(meta: &RecvMeta) -> Option<EcnCodepoint> {
    meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8))
}
