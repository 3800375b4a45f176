//! Cache-Control, and the fields that speak its language (RFC 9111 section 5.2).
//!
//! Reading is lenient as to form and strict as to meaning: whatever cannot be understood is read
//! in the sense that stores and reuses less, and no fault in one directive hides another.

use super::syntax::{delta_seconds, is_tchar, is_token, members, quoted_len};

mod surrogate;
mod targeted;

/// The directives of one message, all lines taken together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheControl {
    /// Not to be stored at all.
    pub no_store: bool,
    /// Not to be used without validation; with field names: those fields only.
    pub no_cache: FieldScope,
    /// For a single user; with field names: those fields only.
    pub private: FieldScope,
    /// For shared caches, even where that is not so by default.
    pub public: bool,
    /// Once stale, not to be used without validation.
    pub must_revalidate: bool,
    /// As `must_revalidate`, for shared caches.
    pub proxy_revalidate: bool,
    /// To be stored only by a cache that knows the status code.
    pub must_understand: bool,
    /// The content is not to be transformed.
    pub no_transform: bool,
    /// The content does not change while fresh (RFC 8246).
    pub immutable: bool,
    /// Request: answer from the cache or with 504.
    pub only_if_cached: bool,
    /// Freshness lifetime in seconds; in a request, the greatest age wanted.
    pub max_age: Option<u32>,
    /// Freshness lifetime in seconds for shared caches.
    pub s_maxage: Option<u32>,
    /// Seconds for which a stale response may be served while it is refreshed (RFC 5861).
    pub stale_while_revalidate: Option<u32>,
    /// Seconds for which a stale response may stand in for an error (RFC 5861).
    pub stale_if_error: Option<u32>,
    /// Request: seconds for which the response must still be fresh.
    pub min_fresh: Option<u32>,
    /// Request: staleness accepted, in seconds; the inner `None` means any.
    pub max_stale: Option<Option<u32>>,
    /// Some of it is no directive: who wrote it may have meant to restrict more than is read.
    pub malformed: bool,
}

/// What a directive applies to that may name fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FieldScope {
    /// The directive is not there.
    #[default]
    Absent,
    /// It stands alone: the whole response.
    Whole,
    /// It names fields: these, in lower case, sorted, each once.
    Fields(Vec<String>),
}

impl FieldScope {
    /// Whether the directive is there in either form.
    pub fn is_present(&self) -> bool {
        !matches!(self, FieldScope::Absent)
    }

    fn widen(&mut self, argument: Argument<'_>) {
        let Some(names) = argument.field_names() else {
            *self = FieldScope::Whole;
            return;
        };
        let mut fields = match std::mem::take(self) {
            FieldScope::Whole => {
                *self = FieldScope::Whole;
                return;
            }
            FieldScope::Absent => Vec::new(),
            FieldScope::Fields(fields) => fields,
        };
        fields.extend(names);
        fields.sort_unstable();
        fields.dedup();
        *self =
            if fields.len() > FIELDS_MAX { FieldScope::Whole } else { FieldScope::Fields(fields) };
    }
}

/// More names than this count as the whole response.
const FIELDS_MAX: usize = 32;

