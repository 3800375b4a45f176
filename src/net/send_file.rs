//! From a file to a socket without a copy of ours: what stands on disk and leaves as it is.
//!
//! Only a bare socket can: TLS has to read what it encrypts. Measured beside a vectored write from
//! the map over loopback, see the rows `disk-64k` and `disk-10m` of the benchmark.

use std::any::Any;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::message::FilePart;

/// The bare socket that a transport is, if it is one.
pub(super) fn socket_of<IO: 'static>(io: &IO) -> Option<&TcpStream> {
    (io as &dyn Any).downcast_ref()
}

/// Sends up to `length` bytes from a file to a socket. Gives how many were taken; 0 where the file
/// ends.
pub(super) fn poll_send_file(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    part: &FilePart,
    length: usize,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let sent = socket.try_io(Interest::WRITABLE, || {
            let mut offset = part.offset;
            Ok(rustix::fs::sendfile(socket.as_fd(), part.file.as_fd(), Some(&mut offset), length)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_part_of_a_file_arrives_and_its_end_is_told() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert!(socket_of(&socket).is_some() && socket_of(&Box::new(7)).is_none());
        let send = async move {
            let mut part = FilePart { file: Arc::new(file), offset: 7 };
            loop {
                let sent = std::future::poll_fn(|cx| poll_send_file(&socket, cx, &part, 1 << 20));
                match sent.await.unwrap() {
                    0 => return,
                    sent => part.offset += sent as u64,
                }
            }
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(send, client.read_to_end(&mut received));
        read.unwrap();
        assert!(received == bytes[7..]);
    }
}
