//! Look-ups, variants and their bound, removal. Rules have their own tests.

use http::StatusCode;

use super::*;
use crate::object::tests::target;
use crate::object::{ObjectHead, Sequence};

const RULES: RuleBounds = RuleBounds { rules: 8, wildcards: 8 };
pub(super) const LIMITS: StoreLimits = StoreLimits { memory: 1 << 20, variants: 3, rules: RULES };

pub(super) fn key(path: &str) -> CacheKey {
    CacheKey::new(0, b"h", path.as_bytes(), None, b"")
}

pub(super) fn spec(names: &str) -> VarySpec {
    VarySpec::parse([names.as_bytes()])
}

fn variant(names: &str, selection: &str) -> Variant {
    Variant { spec: spec(names), selection: selection.as_bytes().into() }
}

fn stored(sequence: u64, body: &'static str) -> Arc<Stored> {
    let sequence = Sequence { number: sequence };
    let (block, fresh) = Default::default();
    let head = ObjectHead::new(StatusCode::OK, fresh, sequence, &block, None, &target("/a"));
    Arc::new(Stored::new(&head, &[body.into()]))
}

/// The body found by a request whose selecting fields are `selection`.
fn found(store: &Store, path: &str, selection: &str) -> Option<String> {
    let select = |_: &VarySpec, out: &mut Selection| out.extend_from_slice(selection.as_bytes());
    match store.lookup(key(path), select) {
        Lookup::Found(_, stored) => {
            let body: Vec<u8> = stored.pieces(0, stored.len()).flatten().collect();
            Some(String::from_utf8(body).unwrap())
        }
        Lookup::Cold(_) | Lookup::Missing(_) => None,
    }
}

#[test]
fn what_is_stored_is_found_until_removed() {
    let store = Store::new(LIMITS);
    assert_eq!(found(&store, "/a", ""), None);
    store.insert(key("/a"), None, stored(0, "one"));
    assert_eq!(found(&store, "/a", "any"), Some("one".into()));
    store.insert(key("/a"), None, stored(0, "two"));
    assert_eq!(found(&store, "/a", ""), Some("two".into()));
    store.remove(key("/a"));
    assert_eq!(found(&store, "/a", ""), None);
}

#[test]
fn variants_are_told_apart_and_removed_together() {
    let store = Store::new(LIMITS);
    store.insert(key("/a"), Some(&variant("accept", "x")), stored(0, "x"));
    store.insert(key("/a"), Some(&variant("accept", "y")), stored(0, "y"));
    assert_eq!(found(&store, "/a", "x"), Some("x".into()));
    assert_eq!(found(&store, "/a", "y"), Some("y".into()));
    assert_eq!(found(&store, "/a", "z"), None);
    store.remove(key("/a"));
    assert_eq!(found(&store, "/a", "x"), None);
    assert_eq!(store.memory_figures().objects, 0, "the variants went with their index");
}

#[test]
fn what_else_a_site_keys_by_is_told_apart_and_goes_with_its_url() {
    let store = Store::new(LIMITS);
    let keyed = |extra: &str| PrimaryKey {
        url: key("/a"),
        own: CacheKey::new(0, b"h", b"/a", None, extra.as_bytes()),
    };
    let is_there = |extra: &str, selection: &str| {
        let select =
            |_: &VarySpec, out: &mut Selection| out.extend_from_slice(selection.as_bytes());
        matches!(store.lookup(keyed(extra), select), Lookup::Found(..))
    };
    let put = || {
        store.insert(keyed("1"), None, stored(0, "one"));
        for selection in ["x", "y"] {
            store.insert(keyed("2"), Some(&variant("accept", selection)), stored(0, "two"));
        }
        assert!(is_there("1", "") && is_there("2", "x") && is_there("2", "y"));
        assert!(!is_there("3", "") && !is_there("2", "z"));
    };
    put();
    assert!(found(&store, "/a", "").is_none(), "a URL without values is another key");
    store.remove(keyed("2"));
    store.remove(keyed("3"));
    assert!(is_there("1", "") && !is_there("2", "x") && !is_there("2", "y"));
    put();
    store.invalidate(key("/a"));
    assert!(!is_there("1", "") && !is_there("2", "x"));
    assert_eq!(store.memory_figures().objects, 0, "nothing is left of it");
    // Of more values than variants none loses its own, and none comes back.
    let values = ["1", "2", "3", "4", "5"];
    values.iter().for_each(|value| store.insert(keyed(value), None, stored(0, "x")));
    assert!(values.iter().all(|value| is_there(value, "")));
    store.invalidate(key("/a"));
    put();
    assert!(!values[2..].iter().any(|value| is_there(value, "")));
}

#[test]
fn an_announced_resource_keeps_its_variants() {
    let store = Store::new(LIMITS);
    store.announce(key("/a"), &spec("accept"));
    let Lookup::Missing(first) = store.lookup(key("/a"), |_, out| out.push(1)) else {
        panic!("found what is not stored")
    };
    assert_ne!(first, key("/a"));
    store.insert(key("/a"), Some(&variant("accept", "x")), stored(0, "x"));
    store.announce(key("/a"), &spec("accept"));
    assert_eq!(found(&store, "/a", "x"), Some("x".into()));
}

