//! An entry as bytes: JSON, or Common Log Format. Uses nothing of ours.
//!
//! Whatever may come from a client is escaped. A scan of eight bytes at a time tells the usual
//! field, clean ASCII, which is then copied whole.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::time::Clock;
use super::{Entry, Format};

/// A longer field is cut here, so that no header can make a line of any length.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Appends the line of `entry`, its newline included.
pub(super) fn write(line: &mut Vec<u8>, clock: &mut Clock, format: Format, entry: &Entry<'_>) {
    match format {
        Format::Json => json(line, clock, entry),
        Format::Common => common(line, clock, entry),
        Format::Combined => {
            common(line, clock, entry);
            line.pop();
            for field in [entry.referer, entry.user_agent] {
                line.extend_from_slice(b" \"");
                common_text(line, field.unwrap_or(b"-"));
                line.push(b'"');
            }
            line.push(b'\n');
        }
    }
}

fn json(line: &mut Vec<u8>, clock: &mut Clock, entry: &Entry<'_>) {
    line.extend_from_slice(b"{\"time\":\"");
    line.extend_from_slice(clock.rfc3339(entry.unix_millis / 1000).as_bytes());
    let millis = (entry.unix_millis % 1000) as u16;
    let digits = [millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8);
    line.push(b'.');
    line.extend_from_slice(&digits);
    line.extend_from_slice(b"Z\",\"client\":\"");
    address(line, entry.client);
    line.push(b'"');
    text(line, b",\"method\":\"", entry.method);
    fixed(line, b",\"scheme\":\"", entry.scheme);
    text(line, b",\"host\":\"", entry.host);
    text(line, b",\"target\":\"", entry.target);
    fixed(line, b",\"protocol\":\"", entry.protocol);
    number(line, b",\"status\":", entry.status.into());
    number(line, b",\"bytes\":", entry.bytes);
    number(line, b",\"duration_us\":", micros(entry.duration));
    if let Some(ttfb) = entry.ttfb {
        number(line, b",\"ttfb_us\":", micros(ttfb));
    }
    fixed(line, b",\"result\":\"", entry.result);
    fixed(line, b",\"reason\":\"", entry.reason);
    if !entry.site.is_empty() {
        text(line, b",\"site\":\"", entry.site.as_bytes());
    }
    if let Some(status) = entry.origin_status {
        number(line, b",\"origin_status\":", status.into());
    }
    if let Some(range) = entry.range {
        text(line, b",\"range\":\"", range);
    }
    if let Some(referer) = entry.referer {
        text(line, b",\"referer\":\"", referer);
    }
    if let Some(agent) = entry.user_agent {
        text(line, b",\"user_agent\":\"", agent);
    }
    if let Some(trace_id) = entry.trace_id {
        text(line, b",\"trace_id\":\"", trace_id.as_bytes());
    }
    line.extend_from_slice(b"}\n");
}

fn common(line: &mut Vec<u8>, clock: &mut Clock, entry: &Entry<'_>) {
    address(line, entry.client);
    line.extend_from_slice(b" - - [");
    line.extend_from_slice(clock.common(entry.unix_millis / 1000).as_bytes());
    line.extend_from_slice(b"] \"");
    common_text(line, entry.method);
    line.push(b' ');
    common_text(line, entry.target);
    line.push(b' ');
    line.extend_from_slice(entry.protocol.as_bytes());
    number(line, b"\" ", entry.status.into());
    number(line, b" ", entry.bytes);
    line.push(b'\n');
}

fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [first, rest @ ..] = v4.octets();
            number(line, b"", first.into());
            for octet in rest {
                number(line, b".", octet.into());
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(line, "{v6}")),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn number(line: &mut Vec<u8>, key: &[u8], value: u64) {
    line.extend_from_slice(key);
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A value from a list of our own needs no escape. `key` ends with the opening quote.
fn fixed(line: &mut Vec<u8>, key: &[u8], value: &'static str) {
    debug_assert!(is_plain(value.as_bytes()), "no name of ours needs an escape");
    line.extend_from_slice(key);
    line.extend_from_slice(value.as_bytes());
    line.push(b'"');
}

/// A value from outside. `key` ends with the opening quote.
fn text(line: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    line.extend_from_slice(key);
    json_text(line, value);
    line.push(b'"');
}

/// True if `value` stands for itself in both formats: printable ASCII but quote and backslash.
fn is_plain(value: &[u8]) -> bool {
    let (words, tail) = value.as_chunks();
    words.iter().all(|word| is_plain_word(*word))
        && match value.last_chunk() {
            // The last eight bytes overlap the words before them: one test, whatever is left.
            Some(word) => is_plain_word(*word),
            None => tail.iter().copied().all(is_plain_byte),
        }
}

/// [`is_plain_byte`] for eight bytes at once. A subtraction sets the high bit of a byte that is
/// too small; a borrow may then mark the byte above, too, which does not change the answer.
fn is_plain_word(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_ne_bytes(bytes);
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (word | below(word, 0x20) | equal(0x7f) | equal(b'"') | equal(b'\\')) & HIGH == 0
}

fn is_plain_byte(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\')
}

fn bounded(value: &[u8]) -> &[u8] {
    &value[..value.len().min(FIELD_BYTES_MAX)]
}

/// RFC 8259, section 7. Bytes that are not UTF-8 become `\xHH` in the decoded string, so that
/// none is lost and the line stays valid.
fn json_text(line: &mut Vec<u8>, value: &[u8]) {
    let value = bounded(value);
    if is_plain(value) {
        line.extend_from_slice(value);
        return;
    }
    for chunk in value.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                b'\t' => line.extend_from_slice(b"\\t"),
                0..0x20 | 0x7f => hex(line, b"\\u00", byte),
                _ => line.push(byte),
            }
        }
        for byte in chunk.invalid() {
            hex(line, b"\\\\x", *byte);
        }
    }
}

/// As Apache writes it: quote and backslash behind a backslash, what is not printable ASCII as
/// `\xHH`.
fn common_text(line: &mut Vec<u8>, value: &[u8]) {
    let value = bounded(value);
    if is_plain(value) {
        line.extend_from_slice(value);
        return;
    }
    for byte in value {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            byte if is_plain_byte(*byte) => line.push(*byte),
            byte => hex(line, b"\\x", *byte),
        }
    }
}

fn hex(line: &mut Vec<u8>, prefix: &[u8], byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    line.extend_from_slice(prefix);
    line.push(DIGITS[usize::from(byte >> 4)]);
    line.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_once_are_judged_as_each_alone() {
        for byte in 0..=u8::MAX {
            for place in 0..19 {
                let mut field = *b"nineteen plain char";
                field[place] = byte;
                let field = &field[..place.max(6) + 1];
                assert_eq!(is_plain(field), is_plain_byte(byte), "{byte:#x} at {place}");
            }
        }
        assert!(is_plain(b""));
        assert!(!is_plain(b"\x1f\x20\x1f\x20\x21\x80\xff\x7f"));
    }
}
