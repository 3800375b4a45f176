//! A stored response on which rules are tried one by one.

use super::{Coverage, PurgeRule, TagKey, TargetUri};
use crate::object::UrlKey;

/// What rules ask of a response, made once for all of them. A table of rules asks the other way
/// round (see `store::rules`): it has many rules, and wants none of this where they are few.
#[derive(Debug)]
pub struct Subject<'a> {
    target: TargetUri<'a>,
    any_query: UrlKey,
    exact: UrlKey,
    text: String,
    tags: Vec<TagKey>,
}

impl<'a> Subject<'a> {
    /// The response for `target` with `tags`.
    pub fn new(target: TargetUri<'a>, tags: impl Iterator<Item = TagKey>) -> Self {
        let mut text = String::new();
        target.write(&mut text);
        let (any_query, exact) = (target.any_query(), target.exact());
        Self { target, any_query, exact, text, tags: tags.collect() }
    }

    /// Whether a rule covers it, had the rule come after it.
    pub fn is_covered_by(&self, rule: &PurgeRule) -> bool {
        if rule.site.is_some_and(|site| site != self.target.site) {
            return false;
        }
        match &rule.covers {
            Coverage::Whole => true,
            Coverage::Url(url) => *url == self.any_query || *url == self.exact,
            Coverage::Prefix(prefix) => self.text.starts_with(&**prefix),
            Coverage::Wildcard(wildcard) => wildcard.matches(&self.target),
            Coverage::Tag(tag) => self.tags.contains(tag),
        }
    }
}
