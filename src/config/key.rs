//! One key: its type and its rule together read it from a table and list it in the reference.

use super::reader::Table;
use super::reference::{Key, Keys};
use super::rule::Rule;
use super::value::Value;

impl Table<'_> {
    /// The value of `name`; `base` where it is left out or faulty.
    pub(super) fn key<V: Value>(&mut self, name: &'static str, base: &V, rule: &impl Rule<V>) -> V {
        let Some(node) = self.node(name) else {
            if rule.is_required() {
                self.missing(name, &V::expected());
            }
            return base.clone();
        };
        let Some(value) = V::read(&node, Some(base)) else {
            return base.clone();
        };
        rule.apply(value).unwrap_or_else(|expected| {
            node.misfit(&expected);
            base.clone()
        })
    }
}

impl Keys {
    /// Lists a key, and if it is a table, the keys within.
    pub(super) fn key<V: Value>(
        &mut self,
        name: &str,
        about: &str,
        default: &V,
        rule: &impl Rule<V>,
    ) {
        let path = self.path_to(name);
        let key = Key {
            about: about.trim().to_owned(),
            kind: V::expected(),
            bounds: rule.bounds(),
            default: rule.show(default),
            sample: rule.sample(),
            heading: V::heading(&path),
            path,
        };
        self.list(key, V::keys);
    }
}
