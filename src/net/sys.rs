//! System calls that the standard library has no word for: the one file of `net` with `unsafe`.
#![allow(unsafe_code, reason = "raw system calls")]

use std::io;
use std::mem::{size_of, zeroed};

/// Binds the calling thread to one of the cores that the process may use: the `index`-th, counted
/// round.
pub(super) fn pin_to_core(index: usize) -> io::Result<()> {
    // SAFETY: a `cpu_set_t` is plain bits, for which all zeros is the empty set.
    let mut allowed: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the kernel writes at most `size_of` bytes into the set that the pointer names.
    let got = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    let cores: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
        // SAFETY: `core` is below CPU_SETSIZE, the number of bits in the set.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &allowed) })
        .collect();
    let Some(&core) = cores.get(index % cores.len().max(1)) else { return Ok(()) };
    // SAFETY: as above, and `core` came out of such a set.
    let mut chosen: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `core` is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(core, &mut chosen) };
    // SAFETY: the kernel only reads the set.
    let set = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &chosen) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
