//! What shows the control plane that a process goes on where another ended: a file that each start
//! adds itself to, under a lock that is held as long as the process lives.
//!
//! ```text
//!  headland identity 1 <BLAKE3>
//!  00000000000000aa             was registered last, as far as is known
//!  0000000000000099             was before that
//!  00000000000000bb             began since, and may have been: its answer may be lost
//!  00000000000000cc             this process
//! ```
//!
//! It stands in the cache folder, which is locked, or at `control.identity_file`, with a lock
//! beside it. A process is in the file before its first heartbeat, and names all before it there as
//! those that it succeeds. When it is registered itself, only some before it stay: a control plane
//! that was restored from a backup knows one of those.
//!
//! Invariant: whoever is in the file has ended, but for the process that holds the lock. So a copy
//! of the file is to be used no more than a copy of the folder.

use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;

use crate::config::cache::Disk;
use crate::config::control::{Control, OnControlLoss};
use crate::durable::{Kept, Lock, beside, lock};
use crate::purge::Incarnation;

/// Name of the file in the cache folder.
pub(super) const NAME: &str = "identity";

pub(super) const TITLE: &str = "headland identity 1";

/// Processes that a file names. Beyond that those in the middle go: they could be missed only if
/// so many more had begun since without one answer.
const KNOWN_MAX: usize = 32;

/// Processes before the one that is registered that a file still names: so many restarts may lie
/// behind a backup of the control plane.
const PAST_MAX: usize = 15;

