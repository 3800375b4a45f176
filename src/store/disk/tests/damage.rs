//! What the scrub and the verification find of what the disk has damaged.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::*;
use crate::store::disk::format::{self, Entry, Kind, TRAILER};
use crate::store::disk::location::Location;
use crate::store::disk::scrub::{has_any, round};
use crate::store::disk::segment::path_of;

/// Flips a bit of the file's byte at `offset`.
fn flip(path: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
}

fn find(disk: &Disk, key: CacheKey) -> Location {
    disk.shared.index.peek(tag_of(key)).unwrap()
}

/// Flips a bit of the last word of the body that stands under `key`; it is at least 128 bytes long.
fn flip_body(folder: &Path, disk: &Disk, key: CacheKey) {
    let location = find(disk, key);
    let segment = disk.shared.segments.get(location).unwrap();
    flip(&path_of(folder, segment.id), location.offset() + location.length() - 70);
}

fn errors(disk: &Disk) -> u64 {
    disk.shared.health.errors()
}

/// One round of the scrub, and the bytes that it has read.
fn scrub(disk: &Disk) -> u64 {
    let mut read = 0;
    let ended = round(&disk.shared, &mut |bytes| {
        read += bytes;
        std::ops::ControlFlow::Continue(())
    });
    assert!(ended.is_continue());
    read
}

#[test]
fn the_scrub_finds_damage_that_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    for n in 0..4 {
        disk.offer(key(n), &response(&body(n, 600_000), n));
    }
    disk.offer(key(4), &response(&body(0, 600_000), 4));
    disk.flush();
    let read = scrub(&disk);
    assert!((2_400_000..2_410_000).contains(&read), "each body once: {read}");
    assert_eq!((errors(&disk), disk.figures().objects), (0, 5));
    flip_body(folder.path(), &disk, key(2));
    scrub(&disk);
    assert_eq!((errors(&disk), disk.figures().objects), (1, 4));
    assert_eq!(read_all(&disk), [true, true, false, true, true]);
    // The head of a reference.
    let location = find(&disk, key(4));
    let segment = disk.shared.segments.get(location).unwrap();
    flip(&path_of(folder.path(), segment.id), location.offset() + 90);
    scrub(&disk);
    assert_eq!((errors(&disk), disk.figures().objects), (2, 3));
    assert_eq!(read_all(&disk), [true, true, false, true, false]);
}

fn read_all(disk: &Disk) -> Vec<bool> {
    (0..5).map(|n| read(disk, key(n)).is_some()).collect()
}

#[test]
fn what_the_scrub_has_read_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    for n in 0..4 {
        disk.offer(key(n), &response(&body(n, 600_000), n));
    }
    drop(disk);
    let disk = open(folder.path(), 64 * MIB);
    let verified = |n| find(&disk, key(n)).is_verified();
    assert!((0..4).all(|n| !verified(n)));
    scrub(&disk);
    assert!((0..4).all(verified));
    assert!((0..4).all(|n| find(&disk, key(n)).uses() == 0), "it is no use");
}

#[test]
fn the_scrub_runs_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    disk.offer(key(0), &response(&body(0, 600_000), 0));
    disk.offer(key(1), &response(&body(1, 600_000), 1));
    disk.flush();
    flip_body(folder.path(), &disk, key(0));
    drop(disk);
    let directory = Directory::open(folder.path()).unwrap();
    let config = DiskConfig { scrub: 1 << 40, ..config(64 * MIB) };
    let disk = Disk::open(directory, &config, KnownLog::unkept(1), Box::new(|_| false)).unwrap();
    while errors(&disk) == 0 || !find(&disk, key(1)).is_verified() {
        std::thread::yield_now();
    }
    assert_eq!(disk.figures().objects, 1);
}

/// Once it has begun, a round takes an hour at the least.
#[test]
fn the_scrub_waits_for_something_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    assert!(!has_any(&disk.shared));
    disk.offer(key(0), &response(b"body", 0));
    disk.flush();
    assert!(has_any(&disk.shared));
}

#[test]
fn a_scrub_that_waits_ends_with_the_tier() {
    let folder = tempfile::tempdir().unwrap();
    let config = DiskConfig { scrub: 1, ..config(64 * MIB) };
    let directory = Directory::open(folder.path()).unwrap();
    let disk = Disk::open(directory, &config, KnownLog::unkept(1), Box::new(|_| false)).unwrap();
    disk.offer(key(0), &response(&body(0, 600_000), 0));
    disk.flush();
    drop(disk);
    assert!(Directory::open(folder.path()).is_ok());
}

/// A store of a sealed segment and an open one, in the order of their ids.
fn two_segments(folder: &Path) -> [PathBuf; 2] {
    let disk = open(folder, 64 * MIB);
    for n in 0..4 {
        disk.offer(key(n), &response(&body(n, 3_000_000), n));
    }
    disk.offer(key(4), &response(&body(3, 3_000_000), 4));
    disk.offer(key(5), &response(&body(5, 100), 5));
    disk.flush();
    disk.remove(key(5));
    disk.flush();
    drop(disk);
    let ids = Directory::hold(folder).unwrap().segments().unwrap();
    assert_eq!(ids.len(), 2);
    [path_of(folder, ids[0]), path_of(folder, ids[1])]
}

fn verified(folder: &Path) -> StoreReport {
    verify(&Directory::hold(folder).unwrap(), &["purges"]).unwrap()
}

/// Where the segments are damaged: which of the two, and at which byte.
fn damage(folder: &Path) -> Vec<(usize, u64)> {
    let segments = verified(folder).segments.into_iter().enumerate();
    segments
        .flat_map(|(n, segment)| segment.damage.into_iter().map(move |d| (n, d.offset)))
        .collect()
}

