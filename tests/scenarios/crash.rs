//! `kill -9` at any instant: nothing wrong is served afterwards, nothing purged returns, and what
//! was on disk is a hit.
//!
//! ```text
//!  round   settle: some keys are stored for sure ─► shake: gets, posts, purges, versions ─► kill
//!          start ─► judge: every answer against what the origin has, while it refuses
//! ```
//!
//! Beside the keys there are films, which are stored in slices and change now and then: what is
//! served of them is of one version, that of its entity tag, or is cut visibly.
//!
//! `HEADLAND_KILL_ROUNDS` says how many rounds, `HEADLAND_SEED` repeats a run as far as scheduling
//! lets it be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::client::Seen;
use crate::support::disk::{SMALL, body};
use crate::support::door::Door;
use crate::support::{Ask, Client, DiskScene, Film, Protocol, Reply, eventually, within};

/// Keys that are asked for; their bodies together are larger than the disk tier.
const KEYS: usize = 800;
/// Of so many, every second shares its bodies with the one before it.
const TWINS: usize = 200;
/// Keys that a round stores for sure, and the bytes that they may have.
const SETTLED: (usize, usize) = (8, 4 << 20);
/// Bytes that may be stored after them before the oldest of them may be evicted.
const SHAKEN_MAX: u64 = 8 << 20;
/// Most requests that are answered before the kill.
const SHAKES_MAX: usize = 200;
/// Keys that are judged after each start.
const JUDGED: usize = 60;
/// A key that is stored after them, and too large for memory to keep: where it comes from the disk,
/// all that came before is there.
const LAST: usize = KEYS;

/// Films, and bytes of each and of a slice.
const FILMS: usize = 3;
const FILM: u64 = 5 << 20;
const SLICE: u64 = 64 << 10;
/// Ranges of each that are asked for after each start.
const SCENES: usize = 8;

/// What the origin has, and what was promised of it.
struct World {
    /// Of each key the version that the origin has.
    versions: Vec<AtomicU64>,
    /// Of each key the oldest version that may be served.
    floors: Vec<AtomicU64>,
    /// The same of each film: its version, and the oldest.
    films: [(AtomicU64, AtomicU64); FILMS],
    /// Whether the origin has nothing to say.
    refuses: AtomicBool,
    /// Whether the node is being killed.
    is_over: AtomicBool,
    /// Tells when it is to be killed.
    over: Notify,
    /// Bytes that the origin gave.
    given: AtomicU64,
}

/// What came of all rounds.
#[derive(Debug, Default)]
struct Tally {
    settled: usize,
    evictable: usize,
    hits: usize,
    misses: usize,
    scenes: usize,
    scenes_lost: usize,
    slices: u64,
    evictions: u64,
}

#[tokio::test]
async fn a_killed_node_serves_nothing_wrong_and_loses_nothing_stored() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let rounds = number("HEADLAND_KILL_ROUNDS").unwrap_or(60);
    let seed = number("HEADLAND_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HEADLAND_KILL_ROUNDS={rounds} HEADLAND_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let world = Arc::new(World::new());
    let cache = format!("{SMALL}slice = \"64KiB\"\nmax_object = \"1MiB\"");
    let mut scene = DiskScene::with(Protocol::H2, &cache, |home| home).await;
    let origin = world.clone();
    scene.origin.otherwise(move |target| origin.reply(target));
    let mut tally = Tally::default();
    for round in 0..rounds {
        let settled = settle(&scene, &world, &mut random).await;
        tally.evictions += scene.evictions().await;
        shake(&scene, &world, &settled, &mut random).await;
        scene.end("KILL").await;
        scene.start().await;
        judge(&scene, &world, &settled, &mut random, &mut tally).await;
        judge_films(&scene, &world, &mut random, &mut tally).await;
        assert!(scene.lives(), "round {round}");
    }
    println!("{tally:?}");
    assert!(10 * tally.hits > tally.misses, "{tally:?}");
    assert!(tally.settled > tally.evictable, "{tally:?}");
    assert!(tally.evictions > 0 && tally.slices > rounds / 2 || rounds < 30, "{tally:?}");
}

