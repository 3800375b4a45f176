//! An HTTP/3 client: for trying a node out and for measuring one.
//!
//! One connection, requests side by side, no retries, no pool. Over quinn, with the formats of the
//! server.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use quinn::crypto::rustls::QuicClientConfig;

use super::code::Code;
use super::frame::{self, Frame, FrameReader, kind};
use super::{control, qpack};

/// The largest head of a response taken.
const LONGEST_HEAD: usize = 256 * 1024;

/// A connection to one server.
#[derive(Debug)]
pub struct Client {
    connection: quinn::Connection,
    /// RFC 9114 section 6.2.1: it stays open as long as the connection.
    _control: quinn::SendStream,
    // Dropped last: it carries the connection.
    _endpoint: quinn::Endpoint,
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// Host and port, as `:authority`.
    pub authority: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Further fields.
    pub fields: &'a HeaderMap,
}

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// The final status.
    pub status: StatusCode,
    /// The fields.
    pub fields: HeaderMap,
    /// The trailer section, once the body has been read to its end.
    pub trailers: HeaderMap,
    /// Interim responses that came before this one.
    pub interim: Vec<StatusCode>,
    messages: Messages,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No socket, or no connection could be begun.
    #[error("connect: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection was lost.
    #[error("connection: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// The server reset the stream, or wants no more of the request.
    #[error("stream reset with code {0:#x}")]
    Reset(u64),
    /// The server broke a rule of the protocol.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
}

impl Client {
    /// Connects to `address` as `server_name`. `tls` is given ALPN `h3` here.
    pub async fn connect(
        address: SocketAddr,
        server_name: &str,
        mut tls: rustls::ClientConfig,
    ) -> Result<Self, ClientError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Connect(error);
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| failed(error.into()))?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0; 8], 0).into(),
        };
        let endpoint = quinn::Endpoint::client(any).map_err(|error| failed(error.into()))?;
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint
            .connect_with(config, address, server_name)
            .map_err(|error| failed(error.into()))?;
        let connection = connecting.await?;
        let mut control = connection.open_uni().await?;
        let mut opening = Vec::new();
        control::put_opening(&mut opening, LONGEST_HEAD as u64);
        control.write_chunk(opening.into()).await.map_err(write_error)?;
        Ok(Self { connection, _control: control, _endpoint: endpoint })
    }

    /// Sends a request and waits for the head of its response.
    pub async fn send(&self, head: &Head<'_>, body: Bytes) -> Result<Response, ClientError> {
        let (mut send, receive) = self.connection.open_bi().await?;
        let mut out = BytesMut::new();
        put_request(&mut out, head);
        if !body.is_empty() {
            frame::put_header(&mut out, kind::DATA, body.len() as u64);
        }
        let mut chunks = [out.freeze(), body];
        let sent = match send.write_all_chunks(&mut chunks).await {
            Ok(()) => send.finish().map_err(|_| ClientError::Malformed("stream closed early")),
            Err(error) => Err(write_error(error)),
        };
        let messages = Messages::new(receive);
        match (messages.response().await, sent) {
            (Ok(response), _) => Ok(response),
            // RFC 9114 section 4.1: a server may answer, then stop the request's content.
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }

    /// The QUIC connection.
    pub fn connection(&self) -> &quinn::Connection {
        &self.connection
    }

    /// Closes the connection and waits until the server can know.
    pub async fn close(self) {
        self.connection.close(code(Code::NO_ERROR), b"");
        self._endpoint.wait_idle().await;
    }
}

impl Response {
    /// The next piece of the body; `None` after its sound end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        match self.messages.next().await? {
            Some(Frame::Data(data)) => Ok(Some(data)),
            Some(Frame::Whole(kind::HEADERS, section)) => {
                self.trailers = decode(&section)?.1;
                match self.messages.next().await? {
                    None => Ok(None),
                    Some(_) => Err(ClientError::Malformed("a frame after the trailers")),
                }
            }
            Some(_) => Err(ClientError::Malformed("unexpected frame")),
            None => Ok(None),
        }
    }

    /// The whole body, or what is left of it.
    pub async fn body(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Gives up on the rest of the body.
    pub fn cancel(mut self) {
        // Fails only if the body has ended.
        let _ = self.messages.stream.stop(code(Code::REQUEST_CANCELLED));
    }
}

/// The frames of one stream.
#[derive(Debug)]
struct Messages {
    stream: quinn::RecvStream,
    reader: FrameReader,
    input: Bytes,
}

impl Messages {
    fn new(stream: quinn::RecvStream) -> Self {
        Self { stream, reader: FrameReader::new(LONGEST_HEAD), input: Bytes::new() }
    }

    async fn next(&mut self) -> Result<Option<Frame>, ClientError> {
        loop {
            if let Some(frame) = self.reader.read(&mut self.input) {
                return Ok(Some(frame));
            }
            match self.stream.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => self.input = chunk.bytes,
                Ok(None) if self.reader.is_between_frames() => return Ok(None),
                Ok(None) => return Err(ClientError::Malformed("frame cut short")),
                Err(quinn::ReadError::Reset(code)) => return Err(ClientError::Reset(code.into())),
                Err(quinn::ReadError::ConnectionLost(error)) => return Err(error.into()),
                Err(_) => return Err(ClientError::Malformed("stream closed")),
            }
        }
    }

    async fn response(mut self) -> Result<Response, ClientError> {
        let mut interim = Vec::new();
        loop {
            let Some(Frame::Whole(kind::HEADERS, section)) = self.next().await? else {
                return Err(ClientError::Malformed("no head"));
            };
            let (status, fields) = decode(&section)?;
            let status = status.ok_or(ClientError::Malformed("no status"))?;
            if status.is_informational() {
                interim.push(status);
                continue;
            }
            let trailers = HeaderMap::new();
            return Ok(Response { status, fields, trailers, interim, messages: self });
        }
    }
}

fn put_request(out: &mut BytesMut, head: &Head<'_>) {
    frame::put_headers(out, |out| {
        qpack::begin(out);
        qpack::put_field(out, ":method", head.method.as_str().as_bytes());
        qpack::put_field(out, ":scheme", b"https");
        qpack::put_field(out, ":authority", head.authority.as_bytes());
        qpack::put_field(out, ":path", head.target.as_bytes());
        let lines = head.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        qpack::put_lines(out, lines);
    });
}

fn decode(section: &[u8]) -> Result<(Option<StatusCode>, HeaderMap), ClientError> {
    let (mut status, mut fields, mut sound) = (None, HeaderMap::new(), true);
    let decoded = qpack::Decoder::default().decode(section, |name, value| {
        if name == b":status" {
            status = StatusCode::from_bytes(value).ok();
            return;
        }
        match (HeaderName::from_lowercase(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                fields.append(name, value);
            }
            _ => sound = false,
        }
    });
    if decoded.is_err() || !sound {
        return Err(ClientError::Malformed("field section"));
    }
    Ok((status, fields))
}

fn code(code: Code) -> quinn::VarInt {
    code.into()
}

fn write_error(error: quinn::WriteError) -> ClientError {
    match error {
        quinn::WriteError::Stopped(code) => ClientError::Reset(code.into()),
        quinn::WriteError::ConnectionLost(error) => error.into(),
        _ => ClientError::Malformed("stream closed"),
    }
}