/// Every file with its contents' digest.
fn files(folder: &Path) -> Vec<(PathBuf, blake3::Hash)> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.map(|path| (path.clone(), blake3::hash(&std::fs::read(path).unwrap()))).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[test]
fn a_sound_store_is_told_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    two_segments(folder.path());
    std::fs::write(folder.path().join("purges"), b"").unwrap();
    let before = files(folder.path());
    let report = verified(folder.path());
    assert!(report.is_sound() && report.unknown.is_empty(), "{report:?}");
    assert_eq!(report.segments.iter().map(|s| s.is_sealed).collect::<Vec<_>>(), [true, false]);
    let sums = report.sums();
    let counts = (sums.records, sums.bodies, sums.references, sums.dangling, sums.removals);
    assert_eq!(counts, (7, 5, 1, 0, 1));
    assert!(sums.bytes > 12_000_100);
    assert!(files(folder.path()) == before, "nothing is changed");
    // The first is no name that we give.
    let names = ["000000000000000A.segment", "notes"];
    names.iter().for_each(|name| std::fs::write(folder.path().join(name), b"").unwrap());
    std::fs::create_dir(folder.path().join("other")).unwrap();
    let report = verified(folder.path());
    assert!(report.is_sound());
    assert_eq!(report.unknown, [names[0], names[1], "other/"]);
}

#[test]
fn what_was_not_finished_is_told_and_swept() {
    let folder = tempfile::tempdir().unwrap();
    two_segments(folder.path());
    for name in ["store.new", "recency.new"] {
        std::fs::write(folder.path().join(name), b"half").unwrap();
    }
    let report = verified(folder.path());
    assert!(report.is_sound() && report.unknown.is_empty(), "{report:?}");
    assert_eq!(report.unfinished, ["store.new", "recency.new"]);
    drop(open(folder.path(), 64 * MIB));
    assert!(verified(folder.path()).unfinished.is_empty());
}

#[test]
fn a_directory_that_is_no_store_or_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = || Directory::hold(folder.path()).unwrap_err();
    assert!(matches!(refused(), OpenError::NoStore { .. }));
    assert!(!folder.path().join("lock").exists(), "nothing is made");
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(Directory::hold(&file).unwrap_err().to_string().ends_with("no cache: it is a file"));
    std::fs::remove_file(&file).unwrap();
    let disk = open(folder.path(), 64 * MIB);
    assert!(matches!(refused(), OpenError::InUse { .. }));
    drop(disk);
    let held = Directory::hold(folder.path()).unwrap();
    assert!(matches!(Directory::open(folder.path()), Err(OpenError::InUse { .. })));
    flip(&folder.path().join("store"), 20);
    assert!(matches!(verify(&held, &[]), Err(OpenError::NoStore { .. })));
}

#[test]
fn damage_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let [sealed, open] = two_segments(folder.path());
    let length = std::fs::metadata(&sealed).unwrap().len();
    let id = segment::id_of(sealed.file_name().unwrap().to_str().unwrap()).unwrap();
    let bytes = std::fs::read(&sealed).unwrap();
    let entries = format::entries_of(&bytes, id).unwrap();
    let second = u64::from(entries[1].at) * 64;
    let trailer = length - TRAILER as u64;
    let cases = [
        (&sealed, 3, vec![(0, 0)]),
        (&sealed, second + 20, vec![(0, second)]),
        (&sealed, second + 1_000_000, vec![(0, second)]),
        (&sealed, trailer + 30, vec![(0, trailer)]),
        (&open, 30, vec![(1, 0)]),
        (&open, 64 + 20, vec![(1, 64)]),
        (&open, 64 + 1_000_000, vec![(1, 64)]),
    ];
    for (path, offset, expected) in cases {
        flip(path, offset);
        assert_eq!(damage(folder.path()), expected, "{offset} of {}", path.display());
        flip(path, offset);
    }
    // Behind the last record, where one may have been torn.
    flip(&open, trailer - 4096);
    assert_eq!(damage(folder.path()), []);
    let beyond =
        Entry { key: 1, content: 0, at: (trailer / 64) as u32, units: 2, kind: Kind::Varies };
    let mut entries = entries;
    entries.push(beyond);
    let footer = format::footer(id, &entries);
    let file = File::options().write(true).open(&sealed).unwrap();
    file.write_all_at(&footer, length - footer.len() as u64).unwrap();
    assert_eq!(damage(folder.path()), [(0, trailer)], "a record past its segment");
    file.set_len(length - 1).unwrap();
    assert_eq!(damage(folder.path()), [(0, length - 1)], "a file cut short");
    std::fs::write(folder.path().join("recency"), b"?").unwrap();
    assert_eq!(verified(folder.path()).damage[0].0, "recency");
}

#[test]
fn a_reference_without_its_body_dangles() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    disk.offer(key(0), &response(&body(0, 3_000_000), 0));
    disk.offer(key(1), &response(&body(1, 3_000_000), 1));
    disk.offer(key(2), &response(&body(2, 3_000_000), 2));
    disk.offer(key(3), &response(&body(0, 3_000_000), 3));
    drop(disk);
    let oldest = verified(folder.path()).segments[0].id;
    std::fs::remove_file(path_of(folder.path(), oldest)).unwrap();
    let report = verified(folder.path());
    assert!(report.is_sound(), "reclaim leaves such");
    assert_eq!((report.sums().references, report.sums().dangling), (1, 1));
}