#[tokio::test]
async fn what_was_in_use_before_a_kill_is_kept_after_it() {
    const EACH: u64 = 8;
    let mut scene = DiskScene::new(Protocol::H1).await;
    scene.origin.otherwise(|target| {
        let size = if target.starts_with("/new") { 1 << 20 } else { 128 << 10 };
        Reply::fresh(body(target, size))
    });
    let of = |kind: &str| (0..EACH).map(|index| format!("/{kind}-{index}")).collect::<Vec<_>>();
    let (used, unused) = (of("used"), of("unused"));
    for target in unused.iter().chain(&used) {
        scene.get(target).await;
    }
    scene.stored(2 * EACH).await;
    scene.restart().await;
    for target in &used {
        assert!(scene.get(target).await.is_hit());
    }
    let file = scene.cache().join("recency");
    let noted = async || std::fs::metadata(&file).is_ok_and(|file| file.len() >= 8 * EACH + 16);
    eventually("what was used is noted", noted).await;
    scene.end("KILL").await;
    scene.start().await;
    let is_written = async || scene.tier().await["waiting_bytes"] == 0;
    // Round and round, since a full disk takes a key at its second offer.
    for target in (0..70).cycle().take(500).map(|index| format!("/new-{index}")) {
        if scene.evictions().await >= EACH {
            break;
        }
        scene.get(&target).await;
        // What waits is found, and not offered again.
        eventually("all written", is_written).await;
    }
    let hits = async |targets: &[String]| {
        let before = scene.disk_hits().await;
        for target in targets {
            assert!(scene.get(target).await.body == body(target, 128 << 10));
        }
        scene.disk_hits().await - before
    };
    assert_eq!((hits(&used).await, hits(&unused).await), (EACH, 0));
}

/// Stores some keys and waits until they are on disk.
async fn settle(scene: &DiskScene, world: &World, random: &mut Rng) -> Vec<usize> {
    let (mut keys, mut bytes) = (Vec::new(), 0);
    while keys.len() < SETTLED.0 {
        let key = random.usize(TWINS..KEYS);
        if bytes + size_of(key) <= SETTLED.1 && !keys.contains(&key) {
            bytes += size_of(key);
            keys.push(key);
        }
    }
    // Twice, since a full disk takes a key at its second offer.
    for _ in 0..2 {
        let all = || keys.iter().copied().chain([LAST]);
        join_all(all().map(|key| world.renew(scene.door(), key))).await;
        for key in all() {
            let seen = scene.get(&target(key)).await;
            world.check(key, &seen, world.floors[key].load(SeqCst));
        }
    }
    let is_stored = async || {
        let before = scene.disk_hits().await;
        scene.get(&target(LAST)).await;
        scene.disk_hits().await > before
    };
    eventually("the last of them on disk", is_stored).await;
    world.given.store(0, SeqCst);
    keys
}

