//! A connection spoken by hand, for what no sound client would say or show.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// Bytes out, bytes in.
pub(crate) struct Wire {
    stream: TcpStream,
    pub(crate) came: Vec<u8>,
}

impl Wire {
    /// Connects in clear.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.unwrap())
    }

    /// The other end of one.
    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream, came: Vec::new() }
    }

    /// Says it; the other side may have closed.
    pub(crate) async fn say(&mut self, text: &str) {
        // What comes back tells how it was taken.
        let _closed = self.stream.write_all(text.as_bytes()).await.is_err();
    }

    /// Says no more.
    pub(crate) async fn say_no_more(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads until `text` has come, and takes all up to its end.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.came, text.as_bytes()) {
                let taken: Vec<u8> = self.came.drain(..at + text.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            let read = within(text, self.stream.read_buf(&mut self.came)).await;
            let came = String::from_utf8_lossy(&self.came);
            assert_ne!(read.unwrap_or(0), 0, "ended before {text:?}: {came:?}");
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        while within("the end", self.stream.read_buf(&mut self.came)).await.unwrap_or(0) > 0 {}
        String::from_utf8(std::mem::take(&mut self.came)).unwrap()
    }

    /// Reads the head and the body of a response with `Content-Length`.
    pub(crate) async fn response(&mut self) -> (String, String) {
        let head = self.until("\r\n\r\n").await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap_or("0").parse().unwrap();
        while self.came.len() < length {
            assert_ne!(within("a body", self.stream.read_buf(&mut self.came)).await.unwrap(), 0);
        }
        (head, String::from_utf8(self.came.drain(..length).collect()).unwrap())
    }
}
