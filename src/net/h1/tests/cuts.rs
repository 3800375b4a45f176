//! The handler wants a response cut that is on its way.

use super::*;
use crate::net::Later;

const GET: &str = "GET /old HTTP/1.1\r\nhost: a\r\n\r\n";

/// A body that gives `kept`, and then nothing for ever.
struct Stalled(Option<Bytes>);

impl BodyStream for Stalled {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Piece::Data(piece)))))
    }
}

/// A body that has always more.
struct Endless;

impl BodyStream for Endless {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        Poll::Ready(Some(Ok(Piece::Data(Bytes::from_static(b"x")))))
    }
}

/// Answers `/later` never, `/stalled` in part, and all else with so many bytes.
fn handler(length: usize) -> Arc<Scripted> {
    Scripted::new(move |request| {
        let body = match &request.head.target[..] {
            b"/later" => return Answer::Later(Later::new(std::future::pending())),
            b"/stalled" => Body::Stream(Box::new(Stalled(Some(Bytes::from_static(b"kept"))))),
            _ => Body::Full(vec![b'x'; length].into()),
        };
        Answer::Now(reply(&request.head.target, 200, None, body))
    })
}

/// A connection whose transport holds so many bytes.
fn narrow(
    handler: &Arc<Scripted>,
    bytes: usize,
    limits: Limits,
) -> (DuplexStream, JoinHandle<bool>) {
    let (client, server) = tokio::io::duplex(bytes);
    let (drain, watch) = Drain::new();
    let served = spawn(server, handler, limits, watch);
    drop(drain);
    (client, served)
}

/// Waits until the handler was asked so often.
async fn looked_at(handler: &Scripted, count: usize) {
    while handler.looked_at.lock().len() < count {
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_waited_for_is_cut() {
    let handler = handler(0);
    let (mut client, served, _drain) = connect(&handler, Limits::default());
    client.write_all(b"GET /stalled HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut client, "kept").await;
    looked_at(&handler, 3).await;
    assert_eq!(handler.endings(), []);
    handler.cut.lock().push("/stalled");
    assert!(served.await.unwrap(), "a close would be its end");
    assert_eq!(client.read_to_string(&mut String::new()).await.unwrap(), 0);
    assert_eq!(handler.endings(), [("/stalled".into(), 4, Outcome::Truncated)]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_taken_is_cut_though_it_is_queued_to_its_end() {
    let handler = handler(100_000);
    let (mut client, served) = narrow(&handler, 1000, Limits::default());
    client.write_all(GET.as_bytes()).await.unwrap();
    looked_at(&handler, 2).await;
    handler.cut.lock().push("/old");
    assert!(served.await.unwrap());
    let ended = handler.endings();
    assert_eq!((ended.len(), ended[0].2), (1, Outcome::Truncated));
    assert!(ended[0].1 > 0 && ended[0].1 < 1000, "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_cut_while_the_next_request_is_at_the_handler() {
    let handler = handler(5000);
    let (mut client, served) = narrow(&handler, 1000, Limits::default());
    client.write_all(GET.as_bytes()).await.unwrap();
    client.write_all(b"GET /later HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    looked_at(&handler, 2).await;
    handler.cut.lock().push("/old");
    assert!(served.await.unwrap());
    assert_eq!(handler.endings()[0].2, Outcome::Truncated);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_cut_comes_whole() {
    let limits = Limits { min_rate: 0, ..Limits::default() };
    let handler = handler(5000);
    handler.cut.lock().push("/other");
    let (mut client, _served) = narrow(&handler, 1000, limits);
    client.write_all(GET.as_bytes()).await.unwrap();
    looked_at(&handler, 9).await;
    read_until(&mut client, &"x".repeat(5000)).await;
    assert_eq!(handler.endings(), [("/old".into(), 5000, Outcome::Complete)]);
    // Idle connections, and requests that have no response yet, are not asked about.
    let asked = handler.looked_at.lock().len();
    client.write_all(b"GET /later HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(handler.looked_at.lock().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_has_to_wait_for_its_client_is_cut() {
    let handler = Scripted::new(|request| {
        Answer::Now(reply(&request.head.target, 200, None, Body::Stream(Box::new(Endless))))
    });
    // A write takes one piece and there is always room: the connection waits for its turn alone.
    let limits = Limits { connection_buffer: 1, ..Limits::default() };
    let (mut client, served, _drain) = connect(&handler, limits);
    client.write_all(GET.as_bytes()).await.unwrap();
    let mut taken = vec![0; 1 << 20];
    for turn in 0..1000 {
        tokio::time::advance(Duration::from_millis(100)).await;
        if turn == 100 {
            handler.cut.lock().push("/old");
        }
        if !matches!(client.read(&mut taken).await, Ok(1..)) {
            break;
        }
    }
    assert!(served.is_finished());
    assert_eq!(handler.endings()[0].2, Outcome::Truncated);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_body_left_is_not_asked_about() {
    let handler = Scripted::new(|request| {
        Answer::Now(reply(&request.head.target, 304, None, Body::Full(Bytes::from_static(b"body"))))
    });
    handler.cut.lock().push("/old");
    let (mut client, _served) = narrow(&handler, 10, Limits::default());
    client.write_all(GET.as_bytes()).await.unwrap();
    for _ in 0..20 {
        tokio::time::advance(Duration::from_millis(200)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(handler.looked_at.lock().len(), 0);
    read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(handler.endings(), [("/old".into(), 0, Outcome::Complete)]);
}

#[tokio::test(start_paused = true)]
async fn what_leaves_at_once_is_not_asked_about() {
    let handler = handler(500);
    handler.cut.lock().push("/old");
    let (mut client, _served, _drain) = connect(&handler, Limits::default());
    for _ in 0..3 {
        client.write_all(GET.repeat(2).as_bytes()).await.unwrap();
        read_until(&mut client, &"x".repeat(500)).await;
        read_until(&mut client, &"x".repeat(500)).await;
    }
    assert_eq!(handler.looked_at.lock().len(), 0);
}
