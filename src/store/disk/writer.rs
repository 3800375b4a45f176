//! The one thread that writes: takes what was offered from a bounded queue, and appends it.
//!
//! ```text
//!  offer ─► queue ─► admit ─ same body stored? ─┬─ no ──► head and body ─┐
//!                                               └─ yes ─► head alone ────┴─► pwritev ─► publish
//! ```
//!
//! A response never waits for it: what finds the queue full is not stored. A record is published
//! after its write has returned. Removals are written as well, lest a restart bring back what was
//! removed; they are small, at most one for each key that was stored, and never dropped.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::admission::Admission;
use super::format::{Content, Kind, content_tag, tag_of};
use super::index::Ticket;
use super::location::Location;
use super::log::{Log, Record, WriteError};
use super::queue::{Job, Offer};
use super::segment::path_of;
use super::{Opened, Shared, recency, recover};
use crate::message::losses::Mark;
use crate::object::{CacheKey, Stored};

/// How long what was written may be in the page cache alone.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// The first and the longest wait before a disk that failed is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The writer's thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    pub(super) log: Log,
    admission: Admission,
    checkpoint: Duration,
    due: Due,
    /// What was noted last of what was used, and whether the last attempt failed.
    noted: Option<blake3::Hash>,
    is_unnoted: bool,
}

/// When what is done now and then is to be done next.
struct Due {
    sync: Option<Instant>,
    checkpoint: Instant,
    retry: Option<(Instant, Duration)>,
}

impl Writer {
    /// Recovers what the directory holds.
    pub(super) fn recover(opened: Opened) -> Self {
        let Opened { shared, directory, superblock, ids, checkpoint, keep, aside } = opened;
        let folder = directory.path().to_owned();
        let tell = |what: &str, id| {
            let path = path_of(&folder, id);
            tracing::warn!(path = %path.display(), what, "a segment is given up");
        };
        let found = recover::recover(&shared, &directory, &superblock, &ids, tell);
        let mut admission = Admission::new();
        shared.index.each(|tag, _| {
            admission.offered(tag);
        });
        let used = recency::load(&directory.recency());
        if used.is_none() {
            shared.health.error();
            let path = directory.recency();
            tracing::warn!(path = %path.display(), "what was used of late is not known: damaged");
        }
        used.into_iter().flatten().for_each(|tag| shared.index.use_again(tag));
        shared.index.recovered();
        tracing::info!(objects = shared.index.objects(), "the disk tier is recovered");
        let now = Instant::now();
        let retry = aside.is_some().then(|| (now + RETRY.0, RETRY.0));
        let due = Due { sync: None, checkpoint: now + checkpoint, retry };
        if let Some(why) = aside {
            shared.health.step_aside(why);
        }
        let log = Log::new(shared.clone(), (directory, superblock), keep, found);
        Self { shared, log, admission, checkpoint, due, noted: None, is_unnoted: false }
    }

