//! Fuzz target: fields as a decoder hands them out.

use super::{FieldList, Head};
use crate::net::{Limits, priority};

/// What a list of fields may become, whoever decoded it.
pub(in crate::net) fn check_head(head: &Head, limits: &Limits) {
    assert!(head.target.first() == Some(&b'/') || head.target == "*");
    assert!(head.target.len() <= limits.url && !head.host.is_empty());
    assert!(head.host.iter().all(|byte| byte.is_ascii_graphic() && !b"/@?#".contains(byte)));
    assert!(head.urgency <= 7);
    // The crumbs of the cookie are one line more.
    assert!(head.fields.len() <= limits.headers + 1);
    assert!(head.fields.all("cookie").count() <= 1);
    for (name, value) in head.fields.iter() {
        assert_eq!(name, name.to_ascii_lowercase());
        http::HeaderName::from_bytes(name).expect("a token");
        http::HeaderValue::from_bytes(value).expect("no control characters");
    }
}

/// Lines of `name=value`.
pub(in crate::net) fn field_list(bytes: &[u8]) {
    let limits = Limits { header_bytes: 1000, headers: 8, url: 100, ..Limits::default() };
    let mut list = FieldList::default();
    let push = |list: &mut FieldList| {
        list.begin(&limits);
        for line in bytes.split(|&byte| byte == b'\n') {
            let (name, value) = line.split_at(line.iter().position(|&b| b == b'=').unwrap_or(0));
            list.push(name, value.get(1..).unwrap_or_default());
        }
    };
    push(&mut list);
    let read = list.request();
    if let Ok(head) = &read {
        check_head(head, &limits);
    }
    // Nothing of one list is left for the next.
    push(&mut list);
    let again = list.request();
    assert_eq!(read.as_ref().err(), again.as_ref().err());
    push(&mut list);
    if let Ok(trailers) = list.trailers() {
        assert!(read.is_err() && trailers.len() <= limits.headers);
    }
    assert!(priority::urgency(bytes) <= 7);
}
