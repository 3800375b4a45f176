//! Maps whose files are cut short, and signals that are not theirs.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use super::*;
use crate::message::losses::alone::{alone, run_alone};
use crate::message::losses::{self, Mark};

const PAGE: usize = 4096;

impl Map {
    /// Lets the page cache give the pages up.
    pub(in super::super) fn let_go(&self) {
        // SAFETY: pages of a shared file mapping come back from the file as they are.
        let gone = unsafe { self.mapping.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        gone.unwrap();
    }
}

/// A file of so many pages, each full of its number, counted from one.
fn file(pages: usize) -> File {
    let file = tempfile::tempfile().unwrap();
    let bytes: Vec<_> = (0..pages).flat_map(|page| [(page % 200) as u8 + 1; PAGE]).collect();
    io::Write::write_all(&mut &file, &bytes).unwrap();
    file
}

fn map(pages: usize) -> (File, Map) {
    let file = file(pages);
    let map = Map::of(&file, pages * PAGE).unwrap();
    (file, map)
}

fn page(map: &Map, index: usize) -> &[u8] {
    map.slice(index * PAGE..(index + 1) * PAGE).unwrap()
}

#[test]
fn a_map_gives_its_bytes_and_none_beyond() {
    let (file, map) = map(3);
    assert_eq!(map.len(), 3 * PAGE);
    assert_eq!(page(&map, 2), [3; PAGE]);
    assert_eq!(map.slice(PAGE - 1..PAGE + 1), Some(&[1, 2][..]));
    for (start, end) in [(0, 3 * PAGE + 1), (3 * PAGE + 1, 3 * PAGE + 2), (2, 1)] {
        assert_eq!(map.slice(start..end), None);
        assert!(!map.is_resident(start..end));
        assert!(map.populate(start..end).is_err());
    }
    assert!(map.is_intact());
    assert!(Map::of(&file, 0).is_err());
    assert!(Map::of(&file, 3 * PAGE + 1).is_err());
}

#[test]
fn a_cut_file_reads_as_zeros_and_is_known_to_be_lost() {
    alone(|| {
        let (cut, lost) = map(8);
        let (_whole, intact) = map(8);
        assert_eq!(page(&lost, 5), [6; PAGE]);
        cut.set_len(2 * PAGE as u64).unwrap();
        let mark = Mark::now();
        assert_eq!(page(&lost, 1), [2; PAGE]);
        assert!(lost.is_intact() && mark.holds());
        assert_eq!(page(&lost, 5), [0; PAGE]);
        assert!(!lost.is_intact() && !mark.holds());
        assert_eq!(losses::count(), 1);
        assert_eq!(page(&lost, 1), [2; PAGE], "what can be read still is");
        assert!(intact.is_intact());
        assert_eq!(page(&intact, 5), [6; PAGE]);
    });
}

#[test]
fn many_losses_end_in_one_mapping() {
    alone(|| {
        let pages = 1000;
        let (cut, lost) = map(pages);
        cut.set_len(0).unwrap();
        let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        let before = mappings();
        // Every second page, so that no two of them merge.
        assert!((0..pages).step_by(2).all(|index| page(&lost, index)[0] == 0));
        assert!(mappings() <= before + 1);
        assert!((60..=70).contains(&losses::count()), "{}", losses::count());
    });
}

#[test]
fn to_populate_what_is_cut_fails_and_loses_nothing() {
    alone(|| {
        let (cut, map) = map(600);
        map.populate(0..600 * PAGE).unwrap();
        cut.set_len(300 * PAGE as u64).unwrap();
        map.populate(1..300 * PAGE).unwrap();
        assert!(map.populate(299 * PAGE..301 * PAGE).is_err());
        assert!(map.populate(0..600 * PAGE).is_err());
        assert!(map.is_intact());
        assert_eq!(losses::count(), 0);
        // The way of older kernels.
        map.touch(0..300 * PAGE);
        assert!(map.is_intact());
        map.touch(299 * PAGE..301 * PAGE);
        assert!(!map.is_intact());
        // Its zeros can be read.
        assert!(map.populate(300 * PAGE..301 * PAGE).is_err());
        assert!(!map.is_resident(300 * PAGE..301 * PAGE));
    });
}

#[test]
fn residency_is_what_the_page_cache_holds() {
    let pages = 600;
    // Beside the test program, which lies on a disk: a file system in memory drops nothing.
    let program = std::env::current_exe().unwrap();
    let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
    io::Write::write_all(&mut &file, &vec![1; pages * PAGE]).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let map = Map::of(&file, pages * PAGE).unwrap();
    assert!(!map.is_resident(0..PAGE));
    assert!(!map.is_resident(0..pages * PAGE));
    map.populate(300 * PAGE + 5..301 * PAGE).unwrap();
    assert!(map.is_resident(300 * PAGE + 5..300 * PAGE + 6));
    map.populate(0..pages * PAGE).unwrap();
    assert!(map.is_resident(0..pages * PAGE));
    assert!(map.is_resident(0..0));
}

/// A mapping that the registry does not know, of a file that is gone.
fn foreign() -> Mmap {
    let file = file(1);
    // SAFETY: nobody but this test uses the file; what reading it does is the test's subject.
    let mapping = unsafe { MmapOptions::new().len(PAGE).map(&file) }.unwrap();
    file.set_len(0).unwrap();
    mapping
}

#[test]
fn a_fault_elsewhere_kills_as_ever() {
    let output = run_alone(|| {
        let (cut, lost) = map(1);
        cut.set_len(0).unwrap();
        assert_eq!(page(&lost, 0), [0; PAGE]);
        let foreign = foreign();
        // SAFETY: the pointer is that of a reference; the read is what kills.
        unsafe { ptr::read_volatile(foreign.as_ptr()) };
    });
    if let Some(output) = output {
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    }
}

#[test]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there() {
    extern "C" fn leave(_: libc::c_int) {
        // SAFETY: async-signal-safe.
        unsafe { libc::_exit(42) };
    }
    let output = run_alone(|| {
        let leave: extern "C" fn(libc::c_int) = leave;
        // SAFETY: a handler of the right signature, which only leaves.
        unsafe { libc::signal(libc::SIGBUS, leave as usize) };
        let (_file, _map) = map(1);
        let foreign = foreign();
        // SAFETY: the pointer is that of a reference; the read ends in the handler above.
        unsafe { ptr::read_volatile(foreign.as_ptr()) };
    });
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(42), "{output:?}");
    }
}

