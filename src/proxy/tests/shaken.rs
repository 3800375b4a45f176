//! Store, rules and flights shaken by a seed: look-ups, fetches, purges, unsafe requests, clients
//! that leave. After each step nothing that a purge or an unsafe request has displaced is found.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use prometheus::IntCounter;
use tempfile::TempDir;

use crate::collapse::{Flights, Follower, Join, Landing, Leader};
use crate::message::FieldBlock;
use crate::object::tests::target;
use crate::object::{
    CacheKey, Coverage, ObjectHead, PurgeKind, PurgeRule, PurgeState, Selection, Stored, UrlKey,
    Variant, VarySpec,
};
use crate::store::{
    CacheDirectory, DiskConfig, KnownLog, Lookup, RuleBounds, Rules, Store, StoreLimits,
};

const KEYS: usize = 3;
const FLIGHTS_MAX: usize = 6;
const SEEDS: u64 = 200;
const STEPS: usize = 300;

/// Seeds of which one shakes a store whose memory holds nothing.
const ON_DISK_ONE_IN: u64 = 8;

const LIMITS: StoreLimits =
    StoreLimits { memory: 1, variants: 2, rules: RuleBounds { rules: 4, wildcards: 1 } };

/// A store that finds everything in the disk's queue or on the disk.
fn on_disk() -> (Store, Option<TempDir>) {
    let folder = tempfile::tempdir().unwrap();
    let directory = CacheDirectory::open(folder.path()).unwrap();
    let config = DiskConfig {
        size: 64 << 20,
        queue: 1 << 20,
        readers: 1,
        checkpoint: Duration::from_secs(3600),
        scrub: 0,
        errors: IntCounter::new("errors", "errors").unwrap(),
    };
    let rules = Rules::new(LIMITS.rules);
    let store = Store::open(LIMITS, rules, directory, &config, KnownLog::unkept(1)).unwrap();
    (store, Some(folder))
}

struct Shaken {
    rng: fastrand::Rng,
    store: Store,
    /// Where the disk tier is, if there is one; dropped behind the store.
    _folder: Option<TempDir>,
    flights: Arc<Flights>,
    /// What the origin says now, by key.
    version: [u64; KEYS],
    /// The least that may be served, by key.
    required: [u64; KEYS],
    fetches: Vec<Fetch>,
    followers: Vec<(usize, Follower)>,
    number: usize,
}

/// A fetch under way. Its sequence was taken before its version: the worst order there is.
struct Fetch {
    number: usize,
    key: usize,
    at: CacheKey,
    version: u64,
    variant: Option<Variant>,
    leader: Leader,
    abandoned: bool,
}

fn path(key: usize) -> String {
    format!("/{key}")
}

fn primary(key: usize) -> CacheKey {
    CacheKey::new(0, b"h", path(key).as_bytes(), None, b"")
}

/// Key 0 does not vary; the others do, by a field whose value is the number.
fn selection(key: usize, value: u8) -> Option<Variant> {
    let spec = VarySpec::parse([&b"x"[..]]);
    (key > 0).then(|| Variant { spec, selection: Selection::from_slice(&[value]) })
}

impl Shaken {
    fn new(seed: u64) -> Self {
        let (store, folder) = match seed % ON_DISK_ONE_IN {
            0 => on_disk(),
            _ => (Store::new(StoreLimits { memory: 1 << 20, ..LIMITS }), None),
        };
        Self {
            rng: fastrand::Rng::with_seed(seed),
            store,
            _folder: folder,
            flights: Arc::new(Flights::new(FLIGHTS_MAX)),
            version: [0; KEYS],
            required: [0; KEYS],
            fetches: Vec::new(),
            followers: Vec::new(),
            number: 0,
        }
    }

    fn step(&mut self) {
        if self.rng.u8(..4) == 0 {
            self.store.flush();
        }
        let key = self.rng.usize(..KEYS);
        match self.rng.u8(..12) {
            0..4 => self.ask(key),
            4..6 => self.complete(),
            6 => self.fail(),
            7 => self.follower_leaves(),
            8 => self.purge(key, PurgeKind::Hard),
            9 => self.purge(key, PurgeKind::Soft),
            10 => self.change(key),
            // Of something else, so that judgements are remembered and taken anew.
            _ => self.publish(target("/else").exact(), PurgeKind::Hard),
        }
    }

