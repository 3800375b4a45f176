//! Objects in slices: 16 bytes a slice here, and 64 bytes the most that is stored in one piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

use super::world::{End, Got, Step, World, read, say, text};
use crate::message::Piece;
use crate::object::PurgeKind;

const FRESH: &str = "cache-control: max-age=60";

/// The object of a version: its bytes tell their places, and every version's are others.
fn object(version: u64, total: usize) -> String {
    (0..total).map(|at| char::from(b'a' + ((at + at / 16 + version as usize) % 26) as u8)).collect()
}

/// A request's field.
fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// What an origin with ranges answers for version `version` of an object.
fn ranged(head: &str, version: u64, total: usize) -> Vec<Step> {
    let (whole, etag) = (object(version, total), format!("\"{version}\""));
    let told = format!("etag: {etag}");
    if field(head, "if-none-match") == Some(&*etag) {
        return vec![text(&format!("HTTP/1.1 304 Not Modified\r\n{FRESH}\r\n{told}\r\n\r\n"))];
    }
    let holds = field(head, "if-range").is_none_or(|tag| tag == etag);
    let range = field(head, "range").filter(|_| holds);
    let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
        return vec![say("200 OK", &[FRESH, &told, "accept-ranges: bytes"], &whole)];
    };
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    if first >= total {
        let unsatisfied = format!("content-range: bytes */{total}");
        return vec![say("416 Range Not Satisfiable", &[&unsatisfied], "")];
    }
    let last = last.min(total - 1);
    let part = format!("content-range: bytes {first}-{last}/{total}");
    vec![say("206 Partial Content", &[FRESH, &told, &part], &whole[first..=last])]
}

/// An origin with ranges before an object of `total` bytes, and the version that it has.
async fn world(total: usize) -> (World, Arc<AtomicU64>) {
    let version = Arc::new(AtomicU64::new(0));
    let now = version.clone();
    let script = move |head: &str, _| ranged(head, now.load(Ordering::Relaxed), total);
    (World::new("", script).await, version)
}

async fn part(world: &World, range: &str) -> Got {
    world.get("/a").with("Range", range).got().await
}

/// The ranges that the origin was asked for since the first `from` requests.
fn asked(world: &World, from: usize) -> Vec<String> {
    let heads = world.origin.heads();
    let mut asked: Vec<_> = heads[from..]
        .iter()
        .map(|head| field(head, "range").unwrap_or("whole").to_owned())
        .collect();
    asked.sort();
    asked
}

