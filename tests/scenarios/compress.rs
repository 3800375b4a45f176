//! Responses compressed on their way to clients: each client gets the bytes of the origin, in the
//! coding that it takes, and the origin is asked once.

mod lasting;
mod varying;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::support::client::Seen;
use crate::support::decode::decode;
use crate::support::door::Door;
use crate::support::tools::curl;
use crate::support::{Ask, Film, Gate, Protocol, Reply, Scene, over_each_protocol, within};

over_each_protocol!(
    each_client_gets_its_coding_from_one_fetch,
    a_crowd_of_all_codings_streams_from_one_fetch,
    conditions_are_of_the_coded_response,
    a_part_is_of_what_the_origin_sent,
    what_was_learned_by_its_parts_is_coded_when_it_is_wanted_whole,
    a_head_tells_of_the_coded_response,
    what_is_not_worth_it_is_left_alone,
    what_is_not_stored_leaves_as_it_came,
    a_body_cut_short_seems_whole_to_nobody,
    beyond_the_bound_the_identity_leaves,
    what_goes_on_without_end_holds_no_place,
    a_route_that_does_not_code_hands_on_what_it_is_asked,
);

/// A site that compresses.
const ON: &str = "compress = {}";

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// What an origin is asked for by those who take all of them.
const ALL: &str = "zstd, br;q=0.9, gzip;q=0.8";

/// So many bytes of text that tell where they are.
fn page(lines: usize) -> Bytes {
    (0..lines).flat_map(|line| format!("<p>line {line} of it</p>\n").into_bytes()).collect()
}

/// A page with a strong entity tag, fresh for an hour.
fn fresh(page: impl Into<Bytes>) -> Reply {
    Reply::fresh(page).field("content-type", "text/html; charset=utf-8").field("etag", "\"1\"")
}

async fn scene(protocol: Protocol) -> Scene {
    Scene::with(protocol, |setup| setup.site(ON)).await
}

/// The body in the coding that its head names, which is to be `coding`.
fn decoded(seen: &Seen, coding: &str) -> Vec<u8> {
    assert_eq!(seen.field("content-encoding"), coding, "{:?}", seen.headers);
    assert_eq!(seen.field("vary"), "accept-encoding");
    decode(coding, &seen.body)
}

async fn taking(scene: &Scene, coding: &str, target: &str) -> Seen {
    scene.get_with(target, "accept-encoding", coding).await
}

async fn each_client_gets_its_coding_from_one_fetch(protocol: Protocol) {
    let scene = scene(protocol).await;
    let page = page(5000);
    let reply = fresh(page.clone()).field("accept-ranges", "bytes").field("digest", "sha-256=x");
    scene.origin.on("/", reply);
    for coding in CODINGS {
        let made = taking(&scene, coding, "/").await;
        assert!(decoded(&made, coding) == page, "{coding}: other bytes");
        assert_eq!(made.field("content-type"), "text/html; charset=utf-8");
        for gone in ["accept-ranges", "digest", "content-length", "headland-body"] {
            assert_eq!(made.field(gone), "", "{gone}");
        }
        for _ in 0..2 {
            let hit = taking(&scene, &format!("{coding}, identity;q=0.1"), "/").await;
            assert!(hit.is_hit() && decoded(&hit, coding) == page, "{coding}");
            assert_eq!(hit.field("etag"), "W/\"1\"");
            assert_eq!(hit.field("content-length"), hit.body.len().to_string());
            assert!(hit.body.len() < page.len() / 5, "{coding}: {}", hit.body.len());
        }
    }
    for takes in ["", "identity", "gzip;q=0, deflate", "*;q=0", "br;q=0.2, identity"] {
        let plain = taking(&scene, takes, "/").await;
        assert!(decoded(&plain, "") == page && plain.is_hit(), "{takes}");
        assert_eq!(plain.field("etag"), "\"1\"");
        assert_eq!(plain.field("accept-ranges"), "bytes");
    }
    assert!(decoded(&taking(&scene, "gzip, br;q=0.9", "/").await, "gzip") == page);
    assert!(decoded(&taking(&scene, "*", "/").await, "zstd") == page);
    assert_eq!(scene.origin.count(), 1);
    let begun = Door::of(&scene.node).await.metric("headland_compressions_total").await;
    assert_eq!(begun, 3.0);
}

