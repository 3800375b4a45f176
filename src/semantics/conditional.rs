//! Preconditions of a request against the validators of a response (RFC 9110 section 13).

use smallvec::SmallVec;

use super::cacheability::Method;
use super::syntax::trim;
use super::time::{Timestamp, parse_http_date};

/// The precondition fields of a request. Lists keep their lines; an empty row means the field is
/// not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions<'a> {
    /// Lines of If-Match.
    pub if_match: SmallVec<[&'a [u8]; 1]>,
    /// Lines of If-None-Match.
    pub if_none_match: SmallVec<[&'a [u8]; 1]>,
    /// If-Modified-Since.
    pub if_modified_since: Option<&'a [u8]>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<&'a [u8]>,
}

impl<'a> Conditions<'a> {
    /// Reads them from the fields (lower-case name, value) of a request.
    pub fn read<'n>(fields: impl Iterator<Item = (&'n str, &'a [u8])>) -> Conditions<'a> {
        let mut conditions = Conditions::default();
        for (name, value) in fields {
            conditions.add(name, value);
        }
        conditions
    }

    /// Takes in one more field; others than preconditions are let by.
    pub fn add(&mut self, name: &str, value: &'a [u8]) {
        match name {
            "if-match" => self.if_match.push(value),
            "if-none-match" => self.if_none_match.push(value),
            "if-modified-since" => set_once(&mut self.if_modified_since, value),
            "if-unmodified-since" => set_once(&mut self.if_unmodified_since, value),
            _ => {}
        }
    }

    /// Whether there is no precondition.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_empty()
            && self.if_none_match.is_empty()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }
}

/// RFC 9110 sections 13.1.3 and 13.1.4: a date that is told twice is none.
fn set_once<'a>(date: &mut Option<&'a [u8]>, value: &'a [u8]) {
    *date = Some(if date.is_some() { b"" } else { value });
}

/// The validators of the response that would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validators<'a> {
    /// ETag as it stands in the field.
    pub etag: Option<&'a [u8]>,
    /// Last-Modified.
    pub last_modified: Option<Timestamp>,
    /// Date.
    pub date: Option<Timestamp>,
}

/// What the preconditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were none.
    Proceed,
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
}

/// Evaluates preconditions in the order of RFC 9110 section 13.2.2. For an answer that would
/// otherwise be a success; any other answer is sent as it is (section 13.2.1).
pub fn evaluate(
    method: Method,
    conditions: &Conditions<'_>,
    validators: &Validators<'_>,
) -> Outcome {
    let own = validators.etag.and_then(EntityTag::parse);
    // Steps 1 and 2: If-Unmodified-Since counts only where If-Match is not there.
    let holds = if conditions.if_match.is_empty() {
        unmodified_since(conditions, validators)
    } else {
        any_tag(&conditions.if_match, |tag| own.is_some_and(|own| own.strong_eq(tag)))
    };
    if !holds {
        return Outcome::PreconditionFailed;
    }
    let read_only = matches!(method, Method::Get | Method::Head);
    // Steps 3 and 4: If-Modified-Since counts only where If-None-Match is not there.
    if !conditions.if_none_match.is_empty() {
        let found =
            any_tag(&conditions.if_none_match, |tag| own.is_some_and(|own| own.weak_eq(tag)));
        return match (found, read_only) {
            (false, _) => Outcome::Proceed,
            (true, true) => Outcome::NotModified,
            (true, false) => Outcome::PreconditionFailed,
        };
    }
    if read_only && !modified_since(conditions, validators) {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether a Range may be honoured, given the value of If-Range (RFC 9110 section 13.1.5). The Date
/// of the response tells whether Last-Modified is strong.
pub fn if_range_matches(value: &[u8], validators: &Validators<'_>) -> bool {
    if let Some(tag) = EntityTag::parse(value) {
        let own = validators.etag.and_then(EntityTag::parse);
        return own.is_some_and(|own| own.strong_eq(tag));
    }
    // The match is exact, and the date must be a strong validator: a second at least before the
    // response was made (RFC 9110 section 8.8.2.2).
    match (parse_http_date(value), validators.last_modified, validators.date) {
        (Some(asked), Some(modified), Some(date)) => {
            asked == modified && modified.seconds() < date.seconds()
        }
        _ => false,
    }
}

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// It begins with `W/`.
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads a value that is one tag and nothing else.
    pub fn parse(value: &'a [u8]) -> Option<EntityTag<'a>> {
        match EntityTag::split(trim(value))? {
            (tag, []) => Some(tag),
            _ => None,
        }
    }

    /// RFC 9110 section 8.8.3.2: neither is weak, and they are the same.
    pub fn strong_eq(self, other: EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// RFC 9110 section 8.8.3.2: they are the same, weak or not.
    pub fn weak_eq(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag that `value` begins with, and the rest. There are no escapes in a tag.
    fn split(value: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        let (weak, quoted) = match value {
            [b'W', b'/', quoted @ ..] => (true, quoted),
            quoted => (false, quoted),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', inside)?;
        Some((EntityTag { weak, opaque: &inside[..end] }, &inside[end + 1..]))
    }
}

/// The tags of one line of a list. What is no tag is skipped up to the next comma; commas within a
/// tag belong to it.
pub fn entity_tags(line: &[u8]) -> EntityTags<'_> {
    EntityTags { rest: line }
}

/// Iterator of [`entity_tags`].
#[derive(Debug, Clone)]
pub struct EntityTags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for EntityTags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        while !self.rest.is_empty() {
            let start = trim(self.rest);
            let (tag, after) = match EntityTag::split(start) {
                Some((tag, after)) => (Some(tag), after),
                None => (None, start),
            };
            // Between a tag and its comma only whitespace may stand.
            let end = memchr::memchr(b',', after).unwrap_or(after.len());
            let clean = trim(&after[..end]).is_empty();
            self.rest = after.get(end + 1..).unwrap_or_default();
            if let (Some(tag), true) = (tag, clean) {
                return Some(tag);
            }
        }
        None
    }
}

/// Whether any member matches; `*` matches whatever exists (RFC 9110 sections 13.1.1, 13.1.2).
fn any_tag(lines: &[&[u8]], matches: impl Fn(EntityTag<'_>) -> bool) -> bool {
    lines.iter().any(|line| trim(line) == b"*" || entity_tags(line).any(&matches))
}

/// RFC 9110 section 13.1.4; true where it is to be ignored.
fn unmodified_since(conditions: &Conditions<'_>, validators: &Validators<'_>) -> bool {
    let limit = conditions.if_unmodified_since.and_then(parse_http_date);
    match (limit, validators.last_modified) {
        (Some(limit), Some(modified)) => modified.seconds() <= limit.seconds(),
        _ => true,
    }
}

/// RFC 9110 section 13.1.3; true where it is to be ignored. RFC 9111 section 4.3.2: a stored
/// response that does not say when it was modified counts as modified when it was made.
fn modified_since(conditions: &Conditions<'_>, validators: &Validators<'_>) -> bool {
    let limit = conditions.if_modified_since.and_then(parse_http_date);
    match (limit, validators.last_modified.or(validators.date)) {
        (Some(limit), Some(modified)) => modified.seconds() > limit.seconds(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
