//! Decoders, for tests of what is coded.

use std::io::{Read, Write};

/// What a decoder makes of `coded`, which need not have ended.
pub(crate) fn decode(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let ended = match coding {
        "gzip" => {
            let mut decoder = flate2::write::GzDecoder::new(&mut plain);
            decoder.write_all(coded).and_then(|()| decoder.flush())
        }
        "zstd" => {
            let mut decoder = zstd::stream::write::Decoder::new(&mut plain).unwrap();
            decoder.write_all(coded).and_then(|()| decoder.flush())
        }
        "br" => {
            // What has not ended ends in an error, behind all that can be read.
            drop(brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain));
            Ok(())
        }
        "" => plain.write_all(coded),
        coding => panic!("{coding}"),
    };
    ended.unwrap();
    plain
}
