//! Points in time, and the three forms in which HTTP writes them.
//!
//! A [`Timestamp`] counts whole milliseconds since the Unix epoch. Arithmetic saturates, so a
//! date from a broken origin can never make a later calculation wrap or panic.

use std::time::Duration;

use super::syntax::trim;

/// A point in time: milliseconds since the Unix epoch, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(millis)
    }

    /// The time `seconds` seconds after the epoch.
    pub const fn from_seconds(seconds: u64) -> Timestamp {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time `span` later, or the last one there is.
    pub fn plus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis_of(span)))
    }

    /// The time `span` earlier, or the epoch.
    pub fn minus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis_of(span)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Reads a date in any of the three forms that a recipient must accept (RFC 9110 section 5.6.7).
///
/// Names of days, months and the zone match in any case; everything else is exact, for an invalid
/// date has a meaning of its own (an `Expires` that cannot be read has passed). A date before the
/// epoch is read as the epoch.
pub fn parse_http_date(value: &[u8]) -> Option<Timestamp> {
    let value = trim(value);
    let parts = match value.len() {
        29 => imf_fixdate(value)?,
        24 => asctime_date(value)?,
        _ => rfc850_date(value)?,
    };
    parts.timestamp()
}

/// Appends `time` as an IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT` (29 bytes).
pub fn write_http_date(time: Timestamp, out: &mut Vec<u8>) {
    // The form has four digits for the year.
    let seconds = time.seconds().min(LAST_SECOND);
    let days = seconds / 86_400;
    let clock = seconds % 86_400;
    let (year, month, day) = civil_from_days(days);
    // The epoch was a Thursday.
    let weekday = DAYS[((days + 3) % 7) as usize];
    out.extend_from_slice(&weekday.as_bytes()[..3]);
    out.extend_from_slice(b", ");
    write_two(day, out);
    out.push(b' ');
    out.extend_from_slice(MONTHS[(month - 1) as usize].as_bytes());
    out.push(b' ');
    write_two(year / 100, out);
    write_two(year % 100, out);
    out.push(b' ');
    write_two(clock / 3600, out);
    out.push(b':');
    write_two(clock / 60 % 60, out);
    out.push(b':');
    write_two(clock % 60, out);
    out.extend_from_slice(b" GMT");
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A date as written, before its ranges are checked.
struct Parts {
    year: u64,
    month: u64,
    day: u64,
    clock: u64,
}

impl Parts {
    fn timestamp(&self) -> Option<Timestamp> {
        if self.day == 0 || self.day > days_in_month(self.year, self.month) {
            return None;
        }
        if self.year < 1970 {
            return Some(Timestamp(0));
        }
        let days = days_from_civil(self.year, self.month, self.day);
        Some(Timestamp::from_seconds(days * 86_400 + self.clock))
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &[u8]) -> Option<Parts> {
    let [day_name, rest] = split_at(value, 3)?;
    short_day(day_name)?;
    expect(rest, 0, b", ")?;
    expect(rest, 4, b" ")?;
    expect(rest, 8, b" ")?;
    expect(rest, 13, b" ")?;
    zone(&rest[22..])?;
    Some(Parts {
        day: digits(&rest[2..4])?,
        month: month(&rest[5..8])?,
        year: digits(&rest[9..13])?,
        clock: clock(&rest[14..22])?,
    })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(value: &[u8]) -> Option<Parts> {
    let comma = memchr::memchr(b',', value)?;
    let [day_name, rest] = split_at(value, comma)?;
    if rest.len() != 24 || !DAYS.iter().any(|day| day.as_bytes().eq_ignore_ascii_case(day_name)) {
        return None;
    }
    expect(rest, 0, b", ")?;
    expect(rest, 4, b"-")?;
    expect(rest, 8, b"-")?;
    expect(rest, 11, b" ")?;
    zone(&rest[20..])?;
    // A two-digit year over fifty years ahead is the past one (RFC 9110 section 5.6.7). A fixed
    // pivot keeps this function free of the clock; no date before the epoch is of use here.
    let short = digits(&rest[9..11])?;
    let year = if short < 70 { 2000 + short } else { 1900 + short };
    Some(Parts {
        day: digits(&rest[2..4])?,
        month: month(&rest[5..8])?,
        year,
        clock: clock(&rest[12..20])?,
    })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(value: &[u8]) -> Option<Parts> {
    let [day_name, rest] = split_at(value, 3)?;
    short_day(day_name)?;
    expect(rest, 0, b" ")?;
    expect(rest, 4, b" ")?;
    expect(rest, 7, b" ")?;
    expect(rest, 16, b" ")?;
    let day = match &rest[5..7] {
        [b' ', one] => digits(&[*one])?,
        two => digits(two)?,
    };
    Some(Parts {
        day,
        month: month(&rest[1..4])?,
        year: digits(&rest[17..])?,
        clock: clock(&rest[8..16])?,
    })
}

fn split_at(value: &[u8], at: usize) -> Option<[&[u8]; 2]> {
    value.split_at_checked(at).map(|(head, tail)| [head, tail])
}

fn expect(value: &[u8], at: usize, wanted: &[u8]) -> Option<()> {
    (value.get(at..at + wanted.len())? == wanted).then_some(())
}

fn short_day(name: &[u8]) -> Option<()> {
    DAYS.iter().any(|day| day.as_bytes()[..3].eq_ignore_ascii_case(name)).then_some(())
}

fn zone(value: &[u8]) -> Option<()> {
    value.eq_ignore_ascii_case(b" GMT").then_some(())
}

fn month(name: &[u8]) -> Option<u64> {
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    Some(index as u64 + 1)
}

/// `08:49:37` as seconds of the day; the grammar allows a leap second.
fn clock(value: &[u8]) -> Option<u64> {
    expect(value, 2, b":")?;
    expect(value, 5, b":")?;
    let (hour, minute) = (digits(&value[..2])?, digits(&value[3..5])?);
    let second = digits(&value[6..8])?;
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn digits(value: &[u8]) -> Option<u64> {
    value
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

fn write_two(number: u64, out: &mut Vec<u8>) {
    out.push(b'0' + (number / 10 % 10) as u8);
    out.push(b'0' + (number % 10) as u8);
}

fn days_in_month(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a date from 1970 on. The year is counted from March, so that the leap
/// day is its last.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: (year, month, day).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn millis_of(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_all_three_forms() {
        let wanted = Some(Timestamp::from_seconds(784_111_777));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "  Sun, 06 Nov 1994 08:49:37 GMT\t",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sUN, 06 nOV 1994 08:49:37 gmt",
            "SUNDAY, 06-NOV-94 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Foo, 18 Aug 2050 02:01:18 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 +994",
            "Sun, 06 N\u{f6}v 1994 08:49:37 GM",
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn borders_of_the_calendar() {
        let cases = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
            ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
            ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
            ("Tuesday, 31-Dec-69 23:59:59 GMT", 3_155_759_999),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ];
        for (text, seconds) in cases {
            let wanted = Some(Timestamp::from_seconds(seconds));
            assert_eq!(parse_http_date(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let late = Timestamp::from_millis(u64::MAX);
        assert_eq!(late.plus(Duration::MAX), late);
        assert_eq!(Timestamp::from_millis(5).minus(Duration::MAX).millis(), 0);
        assert_eq!(Timestamp::from_millis(5).since(late), Duration::ZERO);
        let mut out = Vec::new();
        write_http_date(late, &mut out);
        assert_eq!(out, b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0..LAST_SECOND) {
            let mut out = Vec::new();
            write_http_date(Timestamp::from_seconds(seconds), &mut out);
            prop_assert_eq!(parse_http_date(&out), Some(Timestamp::from_seconds(seconds)));
            let text = std::str::from_utf8(&out).unwrap();
            let theirs = httpdate::parse_http_date(text).unwrap();
            let theirs = theirs.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            prop_assert_eq!(theirs, seconds);
        }

        #[test]
        fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_http_date(&value);
        }
    }
}
