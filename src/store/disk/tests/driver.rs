//! A seeded driver: random steps on a small tier, checked against a model after each.
//!
//! ```text
//!  steps ──► Disk ──► queue ──► Writer, on this thread: which job runs when is the seed's choice
//!    └─────► model: for each key all that was ever offered or removed, in order
//!                   │ … │ durable │ … │ alive │ … │ newest │
//!                          └── after a crash this or newer
//!                                       └── now this or newer
//! ```
//!
//! What is promised, and checked:
//! - what is found is, head for head and byte for byte, something that was stored under that key;
//! - while the process lives, it is the newest that was offered, or nothing;
//! - after a crash it is nothing older than what was the newest at the last flush;
//! - after a kill between jobs, or a restart, all that was found before is found;
//! - after a kill in the midst of a job, or a loss of power, all that was found at the last flush
//!   is, unless it was replaced, removed, given up for room or copied since;
//! - segments never take more than the size;
//! - the index counts what it holds, and every body in it is needed by a key: as many as are
//!   counted.
//!
//! A flipped bit may hit what stood against an older record: then nothing but the first is
//! promised, of files, counts and the size apart.
//!
//! `HEADLAND_SEEDS=1000` tries more seeds, `HEADLAND_SEED=17` one, with its steps told.

use std::collections::HashMap;

use super::super::format::{FRONT, HEADER, Header, Kind, tag_of};
use super::super::location::Location;
use super::super::walk::room;
use super::files::{self, Files, Unlinked};
use super::offered::{assert_same, response_of, spec};
use super::tier::{SEGMENT, Tier, format};
use super::*;

const KEYS: u64 = 24;

/// What was offered: its number tells it from all others.
#[derive(Clone, Debug)]
enum Version {
    Response(Arc<Stored>),
    Varies,
}

/// What a key was told to be, in order; `None`: removed.
struct History {
    states: Vec<Option<u64>>,
    /// Index of the oldest that may be found after a crash.
    durable: usize,
    /// Index of the oldest that may be found now.
    alive: usize,
}

struct Driver {
    folder: tempfile::TempDir,
    random: fastrand::Rng,
    size: u64,
    tier: Option<Tier>,
    histories: Vec<History>,
    versions: Vec<Version>,
    /// The files at the last flush, and where its keys stood.
    synced: Files,
    unlinked: Unlinked,
    stood: HashMap<u64, (Location, Option<Location>)>,
    /// What responses are still being read.
    held: Vec<(Arc<Stored>, Item)>,
    has_flips: bool,
    is_damaged: bool,
    steps: Vec<String>,
}

#[test]
fn whatever_happens_what_is_found_was_stored() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seeds = match number("HEADLAND_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HEADLAND_SEEDS").unwrap_or(40),
    };
    for seed in seeds {
        let mut driver = Driver::new(seed);
        let run = std::panic::AssertUnwindSafe(|| driver.run());
        if let Err(panic) = std::panic::catch_unwind(run) {
            let steps = driver.steps.join("\n  ");
            eprintln!("HEADLAND_SEED={seed} fails after\n  {steps}");
            std::panic::resume_unwind(panic);
        }
    }
}