#[test]
fn a_kernel_read_of_a_cut_file_is_an_error_and_no_fault() {
    let (cut, map) = map(2);
    cut.set_len(0).unwrap();
    let (_reader, writer) = io::pipe().unwrap();
    let error = io::Write::write(&mut &writer, page(&map, 1)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    assert!(map.is_intact());
}

#[test]
fn threads_may_map_read_lose_and_unmap_at_once() {
    alone(|| {
        let shared = Arc::new(map(64));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let shared = Arc::clone(&shared);
                scope.spawn(move || {
                    for round in 0..200 {
                        let (cut, own) = map(4);
                        if (round + thread) % 2 == 0 {
                            cut.set_len(PAGE as u64).unwrap();
                            assert_eq!(page(&own, 3), [0; PAGE]);
                            assert!(!own.is_intact());
                        } else {
                            assert_eq!(page(&own, 3), [4; PAGE]);
                            assert!(own.is_intact());
                        }
                        assert_eq!(page(&own, 0), [1; PAGE]);
                        if (round, thread) == (100, 0) {
                            shared.0.set_len(0).unwrap();
                        }
                        let index = round % 64;
                        let mark = Mark::now();
                        let read = page(&shared.1, index)[0];
                        let vouched_for = shared.1.is_intact() && mark.holds();
                        assert!(read == index as u8 + 1 || !vouched_for);
                    }
                });
            }
        });
        assert!(!shared.1.is_intact());
        assert!(losses::count() >= 800);
    });
}
