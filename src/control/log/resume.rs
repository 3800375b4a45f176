//! What a node is told that shows how far it has come.

use super::{LogError, PurgeLog, Snapshot};
use crate::object::Position;

/// How a node goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// With the entries behind its position.
    Entries,
    /// With every purge that still matters, and the entries behind those.
    Snapshot(Snapshot),
    /// From this position on, with everything it has stored possibly purged: its log, its hash or
    /// its position is none of this log's.
    Foreign(Position),
}

/// How a node that shows `position`, or none, goes on.
///
/// # Errors
/// The log's.
pub async fn resume(log: &dyn PurgeLog, position: Option<Position>) -> Result<Resume, LogError> {
    let head = *log.head().borrow();
    let Some(position) = position.filter(|shown| shown.log == head.log) else {
        return Ok(Resume::Foreign(head));
    };
    // A log that does not go as far as the node lost what it had acknowledged.
    if position.number > head.number || log.hash_at(position.number).await? != Some(position.hash) {
        return Ok(Resume::Foreign(head));
    }
    match log.read(position.number, 1).await? {
        Some(_) => Ok(Resume::Entries),
        None => log.snapshot().await.map(Resume::Snapshot),
    }
}
