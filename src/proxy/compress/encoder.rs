//! One body on its way through a coding. Pure but for what it allocates; the libraries stand behind
//! this file.

use std::io::{self, Write};

use bytes::Bytes;

use crate::semantics::coding::{Coding, Levels};

/// Bits of brotli's window: 1 MiB. A larger one costs memory for each body at once, and what is
/// compressed while it streams is seldom longer.
const BROTLI_WINDOW: u32 = 20;

/// Bytes that brotli hands out at a time.
const BROTLI_PIECE: usize = 16 * 1024;

/// What comes behind some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More, at once.
    More,
    /// Perhaps nothing for a while: whoever decodes is to have all that has come.
    Wait,
    /// Nothing.
    End,
}

/// A body that is being coded.
pub(super) enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// For a body of `length` bytes, if that is known; `None` for one that is not to be coded, or
    /// where there is no memory.
    pub(super) fn new(coding: Coding, levels: Levels, length: Option<u64>) -> Option<Box<Self>> {
        Some(Box::new(match coding {
            Coding::Identity => return None,
            Coding::Zstd => {
                let level = i32::try_from(levels.zstd).ok()?;
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).ok()?;
                // Told, a small body takes small tables.
                encoder.set_pledged_src_size(length).ok()?;
                Self::Zstd(encoder)
            }
            Coding::Brotli => {
                let (level, window) = (levels.brotli, BROTLI_WINDOW);
                let writer = brotli::CompressorWriter::new(Vec::new(), BROTLI_PIECE, level, window);
                Self::Brotli(Box::new(writer))
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(levels.gzip);
                Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), level))
            }
        }))
    }

    /// Codes more input; returns what has become of it so far, and itself unless that was the end.
    pub(super) fn step(
        mut self: Box<Self>,
        input: &[Bytes],
        then: Then,
    ) -> io::Result<(Bytes, Option<Box<Self>>)> {
        let writer: &mut dyn Write = match &mut *self {
            Self::Zstd(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        };
        for piece in input {
            writer.write_all(piece)?;
        }
        if then == Then::Wait {
            writer.flush()?;
        }
        if then == Then::End {
            return Ok((self.finish()?.into(), None));
        }
        let output = std::mem::take(match &mut *self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        });
        Ok((output.into(), Some(self)))
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Brotli(mut encoder) => {
                // What ends it cannot fail, but tells of no error in what came before.
                encoder.flush()?;
                Ok(encoder.into_inner())
            }
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::*;

    const LEVELS: Levels = Levels { zstd: 3, brotli: 4, gzip: 6 };

    #[test]
    fn every_coding_gives_back_what_went_in() {
        let text: Vec<u8> = (0..40_000_u32).flat_map(|n| (n % 977).to_be_bytes()).collect();
        for coding in [Coding::Zstd, Coding::Brotli, Coding::Gzip] {
            for (length, cut) in [(0, 1), (1, 1), (5000, 7), (text.len(), 50_000)] {
                let text = &text[..length];
                for told in [None, Some(length as u64)] {
                    let mut encoder = Encoder::new(coding, LEVELS, told);
                    let mut coded = Vec::new();
                    for (at, piece) in text.chunks(cut).enumerate() {
                        let then = if at % 3 == 0 { Then::Wait } else { Then::More };
                        let step = encoder.take().unwrap();
                        let piece = Bytes::copy_from_slice(piece);
                        let (output, rest) = step.step(&[piece], then).unwrap();
                        coded.extend_from_slice(&output);
                        encoder = rest;
                    }
                    let (output, rest) = encoder.take().unwrap().step(&[], Then::End).unwrap();
                    coded.extend_from_slice(&output);
                    assert!(rest.is_none());
                    assert!(decode(coding.as_str(), &coded) == text, "{coding:?} {length}");
                }
            }
        }
        assert!(Encoder::new(Coding::Identity, LEVELS, None).is_none());
    }

    #[test]
    fn what_waits_can_be_decoded() {
        for coding in [Coding::Zstd, Coding::Brotli, Coding::Gzip] {
            let encoder = Encoder::new(coding, LEVELS, None).unwrap();
            let (held, encoder) = encoder.step(&["one ".into()], Then::More).unwrap();
            assert!(decode(coding.as_str(), &held).is_empty(), "{coding:?} has not to wait");
            let (output, _) = encoder.unwrap().step(&["two".into()], Then::Wait).unwrap();
            let so_far = [held, output].concat();
            assert_eq!(decode(coding.as_str(), &so_far), b"one two", "{coding:?}");
        }
    }
}
