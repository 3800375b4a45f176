//! Fuzz targets: signatures of URLs, and pages of other origins.

use std::net::IpAddr;

use http::{HeaderName, Method};

use super::cors::CorsRules;
use super::signed_urls::Parameters;
use super::{Access, Asked};
use crate::config::address::OriginPattern;
use crate::config::site::cors::Cors;
use crate::message::{Extra, Fields};
use crate::semantics::time::Timestamp;

/// A query.
pub(in crate::site) fn signed_url(bytes: &[u8]) {
    let Ok(query) = str::from_utf8(bytes) else { return };
    let read = Parameters::read(query);
    let backwards = query.split('&').rev().collect::<Vec<_>>().join("&");
    assert!(Parameters::read(&backwards) == read, "in any order");
    let beside = format!("a=b&{query}&hl_other=1&HL_KEY=1");
    assert!(Parameters::read(&beside) == read, "beside what is others'");
    let Ok(Some(found)) = &read else { return };
    let twice = format!("{query}&hl_signature={}", found.signature);
    assert!(Parameters::read(&twice).is_err(), "each once");
    let key = found.key.map(|key| format!("&hl_key={key}")).unwrap_or_default();
    let prefix = found.prefix.map(|length| format!("&hl_prefix={length}")).unwrap_or_default();
    let ip = if found.ip { "&hl_ip" } else { "" };
    let (expires, signature) = (found.expires, found.signature);
    let told = format!("hl_expires={expires}{ip}{key}{prefix}&hl_signature={signature}");
    assert!(Parameters::read(&told) == read, "as told on");
}

/// A page's origin; then what it wants to send, by lines.
pub(in crate::site) fn cors(bytes: &[u8]) {
    // The engines let no other bytes through.
    let is_line = |byte: &u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~' | 0x80..);
    if !bytes.iter().all(is_line) {
        return;
    }
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let origin = lines.next().unwrap_or_default();
    let wanted: Vec<_> = lines.collect();
    let known = ["https://app.example", "https://*.shop.example"];
    let rules = CorsRules::new(&Cors {
        origins: known.iter().filter_map(|origin| OriginPattern::parse(origin)).collect(),
        headers: vec![HeaderName::from_static("*")],
        credentials: true,
        ..Cors::default()
    });
    let rules = rules.expect("origins are set");
    let asks = [(&b"origin"[..], origin), (b"access-control-request-method", b"PUT")];
    let headers = wanted.iter().map(|line| (&b"access-control-request-headers"[..], *line));
    let fields: Fields = asks.into_iter().chain(headers).collect();
    let may = match rules.judge(&Asked {
        method: &Method::OPTIONS,
        is_secure: true,
        host: "a",
        port: None,
        path: "/",
        query: None,
        fields: &fields,
        client: IpAddr::from([192, 0, 2, 1]),
        now: Timestamp::default(),
    }) {
        Some(Access::Answer(canned)) => {
            let told = canned.block.iter().filter(|(name, _)| name.ends_with("allow-headers"));
            assert!(told.map(|(_, value)| value).eq(wanted), "each line by itself");
            true
        }
        Some(Access::Refuse(_)) => false,
        _ => panic!("a preflight is answered or refused"),
    };
    let mut own = Extra::new();
    rules.push_own(&fields, &mut own);
    assert_eq!(may, !own.is_empty(), "a page that may ask may read");
    let is_known = origin == b"https://app.example"
        || origin.starts_with(b"https://") && origin.ends_with(b".shop.example");
    assert!(is_known || !may);
}
