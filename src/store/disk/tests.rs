//! The tier as its users see it, over a real directory.

mod cold;
mod damage;
mod driver;
mod faults;
mod files;
mod offered;
mod start;
mod tier;

use std::path::Path;

use bytes::Bytes;
use http::StatusCode;

use super::format::content_tag;
use super::*;
use crate::message::FieldBlock;
use crate::object::tests::target;
use crate::object::{ObjectHead, Sequence};
use crate::store::{Lookup, RuleBounds, Rules, Store, StoreLimits};

const MIB: u64 = 1 << 20;

impl KnownLog {
    /// Of a store beside which no journal stands.
    pub(crate) fn unkept(identity: u128) -> Self {
        Self { identity, keep: Box::new(|| Ok(())) }
    }
}

fn config(size: u64) -> DiskConfig {
    DiskConfig {
        size,
        queue: 64 * MIB,
        readers: 2,
        checkpoint: Duration::from_secs(3600),
        scrub: 0,
        errors: IntCounter::new("errors", "errors").unwrap(),
    }
}

fn open(path: &Path, size: u64) -> Disk {
    let disk = start(path, size, 1).unwrap();
    // The writer answers once it has recovered.
    disk.flush();
    disk
}

fn start(path: &Path, size: u64, log: u128) -> Result<Disk, OpenError> {
    Disk::open(Directory::open(path)?, &config(size), KnownLog::unkept(log), Box::new(|_| false))
}

fn key(n: u64) -> CacheKey {
    CacheKey::new(0, b"host", format!("/{n}").as_bytes(), None, b"")
}

fn response(body: &[u8], number: u64) -> Arc<Stored> {
    let lines = format!("x-number: {number}\r\n");
    let block = FieldBlock::from_lines(lines.into_bytes().into());
    let sequence = Sequence { number };
    let (status, target) = (StatusCode::OK, target("/x"));
    let head = ObjectHead::new(status, Default::default(), sequence, &block, None, &target);
    Arc::new(Stored::new(&head, &[Bytes::copy_from_slice(body)]))
}

/// Bytes that differ with `seed`, and compress badly.
fn body(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// What is stored under `key`: the number of its head, and its body.
fn read(disk: &Disk, key: CacheKey) -> Option<(u64, Vec<u8>)> {
    match disk.shared.find_blocking(key) {
        Found::Here(Item::Response(stored), _) => {
            let number = stored.head.sequence.number;
            assert_eq!(stored.head.block().get("x-number"), Some(number.to_string().as_bytes()));
            Some((number, stored.pieces(0, stored.len()).flatten().collect()))
        }
        Found::Here(Item::Varies(..), _) => panic!("not a response"),
        Found::Cold => panic!("a thread that may block finds nothing cold"),
        Found::Nothing => None,
    }
}

#[test]
fn what_is_stored_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let bodies: Vec<_> = [0, 1, 100, 70_000, 3_000_000].map(|length| body(7, length)).into();
    let disk = open(folder.path(), 64 * MIB);
    for (n, body) in bodies.iter().enumerate() {
        disk.offer(key(n as u64), &response(body, n as u64));
    }
    let spec = VarySpec::parse([&b"accept-encoding"[..]]);
    disk.offer_varies(key(99), &spec, 5);
    disk.flush();
    let mut disk = Some(disk);
    for start in 0..3 {
        let now = disk.take().unwrap_or_else(|| open(folder.path(), 64 * MIB));
        for (n, body) in bodies.iter().enumerate() {
            assert!(read(&now, key(n as u64)) == Some((n as u64, body.clone())), "{start} {n}");
        }
        assert_eq!(now.figures().objects, 6);
        let varies = now.shared.find_blocking(key(99));
        assert!(matches!(varies, Found::Here(Item::Varies(found, 5), _) if found == spec));
    }
}

