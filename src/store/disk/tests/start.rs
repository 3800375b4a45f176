//! What a start finds: files that are not ours, records that are damaged, a disk that is of no use
//! yet.

use std::io;

use super::super::format::{Header, Kind, UNIT, tag_of};
use super::super::segment::path_of;
use super::tier::{SEGMENT, Tier, format, format_at};
use super::*;

const SIZE: u64 = 8 * SEGMENT;

fn offer(tier: &mut Tier, n: u64, length: usize) {
    tier.disk.offer(key(n), &response(&body(n, length), n));
}

fn is_found(tier: &Tier, n: u64, length: usize) -> bool {
    read(&tier.disk, key(n)).is_some_and(|found| found == (n, body(n, length)))
}

/// Changes the file of the first segment.
fn change(folder: &Path, change: impl FnOnce(&mut [u8])) {
    let path = path_of(folder, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn files_of_our_names_that_are_not_ours_are_left_alone() {
    const OTHERS: Others = &[("sites", b"title")];
    let ours = ["store", "lock", "recency", "store.new", "0000000000000001.segment"];
    for name in ours.into_iter().chain(["sites", "sites.new"]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, "a thesis").unwrap();
        let open = || Directory::open_among(folder.path(), OTHERS);
        let told = open().unwrap_err().to_string();
        assert!(told.contains(&format!("holds a file {name:?} that is none of a cache")), "{told}");
        assert_eq!(Directory::check(folder.path(), OTHERS).unwrap_err().to_string(), told);
        assert_eq!(std::fs::read(&path).unwrap(), b"a thesis");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is made");
        // In a folder that is ours otherwise, it is a file of ours that was damaged.
        std::fs::remove_file(&path).unwrap();
        drop(open().unwrap());
        let is_lock = name == "lock";
        if is_lock {
            format_at(folder.path());
        }
        std::fs::write(&path, "a thesis").unwrap();
        assert!(Directory::check(folder.path(), OTHERS).is_ok() && open().is_ok(), "{name}");
    }
    let told = Directory::open(Path::new("/proc/self/root")).unwrap_err().to_string();
    assert!(told.contains("is the root of all files: expected a folder"), "{told}");
    assert!(Directory::check(Path::new("/none/yet"), OTHERS).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let told = Directory::open(&{
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        path
    });
    assert!(told.unwrap_err().to_string().contains("is a file: expected a folder"));
}

#[test]
fn a_damaged_record_of_a_segment_that_is_written_costs_itself() {
    for flipped in [0, 8, 64, 72, 76, 78, 85] {
        let folder = format();
        let mut tier = Tier::open(folder.path(), SIZE);
        for n in 0..4 {
            offer(&mut tier, n, 5000);
        }
        tier.flush();
        let place = tier.disk.shared.index.peek(tag_of(key(1))).unwrap().offset();
        drop(tier);
        change(folder.path(), |bytes| bytes[place as usize + flipped] ^= 1);
        for _ in 0..2 {
            let mut tier = Tier::open(folder.path(), SIZE);
            assert_eq!(tier.disk.shared.health.errors(), 1, "byte {flipped}");
            let found = [0, 1, 2, 3].map(|n| is_found(&tier, n, 5000));
            assert_eq!(found, [true, false, true, true], "byte {flipped}");
            assert_eq!(tier.disk.shared.health.errors(), 1, "counted once");
            // What is written on stands behind them all.
            offer(&mut tier, 4, 5000);
            tier.flush();
            assert!(is_found(&tier, 4, 5000));
        }
    }
}

/// What a client may put into a body is no record, even where its own is damaged.
#[test]
fn a_body_like_a_record_is_none() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    let (forged_key, lie) = (key(99), b"a lie".to_vec());
    let header = |mark| Header {
        mark,
        key: forged_key.as_u128(),
        content: *blake3::hash(&lie).as_bytes(),
        body: lie.len() as u64,
        head: 0,
        kind: Kind::Response,
        epoch: 0,
    };
    // The segment's number is easily guessed, the store's is not.
    let forged = |shift: usize| {
        let mut body = vec![0; shift];
        body.extend_from_slice(&header(1).encode(&[]));
        body.extend_from_slice(&lie);
        body
    };
    let bodies: Vec<_> = (0..UNIT as usize).map(forged).collect();
    tier.disk.offer(key(0), &response(&bodies.concat(), 0));
    offer(&mut tier, 1, 100);
    tier.flush();
    let place = tier.disk.shared.index.peek(tag_of(key(0))).unwrap().offset();
    drop(tier);
    change(folder.path(), |bytes| bytes[place as usize + 9] ^= 1);
    let tier = Tier::open(folder.path(), SIZE);
    assert!(is_found(&tier, 1, 100));
    assert!(tier.disk.shared.index.peek(tag_of(forged_key)).is_none());
}

/// However long recovery takes, the node serves: as if nothing were stored.
#[test]
fn what_comes_before_recovery_has_ended_is_served_and_is_the_newest() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 0..3 {
        offer(&mut tier, n, 1000);
    }
    tier.flush();
    drop(tier);
    let directory = Directory::open(folder.path()).unwrap();
    let config = config(SIZE);
    let (disk, opened, jobs) =
        Disk::prepare(directory, &config, KnownLog::unkept(1), Box::new(|_| false)).unwrap();
    assert!((0..3).all(|n| matches!(disk.find(key(n)), Found::Nothing)));
    disk.offer(key(0), &response(b"newer", 7));
    disk.remove(key(1));
    assert_eq!(disk.waiting(key(0)).map(|it| it.head.sequence.number), Some(7));
    let mut tier = Tier::over(disk, opened, jobs);
    assert_eq!(tier.disk.waiting(key(0)).map(|it| it.head.sequence.number), Some(7));
    assert_eq!(read(&tier.disk, key(1)), None);
    assert!(is_found(&tier, 2, 1000));
    tier.flush();
    tier.close();
    let tier = Tier::open(folder.path(), SIZE);
    assert_eq!(read(&tier.disk, key(0)), Some((7, b"newer".to_vec())));
    assert_eq!(read(&tier.disk, key(1)), None);
    assert!(is_found(&tier, 2, 1000));
}

