//! Content codings: which one a client gets, what is worth coding, and what coding does to a head.
//!
//! RFC 9110 sections 8.4 and 12.5.3.

use std::borrow::Cow;

use super::cache_control::CacheControl;
use super::syntax::{members, trim};
use super::uri::Pattern;
use super::vary::preference;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 8878, its window at most that of RFC 9659.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// The name in `Accept-Encoding` and `Content-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// How hard each coding tries, in the steps of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// 1 to 19.
    pub zstd: u32,
    /// 0 to 11.
    pub brotli: u32,
    /// 1 to 9.
    pub gzip: u32,
}

/// What a route codes, and how.
#[derive(Debug, Clone)]
pub struct CompressPolicy {
    /// The codings that are offered, the most wanted first.
    pub codings: Vec<Coding>,
    /// Media types that are worth it, in lower case and without parameters.
    pub types: Vec<Pattern>,
    /// Bytes of the smallest and the largest body that is coded, where its length is known.
    pub lengths: (u64, u64),
    /// How hard each coding tries.
    pub levels: Levels,
}

impl CompressPolicy {
    /// What a client takes that sends these lines of `Accept-Encoding`. The best is that of most
    /// weight, and the first that is offered among those of one weight. Where none is taken, or
    /// the field is not there, it is [`Coding::Identity`]: that a client which names nothing takes
    /// everything (RFC 9110 section 12.5.3) is more than most of those can.
    pub fn taken<'a>(&self, lines: impl IntoIterator<Item = &'a [u8]>) -> Taken {
        let mut weights = [None; 4];
        let mut other = None;
        for member in lines.into_iter().flat_map(members) {
            let (name, weight) = preference(member);
            let known = [Coding::Identity, Coding::Zstd, Coding::Brotli, Coding::Gzip];
            let known = known.into_iter().find(|coding| is_named(*coding, name));
            // The first word on a name counts.
            match known {
                Some(coding) => drop(weights[coding as usize].get_or_insert(weight)),
                None if name == b"*" => drop(other.get_or_insert(weight)),
                None => {}
            }
        }
        let weight = |coding: Coding| weights[coding as usize].or(other).unwrap_or(0);
        // A client that only tolerates what it did not name wants the coding.
        let least = weights[Coding::Identity as usize].unwrap_or(0).max(1);
        let (mut taken, mut most) = (Taken::NONE, 0);
        for &coding in self.codings.iter().filter(|coding| weight(**coding) >= least) {
            taken.add(coding);
            if weight(coding) > most {
                (taken.best, most) = (coding, weight(coding));
            }
        }
        taken
    }

    /// Whether a response with these fields (lower-case names) and so many bytes, if that is known,
    /// is to be coded.
    pub fn is_worth<'a>(
        &self,
        status: u16,
        length: Option<u64>,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> bool {
        let (min, max) = self.lengths;
        if status != 200 || length.is_some_and(|length| length < min || length > max) {
            return false;
        }
        let mut is_of_type = false;
        for (name, value) in fields {
            match name {
                "content-encoding" | "content-range" => return false,
                // RFC 9111 section 5.2.2.6.
                "cache-control" if forbids(value) => return false,
                "content-type" => is_of_type = self.takes_type(value),
                _ => {}
            }
        }
        is_of_type
    }

    fn takes_type(&self, value: &[u8]) -> bool {
        let media = value.split(|byte| *byte == b';').next().unwrap_or_default();
        let media = String::from_utf8_lossy(trim(media)).to_ascii_lowercase();
        self.types.iter().any(|pattern| pattern.matches(&media))
    }
}

/// Which of the codings that are offered a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// A bit for each coding but identity.
    set: u8,
    best: Coding,
    /// In the order in which they are offered; identity where there is none.
    order: [Coding; 3],
}

/// What each set of codings is called among selecting fields.
const SETS: [&str; 8] =
    ["identity", "zstd", "br", "zstd+br", "gzip", "zstd+gzip", "br+gzip", "zstd+br+gzip"];

