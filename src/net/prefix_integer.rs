//! Integers that share their first byte with other bits (RFC 7541 section 5.1), as HPACK and QPACK
//! write indices and lengths.

use bytes::BufMut;

/// The largest integer accepted (RFC 9204 section 4.1.1).
const LARGEST: u64 = (1 << 62) - 1;
/// Nine bytes of seven bits hold every accepted integer; more would be zeros to waste our time.
const LAST_SHIFT: u32 = 56;

/// Takes an integer with a prefix of `bits` from `input`; `None` if it is cut short or too large.
#[inline]
pub(super) fn take(input: &mut &[u8], bits: u32) -> Option<usize> {
    let (&first, rest) = input.split_first()?;
    let mask = u8::MAX >> (8 - bits);
    *input = rest;
    if first & mask < mask {
        return Some(usize::from(first & mask));
    }
    take_rest(input, mask)
}

fn take_rest(input: &mut &[u8], mask: u8) -> Option<usize> {
    let mut value = u64::from(mask);
    for shift in (0..=LAST_SHIFT).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        value += u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok().filter(|_| value <= LARGEST);
        }
    }
    None
}

/// Appends an integer whose prefix of `bits` shares a byte with `pattern`.
#[inline]
pub(super) fn put(out: &mut impl BufMut, pattern: u8, bits: u32, value: usize) {
    let mask = (1usize << bits) - 1;
    if value < mask {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_appendix_c() {
        let table: &[(&[u8], u32, usize)] =
            &[(&[0x0a], 5, 10), (&[0x1f, 0x9a, 0x0a], 5, 1337), (&[0x2a], 8, 42)];
        for &(coded, bits, value) in table {
            assert_eq!(take(&mut &coded[..], bits), Some(value));
            let mut out = Vec::new();
            put(&mut out, 0, bits, value);
            assert_eq!(out, coded);
        }
    }

    #[test]
    fn integers_have_an_end() {
        let longest = |last| [&[0x1f][..], &[0xff; 8], &[last]].concat();
        let (too_large, too_long) = (longest(0x7f), [&[0x1f][..], &[0x80; 9], &[0]].concat());
        for input in [&[][..], &[0x1f], &[0x1f, 0x80], &too_large, &too_long] {
            assert_eq!(take(&mut &input[..], 5), None, "{input:x?}");
        }
        assert!(take(&mut &longest(0x3e)[..], 5).is_some());
    }

    proptest! {
        #[test]
        fn integers_come_back(value in 0..=LARGEST, bits in 1..=8u32, more in any::<u8>()) {
            let value = value as usize >> (more % 62);
            let mut out = Vec::new();
            put(&mut out, 0, bits, value);
            out.push(more);
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest, bits), Some(value));
            prop_assert_eq!(rest, [more]);
        }
    }
}