#[tokio::test]
async fn a_range_deep_inside_fetches_its_slices_once() {
    let (world, _) = world(1000).await;
    let whole = object(0, 1000);
    let got = part(&world, "bytes=500-520").await;
    assert_eq!((got.status, &*got.body), (206, &whole[500..=520]));
    assert_eq!(got.line("content-range"), Some("bytes 500-520/1000"));
    assert_eq!((got.cache(), got.served), ("fwd=miss; fwd-status=206; stored", "miss"));
    assert_eq!(asked(&world, 0), ["bytes=496-511", "bytes=512-527"]);
    let again = part(&world, "bytes=497-526").await;
    assert_eq!((again.cache(), again.served), ("hit; ttl=60", "hit"));
    assert_eq!(again.body, whole[497..=526]);
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn missing_slices_are_fetched_and_said_to_be() {
    let (world, _) = world(100).await;
    let whole = object(0, 100);
    part(&world, "bytes=20-21").await;
    part(&world, "bytes=52-53").await;
    assert_eq!(asked(&world, 0), ["bytes=16-31", "bytes=48-63"]);
    // From what is stored through a hole to what is stored.
    let got = part(&world, "bytes=17-62").await;
    assert_eq!((&*got.body, got.cache()), (&whole[17..=62], "fwd=partial; stored"));
    assert_eq!((got.served, part(&world, "bytes=17-62").await.served), ("miss", "hit"));
    assert_eq!(asked(&world, 2), ["bytes=32-47"]);
    let head = world.origin.heads().pop().unwrap();
    assert_eq!(field(&head, "if-range"), Some("\"0\""));
    let got = part(&world, "bytes=0-20").await;
    assert_eq!((&*got.body, got.cache()), (&whole[..=20], "fwd=partial; stored"));
    assert_eq!((got.served, world.origin.count()), ("miss", 4));
    let got = world.get("/a").got().await;
    assert_eq!((got.status, got.length, &got.body), (200, Some(100), &whole));
    assert_eq!((got.served, world.get("/a").got().await.cache()), ("miss", "hit; ttl=60"));
    assert_eq!(asked(&world, 4), ["bytes=64-79", "bytes=80-95", "bytes=96-99"]);
}

#[tokio::test]
async fn ranges_conditions_and_methods_as_from_what_is_whole() {
    let (world, _) = world(100).await;
    let whole = object(0, 100);
    let suffix = part(&world, "bytes=-30").await;
    assert_eq!((suffix.status, &*suffix.body), (206, &whole[70..]));
    assert_eq!(asked(&world, 0), ["bytes=0-15", "bytes=64-79", "bytes=80-95", "bytes=96-99"]);
    let several = part(&world, "bytes=90-91, 14-17, 0-0").await;
    for (range, text) in
        [("90-91", &whole[90..92]), ("14-17", &whole[14..18]), ("0-0", &whole[..1])]
    {
        let part = format!("\r\nContent-Range: bytes {range}/100\r\n\r\n{text}\r\n--");
        assert!(several.body.contains(&part), "{}", several.body);
    }
    assert_eq!(several.length, Some(several.body.len() as u64));
    assert_eq!(several.cache(), "fwd=partial; stored");
    let head = world.ask(Method::HEAD, "/a").got().await;
    assert_eq!((head.status, head.length, &*head.body, head.served), (200, Some(100), "", "hit"));
    let beyond = part(&world, "bytes=100-").await;
    assert_eq!((beyond.status, beyond.line("content-range")), (416, Some("bytes */100")));
    let with = |name, value| world.get("/a").with("Range", "bytes=0-1").with(name, value);
    assert_eq!(with("If-None-Match", "\"0\"").got().await.status, 304);
    assert_eq!(with("If-Match", "\"1\"").got().await.status, 412);
    assert_eq!(with("If-Range", "\"0\"").got().await.body, whole[..2]);
    let other = with("If-Range", "\"1\"").got().await;
    assert_eq!((other.status, other.body), (200, whole));
}

#[tokio::test]
async fn an_object_that_changes_is_never_mixed() {
    let (world, version) = world(200).await;
    part(&world, "bytes=0-15").await;
    version.store(1, Ordering::Relaxed);
    // What begins with the old version is cut where that ends.
    let cut = part(&world, "bytes=8-100").await;
    assert_eq!((&*cut.body, cut.end), (&object(0, 200)[8..16], End::Cut));
    let new = part(&world, "bytes=8-100").await;
    assert_eq!((&*new.body, new.end), (&object(1, 200)[8..=100], End::Whole));
    version.store(2, Ordering::Relaxed);
    // Nothing is sent yet: the request begins anew by itself.
    let moved = part(&world, "bytes=160-170").await;
    assert_eq!((&*moved.body, moved.end), (&object(2, 200)[160..=170], End::Whole));
    assert_eq!(moved.cache(), "fwd=miss; fwd-status=206; stored");
    let all = world.get("/a").got().await;
    assert_eq!((all.body, all.end), (object(2, 200), End::Whole));
}

#[tokio::test]
async fn a_stale_head_is_revalidated_and_keeps_its_slices() {
    let (world, version) = world(100).await;
    part(&world, "bytes=40-41").await;
    let ask = |at| world.get("/a").with("Range", "bytes=42-43").at(at);
    let got = ask(70).got().await;
    assert_eq!((&*got.body, got.served), (&object(0, 100)[42..44], "revalidated"));
    assert_eq!(ask(71).got().await.served, "hit");
    assert_eq!(world.origin.count(), 2);
    version.store(1, Ordering::Relaxed);
    let got = ask(140).got().await;
    assert_eq!(
        (&*got.body, got.cache()),
        (&object(1, 100)[42..44], "fwd=stale; fwd-status=206; stored")
    );
    assert_eq!((ask(141).got().await.served, world.origin.count()), ("hit", 3));
}

#[tokio::test]
async fn a_stale_head_serves_while_it_is_refreshed_behind() {
    let site = "[site.freshness]\nstale_while_revalidate = \"1h\"";
    for (range, cache) in [
        ("bytes=42-46", "hit; ttl=-10; detail=stale-while-revalidate"),
        ("bytes=42-70", "fwd=partial; stored; detail=stale-while-revalidate"),
        ("bytes=2-70", "fwd=partial; stored; detail=stale-while-revalidate"),
    ] {
        let world = World::new(site, |head, _| ranged(head, 0, 100)).await;
        part(&world, "bytes=40-41").await;
        let got = world.get("/a").with("Range", range).at(70).got().await;
        assert_eq!((got.served, got.cache(), got.end), ("stale", cache, End::Whole));
        let (first, last) = range[6..].split_once('-').unwrap();
        let [first, last]: [usize; 2] = [first, last].map(|at| at.parse().unwrap());
        assert_eq!(got.body, object(0, 100)[first..=last]);
    }
}

#[tokio::test]
async fn a_purge_makes_all_slices_unreachable() {
    let (world, _) = world(100).await;
    part(&world, "bytes=0-63").await;
    let before = world.origin.count();
    world.purge(PurgeKind::Hard, "/a");
    let got = part(&world, "bytes=20-40").await;
    assert_eq!(got.body, object(0, 100)[20..=40]);
    assert_eq!(asked(&world, before), ["bytes=16-31", "bytes=32-47"]);
    let head = &world.origin.heads()[before];
    assert!(field(head, "if-none-match").is_none() && field(head, "if-range").is_none());
    world.ask(Method::POST, "/a").got().await;
    let before = world.origin.count();
    part(&world, "bytes=20-21").await;
    assert_eq!(asked(&world, before), ["bytes=16-31"]);
}

#[tokio::test]
async fn many_share_each_slice() {
    let script = |head: &str, _| [vec![Step::Wait], ranged(head, 0, 100)].concat();
    let world = World::new("", script).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        tasks.push(world.get("/a").with("Range", "bytes=30-70").started().await);
    }
    world.origin.go_on(100);
    let mut served = Vec::new();
    for task in tasks {
        let got = task.await.unwrap();
        assert_eq!(got.body, object(0, 100)[30..=70]);
        served.push(got.served);
    }
    served.sort_unstable();
    served.dedup();
    assert_eq!(served, ["collapsed", "miss"]);
    let slices = ["bytes=16-31", "bytes=32-47", "bytes=48-63", "bytes=64-79"];
    assert_eq!(asked(&world, 0), slices);
}

