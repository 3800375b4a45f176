//! Heads as the RFC wants them, and as it does not.

use super::*;

type Pair<'a> = (&'a str, &'a str);

const GET: [Pair<'_>; 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/a?b")];

fn read(fields: &[Pair<'_>]) -> Result<Head, Refusal> {
    read_within(&Limits::default(), fields)
}

fn read_within(limits: &Limits, fields: &[Pair<'_>]) -> Result<Head, Refusal> {
    let mut list = FieldList::default();
    list.begin(limits);
    for (name, value) in fields {
        list.push(name.as_bytes(), value.as_bytes());
    }
    list.request()
}

/// A GET with more fields.
fn get<'a>(more: &[Pair<'a>]) -> Vec<Pair<'a>> {
    [&GET[..], more].concat()
}

/// A GET with one pseudo field changed, or left out.
fn changed<'a>(name: &'a str, value: Option<&'a str>) -> Vec<Pair<'a>> {
    let rest = GET.into_iter().filter(|(known, _)| *known != name);
    value.map(|value| (name, value)).into_iter().chain(rest).collect()
}

#[test]
fn a_sound_head_is_read() {
    let fields =
        get(&[("accept", "*/*"), ("priority", "u=1, i"), ("te", "trailers"), ("x-empty", "")]);
    let head = read(&fields).unwrap();
    assert_eq!(head.method, Method::GET);
    assert_eq!((&head.host[..], &head.target[..]), (&b"a.test"[..], &b"/a?b"[..]));
    assert_eq!((head.content_length, head.urgency, head.expects_continue), (None, 1, false));
    let names: Vec<_> = head.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"accept"[..], b"priority", b"te", b"x-empty"]);
}

#[test]
fn one_list_serves_many_heads() {
    let mut list = FieldList::default();
    let mut heads = Vec::new();
    for place in 0..100 {
        list.begin(&Limits::default());
        let path = format!("/{place}");
        let fields = changed(":path", Some(&path));
        fields.iter().for_each(|(name, value)| list.push(name.as_bytes(), value.as_bytes()));
        heads.push(list.request().unwrap());
    }
    for (place, head) in heads.iter().enumerate() {
        assert_eq!(head.target, format!("/{place}"));
        assert_eq!(head.host, "a.test");
    }
}

