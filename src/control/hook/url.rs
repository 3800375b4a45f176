//! Keys of objects as they stand in events and in URLs.

/// The bytes of a key that is escaped as in a form: `%2F`, and `+` for a space. What is no escape
/// stands for itself.
pub(super) fn unescape(key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|it| it.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let (byte, left) = match digits.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => (byte, &behind[2..]),
            None => (if *first == b'+' { b' ' } else { *first }, behind),
        };
        bytes.push(byte);
        rest = left;
    }
    bytes
}

/// A key as clients write it in a path, in each way that is common: with what may stand there as it
/// is (RFC 3986 section 3.3), as JavaScript escapes a part, and with all escaped that may be.
pub(super) fn spellings(key: &[u8]) -> Vec<String> {
    const KEPT: [&[u8]; 3] = [b"!$&'()*+,;=:@", b"!'()*", b""];
    let mut spellings: Vec<String> = KEPT.iter().map(|kept| escape(key, kept)).collect();
    spellings.dedup();
    spellings
}

fn escape(key: &[u8], kept: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(key.len());
    for byte in key {
        // RFC 3986 section 2.3; a slash divides a key as it divides a path.
        match byte.is_ascii_alphanumeric() || b"-._~/".contains(byte) || kept.contains(byte) {
            true => out.push(char::from(*byte)),
            false => {
                let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    out
}
