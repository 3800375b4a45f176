//! Fuzz targets: purges as people and logs write them, and heads as the disk keeps them.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Entry, EntryHash, LogId, LogSequence, ObjectHead, PurgeCommand, PurgeTarget, PurgeUrl, SiteKey,
    Stored, TargetUri, UrlWildcard, tags_of,
};
use crate::message::field_lines;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: &[Target] = &[
    ("log-entry", entry),
    ("log-sequence", sequence),
    ("purge-command", command),
    ("purge-url", url),
    ("stored-head", head),
    ("target-uri", target_uri),
    ("tags", tags),
];

/// A purge in JSON, alone or in a list.
fn command(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else { return };
    let one = PurgeCommand::from_json(&json);
    if let Value::Array(list) = &json {
        let all = PurgeCommand::list_from_json(list);
        assert_eq!(
            all.is_ok(),
            (1..=1000).contains(&list.len()) && {
                list.iter().all(|json| PurgeCommand::from_json(json).is_ok())
            }
        );
    }
    match one {
        Ok(command) => {
            assert_eq!(PurgeCommand::from_json(&command.to_json()), Ok(command.clone()));
            check(&command);
        }
        Err(fault) => assert!(fault.to_string().len() < 4000, "what is quoted is cut: {fault}"),
    }
}

fn check(command: &PurgeCommand) {
    assert!(!command.value.is_empty() && command.value.len() <= 8192);
    match command.clone().asked() {
        Ok(asked) => {
            assert_eq!(asked.target, command.target, "another spelling of the same");
            assert_eq!(asked.clone().asked(), Ok(asked));
        }
        Err(_) => assert!(matches!(command.target, PurgeTarget::Prefix(_))),
    }
    match &command.target {
        PurgeTarget::Url(url) | PurgeTarget::Prefix(url) => check_url(url, false),
        PurgeTarget::Wildcard(url) => {
            assert!(command.value.contains('*') && !command.is_exact());
            check_url(url, true);
            let wildcard = UrlWildcard::new(url);
            assert_eq!(UrlWildcard::from_text(&wildcard.to_text()), wildcard, "in a journal");
            let (path, query) = url.split();
            let site = SiteKey::new("a");
            let target =
                TargetUri { site, host: &url.host, path: &path, query, query_as_sent: true };
            assert!(wildcard.matches(&target), "a star may stand for a star");
        }
        PurgeTarget::Tag => {
            let line = [("cache-tag", command.value.as_bytes())];
            assert!(tags_of(line.into_iter()).eq([command.value.as_bytes()]), "one tag");
        }
        PurgeTarget::Site => assert_eq!(command.site.as_ref(), Some(&command.value)),
    }
}

fn check_url(url: &PurgeUrl, stars: bool) {
    assert!(url.target.starts_with('/') && url.target.bytes().all(|b| b.is_ascii_graphic()));
    assert!(!url.host.is_empty() && !url.host.bytes().any(|byte| byte.is_ascii_uppercase()));
    assert!(stars || !url.host.contains('*'));
    assert!(url.exact || !url.target.contains('?'));
}

/// The first byte says how the URL is meant.
fn url(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(bytes) else { return };
    let stars = first & 1 == 1;
    let parse = |text: &str| match stars {
        true => PurgeUrl::wildcard(text),
        false => PurgeUrl::parse(text, first & 2 == 2),
    };
    let Ok(read) = parse(text) else { return };
    check_url(&read, stars);
    let told = format!("https://{}{}", read.host, read.target);
    assert_eq!(parse(&told), Ok(read), "as told on");
}

/// A line of a log.
fn entry(bytes: &[u8]) {
    let Ok(read) = Entry::from_json(bytes) else { return };
    assert!(read.first > 0 && read.last() >= read.first);
    let told = read.to_json();
    assert!(!told.contains('\n'));
    assert_eq!(Entry::from_json(told.as_bytes()), Ok(read.clone()), "as told on");
    let json: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(json.to_string(), told, "there is one way to write it");
    read.commands.iter().for_each(check);
}

fn sequence(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // There is one way to write each.
    if let Ok(read) = text.parse::<LogSequence>() {
        assert_eq!(read.to_string().parse(), Ok(read));
        let zeros = text.rsplit_once('/').map(|(_, number)| number.starts_with('0'));
        assert!(read.to_string() == text || zeros == Some(true), "{text}");
    }
    if let Ok(read) = text.parse::<LogId>() {
        assert_eq!(read.to_string(), text);
    }
    if let Ok(read) = text.parse::<EntryHash>() {
        assert_eq!(read.to_string(), text);
    }
}

/// What stands on disk before a body.
fn head(bytes: &[u8]) {
    let Some((head, slices)) = ObjectHead::decode(&Bytes::copy_from_slice(bytes)) else { return };
    assert!(slices.is_none_or(|slices| slices.size > 0));
    let own: usize = head.block().iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(own <= bytes.len(), "lines lie within");
    assert_eq!(head.tags().count(), head.tag_names().count());
    let stored = match slices {
        Some(slices) => Stored::sliced(&head, slices),
        None => Stored::new(&head, &[]),
    };
    let mut told = Vec::new();
    stored.encode_head(&mut told);
    let (again, same) = ObjectHead::decode(&Bytes::from(told)).expect("as told on");
    assert_eq!((again.freshness(), same), (head.freshness(), slices));
    assert_eq!((again.status, again.target()), (head.status, head.target()));
    assert!(again.block().iter().eq(head.block().iter()));
}

fn target_uri(bytes: &[u8]) {
    let Some(length) = TargetUri::len_in(bytes) else { return };
    assert!(length <= bytes.len());
    let Some(read) = TargetUri::decode(bytes) else { return };
    let mut told = Vec::new();
    read.encode(&mut told);
    assert_eq!((told.len(), told.len()), (length, read.encoded_len()));
    assert_eq!(TargetUri::decode(&told), Some(read), "as told on");
}

/// Lines as a response sends them.
fn tags(bytes: &[u8]) {
    let all: Vec<_> = tags_of(field_lines(bytes)).collect();
    assert!(all.iter().all(|tag| !tag.is_empty() && tag.trim_ascii() == *tag));
    let told = all.join(&b',');
    let line = [("cache-tag", &told[..])];
    let again: Vec<_> = tags_of(line.into_iter()).collect();
    assert!(bytes.contains(&b',') || again == all, "as told on");
}