    /// A request: what is found is checked, else it joins a flight.
    fn ask(&mut self, key: usize) {
        let value = self.rng.u8(..3);
        let found = self.lookup(key, value);
        let Lookup::Missing(at) = found else { return };
        let rules = self.store.rules();
        let serves = |since, _: Option<&Landing>| {
            rules.url_state_since(since, &target(&path(key))) == PurgeState::Clean
        };
        match self.flights.join(primary(key), at, rules.head(), serves) {
            Join::Leader(leader) => {
                let (number, version) = (self.number, self.version[key]);
                let variant = selection(key, value);
                let abandoned = false;
                self.number += 1;
                self.fetches.push(Fetch { number, key, at, version, variant, leader, abandoned });
            }
            Join::Follower(follower) => {
                // The latest: if any serves this request, that one does.
                let same = self.fetches.iter().filter(|fetch| fetch.at == at && !fetch.abandoned);
                let joined = same.max_by_key(|fetch| fetch.number).unwrap();
                assert!(joined.version >= self.required[key], "joined what was displaced");
                self.followers.push((joined.number, follower));
            }
            Join::Alone => assert_eq!(self.flights.count(), FLIGHTS_MAX),
        }
    }

    fn lookup(&self, key: usize, value: u8) -> Lookup {
        let found = self.store.lookup(primary(key), |_, out| out.push(value));
        if let Lookup::Found(_, stored) = &found {
            let hard = self.store.rules().judge(&stored.head) == PurgeState::Hard;
            let body: Vec<u8> = stored.pieces(0, stored.len()).flatten().collect();
            let version = u64::from_le_bytes(body[..8].try_into().unwrap());
            assert!(hard || version >= self.required[key], "key {key}: {version} is displaced");
            assert_eq!(body[8..], if key > 0 { vec![value] } else { vec![] }, "another's variant");
            if hard {
                return Lookup::Missing(found.key());
            }
        }
        found
    }

    fn any_fetch(&mut self) -> Option<Fetch> {
        let count = self.fetches.len();
        (count > 0).then(|| self.fetches.swap_remove(self.rng.usize(..count)))
    }

    fn complete(&mut self) {
        let Some(fetch) = self.any_fetch() else { return };
        let selected = fetch.variant.iter().flat_map(|variant| variant.selection.to_vec());
        let body: Vec<u8> = fetch.version.to_le_bytes().into_iter().chain(selected).collect();
        let (sequence, block) = (fetch.leader.sequence(), FieldBlock::default());
        let (status, path) = (StatusCode::OK, path(fetch.key));
        let target = target(&path);
        let head = ObjectHead::new(status, Default::default(), sequence, &block, None, &target);
        let stored = Arc::new(Stored::new(&head, &[body.into()]));
        let insert =
            || self.store.insert(primary(fetch.key), fetch.variant.as_ref(), stored.clone());
        assert_eq!(fetch.leader.keep(insert), !fetch.abandoned);
        fetch.leader.land(Landing::Validated(stored));
        self.over(fetch, false);
    }

    /// A fill that panics or is given up.
    fn fail(&mut self) {
        if let Some(fetch) = self.any_fetch() {
            self.over(fetch, true);
        }
    }

    /// Nobody waits for a flight that is over.
    fn over(&mut self, fetch: Fetch, failed: bool) {
        let number = fetch.number;
        drop(fetch);
        for (_, mut follower) in self.followers.extract_if(.., |(of, _)| *of == number) {
            let landing = follower.landing().now_or_never();
            assert_eq!(matches!(landing, Some(Landing::Failed)), failed, "{landing:?}");
        }
    }

    fn follower_leaves(&mut self) {
        if !self.followers.is_empty() {
            let count = self.followers.len();
            self.followers.swap_remove(self.rng.usize(..count));
        }
    }

    fn purge(&mut self, key: usize, kind: PurgeKind) {
        self.version[key] += 1;
        let path = path(key);
        let url = match self.rng.bool() {
            true => target(&path).any_query(),
            false => target(&path).exact(),
        };
        self.publish(url, kind);
        if kind == PurgeKind::Hard {
            self.required[key] = self.version[key];
        }
    }

    fn publish(&self, url: UrlKey, kind: PurgeKind) {
        let rules = self.store.rules();
        let rule = PurgeRule { site: None, covers: Coverage::Url(url) };
        rules.publish(Some(&rule), kind, rules.head().number + 1);
    }

    /// An unsafe request that succeeded.
    fn change(&mut self, key: usize) {
        self.version[key] += 1;
        self.flights.abandon(primary(key), None);
        self.store.remove(primary(key));
        self.required[key] = self.version[key];
        for fetch in self.fetches.iter_mut().filter(|fetch| fetch.key == key) {
            fetch.abandoned = true;
        }
    }

    fn check(&self) {
        for key in 0..KEYS {
            for value in 0..3 {
                self.lookup(key, value);
            }
        }
        let joinable = self.fetches.iter().filter(|fetch| !fetch.abandoned).count();
        assert_eq!(self.flights.count(), joinable);
        assert!(joinable <= FLIGHTS_MAX);
    }
}

#[test]
fn nothing_displaced_is_ever_found() {
    for seed in 0..SEEDS {
        let shaking = std::panic::catch_unwind(|| {
            let mut shaken = Shaken::new(seed);
            for _ in 0..STEPS {
                shaken.step();
                shaken.check();
            }
        });
        assert!(shaking.is_ok(), "seed {seed}");
    }
}
