//! A body that began before a hard purge of it runs on for `purge.linger`, and is cut then; nothing
//! else is.

use serde_json::{Value, json};

use crate::support::client::Opened;
use crate::support::disk::body;
use crate::support::door::Door;
use crate::support::{
    Ask, Client, Film, Gate, Protocol, Reply, Scene, Setup, eventually, over_each_protocol, within,
};

over_each_protocol!(
    a_hit_from_memory_is_cut,
    a_hit_from_disk_is_cut,
    a_body_on_its_way_is_cut_for_all_who_read_it,
    a_body_in_slices_is_cut,
    a_freshened_copy_is_cut,
    what_no_hard_purge_covers_runs_on,
    a_body_runs_on_while_the_purge_lingers,
    what_is_cut_is_logged,
);

/// More than all buffers on the way can hold.
const LARGE: usize = 24 << 20;

/// How many responses were cut for a purge.
const CUT: &str = "headland_purged_bodies_cut_total";

/// A node where no body runs on.
async fn scene(protocol: Protocol, set: impl FnOnce(Setup) -> Setup) -> (Scene, Door) {
    let scene = Scene::with(protocol, |setup| set(setup).purge("linger = \"0s\"")).await;
    let door = Door::of(&scene.node).await;
    (scene, door)
}

fn tag(value: &str) -> Value {
    json!({ "kind": "tag", "value": value })
}

/// A response of which something has come, and no more is read. Its connection is its own, as it
/// would hold up all others on it.
async fn begun(scene: &Scene, target: &str) -> Opened {
    let client = Client::of(&scene.node, scene.protocol).await;
    let mut opened = within("a head", client.open(Ask::get(target))).await.unwrap();
    opened.at_least(1).await.unwrap();
    opened
}

async fn until_cut(door: &Door, count: usize) {
    let is_cut = async || door.metric(CUT).await == count as f64;
    eventually("the cut", is_cut).await;
}

/// Reads to the end, which must not be a sound one.
async fn is_broken(opened: Opened) {
    assert!(within("an end", opened.whole()).await.is_err(), "ended as if whole");
}

async fn a_hit_from_memory_is_cut(protocol: Protocol) {
    let (scene, door) = scene(protocol, |setup| setup).await;
    scene.origin.on("/", Reply::fresh(body("/", LARGE)).field("surrogate-key", "a b"));
    scene.get("/").await;
    let slow = begun(&scene, "/").await;
    door.purge(tag("b")).await;
    until_cut(&door, 1).await;
    is_broken(slow).await;
    assert_eq!(scene.get("/").await.body.len(), LARGE);
    assert_eq!(scene.origin.count(), 2);
}

async fn a_hit_from_disk_is_cut(protocol: Protocol) {
    // Memory has room for one of two.
    const RECORD: usize = 7 << 20;
    let cache = "memory = \"8MiB\"\ndisk = { path = \"cache\", size = \"1GiB\" }";
    let (scene, door) = scene(protocol, |setup| setup.cache(cache)).await;
    for target in ["/a", "/b"] {
        scene.origin.on(target, Reply::fresh(body(target, RECORD)));
        scene.get(target).await;
    }
    let on_disk = async || door.metric("headland_store_objects{tier=\"disk\"").await == 2.0;
    eventually("the objects on disk", on_disk).await;
    let slow = [begun(&scene, "/a").await, begun(&scene, "/b").await];
    assert!(door.metric("headland_hits_total{tier=\"disk\"").await >= 1.0);
    door.purge(json!({ "kind": "site", "value": "shop" })).await;
    until_cut(&door, 2).await;
    for opened in slow {
        is_broken(opened).await;
    }
}

async fn a_body_on_its_way_is_cut_for_all_who_read_it(protocol: Protocol) {
    let (scene, door) = scene(protocol, |setup| setup).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh("old ").gate(&gate).piece("bytes"));
    scene.origin.on("/", Reply::fresh("new"));
    let leading = begun(&scene, "/").await;
    let following = begun(&scene, "/").await;
    door.purge_url("https://shop.example/").await;
    // They end though nothing more has come.
    is_broken(leading).await;
    is_broken(following).await;
    until_cut(&door, 2).await;
    assert_eq!(scene.get("/").await.text(), "new");
    gate.open();
    scene.origin.until("all that was to come", |asked| asked[0].said > "old bytes".len()).await;
    assert!(!scene.origin.asked()[0].left, "the fetch went on");
    assert!(scene.get("/").await.is_hit());
}

