//! The fields of a request: spans over one shared buffer, nothing copied for a head that came in
//! HTTP/1.1, nothing allocated for up to [`INLINE`] fields.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

/// The field in which nodes tell the class of a client's device.
pub const DEVICE: &str = "headland-device";

/// The field in which nodes tell a client's country.
pub const COUNTRY: &str = "headland-country";

/// Fields kept without an allocation. Browsers send 12 to 20, tools 3 to 6.
const INLINE: usize = 16;

/// Request fields in the order they came; names in any case.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    buffer: Bytes,
    spans: SmallVec<[Span; INLINE]>,
    seen: Seen,
}

/// Where one field stands in the buffer.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
}

impl Fields {
    /// The fields of an HTTP/1.1 head: `lines` are (name, value) subslices of `buffer`.
    ///
    /// A pair that is not inside `buffer` is a mistake of the caller and panics.
    pub fn from_slices<'a>(
        buffer: &'a Bytes,
        lines: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        let base = buffer.as_ptr() as usize;
        let place = |part: &[u8]| {
            let start = (part.as_ptr() as usize).wrapping_sub(base);
            assert!(start + part.len() <= buffer.len(), "a field outside of its head");
            (start as u32, part.len() as u32)
        };
        let mut seen = Seen::default();
        let spans = lines
            .map(|(name, value)| {
                seen |= Seen::of(name);
                let (name, name_len) = place(name);
                let (value, value_len) = if value.is_empty() { (name, 0) } else { place(value) };
                Span { name, name_len, value, value_len }
            })
            .collect();
        Self { buffer: buffer.clone(), spans, seen }
    }

    /// Which of the fields the hit path asks for are there.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Name (in the client's case) and value of every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|span| (self.part(span.name, span.name_len), self.value(span)))
    }

    /// The value of the first line named `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of all lines named `name`, in any case.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let absent = !self.seen.may_hold(name);
        let spans = if absent { &[][..] } else { &self.spans[..] };
        spans.iter().filter_map(move |span| {
            let same = span.name_len as usize == name.len()
                && self.part(span.name, span.name_len).eq_ignore_ascii_case(name.as_bytes());
            same.then(|| self.value(span))
        })
    }

    /// The same, with what nodes tell of a client as `told` and not as the client says.
    pub fn telling<V: AsRef<str>>(&self, told: impl Iterator<Item = (&'static str, V)>) -> Self {
        let mut fields = self.rest(|name| Seen::TOLD.any(Seen::of(name)));
        told.for_each(|(name, value)| fields.push(name.as_bytes(), value.as_ref().as_bytes()));
        fields.build()
    }

    /// The fields whose names (in any case) `left_out` does not name.
    #[must_use]
    pub fn without(&self, left_out: impl Fn(&[u8]) -> bool) -> Self {
        self.rest(left_out).build()
    }

    fn rest(&self, left_out: impl Fn(&[u8]) -> bool) -> FieldsBuilder {
        let mut fields = FieldsBuilder::with_capacity(self.buffer.len() + 64);
        for (name, value) in self.iter().filter(|(name, _)| !left_out(name)) {
            fields.push(name, value);
        }
        fields
    }

    /// A map of the fields for which `keep` (given the lower-case name) says yes. A line that is no
    /// field by RFC 9110 section 5 is left out.
    pub fn to_map(&self, keep: impl Fn(&str) -> bool) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for span in &self.spans {
            let Ok(name) = HeaderName::from_bytes(self.part(span.name, span.name_len)) else {
                continue;
            };
            let start = span.value as usize;
            let value = self.buffer.slice(start..start + span.value_len as usize);
            if let Ok(value) = HeaderValue::from_maybe_shared(value)
                && keep(name.as_str())
            {
                map.append(name, value);
            }
        }
        map
    }

    fn part(&self, start: u32, len: u32) -> &[u8] {
        &self.buffer[start as usize..(start + len) as usize]
    }

    fn value(&self, span: &Span) -> &[u8] {
        self.part(span.value, span.value_len)
    }
}

/// Gathers fields that do not stand in one buffer: those of HTTP/2 and 3, and of tests.
#[derive(Debug, Default)]
pub struct FieldsBuilder {
    buffer: BytesMut,
    spans: SmallVec<[Span; INLINE]>,
    seen: Seen,
}

impl FieldsBuilder {
    /// An empty list with room for `bytes` of names and values.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(bytes), ..Self::default() }
    }

    /// Adds one field line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.seen |= Seen::of(name);
        let start = self.buffer.len() as u32;
        let (name_len, value_len) = (name.len() as u32, value.len() as u32);
        self.buffer.put_slice(name);
        self.buffer.put_slice(value);
        self.spans.push(Span { name: start, name_len, value: start + name_len, value_len });
    }

    /// The gathered fields.
    pub fn build(self) -> Fields {
        Fields { buffer: self.buffer.freeze(), spans: self.spans, seen: self.seen }
    }
}

