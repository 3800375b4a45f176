//! Content both ways: framing, flow control, visible truncation.

use super::*;

#[tokio::test(start_paused = true)]
async fn streamed_bodies_end_visibly() {
    let table = [
        ("/stream", "abcdef", true, Outcome::Complete),
        ("/trailers", "abc", true, Outcome::Complete),
        ("/broken", "abc", false, Outcome::Truncated),
        ("/short", "abc", false, Outcome::Truncated),
        ("/long", "abc", false, Outcome::Truncated),
    ];
    for (path, content, whole, outcome) in table {
        let mut raw = Raw::new(Limits::default()).await;
        raw.get(1, path).await;
        let head = raw.told().await;
        assert_eq!(raw.fields(&head)[0].1, "200");
        let mut seen = Vec::new();
        let last = loop {
            let frame = raw.told().await;
            if frame.kind != kind::DATA {
                break frame;
            }
            seen.extend_from_slice(&frame.payload);
            if frame.is_end() {
                break frame;
            }
        };
        assert_eq!(last.is_end(), whole, "{path}: {last:?}");
        match (whole, last.kind) {
            (false, _) => assert_eq!(last.code(), Code::INTERNAL_ERROR),
            (true, kind::HEADERS) => assert_eq!(raw.fields(&last)[0].0, "etag"),
            (true, _) => assert_eq!(last.kind, kind::DATA),
        }
        assert_eq!(seen, content.as_bytes(), "{path}");
        let bytes = content.len() as u64;
        assert_eq!(raw.hang_up().await, [(path.to_string(), bytes, outcome)]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_windows_of_stream_and_connection_hold() {
    let mut raw = Raw::new(Limits::default()).await;
    // Streams of 100 bytes; the connection has its 65,535.
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100]).await;
    raw.get(1, "/150").await;
    assert_eq!(raw.told().await.kind, kind::HEADERS);
    assert_eq!(raw.told().await.payload.len(), 100);
    raw.frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 20]).await;
    assert_eq!(raw.told().await.payload.len(), 20);
    // A larger initial window moves the open stream (RFC 9113 section 6.9.2).
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 110]).await;
    assert_eq!(raw.told().await.payload.len(), 10);
    // And a smaller one makes its window negative.
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 60]).await;
    raw.frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 51]).await;
    assert_eq!(raw.told().await.payload.len(), 1);
    raw.frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 99]).await;
    let last = raw.told().await;
    assert_eq!((last.payload.len(), last.is_end()), (19, true));

    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 255, 255, 255]).await;
    raw.get(3, "/70000").await;
    let (mut seen, mut end) = (0, false);
    while seen < 65_535 - 150 {
        let frame = raw.told().await;
        seen += if frame.kind == kind::DATA { frame.payload.len() } else { 0 };
    }
    assert_eq!(seen, 65_535 - 150);
    raw.frame(kind::WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]).await;
    while !end {
        let frame = raw.told().await;
        seen += frame.payload.len();
        end = frame.is_end();
    }
    assert_eq!(seen, 70_000);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_take_turns_and_the_urgent_goes_first() {
    let mut raw = Raw::new(Limits::default()).await;
    // The first takes the window of the connection; the others wait for it.
    raw.get(1, "/65535").await;
    while !raw.told().await.is_end() {}
    raw.get(3, "/40000").await;
    raw.get(5, "/40000").await;
    let flags = flag::END_HEADERS | flag::END_STREAM;
    raw.frame(kind::HEADERS, flags, 7, &head("GET", "/20000", &[("priority", "u=0")])).await;
    for _ in 0..3 {
        assert_eq!(raw.told().await.kind, kind::HEADERS);
    }
    raw.frame(kind::WINDOW_UPDATE, 0, 0, &[0, 2, 0, 0]).await;
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(raw.told().await.stream);
    }
    assert_eq!(order, [7, 7, 3, 5, 3, 5, 3, 5]);
}

#[tokio::test(start_paused = true)]
async fn content_and_trailers_reach_the_handler() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.post(1, "/echo", &[("content-length", "6")]).await;
    raw.frame(kind::DATA, flag::PADDED, 1, b"\x02abc\0\0").await;
    raw.frame(kind::DATA, 0, 1, b"def").await;
    let end = flag::END_HEADERS | flag::END_STREAM;
    raw.frame(kind::HEADERS, end, 1, &block(&[("x-sum", "6")])).await;
    let head = raw.told().await;
    assert_eq!(raw.fields(&head)[0].1, "200");
    assert_eq!(raw.told().await.payload, b"abcdef");
    let last = raw.told().await;
    assert!(last.is_end());
    assert_eq!(raw.fields(&last), [("x-sum".to_string(), "6".to_string())]);
}