impl Taken {
    /// Nothing but identity.
    pub const NONE: Self = Self { set: 0, best: Coding::Identity, order: [Coding::Identity; 3] };

    fn add(&mut self, coding: Coding) {
        let (at, bit) = (self.set.count_ones() as usize, bit(coding));
        if self.set & bit == 0 && at < self.order.len() {
            self.set |= bit;
            self.order[at] = coding;
        }
    }

    /// The `Accept-Encoding` that asks for all of them, the most wanted first.
    pub fn asked(self) -> String {
        let codings = &self.order[..self.set.count_ones() as usize];
        let member = |(at, coding): (usize, &Coding)| match at {
            0 => coding.as_str().to_owned(),
            _ => format!("{};q=0.{}", coding.as_str(), 10 - at),
        };
        match codings {
            [] => Coding::Identity.as_str().to_owned(),
            _ => codings.iter().enumerate().map(member).collect::<Vec<_>>().join(", "),
        }
    }

    /// The coding that is wanted most.
    pub fn best(self) -> Coding {
        self.best
    }

    /// The value of `Accept-Encoding` that all who take the same have among selecting fields.
    pub fn selecting(self) -> &'static str {
        SETS[usize::from(self.set)]
    }

    /// Whether a body of this `Content-Encoding` is taken.
    pub fn takes(self, value: &[u8]) -> bool {
        let (name, _) = preference(trim(value));
        let known = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
        known.into_iter().any(|coding| self.set & bit(coding) != 0 && is_named(coding, name))
    }

    /// Those who take all of this and more. What an origin chose for them, and is taken here, it
    /// would have chosen here.
    pub fn wider(self) -> impl Iterator<Item = Self> {
        let sets = if self.set == 0 { 0..0 } else { self.set + 1..8 };
        sets.filter(move |set| set & self.set == self.set).map(move |set| Self { set, ..self })
    }
}

/// The place of a coding in a set.
fn bit(coding: Coding) -> u8 {
    (1 << coding as u8) >> 1
}

/// Whether a line of `Cache-Control`, of request or response, has `no-transform`.
pub fn forbids(value: &[u8]) -> bool {
    CacheControl::parse([value]).no_transform
}

/// A field of a response once its body is coded; `None` where it no longer holds.
pub fn coded_field<'v>(name: &str, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
    match name {
        // They tell of other bytes: of their number, of parts of them, or of their digest.
        "accept-ranges" | "content-digest" | "content-length" | "content-md5" | "digest"
        | "repr-digest" => None,
        // The trailers are left out.
        "trailer" => None,
        // RFC 9110 section 8.8.1: the same content in other bytes.
        "etag" if value.starts_with(b"\"") => Some([b"W/", value].concat().into()),
        _ => Some(value.into()),
    }
}

/// Whether `Vary` has a client ask again with every other `Accept-Encoding`.
pub fn varies_by_coding<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let is_it = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    lines.into_iter().flat_map(members).any(is_it)
}

