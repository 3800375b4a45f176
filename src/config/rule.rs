//! What a value must keep to beyond its type: bounds, presence, form.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::reference::Sample;
use super::value::Value;

/// One key's rule.
pub(super) trait Rule<V> {
    /// The value to go on with; the error says what was expected.
    fn apply(&self, value: V) -> Result<V, String> {
        Ok(value)
    }

    /// The bounds in words; empty where there are none.
    fn bounds(&self) -> String {
        String::new()
    }

    /// The default as one writes it.
    fn show(&self, default: &V) -> Option<String>
    where
        V: Value,
    {
        default.show()
    }

    fn sample(&self) -> Option<Sample> {
        None
    }

    fn is_required(&self) -> bool {
        matches!(self.sample(), Some(Sample::Required(_)))
    }
}

/// The type is rule enough.
pub(super) struct Anything;

impl<V> Rule<V> for Anything {}

/// A list whose order says nothing, nor how often an element stands in it. It is kept sorted, each
/// element once, so that lists that mean the same are the same.
pub(super) struct Unordered;

impl<E: Display + PartialEq> Rule<Vec<E>> for Unordered {
    fn apply(&self, mut list: Vec<E>) -> Result<Vec<E>, String> {
        list.sort_by_cached_key(E::to_string);
        list.dedup();
        Ok(list)
    }
}

/// A quantity between two bounds.
pub(super) struct Within<V>(pub(super) RangeInclusive<V>);

impl<V: Value + PartialOrd> Rule<V> for Within<V> {
    fn apply(&self, value: V) -> Result<V, String> {
        if self.0.contains(&value) { Ok(value) } else { Err(self.bounds()) }
    }

    fn bounds(&self) -> String {
        span(&self.0)
    }
}

/// A limit: between two bounds, or 0 for none.
///
/// No limit reads as the upper bound, which lies beyond anything that is reached: whoever keeps
/// the limit compares with it and needs no second case.
pub(super) struct Limit<V>(pub(super) RangeInclusive<V>);

impl<V: Value + PartialOrd + Default> Rule<V> for Limit<V> {
    fn apply(&self, value: V) -> Result<V, String> {
        if value == V::default() {
            Ok(self.0.end().clone())
        } else if self.0.contains(&value) {
            Ok(value)
        } else {
            Err(<Self as Rule<V>>::bounds(self))
        }
    }

    fn bounds(&self) -> String {
        format!("{}, or 0 for no limit", span(&self.0))
    }

    fn show(&self, default: &V) -> Option<String> {
        if default == self.0.end() { V::default().show() } else { default.show() }
    }
}

impl<V> Rule<V> for Sample {
    fn sample(&self) -> Option<Sample> {
        Some(*self)
    }
}

/// A text of a certain form.
pub(super) struct Form {
    /// What is expected, in words.
    pub(super) expected: &'static str,
    pub(super) holds: fn(&str) -> bool,
    pub(super) sample: Option<Sample>,
}

impl Rule<String> for Form {
    fn apply(&self, value: String) -> Result<String, String> {
        if (self.holds)(&value) { Ok(value) } else { Err(self.expected.to_owned()) }
    }

    fn bounds(&self) -> String {
        self.expected.to_owned()
    }

    fn sample(&self) -> Option<Sample> {
        self.sample
    }
}

/// A name that goes into headers, metrics and paths unquoted.
pub(super) const NAME: Form = Form {
    expected: "1 to 64 letters, digits, \".\", \"_\" or \"-\"",
    holds: |name| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        (1..=64).contains(&name.len()) && name.bytes().all(plain)
    },
    sample: None,
};

/// A name that has to be given.
pub(super) const fn named(sample: &'static str) -> Form {
    Form { sample: Some(Sample::Required(sample)), ..NAME }
}

fn span<V: Value>(range: &RangeInclusive<V>) -> String {
    let show = |bound: &V| bound.show().unwrap_or_default();
    format!("{} to {}", show(range.start()), show(range.end()))
}
