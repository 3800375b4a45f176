//! The codec under bit flips, and files that are reopened, cut, damaged and compacted.

mod place;

use std::io::Cursor;

use proptest::prelude::*;
use tempfile::TempDir;

use super::layout::Damage;
use super::*;
use crate::object::{
    Coverage, EntryHash, LogId, Position, PurgeUrl, SiteKey, TagKey, UrlKey, UrlWildcard,
};
use crate::store::{RuleBounds, Rules};

/// What a disk that fails is to a journal.
impl Journal {
    /// Makes each write fail with EBADF, as long as the answer is not given back.
    pub(crate) fn break_writes(&mut self) -> File {
        std::mem::replace(&mut self.file, File::open(&self.path).unwrap())
    }

    pub(crate) fn mend_writes(&mut self, file: File) {
        self.file = file;
    }
}

const RULES_MAX: usize = 4;
const BOUNDS: RuleBounds = RuleBounds { rules: RULES_MAX, wildcards: RULES_MAX };

fn url(number: u64) -> PurgeRule {
    let url = UrlKey::any_query(b"h", number.to_string().as_bytes());
    PurgeRule { site: Some(SiteKey::new("s")), covers: Coverage::Url(url) }
}

fn rule(number: u64, hard: u64, soft: u64) -> NumberedRule {
    (url(number), Purged { hard, soft, possibly: 0 })
}

/// The purge numbered so.
fn purge(number: u64) -> (Option<PurgeRule>, PurgeKind) {
    (Some(url(number)), kind(number))
}

fn kind(number: u64) -> PurgeKind {
    if number.is_multiple_of(3) { PurgeKind::Soft } else { PurgeKind::Hard }
}

fn purged(numbers: std::ops::RangeInclusive<u64>) -> Vec<NumberedRule> {
    numbers.map(|number| (url(number), Purged::by(kind(number), number))).collect()
}

struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("purges.journal");
        Self { folder, path }
    }

    fn open(&self) -> (Journal, Restored) {
        Journal::open(&self.path, RULES_MAX).unwrap()
    }

    /// A journal with the purges 1 to `count`, one append each; its identity.
    fn filled(&self, count: u64) -> u128 {
        let mut journal = self.open().0;
        for number in 1..=count {
            assert_eq!(journal.append(&[purge(number)]).unwrap(), number);
        }
        journal.identity()
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }

    /// Opens what is damaged: all is new, works, and is there again.
    fn assert_begins_anew(&self, identity: u128) {
        let (mut journal, restored) = self.open();
        assert_ne!(restored.identity, identity);
        assert_eq!((restored.head, restored.rules.len()), (0, 0));
        journal.append(&[purge(1)]).unwrap();
        assert_eq!(self.open().1, Restored { head: 1, rules: purged(1..=1), ..restored });
        assert!(self.folder.path().join("purges.journal.damaged").exists());
    }
}

/// The bytes of a snapshot and of what came after it.
fn file(header: &Header, records: &[Record]) -> Vec<u8> {
    let mut bytes = header.encode().to_vec();
    bytes.extend(encode_records(header.identity, 1, records));
    bytes
}

fn decode(bytes: &[u8]) -> Result<Contents, Damage> {
    Contents::read(bytes.len() as u64, Cursor::new(bytes)).unwrap()
}

fn sample() -> Contents {
    let header = Header { identity: 7 << 100, head: 20, rules: 2 };
    let rules = vec![rule(1, 20, 4), rule(2, 0, 19), rule(3, 21, 0), rule(1, 0, 22)];
    Contents { header, records: records(rules), head: 22, slots: 5 }
}

fn records(rules: Vec<NumberedRule>) -> Vec<Record> {
    rules.into_iter().map(|(rule, purged)| Record::Purge(Some(rule), purged)).collect()
}

/// A purge of each kind, with texts that take no slot, one and several.
fn of_each_kind() -> Vec<Option<PurgeRule>> {
    let wildcard = UrlWildcard::new(&PurgeUrl::wildcard("https://*.h/é*?q*").unwrap());
    let covers = [
        Coverage::Whole,
        url(1).covers,
        Coverage::Tag(TagKey::new(b"p42")),
        Coverage::Prefix("".into()),
        Coverage::Prefix("h/img/".into()),
        Coverage::Prefix("h/".repeat(24).into()),
        Coverage::Prefix(format!("h/{}", "é".repeat(500)).into()),
        Coverage::Wildcard(wildcard),
    ];
    let of_site =
        |site: Option<SiteKey>| covers.clone().map(|covers| Some(PurgeRule { site, covers }));
    [None].into_iter().chain(of_site(None)).chain(of_site(Some(SiteKey::new("s")))).collect()
}

