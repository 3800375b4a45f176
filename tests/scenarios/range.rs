//! Parts of what is stored (RFC 9110 section 14).

use crate::support::{Ask, Gate, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    single_ranges_are_cut_from_what_is_stored,
    several_ranges_come_as_multipart,
    what_cannot_be_satisfied_is_416,
    if_range_guards_against_a_change,
    if_range_takes_a_date_that_is_strong,
    of_several_ranges_fields_none_counts,
    ranges_bear_on_get_alone,
    a_range_of_a_cold_object_asks_for_its_slice,
    a_range_is_served_before_the_whole_has_come,
    content_range_on_what_is_whole_says_nothing,
);

fn digits() -> Reply {
    let reply = Reply::fresh("0123456789").field("etag", "\"1\"");
    reply.field("content-type", "text/digits")
}

async fn stored(protocol: Protocol) -> Scene {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", digits());
    scene.get("/").await;
    scene
}

async fn single_ranges_are_cut_from_what_is_stored(protocol: Protocol) {
    let scene = stored(protocol).await;
    for (range, content_range, body) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-5", "bytes 2-5/10", "2345"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=7-99", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
        ("BYTES=1-2", "bytes 1-2/10", "12"),
    ] {
        let part = scene.get_with("/", "range", range).await;
        assert_eq!((part.status, part.text()), (206, body), "{range}");
        assert_eq!(part.field("content-range"), content_range, "{range}");
        assert_eq!(part.field("content-length"), body.len().to_string(), "{range}");
        assert_eq!(part.field("content-type"), "text/digits");
        assert!(part.is_hit(), "{}", part.cache_status());
    }
    for ignored in ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes="] {
        let whole = scene.get_with("/", "range", ignored).await;
        assert_eq!((whole.status, whole.text()), (200, "0123456789"), "{ignored}");
    }
    assert_eq!(scene.origin.count(), 1);
}

async fn several_ranges_come_as_multipart(protocol: Protocol) {
    let scene = stored(protocol).await;
    let parts = scene.get_with("/", "range", "bytes=0-1,4-4,-2").await;
    assert_eq!(parts.status, 206);
    let content_type = parts.field("content-type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\ncontent-type: text/digits\r\ncontent-range: bytes {range}/10\r\n\
             \r\n{text}\r\n"
        )
    };
    let expected = [part("0-1", "01"), part("4-4", "4"), part("8-9", "89")].concat();
    let body = parts.text().to_ascii_lowercase();
    assert_eq!(body.trim_start(), format!("{expected}--{boundary}--\r\n"));
    assert_eq!(parts.field("content-range"), "");
    assert_eq!(parts.field("content-length"), parts.body.len().to_string());
}

async fn what_cannot_be_satisfied_is_416(protocol: Protocol) {
    let scene = stored(protocol).await;
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let refused = scene.get_with("/", "range", range).await;
        assert_eq!((refused.status, refused.text()), (416, ""), "{range}");
        assert_eq!(refused.field("content-range"), "bytes */10");
    }
    let some = scene.get_with("/", "range", "bytes=99-100, 1-1").await;
    assert_eq!((some.status, some.text()), (206, "1"));
}

