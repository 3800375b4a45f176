//! Fuzz targets: what every protocol reads, and those of each. A conversation is answered by
//! [`Echo`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::request_head::{FieldList, Head};
use super::{Limits, h1, h2, h3, huffman, preface, prefix_integer, priority};
use crate::message::{
    Answer, Body, Ended, Fault, Peer, Protocol, Reply, Request, Response, Scheme,
};

/// Name and function of a target.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// The targets of all protocols.
pub(crate) const TARGETS: [&[Target]; 4] =
    [OWN, h1::fuzz::TARGETS, h2::fuzz::TARGETS, h3::fuzz::TARGETS];

const OWN: &[Target] = &[
    ("field-list", field_list),
    ("huffman", huffman::fuzz::decode),
    ("preface", first_bytes),
    ("prefix-integer", integer),
];

/// Whom conversations are with.
pub(super) const PEER: Peer = Peer {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9),
    protocol: Protocol::Http2,
    scheme: Scheme::Https,
};

/// Answers every request at once with its target, and counts what has not ended.
#[derive(Default)]
pub(super) struct Echo {
    served: AtomicUsize,
    open: AtomicUsize,
}

impl Echo {
    /// Exchanges so far.
    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// Exchanges that have not ended.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn reply(&self, body: Bytes) -> Reply<()> {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::empty(http::StatusCode::OK);
        response.body = Body::Full(body);
        Reply { response, exchange: () }
    }
}

impl super::Handler for Echo {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        Answer::Now(self.reply(request.target))
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        assert!(!fault.detail.is_empty());
        self.reply(Bytes::from_static(fault.detail.as_bytes()))
    }

    fn ended(&self, (): (), _: Ended) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a list of fields may become, whoever decoded it.
pub(super) fn check_head(head: &Head, limits: &Limits) {
    assert!(head.target.first() == Some(&b'/') || head.target == "*");
    assert!(head.target.len() <= limits.url && !head.host.is_empty());
    assert!(head.host.iter().all(|byte| byte.is_ascii_graphic() && !b"/@?#".contains(byte)));
    assert!(head.urgency <= 7);
    // The crumbs of the cookie are one line more.
    assert!(head.fields.len() <= limits.headers + 1);
    assert!(head.fields.all("cookie").count() <= 1);
    for (name, value) in head.fields.iter() {
        assert_eq!(name, name.to_ascii_lowercase());
        http::HeaderName::from_bytes(name).expect("a token");
        http::HeaderValue::from_bytes(value).expect("no control characters");
    }
}

/// Lines of `name=value`.
fn field_list(bytes: &[u8]) {
    let limits = Limits { header_bytes: 1000, headers: 8, url: 100, ..Limits::default() };
    let mut list = FieldList::default();
    let push = |list: &mut FieldList| {
        list.begin(&limits);
        for line in bytes.split(|&byte| byte == b'\n') {
            let (name, value) = line.split_at(line.iter().position(|&b| b == b'=').unwrap_or(0));
            list.push(name, value.get(1..).unwrap_or_default());
        }
    };
    push(&mut list);
    let read = list.request();
    if let Ok(head) = &read {
        check_head(head, &limits);
    }
    // Nothing of one list is left for the next.
    push(&mut list);
    let again = list.request();
    assert_eq!(read.as_ref().err(), again.as_ref().err());
    push(&mut list);
    if let Ok(trailers) = list.trailers() {
        assert!(read.is_err() && trailers.len() <= limits.headers);
    }
    assert!(priority::urgency(bytes) <= 7);
}

/// The first bytes of a connection: once judged, more of them change nothing.
fn first_bytes(bytes: &[u8]) {
    let judged: Vec<_> = (0..=bytes.len()).map(|end| preface::judge(&bytes[..end])).collect();
    let first = judged.iter().position(Option::is_some).unwrap_or(judged.len());
    assert!(judged[first..].iter().all(|version| *version == judged[first]));
    assert!(first <= 24, "the preface is as long as that");
}

/// The first byte says how long the prefix is.
fn integer(bytes: &[u8]) {
    let Some((&bits, input)) = bytes.split_first() else { return };
    let bits = u32::from(bits % 8) + 1;
    let mut rest = input;
    let Some(value) = prefix_integer::take(&mut rest, bits) else { return };
    assert!(input.len() - rest.len() <= 10 && value < 1 << 62);
    let mut out = Vec::new();
    prefix_integer::put(&mut out, 0, bits, value);
    assert!(out.len() <= input.len() - rest.len(), "written in the shortest form");
    assert_eq!(prefix_integer::take(&mut &out[..], bits), Some(value));
}
