//! Whatever becomes of the disk, clients get the right bytes and the node lives.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::disk::{SMALL, body};
use crate::support::faults::{Clock, Rules, SmallDisk};
use crate::support::process::{Home, NodeProcess};
use crate::support::{Ask, DiskScene, Protocol, Reply, Setup, eventually};

const EIO: i32 = 5;
const EFAULT: i32 = 14;
const EROFS: i32 = 30;

/// With its head too large for memory, and for being taken there when it is used.
const LARGE: usize = 1 << 20;

impl DiskScene {
    /// Has the origin say a body of this name.
    fn says(&self, target: &str, length: usize) {
        self.origin.now(target, Reply::fresh(body(target, length)));
    }

    /// Asks for bodies that [`Self::says`] named; how many of them came from the disk.
    async fn gets(&self, targets: &[String]) -> usize {
        let before = self.disk_hits().await;
        for target in targets {
            let seen = self.get(target).await;
            assert_eq!(seen.status, 200, "{target}");
            let length = seen.field("content-length").parse().unwrap();
            assert!(seen.body == body(target, length), "{target}: other bytes");
        }
        (self.disk_hits().await - before) as usize
    }

    /// Objects that are too large for memory, said by the origin and not asked for yet.
    fn large(&self, prefix: &str, count: usize) -> Vec<String> {
        let targets: Vec<_> = (0..count).map(|index| format!("/{prefix}-{index}")).collect();
        targets.iter().for_each(|target| self.says(target, LARGE));
        targets
    }

    /// Waits until what is asked for is a hit.
    async fn is_stored(&self, targets: &[String]) {
        let stored = async || self.gets(targets).await == targets.len();
        eventually("hits of the disk", stored).await;
    }

    /// Waits until the tier has stepped aside, which what is asked for makes it see.
    async fn steps_aside(&self) {
        self.aside(true).await;
        assert!(self.disk_errors().await > 0);
    }
}

#[tokio::test]
async fn a_small_disk_holds_what_it_can() {
    let disk = SmallDisk::mount(20);
    let mut scene = DiskScene::with(Protocol::H1, &over(disk.path()), |home| home).await;
    let targets = scene.large("many", 40);
    scene.gets(&targets).await;
    scene.gets(&targets).await;
    assert!(scene.tier().await["aside"].is_null());
    // Without an origin, so that nothing new takes the place of what is found.
    scene.origin.stop();
    scene.restart().await;
    let found = scene.tier().await["objects"].as_u64().unwrap() as usize;
    assert!(found > 0);
    let before = scene.disk_hits().await;
    let mut held = Vec::new();
    for target in &targets {
        let seen = scene.get(target).await;
        if seen.status == 200 {
            assert!(seen.body == body(target, LARGE), "{target}: other bytes");
            held.push(target);
        }
    }
    assert_eq!(held.len(), found, "{held:?}");
    assert_eq!(scene.disk_hits().await - before, found as u64);
    assert!(scene.lives());
}

#[tokio::test]
async fn a_full_disk_is_left_alone_until_it_has_room() {
    let disk = SmallDisk::mount(20);
    disk.fill(16);
    let mut scene = DiskScene::with(Protocol::H2, &over(disk.path()), |home| home).await;
    let targets = scene.large("early", 3);
    assert_eq!(scene.gets(&targets).await, 0);
    scene.steps_aside().await;
    let why = scene.tier().await["aside"].to_string();
    assert!(why.contains("No space left"), "{why}");
    assert_eq!(scene.gets(&targets).await, 0);
    disk.free();
    scene.aside(false).await;
    scene.is_stored(&targets).await;
    scene.origin.stop();
    scene.restart().await;
    assert_eq!(scene.gets(&targets).await, targets.len());
}

