//! Memory maps of segment files, which survive whatever happens to the file.
//!
//! ```text
//! Map ──► memmap2 ──► page cache          a page that cannot be read (file cut short, EIO)
//!  └────► registry: base, length, lost ◄── fault handler: lost, count, zeros in its place
//! ```
//!
//! The one room of the store with `unsafe`. `fault.rs` is the handler of SIGBUS, `registry.rs` the
//! table in which it finds the live maps.
//!
//! Invariants:
//! - no map is readable before the handler stands and the map is registered, nor is it
//!   deregistered before the last reader is gone;
//! - who has read zeros in place of stored bytes can know it: [`Map::is_intact`] is false, and the
//!   count of `message::losses` has risen, before the first of them can be read.
//!
//! A segment is appended to while it is mapped. Of a map only those bytes may be looked at which
//! were written before, and are not written again: the committed records.

#![allow(unsafe_code, reason = "memory maps and a signal handler")]

mod fault;
mod registry;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr;

use memmap2::{Advice, Mmap, MmapOptions};

use registry::{MAPS, Registration};

/// Most bytes that one call asks the kernel to read in, so that the calling thread comes back now
/// and then, and readahead has whole runs to work on.
const POPULATE_WINDOW: usize = 1 << 20;

/// Most bytes that the kernel begins to read at one call, however it is set up: what it reads ahead
/// by default.
const READ_WINDOW: usize = 128 << 10;

/// Pages that one call asks about: 1 MiB of pages of 4 KiB, on the stack.
const RESIDENCY_WINDOW: usize = 256;

/// A segment file, mapped whole, shared and read-only.
#[derive(Debug)]
pub(super) struct Map {
    // Before the mapping, since fields are dropped in order: an address must be out of the registry
    // when the kernel may give it to someone else.
    registration: Registration,
    mapping: Mmap,
    page_size: usize,
}

impl Map {
    /// Maps the first `length` bytes of a file that is at least as long, and must never be
    /// truncated nor overwritten by us. Installs the fault handler when it is the first.
    ///
    /// # Errors
    /// `length` is zero or more than the file has, the kernel refuses to map it, or
    /// [`registry::MAPS_MAX`] maps are live.
    pub(super) fn of(file: &File, length: usize) -> io::Result<Self> {
        if length == 0 || (length as u64) > file.metadata()?.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file is shorter than what is to be mapped",
            ));
        }
        let page_size = fault::install()?;
        // SAFETY: bytes are handed out of ranges that are written no more (head of the file), and a
        // file that someone else cuts short is survived by the fault handler.
        let mapping = unsafe { MmapOptions::new().len(length).map(file) }?;
        let registration = MAPS.register(mapping.as_ptr().addr(), length)?;
        Ok(Self { registration, mapping, page_size })
    }

    /// Bytes of the map.
    pub(super) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// The bytes of `range`; `None` where it leaves the map. Reading them may wait for the disk,
    /// and gives zeros in place of what is lost.
    pub(super) fn slice(&self, range: Range<usize>) -> Option<&[u8]> {
        self.mapping.get(range)
    }

    /// False once a page of this map was lost. Nothing read from it then is to be trusted.
    pub(super) fn is_intact(&self) -> bool {
        !self.registration.is_lost()
    }

    /// Whether all of `range` is in memory, as far as the kernel knows: reading it will most likely
    /// not wait. False where the range leaves the map. One system call for each MiB.
    pub(super) fn is_resident(&self, range: Range<usize>) -> bool {
        let Some(bytes) = self.pages(&range) else { return false };
        self.is_intact()
            && bytes.chunks(RESIDENCY_WINDOW * self.page_size).all(|window| {
                let mut pages = [0; RESIDENCY_WINDOW];
                // SAFETY: the window starts on a page and lies within the mapping, and has at most
                // as many pages as the vector has bytes. It is not read, only asked about.
                let asked = unsafe {
                    libc::mincore(
                        window.as_ptr().cast_mut().cast(),
                        window.len(),
                        pages.as_mut_ptr(),
                    )
                };
                let count = window.len().div_ceil(self.page_size);
                asked == 0 && pages[..count].iter().all(|page| page & 1 == 1)
            })
    }

    /// Reads `range` into memory, and waits for it: not for an event loop. Of what lies around it
    /// no more comes along than shares a page with it.
    ///
    /// # Errors
    /// A page of it cannot be read, or is lost, or the range leaves the map. Nothing is lost by
    /// asking, where the kernel can be asked (Linux 5.14).
    pub(super) fn populate(&self, range: Range<usize>) -> io::Result<()> {
        if self.pages(&range).is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a range of the map"));
        }
        let mut start = self.page_of(range.start);
        // A fault that finds its page on the way reads nothing around it.
        for window in (start..range.end).step_by(READ_WINDOW) {
            let length = READ_WINDOW.min(range.end - window);
            // A hint: what is not on the way is waited for below.
            let _hint = self.mapping.advise_range(Advice::WillNeed, window, length).is_ok();
        }
        while start < range.end {
            let length = POPULATE_WINDOW.min(range.end - start);
            match self.mapping.advise_range(Advice::PopulateRead, start, length) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.touch(start..start + length);
                }
                populated => populated?,
            }
            start += length;
        }
        // Zeros in place of a lost page are readable, too.
        if self.is_intact() {
            return Ok(());
        }
        Err(io::Error::other("a page of the mapped file was lost"))
    }

    /// Reads a byte of each page; one that cannot be read is lost thereby.
    fn touch(&self, range: Range<usize>) {
        for page in self.mapping[range].chunks(self.page_size) {
            // SAFETY: the pointer comes from a reference to a byte of the mapping. Volatile, since
            // it is the reading that matters and not what is read.
            unsafe { ptr::read_volatile(page.as_ptr()) };
        }
    }

    /// The bytes of `range` and those before it on its first page; `None` where it leaves the map.
    fn pages(&self, range: &Range<usize>) -> Option<&[u8]> {
        self.slice(range.clone())?;
        self.slice(self.page_of(range.start)..range.end)
    }

    /// Where the page of a byte begins.
    fn page_of(&self, offset: usize) -> usize {
        offset - offset % self.page_size
    }
}
