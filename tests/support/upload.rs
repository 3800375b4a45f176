//! The reading half of the scripted origin: request heads and contents, as strict as a test wants.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

/// Bytes of a request head.
const LONGEST_HEAD: usize = 256 * 1024;

/// The head of a request as it came.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
}

impl RequestHead {
    /// The values of a field, joined as RFC 9110 section 5.3 has it; empty where there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        let lines = self.fields.iter().filter(|(field, _)| field == name);
        lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// What comes from the node.
pub(super) struct Reader {
    stream: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next request; `None` where the connection ends before one.
    pub(super) async fn head(&mut self) -> io::Result<Option<RequestHead>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return parse(&head).map(Some);
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(invalid("a head without end"));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads the content of `head` and gives its trailers.
    pub(super) async fn content(
        &mut self,
        head: &RequestHead,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<Vec<(String, String)>> {
        if head.field("transfer-encoding") == "chunked" {
            return self.chunks(take).await;
        }
        let length = head.field("content-length");
        if !length.is_empty() {
            let length = length.parse().map_err(|_| invalid("Content-Length is no number"))?;
            self.exactly(length, &mut take).await?;
        }
        Ok(Vec::new())
    }

    /// Waits for the end of the connection, while no request is expected.
    pub(super) async fn gone(&mut self) -> io::Error {
        match self.fill().await {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => invalid("a request before the response"),
            Err(error) => error,
        }
    }

    async fn chunks(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<Vec<(String, String)>> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).map_err(|_| invalid("chunk size"))?;
            if size == 0 {
                break;
            }
            self.exactly(size, &mut take).await?;
            if !self.line().await?.is_empty() {
                return Err(invalid("a chunk longer than it says"));
            }
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line().await?;
            match line.split_once(':') {
                None => return Ok(trailers),
                Some((name, value)) => {
                    trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, mut left: usize, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let now = left.min(self.buffer.len());
            take(&self.buffer[..now]);
            self.buffer.drain(..now);
            left -= now;
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }
}

fn parse(head: &[u8]) -> io::Result<RequestHead> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("the head is no text"))?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let (Some(method), Some(target), Some("HTTP/1.1")) = (first.next(), first.next(), first.next())
    else {
        return Err(invalid("the request line"));
    };
    let fields = lines.filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok(RequestHead {
        method: method.to_owned(),
        target: target.to_owned(),
        fields: fields.collect(),
    })
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, word)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
