//! Files of the disk tier that are not as they were written: what is damaged is a miss, what is not
//! is a hit, and no byte that is served is wrong.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::support::client::{Opened, Place};
use crate::support::disk::{SMALL, body};
use crate::support::{Ask, Client, DiskScene, Protocol, Reply, eventually, within};

/// Objects whose records fill a segment and begin another.
const SIZES: [usize; 13] =
    [1000, LARGE, 50_000, LARGE, 100, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, 300_000];

const LARGE: usize = 1 << 20;

/// Bytes of the fixed part of a record, and of what stands before the first.
const HEADER: u64 = 80;
const FRONT: u64 = 64;

#[tokio::test]
async fn a_damaged_superblock_costs_the_store() {
    let mut scene = stored().await;
    for byte in [0, 5, 9, 16, 31, 40, 50, 63] {
        scene.restart_over(|scene| flip(&scene.cache().join("store"), byte)).await;
        assert_eq!(gets(&scene).await, 0, "byte {byte}");
        is_stored(&scene).await;
    }
    scene.restart().await;
    assert_eq!(gets(&scene).await, SIZES.len());
}

#[tokio::test]
async fn a_store_of_another_version_is_emptied() {
    let mut scene = stored().await;
    for version in [0_u32, 9] {
        scene.end("TERM").await;
        write(&scene.cache().join("store"), 8, &version.to_le_bytes());
        scene.start().await;
        scene.node().logged(&format!("it is of version {version} of the format and not ")).await;
        assert_eq!(gets(&scene).await, 0);
        is_stored(&scene).await;
        scene.restart().await;
        assert_eq!(gets(&scene).await, SIZES.len());
    }
}

#[tokio::test]
async fn a_damaged_front_costs_a_segment() {
    let mut scene = stored().await;
    for byte in [0, 4, 8, 16, 24, 47] {
        scene.restart_over(|scene| flip(&scene.segments()[0], byte)).await;
        let hits = gets(&scene).await;
        assert!(hits < SIZES.len(), "byte {byte}: {hits} hits");
        is_stored(&scene).await;
    }
}

#[tokio::test]
async fn a_damaged_record_costs_itself() {
    let mut scene = stored().await;
    // Of the first record of the sealed segment, and of the one that is written: fixed part, head,
    // body.
    let sealed = [0, 4, 8, 16, 40, 64, 72, 76, 78, HEADER + 3, HEADER + 60, HEADER + 700];
    let open = [0, 8, 64, 78, HEADER + 60, HEADER + 700];
    let places = sealed.map(|byte| (0, byte)).into_iter().chain(open.map(|byte| (1, byte)));
    for (segment, byte) in places {
        scene.restart_over(|scene| flip(&scene.segments()[segment], FRONT + byte)).await;
        assert_eq!(gets(&scene).await, SIZES.len() - 1, "byte {byte} of segment {segment}");
        assert_eq!(scene.disk_errors().await, 1, "byte {byte} of segment {segment}");
        let log = scene.node().logged("what is stored is damaged").await;
        let line = log.lines().find(|line| line.contains("is damaged")).unwrap();
        let is_placed = line.contains(".segment") && line.contains("offset=64");
        assert!(is_placed && line.contains("WARN"), "{line}");
        // The next flip is to hit a record that is looked for.
        scene.restart_over(|scene| std::fs::remove_dir_all(scene.cache()).unwrap()).await;
        is_stored(&scene).await;
    }
}

#[tokio::test]
async fn a_damaged_body_is_never_served() {
    let mut scene = stored().await;
    for part in 1..8 {
        let damage = |scene: &DiskScene| {
            for segment in scene.segments() {
                flip(&segment, part << 20);
            }
        };
        scene.restart_over(damage).await;
        let hits = gets(&scene).await;
        assert!(hits < SIZES.len(), "{part} MiB: {hits} hits");
        is_stored(&scene).await;
    }
}

/// What the node has written itself is no more to be trusted than what it found.
#[tokio::test]
async fn what_the_disk_damages_while_the_node_runs_is_not_served() {
    let mut scene = stored().await;
    let is_dropped = drops_pages(scene.home.path());
    for segment in scene.segments() {
        let length = std::fs::metadata(&segment).unwrap().len();
        (1 << 19..length).step_by(1 << 20).for_each(|offset| flip(&segment, offset));
        drop_pages(&segment);
    }
    if is_dropped {
        assert!(gets(&scene).await < SIZES.len() / 2);
        let damaged = scene.disk_errors().await;
        assert!(damaged >= 8, "{damaged}");
        is_stored(&scene).await;
    }
    scene.restart().await;
    gets(&scene).await;
}

