//! Whether a second shield is asked while the first is slow.

use super::*;

/// A near shield that is slow, and a far one; a second one is asked as soon as can be.
async fn slow(far: Mood, hedge: Duration) -> (Scripted, Scripted, Shields) {
    let (near, near_url) = Scripted::start("near", Mood::Slow).await;
    let (far, far_url) = Scripted::start("far", far).await;
    let mut settings = settings(&[&near_url, &far_url]);
    (settings.shield.hedge, settings.shield.failures) = (hedge, 1);
    (near, far, shields(settings))
}

const AT_ONCE: Duration = Duration::from_millis(1);

#[tokio::test]
async fn the_first_answer_wins_and_the_slow_one_has_not_failed() {
    let (near, far, shields) = slow(Mood::Well, AT_ONCE).await;
    for method in [Method::GET, Method::HEAD] {
        let request = OutgoingRequest { method, ..get() };
        assert_eq!(ask(&shields, request).await.unwrap(), "far");
    }
    near.is_asked().await;
    assert_eq!((far.asked(), health(&shields)), (2, vec![true, true]));
}

#[tokio::test]
async fn a_second_one_that_fails_does_not_end_the_wait_for_the_first() {
    let (near, far, shields) = slow(Mood::Ill, AT_ONCE).await;
    let release = async {
        far.is_asked().await;
        near.set(Mood::Well);
    };
    let (answered, ()) = tokio::join!(ask(&shields, get()), release);
    assert_eq!(answered.unwrap(), "near");
}

#[tokio::test]
async fn where_both_fail_the_request_comes_back() {
    let (near, far, shields) = slow(Mood::Ill, AT_ONCE).await;
    let release = async {
        far.is_asked().await;
        near.set(Mood::Ill);
    };
    let (answered, ()) = tokio::join!(ask(&shields, get()), release);
    let failed = answered.unwrap_err();
    assert_eq!(failed.error.reason, "shield-answer-refused");
    assert!(failed.request.unwrap().headers.is_empty());
    assert_eq!((near.asked(), far.asked(), health(&shields)), (1, 1, vec![false, false]));
}

#[tokio::test]
async fn nothing_is_hedged_unless_asked_for_and_what_has_content_never() {
    let post = || OutgoingRequest { method: Method::POST, ..get() };
    let query = || OutgoingRequest { body: Body::Full("q".into()), ..get() };
    let cases = [(Duration::ZERO, get()), (AT_ONCE, post()), (AT_ONCE, query())];
    for (hedge, request) in cases {
        let (near, far, shields) = slow(Mood::Well, hedge).await;
        let release = async {
            near.is_asked().await;
            later(AT_ONCE).await;
            near.set(Mood::Well);
        };
        let (answered, ()) = tokio::join!(ask(&shields, request), release);
        assert_eq!((answered.unwrap().as_str(), far.asked()), ("near", 0));
    }
}

#[tokio::test]
async fn one_that_is_left_alone_is_not_asked_as_a_second() {
    let (near, near_url) = Scripted::start("near", Mood::Well).await;
    let mut settings = settings(&[&near_url, &nowhere().await]);
    (settings.shield.hedge, settings.shield.failures) = (AT_ONCE, 1);
    let shields = shields(settings);
    shields.failed(
        Asked { member: &shields.members[1], admission: Admission::Usual },
        &UpstreamError::no_peers_answer("it"),
    );
    near.set(Mood::Slow);
    let release = async {
        near.is_asked().await;
        later(AT_ONCE).await;
        near.set(Mood::Well);
    };
    let (answered, ()) = tokio::join!(ask(&shields, get()), release);
    assert_eq!(answered.unwrap(), "near");
    let failing = shields.metrics.render();
    assert!(!failing.contains("status=\"error\""), "{failing}");
}