impl CacheControl {
    /// Reads the values of all lines of the field.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> CacheControl {
        let mut directives = CacheControl::default();
        for line in lines {
            directives.add_line(line);
        }
        directives
    }

    /// Reads the values of all lines of a targeted field (RFC 9213). `None` if it is to be ignored:
    /// it is empty or not a well-formed dictionary.
    pub fn parse_targeted<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<CacheControl> {
        targeted::parse(lines)
    }

    /// Reads the values of all lines of Surrogate-Control (Edge Architecture Specification, section
    /// 2.2). `None` if they say nothing of caching to this cache.
    pub fn parse_surrogate<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<CacheControl> {
        surrogate::parse(lines)
    }

    /// Takes in the value of one more line.
    pub fn add_line(&mut self, line: &[u8]) {
        for member in members(line) {
            self.add_directive(member);
        }
    }

    /// Whether nothing was said that is known here.
    pub fn is_empty(&self) -> bool {
        *self == CacheControl::default()
    }

    fn add_directive(&mut self, member: &[u8]) {
        let (name, argument) = match memchr::memchr(b'=', member) {
            Some(at) => (&member[..at], Argument::of(&member[at + 1..])),
            None => (member, Argument::Absent),
        };
        if is_token(name) && !matches!(argument, Argument::Invalid) {
            return self.add_named(name, argument);
        }
        // `private; max-age=60`: each word that restricts does so, wherever it stands.
        self.malformed = true;
        for word in member.split(|byte| !is_tchar(*byte)) {
            self.add_named(word, Argument::Invalid);
        }
    }

    fn add_named(&mut self, name: &[u8], argument: Argument<'_>) {
        let permits = !matches!(argument, Argument::Invalid);
        let mut lower = [0; NAME_MAX];
        let Some(lower) = lower.get_mut(..name.len()) else {
            return;
        };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        match &*lower {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache.widen(argument),
            b"private" => self.private.widen(argument),
            b"public" => self.public |= permits,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand |= permits,
            b"no-transform" => self.no_transform = true,
            b"immutable" => self.immutable |= permits,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => keep_least(&mut self.max_age, argument.seconds_or_stale()),
            b"s-maxage" => keep_least(&mut self.s_maxage, argument.seconds_or_stale()),
            b"stale-while-revalidate" => {
                keep_least(&mut self.stale_while_revalidate, argument.seconds_or_stale());
            }
            b"stale-if-error" => {
                keep_least(&mut self.stale_if_error, argument.seconds_or_stale());
            }
            b"min-fresh" => self.min_fresh = self.min_fresh.max(argument.seconds()),
            b"max-stale" => self.add_max_stale(argument),
            // RFC 9111 section 5.2.3: unknown directives are ignored.
            _ => {}
        }
    }

    fn add_max_stale(&mut self, argument: Argument<'_>) {
        let said = match argument {
            Argument::Absent => None,
            other => Some(other.seconds_or_stale()),
        };
        self.max_stale = match (self.max_stale, said) {
            (Some(Some(before)), Some(now)) => Some(Some(before.min(now))),
            (Some(Some(before)), None) => Some(Some(before)),
            (_, now) => Some(now),
        };
    }
}

/// The longest name known here.
const NAME_MAX: usize = "stale-while-revalidate".len();

/// RFC 9111 section 4.2.1: where values conflict, the first may be used or the response be
/// considered stale. The least of them lies between the two, whatever their order.
fn keep_least(slot: &mut Option<u32>, seconds: u32) {
    *slot = Some(slot.map_or(seconds, |before| before.min(seconds)));
}

/// What stands behind the equals sign of a directive.
#[derive(Clone, Copy)]
enum Argument<'a> {
    Absent,
    Invalid,
    Token(&'a [u8]),
    /// The inside of the quotes, escapes left in: nothing that is understood here needs one.
    Quoted(&'a [u8]),
}

impl<'a> Argument<'a> {
    fn of(value: &'a [u8]) -> Argument<'a> {
        match value {
            [b'"', ..] if quoted_len(value) == Some(value.len()) => {
                Argument::Quoted(&value[1..value.len() - 1])
            }
            token if is_token(token) => Argument::Token(token),
            _ => Argument::Invalid,
        }
    }

    /// RFC 9111 section 5.2: both forms of argument are to be accepted, whichever is defined.
    fn seconds(self) -> Option<u32> {
        match self {
            Argument::Token(value) | Argument::Quoted(value) => delta_seconds(value),
            Argument::Absent | Argument::Invalid => None,
        }
    }

    /// RFC 9111 section 4.2.1: invalid freshness information counts as stale.
    fn seconds_or_stale(self) -> u32 {
        self.seconds().unwrap_or(0)
    }

    /// The lower-case names listed, or `None` if it is not a list of names: then the directive
    /// binds the whole response, which is the safe reading.
    fn field_names(self) -> Option<Vec<String>> {
        let (Argument::Token(list) | Argument::Quoted(list)) = self else {
            return None;
        };
        let mut names = Vec::new();
        for name in members(list) {
            if !is_token(name) || names.len() > FIELDS_MAX {
                return None;
            }
            names.push(String::from_utf8_lossy(name).to_ascii_lowercase());
        }
        (!names.is_empty()).then_some(names)
    }
}

#[cfg(test)]
mod tests;