#[tokio::test]
async fn a_disk_that_others_fill_is_told_of_and_used_again_once_it_has_room() {
    const SEGMENT: u64 = 8 << 20;
    let disk = SmallDisk::mount(40);
    let scene = DiskScene::with(Protocol::H1, &over(disk.path()), |home| home).await;
    scene.is_stored(&scene.large("early", 3)).await;
    disk.fill(30);
    let late = scene.large("late", 12);
    scene.gets(&late).await;
    let is_short = async || scene.tier().await["short"].is_string();
    eventually("a disk that runs short", is_short).await;
    let tier = scene.tier().await;
    let why = tier["short"].to_string();
    assert!(why.contains("has no room for another segment: No space left"), "{why}");
    assert_eq!((&tier["capacity_bytes"], tier["aside"].is_null()), (&json!(SEGMENT), true));
    assert!(scene.door().metric("headland_store_short{tier=\"disk\"}").await == 1.0);
    scene.node().logged("the disk tier runs short").await;
    disk.free();
    eventually("room", async || !is_short().await).await;
    assert_eq!(scene.tier().await["capacity_bytes"], 8 * SEGMENT);
    // At their first offer.
    let fresh = scene.large("fresh", 5);
    scene.gets(&fresh).await;
    let is_written = async || scene.tier().await["waiting_bytes"] == 0;
    eventually("what waits to be written", is_written).await;
    assert_eq!(scene.gets(&fresh).await, fresh.len());
}

#[tokio::test]
async fn a_disk_that_fails_writes_is_read_and_comes_back() {
    let writes = [("pwritev", ".segment", EIO)];
    fails_to_write(Protocol::H1, &writes, "Input/output").await;
}

#[tokio::test]
async fn a_disk_that_turns_read_only_is_read_and_comes_back() {
    // What is synced there by then does not fail.
    let calls = ["pwritev", "pwrite64", "fallocate", "openat"];
    let rules = calls.map(|call| (call, "/cache/", EROFS));
    fails_to_write(Protocol::H3, &rules, "Read-only").await;
}

async fn fails_to_write(protocol: Protocol, rules: &[(&str, &str, i32)], word: &str) {
    let (mut scene, disk) = faulty(protocol).await;
    let early = scene.large("early", 2);
    scene.is_stored(&early).await;
    disk.fail(rules);
    let late = scene.large("late", 2);
    assert_eq!(scene.gets(&late).await, 0);
    scene.steps_aside().await;
    let why = scene.tier().await["aside"].to_string();
    assert!(why.contains(word), "{why}");
    // What was stored still is; what comes is served, and not stored, which is counted.
    assert!(scene.tier().await["refused"].as_u64() >= Some(late.len() as u64));
    assert_eq!(scene.gets(&early).await, early.len());
    assert_eq!(scene.gets(&late).await, 0);
    // What is removed meanwhile stays so.
    scene.ask(Ask::new("DELETE", &early[0])).await;
    assert_eq!(scene.gets(&early[..1]).await, 0);
    disk.heal();
    scene.aside(false).await;
    scene.is_stored(&late).await;
    scene.restart().await;
    assert_eq!(scene.gets(&late).await, late.len());
    assert_eq!(scene.gets(&early[1..]).await, 1);
    assert!(scene.lives());
}

#[tokio::test]
async fn what_could_not_be_synced_is_not_trusted() {
    let (mut scene, disk) = faulty(Protocol::H2).await;
    let targets = scene.large("early", 2);
    disk.fail(&[("fdatasync", ".segment", EIO)]);
    scene.gets(&targets).await;
    scene.steps_aside().await;
    assert_eq!(scene.gets(&targets).await, 0);
    disk.heal();
    scene.aside(false).await;
    scene.is_stored(&targets).await;
    scene.restart().await;
    assert_eq!(scene.gets(&targets).await, targets.len());
}

#[tokio::test]
async fn what_cannot_be_read_is_fetched() {
    let (mut scene, disk) = faulty(Protocol::H2).await;
    let targets = scene.large("early", 3);
    scene.is_stored(&targets).await;
    scene.restart().await;
    disk.fail(&[("madvise", "-", EFAULT)]);
    assert_eq!(scene.gets(&targets).await, 0);
    assert!(scene.disk_errors().await >= 3);
    disk.heal();
    scene.is_stored(&targets).await;
    // Nor at the start, where even the segments cannot be read.
    scene.end("TERM").await;
    disk.fail(&[("madvise", "-", EFAULT)]);
    scene.start().await;
    assert_eq!(scene.gets(&targets).await, 0);
    disk.heal();
    scene.is_stored(&targets).await;
    scene.restart().await;
    assert_eq!(scene.gets(&targets).await, targets.len());
    assert!(scene.lives());
}

