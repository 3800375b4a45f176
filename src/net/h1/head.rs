//! The head of a request: where it ends, and what it asks for. Pure.
//!
//! Strict where leniency would let two servers read one stream of bytes differently (RFC 9112
//! section 11.2): lines end with CRLF alone, framing is told once or not at all, and what is not
//! understood is refused. A refused head ends its connection.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{Method, StatusCode};
use httparse::Header;

use super::target;
use crate::message::{Fields, Peer, Protocol, RequestHead};
use crate::net::{Fault, Limits};

/// Field lines parsed on the stack; a head with more takes an allocation.
const INLINE_FIELDS: usize = 64;

/// A complete head whose framing is sound.
pub(super) struct Head {
    pub(super) request: Box<RequestHead>,
    /// Minor version, 0 or 1.
    pub(super) minor: u8,
    pub(super) framing: Framing,
    /// Whether the client means to go on with this connection.
    pub(super) persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends its content.
    pub(super) expects_continue: bool,
    /// Whether the client said `TE: trailers`.
    pub(super) takes_trailers: bool,
}

/// How the content of a request is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// By the chunked coding.
    Chunked,
}

impl Framing {
    /// Whether any content is to come.
    pub(super) fn has_content(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }

    /// Bytes of the content, where the client said so.
    fn length(self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(length),
            Self::None | Self::Chunked => None,
        }
    }
}

/// A search for the end of a section of lines, resumed as bytes arrive.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where the first unfinished line begins.
    line: usize,
}

/// A line that ends with LF alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BareLineFeed;

impl Scan {
    /// The length of the section, its empty line included, once it is all there. `bytes` are those
    /// of the last call and what came since.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, BareLineFeed> {
        while let Some(length) = memchr::memchr(b'\n', &bytes[self.line..]) {
            let line = &bytes[self.line..self.line + length];
            // RFC 9112 section 2.2 lets a server take a bare LF; other servers may not, and what
            // two servers read differently can be smuggled past one of them.
            if line.last() != Some(&b'\r') {
                return Err(BareLineFeed);
            }
            self.line += length + 1;
            if line.len() == 1 {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
        Ok(None)
    }

    /// Whether not even the first line is complete.
    pub(super) fn in_first_line(&self) -> bool {
        self.line == 0
    }
}

/// Reads a complete head that came from `peer`: all bytes up to and with its empty line.
pub(super) fn parse(head: &Bytes, limits: &Limits, peer: Peer) -> Result<Head, Fault> {
    let mut inline = [const { MaybeUninit::uninit() }; INLINE_FIELDS];
    let room = limits.headers.min(INLINE_FIELDS);
    match parse_into(head, limits, peer, &mut inline[..room]) {
        Err(fault) if fault == OTHER_VERSION => match as_known_version(head) {
            Some(head) => parse(&head, limits, peer),
            None => Err(fault),
        },
        Err(fault) if fault == TOO_MANY_FIELDS && limits.headers > INLINE_FIELDS => {
            let mut spilled = vec![MaybeUninit::uninit(); limits.headers];
            parse_into(head, limits, peer, &mut spilled)
        }
        parsed => parsed,
    }
}

const OTHER_VERSION: Fault =
    Fault::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version: expected HTTP/1");

const TOO_MANY_FIELDS: Fault =
    Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields");

fn parse_into<'b>(
    head: &'b Bytes,
    limits: &Limits,
    peer: Peer,
    room: &mut [MaybeUninit<Header<'b>>],
) -> Result<Head, Fault> {
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(head, room).map_err(|e| refusal(e, head))?;
    let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Fault::bad_request("incomplete head"));
    };
    if !matches!(status, httparse::Status::Complete(length) if length == head.len()) {
        return Err(Fault::bad_request("incomplete head"));
    }
    if path.len() > limits.url {
        return Err(Fault::new(StatusCode::URI_TOO_LONG, "request target too long"));
    }
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| Fault::bad_request("invalid method"))?;
    let known = Known::gather(request.headers)?;
    let framing = known.framing(minor)?;
    let expects_continue = known.expects_continue(minor)?;
    let (target, host) = target::resolve(head, &method, path.as_bytes(), known.host, peer.scheme)?;
    let lines = request.headers.iter().map(|header| (header.name.as_bytes(), header.value));
    let request = Box::new(RequestHead {
        method,
        host,
        target,
        fields: Fields::from_slices(head, lines),
        content_length: framing.length(),
        peer: Peer { protocol: Protocol::Http1 { minor }, ..peer },
    });
    Ok(Head {
        request,
        minor,
        framing,
        // RFC 9112 section 9.3.
        persistent: !known.close && (minor == 1 || known.keep_alive),
        expects_continue: expects_continue && framing.has_content(),
        takes_trailers: known.trailers,
    })
}

