//! Fuzz target: a journal, and one whose checksums were made to fit.

use super::{Contents, Hasher, MAGIC, SLOT, VERSION, encode_records, part, sealed, seed};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The target of a journal.
pub(crate) const TARGETS: &[Target] = &[("journal", file)];

/// The first byte says whether the checksums are put right.
fn file(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut file = bytes.to_vec();
    if first & 1 == 1 {
        seal(&mut file);
    }
    let read = Contents::read(file.len() as u64, &file[..]).expect("memory can be read");
    let Ok(contents) = read else { return };
    assert!(contents.slots * SLOT as u64 <= file.len() as u64);
    assert!(contents.head >= contents.header.head);
    assert!(contents.records.len() as u64 >= contents.header.rules);
    // What was read is what would be written.
    let mut told = contents.header.encode().to_vec();
    told.extend(encode_records(contents.header.identity, 1, &contents.records));
    // A record that needs no text is written without.
    let slots = (told.len() / SLOT) as u64;
    assert!(slots <= contents.slots);
    let again = Contents::read(told.len() as u64, &told[..]).expect("memory can be read");
    assert_eq!(again, Ok(Contents { slots, ..contents.clone() }), "as told on");
    // What is appended to the rest is found behind it, or is damage: never another purge.
    let cut = told.len() - SLOT;
    if let Ok(fewer) = Contents::read(cut as u64, &told[..cut]).expect("memory can be read") {
        assert!(contents.records.starts_with(&fewer.records));
    }
}

fn seal(file: &mut [u8]) {
    let slots = file.as_chunks_mut::<SLOT>().0;
    let mut identity = 0;
    for (place, slot) in slots.iter_mut().enumerate() {
        if place == 0 {
            slot[..8].copy_from_slice(&MAGIC);
            slot[8..12].copy_from_slice(&VERSION.to_le_bytes());
            identity = u128::from_le_bytes(part(slot, 16));
        }
        let crc = if place == 0 { Hasher::new() } else { seed(identity, place as u64) };
        *slot = sealed(*slot, crc);
    }
}
