//! Fuzz targets: heads and bodies of requests, as bytes of HTTP/1.1.

use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};

use super::decode::{Decoded, Decoder};
use super::head::{Framing, Head, Scan, parse};
use super::{encode, target};
use crate::message::{BodyError, BodyErrorKind, Peer, Protocol, Scheme};
use crate::net::{Fault, Limits};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this protocol.
pub(in crate::net) const TARGETS: &[Target] = &[("h1-body", body), ("h1-head", head)];

/// The first byte says in how large pieces the head arrives, and by which scheme.
fn head(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut scan = Scan::default();
    let whole = scan.end(bytes);
    let mut pieces = Scan::default();
    let ends = (0..=bytes.len()).step_by(usize::from(first >> 1) + 1).chain([bytes.len()]);
    let found = ends.map(|end| pieces.end(&bytes[..end])).find(|end| *end != Ok(None));
    assert_eq!(whole, found.unwrap_or(Ok(None)), "however it is cut");

    let Ok(Some(length)) = whole else { return };
    assert!(bytes[..length].ends_with(b"\r\n"));
    let scheme = if first & 1 == 0 { Scheme::Http } else { Scheme::Https };
    let address = (Ipv4Addr::LOCALHOST, 1).into();
    let peer = Peer { address, protocol: Protocol::Http1 { minor: 1 }, scheme };
    let limits = Limits { headers: 70, url: 2000, ..Limits::default() };
    let bytes = Bytes::copy_from_slice(&bytes[..length]);
    match parse(&bytes, &limits, peer) {
        Err(Fault { status, detail }) => {
            assert!(status.is_client_error() || status.is_server_error(), "{status}");
            assert!(!detail.is_empty());
        }
        Ok(head) => {
            check(&head, &limits);
            let again = parse(&told(&head), &limits, peer);
            let again = again.unwrap_or_else(|fault| panic!("refused anew: {}", fault.detail));
            assert_eq!(facts(&head), facts(&again), "as told on");
        }
    }
}

fn check(head: &Head, limits: &Limits) {
    assert!(head.request.target.first() == Some(&b'/') || head.request.target == "*");
    assert!(head.request.target != "*" || head.request.method == http::Method::OPTIONS);
    assert!(head.request.target.len() <= limits.url, "{}", head.request.target.len());
    assert!(head.request.target.iter().all(|&byte| byte > b' ' && byte != 0x7f && byte != b'#'));
    assert!(target::is_authority(&head.request.host));
    assert!(head.request.fields.len() <= limits.headers && head.minor <= 1);
    for (name, value) in head.request.fields.iter() {
        http::HeaderName::from_bytes(name).expect("a token");
        http::HeaderValue::from_bytes(value).expect("no control characters");
    }
}

/// The head with its host named by Host alone, as it would be passed on.
fn told(head: &Head) -> Bytes {
    let mut out = head.request.method.as_str().as_bytes().to_vec();
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    put(&[b" ", &head.request.target, b" HTTP/1.", &[b'0' + head.minor], b"\r\n"]);
    for (name, value) in head.request.fields.iter() {
        let is_host = name.eq_ignore_ascii_case(b"host");
        put(&[name, b": ", if is_host { &head.request.host } else { value }, b"\r\n"]);
    }
    put(&[b"\r\n"]);
    out.into()
}

fn facts(head: &Head) -> impl PartialEq + std::fmt::Debug {
    let flags = [head.persistent, head.expects_continue, head.takes_trailers];
    (
        head.request.target.clone(),
        head.request.host.clone(),
        head.framing,
        head.request.fields.len(),
        flags,
    )
}

/// What a body came to: its content, the number of trailers, and how much was left over.
type Read = (Vec<u8>, Result<(usize, usize), BodyErrorKind>);

/// The first byte says in how large pieces the body arrives, the second how it is framed.
fn body(bytes: &[u8]) {
    let &[step, framing, ref bytes @ ..] = bytes else { return };
    let (framing, max) = match framing {
        0..128 => (Framing::Chunked, u64::from(framing) * 4),
        _ => (Framing::Length(u64::from(framing) - 128), 0),
    };
    let whole = read(Decoder::new(framing, max, 256), bytes, bytes.len().max(1));
    let pieces = read(Decoder::new(framing, max, 256), bytes, usize::from(step) + 1);
    assert_eq!(whole.0, pieces.0, "content, however it is cut");
    match (&whole.1, &pieces.1) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        // Which of two faults is met first is not promised.
        (one, other) => assert_eq!(one.is_ok(), other.is_ok(), "{one:?} {other:?}"),
    }
    assert!(max == 0 || whole.0.len() as u64 <= max);

    let mut told = Vec::new();
    for chunk in whole.0.chunks(usize::from(step) + 1) {
        encode::chunk_size(&mut told, chunk.len());
        told.extend_from_slice(chunk);
        told.extend_from_slice(b"\r\n");
    }
    encode::last_chunk(&mut told, None);
    let again = read(Decoder::new(Framing::Chunked, 0, 256), &told, 7);
    assert_eq!(again, (whole.0, Ok((0, 0))), "as told on");
}

fn read(mut decoder: Decoder, wire: &[u8], step: usize) -> Read {
    let (mut content, mut trailers) = (Vec::new(), 0);
    let mut input = BytesMut::new();
    let mut rest = wire.chunks(step);
    let ended: Result<(), BodyError> = loop {
        match decoder.decode(&mut input) {
            Ok(Decoded::Data(data)) => {
                assert!(!data.is_empty());
                content.extend_from_slice(&data);
            }
            Ok(Decoded::Trailers(map)) => trailers = map.len(),
            Ok(Decoded::End) => break Ok(()),
            Ok(Decoded::More) => match rest.next() {
                Some(bytes) => input.extend_from_slice(bytes),
                None => break Err(BodyError::new(BodyErrorKind::Truncated, "cut short")),
            },
            Err(error) => break Err(error),
        }
    };
    assert_eq!(decoder.at_end(), ended.is_ok());
    let left = input.len() + rest.map(<[u8]>::len).sum::<usize>();
    (content, ended.map(|()| (trailers, left)).map_err(|error| error.kind))
}
