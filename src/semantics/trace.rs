//! W3C trace context: the `traceparent` field, read, continued and written.
//!
//! `00-{trace id, 32 hex}-{parent id, 16 hex}-{flags, 2 hex}`. Identifiers come from the caller.

/// A position in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Of the whole trace; not zero.
    pub trace_id: u128,
    /// Of the span that sends; not zero.
    pub span_id: u64,
    /// Flags: see [`SAMPLED`].
    pub flags: u8,
}

/// The flag that says that the caller may have recorded the trace.
pub const SAMPLED: u8 = 1;

/// Length of the written form in bytes.
pub const TRACEPARENT_LEN: usize = 55;

/// Flags that are passed on: sampled, and random-trace-id. The others are reserved and sent as
/// zero.
const KNOWN_FLAGS: u8 = 3;

impl TraceParent {
    /// Reads a field value; `None` if a trace is to be begun anew.
    pub fn parse(value: &[u8]) -> Option<TraceParent> {
        let (known, rest) = value.split_at_checked(TRACEPARENT_LEN)?;
        let version = hex(&known[..2])?;
        // A later version may add parts; of those known today the meaning stays.
        let tail_ok = if version == 0 { rest.is_empty() } else { matches!(rest, [] | [b'-', ..]) };
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        if version == 0xff || !tail_ok || !dashes {
            return None;
        }
        let trace_id = hex(&known[3..35])?;
        let span_id = u64::try_from(hex(&known[36..52])?).ok()?;
        let flags = u8::try_from(hex(&known[53..])?).ok()? & KNOWN_FLAGS;
        (trace_id != 0 && span_id != 0).then_some(TraceParent { trace_id, span_id, flags })
    }

    /// The position of a span below this one.
    #[must_use]
    pub const fn child(self, span_id: u64) -> TraceParent {
        TraceParent { span_id, ..self }
    }

    /// Whether the caller may have recorded the trace.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The field value, in version 00.
    pub fn format(self) -> [u8; TRACEPARENT_LEN] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(self.trace_id, &mut out[3..35]);
        write_hex(u128::from(self.span_id), &mut out[36..52]);
        write_hex(u128::from(self.flags & KNOWN_FLAGS), &mut out[53..]);
        out
    }
}

/// Only lower-case digits are allowed.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(value))
    })
}

fn write_hex(mut number: u128, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn reads_continues_and_writes() {
        let parent = TraceParent::parse(SAMPLE).unwrap();
        assert_eq!(parent.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parent.span_id, 0xb7ad_6b71_6920_3331);
        assert!(parent.is_sampled());
        assert_eq!(parent.format(), SAMPLE);
        let child = parent.child(1);
        assert_eq!(&child.format(), b"00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01");
    }

    #[test]
    fn versions_and_faults() {
        let cases: [(&str, bool); 12] = [
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
            ("", false),
        ];
        for (text, wanted) in cases {
            assert_eq!(TraceParent::parse(text.as_bytes()).is_some(), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(trace_id in 1u128.., span_id in 1u64.., flags in 0u8..4) {
            let parent = TraceParent { trace_id, span_id, flags };
            prop_assert_eq!(TraceParent::parse(&parent.format()), Some(parent));
        }
    }
}
