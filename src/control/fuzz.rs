//! Fuzz targets: what nodes, buckets, people and files tell the control plane.

use super::backup::{Backup, MAGIC, VERSION};
use super::fleet::{Heartbeat, registrations};
use super::hook::{Notice, purges};
use super::log;
use super::publish::versions::Versions;
use crate::config::control_plane::Hook;
use crate::object::PurgeCommand;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: [&[Target]; 2] = [OWN, log::fuzz::TARGETS];

const OWN: &[Target] = &[
    ("backup", backup),
    ("heartbeat", heartbeat),
    ("registrations", registered),
    ("s3-event", event),
    ("versions", versions),
];

/// A hook of every kind of key.
fn hook() -> Hook {
    Hook {
        name: "a".to_owned(),
        bucket: "b".to_owned(),
        prefix: "p/".to_owned(),
        urls: vec!["https://a.example/".to_owned(), "http://b.example/x/".to_owned()],
        index: "i".to_owned(),
        site: Some("s".to_owned()),
        soft: true,
    }
}

fn event(bytes: &[u8]) {
    let notice = match Notice::read(bytes) {
        Ok(notice) => notice,
        Err(fault) => return assert!(!fault.to_string().is_empty()),
    };
    match notice {
        Notice::Changes { objects, .. } => {
            let Ok((commands, others)) = purges(&hook(), &objects) else { return };
            assert!(others <= objects.len());
            for command in commands {
                let beginning = ["https://a.example/", "http://b.example/x/"];
                assert!(beginning.iter().any(|base| command.value.starts_with(base)));
                assert_eq!(PurgeCommand::from_json(&command.to_json()), Ok(command.clone()));
                let covers_one = command.target.kind() == "url" && command.site.is_some();
                assert!(covers_one && (command.is_exact() || !command.value.contains('*')));
            }
        }
        Notice::Unconfirmed { url } => {
            assert!(url.starts_with("https://sns.") && url.contains(".amazonaws.com"));
        }
        Notice::Nothing => {}
    }
}

fn heartbeat(bytes: &[u8]) {
    match Heartbeat::from_json(bytes) {
        Ok(beat) => {
            assert!([&beat.role, &beat.region, &beat.version].iter().all(|word| word.len() <= 64));
            assert!(beat.succeeds.len() <= 64 && beat.unmatched.len() <= 256);
            assert!(beat.unmatched.iter().all(|(first, last)| first <= last));
            assert!(beat.unmatched.windows(2).all(|pair| pair[0].1 < pair[1].0));
            assert!(beat.status.is_none_or(|status| status.len() <= 8 << 10));
        }
        Err(fault) => assert!(fault.to_string().contains(": expected ")),
    }
}

fn registered(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for line in text.lines() {
        let Ok(json) = serde_json::from_str(line) else { continue };
        let Some(node) = registrations::from_json(&json) else { continue };
        let told = registrations::to_json(&node);
        assert_eq!(registrations::from_json(&told), Some(node.clone()), "as told on");
        let file = registrations::encode(std::slice::from_ref(&node));
        assert_eq!(registrations::decode(&file), Some(vec![node]), "in a file");
    }
    assert_eq!(registrations::decode(text), None, "without its hash");
}

fn versions(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Some(read) = Versions::from_lines(text) else { return };
    let told = read.to_lines();
    assert_eq!(Versions::from_lines(&told), Some(read), "as told on");
}

/// What stands behind the first line of a backup.
fn backup(bytes: &[u8]) {
    let head = format!("{MAGIC}{VERSION} {}\n", blake3::hash(bytes).to_hex());
    let Ok(read) = Backup::decode(&[head.as_bytes(), bytes].concat()) else { return };
    let told = read.encode();
    assert_eq!(Backup::decode(told.as_bytes()), Ok(read), "as told on");
}
