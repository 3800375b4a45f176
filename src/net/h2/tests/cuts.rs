//! The handler wants a response cut that is on its way.

use super::*;

/// Waits until the handler was asked so often.
async fn looked_at(handler: &Scripted, count: usize) {
    while handler.looked_at.lock().len() < count {
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_reset_and_the_others_go_on() {
    let mut raw = Raw::new(Limits::default()).await;
    // One that is still to begin tells nothing of when to look.
    raw.get(1, "/gate").await;
    tokio::task::yield_now().await;
    assert_eq!(raw.handler.looked_at.lock().len(), 0);
    raw.get(3, "/stalled").await;
    assert_eq!(raw.told().await.kind, kind::HEADERS);
    assert_eq!(raw.told().await.payload, b"abc");
    looked_at(&raw.handler, 3).await;
    raw.handler.cut.lock().push("/stalled");
    raw.expect_reset(3, Code::INTERNAL_ERROR).await;
    raw.handler.gate.notify_one();
    assert_eq!(raw.response(1).await.1.len(), 5);
    let ended = raw.hang_up().await;
    assert_eq!(ended[0], ("/stalled".into(), 3, Outcome::Truncated));
    assert_eq!(ended[1], ("/gate".into(), 5, Outcome::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_is_used_up_is_reset() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.get(1, "/100000").await;
    looked_at(&raw.handler, 2).await;
    raw.handler.cut.lock().push("/100000");
    let mut taken = 0;
    let last = loop {
        let frame = raw.told().await;
        match frame.kind {
            kind::DATA => taken += frame.payload.len(),
            kind::HEADERS => {}
            _ => break frame,
        }
    };
    assert_eq!((last.kind, last.stream, last.code()), (kind::RST_STREAM, 1, Code::INTERNAL_ERROR));
    let ended = raw.hang_up().await;
    assert_eq!(ended, [("/100000".into(), taken as u64, Outcome::Truncated)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_to_its_end_is_cut_with_the_connection() {
    let mut raw = Raw::over(1000, Limits::default()).greeted().await;
    raw.get(1, "/5000").await;
    looked_at(&raw.handler, 2).await;
    assert_eq!(raw.handler.ended(), []);
    raw.handler.cut.lock().push("/5000");
    while !raw.server.is_finished() {
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    while let Some(frame) = raw.next().await {
        assert!(!frame.is_end(), "{frame:?}");
    }
    let ended = raw.hang_up().await;
    assert_eq!((ended.len(), ended[0].2), (1, Outcome::Truncated));
    assert!(ended[0].1 < 1000, "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_of_a_stream_does_not_leave_and_costs_the_others_no_window() {
    let mut raw = Raw::over(1000, Limits::default()).greeted().await;
    raw.get(1, "/100000").await;
    looked_at(&raw.handler, 2).await;
    raw.handler.cut.lock().push("/100000");
    let looks = raw.handler.looked_at.lock().len();
    looked_at(&raw.handler, looks + 1).await;
    assert_eq!(raw.told().await.kind, kind::HEADERS);
    let begun = raw.told().await.payload.len();
    raw.expect_reset(1, Code::INTERNAL_ERROR).await;
    // All that the connection's window has left.
    let left = 65_535 - begun;
    raw.get(3, &format!("/{left}")).await;
    assert_eq!(raw.response(3).await.1.len(), left);
    let ended = raw.hang_up().await;
    assert_eq!(ended[0], ("/100000".into(), begun as u64, Outcome::Truncated));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_body_left_is_not_asked_about() {
    let mut raw = Raw::over(10, Limits::default()).greeted().await;
    raw.handler.cut.lock().extend(["/304", "/empty"]);
    raw.get(1, "/304").await;
    raw.get(3, "/empty").await;
    for _ in 0..20 {
        tokio::time::advance(Duration::from_millis(500)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.response(1).await.0, "304");
    assert_eq!(raw.response(3).await.0, "200");
    assert_eq!(raw.handler.looked_at.lock().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_leaves_at_once_is_not_asked_about() {
    let mut raw = Raw::new(Limits::default()).await;
    raw.handler.cut.lock().push("/500");
    for stream in [1, 3, 5] {
        raw.get(stream, "/500").await;
        assert_eq!(raw.response(stream).await.1.len(), 500);
    }
    assert_eq!(raw.handler.looked_at.lock().len(), 0);
}