#[tokio::test]
async fn a_damaged_footer_costs_nothing() {
    let mut scene = stored().await;
    for back in [1, 20, 40, 60, 64, 70, 96] {
        let damage = |scene: &DiskScene| {
            let segment = &scene.segments()[0];
            flip(segment, std::fs::metadata(segment).unwrap().len() - back);
        };
        scene.restart_over(damage).await;
        assert_eq!(gets(&scene).await, SIZES.len(), "{back} bytes before the end");
    }
}

#[tokio::test]
async fn damaged_recency_costs_no_object() {
    let mut scene = stored().await;
    assert_eq!(gets(&scene).await, SIZES.len());
    for byte in [0, 5, 9, 17] {
        scene.restart_over(|scene| flip(&scene.cache().join("recency"), byte)).await;
        assert_eq!(gets(&scene).await, SIZES.len(), "byte {byte}");
    }
    scene.restart_over(|scene| std::fs::write(scene.cache().join("recency"), "").unwrap()).await;
    assert_eq!(gets(&scene).await, SIZES.len());
}

/// Without its purges nothing that is stored is known to be good.
#[tokio::test]
async fn a_damaged_journal_voids_the_store() {
    let mut scene = stored().await;
    for byte in [0, 9, 20, 40, 70] {
        scene.door().purge_url("https://shop.example/0").await;
        scene.restart_over(|scene| flip(&scene.cache().join("purges.journal"), byte)).await;
        scene.node().logged("is damaged").await;
        assert_eq!(gets(&scene).await, 0, "byte {byte}");
        is_stored(&scene).await;
    }
    scene.restart().await;
    assert_eq!(gets(&scene).await, SIZES.len());
}

/// They are part of every key: without them nothing that is stored is found.
#[tokio::test]
async fn key_generations_that_are_lost_are_told_of() {
    let mut scene = stored().await;
    let lose: [fn(&Path); 2] = [|path| std::fs::remove_file(path).unwrap(), |path| flip(path, 0)];
    for (lose, why) in lose.into_iter().zip(["it is not there", "it is not as it was written"]) {
        scene.end("TERM").await;
        assert_eq!(verify(&scene), (Some(0), String::new()));
        lose(&scene.cache().join("sites"));
        let (code, damage) = verify(&scene);
        assert_eq!(code, Some(1));
        assert!(damage.starts_with(&format!("damage: sites: {why}")), "{damage}");
        scene.start().await;
        let log = scene.node().logged("the key generations of the sites are lost").await;
        assert!(
            log.lines().any(|line| line.contains("WARN") && line.contains("are lost")),
            "{log}"
        );
        assert_eq!(gets(&scene).await, 0);
        let stored = async || gets(&scene).await == SIZES.len();
        eventually("all objects on disk", stored).await;
    }
}

/// How `headland cache verify` ends, and the damage that it tells.
fn verify(scene: &DiskScene) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headland"));
    command.args(["cache", "verify", "--config"]).arg(scene.home.path().join("node.toml"));
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let damage = told.lines().filter(|line| line.starts_with("damage: "));
    (output.status.code(), damage.collect())
}

#[tokio::test]
async fn segments_that_were_cut_between_runs_are_left_out() {
    let mut scene = stored().await;
    for length in [0, 1, 1 << 20] {
        scene.restart_over(|scene| cut(&scene.segments()[0], length)).await;
        let hits = gets(&scene).await;
        assert!(hits < SIZES.len(), "{length}");
        is_stored(&scene).await;
    }
}

#[tokio::test]
async fn a_segment_that_is_cut_is_told_of_once() {
    let scene = stored().await;
    cut(&scene.segments()[0], 1 << 19);
    assert!(gets(&scene).await < SIZES.len());
    assert!(scene.disk_errors().await > 1);
    let log = scene.node().logged("a segment was cut short").await;
    let told = log.lines().filter(|line| line.contains("WARN") && line.contains(".segment"));
    assert_eq!(told.count(), 1, "{log}");
}

/// A hole that our own writing makes of a file that was cut reads as zeros without any fault.
#[tokio::test]
async fn what_is_written_behind_a_cut_does_not_hide_it() {
    let scene = stored().await;
    assert_eq!(gets(&scene).await, SIZES.len());
    // Through a body, so that the head of it is left.
    cut(&scene.segments()[1], 3 << 19);
    scene.origin.on("/more", Reply::fresh(body("/more", 1000)));
    assert!(scene.get("/more").await.body == body("/more", 1000));
    let is_seen = async || {
        let objects = scene.tier().await["objects"].as_u64().unwrap();
        let segments = scene.segments();
        let cut = segments.get(1).and_then(|segment| std::fs::metadata(segment).ok());
        objects < SIZES.len() as u64 || cut.is_none_or(|cut| cut.len() > 3 << 19)
    };
    eventually("the writing of it", is_seen).await;
    assert!(gets(&scene).await < SIZES.len());
    let stored = async || gets(&scene).await == SIZES.len();
    eventually("all objects on disk", stored).await;
    assert!(scene.disk_errors().await > 0);
    let log = scene.node().logged("a segment was cut short").await;
    let told = log.lines().filter(|line| line.contains("WARN") && line.contains(".segment"));
    assert_eq!(told.count(), 1, "{log}");
}

