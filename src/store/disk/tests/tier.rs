//! A tier whose writer is in the test's hands: which job runs when is the test's choice.

use std::time::Instant;

use super::super::writer::Writer;
use super::*;

/// Bytes of a segment.
pub(super) const SEGMENT: u64 = 64 * 1024;

/// A running tier. Dropped, it is killed: what waits is lost, and nothing is synced.
pub(super) struct Tier {
    pub(super) disk: Disk,
    pub(super) writer: Writer,
    jobs: Receiver<Job>,
    now: Instant,
}

/// A folder with an empty store of small segments.
pub(super) fn format() -> tempfile::TempDir {
    // In memory, where there is such a folder: syncs cost nothing there.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::tempdir_in(parent).unwrap();
    format_at(folder.path());
    folder
}

/// Makes an empty store of small segments.
pub(super) fn format_at(folder: &Path) {
    let directory = Directory::open(folder).unwrap();
    directory.format(&Superblock { store: 1, log: 1, segment: SEGMENT }).unwrap();
}

impl Tier {
    pub(super) fn open(folder: &Path, size: u64) -> Self {
        let config = DiskConfig { queue: 3 * SEGMENT, ..config(size) };
        let directory = Directory::open(folder).unwrap();
        let in_use = Box::new(|key: CacheKey| key.as_u128().is_multiple_of(7));
        let (disk, opened, jobs) =
            Disk::prepare(directory, &config, KnownLog::unkept(1), in_use).unwrap();
        Self::over(disk, opened, jobs)
    }

    pub(super) fn over(disk: Disk, opened: Opened, jobs: Receiver<Job>) -> Self {
        Self { disk, writer: Writer::recover(opened), jobs, now: Instant::now() }
    }

    /// Lets the writer do at most `count` jobs, and returns how many it did.
    pub(super) fn perform(&mut self, count: usize) -> usize {
        let mut done = 0;
        while done < count
            && let Ok(job) = self.jobs.try_recv()
        {
            self.writer.perform(job);
            done += 1;
        }
        done
    }

    /// Lets the writer do all jobs, and sync.
    pub(super) fn flush(&mut self) {
        let (done, _wait) = mpsc::sync_channel(1);
        self.disk.queue.send(Job::Flush(done));
        self.perform(usize::MAX);
        self.writer.sync();
    }

    /// Lets the writer do what every job begins with.
    pub(super) fn settle(&mut self) {
        self.writer.perform(Job::Stop);
    }

    /// Lets the writer do what is due now and then, and what it puts off.
    pub(super) fn later(&mut self) {
        self.now += Duration::from_secs(3600);
        self.writer.keep_up(self.now);
    }

    /// Ends as a node does.
    pub(super) fn close(mut self) {
        self.perform(usize::MAX);
        self.writer.close();
    }
}
