//! Whatever becomes of the disk, clients get the right bytes and the node lives.

use std::path::Path;

use serde_json::json;

use crate::support::disk::{SMALL, body};
use crate::support::faults::{Clock, Rules, SmallDisk};
use crate::support::process::NodeProcess;
use crate::support::{Ask, DiskScene, Protocol, Reply, eventually};

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
    let mut targets = scene.large("many", 40);
    scene.gets(&targets).await;
    scene.gets(&targets).await;
    assert!(scene.tier().await["aside"].is_null());
    scene.restart().await;
    assert!(scene.tier().await["objects"].as_u64().unwrap() > 0);
    // The newest first, before what comes again takes their place.
    targets.reverse();
    assert!(scene.gets(&targets).await > 0);
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
    // What was stored still is; what comes is served, and not stored.
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
    // With the directory went the journal, without which nothing stored is known to be good.
    scene.restart().await;
    let after = scene.get(&late[0]).await;
    assert_eq!((after.is_hit(), after.text()), (false, "new"));
    scene.gets(&late[1..]).await;
    scene.is_stored(&late[1..]).await;
    scene.restart().await;
    assert_eq!(scene.gets(&late[1..]).await, late.len() - 1);
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