#[test]
fn equal_bodies_are_stored_once_and_freed_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    let same = body(1, 100_000);
    let content = content_tag(blake3::hash(&same).as_bytes());
    for n in 0..50 {
        disk.offer(key(n), &response(&same, n));
    }
    disk.flush();
    assert!(disk.figures().bytes < 200_000, "{}", disk.figures().bytes);
    for n in 0..49 {
        disk.remove(key(n));
    }
    disk.flush();
    assert_eq!(read(&disk, key(49)), Some((49, same.clone())));
    assert!(disk.shared.index.peek(content).is_some());
    drop(disk);
    let disk = open(folder.path(), 64 * MIB);
    assert_eq!(read(&disk, key(49)), Some((49, same)));
    assert_eq!(read(&disk, key(0)), None);
    disk.remove(key(49));
    disk.flush();
    assert!(disk.shared.index.peek(content).is_none());
    assert!(disk.figures().bytes < 10_000, "{}", disk.figures().bytes);
}

#[test]
fn the_newest_of_a_key_is_found_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    for number in 1..=5 {
        disk.offer(key(0), &response(&body(number, 1000), number));
        assert!(read(&disk, key(0)).is_none_or(|(found, _)| found == number));
    }
    disk.offer(key(1), &response(b"gone", 1));
    disk.remove(key(1));
    assert_eq!(read(&disk, key(1)), None);
    drop(disk);
    let disk = open(folder.path(), 64 * MIB);
    assert_eq!(read(&disk, key(0)), Some((5, body(5, 1000))));
    assert_eq!(read(&disk, key(1)), None);
}

#[test]
fn what_waits_for_the_writer_is_found() {
    let folder = tier::format();
    let mut tier = tier::Tier::open(folder.path(), 8 * tier::SEGMENT);
    let number = |tier: &tier::Tier| tier.disk.waiting(key(0)).map(|it| it.head.sequence.number);
    tier.disk.offer(key(0), &response(b"one", 1));
    assert_eq!((number(&tier), read(&tier.disk, key(0))), (Some(1), None));
    tier.disk.offer(key(0), &response(b"two", 2));
    assert_eq!(number(&tier), Some(2), "the newest");
    tier.perform(1);
    assert_eq!(number(&tier), Some(2), "what is outdated was not written");
    tier.perform(1);
    assert_eq!((number(&tier), read(&tier.disk, key(0))), (None, Some((2, b"two".to_vec()))));
    tier.disk.offer(key(0), &response(b"three", 3));
    tier.disk.remove(key(0));
    assert_eq!((number(&tier), read(&tier.disk, key(0))), (None, None));
    // More than the queue takes.
    let refused = tier.disk.figures().refused;
    tier.disk.offer(key(0), &response(&body(1, 4 * tier::SEGMENT as usize), 4));
    assert_eq!(tier.disk.figures().refused, refused + 1);
    assert_eq!(number(&tier), None);
    assert!(tier.disk.waiting(key(1)).is_none());
}

#[test]
fn a_tier_that_ends_late_drops_what_waits_and_brings_back_nothing_older() {
    let folder = tier::format();
    let mut tier = tier::Tier::open(folder.path(), 8 * tier::SEGMENT);
    tier.disk.offer(key(0), &response(b"one", 1));
    tier.disk.offer(key(1), &response(b"kept", 1));
    tier.perform(2);
    tier.disk.offer(key(0), &response(b"two", 2));
    tier.disk.shared.deadline.set(Instant::now()).unwrap();
    tier.close();
    let tier = tier::Tier::open(folder.path(), 8 * tier::SEGMENT);
    assert_eq!(read(&tier.disk, key(0)), None);
    assert_eq!(read(&tier.disk, key(1)), Some((1, b"kept".to_vec())));
}

