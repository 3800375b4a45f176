//! Fuzz targets: the three files of a config, and the values that stand in them.

use std::path::Path;

use super::address::{Endpoint, HostPattern, Network};
use super::control_plane::ControlPlane;
use super::fault::Report;
use super::moment::Moment;
use super::pattern::Pattern;
use super::published::Published;
use super::secret::{TokenHash, base64url};
use super::site::Statuses;
use super::units::{ByteSize, Rate, parse_duration, show_duration};
use super::{Config, Key};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: &[Target] = &[
    ("config-address", address),
    ("config-control", control_plane),
    ("config-node", node),
    ("config-pattern", pattern),
    ("config-published", published),
    ("config-quantity", quantity),
    ("config-secret", secret),
];

/// Variables that a text may name: `${X}`, as long as it is short.
fn environment(name: &str) -> Option<String> {
    (name.len() < 4).then(|| format!("\"{name}"))
}

/// Faults have a place in the text, and say something.
fn check_report(text: &str, report: &Report) {
    assert!(!report.is_clean());
    let lines = text.split('\n').count();
    for fault in &report.faults {
        assert_eq!(fault.file, "f");
        assert!(fault.place.line <= lines, "{fault}");
        let line = fault.place.line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
        let columns = line.map_or(0, |line| line.chars().count());
        assert!(fault.place.column <= columns + 1, "{fault}");
        assert!(!fault.wrong.is_empty());
        assert!(fault.to_string().len() < 4000, "what is quoted is cut");
    }
    assert!(report.faults.is_sorted_by_key(|fault| fault.place));
}

fn node(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Config::parse(text, "f", Path::new("/"), &environment) {
        Ok(config) => {
            assert!(config.cache.max_object <= config.cache.memory);
            assert!(!config.listen.http3 || !config.listen.https.is_empty());
            for key in Config::keys().iter().map(|key: &Key| &key.path) {
                let _place = config.source.place(key);
            }
        }
        Err(report) => check_report(text, &report),
    }
}

fn control_plane(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(report) = ControlPlane::parse(text, "f", Path::new("/"), &environment) {
        check_report(text, &report);
    }
}

fn published(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let read = Published::parse(text, "f", &environment);
    match Published::check(text, "f") {
        Ok(_) => {}
        // What is wrong on any node is wrong on this one.
        Err(report) => {
            check_report(text, &report);
            assert!(read.is_err());
        }
    }
    if let Err(report) = read {
        check_report(text, &report);
    }
}

/// A value, written as it prints, is the same value.
fn comes_back<T: PartialEq + std::fmt::Debug>(
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
    show: impl Fn(&T) -> String,
) {
    let Some(value) = parse(text) else { return };
    let shown = show(&value);
    assert_eq!(parse(&shown), Some(value), "{text:?} prints as {shown:?}");
}

fn quantity(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    comes_back(text, |text| text.parse::<ByteSize>().ok(), ToString::to_string);
    comes_back(text, |text| text.parse::<Rate>().ok(), ToString::to_string);
    comes_back(text, parse_duration, |duration| show_duration(*duration));
    comes_back(text, Moment::parse, ToString::to_string);
    comes_back(text, Statuses::parse, ToString::to_string);
    if let Some(statuses) = Statuses::parse(text) {
        assert_eq!(statuses.to_string(), text, "written in one way");
    }
}

fn address(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    comes_back(text, HostPattern::parse, ToString::to_string);
    comes_back(text, Endpoint::parse, ToString::to_string);
    comes_back(text, Network::parse, ToString::to_string);
    if let Some(network) = Network::parse(text) {
        let prefix = text.split_once('/').map(|(_, prefix)| prefix);
        assert!(prefix.is_none_or(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit())));
        assert!(network.prefix <= if network.address.is_ipv4() { 32 } else { 128 });
    }
    if let Some(HostPattern::Exact(host) | HostPattern::Below(host)) = HostPattern::parse(text) {
        assert_eq!(host, host.to_ascii_lowercase());
        assert!((1..=253).contains(&host.len()));
    }
}

/// Two lines: a pattern and a text.
fn pattern(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (pattern, text) = text.split_once('\n').unwrap_or(("*", text));
    if pattern.len() > 64 || text.len() > 256 {
        return;
    }
    let (pattern, parts) = (Pattern::new(pattern), pattern.split('*').collect::<Vec<_>>());
    // Each part as far to the left as it goes, from the first character on, and the last at the
    // end.
    let mut from = Some(0);
    for (at, part) in parts.iter().enumerate() {
        from = from.and_then(|from| {
            let found = match (at, at + 1 == parts.len()) {
                (0, true) => (text == *part).then_some(0),
                (0, false) => text.starts_with(part).then_some(0),
                (_, true) => {
                    let end = text.len().checked_sub(part.len()).filter(|end| *end >= from);
                    end.filter(|_| text.ends_with(part))
                }
                _ => text[from..].find(part).map(|found| from + found),
            };
            found.map(|found| found + part.len())
        });
    }
    assert_eq!(pattern.matches(text), from.is_some(), "{pattern} {text:?}");
}

fn secret(bytes: &[u8]) {
    let coded = base64url(bytes);
    assert_eq!(coded.len(), (bytes.len() * 8).div_ceil(6));
    assert!(coded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Some(hash) = TokenHash::parse(text) else { return };
    assert_eq!(hash.to_string(), text.to_ascii_lowercase());
}