#[test]
fn purges_of_each_kind_are_there_again() {
    let place = Place::new();
    let mut journal = place.open().0;
    let purges: Vec<_> = of_each_kind().into_iter().zip((1..).map(kind)).collect();
    journal.append(&purges).unwrap();
    let (mut journal, restored) = place.open();
    let expected = (1..).zip(of_each_kind());
    let expected = expected.filter_map(|(n, rule)| Some((rule?, Purged::by(kind(n), n))));
    assert_eq!(restored.rules, expected.collect::<Vec<_>>());
    assert_eq!(restored.head, purges.len() as u64);
    journal.compact(restored.head, &restored.rules).unwrap();
    assert_eq!(place.open().1, restored);
}

#[test]
fn a_record_that_is_not_all_there_was_never_acknowledged() {
    let long = PurgeRule { site: None, covers: Coverage::Prefix("h/".repeat(200).into()) };
    let place = Place::new();
    let identity = place.filled(2);
    let whole = place.length();
    place.open().0.append(&[(Some(long.clone()), PurgeKind::Hard)]).unwrap();
    let slots = (place.length() - whole) / SLOT as u64;
    assert!(slots > 5);
    for left in (1..slots).rev() {
        let length = whole + left * SLOT as u64;
        OpenOptions::new().write(true).open(&place.path).unwrap().set_len(length).unwrap();
        let bytes = fs::read(&place.path).unwrap();
        let (mut journal, restored) = place.open();
        assert_eq!((restored.identity, &restored.rules), (identity, &purged(1..=2)));
        assert_eq!(place.length(), whole, "what is left of it is gone");
        assert_eq!(journal.append(&[purge(3)]).unwrap(), 3);
        assert_eq!(place.open().1.rules, purged(1..=3));
        fs::write(&place.path, bytes).unwrap();
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    let sample = sample();
    assert_eq!(decode(&file(&sample.header, &sample.records)), Ok(sample.clone()));
}

#[test]
fn no_bit_flips_unseen() {
    let sample = sample();
    let mut bytes = file(&sample.header, &sample.records);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn damage_is_told_apart() {
    let sample = sample();
    let bytes = file(&sample.header, &sample.records);
    let change = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        decode(&bytes).unwrap_err()
    };
    assert_eq!(change(0), Damage::Magic);
    assert_eq!(change(8), Damage::Version(3));
    assert_eq!(change(40), Damage::Header);
    assert_eq!(change(3 * SLOT + 20), Damage::Record(3));
    assert_eq!(decode(&[]).unwrap_err(), Damage::Length(0));
    let order = |header: Header, records: &[_]| decode(&file(&header, records)).unwrap_err();
    let Contents { header, records, .. } = &sample;
    let chosen = |places: &[usize]| places.iter().map(|at| records[*at].clone()).collect();
    let (gap, early): (Vec<_>, Vec<_>) = (chosen(&[0, 1, 3]), chosen(&[0, 2]));
    assert_eq!(order(*header, &gap), Damage::Order(3), "a gap");
    assert_eq!(order(*header, &early), Damage::Order(2), "not of a snapshot");
    assert_eq!(order(*header, &records[..1]), Damage::Length(2 * SLOT as u64), "a snapshot cut");
    // Whole records of this journal, but not here.
    let mut swapped = bytes.clone();
    swapped[SLOT..3 * SLOT].rotate_left(SLOT);
    assert_eq!(decode(&swapped).unwrap_err(), Damage::Record(1));
    let other = file(&Header { identity: 8, ..*header }, records);
    let mixed = [&bytes[..4 * SLOT], &other[4 * SLOT..]].concat();
    assert_eq!(decode(&mixed).unwrap_err(), Damage::Record(4));
}

proptest! {
    #[test]
    fn whatever_is_hit_is_seen(
        head in 0..u64::MAX / 2,
        rules in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..9),
        purges in proptest::collection::vec(any::<(u64, bool)>(), 0..9),
        hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..9),
    ) {
        let snapshot = rules.iter().map(|&(at, hard, soft)| {
            rule(at, hard % (head + 1), soft % (head + 1))
        });
        let since = (head + 1..).zip(&purges).map(|(number, &(at, is_hard))| {
            if is_hard { rule(at, number, 0) } else { rule(at, 0, number) }
        });
        let records = records(snapshot.chain(since).collect());
        let header = Header { identity: 5, head, rules: rules.len() as u64 };
        let bytes = file(&header, &records);
        let slots = records.len() as u64 + 1;
        let head = head + purges.len() as u64;
        let whole = Contents { header, records, head, slots };
        prop_assert_eq!(decode(&bytes), Ok(whole));
        let mut hit = bytes.clone();
        for (at, mask) in hits {
            hit[at.index(bytes.len())] ^= mask;
        }
        prop_assert_eq!(decode(&hit).is_err(), hit != bytes);
    }
}

