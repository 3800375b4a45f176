//! Every limit, by a client that passes it.

use super::*;

fn reset(stream: u32) -> BytesMut {
    let mut out = BytesMut::new();
    frame::put_reset(&mut out, stream, Code::CANCEL);
    out
}

#[tokio::test(start_paused = true)]
async fn too_many_streams_are_refused() {
    let mut raw = Raw::new(Limits { streams: 2, ..Limits::default() }).await;
    raw.get(1, "/gate").await;
    raw.get(3, "/never").await;
    raw.get(5, "/5").await;
    raw.expect_reset(5, Code::REFUSED_STREAM).await;
    raw.handler.gate.notify_one();
    assert_eq!(raw.response(1).await.0, "200");
    raw.get(7, "/5").await;
    assert_eq!(raw.response(7).await.0, "200");
}

#[tokio::test(start_paused = true)]
async fn rapid_resets_end_the_connection() {
    let mut raw = Raw::new(Limits { resets_per_connection: 10, ..Limits::default() }).await;
    for stream in (1..).step_by(2).take(11) {
        raw.get(stream, "/never").await;
        raw.send(&reset(stream)).await;
    }
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
}

#[tokio::test(start_paused = true)]
async fn resets_that_we_are_made_to_send_count_as_well() {
    let mut raw = Raw::new(Limits { resets_per_connection: 10, ..Limits::default() }).await;
    for stream in (1..).step_by(2).take(11) {
        raw.get(stream, "/never").await;
        raw.frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4]).await;
    }
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
}