#[tokio::test(start_paused = true)]
async fn the_window_opens_as_the_handler_reads() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.post(1, "/echo", &[]).await;
    raw.post(3, "/never", &[]).await;
    // Nobody reads stream 3: half of its window stays taken, and a byte too many is refused.
    for _ in 0..8 {
        raw.frame(kind::DATA, 0, 3, &[0; 16_384]).await;
    }
    for _ in 0..4 {
        raw.frame(kind::DATA, 0, 1, &[0; 16_384]).await;
    }
    let update = loop {
        let frame = raw.next().await.unwrap();
        if frame.stream != 0 {
            break frame;
        }
    };
    assert_eq!((update.kind, update.stream), (kind::WINDOW_UPDATE, 1));
    assert_eq!(frame::number(&update.payload), Some(4 * 16_384));
    raw.frame(kind::DATA, 0, 3, &[0; 1]).await;
    raw.expect_reset(3, Code::FLOW_CONTROL_ERROR).await;
    assert_eq!(*raw.handler.dropped.lock(), 1);
}

#[tokio::test(start_paused = true)]
async fn content_that_nobody_reads_is_cut_off_and_given_back() {
    let mut raw = Raw::new(Limits::default()).await;
    for stream in (1..41).step_by(2) {
        raw.post(stream, "/5", &[]).await;
        assert_eq!(raw.response(stream).await.0, "200");
        raw.expect_reset(stream, Code::NO_ERROR).await;
        // On its way already: it must not use up the window of the connection.
        raw.frame(kind::DATA, flag::END_STREAM, stream, &[0; 16_384]).await;
        raw.expect_reset(stream, Code::STREAM_CLOSED).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_gets_its_100_when_the_handler_reads() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.post(1, "/echo", &[("expect", "100-continue")]).await;
    let interim = raw.told().await;
    assert_eq!(raw.fields(&interim), [(":status".to_string(), "100".to_string())]);
    assert!(!interim.is_end());
    raw.frame(kind::DATA, flag::END_STREAM, 1, b"abc").await;
    assert_eq!(raw.response(1).await, ("200".to_string(), b"abc".to_vec()));
    // Who answers without reading sends no 100.
    raw.post(3, "/5", &[("expect", "100-continue")]).await;
    assert_eq!(raw.response(3).await.0, "200");
}

#[tokio::test(start_paused = true)]
async fn too_much_content_is_refused() {
    let limits = || Limits { request_body: 10, ..Limits::default() };
    let mut raw = Raw::new(limits()).await;
    raw.post(1, "/echo", &[("content-length", "11")]).await;
    assert_eq!(raw.response(1).await.0, "413");
    raw.expect_reset(1, Code::NO_ERROR).await;
    raw.post(3, "/echo", &[]).await;
    raw.frame(kind::DATA, 0, 3, b"0123456").await;
    raw.frame(kind::DATA, 0, 3, b"0123456").await;
    assert_eq!(raw.response(3).await.0, "413");
    raw.expect_reset(3, Code::NO_ERROR).await;
    raw.post(5, "/echo", &[]).await;
    raw.frame(kind::DATA, flag::END_STREAM, 5, b"0123456789").await;
    assert_eq!(raw.response(5).await.0, "200");
}

#[tokio::test(start_paused = true)]
async fn a_reset_drops_the_work() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/never").await;
    raw.get(3, "/stalled").await;
    assert_eq!(raw.told().await.kind, kind::HEADERS);
    assert_eq!(raw.told().await.payload, b"abc");
    raw.frame(kind::RST_STREAM, 0, 1, &8u32.to_be_bytes()).await;
    raw.frame(kind::RST_STREAM, 0, 3, &8u32.to_be_bytes()).await;
    raw.get(5, "/5").await;
    assert_eq!(raw.response(5).await.0, "200");
    assert_eq!(*raw.handler.dropped.lock(), 1);
    assert_eq!(raw.handler.ended()[0], ("/stalled".to_string(), 3, Outcome::ClientGone));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_is_noticed() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/never").await;
    raw.get(3, "/stalled").await;
    assert_eq!(raw.told().await.kind, kind::HEADERS);
    let dropped = Arc::clone(&raw.handler.dropped);
    let ended = raw.hang_up().await;
    assert_eq!(*dropped.lock(), 1);
    assert_eq!(ended, [("/stalled".to_string(), 3, Outcome::ClientGone)]);
}
