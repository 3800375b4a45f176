//! What waits to be written, and whom to tell when it was.
//!
//! ```text
//! small      one buffer: frame heads, HEADERS, control frames, small payloads
//! segments   the order on the wire:  Small(n) | Shared(bytes) | Small(n) | …
//!            then the rest of `small`, which no segment covers yet
//! data       a line for each DATA frame not yet written, by the position of its end
//! finished   the replies whose last byte is queued, by the position of that byte
//! ```
//!
//! Small things of many streams become one run of bytes; a large payload stays the shared piece
//! that it was. Positions count all bytes ever queued, so what a lost connection did not take is
//! known to the byte.

use std::collections::{BTreeSet, VecDeque};
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{self, FrameHead, flag, kind};
use crate::net::{Ended, Outcome};

/// A payload up to this size is cheaper copied than kept as a piece of its own.
const COPIED: usize = 4096;

/// The output of one connection; `X` is what the handler wants back of an exchange.
pub(super) struct Output<X> {
    small: BytesMut,
    segments: VecDeque<Segment>,
    /// Bytes at the start of `small` which segments cover.
    covered: usize,
    /// Bytes of all `Shared` segments.
    shared: usize,
    written: u64,
    data: VecDeque<DataFrame>,
    finished: VecDeque<Finished<X>>,
}

enum Segment {
    Small(usize),
    Shared(Bytes),
}

struct DataFrame {
    end: u64,
    stream: u32,
    length: usize,
}

struct Finished<X> {
    end: u64,
    stream: u32,
    exchange: X,
    ended: Ended,
}

impl<X> Output<X> {
    pub(super) fn new() -> Self {
        Self {
            small: BytesMut::new(),
            segments: VecDeque::new(),
            covered: 0,
            shared: 0,
            written: 0,
            data: VecDeque::new(),
            finished: VecDeque::new(),
        }
    }

    /// The buffer that frames are appended to.
    pub(super) fn small(&mut self) -> &mut BytesMut {
        &mut self.small
    }

    /// Bytes that wait to be written.
    pub(super) fn queued(&self) -> usize {
        self.small.len() + self.shared
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued() == 0
    }

    /// Appends a DATA frame.
    pub(super) fn data(&mut self, stream: u32, payload: Bytes, end_stream: bool) {
        let flags = if end_stream { flag::END_STREAM } else { 0 };
        let length = payload.len();
        let head = FrameHead { length, kind: kind::DATA, flags, stream };
        self.small.extend_from_slice(&head.to_bytes());
        if length <= COPIED {
            self.small.extend_from_slice(&payload);
        } else {
            self.share(payload);
        }
        if length > 0 {
            self.data.push_back(DataFrame { end: self.end(), stream, length });
        }
    }

    /// The last byte of a reply is queued, or no more of it will be.
    pub(super) fn finish(&mut self, stream: u32, exchange: X, ended: Ended) {
        self.finished.push_back(Finished { end: self.end(), stream, exchange, ended });
    }

    /// The exchanges of replies that are queued to their end, and of whose body some is unwritten.
    pub(super) fn complete_mut(&mut self) -> impl Iterator<Item = &mut X> {
        let unwritten: BTreeSet<_> = self.data.iter().map(|frame| frame.stream).collect();
        let complete = move |reply: &&mut Finished<X>| {
            reply.ended.outcome == Outcome::Complete && unwritten.contains(&reply.stream)
        };
        self.finished.iter_mut().filter(complete).map(|reply| &mut reply.exchange)
    }

    /// Takes out the DATA frames of a stream of which nothing is written yet. Returns the bytes of
    /// body in them.
    pub(super) fn withdraw(&mut self, stream: u32) -> usize {
        let written = self.written;
        let mut old = std::mem::replace(self, Self { written, ..Self::new() });
        let (mut at, mut gone, mut payload) = (written, 0, 0);
        // Where a frame that is taken out ended, and how much is by then.
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        for frame in std::mem::take(&mut old.data) {
            let length = (frame::HEAD + frame.length) as u64;
            if frame.stream != stream || frame.end - length < written {
                self.data.push_back(DataFrame { end: frame.end - gone, ..frame });
                continue;
            }
            self.take_over(&mut old, (frame.end - length - at) as usize);
            old.consume(length as usize);
            (at, gone, payload) = (frame.end, gone + length, payload + frame.length);
            gaps.push((at, gone));
        }
        let rest = old.queued();
        self.take_over(&mut old, rest);
        self.finished = old.finished;
        for reply in &mut self.finished {
            let before = gaps.partition_point(|(end, _)| *end <= reply.end);
            reply.end -= gaps[..before].last().map_or(0, |(_, gone)| *gone);
        }
        payload
    }

