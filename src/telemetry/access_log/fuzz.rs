//! Fuzz target: what clients send, as it stands in a line.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::line::write;
use super::time::Clock;
use super::{Entry, Format};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The target of this room.
pub(crate) const TARGETS: &[Target] = &[("access-log", line)];

/// Lines of the input are the fields; eight bytes are the time.
fn line(bytes: &[u8]) {
    let Some((millis, rest)) = bytes.split_first_chunk() else { return };
    // The log is of four-digit years.
    let unix_millis = u64::from_le_bytes(*millis) % 253_402_300_800_000;
    let fields: Vec<_> = rest.split(|&byte| byte == 0).collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let entry = Entry {
        unix_millis,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: field(0),
        scheme: "https",
        host: field(1),
        target: field(2),
        protocol: "HTTP/2",
        status: 200,
        bytes: unix_millis,
        duration: Duration::from_micros(1),
        ttfb: None,
        result: "hit",
        reason: "fresh",
        site: "s",
        origin_status: None,
        range: fields.get(3).copied(),
        referer: fields.get(4).copied(),
        user_agent: fields.get(5).copied(),
        trace_id: None,
    };
    let written = |format| {
        let mut line = b"before".to_vec();
        write(&mut line, &mut Clock::new(), format, &entry);
        let line = line.strip_prefix(b"before").expect("appended").to_vec();
        let (newline, line) = line.split_last().expect("a line");
        assert!(*newline == b'\n' && !line.contains(&b'\n'), "one line");
        line.to_vec()
    };
    let json: serde_json::Value = serde_json::from_slice(&written(Format::Json)).expect("JSON");
    let same = |name: &str, value: &[u8]| {
        if let (Ok(text), true) = (str::from_utf8(value), value.len() <= 8192) {
            assert_eq!(json[name], *text);
        }
    };
    same("method", entry.method);
    same("host", entry.host);
    same("target", entry.target);
    entry.referer.into_iter().for_each(|referer| same("referer", referer));
    entry.user_agent.into_iter().for_each(|agent| same("user_agent", agent));
    assert_eq!(json["bytes"], unix_millis);

    for (format, quotes) in [(Format::Common, 2), (Format::Combined, 6)] {
        let line = written(format);
        assert!(line.iter().all(|byte| (0x20..0x7f).contains(byte)), "printable ASCII alone");
        let mut escaped = false;
        let bare = line.iter().filter(|&&byte| {
            let is_bare = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_bare
        });
        assert_eq!(bare.count(), quotes, "no field ends another");
    }
}
