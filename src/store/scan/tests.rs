//! What is told and what is freed, in each tier and in both.

use http::StatusCode;

use super::*;
use crate::object::tests::target;
use crate::object::{Coverage, PurgeKind, Slices, Stored, TagKey};
use crate::store::tests::{LIMITS, key, on_disk, spec};
use crate::store::{Lookup, Store, StoreLimits};

const LINES: &str = "surrogate-key: ";
const BODY: &str = "a body";

/// A head for `path` that is stored with one tag.
fn head(status: StatusCode, path: &str, tag: &str) -> ObjectHead {
    let mut line = Vec::new();
    crate::message::push_field(&mut line, "surrogate-key", tag.as_bytes());
    let tags = crate::message::FieldBlock::from_lines(line.into());
    let (fresh, sequence, block) = Default::default();
    ObjectHead::new(status, fresh, sequence, &block, Some(Box::new(tags)), &target(path))
}

fn put(store: &Store, path: &str, tag: &str) {
    let head = head(StatusCode::OK, path, tag);
    store.insert(key(path), None, Stored::new(&head, &[BODY.into()]).into());
}

/// Bytes that one of them is told to have.
fn size(tag: &str) -> u64 {
    (LINES.len() + tag.len() + "\r\n".len() + BODY.len()) as u64
}

fn is_found(store: &Store, path: &str) -> bool {
    !matches!(store.lookup(key(path), |_, _| {}), Lookup::Missing(_))
}

fn by_tag(tag: &str) -> PurgeRule {
    PurgeRule { site: None, covers: Coverage::Tag(TagKey::new(tag.as_bytes())) }
}

fn by_path(path: &str) -> PurgeRule {
    let target = target(path);
    PurgeRule { site: Some(target.site), covers: Coverage::Url(target.any_query()) }
}

fn survey(store: &Store, rules: &[PurgeRule]) -> Survey {
    store.survey(rules, u64::MAX, &|| true)
}

fn tallies(objects: &[u64]) -> Vec<Tally> {
    let tally = |&objects| Tally { objects, bytes: objects * size("x") };
    objects.iter().map(tally).collect()
}

/// What is freed in memory, and what on disk.
fn freely(store: &Store) -> (Tally, Tally) {
    let (mut in_memory, mut on_disk) = Default::default();
    let walked = store.free_memory(&mut |_, freed| {
        in_memory += freed;
        Continue(())
    });
    assert!(walked.is_continue());
    let walked = store.free_disk(&mut |_, freed| {
        on_disk += freed;
        Continue(())
    });
    assert!(walked.is_continue());
    (in_memory, on_disk)
}

#[test]
fn a_survey_tells_what_each_rule_would_hit_and_changes_nothing() {
    let store = Store::new(LIMITS);
    for n in 0..40 {
        put(&store, &format!("/{n}"), if n % 4 == 0 { "a" } else { "b" });
    }
    store.announce(key("/varies"), &spec("accept"));
    let rules = [by_tag("a"), by_tag("b"), by_path("/7"), by_tag("none")];
    let told = survey(&store, &rules);
    assert_eq!(told, Survey { hits: tallies(&[10, 30, 1, 0]), is_estimate: false });
    assert_eq!(store.rules().head().number, 0);
    // What is gone already is hit by nothing more; what is stale is.
    store.rules().publish(Some(&by_path("/7")), PurgeKind::Hard, 1);
    store.rules().publish(Some(&by_path("/8")), PurgeKind::Soft, 2);
    assert_eq!(survey(&store, &rules).hits, tallies(&[10, 29, 0, 0]));
}

#[test]
fn slices_are_bytes_and_their_whole_is_one_object() {
    let store = Store::new(LIMITS);
    let slices = Slices { total: 12, size: 6, generation: 7 };
    let whole = Stored::sliced(&head(StatusCode::OK, "/film", "a"), slices);
    store.insert(key("/film"), None, whole.into());
    for number in 0..2 {
        let slice = Stored::new(&head(StatusCode::PARTIAL_CONTENT, "/film", "a"), &[BODY.into()]);
        store.insert(slices.key(key("/film"), number), None, slice.into());
    }
    let bytes = 3 * size("a") - BODY.len() as u64;
    let expected = Tally { objects: 1, bytes };
    assert_eq!(survey(&store, &[by_path("/film")]).hits, [expected]);
    store.rules().publish(Some(&by_path("/film")), PurgeKind::Hard, 1);
    assert_eq!(freely(&store).0, expected);
}