#[test]
fn a_large_body_under_a_fresh_head_is_never_missing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    let rules = RuleBounds { rules: 1, wildcards: 1 };
    let limits = StoreLimits { memory: MIB, variants: 1, rules };
    let store =
        Store::open(limits, Rules::new(rules), directory, &config(64 * MIB), KnownLog::unkept(1))
            .unwrap();
    let whole = body(1, 300_000);
    store.insert(key(0), None, response(&whole, 0));
    store.flush();
    store.memory.remove(key(0));
    for number in 1..50 {
        let Lookup::Found(_, found) = store.lookup(key(0), |_, _| ()) else {
            panic!("number {number} is missing")
        };
        assert!(found.pieces(0, found.len()).flatten().eq(whole.iter().copied()));
        assert_eq!(found.head.sequence.number, number - 1);
        let fresh = found.under(&response(b"", number).head);
        assert!(fresh.is_mapped());
        store.insert(key(0), None, Arc::new(fresh));
    }
}

#[test]
fn the_oldest_make_room_and_what_is_used_stays() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    let hot = body(1_000_000, 50_000);
    disk.offer(key(1_000_000), &response(&hot, 1));
    for n in 0..400 {
        // Twice: on a full disk only what was offered before is stored.
        for _ in 0..2 {
            disk.offer(key(n), &response(&body(n, 500_000), n));
        }
        disk.flush();
        assert!(read(&disk, key(1_000_000)).is_some_and(|(_, found)| found == hot), "{n}");
        let files = disk.shared.segments.on_disk() as u64 * disk.shared.segment;
        assert!(files <= 64 * MIB);
    }
    assert_eq!(read(&disk, key(0)), None);
    assert_eq!(read(&disk, key(399)), Some((399, body(399, 500_000))));
    assert!(disk.figures().evictions > 200);
    assert!(disk.figures().bytes <= 64 * MIB);
}

/// On a disk, for in memory nothing is ever cold.
#[test]
fn what_is_not_in_the_page_cache_is_left_to_threads_that_may_wait() {
    let beside = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(beside.parent().unwrap()).unwrap();
    let disk = open(folder.path(), 64 * MIB);
    disk.offer(key(0), &response(&body(1, 300_000), 1));
    disk.flush();
    let segment = disk.shared.segments.all().pop().unwrap();
    segment.sync().unwrap();
    rustix::fs::fadvise(&*segment, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    assert!(matches!(disk.find(key(0)), Found::Cold));
    assert_eq!(read(&disk, key(0)), Some((1, body(1, 300_000))));
    assert!(matches!(disk.find(key(0)), Found::Here(Item::Response(_), _)));
}

#[test]
fn room_is_told_as_people_count_it() {
    let cases = [(63_476 << 20, "61GiB"), ((9 << 40) + (5 << 30), "9221GiB"), (33 << 40, "33TiB")];
    for (bytes, shown) in cases.into_iter().chain([((20 << 20) + 5, "20MiB"), (7, "0B")]) {
        assert_eq!(rounded(bytes).to_string(), shown);
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _disk = open(folder.path(), 64 * MIB);
    let error = Directory::open(folder.path()).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("in use by another node"), "{told}");
    assert!(told.contains(&std::process::id().to_string()), "{told}");
    std::fs::remove_file(folder.path().join("lock")).unwrap();
    let told = Directory::open(folder.path()).unwrap_err().to_string();
    assert!(told.contains("in use by another node: each"), "{told}");
}

#[test]
fn a_store_of_another_log_or_format_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let stored = |log| {
        let disk = start(folder.path(), 64 * MIB, log).unwrap();
        disk.flush();
        let found = read(&disk, key(0)).is_some();
        disk.offer(key(0), &response(b"body", 1));
        disk.flush();
        found
    };
    assert!(!stored(1));
    assert!(stored(1));
    assert!(!stored(2), "the purges of another log");
    assert!(stored(2));
    let name = folder.path().join("store");
    let mut bytes = std::fs::read(&name).unwrap();
    bytes[8] ^= 1;
    std::fs::write(&name, bytes).unwrap();
    assert!(!stored(2), "another version of the format");
}
