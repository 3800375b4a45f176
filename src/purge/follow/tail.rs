//! The log as it comes: entries applied as they arrive, many at a time where many have gathered.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::Method;
use tokio::time::sleep;

use super::wire::Line;
use super::{ANSWER_MAX, FollowError, Follower, backoff, read};
use crate::message::{Body, Piece};
use crate::object::{Entry, Position, PurgeCommand};

/// Between two attempts at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the lines so far have said.
#[derive(Default)]
struct Gathered {
    entries: Vec<Entry>,
    /// The position behind the entries.
    position: Option<Position>,
    /// Purges of a snapshot, as long as it comes.
    snapshot: Option<Vec<PurgeCommand>>,
}

impl Follower {
    /// Follows the log, again and again.
    pub(super) async fn tail(&self) {
        let mut failures = 0;
        loop {
            let before = self.parts.purger.standing().position;
            let Err(error) = self.tail_once().await else { continue };
            if self.parts.purger.standing().position != before {
                failures = 0;
            }
            if failures == 0 {
                tracing::warn!("the purge log is not followed: {error}");
            }
            failures += 1;
            sleep(backoff(failures, PAUSE_MAX)).await;
        }
    }

    /// Follows the log from where the node stands until that breaks off.
    async fn tail_once(&self) -> Result<(), FollowError> {
        let position = self.parts.purger.standing().position;
        let target = match position {
            None => "/v1/log".to_owned(),
            Some(Position { log, number, hash }) => {
                format!("/v1/log?log={log}&after={number}&hash={hash}")
            }
        };
        let response = self.ask(Method::GET, target, None).await?;
        if !response.status.is_success() {
            return read(response).await.map(drop);
        }
        let mut body = response.body;
        let mut buffer = BytesMut::new();
        let mut gathered = Gathered { position, ..Gathered::default() };
        while more(&mut body, &mut buffer).await? {
            while let Some(end) = memchr::memchr(b'\n', &buffer) {
                let line = Line::read(&buffer[..end])?;
                buffer.advance(end + 1);
                self.take(line, &mut gathered).await?;
            }
            self.apply_gathered(&mut gathered).await?;
        }
        Err(FollowError::Ended)
    }

    async fn take(&self, line: Line, gathered: &mut Gathered) -> Result<(), FollowError> {
        match line {
            Line::Alive | Line::Resumes => {}
            Line::Survey(survey) => self.surveys.take(survey),
            Line::Foreign(position) => {
                self.distrust(position).await?;
                *gathered = Gathered { position: Some(position), ..Gathered::default() };
            }
            Line::Snapshot => gathered.snapshot = Some(Vec::new()),
            Line::Matters(command) => gathered.snapshot.get_or_insert_default().push(command),
            Line::Behind(position) => {
                if gathered.position.is_none_or(|at| at.log != position.log) {
                    return self.lost().await;
                }
                // What is stored may be covered by any of the purges that still matter.
                let commands = gathered.snapshot.take().unwrap_or_default();
                self.apply(&commands.iter().collect::<Vec<_>>(), position, |_| ()).await?;
                gathered.position = Some(position);
            }
            Line::Entry(entry) => match gathered.position.and_then(|at| at.then(&entry)) {
                Some(position) => {
                    gathered.entries.push(entry);
                    gathered.position = Some(position);
                }
                None => return self.lost().await,
            },
        }
        Ok(())
    }

    /// Applies the entries that have gathered.
    async fn apply_gathered(&self, gathered: &mut Gathered) -> Result<(), FollowError> {
        let entries = std::mem::take(&mut gathered.entries);
        match gathered.position.filter(|_| !entries.is_empty()) {
            Some(position) => {
                let commands: Vec<_> = entries.iter().flat_map(|entry| &entry.commands).collect();
                self.apply(&commands, position, |named| self.note_nowhere(&entries, named)).await
            }
            None => Ok(()),
        }
    }

    /// Notes which purges name nothing here: before they are acknowledged.
    fn note_nowhere(&self, entries: &[Entry], named: &[bool]) {
        let mut nowhere = self.nowhere.lock();
        let numbers = entries.iter().flat_map(|entry| entry.first..=entry.last());
        for (number, _) in numbers.zip(named).filter(|(_, is_named)| !**is_named) {
            nowhere.note(number);
        }
    }

    async fn apply(
        &self,
        commands: &[&PurgeCommand],
        position: Position,
        told: impl FnOnce(&[bool]),
    ) -> Result<(), FollowError> {
        let _moving = self.moving.lock().await;
        let serves = self.lease.lock().serves();
        let since = (self.parts.uptime)();
        let applied = self.parts.purger.apply(commands, position, serves, told).await;
        applied.map_err(FollowError::Journal)?;
        *self.applied_in.lock() = Some((self.parts.uptime)().saturating_sub(since));
        self.moved().await
    }

    async fn distrust(&self, position: Position) -> Result<(), FollowError> {
        let log = position.log;
        tracing::warn!(%log, "another purge log: what is stored is validated before it is served");
        let _moving = self.moving.lock().await;
        let serves = self.lease.lock().serves();
        // Before the position is another's, whose purges have these numbers as well.
        self.nowhere.lock().clear();
        let distrusted = self.parts.purger.distrust(position, serves).await;
        distrusted.map_err(FollowError::Journal)?;
        self.moved().await
    }

    /// An entry that is not the next: what was followed is not the log any more. The next attempt
    /// shows a position that no log has.
    async fn lost(&self) -> Result<(), FollowError> {
        let _moving = self.moving.lock().await;
        self.parts.purger.forget_position();
        Err(FollowError::Ended)
    }

    async fn moved(&self) -> Result<(), FollowError> {
        self.note_serving().await?;
        self.settle();
        Ok(())
    }
}

/// Waits for more of the body; false at its end.
async fn more(body: &mut Body, buffer: &mut BytesMut) -> Result<bool, FollowError> {
    while let Some(piece) = body.next().await {
        if let Piece::Data(bytes) = piece? {
            if buffer.len() + bytes.len() > ANSWER_MAX {
                return Err(FollowError::TooLong);
            }
            buffer.extend_from_slice(&bytes);
            return Ok(true);
        }
    }
    Ok(false)
}