#[test]
fn where_there_is_too_much_a_survey_estimates() {
    let store = Store::new(StoreLimits { memory: 16 << 20, ..LIMITS });
    for n in 0..8000 {
        put(&store, &format!("/{n}"), if n % 4 == 0 { "a" } else { "b" });
    }
    let looked_at = |looks_max, goes_on: &dyn Fn() -> bool| {
        let Survey { hits, is_estimate } =
            store.survey(&[by_tag("a"), by_tag("b")], looks_max, goes_on);
        (is_estimate, hits[0].objects, hits[1].objects)
    };
    assert_eq!(looked_at(8000, &|| true), (false, 2000, 6000));
    for told in [looked_at(1000, &|| true), looked_at(9999, &|| false)] {
        let (is_estimate, a, b) = told;
        assert!(is_estimate && (1000..3000).contains(&a) && (5000..7000).contains(&b), "{told:?}");
        assert!((7990..=8000).contains(&(a + b)), "{told:?}");
    }
}

#[test]
fn what_both_tiers_hold_is_told_once_and_freed_in_both() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    for n in 0..60 {
        put(&store, &format!("/{n}"), if n % 3 == 0 { "a" } else { "b" });
    }
    store.flush();
    // Of each third some are on disk alone, and some in memory alone.
    for n in 0..30 {
        store.memory.remove(key(&format!("/{n}")));
    }
    let disk = store.disk.as_ref().unwrap();
    for n in 30..45 {
        disk.remove(key(&format!("/{n}")));
    }
    let rules = [by_tag("a"), by_tag("b"), by_tag("none")];
    assert_eq!(survey(&store, &rules), Survey { hits: tallies(&[20, 40, 0]), is_estimate: false });
    let (is_estimate, hits) = {
        let told = store.survey(&rules, 10, &|| true);
        (told.is_estimate, told.hits)
    };
    assert!(is_estimate && hits[2].objects == 0, "{hits:?}");
    store.rules().publish(Some(&by_tag("a")), PurgeKind::Hard, 1);
    store.rules().publish(Some(&by_tag("b")), PurgeKind::Soft, 2);
    let freed = freely(&store);
    assert_eq!(freed, (tallies(&[10])[0], tallies(&[15])[0]));
    assert_eq!(store.memory_figures().objects, 20);
    assert_eq!(store.disk_figures().unwrap().objects, 30);
    assert_eq!((is_found(&store, "/0"), is_found(&store, "/1")), (false, true));
    assert_eq!(freely(&store), Default::default(), "nothing is left to free");
}

#[test]
fn soft_purges_free_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    put(&store, "/a", "a");
    store.flush();
    store.rules().publish(Some(&by_tag("a")), PurgeKind::Soft, 1);
    store.rules().distrust(2);
    assert_eq!(freely(&store), Default::default());
    assert!(is_found(&store, "/a"));
}

#[test]
fn a_body_that_others_need_outlives_what_is_freed_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    put(&store, "/a", "a");
    store.flush();
    // Of the same body: it refers to the first.
    put(&store, "/b", "b");
    store.flush();
    store.rules().publish(Some(&by_tag("a")), PurgeKind::Hard, 1);
    assert_eq!(freely(&store).1.objects, 1);
    store.flush();
    store.memory.remove(key("/b"));
    assert!(is_found(&store, "/b") && !is_found(&store, "/a"));
}

#[test]
fn what_was_freed_on_disk_is_covered_when_a_restart_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let publish = |store: &Store| store.rules().publish(Some(&by_tag("a")), PurgeKind::Hard, 1);
    let store = on_disk(folder.path());
    put(&store, "/a", "a");
    put(&store, "/b", "b");
    store.flush();
    publish(&store);
    assert_eq!(freely(&store).1.objects, 1);
    drop(store);
    let store = on_disk(folder.path());
    store.flush();
    publish(&store);
    // Found or not, it is never served.
    if let Lookup::Found(_, stored) = store.lookup(key("/a"), |_, _| {}) {
        assert_eq!(store.rules().judge(&stored.head), PurgeState::Hard);
    }
    assert!(is_found(&store, "/b"));
    freely(&store);
    assert!(!is_found(&store, "/a") && is_found(&store, "/b"));
}

#[test]
fn what_came_in_its_place_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    put(&store, "/a", "a");
    store.flush();
    let disk = store.disk.as_ref().unwrap();
    let place = disk.parts().flatten().next().unwrap();
    put(&store, "/a", "new");
    store.flush();
    assert!(!disk.drop_at(place));
    store.memory.remove(key("/a"));
    assert!(is_found(&store, "/a"));
}

#[test]
fn who_is_told_to_stop_stops() {
    let store = Store::new(LIMITS);
    for n in 0..600 {
        put(&store, &format!("/{n}"), "a");
    }
    store.rules().publish(Some(&by_tag("a")), PurgeKind::Hard, 1);
    let mut told = Vec::new();
    let walked = store.free_memory(&mut |looks, freed| {
        told.push((looks, freed.objects));
        Break(())
    });
    assert_eq!((walked, told), (Break(()), vec![(BATCH as u64, BATCH as u64)]));
    assert_eq!(store.memory_figures().objects, 600 - BATCH as u64);
}
