//! Which request fields select a variant, and their values in a form fit for hashing.
//!
//! RFC 9111 section 4.1 lets values be normalised where that keeps their meaning: lines are joined,
//! whitespace is cut, and lists of preferences take one order and spelling, so that clients that
//! want the same share a variant.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::sink::Sink;
use super::syntax::{elements, is_token, members, trim};

/// The fields that Vary names, all lines taken together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VarySpec {
    /// Lower-case names, sorted, each once; empty if `star`.
    names: Vec<String>,
    /// Vary contains `*`, or what cannot be honoured: no request ever matches.
    star: bool,
}

/// More names than this count as `*`.
pub const VARY_NAMES_MAX: usize = 16;

impl VarySpec {
    /// Reads the values of all lines of Vary.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> VarySpec {
        let mut spec = VarySpec::default();
        for line in lines {
            spec.add_line(line);
        }
        spec
    }

    /// Takes in the value of one more line.
    pub fn add_line(&mut self, line: &[u8]) {
        for name in members(line) {
            if self.star {
                return;
            }
            self.add_name(name);
        }
    }

    /// The names, lower-case and sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether no later request can match (RFC 9111 section 4.1).
    pub fn is_star(&self) -> bool {
        self.star
    }

    /// Whether every request matches: there is no Vary.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.star
    }

    /// The same fields, with `Accept-Encoding` among them or not.
    pub fn by_coding(mut self, is_by_it: bool) -> VarySpec {
        const NAME: &str = "accept-encoding";
        match self.names.binary_search_by(|name| name.as_str().cmp(NAME)) {
            Ok(at) if !is_by_it => drop(self.names.remove(at)),
            Err(at) if is_by_it && !self.star && self.names.len() < VARY_NAMES_MAX => {
                self.names.insert(at, NAME.into());
            }
            _ => {}
        }
        self
    }

    fn add_name(&mut self, name: &[u8]) {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match self.names.binary_search(&name) {
            Ok(_) => {}
            Err(at) if name != "*" && is_token(name.as_bytes()) => {
                self.names.insert(at, name);
                self.star = self.names.len() > VARY_NAMES_MAX;
            }
            Err(_) => self.star = true,
        }
        if self.star {
            self.names.clear();
        }
    }
}

/// Writes the values of the selecting fields of a request, normalised. `get` gives the lines of a
/// field by its lower-case name, or `None` if it is not there.
///
/// Two requests select the same variant exactly if what is written is the same. Each field is
/// `name NUL`, then `0` if it is absent or `1`, the value's length and the value; absent and empty
/// differ, and no value can be mistaken for another's end.
pub fn write_selection<'a, L>(spec: &VarySpec, get: impl Fn(&str) -> Option<L>, out: &mut impl Sink)
where
    L: IntoIterator<Item = &'a [u8]>,
{
    let mut value: SmallVec<[u8; 256]> = SmallVec::new();
    for name in &spec.names {
        out.put(name.as_bytes());
        let Some(lines) = get(name) else {
            out.put(b"\x000");
            continue;
        };
        value.clear();
        match name.as_str() {
            "accept-encoding" => write_preferences(lines, Of::Codings, &mut value),
            "accept-language" => write_preferences(lines, Of::Languages, &mut value),
            _ => write_joined(lines, &mut value),
        }
        out.put(b"\x001");
        out.put(&(value.len() as u64).to_le_bytes());
        out.put(&value);
    }
}

/// What a list of preferences is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Codings,
    Languages,
}

/// A member of a list of preferences: its name, and its weight in thousandths.
pub(super) type Preference<'a> = (&'a [u8], u16);

/// Writes `name;weight,` for each member, the most wanted first. The order among those of one
/// weight says nothing (RFC 9110 sections 12.5.3 and 12.5.4: it cannot be relied upon).
fn write_preferences<'a>(lines: impl IntoIterator<Item = &'a [u8]>, of: Of, out: &mut impl Sink) {
    let mut wanted: SmallVec<[Preference<'a>; 8]> = SmallVec::new();
    for member in lines.into_iter().flat_map(members) {
        let (name, weight) = preference(member);
        // The first word on a name counts.
        if !wanted.iter().any(|(before, _)| before.eq_ignore_ascii_case(name)) {
            wanted.push((name, weight));
        }
    }
    // A coding that is not listed is refused anyway unless `*` is; identity alone needs the word.
    // `en, en-GB;q=0` refuses what `en` alone accepts (RFC 4647 section 3.4).
    if of == Of::Codings && !wanted.iter().any(|(name, _)| *name == b"*") {
        wanted.retain(|(name, weight)| *weight > 0 || name.eq_ignore_ascii_case(b"identity"));
    }
    wanted.sort_by(|(a, a_weight), (b, b_weight)| {
        b_weight.cmp(a_weight).then_with(|| compare_lower(a, b))
    });
    for (name, weight) in wanted {
        for byte in name {
            out.put(&[byte.to_ascii_lowercase()]);
        }
        out.put(b";");
        out.put_number(weight);
        out.put(b",");
    }
}

/// Splits `gzip;q=0.5`. A weight that cannot be read, or a parameter that is none, stays part of
/// the name, so that it is at least equal to itself only.
pub(super) fn preference(member: &[u8]) -> Preference<'_> {
    let Some(at) = memchr::memchr(b';', member) else {
        return (canonical(member), 1000);
    };
    let parameter = trim(&member[at + 1..]);
    match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => match thousandths(weight) {
            Some(weight) => (canonical(trim(&member[..at])), weight),
            None => (member, 1000),
        },
        _ => (member, 1000),
    }
}

/// RFC 9110 section 8.4.1: `x-gzip` and `x-compress` are the old names of what lost the prefix.
fn canonical(name: &[u8]) -> &[u8] {
    if name.eq_ignore_ascii_case(b"x-gzip") || name.eq_ignore_ascii_case(b"x-compress") {
        return &name[2..];
    }
    name
}

/// A weight of RFC 9110 section 12.4.2 in thousandths.
pub(super) fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] | [whole @ (b'0' | b'1'), b'.'] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] => (*whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut sum = u16::from(whole - b'0');
    for place in 0..3 {
        sum = sum * 10 + fraction.get(place).map_or(0, |digit| u16::from(digit - b'0'));
    }
    (sum <= 1000).then_some(sum)
}

/// Writes all lines as one, without the whitespace around commas (RFC 9111 section 4.1): to a list
/// it says nothing (RFC 9110 section 5.6.1).
fn write_joined<'a>(lines: impl IntoIterator<Item = &'a [u8]>, out: &mut impl Sink) {
    for (at, element) in lines.into_iter().flat_map(elements).enumerate() {
        if at > 0 {
            out.put(b",");
        }
        out.put(element);
    }
}

fn compare_lower(a: &[u8], b: &[u8]) -> Ordering {
    let lower =
        |name: &[u8]| name.iter().map(u8::to_ascii_lowercase).collect::<SmallVec<[u8; 16]>>();
    lower(a).cmp(&lower(b))
}

#[cfg(test)]
mod tests;