/// Asks and purges at random over every protocol, and is over after a random number of answers,
/// with others on their way.
async fn shake(scene: &DiskScene, world: &Arc<World>, settled: &[usize], random: &mut Rng) {
    world.is_over.store(false, SeqCst);
    let left = Arc::new(AtomicU64::new(random.u64(1..SHAKES_MAX as u64)));
    let mut shaking = Vec::new();
    for protocol in [Protocol::H1, Protocol::H2, Protocol::H3, Protocol::H1] {
        let client = Client::to(scene.place(), protocol).await.unwrap();
        let door = Door::at(scene.node().address("admin"), scene.place()).await;
        let (world, left, settled) = (world.clone(), left.clone(), settled.to_vec());
        let mut random = random.fork();
        shaking.push(tokio::spawn(async move {
            while !world.is_over.load(SeqCst) {
                let key = random.usize(..KEYS);
                if random.u8(..10) == 0 {
                    world.touch_film(&client, &door, key % FILMS, &mut random).await;
                } else if !settled.contains(&key) {
                    world.touch(&client, &door, key, &mut random).await;
                }
                if left.fetch_sub(1, SeqCst) == 1 {
                    world.is_over.store(true, SeqCst);
                    world.over.notify_one();
                }
            }
        }));
    }
    within("the instant of the kill", world.over.notified()).await;
    scene.node().signal("KILL");
    for each in shaking {
        // Over QUIC a client is not told that the other side is gone.
        each.abort();
        if let Err(error) = each.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

/// Asks for what was stored and for others, while the origin refuses.
async fn judge(
    scene: &DiskScene,
    world: &World,
    settled: &[usize],
    random: &mut Rng,
    tally: &mut Tally,
) {
    world.refuses.store(true, SeqCst);
    let is_evictable = world.given.load(SeqCst) > SHAKEN_MAX;
    let others = std::iter::repeat_with(|| random.usize(..KEYS)).take(JUDGED);
    let keys: Vec<_> = settled.iter().copied().chain(others).collect();
    let client = scene.client().await;
    let answers = join_all(keys.iter().map(async |key| client.get(&target(*key)).await)).await;
    for (index, (key, seen)) in keys.iter().copied().zip(answers).enumerate() {
        let is_hit = world.check(key, &seen, world.floors[key].load(SeqCst));
        if index >= settled.len() {
            *(if is_hit { &mut tally.hits } else { &mut tally.misses }) += 1;
        } else if is_evictable {
            tally.evictable += 1;
        } else {
            assert!(is_hit, "key {key} of {} bytes was stored", size_of(key));
            tally.settled += 1;
        }
    }
    world.refuses.store(false, SeqCst);
}

/// Asks for parts of the films while the origin refuses.
async fn judge_films(scene: &DiskScene, world: &World, random: &mut Rng, tally: &mut Tally) {
    world.refuses.store(true, SeqCst);
    let client = scene.client().await;
    for film in (0..FILMS).cycle().take(SCENES * FILMS) {
        let floor = world.films[film].1.load(SeqCst);
        let (first, last) = scene_of(random);
        // What is stored only in part breaks off.
        let is_here = match client.ask(ask_for(film, first, last)).await {
            Ok(seen) => world.check_film(film, &seen, floor, (first, last)),
            Err(_) => false,
        };
        *(if is_here { &mut tally.scenes } else { &mut tally.scenes_lost }) += 1;
    }
    world.refuses.store(false, SeqCst);
    tally.slices += scene.door().metric("headland_slices_total{source=\"disk\"}").await as u64;
}

impl World {
    fn new() -> Self {
        let zeros = || (0..=KEYS).map(|_| AtomicU64::new(0)).collect();
        Self {
            versions: zeros(),
            floors: zeros(),
            films: Default::default(),
            refuses: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
            given: AtomicU64::new(0),
        }
    }

    /// What the origin says.
    fn reply(&self, target: &str) -> Reply {
        if self.refuses.load(SeqCst) {
            return Reply::new(404).field("cache-control", "no-store");
        }
        if let Some(film) = target.strip_prefix("/film-") {
            let film = film.parse().unwrap();
            self.given.fetch_add(SLICE, SeqCst);
            return Reply::film(film_of(film, self.films[film].0.load(SeqCst)));
        }
        let key: usize = target[1..].parse().unwrap();
        let version = self.versions[key].load(SeqCst);
        self.given.fetch_add(size_of(key) as u64, SeqCst);
        Reply::fresh(body_of(key, version))
            .field("x-version", &version.to_string())
            .field("surrogate-key", &format!("all key-{key}"))
    }

    /// One thing that may happen to a key.
    async fn touch(&self, client: &Client, door: &Door, key: usize, random: &mut Rng) {
        match random.u8(..10) {
            0..2 => self.renew(door, key).await,
            2 => drop(self.versions[key].fetch_add(1, SeqCst)),
            3 => self.change(client, key).await,
            _ => {
                let floor = self.floors[key].load(SeqCst);
                match client.ask(Ask::get(&target(key))).await {
                    Ok(seen) if seen.status == 200 => drop(self.check(key, &seen, floor)),
                    Ok(seen) => assert!(self.is_over.load(SeqCst), "{}", seen.status),
                    Err(error) => assert!(self.is_over.load(SeqCst), "{error}"),
                }
            }
        }
    }

    /// The origin has a new version, and the older ones are purged.
    async fn renew(&self, door: &Door, key: usize) {
        let version = self.versions[key].fetch_add(1, SeqCst) + 1;
        let command = match version % 3 {
            0 => json!({ "kind": "url", "value": format!("https://shop.example{}", target(key)) }),
            1 => json!({ "kind": "url", "value": format!("https://*.example{}", target(key)) }),
            _ => json!({ "kind": "tag", "value": format!("key-{key}"), "site": "shop" }),
        };
        if door.tries_to_purge(command).await {
            self.floors[key].fetch_max(version, SeqCst);
        } else {
            assert!(self.is_over.load(SeqCst), "a purge failed");
        }
    }

    /// A client makes a new version, so the older ones are invalid (RFC 9111 section 4.4).
    async fn change(&self, client: &Client, key: usize) {
        let version = self.versions[key].fetch_add(1, SeqCst) + 1;
        match client.ask(Ask::new("POST", &target(key)).content("x")).await {
            Ok(seen) if seen.status == 200 => drop(self.floors[key].fetch_max(version, SeqCst)),
            Ok(seen) => assert!(self.is_over.load(SeqCst), "{}", seen.status),
            Err(error) => assert!(self.is_over.load(SeqCst), "{error}"),
        }
    }

    /// One thing that may happen to a film.
    async fn touch_film(&self, client: &Client, door: &Door, film: usize, random: &mut Rng) {
        let (version, floor) = &self.films[film];
        match random.u8(..40) {
            0 => {
                let fresh = version.fetch_add(1, SeqCst) + 1;
                let url = format!("https://shop.example/film-{film}");
                if door.tries_to_purge(json!({ "kind": "prefix", "value": url })).await {
                    floor.fetch_max(fresh, SeqCst);
                } else {
                    assert!(self.is_over.load(SeqCst), "a purge failed");
                }
            }
            1 => drop(version.fetch_add(1, SeqCst)),
            _ => {
                let floor = floor.load(SeqCst);
                let (first, last) = scene_of(random);
                // One that meets another version on its way is cut.
                if let Ok(seen) = client.ask(ask_for(film, first, last)).await {
                    self.check_film(film, &seen, floor, (first, last));
                }
            }
        }
    }

    /// Judges an answer of a film that was asked for when `floor` held; whether it has the part.
    fn check_film(&self, film: usize, seen: &Seen, floor: u64, (first, last): (u64, u64)) -> bool {
        if seen.status != 206 {
            let is_refusal = seen.status == 404 && self.refuses.load(SeqCst);
            assert!(is_refusal || seen.status >= 500, "film {film}: {}", seen.status);
            return false;
        }
        let etag = seen.field("etag");
        let told: u64 = etag.trim_matches('"')["film-".len()..].parse().unwrap();
        let version = told - film_of(film, 0).version;
        let newest = self.films[film].0.load(SeqCst);
        assert!(
            (floor..=newest).contains(&version),
            "film {film}: {version} of {floor}..={newest}"
        );
        let is_same = seen.body == film_of(film, version).bytes(first, last + 1);
        assert!(is_same, "film {film}, version {version}, {first} to {last}: other bytes");
        true
    }

    /// Judges an answer that was asked for when `floor` held; whether it came from the node.
    fn check(&self, key: usize, seen: &Seen, floor: u64) -> bool {
        if seen.status == 404 {
            assert!(self.refuses.load(SeqCst));
            return false;
        }
        assert_eq!(seen.status, 200, "key {key}");
        let version: u64 = seen.field("x-version").parse().unwrap();
        let newest = self.versions[key].load(SeqCst);
        assert!((floor..=newest).contains(&version), "key {key}: {version} of {floor}..={newest}");
        assert!(seen.body == body_of(key, version), "key {key}, version {version}: other bytes");
        seen.is_hit()
    }
}

fn target(key: usize) -> String {
    format!("/{key}")
}

/// A version of a film: no two have the same bytes.
fn film_of(film: usize, version: u64) -> Film {
    Film { version: film as u64 * 10_000 + version, ..Film::new(FILM) }
}

/// Where a part begins and ends: most are near the beginning.
fn scene_of(random: &mut Rng) -> (u64, u64) {
    let within = if random.u8(..8) == 0 { FILM } else { 2 * SLICE };
    let first = random.u64(..within);
    (first, (first + random.u64(..SLICE)).min(FILM - 1))
}

fn ask_for(film: usize, first: u64, last: u64) -> Ask {
    Ask::get(&format!("/film-{film}")).field("range", &format!("bytes={first}-{last}"))
}

/// The key that has the same bodies.
fn twin_of(key: usize) -> usize {
    if key < TWINS { key / 2 * 2 } else { key }
}

/// From 100 bytes to 1 MiB, as many of each magnitude.
fn size_of(key: usize) -> usize {
    if key == LAST {
        return 1 << 20;
    }
    let part = Rng::with_seed(twin_of(key) as u64).f64();
    (100.0 * (f64::from(1 << 20) / 100.0).powf(part)) as usize
}

fn body_of(key: usize, version: u64) -> Bytes {
    body(&format!("{} {version}", twin_of(key)), size_of(key))
}