#[test]
fn what_was_appended_is_there_again() {
    let place = Place::new();
    let identity = place.filled(0);
    for count in 0..9 {
        let (mut journal, restored) = place.open();
        let rules = purged(1..=count);
        assert_eq!(restored, Restored { identity, head: count, rules, followed: None });
        assert_eq!((journal.identity(), journal.head()), (identity, count));
        journal.append(&[purge(count + 1)]).unwrap();
    }
    assert_ne!(Place::new().filled(0), identity);
}

#[test]
fn purges_that_come_together_follow_each_other() {
    let place = Place::new();
    let mut journal = place.open().0;
    let purges: Vec<_> = (1..=1000).map(purge).collect();
    assert_eq!(journal.append(&purges).unwrap(), 1);
    assert_eq!(journal.append(&[purge(1001)]).unwrap(), 1001);
    assert_eq!(place.open().1.rules, purged(1..=1001));
}

#[test]
fn a_tail_that_is_torn_voids_the_journal() {
    for cut in 0..=3 * SLOT as u64 {
        let place = Place::new();
        let identity = place.filled(3);
        let left = place.length() - cut;
        OpenOptions::new().write(true).open(&place.path).unwrap().set_len(left).unwrap();
        match cut.is_multiple_of(SLOT as u64) {
            // As if the last purges had not come.
            true => assert_eq!(place.open().1.rules, purged(1..=3 - cut / SLOT as u64)),
            false => place.assert_begins_anew(identity),
        }
    }
}

#[test]
fn a_damaged_file_is_set_aside() {
    for at in [0, 8, 12, 20, 63, 64, 130, 255] {
        let place = Place::new();
        let identity = place.filled(3);
        let mut bytes = fs::read(&place.path).unwrap();
        bytes[at] ^= 0x10;
        fs::write(&place.path, &bytes).unwrap();
        place.assert_begins_anew(identity);
        assert_eq!(fs::read(beside(&place.path, "damaged")).unwrap(), bytes);
    }
    for stray in [&b""[..], b"x", &[0; 4096]] {
        let place = Place::new();
        fs::write(&place.path, stray).unwrap();
        place.assert_begins_anew(0);
    }
    // A page that never reached the disk reads as zeros.
    let place = Place::new();
    let identity = place.filled(3);
    let zeros = place.length() + SLOT as u64;
    OpenOptions::new().write(true).open(&place.path).unwrap().set_len(zeros).unwrap();
    place.assert_begins_anew(identity);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let place = Place::new();
    fs::create_dir(&place.path).unwrap();
    let error = Journal::open(&place.path, RULES_MAX).unwrap_err().to_string();
    assert!(error.ends_with("cannot be opened: Is a directory (os error 21)"), "{error}");
    let nowhere = place.folder.path().join("gone/purges.journal");
    let error = Journal::open(&nowhere, RULES_MAX).unwrap_err().to_string();
    assert!(error.ends_with("cannot be created: No such file or directory (os error 2)"));
}

#[test]
fn what_failed_has_no_number_and_is_written_over() {
    let place = Place::new();
    let identity = place.filled(1);
    let mut journal = place.open().0;
    let file = journal.break_writes();
    let error = journal.append(&[purge(2)]).unwrap_err().to_string();
    assert!(error.ends_with("cannot be written: Bad file descriptor (os error 9)"), "{error}");
    assert_eq!(journal.head(), 1);
    journal.mend_writes(file);
    // Three records that were written, but not acknowledged.
    let lost: Vec<_> = (12..=14).zip(2..).map(|(at, number)| rule(at, number, 0)).collect();
    let bytes = encode_records(identity, 2, &records(lost.clone()));
    journal.file.write_all_at(&bytes, 2 * SLOT as u64).unwrap();
    let found = place.open().1;
    assert_eq!(found.rules[1..], lost, "more than was acknowledged, never less");
    assert_eq!(journal.append(&[purge(2)]).unwrap(), 2);
    let (mut journal, restored) = place.open();
    assert_eq!((restored.identity, restored.head), (identity, 2));
    assert_eq!(restored.rules, purged(1..=2));
    assert_eq!(journal.append(&[purge(3)]).unwrap(), 3);
}

/// Appends and publishes the purges, compacts when it is time, as a purger does.
fn carry(journal: &mut Journal, rules: &Rules, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        assert_eq!(journal.append(&[purge(number)]).unwrap(), number);
        rules.publish(Some(&url(number)), kind(number), number);
        if journal.is_long() {
            let (head, kept) = rules.snapshot();
            journal.compact(head, &kept).unwrap();
        }
    }
}

/// A snapshot in an order of its own.
fn sorted(rules: &Rules) -> (u64, Vec<NumberedRule>) {
    let (head, mut kept) = rules.snapshot();
    kept.sort_by_key(|(rule, _)| format!("{rule:?}"));
    (head, kept)
}

