//! The head of a record that tells by which fields a resource varies. Pure.
//!
//! ```text
//!  0              8
//!  │ draw (8)     │ names, separated by commas │
//! ```

use crate::object::VarySpec;

/// The bytes of `spec`, with the number that the variants' keys hold.
pub(super) fn encode(spec: &VarySpec, draw: u64) -> Vec<u8> {
    let names = if spec.is_star() { "*".to_owned() } else { spec.names().join(",") };
    [&draw.to_le_bytes()[..], names.as_bytes()].concat()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(head: &[u8]) -> Option<(VarySpec, u64)> {
    let (draw, names) = head.split_first_chunk::<8>()?;
    Some((VarySpec::parse([names]), u64::from_le_bytes(*draw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for lines in [&b"accept-encoding, Accept-Language"[..], b"*", b"x"] {
            let spec = VarySpec::parse([lines]);
            assert_eq!(decode(&encode(&spec, u64::MAX - 7)), Some((spec, u64::MAX - 7)));
        }
        assert_eq!(decode(b"1234567"), None);
    }
}