#[test]
fn another_choice_of_fields_gives_up_the_variants() {
    let store = Store::new(LIMITS);
    store.insert(key("/a"), Some(&variant("accept", "x")), stored(0, "x"));
    store.insert(key("/a"), Some(&variant("cookie", "x")), stored(0, "other"));
    assert_eq!(found(&store, "/a", "x"), Some("other".into()));
    store.insert(key("/a"), None, stored(0, "for all"));
    assert_eq!(found(&store, "/a", "x"), Some("for all".into()));
    assert_eq!(store.memory_figures().objects, 1);
}

#[test]
fn the_oldest_variant_makes_room() {
    let store = Store::new(LIMITS);
    for selection in ["1", "2", "3", "2", "4"] {
        store.insert(key("/a"), Some(&variant("accept", selection)), stored(0, "body"));
    }
    let there: Vec<_> =
        ["1", "2", "3", "4"].map(|selection| found(&store, "/a", selection).is_some()).into();
    assert_eq!(there, [false, true, true, true]);
}

#[test]
fn the_tier_stays_within_its_bytes() {
    let store = Store::new(StoreLimits { memory: 64 * 1024, ..LIMITS });
    let body: &'static str = "x".repeat(1024).leak();
    for n in 0..200 {
        store.insert(key(&n.to_string()), None, stored(0, body));
    }
    let figures = store.memory_figures();
    assert!(figures.bytes <= figures.capacity_bytes, "{figures:?}");
    assert!(figures.objects < 64 && figures.objects > 16, "{figures:?}");
}

pub(super) fn on_disk(folder: &std::path::Path) -> Store {
    let config = DiskConfig {
        size: 64 << 20,
        queue: 1 << 20,
        readers: 1,
        checkpoint: std::time::Duration::from_secs(3600),
        scrub: 0,
        errors: prometheus::IntCounter::new("errors", "errors").unwrap(),
    };
    let directory = CacheDirectory::open(folder).unwrap();
    Store::open(LIMITS, Rules::new(RULES), directory, &config, KnownLog::unkept(1)).unwrap()
}

#[test]
fn what_was_found_on_disk_does_not_come_back_once_it_is_removed_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    let disk = store.disk.as_ref().unwrap();
    let found_on_disk = |path: &str| {
        store.insert(key(path), None, stored(0, "old"));
        store.flush();
        // Used often, so that it is worth a place in memory.
        for _ in 0..8 {
            assert!(matches!(disk.find(key(path)), Found::Here(..) | Found::Cold));
        }
        store.memory.remove(key(path));
        loop {
            if let Found::Here(item, used) = disk.find(key(path)) {
                return (item, used);
            }
        }
    };
    // One of several uses takes it to memory.
    while !store.memory.holds(key("/kept")) {
        let (item, used) = found_on_disk("/kept");
        store.take_up(disk, key("/kept"), item, used);
    }
    let (item, used) = found_on_disk("/removed");
    store.remove(key("/removed"));
    store.take_up(disk, key("/removed"), item, used);
    assert_eq!(found(&store, "/removed", ""), None);
    let (item, used) = found_on_disk("/replaced");
    store.insert(key("/replaced"), None, stored(0, "new"));
    store.take_up(disk, key("/replaced"), item, used);
    assert_ne!(found(&store, "/replaced", ""), Some("old".into()));
    store.flush();
    assert_eq!(found(&store, "/replaced", ""), Some("new".into()));
}

#[tokio::test]
async fn a_glance_finds_what_is_there_and_is_no_use_of_what_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    let keyed = PrimaryKey { url: key("/a"), own: key("/a").variant(b"x") };
    store.insert(keyed, Some(&variant("accept", "x")), stored(0, "x"));
    store.insert(key("/b"), None, stored(0, "b"));
    let glance = async |primary: PrimaryKey| {
        store.glance(primary, |_: &VarySpec, out: &mut Selection| out.push(b'x')).await
    };
    for round in ["waiting, and in memory", "on disk"] {
        let Lookup::Found(_, found) = glance(keyed).await else { panic!("{round}") };
        assert_eq!(found.len(), 1, "{round}");
        assert!(matches!(glance(key("/b").into()).await, Lookup::Found(..)), "{round}");
        let other = PrimaryKey { own: key("/other"), ..keyed };
        assert!(matches!(glance(other).await, Lookup::Missing(_)), "{round}");
        store.flush();
        let resident = |key: &CacheKey| store.memory.holds(*key);
        let mut all = Vec::new();
        let _ = store.memory.walk(|key, _| {
            all.push(key);
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!(all.len(), if round == "on disk" { 0 } else { 4 });
        all.into_iter().for_each(|key| drop(store.memory.remove(key)));
        for _ in 0..20 {
            glance(key("/b").into()).await;
        }
        assert!(!resident(&key("/b")), "{round}");
    }
    let disk = store.disk.as_ref().unwrap();
    let Some((_, used)) = disk.bring_in(key("/b")).await else { panic!("it is gone") };
    assert!(!used.is_hot());
}

#[test]
fn an_object_in_slices_stays_so_however_often_it_is_found_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = on_disk(folder.path());
    let slices = crate::object::Slices { total: 1 << 40, size: 1 << 20, generation: 7 };
    let sliced = Stored::sliced(&stored(0, "").head, slices);
    store.insert(key("/film"), None, Arc::new(sliced));
    store.flush();
    store.memory.remove(key("/film"));
    for _ in 0..200 {
        if let At::Stored(found) = store.at(key("/film")) {
            assert_eq!(found.slices(), Some(slices));
            assert!(found.is_on_disk(), "whoever counts hits is told where it was");
        }
    }
}
