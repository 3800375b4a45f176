//! What is folded, and that nothing is lost that still matters.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn command(json: Value) -> PurgeCommand {
    PurgeCommand::from_json(&json).unwrap()
}

fn tag(tag: &str, site: Option<&str>, soft: bool) -> PurgeCommand {
    let mut json = json!({ "kind": "tag", "value": tag, "soft": soft });
    if let Some(site) = site {
        json["site"] = site.into();
    }
    command(json)
}

fn url(url: &str) -> PurgeCommand {
    command(json!({ "kind": "url", "value": url }))
}

fn site(site: &str, soft: bool) -> PurgeCommand {
    command(json!({ "kind": "site", "value": site, "soft": soft }))
}

/// Number, kind and value of all that is kept.
fn kept(folded: &Folded) -> Vec<(u64, &'static str, String)> {
    let show = |(number, command): (u64, PurgeCommand)| {
        let kind = if command.kind == PurgeKind::Soft { "soft" } else { "hard" };
        (number, kind, command.value)
    };
    folded.commands().into_iter().map(show).collect()
}

fn folded(weight_max: usize, commands: &[PurgeCommand]) -> Folded {
    let mut folded = Folded::new(weight_max);
    (1..).zip(commands).for_each(|(number, command)| folded.fold(number, command));
    folded
}

#[test]
fn the_last_purge_of_each_kind_is_kept() {
    let (hard, soft) = (tag("a", Some("s"), false), tag("a", Some("s"), true));
    let table = folded(64, &[soft.clone(), hard.clone(), soft.clone(), soft.clone()]);
    assert_eq!(kept(&table), [(2, "hard", "a".to_owned()), (4, "soft", "a".to_owned())]);
    let table = folded(64, &[soft, hard.clone(), hard]);
    assert_eq!(kept(&table), [(3, "hard", "a".to_owned())], "gone is more than stale");
}

#[test]
fn targets_are_told_apart() {
    let exact = command(json!({ "kind": "url", "value": "https://a.example/x", "exact": true }));
    let table = folded(
        64,
        &[
            tag("a", Some("s"), false),
            tag("a", Some("t"), false),
            tag("a", None, false),
            url("https://a.example/x"),
            exact,
        ],
    );
    assert_eq!(table.commands().len(), 5);
}

#[test]
fn a_whole_site_stands_for_what_came_before() {
    let some = [tag("a", Some("s"), false), tag("b", Some("s"), true), tag("c", Some("t"), true)];
    let with = |last| folded(64, &[&some[..], &[last]].concat());
    let other = (3, "soft", "c".to_owned());
    assert_eq!(kept(&with(site("s", false))), [other.clone(), (4, "hard", "s".to_owned())]);
    let soft = [(1, "hard", "a".to_owned()), other, (4, "soft", "s".to_owned())];
    assert_eq!(kept(&with(site("s", true))), soft, "a soft purge makes nothing gone");
}

#[test]
fn too_many_fold_into_the_whole_of_their_group() {
    let urls: Vec<_> = (0..9).map(|n| url(&format!("https://a.example/{n}"))).collect();
    let found = kept(&folded(8, &urls));
    assert_eq!(found[0], (3, "hard", "https://a.example/".to_owned()));
    assert_eq!(found.len(), 7);

    let soft: Vec<_> = (0..9).map(|n| tag(&n.to_string(), Some("s"), true)).collect();
    assert_eq!(kept(&folded(8, &soft))[0], (3, "soft", "s".to_owned()));

    let everywhere: Vec<_> = (0..9).map(|n| tag(&n.to_string(), None, false)).collect();
    assert_eq!(kept(&folded(8, &everywhere))[0], (3, "hard", "https://*/*".to_owned()));
}

#[test]
fn too_many_groups_fold_into_one_of_all() {
    let urls: Vec<_> = (0..9).map(|n| url(&format!("https://{n}.example/"))).collect();
    let found = kept(&folded(8, &urls));
    assert_eq!(found[0], (3, "hard", "https://*/*".to_owned()));
    assert_eq!(found.len(), 7);
}

#[test]
fn long_purges_count_as_several() {
    let long = |n| tag(&format!("{}{n}", "x".repeat(600)), Some("s"), false);
    assert_eq!(weight(&long(1)), 3);
    assert_eq!(kept(&folded(8, &[long(1), long(2), long(3)])).len(), 3);
}

/// Whether `whole` covers what `part` does, as far as the tests go.
fn covers(whole: &PurgeCommand, part: &PurgeCommand) -> bool {
    let host = |command: &PurgeCommand| match &command.target {
        PurgeTarget::Url(url) | PurgeTarget::Prefix(url) => Some(url.host.clone()),
        _ => None,
    };
    match &whole.target {
        PurgeTarget::Wildcard(_) => whole.value == "https://*/*",
        PurgeTarget::Site => whole.site == part.site,
        PurgeTarget::Prefix(_) if part.site.is_none() => host(whole) == host(part),
        _ => Target::of(whole) == Target::of(part) && whole.site == part.site,
    }
}

proptest! {
    /// The invariant of the file's head, by any mix of purges and bounds; and what is written and
    /// read again is no less.
    #[test]
    fn what_was_covered_is_covered(
        asked in proptest::collection::vec((0..4u8, 0..6u8, 0..3u8, any::<bool>()), 1..60),
        weight_max in 4..20usize,
    ) {
        let commands: Vec<_> = asked.iter().map(|(kind, value, place, soft)| {
            let of_site = format!("s{place}");
            let mut command = match kind {
                0 => tag(&value.to_string(), Some(&of_site), *soft),
                1 => tag(&value.to_string(), None, *soft),
                2 => url(&format!("https://{place}.example/{value}")),
                _ => site(&of_site, *soft),
            };
            command.kind = if *soft { PurgeKind::Soft } else { PurgeKind::Hard };
            command
        }).collect();
        let table = folded(weight_max, &commands);
        prop_assert!(table.weight <= weight_max);
        let sum: usize = table.groups.values().map(|targets| targets.weight).sum();
        prop_assert_eq!(sum, table.weight);
        let mut again = Folded::new(weight_max);
        table.commands().iter().for_each(|(number, command)| again.fold(*number, command));
        for table in [table, again] {
            let kept = table.commands();
            for (number, command) in (1..).zip(&commands) {
                let by = kept.iter().any(|(by, whole)| {
                    let hard_enough = whole.kind == PurgeKind::Hard || command.kind == whole.kind;
                    *by >= number && hard_enough && covers(whole, command)
                });
                prop_assert!(by, "{} {:?} by {:?}", number, command, kept);
            }
        }
    }
}
