//! The grammar that all fields share: tokens, optional whitespace, lists that know quotes.
//!
//! RFC 9110 section 5.6. Readers here are lenient where the wild is, and never allocate.

/// Cuts optional whitespace (space and tab) from both ends; RFC 9110 section 5.6.3.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether `byte` may stand in a token; RFC 9110 section 5.6.2.
pub(super) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether the whole of `value` is one token.
pub(super) fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| is_tchar(*byte))
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 section 5.6.1).
pub(super) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    elements(line).filter(|member| !member.is_empty())
}

/// What stands between the commas of a line, trimmed.
///
/// A comma within a quoted string does not separate. A quote that is never closed quotes nothing,
/// so that it cannot hide the members after it.
pub(super) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = member_end(line);
        rest = line.get(end + 1..);
        Some(trim(&line[..end]))
    })
}

fn member_end(line: &[u8]) -> usize {
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b',' => return at,
            b'"' => at += quoted_len(&line[at..]).unwrap_or(1),
            _ => at += 1,
        }
    }
    line.len()
}

/// Length of the quoted string at the start of `value`, both quotes included; `None` if it is not
/// closed. RFC 9110 section 5.6.4.
pub(super) fn quoted_len(value: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < value.len() {
        match value[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// A whole number of seconds (RFC 9111 section 1.2.2), `None` where it is not one. Too large a
/// number is the largest there is.
pub(super) fn delta_seconds(value: &[u8]) -> Option<u32> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u32, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_know_quotes() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            (" , ,, ", &[]),
            ("a, b ,c", &["a", "b", "c"]),
            ("a=\"1, 2\", b", &["a=\"1, 2\"", "b"]),
            ("a=\"1\\\", 2\", b", &["a=\"1\\\", 2\"", "b"]),
            ("a=\"1, b", &["a=\"1", "b"]),
            ("a=\"1\\", &["a=\"1\\"]),
        ];
        for (line, wanted) in cases {
            let found: Vec<&[u8]> = members(line.as_bytes()).collect();
            let wanted: Vec<&[u8]> = wanted.iter().map(|member| member.as_bytes()).collect();
            assert_eq!(found, wanted, "{line}");
        }
    }

    #[test]
    fn seconds_saturate_and_refuse() {
        let cases: [(&str, Option<u32>); 9] = [
            ("0", Some(0)),
            ("003600", Some(3600)),
            ("2147483648", Some(2_147_483_648)),
            ("99999999999999999999", Some(u32::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("1a", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(delta_seconds(text.as_bytes()), wanted, "{text}");
        }
    }
}
