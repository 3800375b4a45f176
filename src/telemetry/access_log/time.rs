//! Dates as text, each second formatted once a thread. Uses nothing of ours.

use std::fmt::Write as _;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The texts of the second that was asked for last.
pub(super) struct Clock {
    second: u64,
    rfc3339: String,
    common: String,
}

impl Clock {
    pub(super) fn new() -> Self {
        let mut clock = Self { second: 0, rfc3339: String::new(), common: String::new() };
        clock.format();
        clock
    }

    /// Date and time without fraction and zone: `2026-11-22T05:00:33`.
    pub(super) fn rfc3339(&mut self, second: u64) -> &str {
        self.turn_to(second);
        &self.rfc3339
    }

    /// As Common Log Format has it: `22/Nov/2026:05:00:33 +0000`.
    pub(super) fn common(&mut self, second: u64) -> &str {
        self.turn_to(second);
        &self.common
    }

    fn turn_to(&mut self, second: u64) {
        if self.second != second {
            self.second = second;
            self.format();
        }
    }

    fn format(&mut self) {
        let (days, rest) = (self.second / 86_400, self.second % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let name = MONTHS[month as usize - 1];
        self.rfc3339.clear();
        self.common.clear();
        // Writing to a String cannot fail.
        let _ =
            write!(self.rfc3339, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        let _ = write!(
            self.common,
            "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
        );
    }
}

/// A second since 1970 as RFC 3339 has it, in UTC: `2026-11-22T05:00:33Z`.
pub fn rfc3339(second: u64) -> String {
    let mut clock = Clock::new();
    format!("{}Z", clock.rfc3339(second))
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400
/// years, which all have the same number of days.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let leaps = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn known_moments() {
        let cases = [
            (0, "1970-01-01T00:00:00", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "2000-02-28T23:59:59", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "2000-02-29T00:00:00", "29/Feb/2000:00:00:00 +0000"),
            (1_735_689_599, "2024-12-31T23:59:59", "31/Dec/2024:23:59:59 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00", "01/Mar/2100:00:00:00 +0000"),
        ];
        let mut clock = Clock::new();
        for (second, rfc3339, common) in cases {
            assert_eq!(clock.rfc3339(second), rfc3339);
            assert_eq!(clock.common(second), common);
        }
    }

    #[test]
    fn agrees_with_httpdate_over_four_centuries() {
        let mut clock = Clock::new();
        for day in 0..146_097 {
            let second = day * 86_400 + day % 86_400;
            let moment = UNIX_EPOCH + Duration::from_secs(second);
            let theirs = httpdate::fmt_http_date(moment);
            let (date, time) = (theirs[5..16].replace(' ', "/"), &theirs[17..25]);
            assert_eq!(clock.common(second), format!("{date}:{time} +0000"));
        }
    }
}
