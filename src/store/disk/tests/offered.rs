//! What the driver offers to a tier, and how it is told from all else.

use super::*;

/// What a resource varies by.
pub(super) fn spec() -> VarySpec {
    VarySpec::parse([&b"accept-encoding"[..]])
}

/// A response with a head of some `head` bytes.
pub(super) fn response_of(number: u64, head: usize, body: &[u8]) -> Arc<Stored> {
    let lines = format!("x-number: {number}\r\nx-pad: {}\r\n", "x".repeat(head));
    let block = FieldBlock::from_lines(lines.into_bytes().into());
    let sequence = Sequence { number };
    let (status, target) = (StatusCode::OK, target("/x"));
    let head = ObjectHead::new(status, Default::default(), sequence, &block, None, &target);
    Arc::new(Stored::new(&head, &[Bytes::copy_from_slice(body)]))
}

/// Head and body are those that were stored, and so is a part.
pub(super) fn assert_same(found: &Stored, stored: &Stored, start: u64, length: u64) {
    assert_eq!(found.head.block().as_bytes(), stored.head.block().as_bytes());
    assert_eq!(found.head.sequence, stored.head.sequence);
    assert_eq!(found.len(), stored.len());
    let bytes =
        |of: &Stored, start, length| of.pieces(start, length).flatten().collect::<Vec<u8>>();
    assert!(bytes(found, 0, found.len()) == bytes(stored, 0, stored.len()), "another body");
    assert!(bytes(found, start, length) == bytes(stored, start, length), "another part");
    if let crate::message::Body::Full(part) = found.part(start, length) {
        assert!(part == bytes(stored, start, length), "another part is sent");
    }
}
