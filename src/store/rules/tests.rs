//! What rules cover, and what becomes of them when there are too many.

use super::*;
use crate::message::FieldBlock;
use crate::object::tests::target;
use crate::object::{Coverage, PurgeUrl, Subject, UrlWildcard};

const BOUNDS: RuleBounds = RuleBounds { rules: 9, wildcards: 3 };

fn on(site: &str, covers: Coverage) -> PurgeRule {
    PurgeRule { site: Some(SiteKey::new(site)), covers }
}

fn url(path: &str) -> PurgeRule {
    on("s", Coverage::Url(target(path).any_query()))
}

fn tag(name: &str) -> Coverage {
    Coverage::Tag(TagKey::new(name.as_bytes()))
}

fn state(rules: &Rules, since: u64, path: &str) -> PurgeState {
    rules.url_state_since(Sequence { number: since }, &target(path))
}

fn tagged(rules: &Rules, since: u64, path: &str, tags: &[&str]) -> PurgeState {
    let tags = || tags.iter().map(|tag| TagKey::new(tag.as_bytes()));
    rules.state_since(since, &target(path), tags)
}

fn head(sequence: u64, path: &str, tags: &str) -> ObjectHead {
    let lines = format!("surrogate-key: {tags}\r\n");
    let withheld = Some(Box::new(FieldBlock::from_lines(lines.into_bytes().into())));
    let sequence = Sequence { number: sequence };
    let (status, fresh) = Default::default();
    ObjectHead::new(status, fresh, sequence, &FieldBlock::default(), withheld, &target(path))
}

#[test]
fn a_rule_covers_what_was_fetched_before_it() {
    let rules = Rules::new(BOUNDS);
    assert_eq!(state(&rules, 0, "/a"), PurgeState::Clean);
    rules.publish(Some(&url("/a")), PurgeKind::Hard, 1);
    assert_eq!(rules.head(), Sequence { number: 1 });
    assert_eq!(state(&rules, 0, "/a"), PurgeState::Hard);
    assert_eq!(state(&rules, 1, "/a"), PurgeState::Clean);
    assert_eq!(state(&rules, 0, "/b"), PurgeState::Clean);
}

#[test]
fn each_kind_covers_its_own() {
    let wildcard = |url| UrlWildcard::new(&PurgeUrl::wildcard(url).unwrap());
    let exact = Coverage::Url(TargetUri { query: Some("q"), ..target("/img/a.jpg") }.exact());
    let cases = [
        (on("s", Coverage::Whole), true),
        (PurgeRule { site: None, covers: Coverage::Whole }, true),
        (on("other", Coverage::Whole), false),
        (on("s", exact), true),
        (on("s", Coverage::Url(target("/img/a.jpg").exact())), false),
        (on("s", Coverage::Prefix("h/img/".into())), true),
        (on("s", Coverage::Prefix("h/img/a.jpg?q".into())), true),
        (on("s", Coverage::Prefix("h/img/b".into())), false),
        (on("s", Coverage::Wildcard(wildcard("https://h/*.jpg"))), true),
        (PurgeRule { site: None, covers: Coverage::Wildcard(wildcard("https://*/img/*")) }, true),
        (on("s", Coverage::Wildcard(wildcard("https://h/*.png"))), false),
        (on("s", tag("p42")), true),
        (PurgeRule { site: None, covers: tag("p42") }, true),
        (on("other", tag("p42")), false),
        (on("s", tag("p43")), false),
    ];
    for (rule, covers) in cases {
        let rules = Rules::new(BOUNDS);
        rules.publish(Some(&rule), PurgeKind::Hard, 1);
        let found =
            rules.state_since(0, &TargetUri { query: Some("q"), ..target("/img/a.jpg") }, || {
                ["a", "p42"].iter().map(|tag| TagKey::new(tag.as_bytes()))
            });
        let expected = if covers { PurgeState::Hard } else { PurgeState::Clean };
        assert_eq!(found, expected, "{rule:?}");
        let tags = ["a", "p42"].iter().map(|tag| TagKey::new(tag.as_bytes()));
        let subject = Subject::new(TargetUri { query: Some("q"), ..target("/img/a.jpg") }, tags);
        assert_eq!(subject.is_covered_by(&rule), covers, "tried by itself: {rule:?}");
    }
}

#[test]
fn a_soft_rule_never_hides_a_hard_one() {
    let rules = Rules::new(BOUNDS);
    rules.publish(Some(&url("/a")), PurgeKind::Hard, 1);
    rules.publish(Some(&on("s", tag("t"))), PurgeKind::Soft, 2);
    assert_eq!(tagged(&rules, 0, "/a", &["t"]), PurgeState::Hard);
    assert_eq!(tagged(&rules, 1, "/a", &["t"]), PurgeState::Soft);
}