    /// The waiting bytes, as far as `slices` holds them.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut small = &self.small[..];
        let mut count = 0;
        for segment in &self.segments {
            if count == slices.len() {
                return count;
            }
            slices[count] = IoSlice::new(match segment {
                Segment::Small(run) => {
                    let (run, rest) = small.split_at(*run);
                    small = rest;
                    run
                }
                Segment::Shared(bytes) => bytes,
            });
            count += 1;
        }
        if count < slices.len() && !small.is_empty() {
            slices[count] = IoSlice::new(small);
            count += 1;
        }
        count
    }

    /// The first `bytes` of what waits were written. Hands out the replies that are thereby done.
    pub(super) fn advance(&mut self, bytes: usize, mut done: impl FnMut(X, Ended)) {
        self.written += bytes as u64;
        self.consume(bytes);
        while self.data.front().is_some_and(|frame| frame.end <= self.written) {
            self.data.pop_front();
        }
        while let Some(finished) = self.finished.pop_front_if(|next| next.end <= self.written) {
            done(finished.exchange, finished.ended);
        }
    }

    /// The connection is lost: hands out what is left, with what its client did get. What is not
    /// wholly written ends with `outcome`.
    pub(super) fn abandon(&mut self, outcome: Outcome, mut done: impl FnMut(X, Ended)) {
        for finished in std::mem::take(&mut self.finished) {
            let unwritten = self.unwritten(finished.stream);
            let mut ended = finished.ended;
            ended.body_bytes -= unwritten;
            if ended.outcome == Outcome::Complete && finished.end > self.written {
                ended.outcome = outcome;
            }
            done(finished.exchange, ended);
        }
    }

    /// Bytes of body of a stream that are queued and not written.
    pub(super) fn unwritten(&self, stream: u32) -> u64 {
        let frames = self.data.iter().filter(|frame| frame.stream == stream);
        frames.map(|frame| (frame.end - self.written).min(frame.length as u64)).sum()
    }

    /// Gives back all memory. Only for an output that [`is_empty`](Self::is_empty).
    pub(super) fn shrink(&mut self) {
        debug_assert!(self.is_empty());
        *self = Self { written: self.written, ..Self::new() };
    }

    fn end(&self) -> u64 {
        self.written + self.queued() as u64
    }

    /// Appends a piece as it is.
    fn share(&mut self, piece: Bytes) {
        let run = self.small.len() - self.covered;
        // An empty one in front would have `take_over` take nothing for ever.
        if run > 0 {
            self.segments.push_back(Segment::Small(run));
        }
        self.covered += run;
        self.shared += piece.len();
        self.segments.push_back(Segment::Shared(piece));
    }

    /// Appends the first `bytes` of what waits in `other`, and takes them off there.
    fn take_over(&mut self, other: &mut Self, mut bytes: usize) {
        while bytes > 0 {
            let taken = match other.segments.front() {
                Some(Segment::Shared(piece)) => {
                    let piece = piece.slice(..bytes.min(piece.len()));
                    let taken = piece.len();
                    self.share(piece);
                    taken
                }
                front => {
                    let run = match front {
                        Some(Segment::Small(run)) => *run,
                        _ => other.small.len(),
                    };
                    let taken = bytes.min(run);
                    self.small.extend_from_slice(&other.small[..taken]);
                    taken
                }
            };
            other.consume(taken);
            bytes -= taken;
        }
    }

    fn consume(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some(segment) = self.segments.front_mut() else {
                self.small.advance(bytes);
                break;
            };
            let (taken, over) = match segment {
                Segment::Small(run) => {
                    let taken = bytes.min(*run);
                    self.small.advance(taken);
                    self.covered -= taken;
                    *run -= taken;
                    (taken, *run == 0)
                }
                Segment::Shared(shared) => {
                    let taken = bytes.min(shared.len());
                    shared.advance(taken);
                    self.shared -= taken;
                    (taken, shared.is_empty())
                }
            };
            bytes -= taken;
            if over {
                self.segments.pop_front();
            }
        }
        if self.small.is_empty() {
            // Back to the start of the allocation.
            self.small.clear();
        }
    }
}

