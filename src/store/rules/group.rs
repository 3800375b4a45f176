//! The rules of one site, or of every site.

use std::collections::HashMap;

use super::NumberedRule;
use super::prefixes::Prefixes;
use crate::object::{
    Coverage, KeyHasher, PurgeRule, Purged, SiteKey, TagKey, TargetUri, UrlKey, UrlWildcard,
};

/// Rules, each kind by what finds it.
#[derive(Debug, Default)]
pub(super) struct Group {
    whole: Purged,
    urls: HashMap<UrlKey, Purged, KeyHasher>,
    tags: HashMap<TagKey, Purged>,
    prefixes: Prefixes,
    wildcards: Vec<(UrlWildcard, Purged)>,
    /// The last number among each kind: where it is not past what a response was clean of, the
    /// kind is not looked at.
    last: Last,
}

#[derive(Debug, Default)]
struct Last {
    urls: u64,
    tags: u64,
    prefixes: u64,
    wildcards: u64,
}

impl Group {
    /// Rules that are kept apart.
    pub(super) fn len(&self) -> usize {
        self.urls.len() + self.tags.len() + self.prefixes.len() + self.wildcards.len()
    }

    /// Takes a rule in, beside what there is.
    pub(super) fn raise(&mut self, covers: &Coverage, purged: Purged, wildcards_max: usize) {
        let number = purged.last();
        match covers {
            Coverage::Whole => self.whole = self.whole.or(purged),
            Coverage::Url(url) => {
                add(self.urls.entry(*url).or_default(), purged);
                self.last.urls = self.last.urls.max(number);
            }
            Coverage::Tag(tag) => {
                add(self.tags.entry(*tag).or_default(), purged);
                self.last.tags = self.last.tags.max(number);
            }
            Coverage::Prefix(prefix) => {
                self.prefixes.raise(prefix, purged);
                self.last.prefixes = self.last.prefixes.max(number);
            }
            Coverage::Wildcard(wildcard) => {
                let known = self.wildcards.iter_mut().find(|(known, _)| known == wildcard);
                match known {
                    Some((_, known)) => add(known, purged),
                    None => self.add_wildcard(wildcard.clone(), purged, wildcards_max),
                }
                self.last.wildcards = self.last.wildcards.max(number);
            }
        }
    }

    fn add_wildcard(&mut self, wildcard: UrlWildcard, purged: Purged, max: usize) {
        if self.wildcards.len() >= max.max(1) {
            let oldest = oldest_quarter(self.wildcards.iter().map(|(_, rule)| rule.last()));
            let Self { whole, wildcards, .. } = self;
            wildcards.retain(|(_, rule)| keep_or_fold(whole, rule, oldest));
        }
        self.wildcards.push((wildcard, purged));
    }

    /// All that covers a response for `target` with `tags`, of the rules past `since`.
    pub(super) fn covering<T: Iterator<Item = TagKey>>(
        &self,
        since: u64,
        target: &TargetUri<'_>,
        tags: impl Fn() -> T,
    ) -> Purged {
        let mut purged = self.whole;
        let mut add = |rule: Option<&Purged>| {
            if let Some(rule) = rule {
                purged = purged.or(*rule);
            }
        };
        if self.last.urls > since {
            add(self.urls.get(&target.any_query()));
            add(self.urls.get(&target.exact()));
        }
        if self.last.tags > since {
            tags().for_each(|tag| add(self.tags.get(&tag)));
        }
        if self.last.prefixes > since {
            let mut text = String::new();
            target.write(&mut text);
            add(Some(&self.prefixes.covering(&text)));
        }
        if self.last.wildcards > since {
            let new = self.wildcards.iter().filter(|(_, rule)| rule.last() > since);
            new.filter(|(wildcard, _)| wildcard.matches(target)).for_each(|(_, r)| add(Some(r)));
        }
        purged
    }

    /// Makes the oldest quarter of the rules part of what covers the whole.
    pub(super) fn fold(&mut self) {
        let numbers = self.urls.values().chain(self.tags.values());
        let numbers = numbers.chain(self.prefixes.iter().map(|(_, rule)| rule));
        let numbers = numbers.chain(self.wildcards.iter().map(|(_, rule)| rule));
        let oldest = oldest_quarter(numbers.map(|rule| rule.last()));
        let Self { whole, urls, tags, prefixes, wildcards, .. } = self;
        urls.retain(|_, rule| keep_or_fold(whole, rule, oldest));
        tags.retain(|_, rule| keep_or_fold(whole, rule, oldest));
        prefixes.retain(|rule| keep_or_fold(whole, rule, oldest));
        wildcards.retain(|(_, rule)| keep_or_fold(whole, rule, oldest));
    }

    /// Appends every rule, as one of `site`.
    pub(super) fn export(&self, site: Option<SiteKey>, out: &mut Vec<NumberedRule>) {
        let rule = |covers, purged: &Purged| (PurgeRule { site, covers }, *purged);
        if self.whole != Purged::default() {
            out.push(rule(Coverage::Whole, &self.whole));
        }
        out.extend(self.urls.iter().map(|(url, purged)| rule(Coverage::Url(*url), purged)));
        out.extend(self.tags.iter().map(|(tag, purged)| rule(Coverage::Tag(*tag), purged)));
        let prefixes = self.prefixes.iter();
        out.extend(prefixes.map(|(text, purged)| rule(Coverage::Prefix(text.into()), purged)));
        let wildcards = self.wildcards.iter();
        out.extend(wildcards.map(|(w, purged)| rule(Coverage::Wildcard(w.clone()), purged)));
    }
}

fn add(known: &mut Purged, purged: Purged) {
    *known = known.or(purged);
}

/// The highest number of the oldest quarter.
fn oldest_quarter(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    let place = numbers.len() / 4;
    if numbers.is_empty() { 0 } else { *numbers.select_nth_unstable(place).1 }
}

/// Whether a rule is past `oldest`; else it is taken into `whole`.
fn keep_or_fold(whole: &mut Purged, rule: &Purged, oldest: u64) -> bool {
    let keep = rule.last() > oldest;
    if !keep {
        add(whole, *rule);
    }
    keep
}
