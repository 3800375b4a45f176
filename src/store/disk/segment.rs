//! One segment file, and the table of all.
//!
//! A segment is preallocated, appended to by the writer alone, and read through its map. It is
//! never truncated or used again: reclaim unlinks it, and the map lives on while a response needs
//! it.

use std::fs::File;
use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustix::fs::{Advice, fadvise};

use super::format::{FRONT, front, is_front, mark};
use super::location::{Location, SLOTS_MAX};
use super::map::Map;

/// A segment file and its map.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    /// What its records have (see `format`).
    pub(super) mark: u64,
    pub(super) slot: u16,
    path: PathBuf,
    file: File,
    map: Map,
    /// Something of it could not be read.
    suspect: AtomicBool,
    /// Lives as long as anything of it takes disk space: fields are dropped in their order, so this
    /// goes when the map and the file have gone.
    space: Arc<()>,
}

impl Segment {
    /// Creates segment `id` in `directory`, its blocks allocated, so that a full disk shows here
    /// and not under a map.
    pub(super) fn create(
        directory: &Path,
        id: u64,
        slot: u16,
        store: u128,
        length: u64,
    ) -> io::Result<Self> {
        let path = path_of(directory, id);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let made = allocate(&file, length)
            .and_then(|()| write_all_at(&file, &mut [IoSlice::new(&front(id, store, length))], 0))
            .and_then(|()| Map::of(&file, usize::try_from(length).unwrap_or(usize::MAX)));
        match made {
            Ok(map) => Ok(Self::over(path, file, map, (id, store), slot)),
            Err(error) => {
                // What cannot be taken back now is swept at the next start.
                let _left = std::fs::remove_file(&path).is_err();
                Err(error)
            }
        }
    }

    /// Opens segment `id`; `None` if it is not one of `store`'s.
    pub(super) fn open(
        directory: &Path,
        id: u64,
        slot: u16,
        store: u128,
        length: u64,
    ) -> io::Result<Option<Self>> {
        let path = path_of(directory, id);
        let file = match File::options().read(true).write(true).open(&path) {
            // What it has can be read; what is to be written begins another.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(&path)?,
            opened => opened?,
        };
        if file.metadata()?.len() != length {
            return Ok(None);
        }
        let map = Map::of(&file, usize::try_from(length).unwrap_or(usize::MAX))?;
        map.populate(0..FRONT as usize)?;
        let front = map.slice(0..FRONT as usize).unwrap_or_default();
        let is_ours = is_front(front, id, store, length);
        Ok(is_ours.then(|| Self::over(path, file, map, (id, store), slot)))
    }

    fn over(path: PathBuf, file: File, map: Map, (id, store): (u64, u128), slot: u16) -> Self {
        let suspect = AtomicBool::new(false);
        let space = Arc::default();
        Self { id, mark: mark(id, store), slot, path, file, map, suspect, space }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// Notes that something of it could not be read: bodies in it are read whole, and compared with
    /// their BLAKE3, before they are served again.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// The bytes of `range`; none where it leaves the segment.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.map.slice(range).unwrap_or_default()
    }

    /// Where a record lies in the map, if it is within.
    pub(super) fn range(&self, location: Location) -> Option<Range<usize>> {
        let start = usize::try_from(location.offset()).ok()?;
        let end = start.checked_add(usize::try_from(location.length()).ok()?)?;
        (end <= self.map.len()).then_some(start..end)
    }

    /// Writes `parts` one after another at byte `offset`.
    pub(super) fn write(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        write_all_at(&self.file, parts, offset)
    }

    /// Fills `out` from byte `offset` on, out of the file and not the map. What was not in the page
    /// cache before is not kept there.
    pub(super) fn read_aside(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let was_resident = self.map.is_resident(start..start.saturating_add(out.len()));
        self.file.read_exact_at(out, offset)?;
        if let Some(length) = NonZeroU64::new(out.len() as u64).filter(|_| !was_resident) {
            // A hint: the pages go sooner or later.
            let _kept = fadvise(&self.file, offset, Some(length), Advice::DontNeed).is_err();
        }
        Ok(())
    }

