//! What is written is read, and no damage goes unseen.

use proptest::prelude::*;

use super::*;

fn header(kind: Kind, body: u64, head: &[u8], epoch: u16) -> Header {
    let content = *blake3::hash(&body.to_le_bytes()).as_bytes();
    let (mark, key) = (0x1122_3344_5566_7788, u128::MAX / 3);
    Header { mark, key, content, body, head: head.len() as u32, kind, epoch }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Response),
        Just(Kind::Reference),
        Just(Kind::Body),
        Just(Kind::Varies),
        Just(Kind::Removed)
    ]
}

proptest! {
    #[test]
    fn a_record_comes_back_and_no_flipped_bit_goes_unseen(
        kind in kinds(),
        body in 0u64..1 << 40,
        head in proptest::collection::vec(any::<u8>(), 0..200),
        epoch in any::<u16>(),
        bit in any::<prop::sample::Index>(),
    ) {
        let header = header(kind, body, &head, epoch);
        let mut bytes = header.encode(&head).to_vec();
        bytes.extend_from_slice(&head);
        prop_assert_eq!(Header::decode(&bytes, header.mark), Some((header, &head[..])));
        prop_assert_eq!(Header::decode(&bytes, header.mark + 1), None);
        let length = header.length();
        prop_assert_eq!(length % UNIT, 0);
        prop_assert!(length >= header.body_start() + header.own_body());
        prop_assert!(length < header.body_start() + header.own_body() + UNIT);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Header::decode(&bytes, header.mark), None, "bit {}", bit);
    }

    #[test]
    fn a_footer_comes_back_and_no_flipped_bit_goes_unseen(
        seeds in proptest::collection::vec((kinds(), 1u64..1 << 20), 0..40),
        bit in any::<prop::sample::Index>(),
    ) {
        let mut offset = FRONT;
        let mut entries = Vec::new();
        for (kind, body) in seeds {
            let header = header(kind, body, b"head", 0);
            entries.push(Entry::of(&header, offset));
            offset += header.length();
        }
        let footer = footer(9, &entries);
        let mut segment = vec![0xa5; 4096];
        segment.extend_from_slice(&footer);
        prop_assert_eq!(entries_of(&segment, 9), Some(entries));
        prop_assert_eq!(entries_of(&segment, 8), None);
        let bit = bit.index(footer.len() * 8);
        segment[4096 + bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(entries_of(&segment, 9), None, "bit {}", bit);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(Header::decode(&bytes, 1), None);
        prop_assert_eq!(entries_of(&bytes, 1), None);
        prop_assert!(Superblock::decode(&bytes).is_err());
    }
}

#[test]
fn a_superblock_tells_what_is_wrong_with_it() {
    let superblock = Superblock { store: 7, log: 8, segment: 1 << 23 };
    let bytes = superblock.encode();
    assert_eq!(Superblock::decode(&bytes), Ok(superblock));
    assert_eq!(Superblock::decode(&bytes[1..]), Err("it is too short".to_owned()));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0..4 => "it is no superblock",
            8..12 => "it is of version ",
            _ => "its checksum is wrong",
        };
        let told = Superblock::decode(&flipped).unwrap_err();
        assert!(told.starts_with(expected), "bit {bit}: {told}");
    }
}

#[test]
fn a_front_names_segment_store_and_length() {
    let bytes = front(3, 7, 1 << 23);
    assert!(is_front(&bytes, 3, 7, 1 << 23));
    for (id, store, length) in [(4, 7, 1 << 23), (3, 8, 1 << 23), (3, 7, 1 << 24)] {
        assert!(!is_front(&bytes, id, store, length));
    }
    assert!(!is_front(&bytes[..FRONT as usize - 1], 3, 7, 1 << 23));
}
