//! Sequences that more than one node understands, and how a node's own numbers lie among them.
//!
//! A node numbers what it applies in one ascending row of its own, whatever logs it follows in its
//! life: what is stored needs no log's name beside its number. Within one log both rows run side by
//! side, one step a purge:
//!
//! ```text
//!  the log     …  6   7 ┌ 8   9   10   11 …
//!                       │ since
//!  this node   … 40  41 └42  43   44   45 …      to_here(10) = 44, stamp(43) = floor(43) = 9
//!       another log, or a gap                    stamp(41) = 0, floor(41) = 8
//! ```
//!
//! A start begins both rows anew, where the node stands: what it stored before lies in no log that
//! it can tell. That errs to the safe side. A clean copy is said to reflect the node's position all
//! the same. One that is served though a soft purge has made it stale is said to reflect nothing,
//! so an edge declines it if any hard purge of the past covers it, and asks elsewhere for as long
//! as the copy is being refreshed behind.

use std::fmt;
use std::str::FromStr;

use super::{LogId, NotHex};

/// A place in a log of purges that several nodes know: what a floor or a stamp between tiers says.
/// Its text is 32 hexadecimal digits, a slash and the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSequence {
    /// Of which log.
    pub log: LogId,
    /// Number of a purge; 0 is before the first.
    pub number: u64,
}

/// How the numbers of a node lie in the log that it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogNumbers {
    /// Which log, and the place from which on both rows run side by side.
    pub since: LogSequence,
    /// The number that this place has on the node.
    pub here: u64,
}

impl LogNumbers {
    /// What a response that reflects the node's number `here` may be said to reflect: nothing,
    /// where the node does not know.
    pub fn stamp(&self, here: u64) -> LogSequence {
        self.to_log(here).unwrap_or(LogSequence { number: 0, ..self.since })
    }

    /// What another has to reflect to be as good as the node's number `here`: rather too much.
    pub fn floor(&self, here: u64) -> LogSequence {
        self.to_log(here).unwrap_or(self.since)
    }

    fn to_log(self, here: u64) -> Option<LogSequence> {
        let past = here.checked_sub(self.here)?;
        Some(LogSequence { number: self.since.number.saturating_add(past), ..self.since })
    }

    /// The node's number for a place in the log: 0, where that lies before all that the node can
    /// tell apart; `None` for a place in another log.
    pub fn to_here(&self, sequence: LogSequence) -> Option<u64> {
        let past = sequence.number.checked_sub(self.since.number);
        let here = past.map_or(0, |past| self.here.saturating_add(past));
        (sequence.log == self.since.log).then_some(here)
    }
}

impl fmt::Display for LogSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.log, self.number)
    }
}

impl FromStr for LogSequence {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let (log, number) = text.split_once('/').ok_or(NotHex)?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number).ok_or(NotHex)?;
        Ok(Self { log: log.parse()?, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(7);

    fn at(number: u64) -> LogSequence {
        LogSequence { log: LOG, number }
    }

    #[test]
    fn both_rows_run_side_by_side() {
        let numbers = LogNumbers { since: at(8), here: 42 };
        for (here, number) in [(42, 8), (43, 9), (142, 108)] {
            assert_eq!((numbers.stamp(here), numbers.floor(here)), (at(number), at(number)));
            assert_eq!(numbers.to_here(at(number)), Some(here));
        }
        assert_eq!(numbers.stamp(u64::MAX).number, u64::MAX - 34);
        assert_eq!(numbers.to_here(at(u64::MAX)), Some(u64::MAX));
    }

    #[test]
    fn what_cannot_be_told_reflects_nothing_and_asks_for_more() {
        let numbers = LogNumbers { since: at(8), here: 42 };
        assert_eq!((numbers.stamp(41), numbers.floor(41)), (at(0), at(8)));
        assert_eq!(numbers.to_here(at(7)), Some(0));
        assert_eq!(numbers.to_here(LogSequence { log: LogId(8), number: 9 }), None);
    }

    #[test]
    fn its_text_is_read_as_it_is_written() {
        let text = "00000000000000000000000000000007/12";
        assert_eq!(text.parse(), Ok(at(12)));
        assert_eq!(at(12).to_string(), text);
        for bad in ["", "7/12", "00000000000000000000000000000007", "/", "12"] {
            assert_eq!(bad.parse::<LogSequence>(), Err(NotHex), "{bad}");
        }
        for number in ["", "+1", "-1", "1x", "99999999999999999999"] {
            let bad = format!("{LOG}/{number}");
            assert_eq!(bad.parse::<LogSequence>(), Err(NotHex), "{bad}");
        }
    }
}
