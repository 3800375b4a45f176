//! Which protocol a cleartext client speaks: HTTP/2 by prior knowledge begins with a preface that
//! no HTTP/1 request begins with.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first read: most request heads, so that the engine need not read again.
const FIRST_READ: usize = 4 * 1024;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Judges the first bytes of a connection; `None` while more are needed. The first byte that is not
/// the preface's decides, so a request of HTTP/1 never waits.
pub(crate) fn judge(first: &[u8]) -> Option<Version> {
    let length = first.len().min(PREFACE.len());
    if first[..length] != PREFACE[..length] {
        Some(Version::Http1)
    } else if length == PREFACE.len() {
        Some(Version::Http2)
    } else {
        None
    }
}

/// Reads until the protocol is known. What was read belongs to the engine. `None` if the client
/// closed without a word; a preface that breaks off is left to HTTP/1, which will refuse it.
///
/// Not cancel safe: bytes already read are lost, so the connection has to be closed.
pub(crate) async fn sniff<IO: AsyncRead + Unpin>(
    io: &mut IO,
) -> io::Result<Option<(Version, BytesMut)>> {
    let mut first = BytesMut::with_capacity(FIRST_READ);
    loop {
        let count = io.read_buf(&mut first).await?;
        if first.is_empty() {
            return Ok(None);
        }
        let end = (count == 0).then_some(Version::Http1);
        if let Some(version) = judge(&first).or(end) {
            return Ok(Some((version, first)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn the_first_foreign_byte_decides() {
        for length in 0..PREFACE.len() {
            assert_eq!(judge(&PREFACE[..length]), None);
            let mut other = PREFACE[..=length].to_vec();
            other[length] ^= 0x20;
            assert_eq!(judge(&other), Some(Version::Http1));
        }
        assert_eq!(judge(PREFACE), Some(Version::Http2));
        assert_eq!(judge(&[PREFACE, b"\0\0"].concat()), Some(Version::Http2));
        assert_eq!(judge(b"G"), Some(Version::Http1));
        assert_eq!(judge(b"PUT /"), Some(Version::Http1));
    }

    async fn sniffed(parts: &[&[u8]]) -> Option<(Version, BytesMut)> {
        let (mut client, mut server) = tokio::io::duplex(8);
        let send = async move {
            for part in parts {
                client.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (found, ()) = tokio::join!(sniff(&mut server), send);
        found.unwrap()
    }

    #[tokio::test]
    async fn bytes_come_in_any_pieces() {
        let parts: Vec<_> = PREFACE.chunks(1).collect();
        assert_eq!(sniffed(&parts).await, Some((Version::Http2, BytesMut::from(PREFACE))));
        assert_eq!(sniffed(&[b"P", b"O"]).await, Some((Version::Http1, BytesMut::from("PO"))));
        assert_eq!(sniffed(&[b"PRI"]).await, Some((Version::Http1, BytesMut::from("PRI"))));
        assert_eq!(sniffed(&[]).await, None);
    }
}