async fn a_crowd_of_all_codings_streams_from_one_fetch(protocol: Protocol) {
    const CROWD: usize = 200;
    const TAKES: [&str; 5] = ["gzip, deflate, br, zstd", "gzip, br", "gzip", "identity", "x-gzip"];
    const GIVES: [&str; 5] = ["zstd", "br", "gzip", "", "gzip"];
    let scene = scene(protocol).await;
    let (page, gate) = (page(20_000), Gate::new());
    let (first, rest) = (page.slice(..9000), page.slice(9000..));
    let reply = fresh(first.clone()).field("vary", "Accept-Encoding");
    scene.origin.on("/", reply.gate(&gate).piece(rest));
    let crowd = scene.crowd(CROWD).await;
    let opened = crowd.iter().enumerate().map(async |(at, client)| {
        let ask = Ask::get("/").field("accept-encoding", TAKES[at % 5]);
        let mut response = client.open(ask).await.unwrap();
        let mut came = Vec::new();
        while decode(GIVES[at % 5], &came).len() < first.len() {
            came.extend_from_slice(&response.at_least(1).await.unwrap());
        }
        (response, came)
    });
    // The origin holds the rest back until everyone can read what there is.
    let opened = within("everyone's first bytes", join_all(opened)).await;
    gate.open();
    let whole = opened.into_iter().enumerate().map(async |(at, (response, mut came))| {
        let seen = response.whole().await.unwrap();
        assert_eq!(seen.field("content-encoding"), GIVES[at % 5]);
        came.extend_from_slice(&seen.body);
        assert!(decode(GIVES[at % 5], &came) == page, "{}: other bytes", TAKES[at % 5]);
    });
    within("the rest", join_all(whole)).await;
    assert_eq!(scene.origin.count(), 1);
    let begun = Door::of(&scene.node).await.metric("headland_compressions_total").await;
    assert_eq!(begun, 3.0);
}

async fn conditions_are_of_the_coded_response(protocol: Protocol) {
    let scene = scene(protocol).await;
    scene.origin.on("/", fresh(page(500)));
    for round in 0..2 {
        let ask = async |name: &str, value: &str, takes: &str| {
            scene.ask(Ask::get("/").field("accept-encoding", takes).field(name, value)).await
        };
        for (name, value, takes, status, etag) in [
            ("if-none-match", "W/\"1\"", "br", 304, "W/\"1\""),
            ("if-none-match", "\"1\"", "br", 304, "W/\"1\""),
            ("if-none-match", "\"2\"", "br", 200, "W/\"1\""),
            ("if-none-match", "W/\"1\"", "identity", 304, "\"1\""),
            // RFC 9110 section 13.1.1: by strong comparison no weak tag is any other.
            ("if-match", "\"1\"", "br", 412, ""),
            ("if-match", "W/\"1\"", "br", 412, ""),
            ("if-match", "*", "br", 200, "W/\"1\""),
            ("if-match", "\"1\"", "identity", 200, "\"1\""),
        ] {
            let seen = ask(name, value, takes).await;
            let what = format!("{round} {name}: {value} {takes}");
            assert_eq!((seen.status, seen.field("etag").as_str()), (status, etag), "{what}");
            if status != 412 {
                assert_eq!(seen.field("vary"), "accept-encoding", "{what}");
            }
        }
    }
    assert_eq!(scene.origin.count(), 1);
}