#[tokio::test]
async fn a_purge_that_cannot_be_journaled_is_refused() {
    let (mut scene, disk) = faulty(Protocol::H1).await;
    scene.says("/", 1000);
    scene.get("/").await;
    scene.stored(1).await;
    for call in ["pwrite64", "fdatasync"] {
        disk.fail(&[(call, "purges.journal", EIO)]);
        let command = json!({ "kind": "url", "value": "https://shop.example/" });
        assert!(!scene.door().tries_to_purge(command).await);
        assert!(scene.get("/").await.is_hit(), "what is refused has no effect");
    }
    disk.heal();
    scene.door().purge_url("https://shop.example/").await;
    scene.restart().await;
    assert!(!scene.get("/").await.is_hit());
}

#[tokio::test]
async fn a_directory_that_is_moved_away_and_back_is_used_again() {
    let mut scene = DiskScene::new(Protocol::H3).await;
    let early = scene.large("early", 2);
    scene.is_stored(&early).await;
    let away = scene.home.path().join("away");
    std::fs::rename(scene.cache(), &away).unwrap();
    let late = scene.large("late", 9);
    assert_eq!(scene.gets(&late).await, 0);
    scene.steps_aside().await;
    // Its files are open still.
    assert_eq!(scene.gets(&early).await, early.len());
    std::fs::rename(&away, scene.cache()).unwrap();
    scene.aside(false).await;
    scene.is_stored(&late).await;
    scene.restart().await;
    assert_eq!(scene.gets(&early).await + scene.gets(&late).await, early.len() + late.len());
}

/// What waits for nothing but the next segment would be lost to the next start until then.
#[tokio::test]
async fn a_directory_that_is_moved_away_is_missed_before_it_is_needed() {
    let scene = DiskScene::new(Protocol::H1).await;
    scene.says("/", 1000);
    scene.get("/").await;
    scene.stored(1).await;
    let away = scene.home.path().join("away");
    std::fs::rename(scene.cache(), &away).unwrap();
    scene.steps_aside().await;
    scene.node().logged("holds the store no more").await;
    std::fs::rename(&away, scene.cache()).unwrap();
    scene.aside(false).await;
}

#[tokio::test]
async fn a_directory_that_is_removed_is_made_anew() {
    let mut scene = DiskScene::new(Protocol::H2).await;
    let early = scene.large("early", 2);
    scene.is_stored(&early).await;
    std::fs::remove_dir_all(scene.cache()).unwrap();
    let late = scene.large("late", 9);
    scene.gets(&late).await;
    scene.steps_aside().await;
    scene.gets(&early).await;
    // The operator makes it: where a disk is not mounted, another would be filled.
    std::fs::create_dir(scene.cache()).unwrap();
    scene.aside(false).await;
    scene.is_stored(&late).await;
    scene.origin.now(&late[0], Reply::fresh("new"));
    scene.door().purge_url(&format!("https://shop.example{}", late[0])).await;
    // The journal, without which nothing stored is known to be good, came back with the store.
    scene.restart().await;
    assert_eq!(scene.gets(&late[1..]).await, late.len() - 1);
    let after = scene.get(&late[0]).await;
    assert_eq!((after.is_hit(), after.text()), (false, "new"));
}

