//! After a 101: bytes both ways, until both sides are done or one breaks off.

use http::HeaderValue;
use tokio::time::timeout;

use super::*;
use crate::message::{ByteStream, Tunnel};
use crate::net::Later;

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const HEAD: &str = "HTTP/1.1 101 Switching Protocols\r\nserver: headland\r\nage: 1\r\n\
                    connection: upgrade\r\nupgrade: websocket\r\n\r\n";
/// Bytes that one direction of a transport holds.
const PIPE: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// A client, the server behind it, and what serves them.
struct Stage {
    handler: Arc<Scripted>,
    client: DuplexStream,
    server: DuplexStream,
    served: JoinHandle<bool>,
    _drain: Drain,
}

/// Both ends of a connection that switches to a tunnel whose server said `early` behind its head.
fn stage(limits: Limits, early: &'static str) -> Stage {
    let (server, far) = tokio::io::duplex(PIPE);
    stage_to(server, Box::new(far), limits, early)
}

/// The same, where `far` is the way to the server.
fn stage_to(
    server: DuplexStream,
    far: Box<dyn ByteStream>,
    limits: Limits,
    early: &'static str,
) -> Stage {
    let far = Mutex::new(Some(far));
    let handler = Scripted::new(move |request| {
        let far = far.lock().take().unwrap();
        Answer::Later(Later::new(async move {
            let early = Bytes::from_static(early.as_bytes());
            let protocol = HeaderValue::from_static("websocket");
            let tunnel = Tunnel::new(far, early, protocol);
            reply(&request.head.target, 101, None, Body::Tunnel(Box::new(tunnel)))
        }))
    });
    let (client, near) = tokio::io::duplex(PIPE);
    let (drain, watch) = Drain::new();
    let served = spawn(near, &handler, limits, watch);
    Stage { handler, client, server, served, _drain: drain }
}

impl Stage {
    /// What was told of the exchange, once all is over; and whether the client was reset.
    async fn ends(self) -> (u64, Outcome, bool) {
        let is_reset = self.served.await.unwrap();
        let endings = self.handler.endings();
        assert_eq!(endings.len(), 1, "{endings:?}");
        (endings[0].1, endings[0].2, is_reset)
    }
}

async fn rest(stream: &mut DuplexStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn bytes_that_come_early_are_the_first() {
    let mut stage = stage(Limits::default(), "hello ");
    stage.client.write_all(format!("{UPGRADE}GET / early ").as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut stage.client, "\r\n\r\n").await, HEAD);
    stage.client.write_all(b"late").await.unwrap();
    stage.server.write_all(b"world").await.unwrap();
    assert_eq!(read_until(&mut stage.server, "late").await, "GET / early late");
    assert_eq!(read_until(&mut stage.client, "world").await, "hello world");
    // Either may be the first to say no more; the other goes on.
    stage.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut stage.server).await, "");
    stage.server.write_all(b", goodbye").await.unwrap();
    stage.server.shutdown().await.unwrap();
    assert_eq!(rest(&mut stage.client).await, ", goodbye");
    assert_eq!(stage.ends().await, (20, Outcome::Complete, false));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_leaves_before_the_wait_for_more() {
    let (server, far) = tokio::io::duplex(PIPE);
    let far = tokio::io::BufStream::new(far);
    let mut stage = stage_to(server, Box::new(far), Limits::default(), "");
    stage.client.write_all(format!("{UPGRADE}hello").as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut stage.server, "hello").await, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_no_more_may_still_be_told() {
    let mut stage = stage(Limits::default(), "");
    stage.client.write_all(UPGRADE.as_bytes()).await.unwrap();
    stage.server.shutdown().await.unwrap();
    assert_eq!(rest(&mut stage.client).await, HEAD);
    stage.client.write_all(b"more").await.unwrap();
    stage.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut stage.server).await, "more");
    assert_eq!(stage.ends().await, (0, Outcome::Complete, false));
}

/// Writes until nothing more is taken; returns how much was.
async fn fill(stream: &mut DuplexStream) -> usize {
    let mut taken = 0;
    // The clock stands still until nothing else can be done.
    while let Ok(written) = timeout(SECOND, stream.write(&[b'x'; 100])).await {
        taken += written.unwrap();
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_than_the_other_side_takes() {
    let mut stage = stage(Limits::default(), "");
    stage.client.write_all(UPGRADE.as_bytes()).await.unwrap();
    read_until(&mut stage.client, "\r\n\r\n").await;
    let (up, down) = (fill(&mut stage.client).await, fill(&mut stage.server).await);
    for taken in [up, down] {
        assert!((2 * PIPE..=3 * PIPE).contains(&taken), "{taken}");
    }
    // What waits in one direction holds back nothing in the other.
    stage.server.shutdown().await.unwrap();
    assert_eq!(rest(&mut stage.client).await.len(), down);
    stage.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut stage.server).await.len(), up);
    assert_eq!(stage.ends().await, (down as u64, Outcome::Complete, false));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_given_up_where_both_sides_stand_still() {
    let limits = Limits {
        tunnel_idle_timeout: SECOND * 90,
        request_timeout: SECOND * 100,
        ..Limits::default()
    };
    let start = tokio::time::Instant::now();
    let mut stage = stage(limits, "");
    stage.client.write_all(UPGRADE.as_bytes()).await.unwrap();
    read_until(&mut stage.client, "\r\n\r\n").await;
    // One direction that moves is enough, however slowly, and for longer than a request may last.
    for round in 1..=3 {
        tokio::time::advance(SECOND * 60).await;
        let (from, to) = match round % 2 {
            0 => (&mut stage.client, &mut stage.server),
            _ => (&mut stage.server, &mut stage.client),
        };
        from.write_all(b"x").await.unwrap();
        assert_eq!(read_until(to, "x").await, "x");
    }
    assert_eq!(rest(&mut stage.server).await, "");
    assert_eq!(start.elapsed(), SECOND * (180 + 90));
    assert_eq!(stage.ends().await, (2, Outcome::Truncated, true));
}

/// A server that breaks off once it has said something.
struct Broken(&'static [u8]);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match std::mem::take(&mut self.0) {
            b"" => Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into())),
            said => {
                buffer.put_slice(said);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Broken {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_off_is_seen_to_do_so() {
    let handler = Scripted::new(|request| {
        let protocol = HeaderValue::from_static("websocket");
        let tunnel = Tunnel::new(Box::new(Broken(b"last words")), Bytes::new(), protocol);
        Answer::Now(reply(&request.head.target, 101, None, Body::Tunnel(Box::new(tunnel))))
    });
    let (mut client, served, _drain) = connect(&handler, Limits::default());
    // What it does not take is no reason not to hear it.
    client.write_all(format!("{UPGRADE}not taken").as_bytes()).await.unwrap();
    assert_eq!(rest(&mut client).await, format!("{HEAD}last words"));
    assert!(served.await.unwrap(), "a close would be an end");
    assert_eq!(handler.endings(), [("/ws".into(), 10, Outcome::Truncated)]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_the_other_side_away() {
    let mut stage = stage(Limits::default(), "");
    stage.client.write_all(UPGRADE.as_bytes()).await.unwrap();
    read_until(&mut stage.client, "\r\n\r\n").await;
    let Stage { handler, client, mut server, served, _drain } = stage;
    drop(client);
    assert_eq!(rest(&mut server).await, "");
    // Whatever it still says is for nobody.
    while server.write_all(b"still there?").await.is_ok() {}
    served.await.unwrap();
    assert_eq!(handler.endings(), [("/ws".into(), 0, Outcome::ClientGone)]);
}
