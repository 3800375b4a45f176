//! The registrations on disk: a node's is there before it gets a lease.
//!
//! ```text
//!  headland fleet 1 <BLAKE3 of the lines below>
//!  {"incarnation":"16 hex","lease_ms":10000,"name":"fra-1","serves_on":true}
//!  …
//! ```
//!
//! The whole file is replaced. One that is not as it was written stops the start: nodes that serve
//! on, of which nobody would know, could serve what a completed purge covers.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::Registration;
use crate::durable::{Kept, sealed, unsealed};

/// Name of the file in the folder of the control plane.
const NAME: &str = "nodes";

const TITLE: &str = "headland fleet 1";

/// The registrations cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationsError {
    /// The file system's.
    #[error("the registrations {} cannot be {act}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        act: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is not as it was written.
    #[error(
        "the registrations {} are damaged; take them from a backup, or remove the file once no \
         node runs that serves on without the control plane: no purge completes within one \
         fleet.lease then, which is to be as long as it was", .0.display()
    )]
    Damaged(PathBuf),
}

/// What is registered in a folder; `None` where no file is. Blocks.
///
/// # Errors
/// The file is damaged, or cannot be read.
pub fn read(folder: &Path) -> Result<Option<Vec<Registration>>, RegistrationsError> {
    let file = file(folder);
    let damaged = || RegistrationsError::Damaged(file.path().to_owned());
    match file.read() {
        Ok(None) => Ok(None),
        Ok(Some(lines)) => from_lines(&lines).map(Some).ok_or_else(damaged),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(damaged()),
        Err(error) => Err(failed(&file, "read", error)),
    }
}

/// Makes registrations durable. Blocks.
///
/// # Errors
/// The file system's; what was written before is there then.
pub fn write(folder: &Path, nodes: &[Registration]) -> Result<(), RegistrationsError> {
    let file = file(folder);
    file.write(&to_lines(nodes)).map_err(|error| failed(&file, "written", error))
}

fn file(folder: &Path) -> Kept {
    Kept::new(folder.join(NAME), TITLE)
}

fn failed(file: &Kept, act: &'static str, source: io::Error) -> RegistrationsError {
    RegistrationsError::Io { path: file.path().to_owned(), act, source }
}

/// The text of a file of these nodes.
pub(in crate::control) fn encode(nodes: &[Registration]) -> String {
    sealed(TITLE, &to_lines(nodes))
}

/// The nodes of a file; `None` if it is damaged.
pub(in crate::control) fn decode(text: &str) -> Option<Vec<Registration>> {
    from_lines(unsealed(TITLE, text)?)
}

fn to_lines(nodes: &[Registration]) -> String {
    nodes.iter().map(|node| format!("{}\n", to_json(node))).collect()
}

fn from_lines(lines: &str) -> Option<Vec<Registration>> {
    lines.lines().map(|line| from_json(&serde_json::from_str(line).ok()?)).collect()
}

/// One node.
pub(in crate::control) fn to_json(node: &Registration) -> Value {
    let Registration { name, incarnation, serves_on, lease } = node;
    json!({
        "name": **name, "incarnation": format!("{incarnation:016x}"), "serves_on": serves_on,
        "lease_ms": lease.as_millis() as u64,
    })
}

/// What [`to_json`] writes.
pub(in crate::control) fn from_json(json: &Value) -> Option<Registration> {
    Some(Registration {
        name: json["name"].as_str()?.into(),
        incarnation: u64::from_str_radix(json["incarnation"].as_str()?, 16).ok()?,
        serves_on: json["serves_on"].as_bool()?,
        // Not in files of before it was written.
        lease: Duration::from_millis(json["lease_ms"].as_u64().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn node(name: &str, serves_on: bool) -> Registration {
        let lease = Duration::from_millis(300);
        Registration { name: name.into(), incarnation: 0xab, serves_on, lease }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        for nodes in
            [vec![node("fra-1", true), node("a.\"b", false)], vec![node("x", true)], vec![]]
        {
            write(folder.path(), &nodes).unwrap();
            assert_eq!(read(folder.path()).unwrap(), Some(nodes));
        }
        write(folder.path(), &[node("fra-1", true)]).unwrap();
        let path = folder.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut hit = whole.clone();
            hit[at] ^= 1;
            fs::write(&path, &hit).unwrap();
            assert!(matches!(read(folder.path()), Err(RegistrationsError::Damaged(_))), "{at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(read(folder.path()), Err(RegistrationsError::Damaged(_))), "{at}");
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[node("a", true)]).unwrap();
        fs::create_dir(folder.path().join("nodes.new")).unwrap();
        let error = write(folder.path(), &[node("b", true)]).unwrap_err().to_string();
        assert!(error.ends_with("cannot be written: Is a directory (os error 21)"), "{error}");
        assert_eq!(read(folder.path()).unwrap(), Some(vec![node("a", true)]));
    }
}
