//! The Huffman code of RFC 7541 appendix B, which HPACK and QPACK share (RFC 9204 section 4.1.2).
//!
//! The code is canonical (sorted by length, then by symbol), so the lengths say everything; the
//! tables are made from them at compile time. Only decoded: a response sends its strings plain, as
//! coding them would save a quarter of their bytes at several times the work.

/// The string ends within a code, holds EOS, or is not padded with ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// Bits of the code of every byte.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The longest code.
const LONGEST: usize = 30;

/// ```text
/// symbols   all bytes, sorted by length of code, then by value
/// first[n]  the first code of n bits
/// start[n]  where its symbol stands in `symbols`
/// short     by the next eight bits: symbol and length, if the length is at most eight; else 0
/// ```
struct Tables {
    symbols: [u8; 256],
    first: [u32; LONGEST + 2],
    start: [u16; LONGEST + 2],
    short: [(u8, u8); 256],
}

static TABLES: Tables = build();

const fn build() -> Tables {
    let mut tables = Tables {
        symbols: [0; 256],
        first: [0; LONGEST + 2],
        start: [0; LONGEST + 2],
        short: [(0, 0); 256],
    };
    let (mut code, mut place, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        tables.first[length] = code;
        tables.start[length] = place as u16;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                tables.symbols[place] = symbol as u8;
                if length <= 8 {
                    let mut fill = 0;
                    while fill < 1 << (8 - length) {
                        let index = ((code as usize) << (8 - length)) | fill;
                        tables.short[index] = (symbol as u8, length as u8);
                        fill += 1;
                    }
                }
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    tables.start[LONGEST + 1] = place as u16;
    tables
}

/// Appends the decoded bytes of `input` to `out`: at most 8/5 of its length.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Invalid> {
    out.reserve(input.len() * 8 / 5);
    // The next bits stand at the top of `bits`; below the `held` ones there are zeros.
    let (mut bits, mut held) = (0u64, 0u32);
    let mut rest = input.iter();
    loop {
        while held <= 56
            && let Some(&byte) = rest.next()
        {
            bits |= u64::from(byte) << (56 - held);
            held += 8;
        }
        let (symbol, length) = match TABLES.short[(bits >> 56) as usize] {
            (_, 0) => long(bits).unwrap_or((0, u32::MAX)),
            (symbol, length) => (symbol, length.into()),
        };
        if length > held {
            // Padding: fewer than eight bits, all ones (RFC 7541 section 5.2).
            let is_padding =
                held < 8 && bits.checked_shr(64 - held).unwrap_or(0) == (1 << held) - 1;
            return if is_padding { Ok(()) } else { Err(Invalid) };
        }
        out.push(symbol);
        bits <<= length;
        held -= length;
    }
}

/// The symbol of a code of more than eight bits; `None` for EOS, which must not stand in a string.
fn long(bits: u64) -> Option<(u8, u32)> {
    (9..=LONGEST).find_map(|length| {
        let code = (bits >> (64 - length)) as u32;
        let count = TABLES.start[length + 1] - TABLES.start[length];
        let offset = code.checked_sub(TABLES.first[length])?;
        (offset < count.into()).then(|| {
            let symbol = TABLES.symbols[usize::from(TABLES.start[length]) + offset as usize];
            (symbol, length as u32)
        })
    })
}

/// The coder, and a fuzz target that decodes what it codes.
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz {
    use super::*;

    /// The code of a byte, and its length.
    pub(super) fn code(byte: u8) -> (u32, usize) {
        let length = usize::from(LENGTHS[usize::from(byte)]);
        let start = usize::from(TABLES.start[length]);
        let offset = TABLES.symbols[start..].iter().position(|&symbol| symbol == byte);
        (TABLES.first[length] + offset.expect("a symbol") as u32, length)
    }

    /// The coding of `text`: only tests send Huffman strings.
    pub(in crate::net) fn encode(text: &[u8]) -> Vec<u8> {
        let (mut out, mut bits, mut held) = (Vec::new(), 0u64, 0);
        for (code, length) in text.iter().copied().map(code) {
            bits = bits << length | u64::from(code);
            held += length;
            while held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        if held > 0 {
            out.push((bits << (8 - held)) as u8 | (0xff >> held) as u8);
        }
        out
    }

    /// Coded text: no text is coded in two ways.
    pub(in crate::net) fn decode(bytes: &[u8]) {
        let mut out = b"before".to_vec();
        if super::decode(bytes, &mut out).is_ok() {
            let text = out.strip_prefix(b"before").expect("appended");
            assert!(text.len() <= bytes.len() * 8 / 5);
            assert_eq!(encode(text), bytes);
        }
        let mut back = Vec::new();
        assert_eq!(super::decode(&encode(bytes), &mut back), Ok(()));
        assert_eq!(back, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::fuzz::{code, encode};
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Invalid> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn codes_are_those_of_the_appendix() {
        let table: &[(u8, u32, usize)] = &[
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b':', 0x5c, 7),
            (b'&', 0xf8, 8),
            (b'!', 0x3f8, 10),
            (b'~', 0x1ffd, 13),
            (0, 0x1ff8, 13),
            (b'\\', 0x7fff0, 19),
            (1, 0x7fffd8, 23),
            (255, 0x3ffffee, 26),
            (249, 0xffffffe, 28),
            (22, 0x3ffffffe, 30),
        ];
        for &(byte, bits, length) in table {
            assert_eq!(code(byte), (bits, length), "{byte}");
        }
    }

    #[test]
    fn examples_of_appendix_c() {
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&coded).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
        assert_eq!(decoded(&[0x64, 0x02]).unwrap(), b"302");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&encode(&all)).unwrap(), all);
        for byte in 0..=255 {
            assert_eq!(decoded(&encode(&[byte])).unwrap(), [byte]);
        }
    }

    #[test]
    fn bad_padding_and_eos_are_invalid() {
        let table: &[&[u8]] = &[
            &[0xff],                   // eight bits of padding
            &[0xff, 0xff, 0xff, 0xff], // EOS
            &[0xff; 8],                // EOS at the top of all the bits there can be
            &[0x00],                   // '0', then padding of zeros
            &[0x1e],                   // 'a', then padding of 110
            &[0x1f, 0xff],             // 'a', then eleven bits of padding
        ];
        for input in table {
            assert_eq!(decoded(input), Err(Invalid), "{input:x?}");
        }
        assert_eq!(decoded(&[0x1f]).unwrap(), b"a", "three bits of padding");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }
}
