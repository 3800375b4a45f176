//! Byte sizes, rates and durations as people write them: `64KiB`, `128B/s`, `1h30m`.
//!
//! Invariant: what prints here parses back to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes. `KiB` and kin count by 1024, `KB` and kin by 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Largest first: a size prints in the largest unit that divides it.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("PiB", 1 << 50),
    ("PB", 1_000_000_000_000_000),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// `n` times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` times 1024² bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` times 1024³ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// `n` times 1024⁴ bytes.
    pub const fn tib(n: u64) -> Self {
        Self(n << 40)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest length where it would not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        for (unit, bytes) in SIZE_UNITS {
            if self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        Ok(())
    }
}

/// The text is not a quantity in a unit that is known here, or too large to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAQuantity;

impl FromStr for ByteSize {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let (number, unit) = split_number(text.trim()).ok_or(NotAQuantity)?;
        let unit = unit.trim_start();
        let (_, bytes) = SIZE_UNITS
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit) || (unit.is_empty() && *name == "B"))
            .ok_or(NotAQuantity)?;
        number.checked_mul(bytes).map(Self).ok_or(NotAQuantity)
    }
}

/// Bytes per second, written as a size with `/s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub ByteSize);

impl Rate {
    /// `n` bytes per second.
    pub const fn bytes_per_second(n: u64) -> Self {
        Self(ByteSize(n))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Rate {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let size = text.trim().strip_suffix("/s").ok_or(NotAQuantity)?;
        size.parse().map(Self)
    }
}

/// Largest first, the order in which the parts of a duration stand.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `10s`, `250ms`, `1h30m`, `1d`: whole numbers with units, the larger units first. 0 needs
/// no unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut units = TIME_UNITS.iter();
    let mut total: u64 = 0;
    loop {
        let (number, tail) = split_number(rest)?;
        let length = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(length);
        // The iterator goes on behind the unit it found, so that no unit comes twice or too late.
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*millis)?)?;
        if tail.is_empty() {
            return Some(Duration::from_millis(total));
        }
        rest = tail;
    }
}

/// Prints a duration as [`parse_duration`] reads it, in whole milliseconds. Up to two minutes
/// stand in seconds, as people write them.
pub fn show_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut shown = String::new();
    let units = if left < 120_000 { &TIME_UNITS[3..] } else { &TIME_UNITS[..] };
    for (unit, millis) in units {
        let count = left / millis;
        left %= millis;
        if count > 0 {
            shown.push_str(&format!("{count}{unit}"));
        }
    }
    shown
}

/// Splits the digits at the front of `text` from what follows them.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// So many a second, minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frequency {
    count: u32,
    per: char,
}

impl Default for Frequency {
    fn default() -> Self {
        Self { count: 100, per: 's' }
    }
}

impl Frequency {
    /// Reads `100/s`, `1000/m` or `5/h`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let per = per.parse().ok().filter(|per| matches!(per, 's' | 'm' | 'h'))?;
        let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
        Some(Self { count, per })
    }

    /// From one to the next.
    pub fn interval(self) -> Duration {
        let per = match self.per {
            's' => Duration::from_secs(1),
            'm' => Duration::from_mins(1),
            _ => Duration::from_hours(1),
        };
        per / self.count
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("64 kib", Some(65_536)),
            ("1MB", Some(1_000_000)),
            ("1GiB", Some(1 << 30)),
            ("100TiB", Some(100 << 40)),
            ("16384PiB", None),
            ("", None),
            ("KiB", None),
            ("1.5GiB", None),
            ("-1B", None),
            ("1XB", None),
            ("64K", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse().ok().map(ByteSize::bytes), bytes, "{text}");
        }
        assert_eq!(ByteSize::mib(1536).to_string(), "1536MiB");
        assert_eq!(ByteSize(1_000_000).to_string(), "1MB");
        assert_eq!(ByteSize(0).to_string(), "0B");
    }

    #[test]
    fn rates() {
        assert_eq!("1KiB/s".parse(), Ok(Rate(ByteSize::kib(1))));
        assert_eq!("1KiB".parse::<Rate>(), Err(NotAQuantity));
        assert_eq!(Rate::bytes_per_second(0).to_string(), "0B/s");
    }

    #[test]
    fn durations() {
        let cases = [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("10s", Some(10_000)),
            ("250ms", Some(250)),
            ("1h30m", Some(5_400_000)),
            ("1d", Some(86_400_000)),
            ("1m1s1ms", Some(61_001)),
            ("", None),
            ("10", None),
            ("ten", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("99999999999999999999s", None),
            ("9999999999999999d", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
        for shown in ["0s", "250ms", "1s500ms", "60s", "90s", "2m", "1h30m", "365d"] {
            assert_eq!(parse_duration(shown).map(show_duration).as_deref(), Some(shown));
        }
    }

    proptest! {
        #[test]
        fn what_prints_parses_back(n: u64, millis in 0..u64::MAX / 2, text in "\\PC{0,12}") {
            prop_assert_eq!(ByteSize(n).to_string().parse(), Ok(ByteSize(n)));
            prop_assert_eq!(Rate(ByteSize(n)).to_string().parse(), Ok(Rate(ByteSize(n))));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
            // Whatever is written, reading it ends in a value or in none.
            let _ = (text.parse::<ByteSize>(), text.parse::<Rate>(), parse_duration(&text));
        }
    }

    #[test]
    fn frequencies() {
        for (text, micros) in [("1/s", 1_000_000), ("100/s", 10_000), ("60/m", 1_000_000)] {
            let frequency = Frequency::parse(text).unwrap();
            assert_eq!(frequency.interval(), Duration::from_micros(micros), "{text}");
            assert_eq!(frequency.to_string(), text);
        }
        assert_eq!(Frequency::parse("2/h").unwrap().interval(), Duration::from_mins(30));
        for text in ["", "1", "0/s", "-1/s", "1/", "1/d", "1 /s", "1/sec", "1000001/s", "1.5/s"] {
            assert_eq!(Frequency::parse(text), None, "{text}");
        }
    }
}
