//! The content of a request, taken out of its framing (RFC 9112 sections 6 and 7). Pure.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::head::{Framing, Scan};
use crate::message::{BodyError, BodyErrorKind};

/// Bytes of one chunk's size line, its extensions included.
const SIZE_LINE_MAX: usize = 1024;
/// Bytes of chunk extensions of one body. They mean nothing here, so that many are an attack.
const EXTENSIONS_MAX: usize = 16 * 1024;
/// Trailer fields of one body.
const TRAILERS_MAX: usize = 64;

/// Reads the content of one request.
#[derive(Debug)]
pub(super) struct Decoder {
    step: Step,
    /// Bytes of content that may still come before the limit is broken.
    allowed: u64,
    extensions: usize,
    trailer_bytes_max: usize,
}

/// Where the next byte belongs.
#[derive(Debug)]
enum Step {
    /// To content that ends the body with its last byte.
    Length(u64),
    /// To a size line.
    Size,
    /// To a chunk's data.
    Data(u64),
    /// To the CRLF behind a chunk's data.
    DataEnd,
    /// To the trailer section.
    Trailers(Scan),
    /// To the next request.
    End,
}

/// What the bytes at hand gave.
#[derive(Debug)]
pub(super) enum Decoded {
    /// Content, at least one byte.
    Data(Bytes),
    /// The trailer section; the body is at its end.
    Trailers(HeaderMap),
    /// The body is at its end.
    End,
    /// Nothing yet.
    More,
}

impl Decoder {
    /// A decoder that lets `content_max` bytes of content pass (0: any number) and
    /// `trailer_bytes_max` of trailers.
    pub(super) fn new(framing: Framing, content_max: u64, trailer_bytes_max: usize) -> Self {
        let step = match framing {
            Framing::None | Framing::Length(0) => Step::End,
            Framing::Length(length) => Step::Length(length),
            Framing::Chunked => Step::Size,
        };
        let allowed = if content_max == 0 { u64::MAX } else { content_max };
        Self { step, allowed, extensions: 0, trailer_bytes_max }
    }

    /// Whether the body was read to its end.
    pub(super) fn at_end(&self) -> bool {
        matches!(self.step, Step::End)
    }

    /// Bytes of content that are certain to be outstanding; `None` where that is not known.
    pub(super) fn outstanding(&self) -> Option<u64> {
        match self.step {
            Step::Length(left) => Some(left),
            Step::End => Some(0),
            _ => None,
        }
    }

    /// Takes the next step out of `input`. After an error the framing is lost.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, BodyError> {
        loop {
            match &mut self.step {
                Step::Length(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        self.step = Step::End;
                    }
                    return Ok(data);
                }
                Step::Size => match self.size(input)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.step = Step::Trailers(Scan::default()),
                    Some(size) => self.step = Step::Data(size),
                },
                Step::Data(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        self.step = Step::DataEnd;
                    }
                    return Ok(data);
                }
                Step::DataEnd => match input.get(..2) {
                    Some(b"\r\n") => {
                        input.advance(2);
                        self.step = Step::Size;
                    }
                    Some(_) => return Err(malformed("chunk without its end")),
                    None => return Ok(Decoded::More),
                },
                Step::Trailers(scan) => {
                    let length = scan.end(input).map_err(|_| malformed("bare LF in trailers"))?;
                    if length.unwrap_or(input.len()) > self.trailer_bytes_max {
                        return Err(BodyError::new(BodyErrorKind::TooLarge, "trailers"));
                    }
                    let Some(length) = length else { return Ok(Decoded::More) };
                    let fields = trailers(&input.split_to(length))?;
                    self.step = Step::End;
                    return Ok(match fields.is_empty() {
                        true => Decoded::End,
                        false => Decoded::Trailers(fields),
                    });
                }
                Step::End => return Ok(Decoded::End),
            }
        }
    }

    /// RFC 9112 section 7.1: `chunk-size [ chunk-ext ] CRLF`.
    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, BodyError> {
        let window = &input[..input.len().min(SIZE_LINE_MAX)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            let full = window.len() == SIZE_LINE_MAX;
            return if full { Err(malformed("chunk size line too long")) } else { Ok(None) };
        };
        let line = window[..end].strip_suffix(b"\r").ok_or(malformed("bare LF in chunk size"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = line.split_at(digits);
        let size = hexadecimal(digits).ok_or(malformed("chunk size"))?;
        let begins = extension.is_empty() || matches!(extension.trim_ascii_start(), [b';', ..]);
        let is_text = extension.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 127));
        if !(begins && is_text) {
            return Err(malformed("chunk size"));
        }
        self.extensions += extension.len();
        if self.extensions > EXTENSIONS_MAX {
            return Err(malformed("too many chunk extensions"));
        }
        let Some(allowed) = self.allowed.checked_sub(size) else {
            return Err(BodyError::new(BodyErrorKind::TooLarge, "content too large"));
        };
        self.allowed = allowed;
        input.advance(end + 1);
        Ok(Some(size))
    }
}

