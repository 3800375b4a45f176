//! The suite on a folder; and the file, cut, hit and failing.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::control::log::layout::{Contents, Damage, HEADER, Writer};
use crate::control::log::suite::{Home, mount};
use crate::object::{LogId, PurgeCommand};

const BOUNDS: LogBounds = LogBounds { entries: 8, rules: 64, waiting: 4000 };

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("purges.log")
    }

    /// Opens the log. The task that appended last to an earlier one may still be about to let go
    /// of the folder.
    async fn log(&self) -> EmbeddedLog {
        loop {
            match EmbeddedLog::open(self.0.path(), BOUNDS) {
                Err(error) if error.to_string().contains("another control plane") => {
                    tokio::task::yield_now().await;
                }
                opened => return opened.unwrap(),
            }
        }
    }

    fn error(&self) -> String {
        EmbeddedLog::open(self.0.path(), BOUNDS).unwrap_err().to_string()
    }
}

impl Home for Folder {
    fn open(&self) -> Later<'_, Arc<dyn PurgeLog>> {
        Box::pin(async { Arc::new(self.log().await) as Arc<dyn PurgeLog> })
    }

    fn lose(&self) {
        std::fs::remove_file(self.file()).unwrap();
    }

    fn keep(&self) -> Later<'_, Kept> {
        Box::pin(ready(look(self.0.path()).unwrap().unwrap()))
    }

    fn restore(&self, kept: Kept) -> Later<'_, ()> {
        Box::pin(async move {
            let held = loop {
                match Held::new(self.0.path()) {
                    Ok(held) => break held,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            held.put(&kept).unwrap();
        })
    }
}

mount!(Folder::new());

fn asked(tag: &str) -> Asked {
    let command = PurgeCommand::from_json(&json!({ "kind": "tag", "value": tag })).unwrap();
    Asked { by: "deploy".to_owned(), at: 7, commands: vec![command] }
}

/// A folder with a log of one-purge entries, and the log's head.
async fn filled(count: u64) -> (Folder, Position) {
    let folder = Folder::new();
    let log = folder.log().await;
    for number in 1..=count {
        log.append(asked(&number.to_string())).await.unwrap();
    }
    let head = *log.head().borrow();
    (folder, head)
}

#[tokio::test]
async fn a_file_cut_at_any_byte_loses_what_was_cut_alone() {
    let (folder, head) = filled(3).await;
    let whole = std::fs::read(folder.file()).unwrap();
    let contents = Contents::read(&whole).unwrap();
    let start = {
        let mut writer = Writer::begin(head.log);
        writer.snapshot(&[], std::iter::empty(), Position::start(head.log));
        writer.bytes.len()
    };
    let mut ends = vec![start];
    for entry in &contents.entries {
        let mut writer = Writer::go_on(head.log, 0);
        writer.entry(entry);
        ends.push(ends[ends.len() - 1] + writer.bytes.len());
    }
    assert_eq!(ends[3], whole.len());
    for length in start..=whole.len() {
        let whole_entries = ends.iter().rposition(|end| *end <= length).unwrap();
        let read = Contents::read(&whole[..length]).unwrap();
        assert_eq!((read.entries.len(), read.length), (whole_entries, ends[whole_entries]));
        // What the loss of power leaves: the length, but not the bytes.
        let mut blank = whole[..length].to_vec();
        blank.resize(whole.len() + 100, 0);
        if length == ends[whole_entries] {
            assert_eq!(Contents::read(&blank).unwrap().entries.len(), whole_entries);
        }
    }
    for length in 0..start {
        assert!(Contents::read(&whole[..length]).is_err(), "{length}");
    }
    // The next entry comes in the place of the one that was cut.
    std::fs::write(folder.file(), &whole[..whole.len() - 1]).unwrap();
    let log = folder.log().await;
    assert_eq!(log.append(asked("x")).await.unwrap().first, 3);
    drop(log);
    assert_eq!(folder.log().await.head().borrow().log, head.log);
}

#[tokio::test]
async fn no_bit_flips_unseen() {
    let (folder, head) = filled(2).await;
    let whole = std::fs::read(folder.file()).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut hit = whole.clone();
            hit[at] ^= 1 << bit;
            assert!(Contents::read(&hit).is_err(), "byte {at}, bit {bit}");
        }
    }
    let mut hit = whole.clone();
    let last = hit.len() - 1;
    hit[last] ^= 1;
    std::fs::write(folder.file(), &hit).unwrap();
    let log = folder.log().await;
    let begun = *log.head().borrow();
    assert_ne!(begun.log, head.log, "a log of a new identity");
    assert_eq!(begun.number, 0);
    let kept = folder.0.path().join("purges.log.damaged");
    assert_eq!(std::fs::read(kept).unwrap(), hit, "what was damaged is set aside");
}

