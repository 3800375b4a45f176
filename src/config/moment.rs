//! Moments as a config writes them: `2027-01-01T00:00:00Z`, or `2027-01-01` for its beginning.

use std::fmt;

use toml::value::{Datetime, Offset};

use super::reader::Node;
use super::value::Value;

/// A moment, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// Reads a date and time with its offset, or a date: that one begins at midnight UTC.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text.parse().ok()?)
    }

    fn of(written: Datetime) -> Option<Self> {
        let date = written.date?;
        let seconds = match (written.time, written.offset) {
            (None, None) => 0,
            (Some(time), Some(offset)) => {
                let east = match offset {
                    Offset::Z => 0,
                    Offset::Custom { minutes } => i64::from(minutes),
                };
                let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - east;
                minutes * 60 + time.second.map_or(0, i64::from)
            }
            // A time that is of no place may be any of a day's.
            _ => return None,
        };
        let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
        // What was before 1970 has been all the same, and an offset leads beyond the last year that
        // can be written.
        Some(Self(u64::try_from(days * 86_400 + seconds).unwrap_or(0).min(LAST_SECOND)))
    }
}

impl Value for Moment {
    fn expected() -> String {
        "a date such as 2027-01-01, or a date and time with its offset such as 2027-01-01T00:00:00Z"
            .to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let Some(written) = node.datetime() else {
            return node.parse(&Self::expected(), Self::parse);
        };
        let moment = Self::of(written);
        if moment.is_none() {
            node.misfit(&Self::expected());
        }
        moment
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl fmt::Display for Moment {
    /// As [`Self::parse`] reads it, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (since, second) = (self.0 / 86_400, self.0 % 86_400);
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        // A year has no more days than that: the one that is looked for comes no earlier.
        let years = 1970 + since / 366..=LAST_YEAR;
        let year = years.take_while(|year| days(*year, 1, 1) <= since).last().unwrap_or(LAST_YEAR);
        let months = (1..=12).take_while(|month| days(year, *month, 1) <= since);
        let month = months.last().unwrap_or(1);
        let day = (since - days(year, month, 1) + 1).min(31);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A year has four digits.
const LAST_YEAR: i64 = 9999;

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// Days from 1970 to a date of the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * from_march + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let cases = [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:01Z", Some(1)),
            ("2000-02-29", Some(951_782_400)),
            ("2000-03-01", Some(951_868_800)),
            ("2026-11-22T05:00:33Z", Some(1_795_323_633)),
            ("2026-11-22T06:30:33+01:30", Some(1_795_323_633)),
            ("2026-11-21 23:00:33.9-06:00", Some(1_795_323_633)),
            ("1960-01-01", Some(0)),
            ("9999-12-31T23:59:59-01:00", Some(LAST_SECOND)),
            ("2026-11-22T05:00:33", None),
            ("05:00:33", None),
            ("2026-02-30", None),
            ("30d", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Moment::parse(text).map(|moment| moment.0), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Moment(951_868_799).to_string(), "2000-02-29T23:59:59Z");
        let end = Moment::parse("9999-12-31T23:59:59Z").unwrap();
        for moment in (0..).map(|n| Moment(n * 86_400 * 13 + n)).take_while(|it| *it < end) {
            assert_eq!(Moment::parse(&moment.to_string()), Some(moment), "{moment}");
        }
        assert!(Moment(u64::MAX).to_string().starts_with("9999-12-31T"));
    }
}
