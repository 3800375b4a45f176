//! A decoded field list to the head of a request, by the rules that HTTP/2 (RFC 9113 sections 8.2
//! and 8.3) and HTTP/3 (RFC 9114 sections 4.2 and 4.3) share. What a refusal means for stream and
//! connection is the engine's.
//!
//! ```text
//! arena  | previous heads, shared | GET | /a?b | example.com | accept | */* | …
//! lines                                                        └ name, value ┘ …
//! pseudo                            └ one span each ┘
//! ```
//!
//! The fields are written into the arena as they are decoded, checked on the way, and become one
//! shared slice of it: no allocation while earlier requests have let go of theirs.
//! Past a limit nothing more is kept, though the engine goes on to decode, for its table's sake.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{Fault, Limits, priority};
use crate::message::Fields;

/// What a field counts beyond its name and value (RFC 9113 section 6.5.2, RFC 9114 section 4.2.2).
const OVERHEAD: usize = 32;

/// What the arena is asked for before a head, so that few heads move while they grow.
const ROOM: usize = 1024;

/// The answer to more content than the limit allows.
pub(super) const TOO_LARGE: Fault = Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "content too large");

/// A field list while it is decoded; used for all heads of a connection in turn.
#[derive(Debug, Default)]
pub(super) struct FieldList {
    arena: BytesMut,
    lines: Vec<Line>,
    /// The cookie crumbs so far, joined.
    cookie: Vec<u8>,
    method: Option<Span>,
    scheme: Option<Span>,
    authority: Option<Span>,
    path: Option<Span>,
    host: Option<Span>,
    content_length: Option<u64>,
    urgency: u8,
    expect: Option<Span>,
    is_head: bool,
    size: usize,
    over: Option<Fault>,
    malformed: Option<&'static str>,
    limits: Bounds,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    lines: usize,
    bytes: usize,
    path: usize,
    content: u64,
}

/// A part of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    name: Span,
    value: Span,
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) host: Bytes,
    pub(super) target: Bytes,
    pub(super) fields: Fields,
    pub(super) content_length: Option<u64>,
    /// RFC 9218 section 4.1.
    pub(super) urgency: u8,
    /// Whether the client waits for a 100.
    pub(super) expects_continue: bool,
}

/// Why a field list is not the head of a request that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A stream error (RFC 9113 section 8.1.1, RFC 9114 section 4.1.2), and what it was.
    Malformed(&'static str),
    /// The client gets a response that says why.
    Fault(Fault),
}

impl FieldList {
    /// Begins the next list.
    pub(super) fn begin(&mut self, limits: &Limits) {
        self.arena.clear();
        self.arena.reserve(ROOM);
        self.lines.clear();
        self.cookie.clear();
        let bounds = Bounds {
            lines: limits.headers,
            bytes: limits.header_bytes,
            path: limits.url,
            content: if limits.request_body > 0 { limits.request_body } else { u64::MAX },
        };
        *self = Self {
            arena: std::mem::take(&mut self.arena),
            lines: std::mem::take(&mut self.lines),
            cookie: std::mem::take(&mut self.cookie),
            urgency: priority::DEFAULT_URGENCY,
            limits: bounds,
            ..Self::default()
        };
    }

    /// Adds a field as the decoder hands it out.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + OVERHEAD;
        if self.size > self.limits.bytes {
            self.exceed(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header bytes");
        }
        if self.over.is_some() || self.malformed.is_some() {
            return;
        }
        if let Err(why) = self.try_push(name, value) {
            self.malformed = Some(why);
        }
    }