async fn a_part_is_of_what_the_origin_sent(protocol: Protocol) {
    let scene = scene(protocol).await;
    let page = page(500);
    scene.origin.on("/", fresh(page.clone()));
    taking(&scene, "gzip", "/").await;
    let ask = || Ask::get("/").field("accept-encoding", "gzip").field("range", "bytes=4-7");
    for (condition, status) in [(None, 206), (Some("\"1\""), 206), (Some("W/\"1\""), 200)] {
        let ask = condition.iter().fold(ask(), |ask, tag| ask.field("if-range", tag));
        let seen = scene.ask(ask).await;
        assert_eq!(seen.status, status);
        let expected = if status == 206 { &page[4..=7] } else { &page[..] };
        assert!(decoded(&seen, "") == expected);
        assert_eq!(seen.field("etag"), "\"1\"");
    }
    assert_eq!(scene.origin.count(), 1);
}

async fn what_was_learned_by_its_parts_is_coded_when_it_is_wanted_whole(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| {
        let setup = setup.cache("slice = \"64KiB\"\nmax_object = \"256KiB\"");
        setup.site("compress = { types = [\"video/*\"], max = \"1MiB\" }")
    })
    .await;
    let (film, larger) = (Film::new(200_000), Film::new(300_000));
    scene.origin.on("/film", Reply::film(film));
    scene.origin.on("/larger", Reply::film(larger));
    for target in ["/film", "/larger"] {
        let part = scene.get_with(target, "range", "bytes=70000-70009").await;
        assert_eq!((part.status, part.body.len()), (206, 10));
    }
    let whole = taking(&scene, "gzip", "/film").await;
    assert!(decoded(&whole, "gzip") == film.bytes(0, film.total));
    assert_eq!(whole.field("etag"), "W/\"film-0\"");
    // Each of its four slices was asked for once, and the copy is there.
    let asked = scene.origin.count();
    assert_eq!(asked, 5);
    let head = scene.ask(Ask::new("HEAD", "/film").field("accept-encoding", "gzip")).await;
    assert_eq!(head.field("content-length"), whole.body.len().to_string());
    let again = taking(&scene, "gzip", "/film").await;
    assert!(again.is_hit() && again.body == whole.body);
    assert!(decoded(&taking(&scene, "br", "/film").await, "br") == film.bytes(0, film.total));
    assert_eq!(scene.origin.count(), asked);
    // Of what cannot be kept whole no copy is made.
    let larger_whole = taking(&scene, "gzip", "/larger").await;
    assert!(decoded(&larger_whole, "") == larger.bytes(0, larger.total));
}

async fn a_head_tells_of_the_coded_response(protocol: Protocol) {
    let scene = scene(protocol).await;
    scene.origin.on("/", fresh(page(500)));
    let head = async || {
        let head = scene.ask(Ask::new("HEAD", "/").field("accept-encoding", "br")).await;
        assert!(decoded(&head, "br").is_empty());
        assert_eq!(head.field("etag"), "W/\"1\"");
        head.field("content-length")
    };
    // Handed on; from the store, where only the identity is known; from the coded copy.
    assert_eq!(head().await, "");
    taking(&scene, "gzip", "/").await;
    assert_eq!(head().await, "");
    let whole = taking(&scene, "br", "/").await;
    assert_eq!(head().await, whole.body.len().to_string());
}

