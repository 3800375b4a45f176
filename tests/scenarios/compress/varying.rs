//! Origins that code, or say that they might: which of what they sent serves whom.

use futures_util::future::join_all;

use super::{ALL, ON, decoded, fresh, page, scene, taking};
use crate::support::decode::decode;
use crate::support::{Ask, Gate, Protocol, Reply, Scene, over_each_protocol, within};

over_each_protocol!(
    an_identity_that_varies_by_coding_serves_everybody,
    what_the_origin_coded_serves_those_who_take_it,
    a_crowd_shares_what_the_origin_coded,
    an_origin_that_leaves_out_a_coding_is_helped,
    a_coding_that_no_vary_tells_of_is_not_for_all,
    what_varies_by_more_is_kept_apart_by_that,
);

const TAKES: [&str; 4] = ["gzip, deflate, br, zstd", "gzip, br", "gzip", ""];
const GIVES: [&str; 4] = ["zstd", "br", "gzip", ""];

/// A response that an origin has coded, or pretends to have.
fn coded(coding: &str) -> Reply {
    let reply = fresh(format!("precompressed by {coding}")).field("vary", "Accept-Encoding");
    if coding.is_empty() { reply } else { reply.field("content-encoding", coding) }
}

async fn an_identity_that_varies_by_coding_serves_everybody(protocol: Protocol) {
    let scene = scene(protocol).await;
    let page = page(500);
    let reply = || fresh(page.clone()).field("vary", "accept-encoding");
    for (first, begins) in TAKES.into_iter().enumerate() {
        let target = format!("/{first}");
        scene.origin.on(&target, reply());
        for at in (first..4).chain(0..first) {
            let seen = taking(&scene, TAKES[at], &target).await;
            assert!(decoded(&seen, GIVES[at]) == page, "{} after {begins}", TAKES[at]);
        }
        assert_eq!(scene.origin.count(), first + 1, "first {begins}");
    }
    // So does one that is not worth coding, and a 304.
    let small = |etag| Reply::stale(etag, "small").field("vary", "accept-encoding");
    scene.origin.on("/small", small("\"1\""));
    scene.origin.on("/small", Reply::new(304).field("etag", "\"1\"").field("x-round", "2"));
    taking(&scene, TAKES[0], "/small").await;
    for takes in TAKES {
        assert_eq!(taking(&scene, takes, "/small").await.text(), "small");
        assert_eq!(scene.origin.last().field("if-none-match"), "\"1\"");
    }
}

async fn what_the_origin_coded_serves_those_who_take_it(protocol: Protocol) {
    let scene = scene(protocol).await;
    let ask = async |takes: &str| {
        let seen = taking(&scene, takes, "/").await;
        assert_eq!(seen.field("vary"), "Accept-Encoding");
        assert_eq!(seen.text(), format!("precompressed by {}", seen.field("content-encoding")));
        (seen.field("content-encoding"), scene.origin.count())
    };
    let told = |coding: &str, count| (coding.to_owned(), count);
    scene.origin.now("/", coded("br"));
    assert_eq!(ask("gzip, deflate, br, zstd").await, told("br", 1));
    assert_eq!(scene.origin.last().field("accept-encoding"), ALL);
    for takes in ["gzip, br;q=0.5", "br", "zstd;q=0.3, br", "*"] {
        assert_eq!(ask(takes).await, told("br", 1), "{takes}");
    }
    scene.origin.now("/", coded("gzip"));
    assert_eq!(ask("gzip, zstd").await, told("gzip", 2));
    assert_eq!(scene.origin.last().field("accept-encoding"), "zstd, gzip;q=0.9");
    for takes in ["gzip", "x-gzip", "gzip, zstd"] {
        assert_eq!(ask(takes).await, told("gzip", 2), "{takes}");
    }
    // Whoever takes more might get better.
    scene.origin.now("/", coded("zstd"));
    assert_eq!(ask("zstd").await, told("zstd", 3));
    assert_eq!(ask("gzip, br, zstd").await, told("br", 3));
    scene.origin.now("/", coded(""));
    assert_eq!(ask("identity").await, told("", 4));
    assert_eq!(scene.origin.last().field("accept-encoding"), "identity");
    assert_eq!(ask("deflate, *;q=0").await, told("", 4));
}

async fn a_crowd_shares_what_the_origin_coded(protocol: Protocol) {
    let scene = scene(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", coded("br").gate(&gate).piece(", and more"));
    let crowd = scene.crowd(30).await;
    let opened = crowd.iter().enumerate().map(async |(at, client)| {
        let takes = ["gzip, deflate, br, zstd", "br, gzip", "br"][at % 3];
        let mut response =
            client.open(Ask::get("/").field("accept-encoding", takes)).await.unwrap();
        response.at_least(1).await.unwrap();
        response
    });
    let mut opened = opened.collect::<Vec<_>>().into_iter();
    // The first of them takes all.
    let first = within("a head", opened.next().unwrap()).await;
    let rest = within("everyone's first bytes", join_all(opened)).await;
    gate.open();
    for response in rest.into_iter().chain([first]) {
        let seen = within("the rest", response.whole()).await.unwrap();
        assert_eq!(seen.field("content-encoding"), "br");
        assert!(seen.body.ends_with(b"and more"));
    }
    assert_eq!(scene.origin.count(), 1);
}

async fn an_origin_that_leaves_out_a_coding_is_helped(protocol: Protocol) {
    let scene = scene(protocol).await;
    let page = page(500);
    scene.origin.on("/", coded("gzip"));
    scene.origin.on("/", fresh(page.clone()).field("vary", "accept-encoding"));
    assert_eq!(taking(&scene, "gzip", "/").await.text(), "precompressed by gzip");
    // The identity serves those as well who had what the origin coded.
    for takes in ["br", "br", "gzip", "", "zstd"] {
        assert!(decoded(&taking(&scene, takes, "/").await, takes) == page, "{takes}");
    }
    assert_eq!(scene.origin.count(), 2);
}

async fn a_coding_that_no_vary_tells_of_is_not_for_all(protocol: Protocol) {
    let scene = scene(protocol).await;
    let page = page(500);
    scene.origin.now("/", fresh("coded there").field("content-encoding", "br"));
    for _ in 0..2 {
        assert_eq!(taking(&scene, "br, zstd, gzip", "/").await.text(), "coded there");
    }
    scene.origin.now("/", fresh(page.clone()));
    for takes in ["", "gzip"] {
        let seen = taking(&scene, takes, "/").await;
        assert_eq!(seen.field("content-encoding"), takes);
        assert!(decode(takes, &seen.body) == page, "{takes}");
    }
    assert_eq!(scene.origin.count(), 2);
}

async fn what_varies_by_more_is_kept_apart_by_that(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.site(ON)).await;
    let pages = [("de", page(500)), ("fr", page(600))];
    let ask = async |language: &str, takes: &str| {
        let ask = Ask::get("/").field("accept-language", language);
        scene.ask(ask.field("accept-encoding", takes)).await
    };
    for (language, page) in &pages {
        let reply = fresh(page.clone()).field("vary", "Accept-Encoding, Accept-Language");
        scene.origin.now("/", reply);
        ask(language, "gzip").await;
    }
    for takes in ["zstd", "br", "gzip", "", "br"] {
        for (language, page) in &pages {
            let seen = ask(language, takes).await;
            assert_eq!(seen.field("content-encoding"), takes);
            assert!(decode(takes, &seen.body) == *page, "{language} {takes}");
        }
    }
    assert_eq!(scene.origin.count(), 2);
}
