//! Fuzz targets: frames, field blocks and whole conversations of HTTP/2.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::frame::{self, FrameHead, HEAD, MAX_31_BITS, PREFACE, kind};
use super::hpack::{self, DEFAULT_SIZE, Decoder};
use super::session::{Error, Session};
use crate::message::{
    Answer, Body, Ended, Fault, Outcome, Peer, Protocol, Reply, Request, Response, Scheme,
};
use crate::net::{Handler, Limits};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this protocol.
pub(in crate::net) const TARGETS: &[Target] =
    &[("h2-conversation", conversation), ("h2-frame", one_frame), ("hpack", field_block)];

/// Whom conversations are with.
const PEER: Peer = Peer {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9),
    protocol: Protocol::Http2,
    scheme: Scheme::Https,
};

/// Answers every request at once with its target, and counts what has not ended, or not well.
#[derive(Default)]
struct Echo {
    open: AtomicUsize,
    cut: AtomicUsize,
}

impl Echo {
    /// Whether every exchange ended well.
    fn is_whole(&self) -> bool {
        self.cut.load(Ordering::Relaxed) == 0
    }

    /// Exchanges that have not ended.
    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn reply(&self, body: Bytes) -> Reply<()> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::empty(http::StatusCode::OK);
        response.body = Body::Full(body);
        Reply { response, exchange: () }
    }
}

impl Handler for Echo {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        Answer::Now(self.reply(request.head.target))
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        assert!(!fault.detail.is_empty());
        self.reply(Bytes::from_static(fault.detail.as_bytes()))
    }

    fn ended(&self, (): (), ended: Ended) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        let is_cut = ended.outcome != Outcome::Complete;
        self.cut.fetch_add(is_cut.into(), Ordering::Relaxed);
    }
}

/// A frame, head and payload.
fn one_frame(bytes: &[u8]) {
    let Some((head, payload)) = bytes.split_first_chunk::<HEAD>() else { return };
    let read = FrameHead::parse(head);
    assert!(read.stream <= MAX_31_BITS && read.length < 1 << 24);
    let mut plain = *head;
    plain[5] &= 0x7f;
    assert_eq!(read.to_bytes(), plain, "but for the reserved bit");

    let unpadded = frame::unpadded(read, payload);
    let fragment = frame::fragment(read, payload);
    if let (Some(unpadded), Some(fragment)) = (unpadded, fragment) {
        assert!(unpadded.ends_with(fragment) && unpadded.len() <= payload.len());
    }
    assert!(unpadded.is_some() || fragment.is_none());
    let settings: Vec<_> = frame::settings(payload).collect();
    let mut out = BytesMut::new();
    frame::put_settings(&mut out, &settings);
    assert!(payload.starts_with(&out[HEAD..]) && payload.len() - (out.len() - HEAD) < 6);
    assert_eq!(frame::number(payload).is_some(), payload.len() == 4);
}

/// Blocks, each behind its length, for a table as large as the first byte says.
fn field_block(bytes: &[u8]) {
    let Some((&size, mut rest)) = bytes.split_first() else { return };
    let limit = (usize::from(size) * 32).min(DEFAULT_SIZE);
    let mut decoder = Decoder::new(limit);
    while let Some((&length, behind)) = rest.split_first() {
        let (block, next) = behind.split_at(behind.len().min(length.into()));
        rest = next;
        let mut fields = Vec::new();
        let read =
            decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())));
        assert!(decoder.table_size() <= limit, "the table is bounded");
        assert!(fields.len() <= block.len(), "a field takes a byte at least");
        if read.is_err() {
            return;
        }
        let mut out = BytesMut::new();
        let text = |(name, value): &(Vec<u8>, Vec<u8>)| {
            Some((String::from_utf8(name.clone()).ok()?, value.clone()))
        };
        let Some(texts) = fields.iter().map(text).collect::<Option<Vec<_>>>() else { continue };
        texts.iter().for_each(|(name, value)| hpack::put_field(&mut out, name, value));
        let mut again = Vec::new();
        let told =
            Decoder::new(0).decode(&out, |name, value| again.push((name.to_vec(), value.to_vec())));
        assert_eq!((told, again), (Ok(()), fields), "as told on");
    }
}

/// What a client sends behind the preface; the first byte says in how large pieces it arrives.
fn conversation(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let wire = [PREFACE, bytes].concat();
    let whole = converse(std::iter::once(&wire[..]));
    let pieces = converse(wire.chunks(usize::from(step) + 1));
    // What was cut may have been sent or not.
    if let (Some(whole), Some(pieces)) = (whole, pieces) {
        assert_eq!(whole, pieces, "however it is cut");
    }
}

/// What the node says on each stream; `None` if something was cut.
fn converse<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<BTreeMap<u32, Vec<u8>>> {
    let handler = Arc::new(Echo::default());
    let limits = Limits {
        resets_per_connection: 20,
        streams: 8,
        header_bytes: 2000,
        request_body: 2000,
        ..Limits::default()
    };
    let mut session =
        Session::new(Arc::clone(&handler), Arc::new(limits), PEER, None, Instant::now());
    let said = said(&mut session, parts);
    drop(session);
    assert_eq!(handler.open(), 0, "every exchange ends once");
    by_stream(&said).filter(|_| handler.is_whole())
}

/// Feeds a session part by part; what it says after each.
pub(super) fn said<'a, H: Handler>(
    session: &mut Session<H>,
    parts: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut input = BytesMut::new();
    let mut said = Vec::new();
    for part in parts {
        input.extend_from_slice(part);
        let failed = session.receive(&mut input);
        if let Err(Error::Connection(code, detail)) = failed {
            assert!(!detail.is_empty());
            session.fail(code, detail);
        }
        session.work();
        session.pump();
        while !session.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = session.output.slices(&mut slices);
            let bytes: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            session.written(bytes.len());
            said.extend(bytes);
        }
        if session.is_over() {
            break;
        }
    }
    said
}

/// What was said on each stream, however its content is cut; `None` where something was refused.
fn by_stream(mut said: &[u8]) -> Option<BTreeMap<u32, Vec<u8>>> {
    let mut streams: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    while let Some((head, rest)) = said.split_first_chunk::<HEAD>() {
        let frame = FrameHead::parse(head);
        let (payload, behind) = rest.split_at(frame.length);
        said = behind;
        let stream = streams.entry(frame.stream).or_default();
        match frame.kind {
            kind::RST_STREAM | kind::GOAWAY => return None,
            kind::WINDOW_UPDATE => {}
            kind::DATA => stream.extend_from_slice(payload),
            _ => stream.extend([&head[..], payload].concat()),
        }
    }
    assert!(said.is_empty(), "whole frames alone");
    Some(streams)
}
