//! What is kept, and what is still told of the rest.

use serde_json::json;

use super::*;
use crate::object::{Entry, LogId};

const BOUNDS: Bounds = Bounds { entries: 4, rules: 64 };

/// A log of entries of so many purges each.
fn history(sizes: &[usize]) -> History {
    let mut history = History::new(BOUNDS, Position::start(LogId(1)), [], &[]);
    for (index, size) in sizes.iter().enumerate() {
        let Position { number, hash, .. } = history.head();
        let tag = |n| PurgeCommand::from_json(&json!({ "kind": "tag", "value": format!("{n}") }));
        let commands = (0..*size).map(|n| tag(100 * index + n).unwrap()).collect();
        let by = String::new();
        let entry = Entry { first: number + 1, previous: hash, at: 0, by, commands };
        history.push(Arc::new(Logged::new(entry)));
    }
    history
}

fn firsts(entries: Entries) -> Option<Vec<u64>> {
    Some(entries?.iter().map(|entry| entry.first).collect())
}

#[test]
fn entries_are_read_from_where_one_ends() {
    let history = history(&[1, 2, 1]);
    assert_eq!(firsts(history.read(0, 9)), Some(vec![1, 2, 4]));
    assert_eq!(firsts(history.read(1, 9)), Some(vec![2, 4]));
    assert_eq!(firsts(history.read(1, 1)), Some(vec![2]));
    assert_eq!(firsts(history.read(2, 9)), None, "within an entry");
    assert_eq!(firsts(history.read(4, 9)), Some(vec![]));
    assert_eq!(firsts(history.read(5, 9)), None);
}

#[test]
fn of_what_is_not_kept_the_hash_and_the_purges_are() {
    let history = history(&[1, 2, 1, 3]);
    assert_eq!(history.base().number, 3);
    assert_eq!(firsts(history.read(3, 9)), Some(vec![4, 5]));
    assert_eq!(firsts(history.read(1, 9)), None);
    let known: Vec<_> = (0..=8).filter(|number| history.hash_at(*number).is_some()).collect();
    assert_eq!(known, [0, 1, 3, 4, 7]);
    let numbers: Vec<_> = history.snapshot().commands.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn an_entry_is_kept_however_large_it_is() {
    assert_eq!(firsts(history(&[1, 9]).read(1, 9)), Some(vec![2]));
}

#[test]
#[should_panic(expected = "in the order of the log")]
fn what_does_not_follow_is_a_mistake() {
    let entry = history(&[1, 1]).read(1, 1).unwrap().remove(0);
    history(&[]).push(entry);
}