#[tokio::test]
async fn a_reader_that_goes_on_asks_ahead_for_more() {
    let script = |head: &str, number| match number {
        0 => ranged(head, 0, 400),
        _ => [vec![Step::Wait], ranged(head, 0, 400)].concat(),
    };
    let world = World::new("", script).await;
    part(&world, "bytes=0-0").await;
    // Its first slice is at hand, so one is asked for ahead, and another once that is waited for.
    let whole = world.get("/a").started().await;
    world.origin.asked(3).await;
    assert_eq!(asked(&world, 1), ["bytes=16-31", "bytes=32-47"]);
    world.origin.go_on(2);
    // From then on the one that is waited for, and as many behind it as the relay window holds.
    world.origin.asked(6).await;
    assert_eq!(asked(&world, 3), ["bytes=48-63", "bytes=64-79", "bytes=80-95"]);
    world.origin.go_on(100);
    let got = whole.await.unwrap();
    assert_eq!((got.body, got.end, world.origin.count()), (object(0, 400), End::Whole, 25));
}

#[tokio::test]
async fn what_is_small_is_stored_whole_by_its_first_slice() {
    let (world, _) = world(10).await;
    let got = part(&world, "bytes=2-3").await;
    assert_eq!((got.status, &*got.body), (206, &object(0, 10)[2..4]));
    let got = world.get("/a").got().await;
    assert_eq!((got.served, got.body, world.origin.count()), ("hit", object(0, 10), 1));
    // Past its end the origin's own word counts, and nobody else hears of it.
    let got = world.get("/b").with("Range", "bytes=90-").got().await;
    assert_eq!((got.status, got.line("content-range")), (416, Some("bytes */10")));
    assert_eq!(world.get("/b").got().await.cache(), "fwd=miss; fwd-status=200; stored");
}

