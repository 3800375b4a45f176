//! Sizes, names, and words that stand only in their place.

use super::house::{BANNED_NAMES, COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX};
use super::source::{Source, words};

/// Words that may stand only in certain files.
pub(crate) struct Rule {
    /// Said of each offence.
    pub(crate) what: &'static str,
    /// A word matches where no longer word ends with it; it may go on.
    pub(crate) words: &'static [&'static str],
    pub(crate) text: Text,
    pub(crate) applies: Where,
    /// Beginnings of the paths that the rule looks at.
    pub(crate) within: &'static [&'static str],
    /// Beginnings of the paths where the words are at home, and why.
    pub(crate) except: &'static [(&'static str, &'static str)],
}

/// Which part of the text a rule reads.
#[derive(Clone, Copy)]
pub(crate) enum Text {
    Code,
    Comments,
    Literals,
}

/// Which code a rule binds.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Where {
    Production,
    Tests,
    Everywhere,
}

pub(crate) fn check_words(source: &Source, rules: &[Rule]) -> Vec<String> {
    let starts = |beginning: &str| source.path.starts_with(beginning);
    let mut faults = Vec::new();
    for rule in rules {
        let looks = rule.within.iter().any(|beginning| starts(beginning));
        if !looks || rule.except.iter().any(|(beginning, _)| starts(beginning)) {
            continue;
        }
        let text = match rule.text {
            Text::Code => &source.code,
            Text::Comments => &source.comments,
            Text::Literals => &source.literals,
        };
        for word in rule.words {
            let bound = |at: &usize| match rule.applies {
                Where::Everywhere => true,
                Where::Tests => source.is_test(*at),
                Where::Production => !source.is_test(*at),
            };
            let offences = words(text, word).filter(bound);
            let what = format!("{}: `{}`", rule.what, word.trim());
            faults.extend(offences.map(|at| source.fault(at, &what)));
        }
    }
    faults
}

pub(crate) fn check_sizes(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{path}:1: {lines} lines; a file has at most {FILE_LINES_MAX}"));
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let number = index + 1;
            faults.push(format!("{path}:{number}: {columns} columns; at most {COLUMNS_MAX}"));
        }
    }
    for (name, at, lines) in source.functions() {
        if lines > FUNCTION_LINES_MAX {
            let what = format!("fn {name} has {lines} lines; at most {FUNCTION_LINES_MAX}");
            faults.push(source.fault(at, &what));
        }
    }
    faults
}

pub(crate) fn check_names(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut faults = Vec::new();
    for part in path.trim_end_matches(".rs").split('/') {
        if BANNED_NAMES.contains(&part) {
            faults.push(format!("{path}:1: `{part}` says nothing about what is in it"));
        }
    }
    if path.starts_with("src/") && !source.text.starts_with("//!") {
        faults.push(format!("{path}:1: the first line says what lives here: `//! …`"));
    }
    faults
}