#[test]
fn cookie_crumbs_are_joined() {
    let head = read(&get(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2")])).unwrap();
    assert_eq!(head.fields.all("cookie").collect::<Vec<_>>(), [b"a=1; b=2"]);
    let head = read(&get(&[("cookie", ""), ("cookie", "a=1"), ("cookie", "")])).unwrap();
    assert_eq!(head.fields.all("cookie").collect::<Vec<_>>(), [b"a=1"], "no blank at its end");
}

#[test]
fn host_stands_in_for_authority() {
    let with_host = |fields: Vec<Pair<'static>>, host| [&fields[..], &[("host", host)]].concat();
    let head = read(&with_host(changed(":authority", None), "h.test:81")).unwrap();
    assert_eq!(head.host, "h.test:81");
    assert!(read(&with_host(get(&[]), "A.test")).is_ok(), "the same but for case");
}

#[test]
fn special_requests_are_read() {
    let mut options = changed(":path", Some("*"));
    options[1].1 = "OPTIONS";
    assert_eq!(options[1].0, ":method");
    assert_eq!(read(&options).unwrap().target, "*");
    let head = read(&get(&[("content-length", "5"), ("expect", "100-Continue")])).unwrap();
    assert_eq!((head.content_length, head.expects_continue), (Some(5), true));
    assert_eq!(read(&changed(":method", Some("BREW"))).unwrap().method.as_str(), "BREW");
    assert!(read(&get(&[("te", "Trailers")])).is_ok());
}

#[test]
fn malformed_heads_are_stream_errors() {
    let table: &[(&str, Vec<Pair<'_>>)] = &[
        ("no method", changed(":method", None)),
        ("no scheme", changed(":scheme", None)),
        ("empty scheme", changed(":scheme", Some(""))),
        ("no path", changed(":path", None)),
        ("empty path", changed(":path", Some(""))),
        ("relative path", changed(":path", Some("a"))),
        ("star of a GET", changed(":path", Some("*"))),
        ("blank in path", changed(":path", Some("/a b"))),
        ("fragment", changed(":path", Some("/a#b"))),
        ("method of two words", changed(":method", Some("GET /"))),
        ("no authority", changed(":authority", None)),
        ("empty authority", changed(":authority", Some(""))),
        ("user information", changed(":authority", Some("u@a.test"))),
        ("path in authority", changed(":authority", Some("a.test/x"))),
        ("host differs", get(&[("host", "b.test")])),
        ("host twice", get(&[("host", "a.test"), ("host", "a.test")])),
        ("pseudo twice", get(&[(":path", "/a")])),
        ("unknown pseudo", get(&[(":protocol", "websocket")])),
        ("response pseudo", get(&[(":status", "200")])),
        ("pseudo after field", [&GET[..3], &[("accept", "a"), (":path", "/")]].concat()),
        ("pseudo after cookie", [&GET[..3], &[("cookie", "a"), (":path", "/")]].concat()),
        ("upper case", get(&[("Accept", "a")])),
        ("empty name", get(&[("", "a")])),
        ("blank in name", get(&[("a b", "c")])),
        ("colon in name", get(&[("a:", "c")])),
        ("CR in value", get(&[("a", "b\rc")])),
        ("LF in value", get(&[("a", "b\nc")])),
        ("NUL in value", get(&[("a", "b\0c")])),
        ("leading blank", get(&[("a", " b")])),
        ("trailing tab", get(&[("a", "b\t")])),
        ("connection", get(&[("connection", "close")])),
        ("keep-alive", get(&[("keep-alive", "5")])),
        ("proxy-connection", get(&[("proxy-connection", "close")])),
        ("transfer-encoding", get(&[("transfer-encoding", "chunked")])),
        ("upgrade", get(&[("upgrade", "h2c")])),
        ("te", get(&[("te", "gzip")])),
        ("bad length", get(&[("content-length", "+5")])),
        ("empty length", get(&[("content-length", "")])),
        ("length too long", get(&[("content-length", "99999999999999999999")])),
        ("lengths that differ", get(&[("content-length", "1"), ("content-length", "2")])),
        ("lengths", get(&[("content-length", "5"), ("content-length", "5")])),
    ];
    for (why, fields) in table {
        assert!(matches!(read(fields), Err(Refusal::Malformed(_))), "{why}");
    }
}

#[test]
fn faults_get_a_response() {
    let limits = Limits { headers: 3, header_bytes: 400, url: 10, ..Limits::default() };
    let limits = Limits { request_body: 5, ..limits };
    let long = "x".repeat(200);
    let table: &[(u16, Vec<Pair<'_>>)] = &[
        (501, changed(":method", Some("CONNECT"))),
        (501, vec![(":method", "CONNECT"), (":authority", "a.test:1")]),
        (413, get(&[("content-length", "6")])),
        (417, get(&[("expect", "200-ok")])),
        (414, changed(":path", Some("/0123456789"))),
        (431, get(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])),
        (431, get(&[("a", &long)])),
        (431, get(&[("cookie", &long)])),
    ];
    for (status, fields) in table {
        match read_within(&limits, fields) {
            Err(Refusal::Fault(fault)) => assert_eq!(fault.status, *status),
            other => panic!("{status}: {other:?}"),
        }
    }
    assert!(read_within(&limits, &get(&[("content-length", "5")])).is_ok());
    let boundless = Limits { request_body: 0, ..Limits::default() };
    assert!(read_within(&boundless, &get(&[("content-length", "6")])).is_ok());
    let crumbs = vec![("cookie", "a"); 4];
    let generous = Limits { headers: 1, ..Limits::default() };
    assert!(read_within(&generous, &get(&crumbs)).is_ok(), "crumbs are one field");
}

#[test]
fn a_head_request_is_known_even_if_it_is_refused() {
    let mut list = FieldList::default();
    for (method, is_head) in [("HEAD", true), ("GET", false), ("head", false)] {
        list.begin(&Limits { headers: 0, ..Limits::default() });
        for (name, value) in changed(":method", Some(method)).iter().chain(&[("a", "1")]) {
            list.push(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(list.is_head(), is_head, "{method}");
        assert!(matches!(list.request(), Err(Refusal::Fault(_))));
        assert_eq!(list.is_head(), is_head, "{method}");
    }
}

#[test]
fn trailers_hold_no_pseudo_fields() {
    let trailers = |fields: &[Pair<'_>]| {
        let mut list = FieldList::default();
        list.begin(&Limits::default());
        fields.iter().for_each(|(name, value)| list.push(name.as_bytes(), value.as_bytes()));
        list.trailers()
    };
    let map = trailers(&[("x-sum", "1"), ("x-sum", "2")]).unwrap();
    assert_eq!(map.get_all("x-sum").iter().count(), 2);
    assert!(matches!(trailers(&[(":path", "/")]), Err(Refusal::Malformed(_))));
    assert!(matches!(trailers(&[("te", "x")]), Err(Refusal::Malformed(_))));
}
