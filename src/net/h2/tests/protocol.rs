//! The rules of the connection and its streams (RFC 9113 sections 3 to 6 and 8.1).

use super::*;

#[tokio::test(start_paused = true)]
async fn a_request_is_answered() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/7").await;
    let head = raw.told().await;
    let fields = raw.fields(&head);
    let expected = [
        (":status", "200"),
        ("content-type", "text/plain"),
        ("content-length", "7"),
        ("alt-svc", "h3=\":1\""),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    let body = raw.told().await;
    assert_eq!((body.payload.len(), body.is_end()), (7, true));
    assert_eq!(raw.hang_up().await, [("/7".to_string(), 7, Outcome::Complete)]);
}

#[tokio::test(start_paused = true)]
async fn responses_without_content_end_with_their_head() {
    let mut raw = Raw::new(Limits::default()).await;
    let flags = flag::END_HEADERS | flag::END_STREAM;
    raw.frame(kind::HEADERS, flags, 1, &head("HEAD", "/500", &[])).await;
    raw.get(3, "/empty").await;
    raw.get(5, "/304").await;
    for (stream, status) in [(1, "200"), (3, "200"), (5, "304")] {
        let frame = raw.told().await;
        assert_eq!((frame.stream, frame.is_end()), (stream, true));
        assert_eq!(raw.fields(&frame)[0].1, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_may_come_in_many_frames_padded_and_with_priority() {
    let mut raw = Raw::new(Limits::default()).await;
    let block = head("GET", "/5", &[]);
    let (one, two) = block.split_at(7);
    let padded = [&[3, 0, 0, 0, 0, 16][..], one, &[0; 3]].concat();
    let flags = flag::PADDED | flag::PRIORITY | flag::END_STREAM;
    raw.frame(kind::HEADERS, flags, 1, &padded).await;
    raw.frame(kind::CONTINUATION, 0, 1, &two[..4]).await;
    raw.frame(kind::CONTINUATION, flag::END_HEADERS, 1, &two[4..]).await;
    assert_eq!(raw.response(1).await, ("200".to_string(), b"xxxxx".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_connection() {
    type Case = (&'static str, Code, u8, u8, u32, &'static [u8]);
    let table: &[Case] = &[
        ("even stream", Code::PROTOCOL_ERROR, kind::HEADERS, 5, 2, b"\x82"),
        ("HEADERS on 0", Code::PROTOCOL_ERROR, kind::HEADERS, 5, 0, b"\x82"),
        ("bad padding", Code::PROTOCOL_ERROR, kind::HEADERS, 13, 1, b"\x09\x82"),
        ("bad HPACK", Code::COMPRESSION_ERROR, kind::HEADERS, 5, 1, b"\x80"),
        ("DATA on 0", Code::PROTOCOL_ERROR, kind::DATA, 0, 0, b"x"),
        ("DATA on idle", Code::PROTOCOL_ERROR, kind::DATA, 0, 1, b"x"),
        ("lone CONTINUATION", Code::PROTOCOL_ERROR, kind::CONTINUATION, 4, 1, b""),
        ("PRIORITY on 0", Code::PROTOCOL_ERROR, kind::PRIORITY, 0, 0, b"12345"),
        ("RST_STREAM on idle", Code::PROTOCOL_ERROR, kind::RST_STREAM, 0, 1, b"1234"),
        ("RST_STREAM of 3", Code::FRAME_SIZE_ERROR, kind::RST_STREAM, 0, 1, b"123"),
        ("SETTINGS on 1", Code::PROTOCOL_ERROR, kind::SETTINGS, 0, 1, b""),
        ("SETTINGS of 5", Code::FRAME_SIZE_ERROR, kind::SETTINGS, 0, 0, b"12345"),
        ("ACK with content", Code::FRAME_SIZE_ERROR, kind::SETTINGS, 1, 0, b"123456"),
        ("push of 2", Code::PROTOCOL_ERROR, kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
        ("window", Code::FLOW_CONTROL_ERROR, kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
        ("small frames", Code::PROTOCOL_ERROR, kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]),
        ("PUSH_PROMISE", Code::PROTOCOL_ERROR, kind::PUSH_PROMISE, 4, 1, b"1234"),
        ("PING on 1", Code::PROTOCOL_ERROR, kind::PING, 0, 1, b"12345678"),
        ("PING of 7", Code::FRAME_SIZE_ERROR, kind::PING, 0, 0, b"1234567"),
        ("GOAWAY on 1", Code::PROTOCOL_ERROR, kind::GOAWAY, 0, 1, b"12345678"),
        ("no increment", Code::PROTOCOL_ERROR, kind::WINDOW_UPDATE, 0, 0, &[0; 4]),
        ("increment", Code::FLOW_CONTROL_ERROR, kind::WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
        ("increment of 3", Code::FRAME_SIZE_ERROR, kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
        ("increment on idle", Code::PROTOCOL_ERROR, kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        ("frame too large", Code::FRAME_SIZE_ERROR, kind::DATA, 0, 1, &[0; 16_385]),
    ];
    for (why, code, kind, flags, stream, payload) in table {
        let mut raw = Raw::new(Limits::default()).await;
        raw.frame(*kind, *flags, *stream, payload).await;
        let goaway = raw.told().await;
        assert_eq!((goaway.kind, goaway.code()), (kind::GOAWAY, *code), "{why}");
        assert_eq!(raw.next().await, None, "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_preface() {
    let mut raw = Raw::silent(Limits::default());
    raw.send(b"GET / HTTP/1.1\r\n\r\n").await;
    raw.expect_goaway(Code::PROTOCOL_ERROR).await;
    let mut raw = Raw::silent(Limits::default());
    raw.send(PREFACE).await;
    raw.get(1, "/").await;
    raw.expect_goaway(Code::PROTOCOL_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn a_block_is_not_interrupted() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.frame(kind::HEADERS, 0, 1, b"\x82").await;
    raw.frame(kind::PING, 0, 0, b"12345678").await;
    raw.expect_goaway(Code::PROTOCOL_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn errors_of_a_stream_leave_the_connection() {
    let mut raw = Raw::new(Limits::default()).await;
    let end = flag::END_HEADERS | flag::END_STREAM;
    raw.frame(kind::HEADERS, end, 1, &block(&[(":method", "GET")])).await;
    raw.expect_reset(1, Code::PROTOCOL_ERROR).await;
    let length = head("POST", "/echo", &[("content-length", "4")]);
    raw.frame(kind::HEADERS, end, 3, &length).await;
    raw.expect_reset(3, Code::PROTOCOL_ERROR).await;
    raw.frame(kind::HEADERS, flag::END_HEADERS, 5, &length).await;
    raw.frame(kind::DATA, flag::END_STREAM, 5, b"abc").await;
    raw.expect_reset(5, Code::PROTOCOL_ERROR).await;
    raw.frame(kind::HEADERS, flag::END_HEADERS, 7, &length).await;
    raw.frame(kind::DATA, 0, 7, b"abcde").await;
    raw.expect_reset(7, Code::PROTOCOL_ERROR).await;
    raw.frame(kind::HEADERS, flag::END_HEADERS, 9, &length).await;
    raw.frame(kind::HEADERS, flag::END_HEADERS, 9, &block(&[("etag", "a")])).await;
    raw.expect_reset(9, Code::PROTOCOL_ERROR).await;
    raw.get(11, "/never").await;
    raw.frame(kind::DATA, 0, 11, b"a").await;
    raw.expect_reset(11, Code::STREAM_CLOSED).await;
    raw.get(13, "/never").await;
    raw.frame(kind::WINDOW_UPDATE, 0, 13, &[0; 4]).await;
    raw.expect_reset(13, Code::PROTOCOL_ERROR).await;
    raw.get(15, "/never").await;
    raw.frame(kind::WINDOW_UPDATE, 0, 15, &[0x7f, 255, 255, 255]).await;
    raw.expect_reset(15, Code::FLOW_CONTROL_ERROR).await;
    raw.frame(kind::PRIORITY, 0, 17, b"1234").await;
    raw.expect_reset(17, Code::FRAME_SIZE_ERROR).await;
    raw.get(19, "/5").await;
    assert_eq!(raw.response(19).await.0, "200");
    raw.frame(kind::DATA, 0, 19, b"a").await;
    raw.expect_reset(19, Code::STREAM_CLOSED).await;
}

#[tokio::test(start_paused = true)]
async fn unknown_frames_and_settings_are_ignored() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.frame(0x42, 0xff, 77, b"what").await;
    raw.frame(kind::SETTINGS, 0, 0, &[0x42, 0x42, 1, 2, 3, 4]).await;
    raw.frame(kind::PRIORITY, 0, 99, b"12345").await;
    raw.frame(kind::PING, 0, 0, b"abcdefgh").await;
    let pong = raw.told().await;
    assert_eq!((pong.kind, pong.flags, &pong.payload[..]), (kind::PING, 1, &b"abcdefgh"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_smaller_table_of_the_client_is_acknowledged_in_the_next_block() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]).await;
    raw.post(1, "/echo", &[("expect", "100-continue")]).await;
    assert_eq!(raw.told().await.payload, b"\x20\x08\x03100");
    raw.frame(kind::DATA, flag::END_STREAM, 1, b"abc").await;
    assert_eq!(raw.told().await.payload[0], 0x88);
}

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_was_begun() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/gate").await;
    raw.frame(kind::PING, 0, 0, b"abcdefgh").await;
    assert_eq!(raw.told().await.kind, kind::PING);
    raw.drain.begin();
    let goaway = raw.told().await;
    assert_eq!((goaway.kind, &goaway.payload[..4]), (kind::GOAWAY, &[0x7f, 255, 255, 255][..]));
    let ping = raw.told().await;
    // A request that was on its way is still served.
    raw.get(3, "/5").await;
    assert_eq!(raw.response(3).await.0, "200");
    raw.frame(kind::PING, flag::ACK, 0, &ping.payload).await;
    let goaway = raw.told().await;
    assert_eq!((goaway.kind, &goaway.payload[..4]), (kind::GOAWAY, &[0, 0, 0, 3][..]));
    // One begun later is not; frames of it do no harm.
    raw.post(5, "/5", &[]).await;
    raw.frame(kind::WINDOW_UPDATE, 0, 5, &[0, 0, 0, 1]).await;
    raw.handler.gate.notify_one();
    assert_eq!(raw.response(1).await.0, "200");
    assert_eq!(raw.next().await, None);
    raw.drain.done().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_drains_at_once() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.drain.begin();
    assert_eq!(raw.told().await.kind, kind::GOAWAY);
    assert_eq!(raw.told().await.kind, kind::PING);
    // No answer: the round trip is not waited for longer than its time.
    raw.expect_goaway(Code::NO_ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn every_reply_ends_once_when_the_task_is_dropped() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/stalled").await;
    raw.get(3, "/never").await;
    raw.get(5, "/5").await;
    for _ in 0..4 {
        raw.told().await;
    }
    raw.server.abort();
    assert!((&mut raw.server).await.unwrap_err().is_cancelled());
    assert_eq!(*raw.handler.dropped.lock(), 1);
    let expected = [
        ("/5".to_string(), 5, Outcome::Complete),
        ("/stalled".to_string(), 3, Outcome::ClientGone),
    ];
    assert_eq!(raw.handler.ended(), expected);
}
