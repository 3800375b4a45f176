//! Fuzz targets: what the control plane tells a node.

use super::wire::{Grant, Line};
use crate::object::PurgeCommand;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of what is followed.
pub(crate) const TARGETS: &[Target] = &[("grant", grant), ("log-line", line)];

fn line(bytes: &[u8]) {
    let read = Line::read(bytes);
    if bytes.trim_ascii().is_empty() {
        assert_eq!(read, Ok(Line::Alive));
    }
    match read {
        Ok(Line::Entry(entry)) => {
            assert_eq!(Line::read(entry.to_json().as_bytes()), Ok(Line::Entry(entry)));
        }
        Ok(Line::Matters(command)) => {
            let told = serde_json::json!({ "command": command.to_json() }).to_string();
            assert_eq!(Line::read(told.as_bytes()), Ok(Line::Matters(command)));
        }
        Ok(Line::Survey(survey)) => {
            if let Ok(commands) = survey.commands {
                assert!((1..=1000).contains(&commands.len()));
                let told: Vec<_> = commands.iter().map(PurgeCommand::to_json).collect();
                assert_eq!(PurgeCommand::list_from_json(&told), Ok(commands));
            }
        }
        Ok(_) => {}
        Err(why) => assert!(why.to_string().len() < 100),
    }
}

fn grant(bytes: &[u8]) {
    let Ok(Some((grant, _))) = Grant::read(bytes) else { return };
    let Grant { lease, head, log, hash, since } = grant;
    let told = serde_json::json!({ "data": {
        "granted": true,
        "lease_ms": u64::try_from(lease.as_millis()).expect("told as such"),
        "head": head,
        "log": log.to_string(),
        "head_hash": hash.to_string(),
        "since": since,
    }});
    let again = Grant::read(told.to_string().as_bytes()).expect("as told on");
    assert_eq!(again.map(|(grant, _)| grant), Some(grant));
}