/// Appends the frames of one field block that stands in `small` from `start` on, where
/// [`frame::HEAD`] bytes were left free before it.
pub(super) fn seal_headers(
    small: &mut BytesMut,
    start: usize,
    stream: u32,
    end_stream: bool,
    max_payload: usize,
) {
    let length = small.len() - start - frame::HEAD;
    let flags = if end_stream { flag::END_STREAM } else { 0 };
    let head = |length, kind, flags| FrameHead { length, kind, flags, stream }.to_bytes();
    if length <= max_payload {
        let head = head(length, kind::HEADERS, flags | flag::END_HEADERS);
        small[start..start + frame::HEAD].copy_from_slice(&head);
        return;
    }
    let block = small.split_off(start + frame::HEAD);
    small.truncate(start);
    let mut parts = block.chunks(max_payload).enumerate().peekable();
    while let Some((place, part)) = parts.next() {
        let end = if parts.peek().is_none() { flag::END_HEADERS } else { 0 };
        let (kind, flags) =
            if place == 0 { (kind::HEADERS, flags) } else { (kind::CONTINUATION, 0) };
        small.extend_from_slice(&head(part.len(), kind, flags | end));
        small.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(output: &Output<u32>) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    fn filled() -> Output<u32> {
        let mut output = Output::new();
        frame::put(output.small(), kind::PING, 0, 0, b"12345678");
        output.data(1, Bytes::from(vec![b'a'; 5000]), false);
        output.data(3, Bytes::from_static(b"small"), true);
        let complete = |body_bytes| Ended { body_bytes, outcome: Outcome::Complete };
        output.finish(3, 33, complete(5));
        output.data(1, Bytes::from(vec![b'b'; 6000]), true);
        output.finish(1, 11, complete(11_000));
        output
    }

    #[test]
    fn bytes_leave_in_order_whatever_a_write_takes() {
        let whole = wire(&filled());
        assert_eq!(whole.len(), 17 + 9 + 5000 + 9 + 5 + 9 + 6000);
        for step in [1, 7, 26, 4999, 20_000] {
            let mut output = filled();
            let (mut seen, mut done) = (Vec::new(), Vec::new());
            while !output.is_empty() {
                let now = wire(&output);
                let taken = step.min(now.len());
                seen.extend_from_slice(&now[..taken]);
                output.advance(taken, |exchange, ended| done.push((exchange, ended.body_bytes)));
            }
            assert_eq!(seen, whole);
            assert_eq!(done, [(33, 5), (11, 11_000)]);
            output.shrink();
        }
    }

    #[test]
    fn what_a_lost_connection_took_is_counted_to_the_byte() {
        let small_end = 17 + 9 + 5000 + 9 + 5;
        let table = [
            (0, [(33, 0, Outcome::ClientGone), (11, 0, Outcome::ClientGone)]),
            (26 + 100, [(33, 0, Outcome::ClientGone), (11, 100, Outcome::ClientGone)]),
            (small_end - 1, [(33, 4, Outcome::ClientGone), (11, 5000, Outcome::ClientGone)]),
        ];
        for (written, expected) in table {
            let mut output = filled();
            let mut done = Vec::new();
            output.advance(written, |_, _| panic!("nothing is complete"));
            output.abandon(Outcome::ClientGone, |exchange, ended| {
                done.push((exchange, ended.body_bytes, ended.outcome));
            });
            assert_eq!(done, expected, "{written}");
        }
    }

    #[test]
    fn one_after_the_other_is_withdrawn_behind_what_has_begun_to_leave() {
        let begun = 17 + frame::HEAD + 100;
        let mut output = filled();
        output.advance(begun, |_, _| panic!("nothing is complete"));
        assert_eq!((output.withdraw(3), output.withdraw(1), output.withdraw(1)), (5, 6000, 0));
        assert!(wire(&output) == wire(&filled())[begun..5026]);
    }

    #[test]
    fn what_is_withdrawn_leaves_no_trace_but_what_has_begun_to_leave() {
        let whole = wire(&filled());
        // Behind the PING: two frames of stream 1, and between them one of stream 3.
        let [a, b, c] = [17..5026, 5026..5040, 5040..11_049];
        for (written, stream, gone, payload) in [
            (0, 1, vec![a.clone(), c.clone()], 11_000),
            (17, 1, vec![a, c.clone()], 11_000),
            (18, 1, vec![c], 6000),
            (0, 3, vec![b.clone()], 5),
            (5026, 3, vec![b], 5),
            (5027, 3, vec![], 0),
            (0, 5, vec![], 0),
        ] {
            let mut output = filled();
            output.advance(written, |_, _| panic!("nothing is complete"));
            assert_eq!(output.withdraw(stream), payload, "{written} {stream}");
            let stays = |at: &usize| !gone.iter().any(|range| range.contains(at));
            let left = (written..whole.len()).filter(stays).map(|at| whole[at]);
            let left: Vec<u8> = left.collect();
            assert!(wire(&output) == left && output.queued() == left.len(), "{written} {stream}");
            // What comes later stands behind it, and each ends with its last byte.
            output.data(7, Bytes::from(vec![b'c'; 5000]), true);
            assert!(wire(&output).starts_with(&left));
            let mut done = Vec::new();
            output.advance(left.len() - 1, |exchange, _| done.push(exchange));
            assert!(!done.contains(&11) || stream == 1, "{written} {stream}");
            output.advance(1 + frame::HEAD + 5000, |exchange, _| done.push(exchange));
            assert_eq!((done, output.unwritten(7)), (vec![33, 11], 0));
            output.shrink();
        }
    }

    #[test]
    fn a_long_block_goes_on_in_continuation_frames() {
        let mut small = BytesMut::from(&b"before"[..]);
        small.extend_from_slice(&[0; frame::HEAD]);
        small.extend_from_slice(b"abcdefg");
        seal_headers(&mut small, 6, 5, true, 3);
        let expected: [&[u8]; 7] = [
            b"before",
            &[0, 0, 3, kind::HEADERS, flag::END_STREAM, 0, 0, 0, 5],
            b"abc",
            &[0, 0, 3, kind::CONTINUATION, 0, 0, 0, 0, 5],
            b"def",
            &[0, 0, 1, kind::CONTINUATION, flag::END_HEADERS, 0, 0, 0, 5],
            b"g",
        ];
        assert_eq!(small, expected.concat());
    }
}
