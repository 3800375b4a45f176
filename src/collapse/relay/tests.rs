//! Readers and a writer, polled by hand: nothing here waits for a clock.

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

const WINDOW: u64 = 8;

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn reader(relay: &Arc<Relay>) -> Body {
    relay.reader(0, None).unwrap()
}

/// Everything that is there, and how it ends: `None` if more is to come.
fn drain(body: &mut Body) -> (Vec<u8>, Option<Result<Option<HeaderMap>, BodyError>>) {
    let (mut data, mut trailers) = (Vec::new(), None);
    loop {
        match body.next().now_or_never() {
            None => return (data, None),
            Some(None) => return (data, Some(Ok(trailers))),
            Some(Some(Err(error))) => return (data, Some(Err(error))),
            Some(Some(Ok(Piece::Data(piece)))) => data.extend_from_slice(&piece),
            Some(Some(Ok(Piece::Trailers(map)))) => trailers = Some(map),
        }
    }
}

fn text(body: &mut Body) -> String {
    String::from_utf8(drain(body).0).unwrap()
}

fn has_room(writer: &RelayWriter) -> bool {
    writer.room().now_or_never().is_some()
}

#[test]
fn readers_early_and_late_read_the_same() {
    let (relay, writer) = Relay::new();
    let mut early = reader(&relay);
    assert_eq!(text(&mut early), "");
    writer.push(bytes("abc"));
    assert_eq!(text(&mut early), "abc");
    let mut late = reader(&relay);
    writer.push(bytes("def"));
    assert_eq!((text(&mut early), text(&mut late)), ("def".into(), "abcdef".into()));
    writer.finish(None);
    let mut last = reader(&relay);
    assert_eq!(drain(&mut last), (b"abcdef".to_vec(), Some(Ok(None))));
    assert_eq!(drain(&mut early).1, Some(Ok(None)));
}

#[test]
fn trailers_come_to_those_who_read_to_the_end() {
    let (relay, writer) = Relay::new();
    let mut whole = reader(&relay);
    let mut part = relay.reader(1, Some(1)).unwrap();
    writer.push(bytes("abc"));
    let trailers: HeaderMap =
        [(http::HeaderName::from_static("x"), http::HeaderValue::from_static("y"))]
            .into_iter()
            .collect();
    writer.finish(Some(trailers.clone()));
    assert_eq!(drain(&mut whole), (b"abc".to_vec(), Some(Ok(Some(trailers)))));
    assert_eq!(drain(&mut part), (b"b".to_vec(), Some(Ok(None))));
}

#[test]
fn a_writer_that_is_dropped_fails_the_body() {
    let (relay, writer) = Relay::new();
    let mut body = reader(&relay);
    writer.push(bytes("abc"));
    drop(writer);
    let (data, end) = drain(&mut body);
    assert_eq!(data, b"abc");
    assert!(matches!(end, Some(Err(error)) if error.kind == BodyErrorKind::Aborted));
    assert!(matches!(drain(&mut body).1, Some(Ok(None))), "an error is told once");
    assert!(relay.reader(0, None).is_none(), "nobody begins what broke off");
    assert!(relay.is_broken());
}

#[test]
fn a_part_that_is_complete_does_not_care_for_the_rest() {
    let (relay, writer) = Relay::new();
    let mut part = relay.reader(2, Some(3)).unwrap();
    writer.push(bytes("abcd"));
    assert_eq!(text(&mut part), "cd");
    writer.push(bytes("efgh"));
    drop(writer);
    assert_eq!(drain(&mut part), (b"e".to_vec(), Some(Ok(None))));
}

#[test]
fn the_writer_waits_for_the_fastest_reader_alone() {
    let (relay, writer) = Relay::new();
    let (mut fast, mut slow) = (reader(&relay), reader(&relay));
    writer.keep_window(WINDOW);
    assert!(has_room(&writer));
    writer.push(bytes("01234567"));
    assert!(!has_room(&writer));
    assert_eq!(text(&mut fast), "01234567");
    assert!(has_room(&writer));
    writer.push(bytes("89abcdef"));
    assert_eq!(text(&mut fast), "89abcdef");
    assert!(has_room(&writer));
    let (data, end) = drain(&mut slow);
    assert_eq!(data, b"");
    assert!(matches!(end, Some(Err(error)) if error.kind == BodyErrorKind::Aborted));
    writer.finish(None);
    assert_eq!(drain(&mut fast).1, Some(Ok(None)));
}

