//! Targeted fields: cache directives as a dictionary of structured fields (RFC 9213, RFC 8941).
//!
//! Unlike Cache-Control these have a strict grammar, and a field with any fault in it is ignored
//! as a whole, so that what it displaces applies again.

use super::super::syntax::{is_tchar, quoted_len};
use super::{Argument, CacheControl, FieldScope};

/// See [`CacheControl::parse_targeted`].
pub(super) fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<CacheControl> {
    let mut directives = CacheControl::default();
    let mut found = false;
    // RFC 8941 section 4.2: lines are parsed as if joined by commas.
    for line in lines {
        let mut input = Input(line);
        input.skip(b" ");
        while !input.0.is_empty() {
            let (key, value) = input.member()?;
            apply(&mut directives, key, value)?;
            found = true;
            input.separator()?;
        }
    }
    found.then_some(directives)
}

/// A member's value, as far as directives need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    /// The inside of the quotes.
    String(&'a [u8]),
    Token(&'a [u8]),
    /// A decimal, byte sequence or inner list.
    Other,
}

/// Takes in one member; `None` if its value is of a type that the directive does not have. A key
/// that comes twice has its last value (RFC 8941 section 4.2.2).
fn apply(directives: &mut CacheControl, key: &[u8], value: Value<'_>) -> Option<()> {
    match key {
        b"no-store" => directives.no_store = value.is_set(),
        b"public" => directives.public = value.is_set(),
        b"must-revalidate" => directives.must_revalidate = value.is_set(),
        b"proxy-revalidate" => directives.proxy_revalidate = value.is_set(),
        b"must-understand" => directives.must_understand = value.is_set(),
        b"no-transform" => directives.no_transform = value.is_set(),
        b"immutable" => directives.immutable = value.is_set(),
        b"no-cache" => directives.no_cache = value.scope(),
        b"private" => directives.private = value.scope(),
        b"max-age" => directives.max_age = Some(value.seconds()?),
        b"s-maxage" => directives.s_maxage = Some(value.seconds()?),
        b"stale-while-revalidate" => {
            directives.stale_while_revalidate = Some(value.seconds()?);
        }
        b"stale-if-error" => directives.stale_if_error = Some(value.seconds()?),
        _ => {}
    }
    Some(())
}

impl Value<'_> {
    fn is_set(self) -> bool {
        self != Value::Boolean(false)
    }

    fn seconds(self) -> Option<u32> {
        match self {
            // RFC 9111 section 4.2.1: what makes no sense counts as stale.
            Value::Integer(seconds) => Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)),
            _ => None,
        }
    }

    fn scope(self) -> FieldScope {
        let argument = match self {
            Value::Boolean(false) => return FieldScope::Absent,
            Value::String(names) => Argument::Quoted(names),
            Value::Token(name) => Argument::Token(name),
            Value::Boolean(true) | Value::Integer(_) | Value::Other => Argument::Absent,
        };
        let mut scope = FieldScope::Absent;
        scope.widen(argument);
        scope
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// `key[=value]` and its parameters (RFC 8941 section 3.2).
    fn member(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let key = self.key()?;
        let value = match self.eat(b'=') {
            true if self.0.first() == Some(&b'(') => self.inner_list()?,
            true => self.bare_item()?,
            false => Value::Boolean(true),
        };
        self.parameters()?;
        Some((key, value))
    }

    /// The comma after a member, which another member must follow.
    fn separator(&mut self) -> Option<()> {
        self.skip(b" \t");
        if self.0.is_empty() {
            return Some(());
        }
        let comma = self.eat(b',');
        self.skip(b" \t");
        (comma && !self.0.is_empty()).then_some(())
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip(b" ");
            self.key()?;
            if self.eat(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn inner_list(&mut self) -> Option<Value<'a>> {
        self.eat(b'(');
        loop {
            self.skip(b" ");
            if self.eat(b')') {
                return Some(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.0.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        if !matches!(self.0.first()?, b'a'..=b'z' | b'*') {
            return None;
        }
        Some(self.take_while(
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'),
        ))
    }

    /// RFC 8941 section 3.3.
    fn bare_item(&mut self) -> Option<Value<'a>> {
        match self.0.first()? {
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.byte_sequence(),
            b'-' | b'0'..=b'9' => self.number(),
            b'A'..=b'Z' | b'a'..=b'z' | b'*' => Some(Value::Token(
                self.take_while(|byte| is_tchar(byte) || matches!(byte, b':' | b'/')),
            )),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<Value<'a>> {
        let (quoted, rest) = self.0.split_at_checked(quoted_len(self.0)?)?;
        let inside = &quoted[1..quoted.len() - 1];
        self.0 = rest;
        let mut bytes = inside.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' if !matches!(bytes.next(), Some(b'"' | b'\\')) => return None,
                b' '..=b'~' => {}
                _ => return None,
            }
        }
        Some(Value::String(inside))
    }

    fn boolean(&mut self) -> Option<Value<'a>> {
        let (value, rest) = self.0.split_at_checked(2)?;
        self.0 = rest;
        match value {
            b"?0" => Some(Value::Boolean(false)),
            b"?1" => Some(Value::Boolean(true)),
            _ => None,
        }
    }

    fn byte_sequence(&mut self) -> Option<Value<'a>> {
        self.eat(b':');
        self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.eat(b':').then_some(Value::Other)
    }

    /// RFC 8941 section 3.3.1: at most 15 digits; 3.3.2: at most 12, a point, and one to three.
    fn number(&mut self) -> Option<Value<'a>> {
        let negative = self.eat(b'-');
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.eat(b'.') {
            let fraction = self.take_while(|byte| byte.is_ascii_digit()).len();
            let fits = digits.len() <= 12 && (1..=3).contains(&fraction);
            return fits.then_some(Value::Other);
        }
        let number = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Value::Integer(if negative { -number } else { number }))
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.take_while(|byte| bytes.contains(&byte));
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !wanted(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<CacheControl> {
        parse([text.as_bytes()])
    }

    fn max_age(seconds: u32) -> Option<CacheControl> {
        Some(CacheControl { max_age: Some(seconds), ..CacheControl::default() })
    }

    #[test]
    fn well_formed_dictionaries() {
        let cases = [
            ("max-age=60", max_age(60)),
            (" max-age=60 ", max_age(60)),
            ("foobar, max-age=60", max_age(60)),
            ("max-age=60;x=1; y, foo=bar/baz", max_age(60)),
            ("max-age=60,\tfoo=(\"a\" b;c 1.5)", max_age(60)),
            ("max-age=60, foo=:YWJj:, bar=?0, baz=-1.25", max_age(60)),
            ("max-age=60, foo=(), bar=( )", max_age(60)),
            ("max-age=60, foo=\"a\\\"\\\\, b\"", max_age(60)),
            ("max-age=60, no-store=?0", max_age(60)),
            ("max-age=1, max-age=60", max_age(60)),
            ("max-age=-60", max_age(0)),
            ("max-age=99999999999", max_age(u32::MAX)),
            ("foo", Some(CacheControl::default())),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text), wanted, "{text}");
        }
        assert_eq!(parse([b"foo".as_slice(), b"max-age=60"]), max_age(60));
        let private = read("private=\"a, B\"").map(|directives| directives.private);
        assert_eq!(private, Some(FieldScope::Fields(vec!["a".to_owned(), "b".to_owned()])));
        let no_cache = read("no-cache=1").map(|directives| directives.no_cache);
        assert_eq!(no_cache, Some(FieldScope::Whole));
    }

    #[test]
    fn whatever_is_ill_formed_is_ignored() {
        for text in [
            "",
            " ",
            ",",
            "max-age=60,",
            "max-age=60, &&&&&",
            "max-age=60 foo",
            "max-age =60",
            "max-age= 60",
            "max-age=",
            "max-age=\"60\"",
            "max-age=60.0",
            "max-age=60a",
            "max-age=1234567890123456",
            "max-age",
            "Max-Age=60",
            "max-age=60;",
            "foo=\"a",
            "foo=\"\\a\"",
            "foo=?2",
            "foo=:a",
            "foo=(a",
            "foo=(a\"b\")",
            "foo=1.",
            "foo=1.2345",
            "foo=-",
            "foo=\"\u{e4}\"",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(parse([b"max-age=60".as_slice(), b"&"]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in "[a-c=;, ()\"?:.0-9*\\\\-]{0,24}") {
            let _ = read(&text);
        }
    }
}
