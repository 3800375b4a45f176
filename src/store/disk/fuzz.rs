//! Fuzz targets: what a cache directory holds, and the same with checksums made to fit.

use super::format::{
    self, ENTRY, FRONT, HEADER, Header, SUPERBLOCK, Superblock, TRAILER, UNIT, crc_of, entries_of,
};
use super::walk::Walk;
use super::{recency, varies};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of the disk tier.
pub(crate) const TARGETS: &[Target] = &[
    ("disk-footer", footer),
    ("disk-recency", used),
    ("disk-record", record),
    ("disk-segment", segment),
    ("disk-superblock", superblock),
    ("disk-varies", variants),
];

/// The mark of the segment that is read.
const MARK: u64 = 0x0a0b;

/// Makes the checksum at bytes 4 to 8 fit all that stands behind it.
fn seal(bytes: &mut [u8]) {
    if let Some((front, behind)) = bytes.split_at_mut_checked(8) {
        front[4..].copy_from_slice(&crc_of([&*behind]).to_le_bytes());
    }
}

/// Makes a record of this segment of what stands at the beginning, as far as it goes.
fn seal_record(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    bytes[..4].copy_from_slice(b"HlRc");
    bytes[8..16].copy_from_slice(&MARK.to_le_bytes());
    let end = HEADER + (format::head_length(bytes) as usize).min(bytes.len() - HEADER);
    seal(&mut bytes[..end]);
}

/// The first byte says whether the checksum is put right.
fn record(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first & 1 == 1 {
        seal_record(&mut bytes);
    }
    let Some((header, head)) = Header::decode(&bytes, MARK) else { return };
    assert_eq!(head.len(), header.head as usize);
    assert!(header.length().is_multiple_of(UNIT) && header.length() >= header.body_start());
    assert!(header.own_body() <= header.body);
    assert_eq!(header.encode(head)[..], bytes[..HEADER], "as told on");
}

/// The first byte says where records are put right, in units of its lowest bits.
fn segment(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    for at in (FRONT as usize..bytes.len()).step_by(UNIT as usize * usize::from(first % 4 + 1)) {
        seal_record(&mut bytes[at..]);
    }
    let mut walk = Walk::new(&bytes, MARK);
    let (mut end, mut epoch) = (FRONT, 0);
    while let Some((at, header)) = walk.next() {
        assert!(at >= end && at.is_multiple_of(UNIT), "records do not overlap");
        assert!(header.epoch >= epoch, "nothing older follows");
        (end, epoch) = (at + header.length(), header.epoch);
        assert!(end <= bytes.len() as u64, "nor do they leave the segment");
    }
    assert_eq!((walk.tail(), walk.epoch()), (end, epoch));
    if bytes.len() < FRONT as usize + TRAILER {
        return;
    }
    let length = bytes.len() as u64;
    while walk.skip(|from| (from < length).then_some(from)) {
        assert!(walk.tail() > end && walk.tail() < length, "on and on");
        end = walk.tail();
        assert!(walk.next().is_some(), "a record stands there");
    }
}

/// The first byte says whether the checksums are put right.
fn footer(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if let (1, Some(end)) = (first & 1, bytes.len().checked_sub(TRAILER)) {
        let count = u64::from_le_bytes(format::array(&bytes[end + 24..end + 32]));
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY));
        let start = length.and_then(|length| end.checked_sub(length)).unwrap_or(end);
        let crc = crc_of([&bytes[start..end]]).to_le_bytes();
        bytes[end..end + 4].copy_from_slice(b"HlFt");
        bytes[end + 8..end + 12].copy_from_slice(&crc);
        bytes[end + 16..end + 24].copy_from_slice(&7_u64.to_le_bytes());
        seal(&mut bytes[end..]);
    }
    let Some(entries) = entries_of(&bytes, 7) else { return };
    assert!(entries.len() * ENTRY + TRAILER <= bytes.len());
    let told = format::footer(7, &entries);
    assert_eq!(entries_of(&told, 7), Some(entries), "as told on");
    assert_eq!(entries_of(&told, 8), None, "of another segment");
}

/// The first byte says whether the checksum is put right.
fn superblock(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first & 1 == 1 && bytes.len() >= SUPERBLOCK {
        bytes[..4].copy_from_slice(Superblock::MAGIC);
        bytes[8..12].copy_from_slice(&format::VERSION.to_le_bytes());
        seal(&mut bytes[..SUPERBLOCK]);
    }
    match Superblock::decode(&bytes) {
        Ok(read) => assert_eq!(Superblock::decode(&read.encode()), Ok(read), "as told on"),
        Err(why) => assert!(!why.is_empty()),
    }
}

/// The first byte says whether the checksum is put right.
fn used(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first & 1 == 1 && bytes.len() >= 16 {
        bytes[..4].copy_from_slice(&recency::MAGIC);
        seal(&mut bytes);
    }
    if let Some(tags) = recency::decode(&bytes) {
        assert_eq!(recency::encode(&tags), bytes, "as told on");
    }
}

fn variants(bytes: &[u8]) {
    let Some((spec, draw)) = varies::decode(bytes) else { return };
    let told = varies::encode(&spec, draw);
    assert_eq!(varies::decode(&told), Some((spec, draw)), "as told on");
}
