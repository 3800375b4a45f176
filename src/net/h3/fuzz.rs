//! Fuzz targets: frames, control streams and field sections of HTTP/3.

use bytes::{Bytes, BytesMut};

use super::control::Control;
use super::frame::{self, Frame, FrameReader};
use super::head::SectionReader;
use super::qpack;
use crate::net::Limits;
use crate::net::request_head::fuzz::check_head;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this protocol.
pub(in crate::net) const TARGETS: &[Target] =
    &[("h3-control", control), ("h3-frames", frames), ("h3-head", head), ("qpack", section)];

/// The longest payload that is gathered.
const LONGEST: usize = 64;

/// A stream of frames; the first byte says in how large pieces it arrives.
fn frames(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let whole = read(std::iter::once(bytes));
    assert_eq!(read(bytes.chunks(usize::from(step) + 1)), whole, "however it is cut");
    let gathered: usize = whole.0.iter().map(|frame| payload(frame).len()).sum();
    assert!(gathered <= bytes.len());

    let mut told = BytesMut::new();
    for frame in &whole.0 {
        let kind = match frame {
            Frame::Data(_) => frame::kind::DATA,
            Frame::Whole(kind, _) => *kind,
            Frame::TooLong(_) => continue,
        };
        frame::put_header(&mut told, kind, payload(frame).len() as u64);
        told.extend_from_slice(payload(frame));
    }
    let again = read(std::iter::once(&told[..]));
    assert!(again.1, "whole frames were told on");
    let sound = whole.0.iter().filter(|frame| !matches!(frame, Frame::TooLong(_)));
    let data = |frames: &[&Frame]| -> Vec<u8> {
        frames.iter().flat_map(|frame| payload(frame).to_vec()).collect()
    };
    assert_eq!(data(&again.0.iter().collect::<Vec<_>>()), data(&sound.collect::<Vec<_>>()));
}

fn payload(frame: &Frame) -> &[u8] {
    match frame {
        Frame::Data(payload) | Frame::Whole(_, payload) => payload,
        Frame::TooLong(_) => &[],
    }
}

/// The frames, pieces of DATA joined, and whether the stream may end behind them.
fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
    let mut reader = FrameReader::new(LONGEST);
    let mut frames: Vec<Frame> = Vec::new();
    for part in parts {
        let mut input = Bytes::copy_from_slice(part);
        while let Some(frame) = reader.read(&mut input) {
            match (frames.last_mut(), frame) {
                (Some(Frame::Data(had)), Frame::Data(more)) => {
                    *had = [&had[..], &more].concat().into();
                }
                (_, frame) => frames.push(frame),
            }
        }
        assert!(input.is_empty(), "what is left is kept by the reader");
    }
    let bounded = |frame: &Frame| !matches!(frame, Frame::Whole(_, whole) if whole.len() > LONGEST);
    assert!(frames.iter().all(bounded));
    (frames, reader.is_between_frames())
}

/// What comes on streams of the client's own; the first byte says in how large pieces.
fn control(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let run = |step: usize| {
        let mut control = Control::default();
        // A second stream of the same kind breaks a rule that one alone does not.
        [0, 1].map(|index| control.hear(index, bytes.chunks(step)))
    };
    assert_eq!(run(bytes.len().max(1)), run(usize::from(step) + 1), "however it is cut");
}

/// A field section, as that of a head and as that of trailers.
fn head(bytes: &[u8]) {
    let limits = Limits { header_bytes: 1000, headers: 8, url: 100, ..Limits::default() };
    let mut reader = SectionReader::default();
    let trailers = reader.trailers(bytes, &limits);
    let Ok(read) = reader.request(bytes, &limits) else { return };
    assert!(trailers.is_err(), "pseudo fields are none of a trailer section");
    check_head(&read, &limits);
    let mut out = Vec::new();
    qpack::begin(&mut out);
    qpack::put_field(&mut out, ":method", read.method.as_str().as_bytes());
    qpack::put_field(&mut out, ":scheme", b"https");
    qpack::put_field(&mut out, ":authority", &read.host);
    qpack::put_field(&mut out, ":path", &read.target);
    for (name, value) in read.fields.iter() {
        let name = std::str::from_utf8(name).expect("a token");
        qpack::put_field(&mut out, name, value);
    }
    // An authority that only `host` named counts once more.
    let limits = Limits { header_bytes: 2000, ..limits };
    let again = reader.request(&out, &limits).expect("sound as told on");
    assert_eq!((again.host, again.target), (read.host, read.target));
    assert_eq!((again.content_length, again.urgency), (read.content_length, read.urgency));
    assert!(again.fields.iter().eq(read.fields.iter()));
}

/// A field section, line by line.
fn section(bytes: &[u8]) {
    let mut lines = Vec::new();
    let mut decoder = qpack::Decoder::default();
    let read = decoder.decode(bytes, |name, value| lines.push((name.to_vec(), value.to_vec())));
    assert!(lines.len() <= bytes.len(), "a line takes a byte at least");
    if read.is_err() {
        return;
    }
    let mut out = Vec::new();
    qpack::begin(&mut out);
    for (name, value) in &lines {
        let Ok(name) = std::str::from_utf8(name) else { return };
        qpack::put_field(&mut out, name, value);
    }
    let mut again = Vec::new();
    let told = decoder.decode(&out, |name, value| again.push((name.to_vec(), value.to_vec())));
    assert_eq!((told, again), (Ok(()), lines), "as told on");
}