/// As by a snapshot that is rolled back: the journal there is older than what was acknowledged.
#[tokio::test]
async fn a_purge_holds_in_a_directory_that_is_put_back() {
    let mut scene = DiskScene::new(Protocol::H2).await;
    let targets = scene.large("early", 3);
    scene.is_stored(&targets).await;
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-r").args([from, to]).status();
        assert!(status.unwrap().success());
    };
    let (cache, aside) = (scene.cache(), scene.home.path().join("aside"));
    copy(&cache, &aside);
    std::fs::remove_dir_all(&cache).unwrap();
    copy(&aside, &cache);
    assert!(scene.can_purge(&targets[0]).await);
    scene.node().logged("the purge journal was not in its place").await;
    scene.origin.now(&targets[0], Reply::fresh("new"));
    scene.restart().await;
    let after = scene.get(&targets[0]).await;
    assert_eq!((after.is_hit(), after.text()), (false, "new"));
    assert_eq!(scene.gets(&targets[1..]).await, 2);
    // Only the journal goes, and an older one is put in its place.
    let journal = cache.join("purges.journal");
    std::fs::remove_file(&journal).unwrap();
    std::fs::copy(aside.join("purges.journal"), &journal).unwrap();
    assert!(scene.can_purge(&targets[1]).await);
    scene.origin.now(&targets[1], Reply::fresh("new"));
    scene.restart().await;
    assert!(!scene.get(&targets[1]).await.is_hit());
    assert_eq!(scene.gets(&targets[2..]).await, 1);
}

#[tokio::test]
async fn a_journal_that_is_missing_at_the_start_is_told_of() {
    let mut scene = DiskScene::new(Protocol::H1).await;
    let targets = scene.large("early", 2);
    scene.is_stored(&targets).await;
    let remove = |scene: &DiskScene| {
        std::fs::remove_file(scene.cache().join("purges.journal")).unwrap();
    };
    scene.restart_over(remove).await;
    let log = scene.node().logged("there is no purge journal, so what is stored").await;
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains("no purge journal")));
    assert_eq!(scene.gets(&targets).await, 0);
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_is_used_once_it_has_room() {
    let disk = SmallDisk::mount(20);
    disk.fill(20);
    let mut scene = DiskScene::with(Protocol::H1, &over(disk.path()), |home| home).await;
    scene.aside(true).await;
    let why = scene.tier().await["aside"].to_string();
    assert!(why.contains("No space left"), "{why}");
    let targets = scene.large("early", 3);
    assert_eq!(scene.gets(&targets).await, 0);
    // Of what the disk may have nothing is known: a purge could not reach it.
    assert!(!scene.can_purge(&targets[0]).await);
    disk.free();
    scene.aside(false).await;
    scene.is_stored(&targets).await;
    assert!(scene.can_purge(&targets[0]).await);
    scene.restart().await;
    assert_eq!(scene.gets(&targets[1..]).await, 2);
    assert!(!scene.get(&targets[0]).await.is_hit());
}

#[tokio::test]
async fn a_disk_that_is_read_only_at_the_start_is_read_and_comes_back() {
    let disk = SmallDisk::mount(40);
    let mut scene = DiskScene::with(Protocol::H2, &over(disk.path()), |home| home).await;
    let early = scene.large("early", 3);
    scene.is_stored(&early).await;
    scene.end("TERM").await;
    disk.remount(false);
    scene.start().await;
    scene.aside(true).await;
    let why = scene.tier().await["aside"].to_string();
    assert!(why.contains("Read-only"), "{why}");
    assert_eq!(scene.gets(&early).await, early.len());
    let late = scene.large("late", 2);
    assert_eq!(scene.gets(&late).await, 0);
    assert!(!scene.can_purge(&early[0]).await);
    disk.remount(true);
    scene.aside(false).await;
    assert!(scene.can_purge(&early[0]).await);
    scene.is_stored(&late).await;
    scene.restart().await;
    assert_eq!(scene.gets(&early[1..]).await + scene.gets(&late).await, 4);
    assert!(!scene.get(&early[0]).await.is_hit());
}

#[tokio::test]
async fn a_directory_that_may_not_be_used_ends_the_start() {
    let scene = DiskScene::new(Protocol::H1).await;
    let file = scene.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (path, told) in [(file.clone(), "is a file"), (file.join("cache"), "Not a directory")] {
        let cache = SMALL.replace("\"cache\"", &format!("{path:?}"));
        let home = Home::new(&Setup::new(&scene.origin).cache(&cache));
        let node = NodeProcess::launch(&home);
        node.logged(told).await;
        assert_eq!(node.ended().await.code(), Some(1));
    }
}

