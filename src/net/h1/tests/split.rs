//! However bytes arrive, the answers are the same; and no bytes do harm.

use proptest::prelude::*;

use super::*;
use crate::net::Later;

/// Answers every request with its content, at once or later.
fn mixed(request: Request) -> Answer<String> {
    if request.head.target.starts_with(b"/now") {
        return echo(request);
    }
    let Request { head, mut body } = request;
    let target = head.target;
    Answer::Later(Later::new(async move {
        let mut text = target.to_vec();
        while let Some(Ok(piece)) = body.next().await {
            if let Piece::Data(data) = piece {
                text.extend_from_slice(&data);
            }
        }
        let pieces = text.chunks(3).map(|part| Some(Ok(Piece::Data(part.to_vec().into()))));
        reply(&target, 200, Some(text.len() as u64), listed(pieces.collect()))
    }))
}

async fn answers(wire: &[u8], cuts: &[usize]) -> String {
    let handler = Scripted::new(mixed);
    let limits = Limits { half_close: true, ..Limits::default() };
    let (client, _served, _drain) = connect(&handler, limits);
    let (mut answers, mut requests) = tokio::io::split(client);
    let mut rest = wire;
    for &cut in cuts {
        let (part, left) = rest.split_at(cut.min(rest.len()));
        // The connection may be closed already.
        let _ = requests.write_all(part).await;
        tokio::task::yield_now().await;
        rest = left;
    }
    let _ = requests.write_all(rest).await;
    let _ = requests.shutdown().await;
    let mut text = Vec::new();
    answers.read_to_end(&mut text).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
}

const PIPELINE: &[u8] = b"GET /now1 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n\
    \r\nPOST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    3\r\nabc\r\n004;x\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n\
    GET /now2 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /now3 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nGET / HTTP/1\
    POST /now4 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nskip\
    GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn splits_do_not_matter(cuts in prop::collection::vec(1..40_usize, 0..40)) {
        let whole = run(answers(PIPELINE, &[]));
        prop_assert_eq!(whole.matches("HTTP/1.1 200 OK").count(), 7);
        prop_assert!(whole.ends_with("connection: close\r\n\r\n/last"));
        prop_assert_eq!(run(answers(PIPELINE, &cuts)), whole);
    }

    #[test]
    fn garbage_does_no_harm(
        at in 0..PIPELINE.len(),
        garbage in prop::collection::vec(any::<u8>(), 0..30),
        length in 0..30_usize,
    ) {
        let mut wire = PIPELINE.to_vec();
        let end = (at + length).min(wire.len());
        wire.splice(at..end, garbage);
        run(answers(&wire, &[at / 2 + 1]));
    }
}