impl Driver {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = format();
        let history = || History { states: vec![None], durable: 0, alive: 0 };
        let mut driver = Self {
            unlinked: Unlinked::of(folder.path()),
            folder,
            size: random.u64(4..10) * SEGMENT,
            has_flips: seed % 4 == 3,
            random,
            tier: None,
            histories: (0..KEYS).map(|_| history()).collect(),
            versions: Vec::new(),
            synced: Files::new(),
            stood: HashMap::new(),
            held: Vec::new(),
            is_damaged: false,
            steps: Vec::new(),
        };
        driver.start();
        driver
    }

    fn run(&mut self) {
        for _ in 0..300 {
            self.step();
            self.check();
        }
        self.perform(usize::MAX);
        self.held.clear();
        self.check();
        self.read_all();
        self.restart();
        self.read_all();
    }

    fn step(&mut self) {
        let key = self.random.u64(..KEYS);
        match self.random.u8(..100) {
            0..35 => self.offer(key),
            35..38 => self.offer_varies(key),
            38..45 => self.remove(key),
            45..60 => drop(self.read(key)),
            60..63 => self.hold(key),
            63..66 => self.held.clear(),
            66..86 => {
                let count = self.random.usize(1..8);
                self.perform(count);
            }
            86..91 => self.flush(),
            91..93 => self.restart(),
            93..95 => self.kill(),
            95..97 => self.kill_within(),
            97..99 => self.lose_power(),
            _ if self.has_flips => self.flip(),
            _ => drop(self.read_all()),
        }
    }

    fn tell(&mut self, step: String) {
        self.steps.push(step);
    }

    fn tier(&self) -> &Tier {
        self.tier.as_ref().unwrap()
    }

    fn shared(&self) -> &Shared {
        &self.tier().disk.shared
    }

    fn start(&mut self) {
        self.tier = Some(Tier::open(self.folder.path(), self.size));
        self.unlinked.note(self.folder.path());
        // What was recovered and can be written on was synced.
        self.synced = files::all(self.folder.path());
    }

    fn push(&mut self, key: u64, state: Option<u64>) {
        let history = &mut self.histories[key as usize];
        history.states.push(state);
        history.alive = history.states.len() - 1;
    }

    fn offer(&mut self, key: u64) {
        let number = self.versions.len() as u64;
        let head = if self.random.u8(..10) == 0 { 6000 } else { 10 };
        let mut encoded = Vec::new();
        response_of(number, head, &[]).encode_head(&mut encoded);
        let whole = room(SEGMENT, FRONT, 0) - (HEADER + encoded.len()) as u64;
        let (seed, length) = match self.random.u8(..20) {
            0 => (0, 0),
            1..8 => (self.random.u64(1..7), 9000),
            8..12 => (number, self.random.u64(..200)),
            12..18 => (number, self.random.u64(..30_000)),
            // As much as a segment takes, and more.
            18 => (number, whole),
            _ => (number, self.random.u64(whole - 70..whole + 70)),
        };
        let stored = response_of(number, head, &body(seed, length as usize));
        self.tell(format!("offer {key}: number {number}, head {head}, body {seed} of {length}"));
        self.tier().disk.offer(super::key(key), &stored);
        self.versions.push(Version::Response(stored));
        self.push(key, Some(number));
    }

    fn offer_varies(&mut self, key: u64) {
        let number = self.versions.len() as u64;
        self.tell(format!("offer {key}: number {number}, varies"));
        self.tier().disk.offer_varies(super::key(key), &spec(), number);
        self.versions.push(Version::Varies);
        self.push(key, Some(number));
    }

    fn remove(&mut self, key: u64) {
        self.tell(format!("remove {key}"));
        self.tier().disk.remove(super::key(key));
        self.push(key, None);
    }

    /// The number of what is found under `key`, which is checked.
    fn read(&mut self, key: u64) -> Option<u64> {
        let shared = self.tier().disk.shared.clone();
        let is_inline = self.random.bool();
        let found = match shared.find(super::key(key)) {
            Found::Here(..) if !is_inline => shared.find_blocking(super::key(key)),
            Found::Cold => shared.find_blocking(super::key(key)),
            found => found,
        };
        let number = match found {
            Found::Here(Item::Response(found), _) => {
                let number = found.head.sequence.number;
                let Version::Response(stored) = self.versions[number as usize].clone() else {
                    panic!("{key}: number {number} is no response");
                };
                let start = self.random.u64(..=stored.len());
                let length = self.random.u64(..=stored.len() - start);
                assert_same(&found, &stored, start, length);
                number
            }
            Found::Here(Item::Varies(found, number), _) => {
                assert_eq!(found, spec());
                number
            }
            Found::Cold => panic!("a thread that may block finds nothing cold"),
            Found::Nothing => {
                self.tell(format!("read {key}: nothing"));
                return None;
            }
        };
        self.tell(format!("read {key}: number {number}"));
        let history = &mut self.histories[key as usize];
        let place = history.states.iter().position(|state| *state == Some(number));
        let place = place.unwrap_or_else(|| panic!("{key}: number {number} is another key's"));
        assert!(place >= history.alive, "{key}: number {number} is older than what is known");
        history.alive = place;
        Some(number)
    }

    fn read_all(&mut self) -> Vec<Option<u64>> {
        (0..KEYS).map(|key| self.read(key)).collect()
    }

    /// Keeps what is found as a response does that is still being sent.
    fn hold(&mut self, key: u64) {
        if self.held.len() < 2
            && let Found::Here(item, _) = self.shared().find_blocking(super::key(key))
            && let Item::Response(found) = &item
        {
            let number = found.head.sequence.number;
            if let Version::Response(stored) = self.versions[number as usize].clone() {
                self.tell(format!("hold {key}: number {number}"));
                self.held.push((stored, item));
            }
        }
    }

    /// Lets the writer do at most `count` jobs.
    fn perform(&mut self, count: usize) {
        let mut done = 0;
        while done < count && self.tier.as_mut().unwrap().perform(1) == 1 {
            self.unlinked.note(self.folder.path());
            done += 1;
        }
        self.tell(format!("perform {done}"));
    }

    fn flush(&mut self) {
        self.perform(usize::MAX);
        self.tell("flush".to_owned());
        self.tier.as_mut().unwrap().flush();
        self.unlinked.note(self.folder.path());
        let owed = self.owed();
        for (key, history) in self.histories.iter_mut().enumerate() {
            // A removal that has no room yet is durable once it has.
            if !owed.contains(&(key as u64)) {
                history.durable = history.alive;
            }
        }
        self.synced = files::all(self.folder.path());
        self.stood = (0..KEYS).filter_map(|key| Some((key, self.stands(key)?))).collect();
    }

    /// Keys of which a removal is not written yet: for that there is room once what a response
    /// still reads is not.
    fn owed(&self) -> Vec<u64> {
        let owed = &self.tier().writer.log.owed;
        assert!(owed.is_empty() || self.shared().segments.unlinked() > 0, "room for a removal");
        let is_owed = |key: &u64| owed.iter().any(|it| tag_of(*it) == tag_of(super::key(*key)));
        (0..KEYS).filter(is_owed).collect()
    }

    /// Where a key that would be found stands, and where the body of a reference does.
    fn stands(&self, key: u64) -> Option<(Location, Option<Location>)> {
        let location = self.shared().index.peek(tag_of(super::key(key)))?;
        let header = self.header(location)?;
        let state = |location: Location| location.with_uses(0).verified();
        if header.kind != Kind::Reference {
            return self.is_sound(location).then(|| (state(location), None));
        }
        let body = self.shared().index.peek(content_tag(&header.content))?;
        self.is_sound(body).then(|| (state(location), Some(state(body))))
    }

    /// Whether the body of a record is what its header says: a crash may have torn it.
    fn is_sound(&self, location: Location) -> bool {
        let Some(header) = self.header(location) else { return false };
        let segment = self.shared().segments.get(location).unwrap();
        let start = segment.range(location).unwrap().start + header.body_start() as usize;
        let body = segment.bytes(start..start + header.own_body() as usize);
        header.kind == Kind::Varies || *blake3::hash(body).as_bytes() == header.content
    }

    fn header(&self, location: Location) -> Option<Header> {
        let segment = self.shared().segments.get(location)?;
        let range = segment.range(location)?;
        Header::decode(segment.bytes(range), segment.mark).map(|(header, _)| header)
    }

    /// Ends and starts anew as a node does.
    fn restart(&mut self) {
        // What a crash tore is removed once it is read, for which the oldest may make room.
        self.read_all();
        self.flush();
        let before = self.read_all();
        self.tell("restart".to_owned());
        self.held.clear();
        self.tier.take().unwrap().close();
        self.start();
        self.expect(&before);
    }

    /// What was found is found again, unless a file is damaged.
    fn expect(&mut self, before: &[Option<u64>]) {
        let after = self.read_all();
        for (key, (before, after)) in before.iter().zip(&after).enumerate() {
            let is_lost = before.is_some() && before != after;
            assert!(!is_lost || self.is_damaged, "{key}: {before:?} became {after:?}");
        }
    }

    fn crash(&mut self) {
        self.held.clear();
        self.tier = None;
        for history in &mut self.histories {
            history.alive = history.durable;
        }
    }

    /// Ends between two jobs; what waits is lost.
    fn kill(&mut self) {
        let before = self.read_all();
        self.tell("kill".to_owned());
        self.crash();
        self.start();
        self.expect(&before);
    }

    /// Ends in the midst of a job.
    fn kill_within(&mut self) {
        let before = files::all(self.folder.path());
        self.perform(1);
        self.tell("kill within".to_owned());
        let standing = self.standing();
        self.crash();
        files::cut(self.folder.path(), &before, &mut self.random);
        self.start();
        self.expect_keys(&standing);
    }

    fn lose_power(&mut self) {
        let count = self.random.usize(..6);
        self.perform(count + 1);
        self.tell("lose power".to_owned());
        let standing = self.standing();
        self.crash();
        files::lose_power(self.folder.path(), &self.synced, &mut self.unlinked, &mut self.random);
        self.synced = files::all(self.folder.path());
        self.start();
        self.expect_keys(&standing);
    }

    /// Keys that stand where they stood at the last flush, and have not changed.
    fn standing(&self) -> Vec<u64> {
        let is_same = |key: &u64| {
            let history = &self.histories[*key as usize];
            history.durable + 1 == history.states.len()
                && self.stands(*key).is_some()
                && self.stands(*key) == self.stood.get(key).copied()
        };
        (0..KEYS).filter(is_same).collect()
    }

    fn expect_keys(&mut self, keys: &[u64]) {
        for &key in keys {
            let newest = self.histories[key as usize].states.last().copied().flatten();
            let found = self.read(key);
            assert!(found == newest || self.is_damaged, "{key}: {newest:?} became {found:?}");
        }
    }

    /// Flips bits between two starts.
    fn flip(&mut self) {
        self.perform(usize::MAX);
        self.is_damaged = true;
        self.crash();
        let paths = files::every(self.folder.path());
        for path in self.random.clone().choose_multiple(paths, 3) {
            self.tell(format!("flip a bit of {}", path.display()));
            files::flip(&path, &mut self.random);
        }
        for history in &mut self.histories {
            (history.durable, history.alive) = (0, 0);
        }
        self.stood.clear();
        self.start();
        self.read_all();
    }

    fn check(&mut self) {
        let shared = self.shared();
        assert!(files::size(self.folder.path()) <= self.size, "more than the size");
        assert!(shared.segments.on_disk() <= shared.segments_max);
        let (keys, _) = keys_and_bodies(shared);
        assert_eq!(shared.index.objects(), keys.len() as u64);
        let bytes: u64 = keys.iter().map(|(_, at)| at.length()).sum();
        assert_eq!(shared.index.bytes(), bytes);
        for (stored, item) in &self.held {
            let Item::Response(found) = item else { unreachable!("only responses are held") };
            if !self.is_damaged {
                assert_same(found, stored, 0, stored.len());
            }
        }
        if self.random.u8(..4) == 0 && !self.is_damaged {
            self.perform(usize::MAX);
            self.check_references();
        }
    }

    /// Every body is needed by as many keys as are counted; nothing waits.
    fn check_references(&mut self) {
        // What was read and could not be used is released with the next job.
        self.tier.as_mut().unwrap().settle();
        self.owed();
        let (keys, bodies) = keys_and_bodies(self.shared());
        assert_eq!(self.shared().waiting.load(Ordering::Relaxed), 0);
        let mut needed: HashMap<u64, u32> = HashMap::new();
        for (tag, at) in &keys {
            let header = self.header(*at).expect("a record that can be read");
            assert_eq!(tag_of(CacheKey::from_u128(header.key)), *tag);
            if header.body > 0 {
                *needed.entry(content_tag(&header.content)).or_default() += 1;
            }
        }
        for (tag, at) in &bodies {
            let header = self.header(*at).expect("a body that can be read");
            assert!(header.kind.has_body() && content_tag(&header.content) == *tag);
            assert!(needed.contains_key(tag), "a body that no key needs");
        }
        let references = &self.tier().writer.log.references;
        for (content, needed) in needed {
            let stands = self.shared().index.peek(content).is_some();
            let counted = references.count(content).unwrap_or(u32::from(stands));
            assert_eq!(counted, needed, "keys that need {content:016x}, which stands: {stands}");
        }
    }
}

type Entries = Vec<(u64, Location)>;

/// What the index holds.
fn keys_and_bodies(shared: &Shared) -> (Entries, Entries) {
    let mut all = Vec::new();
    shared.index.each(|tag, at| all.push((tag, at)));
    all.into_iter().partition(|(_, at)| !at.is_of_body())
}