/// Why a node may not be who it would be.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another process is.
    #[error(
        "control.identity_file: {} is in use by another node: each needs its own", .0.display()
    )]
    InUse(PathBuf),
    /// It cannot be told whether another process is.
    #[error("control.identity_file: {} cannot be locked: {error}", path.display())]
    Lock {
        /// The file beside it.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// This process among those that go on with each other's file.
#[derive(Debug)]
pub(super) struct Identity {
    incarnation: Incarnation,
    /// None where nothing outlives the process.
    file: Option<Mutex<Kept>>,
    /// Held until it is dropped; the cache folder has its own.
    _lock: Option<Lock>,
}

impl Identity {
    /// The identity of a node that is so configured, and holds its cache folder. Nothing is noted
    /// yet.
    ///
    /// # Errors
    /// The file is another process's.
    pub(super) fn open(
        control: &Control,
        disk: Option<&Disk>,
        name: &str,
    ) -> Result<Self, IdentityError> {
        let own = fastrand::u64(..);
        let (file, lock) = match (&control.identity_file, disk) {
            (Some(path), _) => (Some(Kept::new(path.clone(), TITLE)), Some(lock_beside(path)?)),
            (None, Some(disk)) => (Some(Kept::new(disk.path.join(NAME), TITLE)), None),
            (None, None) => (None, None),
        };
        let succeeds = file.as_ref().map(known).unwrap_or_default();
        if file.is_none() && control.on_control_loss == OnControlLoss::Serve {
            tracing::warn!(
                "without cache.disk or control.identity_file a node that serves on cannot show \
                 that it was restarted: if it is killed, the next start is refused until an \
                 operator has struck it off (DELETE /v1/nodes/{name})",
            );
        }
        let incarnation = Incarnation { own, succeeds };
        Ok(Self { incarnation, file: file.map(Mutex::new), _lock: lock })
    }

    /// This process, and those that it succeeds.
    pub(super) fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// Notes that this process begins, before it says so to anybody. What cannot be noted is a
    /// process that none succeeds.
    pub(super) fn begin(&self) {
        let Incarnation { own, succeeds } = &self.incarnation;
        let mut known = succeeds.clone();
        if known.len() >= KNOWN_MAX {
            known.drain(1..=known.len() + 1 - KNOWN_MAX);
        }
        known.push(*own);
        self.note(&known);
    }

    /// Notes that this process is registered: none before it is.
    pub(super) fn registered(&self) {
        let Incarnation { own, succeeds } = &self.incarnation;
        let past = succeeds.iter().take(PAST_MAX);
        self.note(&std::iter::once(own).chain(past).copied().collect::<Vec<_>>());
    }

    fn note(&self, known: &[u64]) {
        let Some(file) = &self.file else { return };
        let file = file.lock();
        let lines: String = known.iter().map(|known| format!("{known:016x}\n")).collect();
        if let Err(error) = file.write(&lines) {
            tracing::error!(
                path = %file.path().display(), %error,
                "the identity of this node cannot be noted: its next start may be refused",
            );
        }
    }
}

/// Who began before, the first of whom was registered, as far as is known.
fn known(file: &Kept) -> Vec<u64> {
    let read = file.read().and_then(|lines| {
        let known = lines.unwrap_or_default();
        let known = known.lines().map(|line| u64::from_str_radix(line, 16));
        known.collect::<Result<_, _>>().map_err(|error| io::Error::other(error.to_string()))
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(
            path = %file.path().display(), %error,
            "the identity of this node is lost: it is another for the control plane",
        );
        Vec::new()
    })
}

/// Locks a file beside the one at `path`, which is replaced again and again.
fn lock_beside(path: &std::path::Path) -> Result<Lock, IdentityError> {
    let beside = beside(path, "lock");
    match lock(&beside) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(IdentityError::InUse(path.to_owned())),
        Err(error) => Err(IdentityError::Lock { path: beside, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &tempfile::TempDir) -> Control {
        Control { identity_file: Some(folder.path().join("it")), ..Control::default() }
    }

    fn open(control: &Control) -> Identity {
        Identity::open(control, None, "fra-1").unwrap()
    }

    fn succeeds(identity: &Identity) -> &[u64] {
        &identity.incarnation().succeeds
    }

    #[test]
    fn each_process_succeeds_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let control = at(&folder);
        let begin = || {
            let identity = open(&control);
            identity.begin();
            identity.incarnation().clone()
        };
        let first = begin();
        assert!(first.succeeds.is_empty());
        let second = begin();
        assert_eq!(second.succeeds, [first.own]);
        // Killed before it was in the file: nobody has heard of it.
        drop(open(&control));
        let third = open(&control);
        assert_eq!(succeeds(&third), [first.own, second.own]);
        third.begin();
        third.registered();
        let own = third.incarnation().own;
        drop(third);
        let third = own;
        assert_eq!(begin().succeeds, [third, first.own, second.own]);
        for _ in 0..KNOWN_MAX {
            begin();
        }
        let many = begin();
        assert_eq!((many.succeeds.len(), many.succeeds[0]), (KNOWN_MAX, third));
        let last = *many.succeeds.last().unwrap();
        let lines = std::fs::read_to_string(folder.path().join("it")).unwrap();
        assert!(lines.ends_with(&format!("{last:016x}\n{:016x}\n", many.own)));
        for _ in 0..2 {
            open(&control).registered();
        }
        let registered = open(&control);
        let known = succeeds(&registered);
        assert_eq!((known.len(), known[2]), (1 + PAST_MAX, third), "the last ones come first");
    }

    #[test]
    fn one_process_at_a_time_holds_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let control = at(&folder);
        let _held = open(&control);
        let error = Identity::open(&control, None, "fra-1").unwrap_err();
        assert!(error.to_string().ends_with("/it is in use by another node: each needs its own"));
    }

    #[test]
    fn what_is_lost_or_cannot_be_written_makes_another_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let control = at(&folder);
        open(&control).begin();
        std::fs::write(folder.path().join("it"), "headland identity 1 x\n").unwrap();
        assert!(succeeds(&open(&control)).is_empty());
        std::fs::create_dir(folder.path().join("it.new")).unwrap();
        open(&control).begin();
        assert!(succeeds(&open(&control)).is_empty());
    }

    #[test]
    fn nothing_to_keep_it_in_is_no_fault() {
        let identity = open(&Control::default());
        identity.begin();
        identity.registered();
        assert!(succeeds(&identity).is_empty());
    }
}
