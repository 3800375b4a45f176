//! What was used of late, kept over a restart.
//!
//! ```text
//!  0       4     8       16
//!  │ magic │ crc │ count │ tag │ tag │ …        crc: of all behind it
//! ```
//!
//! Written whole, beside the old one, and renamed. It is but a hint: one that is lost or damaged
//! costs reclaim its knowledge of what is in use, never a wrong byte. So it is not synced.

use std::io;
use std::path::Path;

use super::format::crc_of;

/// What the file begins with.
pub(super) const MAGIC: [u8; 4] = *b"HlRy";
const FRONT: usize = 16;

/// Writes the tags of what was used, unless they are those that `last` tells of.
pub(super) fn save(path: &Path, tags: &[u64], last: &mut Option<blake3::Hash>) -> io::Result<()> {
    let bytes = encode(tags);
    let hash = Some(blake3::hash(&bytes));
    if *last == hash {
        return Ok(());
    }
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, bytes)?;
    std::fs::rename(&fresh, path)?;
    *last = hash;
    Ok(())
}

/// The tags that were written; `None` if there is a file that cannot be read.
pub(super) fn load(path: &Path) -> Option<Vec<u64>> {
    match std::fs::read(path) {
        Ok(bytes) => decode(&bytes),
        Err(error) => (error.kind() == io::ErrorKind::NotFound).then(Vec::new),
    }
}

pub(super) fn encode(tags: &[u64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRONT + tags.len() * 8);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(tags.len() as u64).to_le_bytes());
    tags.iter().for_each(|tag| out.extend_from_slice(&tag.to_le_bytes()));
    let crc = crc_of([&out[8..]]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u64>> {
    let tags = bytes.get(FRONT..)?.as_chunks::<8>().0;
    let tags: Vec<_> = tags.iter().map(|tag| u64::from_le_bytes(*tag)).collect();
    (encode(&tags) == bytes).then_some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_already_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut last) = (folder.path().join("recency"), None);
        for (tags, is_written) in
            [(&[1, 2][..], true), (&[1, 2], false), (&[2], true), (&[], true), (&[], false)]
        {
            std::fs::write(&path, b"other").unwrap();
            save(&path, tags, &mut last).unwrap();
            assert_eq!(load(&path).as_deref() == Some(tags), is_written, "{tags:?}");
        }
    }

    #[test]
    fn what_is_damaged_is_nothing() {
        let whole = encode(&[1, u64::MAX, 7]);
        assert_eq!(decode(&whole), Some(vec![1, u64::MAX, 7]));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), None, "{length} bytes");
        }
    }
}