async fn what_is_not_worth_it_is_left_alone(protocol: Protocol) {
    let set = "compress = { min = \"100B\", max = \"20KiB\" }";
    let scene = Scene::with(protocol, |setup| setup.site(set)).await;
    let (page, large) = (page(500), page(2000));
    let plain = |body: &Bytes| Reply::fresh(body.clone()).field("etag", "\"1\"");
    let text = |body: &Bytes| plain(body).field("content-type", "text/plain");
    scene.origin.on("/small", text(&page.slice(..99)));
    scene.origin.on("/large", text(&large));
    scene.origin.on("/image", plain(&page).field("content-type", "image/png"));
    scene.origin.on("/untyped", plain(&page));
    scene.origin.on("/kept", text(&page).field("cache-control", "no-transform"));
    scene.origin.on("/coded", text(&page).field("content-encoding", "deflate"));
    let targets = ["/small", "/large", "/image", "/untyped", "/kept", "/coded"];
    for (target, round) in targets.iter().flat_map(|target| [(target, 0), (target, 1)]) {
        let seen = taking(&scene, "gzip, br, zstd", target).await;
        assert_eq!((seen.status, seen.is_hit()), (200, round == 1), "{target}");
        assert_eq!(seen.field("etag"), "\"1\"", "{target}");
        assert_eq!(seen.field("vary"), "", "{target}");
        let coding = if *target == "/coded" { "deflate" } else { "" };
        assert_eq!(seen.field("content-encoding"), coding, "{target}");
        let asked = scene.origin.asked();
        assert!(asked.iter().any(|asked| asked.field("accept-encoding") == ALL));
    }
    scene.origin.on("/", text(&page));
    let forbidden = Ask::get("/").field("accept-encoding", "gzip");
    let seen = scene.ask(forbidden.field("cache-control", "no-transform")).await;
    assert!(decoded(&seen, "") == page);
    assert!(decoded(&taking(&scene, "gzip", "/").await, "gzip") == page);
    assert_eq!(scene.origin.count(), targets.len() + 1);
}

async fn what_is_not_stored_leaves_as_it_came(protocol: Protocol) {
    let scene = scene(protocol).await;
    let page = page(500);
    let own = || Reply::ok(page.clone()).field("content-type", "text/html").field("etag", "\"1\"");
    scene.origin.on("/no-store", own().field("cache-control", "no-store"));
    scene.origin.on("/private", own().field("cache-control", "private, max-age=60"));
    scene.origin.on("/cookie", fresh(page.clone()).field("set-cookie", "a=b"));
    scene.origin.on("/login", fresh(page.clone()));
    scene
        .origin
        .on("/marked", own().field("cache-control", "no-store").field("headland-body", "x"));
    let ask = |ask: Ask| ask.field("accept-encoding", "br, gzip");
    let asks = [
        ask(Ask::get("/no-store")),
        ask(Ask::new("HEAD", "/no-store")),
        ask(Ask::new("POST", "/no-store").content("x")),
        ask(Ask::get("/private")),
        ask(Ask::get("/cookie")),
        ask(Ask::get("/login").field("authorization", "Basic eA==")),
        ask(Ask::get("/marked")),
    ];
    for (number, ask) in asks.into_iter().enumerate() {
        let seen = scene.ask(ask).await;
        assert!(seen.body == if number == 1 { Bytes::new() } else { page.clone() }, "{number}");
        assert_eq!(seen.field("content-encoding") + &seen.field("vary"), "", "{number}");
        assert_eq!(seen.field("etag"), "\"1\"", "{number}");
        assert_eq!(scene.origin.last().field("accept-encoding"), "br, gzip;q=0.9", "{number}");
    }
    // The origin knows what it does.
    let coded = Reply::ok("coded there").field("content-encoding", "br");
    scene.origin.on("/coded", coded.field("cache-control", "private"));
    let seen = scene.ask(ask(Ask::get("/coded"))).await;
    assert_eq!((seen.text(), seen.field("content-encoding")), ("coded there", "br".into()));
}

async fn a_body_cut_short_seems_whole_to_nobody(protocol: Protocol) {
    let scene = scene(protocol).await;
    for (target, lifetime) in [("/stored", "max-age=60"), ("/own", "no-store")] {
        for coding in CODINGS {
            let gate = Gate::new();
            let reply = Reply::ok(page(500)).field("content-type", "text/html");
            let reply = reply.field("cache-control", lifetime).claims(1 << 20);
            scene.origin.now(target, reply.gate(&gate).then_close());
            let ask = Ask::get(target).field("accept-encoding", coding);
            let begun = within("a head", scene.client.open(ask)).await.unwrap();
            gate.open();
            assert!(within("an end", begun.whole()).await.is_err(), "{target} {coding}");
        }
    }
}