#[tokio::test]
async fn damage_is_told_apart() {
    let (folder, head) = filled(2).await;
    let whole = std::fs::read(folder.file()).unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        Contents::read(&bytes).map(|contents| contents.entries.len())
    };
    assert_eq!(with(&|_| {}), Ok(2));
    assert_eq!(with(&|bytes| bytes[0] = 0), Err(Damage::Header));
    assert_eq!(with(&|bytes| bytes[8] = 9), Err(Damage::Version(9)));
    assert_eq!(with(&|bytes| bytes.truncate(HEADER)), Err(Damage::Snapshot));
    assert_eq!(with(&|bytes| bytes[HEADER] ^= 1), Err(Damage::Checksum(HEADER)));
    // A sound frame that does not follow.
    let entries = Contents::read(&whole).unwrap().entries;
    let again = |bytes: &mut Vec<u8>| {
        let mut writer = Writer::go_on(head.log, bytes.len());
        writer.entry(&entries[0]);
        bytes.extend(writer.bytes);
    };
    assert_eq!(with(&again), Err(Damage::Order(whole.len())));
    // A frame of another place, and of another log.
    let elsewhere = |log, shift: usize| {
        let entries = entries.clone();
        move |bytes: &mut Vec<u8>| {
            let mut writer = Writer::go_on(log, bytes.len() + shift);
            writer.entry(&entries[1]);
            bytes.extend(writer.bytes);
        }
    };
    assert_eq!(with(&elsewhere(head.log, 1)), Err(Damage::Checksum(whole.len())));
    assert_eq!(with(&elsewhere(LogId(1), 0)), Err(Damage::Checksum(whole.len())));
}

proptest! {
    #[test]
    fn whatever_is_in_a_file_reading_it_ends(
        bytes in proptest::collection::vec(any::<u8>(), 0..99),
    ) {
        prop_assert!(Contents::read(&bytes).is_err());
        let mut writer = Writer::begin(LogId(3));
        writer.snapshot(&[], std::iter::empty(), Position::start(LogId(3)));
        let sound = writer.bytes.len();
        writer.bytes.extend_from_slice(&bytes);
        if let Ok(contents) = Contents::read(&writer.bytes) {
            prop_assert_eq!((contents.length, contents.entries.len()), (sound, 0));
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_refuses_and_loses_nothing() {
    let (folder, head) = filled(1).await;
    let log = folder.log().await;
    let writable = log.0.file.lock().break_writes();
    // The second finds what the first may have written, and cannot cut it off.
    let expected = [
        "written: Bad file descriptor (os error 9)",
        "cut to length: Invalid argument (os error 22)",
    ];
    for expected in expected {
        let error = log.append(asked("a")).await.unwrap_err().to_string();
        let path = folder.file();
        assert_eq!(error, format!("the purge log {} cannot be {expected}", path.display()));
        assert_eq!(*log.head().borrow(), head);
    }
    log.0.file.lock().mend_writes(writable);
    // What a write left behind is cut off before the next one.
    let mut bytes = std::fs::read(folder.file()).unwrap();
    bytes.extend_from_slice(&[7; 999]);
    std::fs::write(folder.file(), bytes).unwrap();
    assert_eq!(log.append(asked("b")).await.unwrap().first, 2);
    let after = *log.head().borrow();
    drop(log);
    let log = folder.log().await;
    assert_eq!(*log.head().borrow(), after);
    assert_eq!(log.read(0, 9).await.unwrap().unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_disk_refuses_with_what_the_system_says() {
    let (folder, head) = filled(1).await;
    let log = folder.log().await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = log.write_to(full);
    let error = log.append(asked("a")).await.unwrap_err().to_string();
    // A device cannot be cut; a file on a full disk can.
    assert!(error.contains("No space left on device") || error.contains("Illegal seek"), "{error}");
    log.write_to(file);
    assert_eq!(*log.head().borrow(), head);
    assert_eq!(log.append(asked("b")).await.unwrap().first, 2);
}

#[tokio::test]
async fn what_is_not_synced_is_not_acknowledged() {
    let (folder, head) = filled(1).await;
    let log = folder.log().await;
    // It takes what is written, and cannot be synced.
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let file = log.write_to(null);
    let error = log.append(asked("a")).await.unwrap_err().to_string();
    assert!(error.ends_with("cannot be synced: Invalid argument (os error 22)"), "{error}");
    assert_eq!(*log.head().borrow(), head);
    log.write_to(file);
    assert_eq!(log.append(asked("b")).await.unwrap().first, 2);
}

#[tokio::test]
async fn a_long_file_is_compacted_and_forgets_nothing_that_matters() {
    let (folder, _) = filled(0).await;
    let log = folder.log().await;
    log.0.file.lock().compact_beyond(4096);
    let mut longest = 0;
    for number in 1..=200 {
        log.append(asked(&(number % 20).to_string())).await.unwrap();
        longest = longest.max(std::fs::metadata(folder.file()).unwrap().len());
        log.0.file.lock().compact_beyond(longest.min(8192));
    }
    // The file is compacted behind the answer, by the task that appends.
    let before = (*log.head().borrow(), log.snapshot().await.unwrap());
    assert_eq!(log.append(asked("last")).await.unwrap().first, 201);
    drop(log);
    let log = folder.log().await;
    assert!(longest < 20_000, "{longest}");
    assert_eq!(log.hash_at(200).await.unwrap(), Some(before.0.hash));
    assert!(log.hash_at(1).await.unwrap().is_some(), "hashes are kept longer");
    let kept = log.snapshot().await.unwrap().commands;
    assert_eq!(kept[..20], before.1.commands);
    assert_eq!(log.read(0, 9).await.unwrap(), None);
    assert_eq!(log.append(asked("x")).await.unwrap().first, 202);
}

#[tokio::test]
async fn a_folder_is_of_one_process() {
    let folder = Folder::new();
    let log = folder.log().await;
    let path = folder.0.path().display();
    let expected = "cannot be opened: another control plane uses its folder";
    assert_eq!(folder.error(), format!("the purge log {path} {expected}"));
    drop(log);
    folder.log().await;
    std::fs::remove_file(folder.file()).unwrap();
    std::fs::create_dir(folder.file()).unwrap();
    assert!(folder.error().ends_with("cannot be read: Is a directory (os error 21)"));
}