#[tokio::test]
async fn a_part_without_a_strong_tag_is_not_kept() {
    for (total, etag) in [(40, "x: y"), (40, "etag: W/\"v\""), (200, "x: y")] {
        let world = World::new("", move |head, _| {
            let whole = object(0, total);
            match field(head, "range")
                .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
            {
                None => vec![say("200 OK", &[FRESH, etag], &whole)],
                Some((first, last)) => {
                    let (first, last): (usize, usize) =
                        (first.parse().unwrap(), last.parse().unwrap());
                    let part = format!("content-range: bytes {first}-{last}/{total}");
                    vec![say("206 Partial Content", &[FRESH, etag, &part], &whole[first..=last])]
                }
            }
        })
        .await;
        let got = part(&world, "bytes=20-21").await;
        assert_eq!((got.status, &*got.body), (206, &object(0, total)[20..22]), "{etag}");
        let (wanted, served) = match total {
            // What is small is fetched whole after all.
            40 => (["bytes=16-31", "whole"], "hit"),
            _ => (["bytes=16-31", "bytes=20-21"], "pass"),
        };
        assert_eq!(asked(&world, 0), wanted, "{etag}");
        let again = part(&world, "bytes=20-21").await;
        assert_eq!((again.served, &*again.body), (served, &object(0, total)[20..22]), "{etag}");
    }
}