async fn if_range_guards_against_a_change(protocol: Protocol) {
    let scene = stored(protocol).await;
    for (validator, status) in [
        ("\"1\"", 206),
        ("\"2\"", 200),
        // RFC 9110 section 13.1.5: the comparison is strong.
        ("W/\"1\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        let ask = Ask::get("/").field("range", "bytes=0-1").field("if-range", validator);
        let seen = scene.ask(ask).await;
        assert_eq!(seen.status, status, "{validator}");
    }
}

/// RFC 9110 section 8.8.2.2: a second at least before the response was made.
async fn if_range_takes_a_date_that_is_strong(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let dated = |date: &str| {
        let reply = Reply::fresh("0123456789").field("last-modified", modified);
        reply.field("date", date).field("cache-control", "max-age=4000000000")
    };
    scene.origin.on("/strong", dated("Sun, 06 Nov 1994 08:49:38 GMT"));
    scene.origin.on("/weak", dated(modified));
    for (target, date, status) in [
        ("/strong", modified, 206),
        ("/strong", "Sunday, 06-Nov-94 08:49:37 GMT", 206),
        ("/strong", "Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("/strong", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("/weak", modified, 200),
    ] {
        scene.get(target).await;
        let ask = Ask::get(target).field("range", "bytes=0-1").field("if-range", date);
        let seen = scene.ask(ask).await;
        assert_eq!(seen.status, status, "{target} {date}");
    }
    assert!(scene.origin.asked().iter().all(|asked| asked.field("range").is_empty()));
}

async fn of_several_ranges_fields_none_counts(protocol: Protocol) {
    let scene = stored(protocol).await;
    scene.origin.on("/cold", digits());
    let range = |target: &str| Ask::get(target).field("range", "bytes=0-1");
    for target in ["/", "/cold"] {
        let whole = scene.ask(range(target).field("range", "bytes=4-5")).await;
        assert_eq!((whole.status, whole.text()), (200, "0123456789"), "{target}");
    }
    assert_eq!(scene.origin.last().field("range"), "");
    let validators =
        |first: &str, second: &str| range("/").field("if-range", first).field("if-range", second);
    for (first, second) in [("\"1\"", "\"2\""), ("\"2\"", "\"1\""), ("\"1\"", "\"1\"")] {
        assert_eq!(scene.ask(validators(first, second)).await.status, 200, "{first} {second}");
    }
}

async fn ranges_bear_on_get_alone(protocol: Protocol) {
    let scene = stored(protocol).await;
    let head = scene.ask(Ask::new("HEAD", "/").field("range", "bytes=0-1")).await;
    assert_eq!((head.status, head.field("content-length").as_str()), (200, "10"));
    // RFC 9110 section 14.2: conditions are judged first.
    let ask = Ask::get("/").field("range", "bytes=0-1").field("if-none-match", "\"1\"");
    assert_eq!(scene.ask(ask).await.status, 304);
    scene.origin.on("/missing", Reply::new(404).field("cache-control", "max-age=60").piece("no"));
    assert_eq!(scene.get_with("/missing", "range", "bytes=0-0").await.status, 404);
    assert_eq!(scene.get_with("/missing", "range", "bytes=0-0").await.text(), "no");
}

async fn a_range_of_a_cold_object_asks_for_its_slice(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", digits());
    let part = scene.get_with("/", "range", "bytes=2-3").await;
    assert_eq!((part.status, part.text()), (206, "23"));
    assert_eq!(scene.origin.last().field("range"), "bytes=0-1048575");
    let whole = scene.get("/").await;
    assert_eq!((whole.is_hit(), whole.text()), (true, "0123456789"));
    assert_eq!(scene.origin.count(), 1);
}

async fn a_range_is_served_before_the_whole_has_come(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh("01234").gate(&gate).piece("56789"));
    let part = scene.get_with("/", "range", "bytes=1-3").await;
    assert_eq!((part.status, part.text()), (206, "123"));
    gate.open();
    assert_eq!(scene.get_with("/", "range", "bytes=4-6").await.text(), "456");
    assert_eq!(scene.origin.count(), 1);
}

async fn content_range_on_what_is_whole_says_nothing(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    for (index, (told, stored)) in [
        ("lines 0-1/9", true),
        ("bytes */9", true),
        ("bytes 0-4/5", true),
        // It may be less than the whole, whatever its status.
        ("bytes 0-4/9", false),
        ("bytes 0-4/*", false),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/{index}");
        scene.origin.on(&target, Reply::fresh("01234").field("content-range", told));
        assert_eq!(scene.get(&target).await.field("content-range"), told);
        assert_eq!(scene.get(&target).await.is_hit(), stored, "{told}");
        let ask = |range| Ask::get(&target).field("range", range);
        if stored {
            let part = scene.ask(ask("bytes=1-2")).await;
            assert_eq!((part.status, part.text()), (206, "12"), "{told}");
            assert_eq!(part.field("content-range"), "bytes 1-2/5", "{told}");
            let parts = scene.ask(ask("bytes=0-0,4-4")).await;
            assert_eq!((parts.status, parts.field("content-range").as_str()), (206, ""), "{told}");
        }
    }
}