impl<'a, N, V> FromIterator<(&'a N, &'a V)> for Fields
where
    N: AsRef<[u8]> + ?Sized + 'a,
    V: AsRef<[u8]> + ?Sized + 'a,
{
    fn from_iter<I: IntoIterator<Item = (&'a N, &'a V)>>(fields: I) -> Self {
        let mut builder = FieldsBuilder::default();
        for (name, value) in fields {
            builder.push(name.as_ref(), value.as_ref());
        }
        builder.build()
    }
}

/// A set of well-known field names: the question "is none of these here?" is one AND.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u32);

macro_rules! seen {
    ($($constant:ident = $name:literal,)*) => {
        /// The bit's place is the name's place in this list.
        const SEEN: &[&str] = &[$($name),*];
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($constant),* }
        #[allow(missing_docs)]
        impl Seen { $(pub const $constant: Self = Self(1 << Place::$constant as u32);)* }
    };
}

seen! {
    ACCEPT_ENCODING = "accept-encoding",
    AUTHORIZATION = "authorization",
    CACHE_CONTROL = "cache-control",
    CDN_LOOP = "cdn-loop",
    CONNECTION = "connection",
    CONTENT_LENGTH = "content-length",
    COOKIE = "cookie",
    EXPECT = "expect",
    HEADLAND_COUNTRY = "headland-country",
    HEADLAND_DEVICE = "headland-device",
    HEADLAND_PEER = "headland-peer",
    HOST = "host",
    IF_MATCH = "if-match",
    IF_MODIFIED_SINCE = "if-modified-since",
    IF_NONE_MATCH = "if-none-match",
    IF_RANGE = "if-range",
    IF_UNMODIFIED_SINCE = "if-unmodified-since",
    PRAGMA = "pragma",
    RANGE = "range",
    REFERER = "referer",
    TRACEPARENT = "traceparent",
    TRANSFER_ENCODING = "transfer-encoding",
    UPGRADE = "upgrade",
    USER_AGENT = "user-agent",
}

impl Seen {
    /// Fields that make a GET conditional (RFC 9110 section 13.1), `If-Range` aside.
    pub const CONDITIONAL: Self = Self::IF_MATCH
        .or(Self::IF_MODIFIED_SINCE)
        .or(Self::IF_NONE_MATCH)
        .or(Self::IF_UNMODIFIED_SINCE);

    /// Fields in which nodes tell of a client.
    pub const TOLD: Self = Self::HEADLAND_COUNTRY.or(Self::HEADLAND_DEVICE);

    /// Both sets together.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any field of `other` is in this set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn of(name: &[u8]) -> Self {
        let found = SEEN.iter().position(|known| {
            known.len() == name.len() && name.eq_ignore_ascii_case(known.as_bytes())
        });
        Self(found.map_or(0, |place| 1 << place))
    }

    /// False only if `name` is a known name that was not seen.
    fn may_hold(self, name: &str) -> bool {
        match SEEN.binary_search(&name) {
            Ok(place) => self.0 & (1 << place) != 0,
            Err(_) => true,
        }
    }
}

impl std::ops::BitOrAssign for Seen {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_sorted_for_the_search() {
        assert!(SEEN.is_sorted());
        assert!(SEEN.len() <= 32);
    }

    #[test]
    fn fields_of_a_head_are_found_in_any_case() {
        let head = Bytes::from_static(b"Host: a\r\nX-One: 1\r\nx-one: 2\r\nRange:\r\n");
        let lines = [(0, 4, 6, 1), (9, 5, 16, 1), (19, 5, 26, 1), (29, 5, 35, 0)];
        let lines = lines.map(|(n, nl, v, vl)| (&head[n..n + nl], &head[v..v + vl]));
        let fields = Fields::from_slices(&head, lines.into_iter());
        assert_eq!(fields.get("host"), Some(&b"a"[..]));
        assert_eq!(fields.all("X-ONE").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(fields.get("range"), Some(&b""[..]));
        assert_eq!(fields.get("if-range"), None);
        assert!(fields.seen().any(Seen::RANGE) && !fields.seen().any(Seen::CONDITIONAL));
        let map = fields.to_map(|name| name != "range");
        assert_eq!(map.len(), 3);
        assert_eq!(map["x-one"], "1");
    }

    #[test]
    fn what_a_client_tells_of_itself_is_not_believed() {
        let fields: Fields =
            [("host", "a"), ("Headland-Device", "bot"), ("x", "1"), ("headland-country", "XX")]
                .into_iter()
                .collect();
        let told = fields.telling([(DEVICE, "mobile")].into_iter());
        let pairs: Vec<_> = told.iter().collect();
        let name = DEVICE.as_bytes();
        assert_eq!(pairs, [(&b"host"[..], &b"a"[..]), (b"x", b"1"), (name, b"mobile")]);
        assert_eq!(fields.telling(std::iter::empty::<(_, &str)>()).len(), 2);
    }

    #[test]
    fn built_fields_equal_those_pushed() {
        let fields: Fields = [("host", "a"), ("if-none-match", "\"x\"")].into_iter().collect();
        let pairs: Vec<_> = fields.iter().collect();
        assert_eq!(pairs, [(&b"host"[..], &b"a"[..]), (b"if-none-match", b"\"x\"")]);
        assert!(fields.seen().any(Seen::CONDITIONAL));
    }
}
