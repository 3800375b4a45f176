//! Who is asked when a shield fails, and when it is asked again.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::*;
use crate::message::{BodyError, BodyErrorKind, BodyStream, Piece};

/// Content that comes from the test.
struct Fed(mpsc::Receiver<Bytes>);

impl BodyStream for Fed {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Piece::Data(data))))
    }
}

/// A request whose content arrives.
fn upload(method: Method) -> OutgoingRequest {
    let (sender, receiver) = mpsc::channel(2);
    for part in ["con", "tent"] {
        sender.try_send(Bytes::from_static(part.as_bytes())).unwrap();
    }
    OutgoingRequest { method, body: Body::Stream(Box::new(Fed(receiver))), ..get() }
}

/// A near shield and a far one.
async fn two(near: Mood, far: Mood) -> (Scripted, Scripted, Vec<String>) {
    let (near, near_url) = Scripted::start("near", near).await;
    let (far, far_url) = Scripted::start("far", far).await;
    (near, far, vec![near_url, far_url])
}

fn settings_of(urls: &[String]) -> ShieldSettings {
    settings(&urls.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn one_that_is_down_is_left_alone_after_some_failures() {
    let (far, far_url) = Scripted::start("far", Mood::Well).await;
    let near_url = nowhere().await;
    let shields = shields(settings(&[&near_url, &far_url]));
    let errors =
        format!("headland_shield_requests_total{{shield=\"{near_url}\",status=\"error\"}}");
    let healthy = format!("headland_upstream_healthy{{upstream=\"{near_url}\"}}");
    shields.announce();
    for expected in ["1", "2", "3", "3", "3"] {
        assert_eq!(name(&shields).await, "far");
        assert_eq!(metric(&shields, &errors), expected);
    }
    assert_eq!(health(&shields), [false, true]);
    assert_eq!(metric(&shields, &healthy), "0");
    assert_eq!(far.asked(), 5);
}

#[tokio::test]
async fn an_answer_that_is_refused_is_a_failure_and_the_next_is_asked() {
    let (near, far, urls) = two(Mood::Ill, Mood::Well).await;
    let shields = shields(settings_of(&urls));
    for _ in 0..4 {
        assert_eq!(name(&shields).await, "far");
    }
    assert_eq!((near.asked(), far.asked()), (3, 4));
    assert_eq!(health(&shields), [false, true]);
    far.set(Mood::Ill);
    let failed = ask(&shields, get()).await.unwrap_err().error.to_string();
    let told = "it did not accept the peer secret, or is no shield; expected a node of role \
                shield there, and the same secret behind peer.secret_file here and there";
    assert_eq!(failed, format!("shield: {}: {told}", urls[0]), "asked last: it is left alone");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_no_reason_to_leave_a_shield_alone() {
    let (near, far, urls) = two(Mood::Large(128 << 10), Mood::Well).await;
    let shields = shields(settings_of(&urls));
    assert_eq!(name(&shields).await, "near");
    near.set(Mood::Large(HEADER_BYTES));
    for asked in 1..=5 {
        assert_eq!(name(&shields).await, "far");
        assert_eq!(
            (near.asked(), far.asked(), health(&shields)),
            (asked + 1, asked, vec![true; 2])
        );
    }
}

#[tokio::test]
async fn where_all_fail_the_request_comes_back_for_the_origin() {
    let (near, far, urls) = two(Mood::Ill, Mood::Resets).await;
    let shields = shields(settings_of(&urls));
    let failed = ask(&shields, get()).await.unwrap_err();
    assert_eq!((failed.error.reason, failed.error.fault), ("shield-reset", Fault::Shield));
    let request = failed.request.unwrap();
    assert_eq!(request.target, "/a?b");
    assert!(request.headers.is_empty(), "the proof is for shields alone");
    // Those left alone are asked all the same while there is nobody else.
    for _ in 0..3 {
        assert!(ask(&shields, get()).await.is_err());
    }
    assert_eq!((near.asked(), far.asked()), (4, 4));
    assert_eq!(health(&shields), [false, false]);
    near.set(Mood::Well);
    assert_eq!(name(&shields).await, "near");
    assert_eq!(health(&shields), [true, false]);
}

#[tokio::test]
async fn what_was_sent_and_is_not_idempotent_is_not_sent_again() {
    for mood in [Mood::Resets, Mood::Ill] {
        let (near, far, urls) = two(mood, Mood::Well).await;
        let shields = shields(settings_of(&urls));
        let failed = ask(&shields, upload(Method::POST)).await.unwrap_err();
        assert!(failed.request.is_none());
        let whole = OutgoingRequest { body: Body::Full("whole".into()), ..upload(Method::POST) };
        assert!(ask(&shields, whole).await.unwrap_err().request.is_none());
        // Its method would allow it, but its content is gone.
        assert!(ask(&shields, upload(Method::PUT)).await.unwrap_err().request.is_none());
        assert_eq!((near.asked(), far.asked()), (3, 0));
        assert_eq!(near.last().content, "content");
    }
}

#[tokio::test]
async fn what_is_misdirected_goes_on_to_the_next_if_its_content_is_at_hand() {
    let (near, far, urls) = two(Mood::Misdirected, Mood::Well).await;
    let shields = shields(settings_of(&urls));
    let whole = OutgoingRequest { body: Body::Full("whole".into()), ..upload(Method::POST) };
    assert_eq!(ask(&shields, whole).await.unwrap(), "far");
    assert_eq!(far.last().content, "whole");
    assert_eq!(ask(&shields, upload(Method::POST)).await.unwrap(), "near", "it is the response");
    far.set(Mood::Misdirected);
    let post = OutgoingRequest { method: Method::POST, ..get() };
    assert!(ask(&shields, post).await.unwrap_err().request.is_some(), "for the origin");
    assert_eq!((near.asked(), far.asked(), health(&shields)), (3, 2, vec![true, true]));
}

#[tokio::test]
async fn content_that_nobody_read_goes_on_whole() {
    let (far, far_url) = Scripted::start("far", Mood::Well).await;
    let shields = shields(settings(&[&nowhere().await, &far_url]));
    assert_eq!(ask(&shields, upload(Method::POST)).await.unwrap(), "far");
    assert_eq!(far.last().content, "content");

    let (_near, far, urls) = two(Mood::Ill, Mood::Well).await;
    let shields = self::shields(settings_of(&urls));
    let put = OutgoingRequest { body: Body::Full("whole".into()), ..upload(Method::PUT) };
    assert_eq!(ask(&shields, put).await.unwrap(), "far");
    assert_eq!(far.last().content, "whole");
}

#[tokio::test]
async fn a_shield_without_any_that_listens_gives_the_content_back() {
    let shields = shields(settings(&[&nowhere().await]));
    let failed = ask(&shields, upload(Method::POST)).await.unwrap_err();
    assert_eq!(failed.error.reason, "shield-unreachable");
    let mut body = failed.request.unwrap().body;
    let Some(Ok(Piece::Data(data))) = body.next().await else { panic!("no content") };
    assert_eq!(data, "con");
}

#[tokio::test]
async fn content_that_breaks_off_is_no_fault_of_the_shield() {
    struct Broken;
    impl BodyStream for Broken {
        fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
            let error = BodyError::new(BodyErrorKind::Truncated, "the client left");
            Poll::Ready(Some(Err(error)))
        }
    }
    let (_near, far, urls) = two(Mood::Well, Mood::Well).await;
    let mut settings = settings_of(&urls);
    settings.shield.failures = 1;
    let shields = shields(settings);
    let put = OutgoingRequest { body: Body::Stream(Box::new(Broken)), ..upload(Method::PUT) };
    let failed = ask(&shields, put).await.unwrap_err();
    assert_eq!((failed.error.fault, failed.request.is_none()), (Fault::Client, true));
    assert_eq!((far.asked(), health(&shields)), (0, vec![true, true]));
}

#[tokio::test]
async fn one_that_is_back_is_found_by_one_request_after_the_pause() {
    const PAUSE: Duration = Duration::from_secs(100);
    let (near, far, urls) = two(Mood::Ill, Mood::Well).await;
    let mut settings = settings_of(&urls);
    (settings.shield.failures, settings.shield.pause) = (1, PAUSE);
    settings.shield.pause_max = PAUSE * 10;
    let shields = shields(settings);
    assert_eq!(name(&shields).await, "far");
    assert_eq!((near.asked(), health(&shields)), (1, vec![false, true]));

    // The probe fails, and its request goes on: nobody notices.
    later(PAUSE).await;
    assert_eq!(name(&shields).await, "far");
    assert_eq!(near.asked(), 2);
    // From now on it is left alone for twice as long.
    later(PAUSE).await;
    assert_eq!(name(&shields).await, "far");
    assert_eq!(near.asked(), 2);

    later(PAUSE).await;
    near.set(Mood::Slow);
    let probe = ask(&shields, get());
    let others = async {
        near.seen.subscribe().wait_for(|seen| seen.len() == 3).await.unwrap();
        // While it is not known to be back it has no second one.
        assert_eq!(name(&shields).await, "far");
        near.set(Mood::Well);
    };
    let (probe, ()) = tokio::join!(probe, others);
    assert_eq!(probe.unwrap(), "near");
    assert_eq!(health(&shields), [true, true]);
    assert_eq!((name(&shields).await.as_str(), near.asked(), far.asked()), ("near", 4, 4));
}

#[tokio::test]
async fn one_that_is_full_has_not_failed_but_the_next_is_asked() {
    let (near, far, urls) = two(Mood::Slow, Mood::Well).await;
    let mut settings = settings_of(&urls);
    (settings.shield.failures, settings.shield.streams) = (1, 1);
    settings.shield.max_connections = 1;
    let shields = shields(settings);
    let second = async {
        near.is_asked().await;
        // The wait for a stream passes at once.
        tokio::time::pause();
        let answered = ask(&shields, get()).await;
        tokio::time::resume();
        near.set(Mood::Well);
        answered.unwrap()
    };
    let (first, second) = tokio::join!(ask(&shields, get()), second);
    assert_eq!((first.unwrap().as_str(), second.as_str()), ("near", "far"));
    assert_eq!((near.asked(), far.asked(), health(&shields)), (1, 1, vec![true, true]));
}
