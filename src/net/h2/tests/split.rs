//! However the bytes arrive, the answer is the same; and whatever arrives, nothing panics.

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::fuzz::said;
use super::super::session::Session;
use super::*;

/// Feeds a session, and takes what it says after each part.
fn converse<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<(String, u64, Outcome)>) {
    let handler = Arc::new(Scripted::default());
    let limits = Arc::new(Limits { resets_per_connection: 20, ..Limits::default() });
    let mut session = Session::new(Arc::clone(&handler), limits, PEER, None, Instant::now());
    let said = said(&mut session, parts);
    drop(session);
    let ended = handler.ended();
    (said, ended)
}

/// Requests of many kinds, as one run of bytes.
fn conversation() -> Vec<u8> {
    let mut out = BytesMut::from(&PREFACE[..]);
    let end = flag::END_HEADERS | flag::END_STREAM;
    frame::put_settings(&mut out, &[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    frame::put(&mut out, kind::HEADERS, end, 1, &head("GET", "/1000", &[]));
    frame::put(&mut out, kind::HEADERS, flag::END_HEADERS, 3, &head("POST", "/7", &[]));
    frame::put(&mut out, kind::DATA, flag::END_STREAM, 3, b"unread");
    frame::put(&mut out, kind::PING, 0, 0, b"12345678");
    let cookies = head("GET", "/3", &[("cookie", "a=1"), ("cookie", "b=2")]);
    let (one, two) = cookies.split_at(20);
    frame::put(&mut out, kind::HEADERS, flag::END_STREAM, 5, one);
    frame::put(&mut out, kind::CONTINUATION, flag::END_HEADERS, 5, two);
    frame::put(&mut out, kind::HEADERS, end, 7, &head("GET", "/x", &[("te", "bad")]));
    frame::put(&mut out, kind::HEADERS, end, 9, &head("HEAD", "/77", &[]));
    frame::put(&mut out, kind::HEADERS, end, 11, &head("CONNECT", "/", &[]));
    frame::put(&mut out, 0x42, 0, 0, b"unknown");
    frame::put(&mut out, kind::HEADERS, end, 13, &head("GET", "/broken", &[]));
    out.to_vec()
}

#[test]
fn the_conversation_is_answered() {
    let bytes = conversation();
    let (said, ended) = converse(std::iter::once(&bytes[..]));
    assert!(said.len() > 1200, "{}", said.len());
    let paths: Vec<_> = ended.iter().map(|(path, bytes, _)| (&path[..], *bytes)).collect();
    let expected = [
        ("/1000", 1000),
        ("/7", 7),
        ("/3", 3),
        ("/77", 0),
        ("501 Not Implemented", 21),
        ("/broken", 3),
    ];
    assert_eq!(paths, expected);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answer(cuts in proptest::collection::vec(0usize..2000, 0..30)) {
        let bytes = conversation();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % bytes.len()).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(converse(parts), converse(std::iter::once(&bytes[..])));
    }

    #[test]
    fn garbage_does_no_harm(
        frames in proptest::collection::vec(
            (0u8..12, any::<u8>(), 0u32..12, proptest::collection::vec(any::<u8>(), 0..64)),
            0..60,
        ),
        tail in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = BytesMut::from(&PREFACE[..]);
        frame::put(&mut bytes, kind::SETTINGS, 0, 0, &[]);
        for (kind, flags, stream, payload) in &frames {
            frame::put(&mut bytes, *kind, *flags, *stream, payload);
        }
        bytes.extend_from_slice(&tail);
        converse(bytes.chunks(50));
    }

    #[test]
    fn damaged_requests_do_no_harm(flips in proptest::collection::vec(any::<(u16, u8)>(), 1..20)) {
        let mut bytes = conversation();
        for (place, flip) in flips {
            let place = PREFACE.len() + usize::from(place) % (bytes.len() - PREFACE.len());
            bytes[place] ^= flip;
        }
        let (_, ended) = converse(bytes.chunks(100));
        prop_assert!(ended.len() < 20);
    }
}
