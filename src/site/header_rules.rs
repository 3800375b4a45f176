//! Fields that a site sets, adds and removes. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::site::FieldRules;

/// Fields set, added and removed.
#[derive(Clone, Debug, Default)]
pub struct HeaderRules {
    /// Stands beside the lines of the name that are there.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Takes the place of all lines of the name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Taken out, before anything is set or added.
    pub remove: Vec<HeaderName>,
}

impl HeaderRules {
    /// Those of a config.
    pub(super) fn from_config(rules: &FieldRules) -> Self {
        let set = rules.set.iter().map(|(name, value)| (HeaderName::clone(name), value.clone()));
        Self { set: set.collect(), add: Vec::new(), remove: rules.remove.clone() }
    }

    /// Changes `headers`.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
    }
}