    /// Where bytes stand that were written, from byte `offset` on, as far as the file system tells
    /// them from those that never were.
    pub(super) fn written_from(&self, offset: u64) -> Option<u64> {
        use rustix::fs::{SeekFrom, seek};
        match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(found) => Some(found),
            Err(rustix::io::Errno::NXIO) => None,
            Err(_) => Some(offset),
        }
    }

    /// Whether the file has the length of its map, and no page of it was lost. Where it was cut
    /// short, a write would make a hole, which reads as zeros without any fault.
    pub(super) fn is_whole(&self) -> bool {
        self.map.is_intact() && !self.is_cut()
    }

    /// Whether the file has become shorter than its map.
    pub(super) fn is_cut(&self) -> bool {
        let length = self.map.len() as u64;
        self.file.metadata().is_ok_and(|file| file.len() < length)
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Wipes all from byte `offset` on, and waits until that is so on the disk. A file that was cut
    /// short stays so: it is being read, and what would be added to it reads as zeros.
    pub(super) fn wipe(&self, offset: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let length = (self.map.len() as u64).saturating_sub(offset);
        for act in [FallocateFlags::PUNCH_HOLE, FallocateFlags::empty()] {
            fallocate(&self.file, act | FallocateFlags::KEEP_SIZE, offset, length)?;
        }
        self.sync()
    }

    /// Takes the file out of the directory.
    pub(super) fn unlink(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The segments by slot, and those unlinked while a response still reads them.
#[derive(Debug)]
pub(super) struct Segments {
    slots: Box<[ArcSwapOption<Segment>]>,
    unlinked: Mutex<Vec<Weak<()>>>,
}

impl Segments {
    /// A table for `count` segments at a time.
    pub(super) fn new(count: usize) -> Self {
        let slots = (0..count.min(SLOTS_MAX)).map(|_| ArcSwapOption::empty()).collect();
        Self { slots, unlinked: Mutex::default() }
    }

    /// The segment that `location` names.
    pub(super) fn get(&self, location: Location) -> Option<Arc<Segment>> {
        self.slots.get(usize::from(location.slot()))?.load_full()
    }

    /// A slot that is free.
    pub(super) fn free_slot(&self) -> Option<u16> {
        let place = self.slots.iter().position(|slot| slot.load().is_none())?;
        u16::try_from(place).ok()
    }

    /// Lets the records of `segment` be found.
    pub(super) fn put(&self, segment: Arc<Segment>) {
        if let Some(slot) = self.slots.get(usize::from(segment.slot)) {
            slot.store(Some(segment));
        }
    }

    /// Takes `segment` out; it counts as disk in use until nobody reads it.
    pub(super) fn take(&self, segment: &Arc<Segment>) {
        if let Some(slot) = self.slots.get(usize::from(segment.slot)) {
            slot.store(None);
        }
        self.unlinked.lock().push(Arc::downgrade(&segment.space));
    }

    /// Every segment in the table.
    pub(super) fn all(&self) -> Vec<Arc<Segment>> {
        self.slots.iter().filter_map(ArcSwapOption::load_full).collect()
    }

    /// Segments that were unlinked and still take disk space, for they are read.
    pub(super) fn unlinked(&self) -> usize {
        let mut unlinked = self.unlinked.lock();
        unlinked.retain(|space| space.strong_count() > 0);
        unlinked.len()
    }

    /// Segments that take disk space.
    pub(super) fn on_disk(&self) -> usize {
        self.unlinked() + self.slots.iter().filter(|slot| slot.load().is_some()).count()
    }
}

const SUFFIX: &str = ".segment";

/// The file of segment `id`.
pub(super) fn path_of(directory: &Path, id: u64) -> PathBuf {
    directory.join(name_of(id))
}

/// The name of that file.
pub(super) fn name_of(id: u64) -> String {
    format!("{id:016x}{SUFFIX}")
}

/// The id that a file's name tells, if it is a segment's.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    // One id, one name: `A` is not ours for `a`.
    u64::from_str_radix(digits, 16).ok().filter(|id| name_of(*id) == name)
}

fn allocate(file: &File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        // A file system that cannot: a full disk shows when a record is written, which is a miss
        // as well.
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(length),
        result => Ok(result?),
    }
}

fn write_all_at(file: &File, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    // Linux takes 1024 parts at a time.
    const PARTS_MAX: usize = 1024;
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let count = parts.len().min(PARTS_MAX);
        match rustix::io::pwritev(file, &parts[..count], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