fn take(input: &mut BytesMut, left: &mut u64) -> Decoded {
    let length = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    if length == 0 {
        return Decoded::More;
    }
    *left -= length as u64;
    Decoded::Data(input.split_to(length).freeze())
}

/// One to sixteen hexadecimal digits.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() <= 16)?;
    u64::from_str_radix(digits, 16).ok()
}

fn trailers(section: &[u8]) -> Result<HeaderMap, BodyError> {
    let mut lines = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(section, &mut lines)
    else {
        return Err(malformed("trailers"));
    };
    let mut map = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else { return Err(malformed("trailers")) };
        if may_be_trailer(&name) {
            map.append(name, value);
        }
    }
    Ok(map)
}

/// RFC 9110 section 6.5.1: no field for framing, routing or the connection.
pub(super) fn may_be_trailer(name: &HeaderName) -> bool {
    !matches!(
        *name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::HOST
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    )
}

fn malformed(detail: &'static str) -> BodyError {
    BodyError::new(BodyErrorKind::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in steps of `step` bytes; the content, the trailers and what was left over.
    fn read(wire: &[u8], step: usize, max: u64) -> Result<(Vec<u8>, usize, usize), BodyError> {
        let mut decoder = Decoder::new(Framing::Chunked, max, 1024);
        let (mut content, mut trailers) = (Vec::new(), 0);
        let mut input = BytesMut::new();
        let mut rest = wire.chunks(step);
        loop {
            let decoded = decoder.decode(&mut input);
            assert!(decoded.is_ok() || !decoder.at_end(), "nothing can follow a fault");
            match decoded? {
                Decoded::Data(data) => content.extend_from_slice(&data),
                Decoded::Trailers(map) => trailers = map.len(),
                Decoded::End => break,
                Decoded::More => match rest.next() {
                    Some(bytes) => input.extend_from_slice(bytes),
                    None => return Err(BodyError::new(BodyErrorKind::Truncated, "")),
                },
            }
        }
        Ok((content, trailers, input.len() + rest.map(<[u8]>::len).sum::<usize>()))
    }

    #[test]
    fn a_chunked_body_reads_the_same_however_it_is_split() {
        let wire =
            b"5\r\nhello\r\n00B ;x=\"y\"\r\n wide wor\n\r\r\n0\r\nx-a: 1\r\nhost: b\r\n\r\nGET";
        for step in 1..wire.len() {
            let (content, trailers, left) = read(wire, step, 0).unwrap();
            assert_eq!(content, b"hello wide wor\n\r", "{step}");
            assert_eq!((trailers, left), (1, 3), "{step}");
        }
    }

    #[test]
    fn what_is_not_exactly_chunked_is_refused() {
        for wire in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"\r\nhello",
            b"5 \r\nhello",
            b"+5\r\nhello",
            b"0x5\r\nhello",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5;a\rb\r\nhello",
            b"10000000000000000\r\n",
            b"0\r\nx-a: 1\n\r\n",
            b"0\r\nx a: 1\r\n\r\n",
        ] {
            let kind = read(wire, wire.len(), 0).map_err(|error| error.kind);
            assert_eq!(kind, Err(BodyErrorKind::Malformed), "{:?}", wire.escape_ascii());
        }
        let long = [b"5;".to_vec(), vec![b'a'; SIZE_LINE_MAX]].concat();
        assert!(read(&long, 100, 0).is_err_and(|error| error.kind == BodyErrorKind::Malformed));
        let many = b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(EXTENSIONS_MAX / 20);
        assert!(read(&many, 999, 0).is_err_and(|error| error.kind == BodyErrorKind::Malformed));
    }

    #[test]
    fn limits_of_content_and_trailers_hold() {
        let too_large = |wire: &[u8], max| {
            read(wire, 7, max).is_err_and(|error| error.kind == BodyErrorKind::TooLarge)
        };
        assert!(!too_large(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 5));
        assert!(too_large(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", 5));
        assert!(too_large(&[b"0\r\nx: ".to_vec(), vec![b'a'; 2000]].concat(), 0));
    }
}
