//! Rollouts, step by step.

use super::*;
use crate::config::published::digest;

fn draft(text: &str, percent: u64) -> Draft {
    let share = Share::percent(percent).unwrap();
    Draft { hash: digest(text), bytes: text.len(), by: "ops".to_owned(), at: 7, share }
}

/// Versions `1`, `2`, … of these texts, for all.
fn of(texts: &[&str]) -> Versions {
    let publish = |versions: Versions, text: &&str| versions.publish(draft(text, 100), None);
    texts.iter().try_fold(Versions::default(), publish).unwrap()
}

fn back(versions: &Versions) -> (Versions, Option<u64>) {
    versions.rollback(None, "ops", 8).unwrap()
}

/// Number and text of the current version.
fn current(versions: &Versions) -> Option<(u64, &'static str)> {
    let current = versions.current()?;
    let texts = ["a", "b", "c", "d"];
    Some((current.number, texts.into_iter().find(|text| digest(text) == current.hash).unwrap()))
}

/// A name that a share of so much covers and no smaller one.
fn name_at(place: u64) -> String {
    let covers = |name: &String, percent| Share::percent(percent).unwrap().covers(name);
    let mut names = (0..).map(|number| format!("edge-{number}"));
    names.find(|name| covers(name, place) && !covers(name, place - 1)).unwrap()
}

#[test]
fn a_candidate_is_for_its_share_until_it_is_promoted() {
    let none = Versions::default();
    assert_eq!(none.wanted("fra-1"), None);
    let one = of(&["a"]);
    let two = one.publish(draft("b", 10), Some(1)).unwrap();
    let (first, later) = (name_at(10), name_at(11));
    let wanted = |versions: &Versions, name: &str| match versions.wanted(name) {
        Some(Release::Published { version, hash }) => {
            assert_eq!(Some(hash), versions.get(version).map(|it| it.hash));
            version
        }
        _ => 0,
    };
    let wants = |versions: &Versions| [&first, &later].map(|name| wanted(versions, name));
    assert_eq!((wants(&one), wants(&two)), ([1, 1], [2, 1]));
    let more = two.promote(Some(2), Share::percent(11).unwrap()).unwrap();
    assert_eq!(wants(&more), [2, 2]);
    assert_eq!(more.stage(more.get(2).unwrap()), Stage::Candidate(Share::percent(11).unwrap()));
    assert_eq!(more.promote(None, Share::percent(11).unwrap()), Err(Refusal::Share(11)));
    let all = more.promote(None, Share::ALL).unwrap();
    assert_eq!((current(&all), all.candidate()), (Some((2, "b")), None));
    assert_eq!(all.stage(all.get(1).unwrap()), Stage::Past);
    let (dropped, restored) = back(&two);
    assert_eq!((wants(&dropped), restored), ([1, 1], None));
    assert_eq!(dropped.stage(dropped.get(2).unwrap()), Stage::Dropped);
}

#[test]
fn where_none_is_for_all_the_others_have_their_own() {
    let candidate = Versions::default().publish(draft("a", 10), Some(0)).unwrap();
    assert_eq!(candidate.wanted(&name_at(11)), Some(Release::Own));
    assert!(matches!(candidate.wanted(&name_at(10)), Some(Release::Published { version: 1, .. })));
    let (dropped, _) = back(&candidate);
    assert_eq!(dropped.wanted(&name_at(10)), Some(Release::Own));
    assert_eq!(dropped.rollback(None, "ops", 8), Err(Refusal::First));
}

#[test]
fn a_new_candidate_takes_the_place_of_the_one_before() {
    let one = of(&["a"]).publish(draft("b", 10), None).unwrap();
    let two = one.publish(draft("c", 5), None).unwrap();
    assert_eq!(two.candidate().map(|it| it.number), Some(3));
    assert_eq!(two.stage(two.get(2).unwrap()), Stage::Dropped);
    let all = two.publish(draft("d", 100), Some(3)).unwrap();
    assert_eq!((current(&all), all.candidate()), (Some((4, "d")), None));
}

#[test]
fn going_back_is_a_new_version_and_goes_further_each_time() {
    let three = of(&["a", "b", "c"]);
    let (four, restored) = back(&three);
    assert_eq!((current(&four), restored), (Some((4, "b")), Some(2)));
    assert_eq!(four.current().unwrap().restores, Some(2));
    let (five, restored) = back(&four);
    assert_eq!((current(&five), restored), (Some((5, "a")), Some(1)));
    assert_eq!(five.rollback(None, "ops", 8), Err(Refusal::First));
    // What was published since is gone back from to what was served before it.
    let six = five.publish(draft("d", 100), None).unwrap();
    let (seven, restored) = back(&six);
    assert_eq!((current(&seven), restored), (Some((7, "a")), Some(5)));
    assert_eq!(seven.current().unwrap().restores, Some(1));
    // What never was current is nothing to go back to.
    let (dropped, _) = back(&seven.publish(draft("c", 1), None).unwrap());
    assert_eq!(dropped.rollback(None, "ops", 8), Err(Refusal::First));
}

#[test]
fn who_is_not_up_to_date_changes_nothing() {
    let two = of(&["a", "b"]);
    assert_eq!(two.publish(draft("c", 100), Some(1)), Err(Refusal::Meanwhile(2)));
    assert_eq!(two.promote(None, Share::ALL), Err(Refusal::NoCandidate));
    assert_eq!(two.rollback(Some(1), "ops", 8), Err(Refusal::Current(2)));
    let candidate = two.publish(draft("c", 10), Some(2)).unwrap();
    assert_eq!(candidate.promote(Some(2), Share::ALL), Err(Refusal::Candidate(3)));
    assert_eq!(candidate.rollback(Some(2), "ops", 8), Err(Refusal::Candidate(3)));
    assert!(candidate.rollback(Some(3), "ops", 8).is_ok());
}

#[test]
fn the_oldest_go_but_those_that_are_needed() {
    let mut versions = of(&["a", "b"]);
    for _ in 0..6 {
        versions = versions.publish(draft("c", 10), None).unwrap().pruned(4);
    }
    let numbers: Vec<_> = versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [1, 2, 7, 8]);
    let (dropped, _) = back(&versions);
    let (restored, _) = back(&dropped);
    let restored = restored.pruned(4);
    assert_eq!(current(&restored), Some((9, "a")));
    let numbers: Vec<_> = restored.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [2, 7, 8, 9]);
    assert_eq!(restored.rollback(None, "ops", 8), Err(Refusal::First));
}

#[test]
fn what_is_written_is_read() {
    let one = of(&["a", "b"]);
    let candidate = one.publish(draft("c", 10), None).unwrap();
    for versions in [Versions::default(), one, back(&of(&["a", "b"])).0, candidate.clone()] {
        assert_eq!(Versions::from_lines(&versions.to_lines()), Some(versions));
    }
    let lines = candidate.to_lines();
    let unordered: Vec<_> = lines.lines().take(1).chain(lines.lines().skip(1)).collect();
    let swapped = [unordered[0], unordered[2], unordered[1], unordered[3]].join("\n");
    let unnamed = [unordered[0], unordered[1], unordered[3]].join("\n");
    for lines in ["", "x", "{}\nx", &swapped, &unnamed] {
        assert_eq!(Versions::from_lines(lines), None, "{lines}");
    }
}