    /// Writes until told to stop.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        self.work(jobs);
        self.close();
    }

    fn work(&mut self, jobs: &Receiver<Job>) {
        loop {
            let next = self.due.next();
            match jobs.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(job) => self.perform(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.keep_up(Instant::now());
        }
    }

    pub(super) fn perform(&mut self, job: Job) {
        self.log.release_displaced();
        self.settle();
        match job {
            Job::Store { key, ticket, lingers, what } => {
                self.store(key, ticket, lingers, &what);
                self.shared.written(what.bytes());
            }
            Job::Remove { key } => {
                self.log.owed.push_back(key);
                self.settle();
            }
            Job::Flush(done) => {
                // Whoever asked may have left.
                let _left = done.send(()).is_err();
            }
            Job::Tell(done) => {
                let _left = done.send(()).is_err();
            }
            // Done above, as before every job.
            Job::Release | Job::Stop => {}
        }
    }

    /// What is due by the clock.
    pub(super) fn keep_up(&mut self, now: Instant) {
        if self.due.sync.is_some_and(|at| at <= now) {
            self.sync();
        }
        if self.due.checkpoint <= now {
            self.look_around();
            self.save_recency();
            self.due.checkpoint = now + self.checkpoint;
        }
        if let Some((_, waited)) = self.due.retry.filter(|(at, _)| *at <= now) {
            self.retry(now, waited);
        }
    }

    fn store(&mut self, key: CacheKey, ticket: Ticket, lingers: bool, what: &Offer) {
        let tag = tag_of(key);
        let is_known = self.admission.offered(tag);
        if !self.shared.index.is_newest(tag, ticket) {
            // Jobs of two threads may come in another order than their tickets. Written now, this
            // record would be the newest after a restart.
            return;
        }
        let admitted =
            self.due.retry.is_none() && !self.shared.is_late() && (is_known || !self.log.is_full());
        let outcome = match what {
            _ if !admitted => Err(WriteError::Refused),
            Offer::Response(stored) => self.store_response(key, ticket, stored),
            Offer::Varies(head) => {
                let record = Record { kind: Kind::Varies, key, head, ..Record::default() };
                self.log.prepare(&record).and_then(|()| self.append(&record)).map(|location| {
                    self.shared.index.publish(tag, ticket, location.verified());
                })
            }
        };
        if let Err(error) = outcome {
            self.shared.index.withdraw(tag, ticket);
            self.failed(error);
            if lingers {
                self.log.owed.push_back(key);
            }
            self.settle();
        }
    }

    fn store_response(
        &mut self,
        key: CacheKey,
        ticket: Ticket,
        stored: &Stored,
    ) -> Result<(), WriteError> {
        let mut head = Vec::new();
        stored.encode_head(&mut head);
        let pieces: Vec<Bytes> = stored.pieces(0, stored.len()).collect();
        // The body may stand in a segment, of which a page may be lost while it is read.
        let mark = Mark::now();
        let content = hash(&pieces);
        if !mark.holds() {
            return Err(WriteError::Refused);
        }
        if stored.digest().is_some_and(|digest| *digest != content) {
            // Stored anew, it would be taken for sound.
            self.shared.health.error();
            tracing::warn!("a body that stands on disk is damaged, and not stored anew");
            return Err(WriteError::Refused);
        }
        let tag = content_tag(&content);
        let length = stored.len();
        let whole =
            Record { kind: Kind::Response, key, content, length, head: &head, body: Some(&pieces) };
        let mut record = whole;
        if length > 0 && self.is_stored(tag, &content, length) {
            record = Record { kind: Kind::Reference, body: None, ..whole };
        }
        self.log.prepare(&record)?;
        if record.kind == Kind::Reference && self.shared.index.peek(tag).is_none() {
            // The body was in the segment that made way.
            record = whole;
            self.log.prepare(&record)?;
        }
        let location = self.append(&record)?;
        let location = if mark.holds() { location.verified() } else { location };
        if self.shared.index.publish(tag_of(key), ticket, location) && length > 0 {
            if record.kind == Kind::Reference {
                self.log.references.add(tag);
            } else {
                self.log.references.stored(tag);
                self.shared.index.set_content(tag, location);
            }
        }
        Ok(())
    }

    /// Whether a body is stored already, and sound: what a crash tore is stored anew.
    fn is_stored(&mut self, tag: u64, content: &Content, length: u64) -> bool {
        let index = &self.shared.index;
        let was_known = index.peek(tag).is_some();
        let is_stored = was_known && self.shared.has_body(content, length);
        if was_known && index.peek(tag).is_none() {
            self.log.references.orphaned(tag);
        }
        is_stored
    }

    /// Writes the removals that are owed, as far as it can.
    fn settle(&mut self) {
        while self.due.retry.is_none()
            && let Some(key) = self.log.owed.front().copied()
        {
            let record = Record { kind: Kind::Removed, key, ..Record::default() };
            // What is found now was stored later than it was removed.
            let is_over = self.shared.index.peek(tag_of(key)).is_some();
            if !is_over
                && let Err(error) = self.log.prepare(&record).and_then(|()| self.append(&record))
            {
                return self.failed(error);
            }
            self.log.owed.pop_front();
        }
    }

    fn append(&mut self, record: &Record<'_>) -> Result<Location, WriteError> {
        let location = self.log.append(record)?;
        self.due.sync.get_or_insert_with(|| Instant::now() + SYNC_PERIOD);
        Ok(location)
    }

    fn failed(&mut self, error: WriteError) {
        match error {
            WriteError::Refused => self.shared.health.refused(),
            WriteError::Io(error) => {
                self.shared.health.refused();
                let path = self.log.directory().path().display();
                self.step_aside(format!("cache.disk.path: cannot write to {path}: {error}"));
            }
        }
    }

    fn step_aside(&mut self, why: String) {
        self.shared.health.step_aside(why);
        self.due.retry.get_or_insert_with(|| (Instant::now() + RETRY.0, RETRY.0));
    }

    /// Sees what no write would show before the next segment is due.
    fn look_around(&mut self) {
        if self.due.retry.is_some() {
            return;
        }
        if self.log.is_gone() {
            let path = self.log.directory().path().display();
            return self.step_aside(format!("cache.disk.path: {path} holds the store no more"));
        }
        self.log.look_for_room();
    }

    pub(super) fn sync(&mut self) {
        self.due.sync = None;
        if let Err(error) = self.log.sync() {
            self.failed(WriteError::Io(error));
        }
    }

    /// Tries a disk that failed again.
    fn retry(&mut self, now: Instant, waited: Duration) {
        match self.log.reopen() {
            Ok(emptied) => {
                if emptied {
                    // Nothing older than this moment is there.
                    self.log.owed.clear();
                    self.noted = None;
                }
                self.due.retry = None;
                self.shared.health.come_back();
                self.settle();
            }
            Err(error) => {
                self.shared.health.step_aside(error.to_string());
                let wait = (waited * 2).min(RETRY.1);
                self.due.retry = Some((now + wait, wait));
            }
        }
    }

    fn save_recency(&mut self) {
        if self.due.retry.is_some() {
            return;
        }
        let mut tags = Vec::new();
        self.shared.index.each(|tag, location| {
            if location.uses() > 0 {
                tags.push(tag);
            }
        });
        let path = self.log.directory().recency();
        let saved = recency::save(&path, &tags, &mut self.noted);
        if let Some(error) = saved.as_ref().err().filter(|_| !self.is_unnoted) {
            // It is but a hint: no reason to stop storing.
            self.shared.health.error();
            let path = path.display();
            tracing::warn!(%path, %error, "what was used of late cannot be noted");
        }
        self.is_unnoted = saved.is_err();
    }

    /// Ends as a node does. What was written is in the page cache, which outlives the process:
    /// waiting for the disk, however busy it is, would win nothing but against a loss of power
    /// within the next seconds, and after that is found what can be (see `recover`).
    pub(super) fn close(&mut self) {
        self.log.release_displaced();
        self.settle();
        self.save_recency();
    }
}

impl Due {
    fn next(&self) -> Instant {
        let retry = self.retry.map(|(at, _)| at);
        [self.sync, retry].into_iter().flatten().fold(self.checkpoint, Instant::min)
    }
}

fn hash(pieces: &[Bytes]) -> Content {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    *hasher.finalize().as_bytes()
}

impl Record<'_> {
    /// The parts of the body, to be written behind the head.
    pub(super) fn parts<'a>(&'a self) -> impl Iterator<Item = IoSlice<'a>> {
        self.body.unwrap_or_default().iter().map(|piece| IoSlice::new(piece))
    }
}
