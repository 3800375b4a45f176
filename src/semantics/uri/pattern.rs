//! Patterns of hosts, paths and query names: `*` stands for any row of characters, none included.

use std::fmt;

/// A pattern; matching takes time linear in the text for each piece between stars.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Any text is a pattern. Case counts.
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.to_owned() }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has no star: it matches itself alone.
    pub fn is_literal(&self) -> bool {
        !self.text.contains('*')
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.text.split_once('*') else {
            return self.text == text;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        let inner = text.strip_prefix(head).and_then(|text| text.strip_suffix(tail));
        let Some(mut inner) = inner else {
            return false;
        };
        // The leftmost place is as good as any: what follows has the most room left.
        for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
            match inner.split_once(piece) {
                Some((_, after)) => inner = after,
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_row() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", false),
            ("*", "", true),
            ("*", "anything/at.all", true),
            ("utm_*", "utm_source", true),
            ("utm_*", "utm_", true),
            ("utm_*", "xutm_source", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("/media/*", "/media/", true),
            ("/media/*", "/media", false),
            ("/a/*/z", "/a/b/c/z", true),
            ("/a/*/z", "/a/z", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*.jpg*", "x.jpg?y", true),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxaxxcxxbxx", false),
            ("a*b*c", "abbbbc", true),
            ("a*bb*bc", "abbc", false),
            ("a**b", "axb", true),
            ("**", "x", true),
        ];
        for (pattern, text, wanted) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), wanted, "{pattern} {text}");
        }
    }
}