#[test]
fn what_was_judged_is_judged_once() {
    let rules = Rules::new(BOUNDS);
    let stored = head(1, "/a", "t");
    rules.publish(Some(&url("/b")), PurgeKind::Hard, 2);
    assert_eq!(rules.judge(&stored), PurgeState::Clean);
    assert_eq!(stored.checked(), 2);
    rules.publish(Some(&on("s", tag("t"))), PurgeKind::Soft, 3);
    assert_eq!(rules.judge(&stored), PurgeState::Soft);
    rules.publish(None, PurgeKind::Hard, 4);
    assert_eq!((rules.judge(&stored), stored.checked()), (PurgeState::Soft, 2));
    rules.publish(Some(&on("s", Coverage::Prefix("h/".into()))), PurgeKind::Hard, 5);
    assert_eq!(rules.judge(&stored), PurgeState::Hard);
    assert_eq!(rules.judge(&head(5, "/a", "t")), PurgeState::Clean);
}

#[test]
fn behind_a_fence_everything_is_perhaps_purged() {
    let rules = Rules::new(BOUNDS);
    let (kept, gone) = (head(0, "/a", ""), head(0, "/b", ""));
    rules.publish(Some(&url("/b")), PurgeKind::Hard, 1);
    rules.fence(true);
    assert_eq!((rules.is_fenced(), rules.head().number), (true, 1));
    assert_eq!(rules.judge(&kept), PurgeState::Possibly);
    assert_eq!(rules.judge(&head(1, "/c", "")), PurgeState::Possibly);
    assert_eq!(rules.judge(&gone), PurgeState::Hard);
    rules.publish(Some(&url("/c")), PurgeKind::Hard, 2);
    assert!(rules.is_fenced());
    rules.fence(false);
    assert_eq!((rules.judge(&kept), rules.head().number), (PurgeState::Clean, 2));
}

#[test]
fn what_a_foreign_log_may_have_purged_is_perhaps_purged() {
    let rules = Rules::new(BOUNDS);
    rules.distrust(7);
    assert_eq!(rules.judge(&head(6, "/a", "")), PurgeState::Possibly);
    assert_eq!(rules.judge(&head(7, "/a", "")), PurgeState::Clean);
}

#[test]
fn a_full_table_gives_up_the_oldest_and_purges_no_less() {
    let rules = Rules::new(RuleBounds { rules: 4, wildcards: 9 });
    for number in 1..=4 {
        let kind = if number == 1 { PurgeKind::Hard } else { PurgeKind::Soft };
        rules.publish(Some(&url(&format!("/{number}"))), kind, number);
    }
    assert_eq!(state(&rules, 0, "/other"), PurgeState::Clean);
    rules.publish(Some(&on("other", tag("t"))), PurgeKind::Soft, 5);
    // Of four rules the first two made room.
    assert_eq!(state(&rules, 0, "/other"), PurgeState::Hard);
    assert_eq!(state(&rules, 1, "/other"), PurgeState::Soft);
    assert_eq!(state(&rules, 2, "/other"), PurgeState::Clean);
    assert_eq!(state(&rules, 2, "/3"), PurgeState::Soft);
    assert_eq!(state(&rules, 3, "/4"), PurgeState::Soft);
}

#[test]
fn too_many_wildcards_give_up_their_oldest() {
    let rules = Rules::new(BOUNDS);
    for number in 1..=4 {
        let url = PurgeUrl::wildcard(&format!("https://h/{number}*")).unwrap();
        let rule = on("s", Coverage::Wildcard(UrlWildcard::new(&url)));
        rules.publish(Some(&rule), PurgeKind::Hard, number);
    }
    assert_eq!(state(&rules, 0, "/other"), PurgeState::Hard);
    assert_eq!(state(&rules, 1, "/other"), PurgeState::Clean);
    assert_eq!(state(&rules, 3, "/4x"), PurgeState::Hard);
}

#[test]
fn what_a_snapshot_holds_is_restored() {
    let rules = Rules::new(BOUNDS);
    let wildcard = UrlWildcard::new(&PurgeUrl::wildcard("https://h/w*").unwrap());
    let all = [
        url("/a"),
        on("s", tag("t")),
        on("s", Coverage::Prefix("h/p".into())),
        on("s", Coverage::Wildcard(wildcard)),
        on("other", Coverage::Whole),
        PurgeRule { site: None, covers: tag("everywhere") },
    ];
    for (number, rule) in (1..).zip(&all) {
        let kind = if number % 2 == 0 { PurgeKind::Soft } else { PurgeKind::Hard };
        rules.publish(Some(rule), kind, number);
    }
    let (position, kept) = rules.snapshot();
    assert_eq!((position, kept.len()), (6, all.len()));
    let restored = Rules::new(BOUNDS);
    restored.restore(position, kept);
    assert_eq!(restored.head(), rules.head());
    for rules in [&rules, &restored] {
        assert_eq!(state(rules, 0, "/a"), PurgeState::Hard);
        assert_eq!(tagged(rules, 1, "/x", &["t"]), PurgeState::Soft);
        assert_eq!(state(rules, 2, "/p/q"), PurgeState::Hard);
        assert_eq!(state(rules, 3, "/w1"), PurgeState::Soft);
        assert_eq!(tagged(rules, 5, "/x", &["everywhere"]), PurgeState::Soft);
        assert_eq!(tagged(rules, 0, "/x", &["other"]), PurgeState::Clean);
    }
}