async fn beyond_the_bound_the_identity_leaves(protocol: Protocol) {
    let set = |setup: crate::support::Setup| setup.site(ON).cache("compressions = 1");
    let scene = Scene::with(protocol, set).await;
    let door = Door::of(&scene.node).await;
    let (page, gate) = (page(500), Gate::new());
    scene.origin.on("/slow", fresh(page.clone()).gate(&gate).piece(page.clone()));
    scene.origin.on("/", fresh(page.clone()));
    let ask = Ask::get("/slow").field("accept-encoding", "gzip");
    let slow = within("a head", scene.client.open(ask)).await.unwrap();
    assert!(decoded(&taking(&scene, "gzip", "/").await, "") == page);
    assert!(decoded(&taking(&scene, "gzip", "/").await, "") == page);
    assert_eq!(
        door.metric("headland_compressions_total{coding=\"gzip\",result=\"busy\"").await,
        2.0
    );
    gate.open();
    within("the rest", slow.whole()).await.unwrap();
    crate::support::eventually("a free place", async || {
        taking(&scene, "gzip", "/").await.field("content-encoding") == "gzip"
    })
    .await;
    assert!(decoded(&taking(&scene, "gzip", "/").await, "gzip") == page);
    assert_eq!(scene.origin.count(), 2);
}

async fn what_goes_on_without_end_holds_no_place(protocol: Protocol) {
    let set = |setup: crate::support::Setup| setup.site(ON).cache("compressions = 1");
    let scene = Scene::with(protocol, set).await;
    let (page, gate) = (page(500), Gate::new());
    let endless = |kind: &str, keep: &str| {
        let reply = Reply::ok(page.clone()).field("content-type", kind);
        reply.field("cache-control", keep).chunked().gate(&gate).piece("the end")
    };
    scene.origin.on("/own", endless("text/html", "no-store"));
    scene.origin.on("/events", endless("text/event-stream", "max-age=60"));
    scene.origin.on("/", fresh(page.clone()));
    let mut opened = Vec::new();
    for target in ["/own", "/own", "/events"] {
        let ask = Ask::get(target).field("accept-encoding", "gzip");
        let mut response = within("a head", scene.client.open(ask)).await.unwrap();
        response.at_least(page.len()).await.unwrap();
        opened.push(response);
    }
    assert!(decoded(&taking(&scene, "gzip", "/").await, "gzip") == page);
    gate.open();
    for response in opened {
        let seen = within("the rest", response.whole()).await.unwrap();
        assert_eq!(seen.field("content-encoding"), "");
    }
}

async fn a_route_that_does_not_code_hands_on_what_it_is_asked(protocol: Protocol) {
    let routes = format!(
        "{ON}\n[[site.route]]\npath = \"/as-is/*\"\ncompress = {{ codings = [] }}\n\
         [[site.route]]\npath = \"/gzip/*\"\ncompress = {{ codings = [\"gzip\"] }}"
    );
    let scene = Scene::with(protocol, |setup| setup.site(&routes)).await;
    let page = page(500);
    scene.origin.otherwise({
        let page = page.clone();
        move |_| fresh(page.clone())
    });
    let takes = "br, gzip;q=0.7";
    let plain = taking(&scene, takes, "/as-is/x").await;
    assert_eq!((plain.field("vary").as_str(), plain.body == page), ("", true));
    assert_eq!(scene.origin.last().field("accept-encoding"), takes);
    assert!(decoded(&taking(&scene, takes, "/gzip/x").await, "gzip") == page);
    assert!(decoded(&taking(&scene, takes, "/").await, "br") == page);
}

#[tokio::test]
async fn curl_decodes_what_it_gets() {
    let scene = scene(Protocol::H1).await;
    let page = page(3000);
    scene.origin.on("/", fresh(page.clone()));
    let url = format!("http://localhost:{}/", scene.node.http().port());
    for _ in 0..2 {
        let said = curl(&["--compressed", &url]).await;
        assert!(said.success && said.out == page, "{}", said.err);
    }
    let head = curl(&["--compressed", "--head", &url]).await.text();
    assert!(head.contains("content-encoding: "), "{head}");
    assert_eq!(scene.origin.count(), 1);
}
