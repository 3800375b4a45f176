//! Directories and files that change under a running tier, and crashes at a chosen moment.

use super::super::format::tag_of;
use super::super::segment::{Segment, path_of};
use super::files;
use super::tier::{SEGMENT, Tier, format, format_at};
use super::*;

const SIZE: u64 = 8 * SEGMENT;

fn offer(tier: &mut Tier, n: u64, number: u64, length: usize) {
    tier.disk.offer(key(n), &response(&body(number, length), number));
}

/// The number of what is found under key `n`, which has the body that was offered.
fn number(tier: &Tier, n: u64, length: usize) -> Option<u64> {
    let (number, found) = read(&tier.disk, key(n))?;
    assert!(found == body(number, length));
    Some(number)
}

#[test]
fn a_directory_that_is_gone_is_not_made_anew_and_one_that_is_back_is_used() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("cache");
    format_at(&folder);
    let mut tier = Tier::open(&folder, SIZE);
    offer(&mut tier, 0, 0, 1000);
    tier.flush();
    std::fs::remove_dir_all(&folder).unwrap();
    for n in 1..8 {
        offer(&mut tier, n, n, 20_000);
        tier.flush();
    }
    assert!(tier.disk.aside().is_some());
    for _ in 0..2 {
        tier.later();
        assert!(tier.disk.aside().is_some() && !folder.exists());
        assert_eq!(number(&tier, 0, 1000), Some(0), "what is mapped can be read");
        offer(&mut tier, 9, 9, 1000);
        tier.flush();
        assert_eq!(number(&tier, 9, 1000), None);
    }
    std::fs::create_dir(&folder).unwrap();
    tier.later();
    assert_eq!(tier.disk.aside(), None);
    assert_eq!(tier.disk.figures().objects, 0);
    offer(&mut tier, 10, 10, 1000);
    tier.flush();
    assert_eq!(tier.disk.shared.waiting.load(Ordering::Relaxed), 0);
    drop(tier);
    let tier = Tier::open(&folder, SIZE);
    assert_eq!(number(&tier, 10, 1000), Some(10));
    assert_eq!(number(&tier, 0, 1000), None);
}

#[test]
fn a_store_that_cannot_be_read_for_a_while_is_not_made_anew() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 0..3 {
        offer(&mut tier, n, n, 20_000);
    }
    tier.flush();
    let [store, away] = ["store", "away"].map(|name| folder.path().join(name));
    std::fs::rename(&store, &away).unwrap();
    std::fs::create_dir(&store).unwrap();
    tier.later();
    assert_eq!(tier.disk.aside(), None, "it may be there");
    std::fs::create_dir(path_of(folder.path(), 2)).unwrap();
    offer(&mut tier, 3, 3, 20_000);
    tier.flush();
    tier.later();
    assert!(tier.disk.aside().is_some_and(|why| why.contains("cannot read")));
    std::fs::remove_dir(&store).unwrap();
    std::fs::rename(&away, &store).unwrap();
    tier.later();
    assert_eq!((tier.disk.aside(), tier.disk.figures().objects), (None, 3));
}

#[test]
fn what_was_removed_while_nothing_could_be_written_stays_removed() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 0..3 {
        offer(&mut tier, n, n, 20_000);
    }
    tier.flush();
    // The next segment cannot be made, for something has its name.
    std::fs::create_dir(path_of(folder.path(), 2)).unwrap();
    offer(&mut tier, 3, 3, 20_000);
    tier.flush();
    assert!(tier.disk.aside().is_some());
    tier.disk.remove(key(0));
    offer(&mut tier, 1, 11, 1000);
    tier.flush();
    tier.later();
    assert_eq!(tier.disk.aside(), None, "under another name it can be made");
    offer(&mut tier, 2, 12, 20_000);
    tier.flush();
    std::fs::remove_dir(path_of(folder.path(), 2)).unwrap();
    drop(tier);
    let tier = Tier::open(folder.path(), SIZE);
    assert_eq!([0, 1, 3].map(|n| number(&tier, n, 20_000)), [None; 3]);
    assert_eq!(number(&tier, 2, 20_000), Some(12));
}

#[test]
fn a_segment_has_its_blocks_before_it_is_written() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    offer(&mut tier, 0, 0, 100);
    tier.flush();
    let segment = std::fs::metadata(path_of(folder.path(), 1)).unwrap();
    assert!(segment.blocks() * 512 >= SEGMENT, "{} blocks", segment.blocks());
}

#[test]
fn a_segment_cut_short_is_a_miss() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    offer(&mut tier, 0, 0, 30_000);
    offer(&mut tier, 1, 1, 20_000);
    tier.flush();
    let path = path_of(folder.path(), 1);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
    assert_eq!(number(&tier, 0, 30_000), None);
    assert_eq!(number(&tier, 1, 20_000), None);
    assert!(tier.disk.shared.health.errors() > 0);
    for n in 2..20 {
        offer(&mut tier, n, n, 20_000);
        tier.flush();
        assert_eq!(number(&tier, n, 20_000), Some(n));
    }
    tier.close();
    let tier = Tier::open(folder.path(), SIZE);
    assert_eq!(number(&tier, 19, 20_000), Some(19));
}

#[test]
fn what_is_in_use_is_known_after_a_crash() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 0..20 {
        offer(&mut tier, n, n, 1000);
    }
    tier.flush();
    for n in (0..20).step_by(2) {
        assert_eq!(number(&tier, n, 1000), Some(n));
    }
    tier.later();
    drop(tier);
    let tier = Tier::open(folder.path(), SIZE);
    for n in 0..20 {
        let uses = tier.disk.shared.index.peek(tag_of(key(n))).unwrap().uses();
        assert_eq!(uses, u64::from(n % 2 == 0), "{n}");
    }
}

