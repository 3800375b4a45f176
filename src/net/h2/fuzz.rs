//! Fuzz targets: frames, field blocks and whole conversations of HTTP/2.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::time::Instant;

use super::frame::{self, FrameHead, HEAD, MAX_31_BITS, PREFACE};
use super::hpack::{self, DEFAULT_SIZE, Decoder};
use super::session::{Error, Session};
use crate::net::Limits;
use crate::net::fuzz::{Echo, PEER};

pub(in crate::net) const TARGETS: &[crate::net::fuzz::Target] =
    &[("h2-conversation", conversation), ("h2-frame", one_frame), ("hpack", field_block)];

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
    assert_eq!(whole, pieces, "however it is cut");
}

/// What the node says, its frames put in the order of their streams.
fn converse<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, usize) {
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
    drop(session);
    assert_eq!(handler.open(), 0, "every exchange ends once");
    (said, handler.served())
}
