//! However the bytes of a stream are cut, the frames are the same; and no bytes do harm.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::frame::{Frame, FrameReader, put_header};
use super::super::head::SectionReader;
use super::super::qpack;
use crate::net::{Limits, huffman, prefix_integer};

const LONGEST: usize = 40;

/// The frames of a stream in pieces, DATA joined, and whether it may end there.
fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
    let mut reader = FrameReader::new(LONGEST);
    let mut frames = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(frame) = reader.read(&mut input) {
            match (frames.last_mut(), frame) {
                (Some(Frame::Data(all)), Frame::Data(more)) => {
                    *all = [&all[..], &more].concat().into()
                }
                (_, frame) => frames.push(frame),
            }
        }
        assert!(input.is_empty(), "bytes left behind");
    }
    (frames, reader.is_between_frames())
}

/// Splits `bytes` at `cuts`, each taken modulo the length.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Frames of known and unknown types, also too long ones, whose lengths may be untrue.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![0..0x10u64, 0..1u64 << 62];
    vec((kinds, vec(any::<u8>(), 0..60), prop_oneof![9 => Just(0u64), 1 => 0..100_000u64]), 0..12)
        .prop_map(|frames| {
            let mut out = Vec::new();
            for (kind, payload, missing) in frames {
                put_header(&mut out, kind, payload.len() as u64 + missing);
                out.extend(payload);
            }
            out
        })
}

/// A field line in one of the forms that a client may choose.
fn put_line(out: &mut Vec<u8>, name: &str, value: &str, packed: [bool; 2]) {
    for (text, packed, pattern, bits) in [(name, packed[0], 0x20, 3), (value, packed[1], 0, 7)] {
        let coded = if packed { huffman::fuzz::encode(text.as_bytes()) } else { text.into() };
        let pattern = pattern | if packed { 1 << bits } else { 0 };
        prefix_integer::put(out, pattern, bits, coded.len());
        out.extend(coded);
    }
}

type Lines = Vec<(String, String)>;

fn decode(section: &[u8]) -> Result<Lines, qpack::BadSection> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = Vec::new();
    qpack::Decoder::default()
        .decode(section, |name, value| lines.push((text(name), text(value))))
        .map(|()| lines)
}

/// A section of literal lines.
fn section() -> impl Strategy<Value = (Vec<u8>, Lines)> {
    vec(("[a-z-]{0,20}", "[ -~]{0,200}", any::<[bool; 2]>()), 0..20).prop_map(|lines| {
        let mut section = Vec::new();
        qpack::begin(&mut section);
        for (name, value, packed) in &lines {
            put_line(&mut section, name, value, *packed);
        }
        (section, lines.into_iter().map(|(name, value, _)| (name, value)).collect())
    })
}

/// Reads a section as head and as trailers, as a connection does that it comes on.
fn read(reader: &mut SectionReader, section: &[u8]) {
    let limits = Limits { header_bytes: 1000, headers: 8, url: 20, ..Limits::default() };
    let _head = reader.request(section, &limits);
    let _trailers = reader.trailers(section, &limits);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(bytes in stream(), cuts in vec(any::<usize>(), 0..30)) {
        let whole = frames(std::iter::once(&bytes[..]));
        prop_assert_eq!(&frames(pieces(&bytes, &cuts).into_iter()), &whole);
        prop_assert_eq!(frames(bytes.chunks(1)), whole);
    }

    #[test]
    fn garbage_is_the_same_however_it_is_cut(
        bytes in vec(any::<u8>(), 0..400),
        cuts in vec(any::<usize>(), 0..30),
    ) {
        let whole = frames(std::iter::once(&bytes[..]));
        prop_assert_eq!(frames(pieces(&bytes, &cuts).into_iter()), whole);
    }

    #[test]
    fn gathered_payloads_are_bounded(bytes in stream()) {
        for frame in frames(bytes.chunks(7)).0 {
            if let Frame::Whole(_, payload) = frame {
                prop_assert!(payload.len() <= LONGEST);
            }
        }
    }

    #[test]
    fn sections_come_back((section, lines) in section()) {
        prop_assert_eq!(decode(&section), Ok(lines));
    }

    #[test]
    fn a_section_cut_short_holds_no_other_lines(
        (section, lines) in section(),
        cut in any::<usize>(),
    ) {
        if let Ok(read) = decode(&section[..cut % section.len()]) {
            prop_assert!(lines.starts_with(&read));
        }
    }

    #[test]
    fn damaged_sections_do_no_harm(
        (mut section, _) in section(),
        flips in vec(any::<(usize, u8)>(), 1..8),
    ) {
        for (place, flip) in flips {
            let length = section.len();
            section[place % length] ^= flip;
        }
        read(&mut SectionReader::default(), &section);
    }

    #[test]
    fn garbage_is_read_or_refused(
        sections in vec(vec(any::<u8>(), 0..200), 0..6),
        sound in any::<bool>(),
    ) {
        let mut reader = SectionReader::default();
        for mut section in sections {
            if sound {
                section.splice(..0, [0, 0]);
            }
            read(&mut reader, &section);
        }
    }
}