#[test]
fn a_long_file_is_compacted_and_the_table_survives() {
    let place = Place::new();
    let live = Rules::new(BOUNDS);
    let identity = place.filled(0);
    let longest = (1 + 2 * RULES_MAX as u64) * SLOT as u64;
    let mut lengths = Vec::new();
    for number in 1..=50 {
        let (mut journal, restored) = place.open();
        assert_eq!(restored.identity, identity);
        carry(&mut journal, &live, number..=number);
        lengths.push(place.length());
        let restored = place.open().1;
        let again = Rules::new(BOUNDS);
        again.restore(restored.head, restored.rules);
        assert_eq!(sorted(&again), sorted(&live), "after {number}");
    }
    assert_eq!(lengths.iter().max(), Some(&longest));
    assert!(!lengths.is_sorted(), "never compacted");
    assert!(!beside(&place.path, "new").exists());
}

#[test]
fn a_compaction_that_fails_leaves_the_journal_as_it_was() {
    let place = Place::new();
    let rules = Rules::new(BOUNDS);
    let mut journal = place.open().0;
    carry(&mut journal, &rules, 1..=8);
    fs::create_dir(beside(&place.path, "new")).unwrap();
    journal.append(&[purge(9)]).unwrap();
    rules.publish(Some(&url(9)), kind(9), 9);
    assert!(journal.is_long());
    let (head, kept) = rules.snapshot();
    let error = journal.compact(head, &kept).unwrap_err().to_string();
    assert!(error.ends_with("cannot be compacted: Is a directory (os error 21)"), "{error}");
    assert!(!journal.is_long(), "not tried at every purge");
    fs::remove_dir(beside(&place.path, "new")).unwrap();
    carry(&mut journal, &rules, 10..=13);
    assert_eq!(place.open().1.rules, purged(1..=13));
    carry(&mut journal, &rules, 14..=14);
    // Header, rules, and what covers the whole site.
    assert!(place.length() <= (2 + RULES_MAX as u64) * SLOT as u64);
    assert_eq!(place.open().1.head, 14);
}

#[test]
fn nothing_is_taken_before_the_name_is_durable() {
    let place = Place::new();
    let mut journal = place.open().0;
    journal.is_named = false;
    let here = std::mem::replace(&mut journal.path, place.folder.path().join("gone/journal"));
    let error = journal.append(&[purge(1)]).unwrap_err().to_string();
    assert!(error.contains("cannot be synced with its folder: No such file"), "{error}");
    journal.path = here;
    assert_eq!(journal.append(&[purge(1)]).unwrap(), 1);
}

fn followed(number: u64) -> Followed {
    let log = LogId(9 << 90);
    let position = Position { log, number, hash: EntryHash([number as u8; 32]) };
    Followed { position, serves: number.is_multiple_of(2) }
}

#[test]
fn how_far_a_log_is_followed_is_there_again() {
    let place = Place::new();
    let mut journal = place.open().0;
    assert_eq!(journal.append(&[purge(1)]).unwrap(), 1);
    assert_eq!(journal.distrust(followed(70)).unwrap(), 2);
    assert_eq!(place.open().1.followed, Some(followed(70)));
    assert_eq!(journal.follow(&[(None, PurgeKind::Hard), purge(4)], followed(72)).unwrap(), 3);
    assert_eq!(journal.follow(&[], followed(73)).unwrap(), 5);
    let (mut journal, restored) = place.open();
    assert_eq!((restored.head, restored.followed), (4, Some(followed(73))));
    let everything = PurgeRule { site: None, covers: Coverage::Whole };
    let distrusted = (everything, Purged { possibly: 2, ..Purged::default() });
    assert_eq!(restored.rules[1..], [distrusted, (url(4), Purged::by(PurgeKind::Hard, 4))]);
    journal.compact(restored.head, &restored.rules).unwrap();
    assert_eq!(place.open().1, restored);
    assert_eq!(journal.follow(&[purge(5)], followed(74)).unwrap(), 5);
    assert_eq!(place.open().1.followed, Some(followed(74)));
}

#[test]
fn an_entry_that_is_not_all_there_leaves_the_position_before_it() {
    let place = Place::new();
    let mut journal = place.open().0;
    journal.follow(&[purge(1)], followed(1)).unwrap();
    let whole = place.length();
    journal.follow(&[purge(2), purge(3)], followed(3)).unwrap();
    let slots = (place.length() - whole) / SLOT as u64;
    for left in 0..slots {
        let length = whole + left * SLOT as u64;
        let bytes = fs::read(&place.path).unwrap();
        OpenOptions::new().write(true).open(&place.path).unwrap().set_len(length).unwrap();
        let restored = place.open().1;
        assert_eq!((restored.followed, restored.head), (Some(followed(1)), 1 + left.min(2)));
        fs::write(&place.path, bytes).unwrap();
    }
}