/// As on a disk that is full or read-only when the node starts.
#[test]
fn a_store_that_cannot_be_made_yet_is_made_later() {
    let folder = tempfile::tempdir().unwrap();
    let is_kept = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = is_kept.clone();
    let keep = move || match asked.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err("no space".to_owned()),
    };
    let log = KnownLog { identity: 1, keep: Box::new(keep) };
    let directory = Directory::open(folder.path()).unwrap();
    let (disk, opened, jobs) =
        Disk::prepare(directory, &config(64 * MIB), log, Box::new(|_| false)).unwrap();
    let mut tier = Tier::over(disk, opened, jobs);
    assert!(tier.disk.aside().is_some_and(|why| why.contains("takes nothing: no space")));
    offer(&mut tier, 0, 1000);
    tier.flush();
    tier.later();
    assert!(tier.disk.aside().is_some() && !is_found(&tier, 0, 1000));
    assert!(!folder.path().join("store").exists(), "a store without its purges");
    assert_eq!(tier.disk.shared.health.errors(), 1, "one fault");
    is_kept.store(true, Ordering::Relaxed);
    tier.later();
    assert_eq!(tier.disk.aside(), None);
    offer(&mut tier, 1, 1000);
    tier.flush();
    tier.close();
    let disk = open(folder.path(), 64 * MIB);
    assert_eq!(read(&disk, key(1)), Some((1, body(1, 1000))));
}

#[test]
fn what_may_pass_is_told_from_what_does_not() {
    let passes = |errno: i32| may_pass(&io::Error::from_raw_os_error(errno));
    let [enospc, erofs, eio, edquot] = [28, 30, 5, 122];
    assert!([enospc, erofs, eio, edquot].into_iter().all(passes));
    let [enoent, eacces, enotdir] = [2, 13, 20];
    assert!(![enoent, eacces, enotdir].into_iter().any(passes));
    assert!(!may_pass(&io::Error::other("no errno")));
}