/// The fields that the engine itself obeys.
#[derive(Default)]
struct Known<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    transfer_encoding: Option<&'a [u8]>,
    expect: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    trailers: bool,
}

impl<'a> Known<'a> {
    fn gather(headers: &[Header<'a>]) -> Result<Self, Fault> {
        let mut known = Self::default();
        for &Header { name, value } in headers {
            // The length spares all comparisons for nearly all fields.
            match name.len() {
                2 if name.eq_ignore_ascii_case("te") => {
                    known.trailers |= members(value).any(|te| te.eq_ignore_ascii_case(b"trailers"));
                }
                4 if name.eq_ignore_ascii_case("host") => {
                    once(&mut known.host, value, "several Host fields")?;
                }
                6 if name.eq_ignore_ascii_case("expect") => {
                    once(&mut known.expect, value, "several Expect fields")?;
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    for option in members(value) {
                        known.close |= option.eq_ignore_ascii_case(b"close");
                        known.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length =
                        decimal(value).ok_or(Fault::bad_request("invalid Content-Length"))?;
                    once(&mut known.content_length, length, "several Content-Length fields")?;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    let detail = "several Transfer-Encoding fields";
                    once(&mut known.transfer_encoding, value, detail)?;
                }
                _ => {}
            }
        }
        Ok(known)
    }

    /// RFC 9112 sections 6.1 and 6.3.
    fn framing(&self, minor: u8) -> Result<Framing, Fault> {
        let Some(coding) = self.transfer_encoding else {
            return Ok(self.content_length.map_or(Framing::None, Framing::Length));
        };
        if minor == 0 {
            return Err(Fault::bad_request("Transfer-Encoding in HTTP/1.0"));
        }
        if self.content_length.is_some() {
            return Err(Fault::bad_request("both Transfer-Encoding and Content-Length"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            return Ok(Framing::Chunked);
        }
        let is_chunked = |member: &[u8]| member.eq_ignore_ascii_case(b"chunked");
        match members(coding).position(is_chunked) {
            // Chunked must be the last coding, and be applied once.
            Some(place) if place + 1 != members(coding).count() => {
                Err(Fault::bad_request("chunked several times, or not last"))
            }
            None if members(coding).next().is_none() => {
                Err(Fault::bad_request("empty Transfer-Encoding"))
            }
            _ => Err(Fault::new(StatusCode::NOT_IMPLEMENTED, "transfer coding other than chunked")),
        }
    }

    /// RFC 9110 section 10.1.1: an expectation of a 1.0 client is ignored.
    fn expects_continue(&self, minor: u8) -> Result<bool, Fault> {
        match self.expect {
            Some(_) if minor == 0 => Ok(false),
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
            Some(_) => Err(Fault::new(
                StatusCode::EXPECTATION_FAILED,
                "expectation other than 100-continue",
            )),
            None => Ok(false),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, detail: &'static str) -> Result<(), Fault> {
    if place.replace(value).is_some() { Err(Fault::bad_request(detail)) } else { Ok(()) }
}

/// Members of a comma-separated list, trimmed; empty ones are left out (RFC 9110 section 5.6.1).
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Digits alone: no sign, no space, no list, no overflow.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn refusal(error: httparse::Error, head: &[u8]) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => TOO_MANY_FIELDS,
        httparse::Error::HeaderName => {
            Fault::bad_request("field name: expected a token and a colon")
        }
        httparse::Error::HeaderValue => {
            Fault::bad_request("field value: expected no control characters")
        }
        httparse::Error::Version if version_of(head).is_some() => OTHER_VERSION,
        httparse::Error::NewLine => Fault::bad_request("line end: expected CR LF"),
        _ => Fault::bad_request("request line: expected method, target and version"),
    }
}

/// RFC 9110 section 2.5: a head of a minor version above ours, as one of ours.
fn as_known_version(head: &Bytes) -> Option<Bytes> {
    let (at, [b'1', b'.', b'2'..=b'9']) = version_of(head)? else { return None };
    let mut known = head.to_vec();
    known[at + 2] = b'1';
    Some(known.into())
}

/// The HTTP version at the end of the request line, and its place.
fn version_of(head: &[u8]) -> Option<(usize, [u8; 3])> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let (before, &version) = line.split_last_chunk::<3>()?;
    let is_version = before.ends_with(b" HTTP/")
        && matches!(version, [major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit());
    is_version.then_some((before.len(), version))
}