#[tokio::test]
async fn a_large_whole_is_cut_while_it_streams_by() {
    let (world, _) = world(200).await;
    let got = world.get("/a").got().await;
    assert_eq!((got.body, got.end), (object(0, 200), End::Whole));
    assert_eq!((got.served, world.origin.count()), ("miss", 1));
    let got = world.get("/a").got().await;
    assert_eq!((got.body, got.served), (object(0, 200), "hit"));
    assert_eq!(part(&world, "bytes=190-").await.body, object(0, 200)[190..]);
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn a_slice_that_breaks_off_is_asked_for_again() {
    let world = World::new("", |head, number| {
        let mut steps = ranged(head, 0, 100);
        if number == 1
            && let Some(Step::Say(text)) = steps.first_mut()
        {
            text.truncate(text.len() - 5);
            steps.push(Step::Close);
        }
        steps
    })
    .await;
    let got = part(&world, "bytes=10-40").await;
    assert_eq!((&*got.body, got.end), (&object(0, 100)[10..=40], End::Whole));
    assert_eq!(world.origin.count(), 4);
    let dead = World::new("", |head, number| match number {
        0 => ranged(head, 0, 100),
        _ => vec![Step::Close],
    })
    .await;
    let got = part(&dead, "bytes=10-40").await;
    assert_eq!((&*got.body, got.end), (&object(0, 100)[10..16], End::Cut));
    // With nothing sent there is a status for it.
    assert_eq!(part(&dead, "bytes=50-60").await.status, 502);
    assert_eq!(part(&dead, "bytes=0-9").await.served, "hit");
}

#[tokio::test]
async fn variants_have_slices_of_their_own() {
    let world = World::new("", |head, _| {
        let version = u64::from(head.contains("accept-language: de"));
        let mut steps = ranged(head, version, 100);
        if let Some(Step::Say(text)) = steps.first_mut() {
            *text = text.replacen("\r\n", "\r\nvary: accept-language\r\n", 1);
        }
        steps
    })
    .await;
    for _ in 0..2 {
        for (language, version) in [("de", 1), ("en", 0)] {
            let ask = world.get("/a").with("Range", "bytes=30-40");
            let got = ask.with("Accept-Language", language).got().await;
            assert_eq!(got.body, object(version, 100)[30..=40], "{language}");
        }
    }
    assert_eq!(world.origin.count(), 4);
}

#[tokio::test]
async fn a_reader_left_behind_by_a_stream_goes_on_from_what_was_cut() {
    let world = World::new("", |head, _| match field(head, "range") {
        Some(_) => ranged(head, 0, 400),
        None => {
            let told = format!("{FRESH}\r\netag: \"0\"\r\naccept-ranges: bytes");
            let head = format!("HTTP/1.1 200 OK\r\n{told}\r\ncontent-length: 400\r\n\r\n");
            let whole = object(0, 400);
            vec![text(&(head + &whole[..40])), Step::Wait, text(&whole[40..])]
        }
    })
    .await;
    let (mut slow, served) = world.get("/a").reply().await;
    let Some(Ok(Piece::Data(first))) = slow.body.next().await else { panic!("no bytes") };
    let quick = world.get("/a").started().await;
    world.origin.go_on(1);
    assert_eq!(quick.await.unwrap().body, object(0, 400));
    let rest = read(slow, served).await;
    assert_eq!((&object(0, 400)[first.len()..], rest.end), (&*rest.body, End::Whole));
    assert_eq!(world.origin.count(), 1);
}

/// One request of the seeded drive: its ranges, and what they are of a whole.
fn drawn(rng: &mut fastrand::Rng, total: usize) -> (Option<String>, std::ops::Range<usize>) {
    let first = rng.usize(..total);
    let last = rng.usize(first..total + 20);
    match rng.u8(..8) {
        0 => (None, 0..total),
        1 => (Some(format!("bytes={first}-")), first..total),
        2 => (Some(format!("bytes=-{}", total - first)), first..total),
        _ => (Some(format!("bytes={first}-{last}")), first..total.min(last + 1)),
    }
}

#[tokio::test]
async fn whatever_is_asked_comes_from_one_version_not_older_than_the_last_purge() {
    for seed in 0..24 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let total = rng.usize(1..400);
        let (world, version) = world(total).await;
        let mut required = 0;
        // Nobody who asked has been cut since the object changed.
        let mut may_cut = false;
        for step in 0..40 {
            match rng.u8(..12) {
                0 => {
                    version.fetch_add(1, Ordering::Relaxed);
                    may_cut = true;
                }
                1 => {
                    world.purge(PurgeKind::Hard, "/a");
                    required = version.load(Ordering::Relaxed);
                }
                _ => {}
            }
            let (range, wanted) = drawn(&mut rng, total);
            let mut ask = world.get("/a");
            if let Some(range) = &range {
                ask = ask.with("Range", range);
            }
            let got = ask.got().await;
            let place = format!("seed {seed}, step {step}: {range:?} of {total}, {}", got.cache());
            assert_eq!(got.status, if range.is_some() { 206 } else { 200 }, "{place}");
            assert_eq!(got.length, Some(wanted.len() as u64), "{place}");
            let is_of = |version| object(version, total)[wanted.clone()].starts_with(&got.body);
            let current = version.load(Ordering::Relaxed);
            assert!((required..=current).any(is_of), "{place}");
            match got.end {
                End::Whole => assert_eq!(got.body.len(), wanted.len(), "{place}"),
                // What began with an old version, and only once: then it is known to be old.
                End::Cut => assert!(std::mem::take(&mut may_cut) && !is_of(current), "{place}"),
            }
        }
    }
}