fn is_named(coding: Coding, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(coding.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(codings: &[Coding]) -> CompressPolicy {
        CompressPolicy {
            codings: codings.to_vec(),
            types: ["text/*", "application/json", "image/svg+xml"].map(Pattern::new).into(),
            lengths: (10, 1000),
            levels: Levels { zstd: 3, brotli: 4, gzip: 6 },
        }
    }

    #[test]
    fn the_best_that_the_client_takes() {
        use Coding::{Brotli, Gzip, Identity, Zstd};
        let all = [Zstd, Brotli, Gzip];
        let cases: &[(&[&str], Coding)] = &[
            (&[], Identity),
            (&[""], Identity),
            (&["gzip"], Gzip),
            (&["GZip"], Gzip),
            (&["x-gzip"], Gzip),
            (&["br"], Brotli),
            (&["zstd"], Zstd),
            (&["gzip, deflate, br, zstd"], Zstd),
            (&["gzip, deflate, br"], Brotli),
            (&["gzip", "br"], Brotli),
            (&["gzip;q=1.0, br;q=0.9"], Gzip),
            (&["gzip;q=0.5, br;q=0.5, zstd;q=0.4"], Brotli),
            (&["gzip;q=0"], Identity),
            (&["gzip;q=0.000, br;q=0.001"], Brotli),
            (&["gzip ; Q=0.8 , br;q=0.3"], Gzip),
            (&["*"], Zstd),
            (&["*;q=0"], Identity),
            (&["*;q=0, gzip"], Gzip),
            (&["zstd;q=0, *"], Brotli),
            (&["gzip, *;q=0.5"], Gzip),
            (&["gzip;q=0.2, *;q=0.5"], Zstd),
            (&["deflate, compress, x-compress"], Identity),
            (&["identity"], Identity),
            (&["identity, gzip"], Gzip),
            (&["identity;q=0.5, gzip;q=0.4"], Identity),
            (&["identity;q=0.4, gzip;q=0.5"], Gzip),
            (&["identity;q=1, *;q=0.1"], Identity),
            (&["identity;q=0"], Identity),
            (&["identity;q=0, gzip"], Gzip),
            // The first word on a name counts, and what cannot be read names nothing.
            (&["gzip;q=0, gzip"], Identity),
            (&["gzip;q=2"], Identity),
            (&["gzip;level=9"], Identity),
            (&["gzip;q=0.1234"], Identity),
            (&[",, ,gzip,"], Gzip),
        ];
        for (lines, expected) in cases {
            let lines_of = || lines.iter().map(|line| line.as_bytes());
            assert_eq!(policy(&all).taken(lines_of()).best(), *expected, "{lines:?}");
            if *expected != Identity {
                assert_eq!(policy(&[]).taken(lines_of()), Taken::NONE, "{lines:?}");
            }
        }
        let every = || [&b"gzip, br, zstd"[..]];
        assert_eq!(policy(&[Gzip, Brotli]).taken(every()).best(), Gzip);
        assert_eq!(policy(&[Brotli, Gzip]).taken(every()).best(), Brotli);
        assert_eq!(policy(&[Gzip]).taken([&b"br"[..]]), Taken::NONE);
    }

    #[test]
    fn an_origin_is_asked_for_all_that_both_take() {
        use Coding::{Brotli, Gzip, Zstd};
        let cases: &[(&[Coding], &str, &str, &str)] = &[
            (&[Zstd, Brotli, Gzip], "gzip, br, zstd", "zstd, br;q=0.9, gzip;q=0.8", "zstd+br+gzip"),
            (&[Gzip, Brotli], "gzip;q=0.1, br, zstd", "gzip, br;q=0.9", "br+gzip"),
            (&[Zstd, Brotli, Gzip], "gzip, deflate", "gzip", "gzip"),
            (&[Brotli, Gzip], "zstd", "identity", "identity"),
            (&[Zstd, Brotli, Gzip], "br;q=0, *", "zstd, gzip;q=0.9", "zstd+gzip"),
            // It would rather have nothing.
            (&[Brotli, Gzip], "br;q=0.4, gzip, identity;q=0.5", "gzip", "gzip"),
            (&[Brotli], "", "identity", "identity"),
            (&[], "br", "identity", "identity"),
        ];
        for (offered, lines, asked, selecting) in cases {
            let policy = policy(offered);
            let taken = policy.taken([lines.as_bytes()]);
            assert_eq!(taken.asked(), *asked, "{offered:?} {lines}");
            assert_eq!(taken.selecting(), *selecting, "{offered:?} {lines}");
        }
    }

    #[test]
    fn what_was_chosen_for_those_who_take_more() {
        let all = policy(&[Coding::Zstd, Coding::Brotli, Coding::Gzip]);
        let taken = |line: &str| all.taken([line.as_bytes()]);
        let wider = |line| taken(line).wider().map(Taken::selecting).collect::<Vec<_>>();
        assert_eq!(wider("gzip"), ["zstd+gzip", "br+gzip", "zstd+br+gzip"]);
        assert_eq!(wider("br, gzip"), ["zstd+br+gzip"]);
        assert!(wider("gzip, br, zstd").is_empty() && wider("identity").is_empty());
        for (takes, value, expected) in [
            ("br, gzip", "br", true),
            ("br, gzip", "X-Gzip", true),
            ("br, gzip", "zstd", false),
            ("br, gzip", "gzip, br", false),
            ("br, gzip", "identity", false),
            ("br, gzip", "deflate", false),
            ("identity", "gzip", false),
        ] {
            assert_eq!(taken(takes).takes(value.as_bytes()), expected, "{takes}: {value}");
        }
    }

    #[test]
    fn what_is_worth_it() {
        let policy = policy(&[Coding::Gzip]);
        type Case<'a> = (u16, Option<u64>, &'a [(&'a str, &'a str)], bool);
        let html = ("content-type", "Text/HTML ; charset=utf-8");
        let cases: &[Case<'_>] = &[
            (200, Some(10), &[html], true),
            (200, Some(1000), &[html], true),
            (200, None, &[html], true),
            (200, Some(9), &[html], false),
            (200, Some(1001), &[html], false),
            (206, Some(10), &[html], false),
            (404, Some(10), &[html], false),
            (304, None, &[html], false),
            (200, Some(10), &[], false),
            (200, Some(10), &[("content-type", "application/json")], true),
            (200, Some(10), &[("content-type", "application/jsonp")], false),
            (200, Some(10), &[("content-type", "image/svg+xml")], true),
            (200, Some(10), &[("content-type", "image/png")], false),
            (200, Some(10), &[html, ("content-encoding", "br")], false),
            (200, Some(10), &[html, ("content-encoding", "identity")], false),
            (200, Some(10), &[html, ("content-range", "bytes 0-9/10")], false),
            (200, Some(10), &[html, ("cache-control", "max-age=1, No-Transform")], false),
            (200, Some(10), &[html, ("cache-control", "no-transform=1")], false),
            (200, Some(10), &[html, ("cache-control", "no-transform; max-age=9")], false),
            (200, Some(10), &[html, ("cache-control", "x=\"no-transform\"")], true),
            (200, Some(10), &[html, ("cache-control", "private, no-store")], true),
        ];
        for (status, length, fields, expected) in cases {
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            let shown: Vec<_> = fields.clone().collect();
            assert_eq!(policy.is_worth(*status, *length, fields), *expected, "{status} {shown:?}");
        }
    }

    #[test]
    fn fields_that_no_longer_hold() {
        let cases = [
            ("etag", "\"a\"", Some("W/\"a\"")),
            ("etag", "W/\"a\"", Some("W/\"a\"")),
            ("etag", "bare", Some("bare")),
            ("content-type", "text/html", Some("text/html")),
            ("last-modified", "x", Some("x")),
            ("accept-ranges", "bytes", None),
            ("content-length", "7", None),
            ("content-md5", "x", None),
            ("digest", "x", None),
            ("repr-digest", "x", None),
            ("content-digest", "x", None),
            ("trailer", "x", None),
        ];
        for (name, value, expected) in cases {
            let coded = coded_field(name, value.as_bytes());
            assert_eq!(coded.as_deref(), expected.map(str::as_bytes), "{name}: {value}");
        }
    }

    #[test]
    fn vary_that_says_it_already() {
        let cases: &[(&[&str], bool)] = &[
            (&[], false),
            (&["origin"], false),
            (&["origin, Accept-Encoding"], true),
            (&["origin", "accept-encoding"], true),
            (&["*"], true),
            (&["accept-encoding-x"], false),
        ];
        for (lines, expected) in cases {
            let lines = lines.iter().map(|line| line.as_bytes());
            assert_eq!(varies_by_coding(lines), *expected);
        }
    }
}
