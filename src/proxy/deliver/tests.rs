//! Conditions × ranges × methods, from what is stored and from what arrives.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::collapse::Relay;
use crate::message::{Fields, Peer, Piece, Protocol, RequestHead, Scheme};
use crate::object::tests::target;
use crate::proxy::context::Arrival;

const NOW: Timestamp = Timestamp::from_seconds(1_800_010_000);
const MODIFIED: &str = "Fri, 15 Jan 2027 08:00:00 GMT";
const DATE: &str = "Fri, 15 Jan 2027 09:00:00 GMT";
const EARLIER: &str = "Fri, 15 Jan 2027 07:00:00 GMT";
const BODY: &str = "0123456789";

fn inbound(method: &str, fields: &[(&str, &str)]) -> Inbound {
    let fields: Fields = fields.iter().map(|(name, value)| (*name, *value)).collect();
    let head = RequestHead {
        method: method.parse().unwrap(),
        host: "h".into(),
        target: "/".into(),
        fields,
        peer: Peer {
            address: ([127, 0, 0, 1], 1).into(),
            protocol: Protocol::Http2,
            scheme: Scheme::Https,
        },
        content_length: None,
    };
    let arrival = Arrival { instant: Instant::now(), now: NOW, from_edge: false };
    Inbound { head: Box::new(head), arrival, edge: None, taken: Default::default() }
}

fn head(status: u16) -> ObjectHead {
    let mut lines = Vec::new();
    for (name, value) in [
        ("cache-control", "max-age=60"),
        ("content-location", "/other"),
        ("content-type", "text/plain"),
        ("date", DATE),
        ("etag", "\"v\""),
        ("last-modified", MODIFIED),
        ("x-any", "1"),
    ] {
        push_field(&mut lines, name, value.as_bytes());
    }
    let block = FieldBlock::from_lines(lines.into());
    let status = StatusCode::from_u16(status).unwrap();
    let (fresh, sequence) = Default::default();
    ObjectHead::new(status, fresh, sequence, &block, None, &target("/"))
}

/// The body is stored.
const STORED: Option<Option<u64>> = None;

/// The body is on its way, its length told.
const ARRIVES: Option<Option<u64>> = Some(Some(BODY.len() as u64));

/// Status, `Content-Length`, body and names of the lines of the response to a request.
fn answered(
    head: ObjectHead,
    inbound: &Inbound,
    arrives: Option<Option<u64>>,
) -> (u16, Option<u64>, String, String) {
    let name = CacheName::new("node");
    let status = CacheStatus::of(&name);
    let response = if let Some(content_length) = arrives {
        let (relay, writer) = Relay::new();
        writer.push(Bytes::from_static(BODY.as_bytes()));
        let arriving_now = Arriving {
            head: Arc::new(head),
            content_length,
            relay,
            variant: None,
            cache_status: None,
        };
        let response =
            arriving(inbound, &arriving_now, arriving_now.head.block(), &status).unwrap();
        writer.finish(None);
        response
    } else {
        let body = [Bytes::from_static(BODY.as_bytes())];
        stored(inbound, &Stored::new(&head, &body), head.block(), &status, NOW)
    };
    let names: Vec<_> = response.block.iter().map(|(name, _)| name.to_owned()).collect();
    let Response { status, content_length, mut body, .. } = response;
    let mut data = Vec::new();
    while let Some(piece) = futures_util::FutureExt::now_or_never(body.next()).flatten() {
        if let Ok(Piece::Data(piece)) = piece {
            data.extend_from_slice(&piece);
        }
    }
    (status.as_u16(), content_length, String::from_utf8(data).unwrap(), names.join(" "))
}