#[test]
fn a_crash_while_room_is_made_leaves_a_store_that_takes_more() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 0.. {
        let before = files::all(folder.path());
        offer(&mut tier, n, n, 30_000);
        offer(&mut tier, n, n, 30_000);
        tier.flush();
        let after = files::all(folder.path());
        if let Some((gone, bytes)) = before.iter().find(|(id, _)| !after.contains_key(*id)) {
            drop(tier);
            std::fs::write(path_of(folder.path(), *gone), bytes).unwrap();
            break;
        }
    }
    assert_eq!(files::size(folder.path()), SIZE);
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 100..150 {
        offer(&mut tier, n, n, 30_000);
        offer(&mut tier, n, n, 30_000);
        tier.flush();
        assert_eq!(number(&tier, n, 30_000), Some(n));
        assert!(files::size(folder.path()) <= SIZE);
    }
}

#[test]
fn a_full_store_takes_what_is_offered_again() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    for n in 0..30 {
        offer(&mut tier, n, n, 30_000);
        tier.flush();
    }
    assert!(tier.writer.log.is_full());
    offer(&mut tier, 100, 100, 1000);
    tier.flush();
    assert_eq!(number(&tier, 100, 1000), None);
    offer(&mut tier, 100, 101, 1000);
    tier.flush();
    assert_eq!(number(&tier, 100, 1000), Some(101));
}

#[test]
fn an_offer_that_is_overtaken_in_the_queue_is_not_the_newest_after_a_restart() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    // As two threads may do it: the tickets in one order, the jobs in the other.
    let overtaken = |tier: &Tier, n: u64| {
        let (ticket, lingers) = tier.disk.shared.index.offer(tag_of(key(n)), None);
        let what = Offer::Response(response(&body(1, 1000), 1));
        assert!(tier.disk.queue.reserve(what.bytes()));
        Job::Store { key: key(n), ticket, lingers, what }
    };
    let replaced = overtaken(&tier, 0);
    offer(&mut tier, 0, 2, 1000);
    let removed = overtaken(&tier, 1);
    tier.disk.remove(key(1));
    tier.disk.queue.send(replaced);
    tier.disk.queue.send(removed);
    tier.flush();
    assert_eq!(tier.disk.shared.waiting.load(Ordering::Relaxed), 0);
    for _ in 0..2 {
        assert_eq!(number(&tier, 0, 1000), Some(2));
        assert_eq!(number(&tier, 1, 1000), None);
        tier.close();
        tier = Tier::open(folder.path(), SIZE);
    }
}

#[test]
fn a_removal_that_is_overtaken_in_the_queue_removes_nothing_newer() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    offer(&mut tier, 0, 1, 1000);
    tier.flush();
    assert!(tier.disk.shared.index.remove(tag_of(key(0))));
    offer(&mut tier, 0, 2, 1000);
    tier.disk.queue.send(Job::Remove { key: key(0) });
    tier.flush();
    tier.close();
    let tier = Tier::open(folder.path(), SIZE);
    assert_eq!(number(&tier, 0, 1000), Some(2));
}

#[test]
fn a_body_that_is_torn_is_stored_anew() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    offer(&mut tier, 0, 7, 10_000);
    tier.flush();
    drop(tier);
    let path = path_of(folder.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut tier = Tier::open(folder.path(), SIZE);
    offer(&mut tier, 1, 7, 10_000);
    tier.flush();
    assert_eq!(number(&tier, 1, 10_000), Some(7));
    assert_eq!(number(&tier, 0, 10_000), None);
}

#[test]
fn a_reference_that_lost_its_body_and_was_removed_does_not_come_back_with_it() {
    let folder = format();
    let mut tier = Tier::open(folder.path(), SIZE);
    offer(&mut tier, 0, 7, 10_000);
    tier.disk.offer(key(1), &response(&body(7, 10_000), 8));
    tier.flush();
    let content = content_tag(blake3::hash(&body(7, 10_000)).as_bytes());
    let index = &tier.disk.shared.index;
    assert!(index.remove_content(content, index.peek(content).unwrap()));
    assert_eq!(read(&tier.disk, key(1)), None);
    tier.disk.remove(key(1));
    offer(&mut tier, 2, 7, 10_000);
    tier.flush();
    drop(tier);
    let tier = Tier::open(folder.path(), SIZE);
    assert_eq!(read(&tier.disk, key(1)), None);
    assert_eq!(number(&tier, 2, 10_000), Some(7));
}

#[test]
fn a_segment_takes_disk_space_until_it_has_given_it_back() {
    const LENGTH: u64 = 32 << 20;
    let folder = format();
    let directory = Directory::open(folder.path()).unwrap();
    let segments = Segments::new(4);
    for id in 1..=40 {
        let segment = Arc::new(Segment::create(folder.path(), id, 0, 1, LENGTH).unwrap());
        segments.put(segment.clone());
        segments.take(&segment);
        segment.unlink().unwrap();
        assert_eq!(segments.on_disk(), 1);
        let before = directory.free().unwrap();
        let reader = std::thread::spawn(move || drop(segment));
        while segments.on_disk() > 0 {
            std::hint::spin_loop();
        }
        // Other tests take and give a little there meanwhile.
        assert!(directory.free().unwrap() > before + LENGTH / 2, "round {id}");
        reader.join().unwrap();
    }
}
