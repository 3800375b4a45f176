//! The handler wants a response cut that is on its way.

use std::sync::atomic::Ordering::SeqCst;

use super::*;

#[test]
fn a_stream_is_reset_and_the_connection_goes_on() {
    serve_test(Limits::default(), async |node: Node| {
        let client = node.client().await;
        // One waits for its body, the other for its client.
        for target in ["/held", "/endless"] {
            node.looks.are_cut.store(false, SeqCst);
            let mut response = node.get(&client, target).await.unwrap();
            assert!(response.chunk().await.unwrap().is_some());
            node.looks.are_cut.store(true, SeqCst);
            assert_eq!(node.ended().await.outcome, Outcome::Truncated, "{target}");
            let error = response.body().await.unwrap_err();
            assert!(
                matches!(error, ClientError::Reset(code) if code == reset(Code::INTERNAL_ERROR)),
                "{target}: {error}"
            );
        }
        let asked = node.looks.count.load(SeqCst);
        // What leaves at once is not asked about.
        let whole = node.get(&client, "/bytes/10").await.unwrap().body().await;
        assert_eq!(whole.unwrap().len(), 10);
        assert_eq!(node.looks.count.load(SeqCst), asked);
    });
}

#[test]
fn what_begins_beside_one_that_waits_is_asked_about_in_time() {
    serve_test(Limits::default(), async |node: Node| {
        let raw = node.raw().await;
        let (mut send, _recv) = raw.request("GET", "/never", &[]).await;
        send.finish().unwrap();
        node.begun().await;
        let mut response = node.get(&raw.0, "/held").await.unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        node.looks.are_cut.store(true, SeqCst);
        assert!(response.body().await.is_err());
        assert_eq!(node.ended().await.outcome, Outcome::Truncated);
    });
}