#[tokio::test]
async fn a_disk_that_holds_less_than_its_size_is_told_of() {
    let disk = SmallDisk::mount(20);
    let scene = DiskScene::with(Protocol::H1, &over(disk.path()), |home| home).await;
    scene.node().logged("cache.disk.size is 64MiB, for which its disk has ").await;
}

#[tokio::test]
async fn what_the_scrub_cannot_read_is_fetched() {
    let mut rules = None;
    let cache = SMALL.replace("checkpoint", "scrub = \"16GiB/s\", checkpoint");
    let scene = DiskScene::with(Protocol::H3, &cache, |home| {
        let (home, made) = Rules::over(home);
        rules = Some(made);
        home
    });
    let (mut scene, disk) = (scene.await, rules.unwrap());
    let targets = scene.large("early", 3);
    scene.is_stored(&targets).await;
    scene.end("TERM").await;
    disk.fail(&[("pread64", ".segment", EIO)]);
    scene.start().await;
    let is_found = async || scene.disk_errors().await >= targets.len() as u64;
    eventually("errors of the disk", is_found).await;
    assert_eq!(scene.gets(&targets).await, 0);
    disk.heal();
    scene.is_stored(&targets).await;
    assert!(scene.lives());
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let mut scene = DiskScene::new(Protocol::H1).await;
    scene.says("/", 1000);
    scene.get("/").await;
    let second = NodeProcess::launch(&scene.home);
    let log = second.logged("in use by another node (process ").await;
    assert!(log.contains(scene.cache().to_str().unwrap()), "{log}");
    assert_eq!(second.ended().await.code(), Some(1));
    // What an operator takes for a stale lock is none: the folder is held all the same.
    std::fs::remove_file(scene.cache().join("lock")).unwrap();
    let second = NodeProcess::launch(&scene.home);
    let log = second.logged("in use by another node").await;
    assert!(log.contains(scene.cache().to_str().unwrap()), "{log}");
    assert_eq!(second.ended().await.code(), Some(1));
    assert!(scene.lives() && scene.get("/").await.is_hit());
}

#[tokio::test]
async fn a_clock_that_jumps_changes_no_byte() {
    const DAY: i64 = 86_400;
    let mut clock = None;
    let mut scene = DiskScene::with(Protocol::H2, SMALL, |home| {
        let (home, made) = Clock::over(home);
        clock = Some(made);
        home
    })
    .await;
    let clock = clock.unwrap();
    let early = scene.large("early", 2);
    scene.is_stored(&early).await;
    for shift in [-DAY, 0, -2 * DAY] {
        clock.set(shift);
        assert_eq!(scene.gets(&early).await, early.len(), "running, {shift}");
        scene.restart().await;
        assert_eq!(scene.gets(&early).await, early.len(), "after a restart, {shift}");
        let age: u64 = scene.get(&early[0]).await.field("age").parse().unwrap();
        assert!(age < 3600, "{age}");
    }
    // What is stored while it is behind is old when it is right again, and so is fetched anew.
    let behind = scene.large("behind", 2);
    scene.is_stored(&behind).await;
    let url = format!("https://shop.example{}", early[0]);
    scene.door().purge(json!({ "kind": "url", "value": url })).await;
    scene.origin.now(&early[0], Reply::fresh("new"));
    clock.set(0);
    assert_eq!(scene.gets(&behind).await, 0);
    assert_eq!(scene.get(&early[0]).await.text(), "new");
    scene.restart().await;
    assert_eq!(scene.get(&early[0]).await.text(), "new");
    scene.is_stored(&behind).await;
}

/// The smallest tiers, over a directory of one's own.
fn over(path: &Path) -> String {
    SMALL.replace("\"cache\"", &format!("{:?}", path.join("cache")))
}

async fn faulty(protocol: Protocol) -> (DiskScene, Rules) {
    let mut rules = None;
    let scene = DiskScene::with(protocol, SMALL, |home| {
        let (home, made) = Rules::over(home);
        rules = Some(made);
        home
    });
    (scene.await, rules.unwrap())
}
