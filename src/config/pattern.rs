//! Text with `*` for any run of characters: paths of routes, names of query parameters.

use std::fmt;

/// A pattern such as `/media/*`, `*.jpg` or `utm_*`. Without a `*` it matches only itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// Takes any text; each `*` in it stands for any run of characters, none included.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern that matches everything.
    pub fn everything() -> Self {
        Self::new("*")
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` matches, in time linear in its length for each `*`.
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(head) else {
            return false;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The first place where a middle piece fits leaves most for the pieces behind it.
        for piece in middle.split('*') {
            match text.find(piece) {
                Some(at) => text = &text[at + piece.len()..],
                None => return false,
            }
        }
        text.ends_with(tail)
    }

    /// What each `*` stands for where the whole of `text` matches: as little as it can, but for the
    /// last, which has the rest.
    pub fn captures<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let Some((head, rest)) = self.0.split_once('*') else {
            return (self.0 == text).then(Vec::new);
        };
        let mut text = text.strip_prefix(head)?;
        let mut taken = Vec::new();
        let (middle, tail) = match rest.rsplit_once('*') {
            Some((middle, tail)) => (Some(middle), tail),
            None => (None, rest),
        };
        for piece in middle.into_iter().flat_map(|middle| middle.split('*')) {
            let at = text.find(piece)?;
            taken.push(&text[..at]);
            text = &text[at + piece.len()..];
        }
        taken.push(text.strip_suffix(tail)?);
        Some(taken)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches() {
        let cases = [
            ("/", "/", true),
            ("/", "/a", false),
            ("", "", true),
            ("*", "", true),
            ("*", "/any/thing", true),
            ("/media/*", "/media/", true),
            ("/media/*", "/media/a/b", true),
            ("/media/*", "/media", false),
            ("*.jpg", "/a/b.jpg", true),
            ("*.jpg", "/a/b.jpg/c", false),
            ("utm_*", "utm_source", true),
            ("utm_*", "xutm_source", false),
            ("/a*b*c", "/a-b-b-c", true),
            ("/a*b*c", "/a-c-b", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "ab", true),
            ("/é*", "/école", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    /// The definition: a star takes nothing, or one character more.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['*', rest @ ..], _) => {
                by_definition(rest, text)
                    || (!text.is_empty() && by_definition(pattern, &text[1..]))
            }
            ([p, rest @ ..], [t, tail @ ..]) => p == t && by_definition(rest, tail),
            _ => false,
        }
    }

    #[test]
    fn captures() {
        let cases: &[(&str, &str, Option<&[&str]>)] = &[
            ("/a", "/a", Some(&[])),
            ("/a", "/b", None),
            ("*", "", Some(&[""])),
            ("/a/*", "/a/b/c", Some(&["b/c"])),
            ("/*/b/*", "/a/b/c", Some(&["a", "c"])),
            ("/*/b/*", "/a/b/b/b/c", Some(&["a", "b/b/c"])),
            ("*a*b*c", "aabbc", Some(&["", "a", "b"])),
            ("a*a", "a", None),
            ("a**b", "axb", Some(&["", "x"])),
            ("/é*", "/école", Some(&["cole"])),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                Pattern::new(*pattern).captures(text).as_deref(),
                *expected,
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_makes_the_text_again(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            let pattern = Pattern::new(pattern);
            let taken = pattern.captures(&text);
            prop_assert_eq!(taken.is_some(), pattern.matches(&text));
            if let Some(taken) = taken {
                let mut taken = taken.into_iter();
                let mut pieces = pattern.as_str().split('*');
                let first = pieces.next().unwrap_or_default().to_owned();
                let add = |again, piece| again + taken.next().unwrap() + piece;
                let again = pieces.fold(first, add);
                prop_assert_eq!(again, text);
            }
        }

        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                Pattern::new(pattern.as_str()).matches(&text),
                by_definition(&chars(&pattern), &chars(&text))
            );
        }
    }
}