#[test]
fn conditions_and_ranges_by_method() {
    let whole = (200, Some(10), BODY);
    let empty = (200, Some(10), "");
    let part = (206, Some(3), "234");
    let not_modified = (304, None, "");
    let failed = (412, Some(0), "");
    let range = ("range", "bytes=2-4");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], (u16, Option<u64>, &'a str));
    let cases: &[Case<'_>] = &[
        ("GET", &[], whole),
        ("HEAD", &[], empty),
        ("GET", &[range], part),
        ("HEAD", &[range], empty),
        ("GET", &[("range", "bytes=8-20")], (206, Some(2), "89")),
        ("GET", &[("range", "bytes=-3")], (206, Some(3), "789")),
        ("GET", &[("range", "bytes=10-")], (416, Some(0), "")),
        ("GET", &[("range", "lines=1-2")], whole),
        ("GET", &[("range", "bytes=4-2")], whole),
        ("GET", &[range, ("if-range", "\"v\"")], part),
        ("GET", &[range, ("if-range", "\"x\"")], whole),
        ("GET", &[range, ("if-range", "W/\"v\"")], whole),
        ("GET", &[range, ("if-range", MODIFIED)], part),
        ("GET", &[range, ("if-range", DATE)], whole),
        ("GET", &[("range", "bytes=10-"), ("if-range", "\"x\"")], whole),
        ("GET", &[("if-none-match", "\"v\"")], not_modified),
        ("HEAD", &[("if-none-match", "W/\"v\"")], not_modified),
        ("GET", &[("if-none-match", "\"x\", \"y\"")], whole),
        ("GET", &[("if-none-match", "\"x\""), ("if-modified-since", DATE)], whole),
        ("GET", &[("if-none-match", "\"v\""), range], not_modified),
        ("GET", &[("if-none-match", "\"x\""), range], part),
        ("GET", &[("if-modified-since", MODIFIED)], not_modified),
        ("HEAD", &[("if-modified-since", DATE)], not_modified),
        ("GET", &[("if-modified-since", EARLIER)], whole),
        ("GET", &[("if-match", "\"x\"")], failed),
        ("GET", &[("if-match", "*")], whole),
        ("GET", &[("if-match", "\"v\""), ("if-none-match", "\"v\"")], not_modified),
        ("GET", &[("if-unmodified-since", EARLIER)], failed),
        ("HEAD", &[("if-unmodified-since", MODIFIED)], empty),
    ];
    for (method, fields, (status, length, body)) in cases {
        for arrives in [STORED, ARRIVES] {
            let found = answered(head(200), &inbound(method, fields), arrives);
            let found = (found.0, found.1, &*found.2);
            assert_eq!(found, (*status, *length, *body), "{method} {fields:?} {arrives:?}");
        }
    }
}

#[test]
fn only_a_success_is_conditional_and_only_a_200_has_parts() {
    for fields in [("if-none-match", "\"v\""), ("range", "bytes=2-4"), ("if-match", "\"x\"")] {
        let (status, length, body, _) = answered(head(404), &inbound("GET", &[fields]), STORED);
        assert_eq!((status, length, &*body), (404, Some(10), BODY), "{fields:?}");
    }
}

#[test]
fn lines_by_status() {
    let names = |fields: &[(&str, &str)]| answered(head(200), &inbound("GET", fields), STORED).3;
    let all = "cache-control content-location content-type date etag last-modified x-any";
    assert_eq!(names(&[]), all);
    assert_eq!(names(&[("range", "bytes=0-1")]), all);
    let without_type = "cache-control content-location date etag last-modified x-any";
    assert_eq!(names(&[("if-none-match", "*")]), without_type);
    assert_eq!(names(&[("range", "bytes=0-1, 5-6")]), without_type);
    assert_eq!(names(&[("if-match", "\"x\"")]), "date x-any");
    assert_eq!(names(&[("range", "bytes=99-")]), "date x-any");
}

#[test]
fn several_parts_of_what_is_stored() {
    let inbound = inbound("GET", &[("range", "bytes=0-1, 5-6")]);
    let (status, length, body, _) = answered(head(200), &inbound, STORED);
    assert_eq!((status, length), (206, Some(body.len() as u64)));
    assert_eq!(body.matches("\r\nContent-Type: text/plain\r\n").count(), 2);
    assert!(body.contains("bytes 0-1/10\r\n\r\n01\r\n--"), "{body}");
    assert!(body.contains("bytes 5-6/10\r\n\r\n56\r\n--"), "{body}");
    // Parts in any order of a body on its way would have to wait: the whole is sent.
    let (status, _, body, _) = answered(head(200), &inbound, ARRIVES);
    assert_eq!((status, &*body), (200, BODY));
}

#[test]
fn what_arrives_without_a_length_has_no_parts() {
    let inbound = inbound("GET", &[("range", "bytes=0-1")]);
    let (status, length, body, _) = answered(head(200), &inbound, Some(None));
    assert_eq!((status, length, &*body), (200, None, BODY));
}