    fn try_push(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !is_value(value) {
            return Err("a field value with control characters or outer white space");
        }
        if let [b':', pseudo @ ..] = name {
            return self.push_pseudo(pseudo, value);
        }
        if !is_name(name) {
            return Err("a field name that is no lower-case token");
        }
        match name {
            // RFC 9113 section 8.2.2, RFC 9114 section 4.2.
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => return Err("a connection-specific field"),
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err("te other than trailers");
            }
            b"cookie" => {
                // RFC 9113 section 8.2.3, RFC 9114 section 4.2.1: crumbs are one field again. An
                // empty one at the end would leave a blank there, which no value may end with.
                if !self.cookie.is_empty() && !value.is_empty() {
                    self.cookie.extend_from_slice(b"; ");
                }
                self.cookie.extend_from_slice(value);
                return Ok(());
            }
            b"content-length" => {
                let length = decimal(value).ok_or("content-length is no number")?;
                if self.content_length.replace(length).is_some() {
                    return Err("content-length twice");
                }
            }
            b"priority" => self.urgency = priority::urgency(value),
            _ => {}
        }
        if self.lines.len() == self.limits.lines {
            self.exceed(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields");
            return Ok(());
        }
        let line = self.keep_line(name, value);
        match name {
            b"host" if self.host.replace(line.value).is_some() => Err("host twice"),
            b"expect" => {
                self.expect = Some(line.value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// RFC 9113 section 8.3, RFC 9114 section 4.3: before all fields, known, and each once.
    fn push_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !self.lines.is_empty() || !self.cookie.is_empty() {
            return Err("a pseudo field after a field");
        }
        if name == b"path" && value.len() > self.limits.path {
            self.exceed(StatusCode::URI_TOO_LONG, "request target too long");
            return Ok(());
        }
        let span = self.keep(value);
        let place = match name {
            b"method" => {
                self.is_head = value == b"HEAD";
                &mut self.method
            }
            b"scheme" => &mut self.scheme,
            b"authority" => &mut self.authority,
            b"path" => &mut self.path,
            _ => return Err("an unknown pseudo field"),
        };
        if place.replace(span).is_some() { Err("a pseudo field twice") } else { Ok(()) }
    }

    /// Whether the method is HEAD: then no response has content, that to a refusal included
    /// (RFC 9110 section 9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// The list as the head of a request.
    pub(super) fn request(&mut self) -> Result<Head, Refusal> {
        if let Some(why) = self.malformed {
            return Err(Refusal::Malformed(why));
        }
        if let Some(fault) = self.over {
            return Err(Refusal::Fault(fault));
        }
        let method = self.method.ok_or(Refusal::Malformed("no :method"))?;
        let method = Method::from_bytes(self.part(method))
            .map_err(|_| Refusal::Malformed(":method is no token"))?;
        if method == Method::CONNECT {
            return Err(Refusal::Fault(Fault::new(
                StatusCode::NOT_IMPLEMENTED,
                "CONNECT is not served",
            )));
        }
        if self.scheme.is_none_or(|scheme| self.part(scheme).is_empty()) {
            return Err(Refusal::Malformed("no :scheme"));
        }
        let path = self.path.ok_or(Refusal::Malformed("no :path"))?;
        if !is_target(self.part(path), &method) {
            return Err(Refusal::Malformed(":path is no path"));
        }
        let host = self.host().map_err(Refusal::Malformed)?;
        let expects_continue = match self.expect.map(|expect| self.part(expect)) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => true,
            Some(_) => {
                return Err(Refusal::Fault(Fault::new(
                    StatusCode::EXPECTATION_FAILED,
                    "expectation other than 100-continue",
                )));
            }
        };
        if self.content_length > Some(self.limits.content) {
            return Err(Refusal::Fault(TOO_LARGE));
        }
        let (content_length, urgency) = (self.content_length, self.urgency);
        let (buffer, fields) = self.fields();
        let (target, host) =
            (buffer.slice(path.start..path.end), buffer.slice(host.start..host.end));
        Ok(Head { method, host, target, fields, content_length, urgency, expects_continue })
    }

    /// The list as a trailer section: no pseudo fields (RFC 9113 section 8.1, RFC 9114 section
    /// 4.3).
    pub(super) fn trailers(&mut self) -> Result<HeaderMap, Refusal> {
        if let Some(why) = self.malformed {
            return Err(Refusal::Malformed(why));
        }
        if let Some(fault) = self.over {
            return Err(Refusal::Fault(fault));
        }
        let pseudo = [self.method, self.scheme, self.authority, self.path];
        if pseudo.iter().any(Option::is_some) {
            return Err(Refusal::Malformed("a pseudo field in the trailers"));
        }
        let mut map = HeaderMap::with_capacity(self.lines.len());
        for line in &self.lines {
            let name = HeaderName::from_bytes(self.part(line.name));
            let value = HeaderValue::from_bytes(self.part(line.value));
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        Ok(map)
    }

    /// The authority: `:authority`, else `host`; both must say the same (RFC 9113 section
    /// 8.3.1, RFC 9114 section 4.3.1).
    fn host(&self) -> Result<Span, &'static str> {
        let span = match (self.authority, self.host) {
            (Some(authority), Some(host))
                if !self.part(authority).eq_ignore_ascii_case(self.part(host)) =>
            {
                return Err(":authority and host differ");
            }
            (Some(authority), _) => authority,
            (None, Some(host)) => host,
            (None, None) => return Err("no :authority"),
        };
        if is_authority(self.part(span)) { Ok(span) } else { Err(":authority is no authority") }
    }

    /// The shared slice of the arena, and the fields within it.
    fn fields(&mut self) -> (Bytes, Fields) {
        if !self.cookie.is_empty() {
            let cookie = std::mem::take(&mut self.cookie);
            self.keep_line(b"cookie", &cookie);
            self.cookie = cookie;
        }
        let buffer = self.arena.split().freeze();
        let part = |span: &Span| &buffer[span.start..span.end];
        let lines = self.lines.iter().map(|line| (part(&line.name), part(&line.value)));
        let fields = Fields::from_slices(&buffer, lines);
        (buffer, fields)
    }

    /// Gives back all memory.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    fn keep_line(&mut self, name: &[u8], value: &[u8]) -> Line {
        let line = Line { name: self.keep(name), value: self.keep(value) };
        self.lines.push(line);
        line
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span { start, end: self.arena.len() }
    }

    fn part(&self, span: Span) -> &[u8] {
        &self.arena[span.start..span.end]
    }

    fn exceed(&mut self, status: StatusCode, detail: &'static str) {
        self.over.get_or_insert(Fault::new(status, detail));
    }
}

/// A lower-case token (RFC 9113 section 8.2.1, RFC 9114 section 4.2, RFC 9110 section 5.6.2).
fn is_name(name: &[u8]) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let allowed = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
        let mut place = 0;
        while place < allowed.len() {
            table[allowed[place] as usize] = true;
            place += 1;
        }
        table
    };
    !name.is_empty() && name.iter().all(|&byte| TOKEN[usize::from(byte)])
}

/// RFC 9113 section 8.2.1, and no other control character either (RFC 9110 section 5.5).
fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let control = |bad: bool, &byte: &u8| bad | (byte < b' ' && byte != b'\t') | (byte == 0x7f);
    !blank(value.first()) && !blank(value.last()) && !value.iter().fold(false, control)
}

/// A path with its query, or `*` of OPTIONS (RFC 9113 section 8.3.1). Bytes beyond ASCII are let
/// through as HTTP/1.1 servers do.
fn is_target(path: &[u8], method: &Method) -> bool {
    match path {
        b"*" => method == Method::OPTIONS,
        [b'/', ..] => path.iter().all(|&byte| byte > b' ' && byte != 0x7f && byte != b'#'),
        _ => false,
    }
}

/// Host and port: not empty, no user information (RFC 9113 section 8.3.1), nothing that ends it.
fn is_authority(authority: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"@/?#\\,\"<>".contains(byte);
    !authority.is_empty() && authority.iter().all(allowed)
}

fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests;
