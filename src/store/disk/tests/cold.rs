//! What the disk changes behind a running node's back: seen when it comes from there.
//!
//! On a disk, for in memory nothing ever comes from elsewhere.

use std::fs::File;
use std::future::poll_fn;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Advice, fadvise};

use super::tier::{SEGMENT, Tier, format_at};
use super::*;
use crate::message::{Body, Piece};

fn folder() -> tempfile::TempDir {
    let beside = std::env::current_exe().unwrap();
    tempfile::tempdir_in(beside.parent().unwrap()).unwrap()
}

/// Flips a bit at the end of the body that stands under each key.
fn flip(disk: &Disk, keys: impl Iterator<Item = u64>) {
    for key in keys.map(key) {
        let location = disk.shared.index.peek(tag_of(key)).unwrap();
        let segment = disk.shared.segments.get(location).unwrap();
        let file = File::options().read(true).write(true).open(segment.path()).unwrap();
        let (mut byte, at) = ([0], location.offset() + location.length() - 70);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    }
}

/// Has the page cache give up all segments; false where the file system keeps them.
fn drop_pages(disk: &Disk) -> bool {
    let segments = disk.shared.segments.all();
    segments.iter().all(|segment| {
        segment.sync().unwrap();
        segment.map().let_go();
        fadvise(&**segment, 0, None, Advice::DontNeed).unwrap();
        !segment.map().is_resident(0..segment.map().len())
    })
}

fn errors(disk: &Disk) -> u64 {
    disk.shared.health.errors()
}

#[test]
fn what_comes_from_the_disk_is_checked_each_time() {
    let folder = folder();
    let disk = open(folder.path(), 64 * MIB);
    let lengths = [10_000, 5_000, 300_000, 6_000, 5_000, 2_000_000, 70_000, 9_000];
    let length = |n: u64| lengths[n as usize % lengths.len()];
    for n in 0..32 {
        disk.offer(key(n), &response(&body(n, length(n)), n));
    }
    // Found by its body alone.
    disk.offer(key(32), &response(&body(30, length(30)), 32));
    disk.flush();
    let is_damaged = |n: u64| n % 3 != 1 || n == 32;
    flip(&disk, (0..32).filter(|n| is_damaged(*n)));
    if !drop_pages(&disk) {
        assert!((0..=32).all(|n| !matches!(disk.find(key(n)), Found::Cold)));
        return;
    }
    assert!(matches!(disk.find(key(2)), Found::Cold));
    assert!(read(&disk, key(32)).is_none(), "a reference");
    // One after the other, so that each would come along with the one before.
    for n in 0..32 {
        let whole = (!is_damaged(n)).then(|| (n, body(n, length(n))));
        assert!(read(&disk, key(n)) == whole, "{n}");
    }
    assert_eq!(errors(&disk), (0..32).filter(|n| is_damaged(*n)).count() as u64);
    assert!(matches!(disk.find(key(1)), Found::Here(..)), "what was brought in is warm");
}

#[tokio::test]
async fn a_body_whose_rest_comes_from_the_disk_is_cut_where_it_is_damaged() {
    const LENGTH: usize = 5 << 20;
    let folder = folder();
    // Segments large enough for the body.
    let disk = open(folder.path(), 1 << 30);
    for n in 0..2 {
        disk.offer(key(n), &response(&body(n, LENGTH), n));
    }
    disk.flush();
    flip(&disk, 0..1);
    let is_dropped = drop_pages(&disk);
    for n in [1, 0] {
        let location = disk.shared.index.peek(tag_of(key(n))).unwrap();
        let (segment, start) =
            (disk.shared.segments.get(location).unwrap(), location.offset() as usize);
        segment.map().populate(start..start + (1 << 20) + 4096).unwrap();
        let Found::Here(Item::Response(stored), _) = disk.find(key(n)) else {
            panic!("its beginning is there")
        };
        let Body::Stream(mut stream) = stored.part(0, LENGTH as u64) else { panic!("a stream") };
        let mut came = Vec::new();
        let is_whole = loop {
            match poll_fn(|cx| stream.poll_piece(cx)).await {
                Some(Ok(Piece::Data(data))) => came.extend_from_slice(&data),
                Some(Ok(_)) => {}
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        if is_dropped {
            assert!(body(n, LENGTH).starts_with(&came), "other bytes");
            assert_eq!(is_whole, n == 1);
        }
    }
    if is_dropped {
        assert!(read(&disk, key(0)).is_none());
        assert_eq!((errors(&disk), disk.figures().objects), (1, 1));
    }
}

#[test]
fn a_copy_of_what_comes_from_the_disk_is_checked() {
    let folder = folder();
    format_at(folder.path());
    let mut tier = Tier::open(folder.path(), 8 * SEGMENT);
    for n in 0..2 {
        tier.disk.offer(key(n), &response(&body(n, 10_000), n));
    }
    tier.flush();
    let is_sound = |tier: &Tier, n| read(&tier.disk, key(n)) == Some((n, body(n, 10_000)));
    assert!((0..2).all(|n| is_sound(&tier, n)));
    let first = tier.disk.shared.segments.all()[0].id;
    flip(&tier.disk, 0..1);
    drop_pages(&tier.disk);
    let is_there = |tier: &Tier| tier.disk.shared.segments.all().iter().any(|it| it.id == first);
    for n in 10.. {
        if !is_there(&tier) {
            break;
        }
        for _ in 0..2 {
            tier.disk.offer(key(n), &response(&body(n, 10_000), n));
        }
        tier.flush();
    }
    assert!(is_sound(&tier, 1), "it was copied");
    let is_checked = read(&tier.disk, key(0)).is_none() && errors(&tier.disk) == 1;
    assert!(is_checked || !drop_pages(&tier.disk));
}

#[test]
fn what_would_come_from_the_disk_is_not_copied() {
    let folder = folder();
    let disk = open(folder.path(), 64 * MIB);
    disk.offer(key(0), &response(&body(0, 30_000), 0));
    disk.flush();
    let Found::Here(Item::Response(found), _) = disk.find(key(0)) else { panic!("it is warm") };
    assert!(!found.under(&found.head).is_mapped());
    let is_dropped = drop_pages(&disk);
    assert_eq!(found.under(&found.head).is_mapped(), is_dropped);
}

#[test]
fn a_body_that_was_damaged_meanwhile_is_not_stored_under_a_fresh_head() {
    let folder = folder();
    let disk = open(folder.path(), 64 * MIB);
    disk.offer(key(0), &response(&body(0, 300_000), 0));
    disk.flush();
    let Found::Here(Item::Response(found), _) = disk.shared.find_blocking(key(0)) else {
        panic!("it is stored")
    };
    flip(&disk, 0..1);
    let fresh = found.under(&response(b"", 1).head);
    assert!(fresh.is_mapped());
    disk.offer(key(0), &Arc::new(fresh));
    disk.flush();
    assert!(read(&disk, key(0)).is_none());
    assert_eq!(errors(&disk), 1);
}