#[tokio::test]
async fn a_segment_that_is_cut_while_it_is_served_cuts_the_response() {
    const LENGTH: usize = 20 << 20;
    // Segments large enough for a body that does not fit in the buffers on the way.
    let cache = SMALL.replace("64MiB", "16GiB").replace("\"1MiB\"", "\"24MiB\"");
    let mut scene = DiskScene::with(Protocol::H1, &cache, |home| home).await;
    let bytes = body("/", LENGTH);
    scene.origin.on("/", Reply::fresh(bytes.clone()));
    scene.get("/").await;
    scene.stored(1).await;
    for (protocol, is_secure) in
        [(Protocol::H1, false), (Protocol::H1, true), (Protocol::H2, true), (Protocol::H3, true)]
    {
        scene.restart().await;
        let place = Arc::new(Place { is_secure, ..Arc::into_inner(scene.node().place()).unwrap() });
        let client = Client::to(place, protocol).await.unwrap();
        let mut begun = Vec::new();
        for _ in 0..3 {
            let mut response = within("a head", client.open(Ask::get("/"))).await.unwrap();
            let first = response.at_least(1).await.unwrap();
            begun.push((first, response));
        }
        scene.segments().iter().for_each(|segment| cut(segment, 0));
        for (first, response) in begun {
            let (came, is_whole) = rest_of(first, response).await;
            assert!(bytes.starts_with(&came), "{protocol:?}: other bytes");
            // Whole if all of it was on its way already.
            assert!(!is_whole || came.len() == LENGTH, "{protocol:?}: cut, and ended as if whole");
        }
        assert!(scene.lives());
        let after = within("a response", client.ask(Ask::get("/"))).await;
        let after = match after {
            Ok(seen) => seen,
            Err(_) => scene.get("/").await,
        };
        assert!(after.body == bytes, "{protocol:?}");
        let stored = async || scene.get("/").await.is_hit();
        eventually("stored anew", stored).await;
    }
}

/// What comes of a body, and whether it ended as if it were whole.
async fn rest_of(first: Bytes, mut response: Opened) -> (BytesMut, bool) {
    let mut came = BytesMut::from(first);
    loop {
        match within("more or an end", response.chunk()).await {
            Ok(Some(chunk)) => came.extend_from_slice(&chunk),
            Ok(None) => return (came, true),
            Err(_) => return (came, false),
        }
    }
}

/// A node that has all objects on disk, in two segments.
async fn stored() -> DiskScene {
    let scene = DiskScene::new(Protocol::H1).await;
    for (index, size) in SIZES.into_iter().enumerate() {
        let target = format!("/{index}");
        scene.origin.on(&target, Reply::fresh(body(&target, size)));
        scene.get(&target).await;
    }
    scene.stored(SIZES.len() as u64).await;
    assert_eq!(scene.segments().len(), 2);
    scene
}

/// Asks for all objects, whose bytes must be right; how many were hits.
async fn gets(scene: &DiskScene) -> usize {
    let mut hits = 0;
    for (index, size) in SIZES.into_iter().enumerate() {
        let target = format!("/{index}");
        let seen = scene.get(&target).await;
        assert!(seen.body == body(&target, size), "{target}: other bytes");
        hits += usize::from(seen.is_hit());
    }
    hits
}

async fn is_stored(scene: &DiskScene) {
    let stored = async || {
        gets(scene).await == SIZES.len() && scene.tier().await["objects"] == SIZES.len() as u64
    };
    eventually("all objects on disk", stored).await;
}

/// Changes a bit of the byte at `offset`.
fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

/// Has the page cache give a file up.
fn drop_pages(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// Whether the page cache does so here: where files are in memory alone, it cannot.
fn drops_pages(folder: &Path) -> bool {
    let path = folder.join("probe");
    std::fs::write(&path, [1; 4096]).unwrap();
    drop_pages(&path);
    let file = std::fs::File::open(&path).unwrap();
    let mut byte = [0];
    let parts = &mut [std::io::IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(&file, parts, 0, rustix::io::ReadWriteFlags::NOWAIT);
    read == Err(rustix::io::Errno::AGAIN)
}

fn write(path: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}
