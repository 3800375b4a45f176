//! Large objects: what is asked for is fetched, stored and served in slices, and nothing else.

use futures_util::future::join_all;

use crate::support::client::Seen;
use crate::support::door::Door;
use crate::support::{Ask, Film, Gate, Protocol, Reply, Scene, Setup, over_each_protocol, within};

over_each_protocol!(
    a_range_deep_inside_costs_its_slices_alone,
    missing_slices_in_the_middle_are_fetched_by_range,
    an_object_that_changes_midway_is_cut_and_never_mixed,
    a_large_whole_streams_through_bounded_memory,
    what_was_cut_stays_when_the_client_leaves,
    who_comes_later_reads_along,
    two_hundred_clients_cost_one_request_a_slice,
    a_hard_purge_makes_all_slices_unreachable,
    an_origin_without_ranges_still_works,
    conditions_and_methods_as_from_a_whole,
);

const SLICE: u64 = 64 * 1024;
const GIB: u64 = 1024 * 1024 * 1024;

/// A node with small slices before an origin with a film.
async fn scene(protocol: Protocol, film: Film) -> Scene {
    let scene =
        Scene::with(protocol, |setup| setup.cache("slice = \"64KiB\"\nmax_object = \"256KiB\""))
            .await;
    scene.origin.on("/film", Reply::film(film));
    scene
}

async fn part(scene: &Scene, first: u64, last: u64) -> Seen {
    scene.get_with("/film", "range", &format!("bytes={first}-{last}")).await
}

/// The slices that the origin was asked for since the first `from` requests, by number; `None` for
/// the whole.
fn asked(scene: &Scene, from: usize) -> Vec<Option<u64>> {
    let mut slices: Vec<_> = scene.origin.asked()[from..]
        .iter()
        .map(|asked| {
            let range = asked.field("range");
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            assert!(first.is_multiple_of(SLICE) && last < first + SLICE, "{range}");
            Some(first / SLICE)
        })
        .collect();
    slices.sort_unstable();
    slices
}

/// Bytes that the origin said, heads included.
fn said(scene: &Scene) -> usize {
    scene.origin.asked().iter().map(|asked| asked.said).sum()
}

async fn a_range_deep_inside_costs_its_slices_alone(protocol: Protocol) {
    let film = Film::new(10 * GIB);
    let scene = scene(protocol, film).await;
    let (first, last) = (7 * GIB + 1000, 7 * GIB + 200_000);
    let seen = part(&scene, first, last).await;
    assert_eq!(seen.status, 206);
    assert_eq!(seen.field("content-range"), format!("bytes {first}-{last}/{}", 10 * GIB));
    assert_eq!(seen.field("content-type"), "video/film");
    assert_eq!(seen.cache_status(), "edge; fwd=miss; fwd-status=206; stored");
    assert!(seen.body == film.bytes(first, last + 1), "other bytes than the origin's");
    let number = 7 * GIB / SLICE;
    let slices: Vec<_> = (number..=number + 3).map(Some).collect();
    assert_eq!(asked(&scene, 0), slices);
    assert!(said(&scene) < 5 * SLICE as usize, "{} bytes", said(&scene));
    let again = part(&scene, first + 5, last).await;
    assert!(again.is_hit() && again.body == film.bytes(first + 5, last + 1));
    assert_eq!(scene.origin.count(), 4);
    let end = scene.get_with("/film", "range", "bytes=-100").await;
    assert!(end.body == film.bytes(10 * GIB - 100, 10 * GIB), "{}", end.cache_status());
    assert_eq!(asked(&scene, 4), [Some(10 * GIB / SLICE - 1)]);
}

async fn missing_slices_in_the_middle_are_fetched_by_range(protocol: Protocol) {
    let film = Film::new(GIB);
    let scene = scene(protocol, film).await;
    for slice in [10, 12, 15] {
        part(&scene, slice * SLICE, slice * SLICE + 9).await;
    }
    let seen = part(&scene, 10 * SLICE + 7, 16 * SLICE - 1).await;
    assert_eq!(seen.cache_status(), "edge; fwd=partial; stored");
    assert!(seen.body == film.bytes(10 * SLICE + 7, 16 * SLICE));
    assert!(part(&scene, 10 * SLICE, 16 * SLICE - 1).await.is_hit());
    assert_eq!(asked(&scene, 3), [Some(11), Some(13), Some(14)]);
    assert!(scene.origin.last().field("if-range") == "\"film-0\"");
    let seen = part(&scene, 9 * SLICE, 10 * SLICE).await;
    assert_eq!(seen.cache_status(), "edge; fwd=partial; stored");
}

