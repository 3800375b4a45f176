//! Surrogate-Control, by which origins spoke to CDNs before there were targeted fields (Edge
//! Architecture Specification 1.0, section 2.2).
//!
//! ```text
//!  max-age=3600+600;headland, content="ESI/1.0"
//!          │    │   └ for this device alone; without one, for all
//!          │    └ may be used for so much longer, while it is refreshed
//!          └ freshness lifetime
//! ```

use super::super::syntax::{members, trim};
use super::CacheControl;

/// How origins call this cache.
const DEVICE: &[u8] = b"headland";

/// See [`CacheControl::parse_surrogate`].
pub(super) fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<CacheControl> {
    let (mut for_all, mut for_us) = (CacheControl::default(), CacheControl::default());
    for member in lines.into_iter().flat_map(members) {
        let mut parts = member.split(|byte| *byte == b';').map(trim);
        let directive = parts.next().unwrap_or_default();
        match parts.next() {
            None => add(&mut for_all, directive),
            Some(device) if device.eq_ignore_ascii_case(DEVICE) => add(&mut for_us, directive),
            Some(_) => {}
        }
    }
    // What is for one device displaces what is for all. Whoever says nothing of storing displaces
    // nobody who does.
    let tells = |directives: &CacheControl| directives.no_store || directives.max_age.is_some();
    [for_us, for_all].into_iter().find(tells)
}

fn add(directives: &mut CacheControl, directive: &[u8]) {
    let (name, value) = match memchr::memchr(b'=', directive) {
        Some(at) => directive.split_at(at),
        None => (directive, &[][..]),
    };
    let is = |known: &[u8]| trim(name).eq_ignore_ascii_case(known);
    // A CDN is what the specification calls remote.
    if is(b"no-store") || is(b"no-store-remote") {
        directives.no_store = true;
    } else if is(b"max-age") {
        let (lifetime, extension) = match memchr::memchr(b'+', value) {
            Some(at) => (&value[..at], Some(&value[at + 1..])),
            None => (value, None),
        };
        directives.add_directive(&[name, lifetime].concat());
        if let Some(extension) = extension {
            directives.add_directive(&[b"stale-while-revalidate=", extension].concat());
        }
    } else if is(b"stale-while-revalidate") || is(b"stale-if-error") {
        directives.add_directive(directive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<CacheControl> {
        parse([text.as_bytes()])
    }

    #[test]
    fn what_it_says_of_caching_is_read() {
        let stored = |max_age, stale_while_revalidate| {
            let none = CacheControl::default();
            Some(CacheControl { max_age: Some(max_age), stale_while_revalidate, ..none })
        };
        let no_store = Some(CacheControl { no_store: true, ..CacheControl::default() });
        let cases = [
            ("max-age=60", stored(60, None)),
            ("MAX-AGE=60", stored(60, None)),
            ("foo, max-age=60, content=\"ESI/1.0\"", stored(60, None)),
            ("max-age=60+30", stored(60, Some(30))),
            ("max-age=60, stale-while-revalidate=30", stored(60, Some(30))),
            ("max-age=99999999999", stored(u32::MAX, None)),
            ("no-store", no_store.clone()),
            ("content=\"ESI/1.0\", no-store-remote", no_store.clone()),
            ("max-age=60;other, no-store", no_store),
            ("max-age=60;Headland, no-store", stored(60, None)),
            ("no-store;other, max-age=60; headland", stored(60, None)),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text), wanted, "{text}");
        }
        assert_eq!(parse([b"foo".as_slice(), b"max-age=60"]), stored(60, None));
    }

    #[test]
    fn what_says_nothing_of_caching_displaces_nothing() {
        for text in [
            "",
            ",",
            "content=\"ESI/1.0\"",
            "max-age=60;other",
            "private",
            "\"max-age=60\"",
            "stale-if-error=9",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_stale() {
        for text in ["max-age", "max-age=", "max-age=x", "max-age =60", "max-age=-1", "max-age=+6"]
        {
            assert_eq!(read(text).and_then(|directives| directives.max_age), Some(0), "{text}");
        }
    }
}