#[test]
fn a_window_gives_up_the_beginning() {
    let (relay, writer) = Relay::new();
    writer.keep_window(WINDOW);
    for _ in 0..3 {
        writer.push(bytes("01234567"));
    }
    assert!(relay.reader(0, None).is_none());
    assert!(writer.pieces().is_none());
    assert_eq!(writer.written(), 24);
    let mut tail = relay.reader(20, None).unwrap();
    assert_eq!(text(&mut tail), "4567");
}

#[test]
fn a_reader_ahead_of_the_writer_is_not_cut() {
    let (relay, writer) = Relay::new();
    let mut ahead = relay.reader(20, Some(2)).unwrap();
    writer.keep_window(WINDOW);
    for _ in 0..4 {
        writer.push(bytes("01234567"));
    }
    assert_eq!(drain(&mut ahead), (b"45".to_vec(), Some(Ok(None))));
}

#[test]
fn nobody_who_reads_holds_the_writer() {
    let (relay, writer) = Relay::new();
    assert!(writer.deserted().now_or_never().is_some());
    let body = reader(&relay);
    writer.keep_window(WINDOW);
    writer.push(bytes("0123456789"));
    assert!(writer.deserted().now_or_never().is_none());
    assert!(!has_room(&writer));
    drop(body);
    assert!(writer.deserted().now_or_never().is_some());
    assert!(has_room(&writer));
}

#[tokio::test]
async fn a_reader_that_leaves_wakes_the_writer() {
    let (relay, writer) = Relay::new();
    let body = reader(&relay);
    let waiting = tokio::spawn(async move { writer.deserted().await });
    tokio::task::yield_now().await;
    drop(body);
    waiting.await.unwrap();
}

#[tokio::test]
async fn many_readers_are_woken_by_each_piece() {
    let (relay, writer) = Relay::new();
    let read = |mut body: Body| async move {
        let mut whole = Vec::new();
        while let Some(piece) = body.next().await {
            if let Piece::Data(data) = piece.unwrap() {
                whole.extend_from_slice(&data);
            }
        }
        whole
    };
    let readers: Vec<_> = (0..100).map(|_| tokio::spawn(read(reader(&relay)))).collect();
    for piece in ["ab", "cd", "ef"] {
        tokio::task::yield_now().await;
        writer.push(bytes(piece));
    }
    tokio::task::yield_now().await;
    writer.finish(None);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), b"abcdef");
    }
}

proptest! {
    /// Whatever the order of pushes and reads, a reader has the part it asked for, or is cut; it
    /// never has other bytes.
    #[test]
    fn a_reader_has_its_part_or_is_cut(
        pieces in prop::collection::vec(1usize..6, 0..12),
        start in 0u64..20,
        length in prop::option::of(0u64..20),
        window in prop::option::of(1u64..9),
        reads in prop::collection::vec(any::<bool>(), 12),
    ) {
        let (relay, writer) = Relay::new();
        if let Some(window) = window {
            writer.keep_window(window);
        }
        let mut body = relay.reader(start, length).unwrap();
        let (mut whole, mut read, mut cut) = (Vec::new(), Vec::new(), false);
        for (at, size) in pieces.iter().enumerate() {
            let piece: Vec<u8> = (0..*size).map(|n| (at * 16 + n) as u8).collect();
            whole.extend_from_slice(&piece);
            writer.push(piece.into());
            if reads[at] && !cut {
                let (data, end) = drain(&mut body);
                read.extend(data);
                cut = matches!(end, Some(Err(_)));
            }
        }
        writer.finish(None);
        if !cut {
            let (data, end) = drain(&mut body);
            read.extend(data);
            cut = matches!(end, Some(Err(_)));
        }
        let from = (start as usize).min(whole.len());
        let to = length.map_or(whole.len(), |length| (from + length as usize).min(whole.len()));
        let wanted = &whole[from..to.max(from)];
        prop_assert!(wanted.starts_with(&read));
        prop_assert!(cut || wanted == read);
        prop_assert!(!cut || window.is_some());
    }
}