async fn a_body_in_slices_is_cut(protocol: Protocol) {
    const TOTAL: u64 = 1 << 30;
    let cache = "slice = \"64KiB\"\nmax_object = \"256KiB\"";
    let (scene, door) = scene(protocol, |setup| setup.cache(cache)).await;
    scene.origin.on("/film", Reply::film(Film::new(TOTAL)));
    let streaming = begun(&scene, "/film").await;
    scene.get_with("/film", "range", "bytes=0-99999").await;
    let client = Client::of(&scene.node, protocol).await;
    let deep = Ask::get("/film").field("range", &format!("bytes={}-", TOTAL / 2));
    let mut slow = within("a head", client.open(deep)).await.unwrap();
    slow.at_least(1).await.unwrap();
    door.purge_url("https://shop.example/film").await;
    until_cut(&door, 2).await;
    is_broken(streaming).await;
    is_broken(slow).await;
}

async fn a_freshened_copy_is_cut(protocol: Protocol) {
    let (scene, door) = scene(protocol, |setup| setup).await;
    scene.origin.on("/", Reply::stale("\"1\"", body("/", LARGE)));
    scene.origin.on("/", Reply::new(304).field("cache-control", "max-age=3600"));
    scene.get("/").await;
    let slow = begun(&scene, "/").await;
    assert_eq!(scene.origin.count(), 2);
    door.purge_url("https://shop.example/").await;
    until_cut(&door, 1).await;
    is_broken(slow).await;
}

async fn what_no_hard_purge_covers_runs_on(protocol: Protocol) {
    let (scene, door) = scene(protocol, |setup| setup.cache("memory = \"512MiB\"")).await;
    let fresh = |name: &str| Reply::fresh(body(name, LARGE)).field("surrogate-key", name);
    for name in ["soft", "other", "covered"] {
        scene.origin.on(&format!("/{name}"), fresh(name));
        scene.get(&format!("/{name}")).await;
    }
    let pass = Reply::ok(body("pass", LARGE)).field("cache-control", "no-store");
    scene.origin.on("/pass", pass);
    let mut kept = Vec::new();
    for name in ["soft", "other", "pass"] {
        kept.push((name, begun(&scene, &format!("/{name}")).await));
    }
    door.purge(json!({ "kind": "tag", "value": "soft", "soft": true })).await;
    door.purge_url("https://shop.example/pass").await;
    // By the second of these all others have been looked at.
    for count in 1..=2 {
        let slow = begun(&scene, "/covered").await;
        door.purge(tag("covered")).await;
        until_cut(&door, count).await;
        is_broken(slow).await;
        scene.get("/covered").await;
    }
    for (name, opened) in kept {
        let rest = within(name, opened.whole()).await.unwrap();
        assert!(body(name, LARGE).ends_with(&rest.body), "{name}: other bytes");
    }
    assert_eq!(door.metric(CUT).await, 2.0);
}

async fn a_body_runs_on_while_the_purge_lingers(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.purge("linger = \"1h\"")).await;
    let door = Door::of(&scene.node).await;
    scene.origin.on("/", Reply::fresh(body("/", LARGE)));
    scene.get("/").await;
    let slow = begun(&scene, "/").await;
    door.purge_url("https://shop.example/").await;
    let rest = within("the rest", slow.whole()).await.unwrap();
    assert!(body("/", LARGE).ends_with(&rest.body), "other bytes");
    assert_eq!(door.metric(CUT).await, 0.0);
}

async fn what_is_cut_is_logged(protocol: Protocol) {
    let (scene, door) = scene(protocol, |setup| setup.logging("access = \"access.log\"")).await;
    scene.origin.on("/", Reply::fresh(body("/", LARGE)));
    scene.get("/").await;
    let slow = begun(&scene, "/").await;
    door.purge_url("https://shop.example/").await;
    is_broken_once_cut(slow, &door).await;
    let Scene { mut node, client, origin: _origin, .. } = scene;
    drop((client, door));
    within("the node's end", node.stop()).await.unwrap();
    let log = std::fs::read_to_string(node.folder().join("access.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1]["result"], "hit");
    assert_eq!((&lines[1]["status"], &lines[1]["reason"]), (&200.into(), &"purged".into()));
    assert!(lines[1]["bytes"].as_u64().unwrap() < LARGE as u64, "{}", lines[1]);
}

async fn is_broken_once_cut(opened: Opened, door: &Door) {
    until_cut(door, 1).await;
    is_broken(opened).await;
}