#[tokio::test(start_paused = true)]
async fn resets_of_answered_streams_are_only_frames() {
    let mut raw = Raw::new(Limits { resets_per_connection: 1, ..Limits::default() }).await;
    for stream in (1..).step_by(2).take(20) {
        raw.get(stream, "/5").await;
        assert_eq!(raw.response(stream).await.0, "200");
        raw.send(&reset(stream)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn floods_of_empty_frames_end_the_connection() {
    let table: &[(&str, u8, u32, &[u8])] = &[
        ("PING", kind::PING, 0, b"12345678"),
        ("SETTINGS", kind::SETTINGS, 0, b""),
        ("PRIORITY", kind::PRIORITY, 1, b"12345"),
        ("WINDOW_UPDATE", kind::WINDOW_UPDATE, 1, &[0, 0, 0, 1]),
        ("empty DATA", kind::DATA, 1, b""),
        ("unknown", 0x42, 1, b""),
    ];
    for (why, kind, stream, payload) in table {
        let mut raw = Raw::new(Limits::default()).await;
        raw.post(1, "/never", &[]).await;
        for _ in 0..1010 {
            raw.frame(*kind, 0, *stream, payload).await;
        }
        loop {
            let frame = raw.next().await.unwrap_or_else(|| panic!("{why}"));
            if frame.kind == kind::GOAWAY {
                assert_eq!(frame.code(), Code::ENHANCE_YOUR_CALM, "{why}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_over_a_limit_gets_its_status() {
    let limits = Limits { headers: 5, header_bytes: 20_000, url: 100, ..Limits::default() };
    let mut raw = Raw::new(limits).await;
    let long = "x".repeat(21_000);
    let fields: Vec<_> = (0..6).map(|_| ("a", "b")).collect();
    let table = [
        ("431", head("GET", "/", &[("a", &long[..15_000]), ("b", &long[..15_000])])),
        ("431", head("GET", "/", &fields)),
        ("414", head("GET", &format!("/{}", &long[..100]), &[])),
        ("501", block(&[(":method", "CONNECT"), (":authority", "a.test:443")])),
        ("417", head("GET", "/", &[("expect", "more")])),
        ("200", head("GET", "/", &fields[..5])),
    ];
    for (place, (status, block)) in table.iter().enumerate() {
        let stream = place as u32 * 2 + 1;
        let mut parts = block.chunks(16_384).peekable();
        let mut kind = kind::HEADERS;
        let mut flags = flag::END_STREAM;
        while let Some(part) = parts.next() {
            let end = if parts.peek().is_none() { flag::END_HEADERS } else { 0 };
            raw.frame(kind, flags | end, stream, part).await;
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        assert_eq!(raw.response(stream).await.0, *status, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_ends_the_connection() {
    let limits = || Limits { header_bytes: 20_000, ..Limits::default() };
    let mut raw = Raw::new(limits()).await;
    raw.frame(kind::HEADERS, 0, 1, &[0; 16_384]).await;
    raw.frame(kind::CONTINUATION, 0, 1, &[0; 16_384]).await;
    raw.frame(kind::CONTINUATION, 0, 1, &[0; 16_384]).await;
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
    let mut raw = Raw::new(limits()).await;
    raw.frame(kind::HEADERS, 0, 1, b"\x82").await;
    for _ in 0..20 {
        raw.frame(kind::CONTINUATION, 0, 1, b"").await;
    }
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
}

#[tokio::test(start_paused = true)]
async fn a_header_bomb_is_answered_without_being_unpacked() {
    let mut raw = Raw::new(Limits::default()).await;
    // One entry of 4000 bytes, then 12,000 references to it: 48 MB of fields.
    let mut block = head("GET", "/", &[]).to_vec();
    block.extend_from_slice(b"\x40\x01a\x7f\xa1\x1e");
    block.extend_from_slice(&[b'x'; 4000]);
    block.extend_from_slice(&[0xbe; 12_000]);
    raw.frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, &block).await;
    assert_eq!(raw.response(1).await.0, "431");
    // The table has followed.
    let known = [&head("GET", "/5", &[])[..], &[0xbe]].concat();
    raw.frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 3, &known).await;
    assert_eq!(raw.response(3).await.0, "200");
}

#[tokio::test(start_paused = true)]
async fn the_last_request_of_a_connection_says_so() {
    let mut raw = Raw::new(Limits { requests_per_connection: 2, ..Limits::default() }).await;
    raw.get(1, "/5").await;
    assert_eq!(raw.response(1).await.0, "200");
    raw.get(3, "/5").await;
    let goaway = raw.told().await;
    assert_eq!((goaway.kind, &goaway.payload[..4]), (kind::GOAWAY, &[0, 0, 0, 3][..]));
    assert_eq!(raw.response(3).await.0, "200");
    assert_eq!(raw.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_the_client_has_an_end() {
    let limits = Limits::default;
    let mut raw = Raw::silent(limits());
    raw.send(PREFACE).await;
    raw.expect_goaway(Code::SETTINGS_TIMEOUT).await;

    let mut raw = Raw::new(limits()).await;
    raw.expect_goaway(Code::NO_ERROR).await;

    let mut raw = Raw::new(limits()).await;
    raw.frame(kind::HEADERS, 0, 1, b"\x82").await;
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;

    let mut raw = Raw::new(limits()).await;
    raw.send(&[0, 0, 9, kind::HEADERS]).await;
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_off() {
    // No window for the stream.
    let mut raw = Raw::new(Limits::default()).await;
    raw.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
    raw.get(1, "/5000").await;
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
    assert_eq!(raw.hang_up().await, [("/5000".to_string(), 0, Outcome::ClientGone)]);
    // No content, though the handler reads.
    let mut raw = Raw::new(Limits::default()).await;
    raw.post(1, "/echo", &[]).await;
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
    // To stand still is too slow without any rate.
    let mut raw = Raw::new(Limits { min_rate: 0, ..Limits::default() }).await;
    raw.post(1, "/echo", &[]).await;
    raw.expect_goaway(Code::ENHANCE_YOUR_CALM).await;
    // A handler at work is not the client's fault.
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/never").await;
    raw.expect_reset(1, Code::CANCEL).await;
}

/// Serves a pipe of `capacity` bytes to a client that opens its windows wide, sends HEAD requests
/// for streams up to `last`, and reads nothing. Returns how the exchanges ended.
async fn unread(capacity: usize, limits: Limits, method: &str, last: u32) -> Vec<Outcome> {
    let (client, server) = tokio::io::duplex(capacity);
    let handler = Arc::new(Scripted::default());
    let (_drain, watch) = Drain::new();
    let (served, limits) = (Arc::clone(&handler), Arc::new(limits));
    let first = BytesMut::from(&PREFACE[..]);
    let server = super::super::serve(server, first, PEER, served, limits, None, watch);
    let server = tokio::spawn(server);
    let (_unread, mut writer) = tokio::io::split(client);
    let mut frames = BytesMut::new();
    frame::put_settings(&mut frames, &[(setting::INITIAL_WINDOW_SIZE, 1 << 30)]);
    frame::put_window_update(&mut frames, 0, 1 << 30);
    let flags = flag::END_HEADERS | flag::END_STREAM;
    for stream in (1..=last).step_by(2) {
        frame::put(&mut frames, kind::HEADERS, flags, stream, &head(method, "/5000", &[]));
    }
    let _cut_off = writer.write_all(&frames).await.is_err();
    server.await.unwrap();
    handler.ended().into_iter().map(|(_, _, outcome)| outcome).collect()
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_client_that_does_not_read_is_bounded() {
    let limits = Limits { connection_buffer: 100_000, ..Limits::default() };
    let begun = unread(1000, limits, "HEAD", 20_001).await.len();
    assert!((1000..4000).contains(&begun), "{begun} heads of some 60 bytes");
}

#[tokio::test(start_paused = true)]
async fn the_last_bytes_are_not_waited_for_without_end() {
    // Without a minimum rate it is the idle timeout that ends the wait.
    let limits = Limits { min_rate: 0, ..Limits::default() };
    assert_eq!(unread(1000, limits, "GET", 1).await, [Outcome::ClientGone]);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_goes_on_after_its_rest() {
    let mut raw = Raw::new(Limits::default()).await;
    for stream in [1, 3, 5] {
        raw.get(stream, "/5000").await;
        assert_eq!(raw.response(stream).await.1.len(), 5000);
        tokio::time::advance(Duration::from_secs(20)).await;
    }
}
