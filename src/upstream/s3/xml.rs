//! The text of single elements, as S3 and STS send them. Pure.
//!
//! Their documents name each of these elements once, without attributes, and no other text lies
//! within: an error of S3, or credentials of STS. What is not so is not found.

use std::borrow::Cow;

/// The text of the first element of that name.
pub(super) fn text<'a>(document: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    if text.contains('<') {
        return None;
    }
    Some(match text.contains('&') {
        // The ampersand last: what it brings forth is no escape.
        true => [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
            .iter()
            .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
            .into(),
        false => text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_name() {
        let document = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code>\
                        <Message>a &amp;lt; &lt;b&gt;</Message><Odd><In>x</In></Odd><Half>";
        assert_eq!(text(document, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(text(document, "Message").as_deref(), Some("a &lt; <b>"));
        for name in ["Odd", "Half", "code", ""] {
            assert_eq!(text(document, name), None, "{name}");
        }
    }
}
