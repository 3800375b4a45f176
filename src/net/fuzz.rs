//! Fuzz targets: what every protocol reads, and those of each.

use super::peer::PeerProof;
use super::{h1, h2, h3, huffman, preface, prefix_integer, request_head};
use crate::config::secret::Secret;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of all protocols.
pub(crate) const TARGETS: [&[Target]; 4] =
    [OWN, h1::fuzz::TARGETS, h2::fuzz::TARGETS, h3::fuzz::TARGETS];

const OWN: &[Target] = &[
    ("field-list", request_head::fuzz::field_list),
    ("huffman", huffman::fuzz::decode),
    ("peer-proof", proof),
    ("preface", first_bytes),
    ("prefix-integer", integer),
];

/// The first bytes of a connection: once judged, more of them change nothing.
fn first_bytes(bytes: &[u8]) {
    let judged: Vec<_> = (0..=bytes.len()).map(|end| preface::judge(&bytes[..end])).collect();
    let first = judged.iter().position(Option::is_some).unwrap_or(judged.len());
    assert!(judged[first..].iter().all(|version| *version == judged[first]));
    assert!(first <= 24, "the preface is as long as that");
}

/// Whatever is said for a proof.
fn proof(bytes: &[u8]) {
    let proof = PeerProof::new(&Secret::new("a secret of a fleet"));
    let own = proof.header();
    assert_eq!(proof.is_proven_by(bytes), bytes == own.as_bytes());
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