async fn an_object_that_changes_midway_is_cut_and_never_mixed(protocol: Protocol) {
    let old = Film::new(GIB);
    let new = Film { version: 1, ..old };
    let scene = scene(protocol, old).await;
    part(&scene, 0, SLICE - 1).await;
    scene.origin.now("/film", Reply::film(new));
    let ask = Ask::get("/film").field("range", &format!("bytes=0-{}", 4 * SLICE));
    let mut came = Vec::new();
    let broken = match within("a head", scene.client.open(ask)).await {
        Ok(mut opened) => {
            assert_eq!(opened.status, 206);
            loop {
                match opened.chunk().await {
                    Ok(Some(chunk)) => came.extend_from_slice(&chunk),
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            }
        }
        // RFC 9000 section 3.2: a reset may overtake all that was sent before it.
        Err(error) => {
            assert_eq!(protocol, Protocol::H3, "{error}");
            true
        }
    };
    assert!(broken, "a body of two versions ended as if whole");
    assert!(came.len() <= SLICE as usize && came == old.bytes(0, came.len() as u64));
    for _ in 0..2 {
        let seen = part(&scene, 10, 4 * SLICE).await;
        assert!(seen.body == new.bytes(10, 4 * SLICE + 1), "{}", seen.cache_status());
    }
}

async fn a_large_whole_streams_through_bounded_memory(protocol: Protocol) {
    const TOTAL: u64 = 200 * 1024 * 1024;
    let film = Film::new(TOTAL);
    let cache = "memory = \"8MiB\"\nslice = \"64KiB\"\nmax_object = \"256KiB\"";
    let set = |setup: Setup| setup.cache(cache).limits("relay_window = \"1MiB\"");
    let scene = Scene::with(protocol, set).await;
    scene.origin.on("/film", Reply::film(film));
    let mut opened = within("a head", scene.client.open(Ask::get("/film"))).await.unwrap();
    let (mut position, mut furthest) = (0, 0);
    while let Some(chunk) = within("a chunk", opened.chunk()).await.unwrap() {
        let end = position + chunk.len() as u64;
        assert!(chunk == film.bytes(position, end), "other bytes at {position}");
        position = end;
        furthest = furthest.max(said(&scene).saturating_sub(position as usize));
    }
    assert_eq!(position, TOTAL);
    // What lies between them is held by sockets and by the window.
    assert!(furthest < 64 * 1024 * 1024, "{furthest} bytes ahead of the client");
    assert_eq!(asked(&scene, 0), [None]);
    let door = Door::of(&scene.node).await;
    let stored = door.metric("headland_store_bytes{tier=\"memory\"").await;
    assert!(stored > 1e6 && stored <= 8.0 * 1024.0 * 1024.0, "{stored} bytes stored");
}

async fn what_was_cut_stays_when_the_client_leaves(protocol: Protocol) {
    let film = Film::new(GIB);
    let scene = scene(protocol, film).await;
    let crowd = scene.crowd(1).await;
    let mut opened = within("a head", crowd[0].open(Ask::get("/film"))).await.unwrap();
    opened.at_least(8 * SLICE as usize).await.unwrap();
    drop((opened, crowd));
    scene.origin.until("the end of the stream", |asked| asked[0].left).await;
    let seen = part(&scene, SLICE + 1, 3 * SLICE).await;
    assert!(seen.is_hit(), "{}", seen.cache_status());
    assert!(seen.body == film.bytes(SLICE + 1, 3 * SLICE + 1));
    assert_eq!(scene.origin.count(), 1);
    let deep = part(&scene, GIB / 2, GIB / 2 + 9).await;
    assert!(deep.body == film.bytes(GIB / 2, GIB / 2 + 10));
    assert_eq!(asked(&scene, 1), [Some(GIB / 2 / SLICE)]);
}

async fn who_comes_later_reads_along(protocol: Protocol) {
    const TOTAL: u64 = 48 * 1024 * 1024;
    let film = Film::new(TOTAL);
    let scene = scene(protocol, film).await;
    let crowd = scene.crowd(1).await;
    let mut first = within("a head", crowd[0].open(Ask::get("/film"))).await.unwrap();
    first.at_least(2 * 1024 * 1024).await.unwrap();
    // The first client pauses; the second one overtakes it, and the stream with it.
    let second = scene.get("/film").await;
    assert!(second.body == film.bytes(0, TOTAL), "{}", second.cache_status());
    assert_eq!(asked(&scene, 0), [None], "the stream serves who has come near");
    drop(first);
    let third = scene.get("/film").await;
    assert!(third.is_hit() && third.body == film.bytes(0, TOTAL));
    assert_eq!(scene.origin.count(), 1);
}

async fn two_hundred_clients_cost_one_request_a_slice(protocol: Protocol) {
    let film = Film::new(10 * GIB);
    let scene = scene(protocol, film).await;
    let gate = Gate::new();
    scene.origin.now("/film", Reply::film(film).held(&gate));
    let crowd = scene.crowd(200).await;
    let (first, last) = (5 * GIB + 10, 5 * GIB + 3 * SLICE);
    let range = format!("bytes={first}-{last}");
    let asking =
        join_all(crowd.iter().map(|client| client.ask(Ask::get("/film").field("range", &range))));
    let opening = async {
        scene.origin.until_asked(1).await;
        gate.open();
    };
    let (answers, ()) = within("all answers", async { tokio::join!(asking, opening) }).await;
    let bytes = film.bytes(first, last + 1);
    for answer in answers {
        assert!(answer.unwrap().body == bytes, "other bytes than the origin's");
    }
    let number = 5 * GIB / SLICE;
    assert_eq!(asked(&scene, 0), (number..=number + 3).map(Some).collect::<Vec<_>>());
}

async fn a_hard_purge_makes_all_slices_unreachable(protocol: Protocol) {
    let scene = scene(protocol, Film::new(GIB)).await;
    part(&scene, 0, 3 * SLICE).await;
    let before = scene.origin.count();
    let door = Door::of(&scene.node).await;
    door.purge_url("https://shop.example/film").await;
    let seen = part(&scene, SLICE + 1, SLICE + 9).await;
    assert_eq!(seen.cache_status(), "edge; fwd=miss; fwd-status=206; stored");
    let seen = part(&scene, 0, 3 * SLICE).await;
    assert_eq!(seen.cache_status(), "edge; fwd=partial; stored");
    assert_eq!(asked(&scene, before), [Some(0), Some(1), Some(2), Some(3)]);
}

async fn an_origin_without_ranges_still_works(protocol: Protocol) {
    let film = Film { ranges: false, ..Film::new(8 * 1024 * 1024) };
    let scene = scene(protocol, film).await;
    let whole = film.bytes(0, film.total);
    let seen = part(&scene, 10, 20).await;
    assert_eq!((seen.status, seen.body == whole), (200, true));
    assert_eq!(seen.cache_status(), "edge; fwd=miss; fwd-status=200; detail=too-large");
    assert!(scene.get("/film").await.body == whole);
    let small = Film { ranges: false, ..Film::new(100_000) };
    scene.origin.on("/clip", Reply::film(small));
    let seen = scene.get_with("/clip", "range", "bytes=70000-70009").await;
    assert_eq!((seen.status, &seen.body[..]), (206, &small.bytes(70_000, 70_010)[..]));
    assert!(scene.get("/clip").await.is_hit());
}

async fn conditions_and_methods_as_from_a_whole(protocol: Protocol) {
    let film = Film::new(GIB);
    let scene = scene(protocol, film).await;
    let beyond = part(&scene, 2 * GIB, 2 * GIB + 1).await;
    assert_eq!((beyond.status, beyond.field("content-range")), (416, format!("bytes */{GIB}")));
    part(&scene, 0, 9).await;
    let head = scene.ask(Ask::new("HEAD", "/film")).await;
    assert_eq!((head.status, head.field("content-length")), (200, GIB.to_string()));
    assert!(head.is_hit(), "{}", head.cache_status());
    let ask = |name, value| Ask::get("/film").field("range", "bytes=0-9").field(name, value);
    assert_eq!(scene.ask(ask("if-none-match", "\"film-0\"")).await.status, 304);
    let held = scene.ask(ask("if-range", "\"film-0\"")).await;
    assert_eq!((held.status, &held.body[..]), (206, &film.bytes(0, 10)[..]));
    let several = scene.get_with("/film", "range", "bytes=0-1,5-6").await;
    assert!(several.field("content-type").starts_with("multipart/byteranges"));
    let beyond = part(&scene, 2 * GIB, 2 * GIB + 1).await;
    assert_eq!((beyond.status, beyond.field("content-range")), (416, format!("bytes */{GIB}")));
    assert_eq!(scene.origin.count(), 2);
}
