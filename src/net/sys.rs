//! System calls that the standard library has no word for: the one file of `net` with `unsafe`.
#![allow(unsafe_code, reason = "raw system calls")]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

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

/// Blocks the calling thread until `socket` takes bytes, for `longest` at most; the time that is
/// left of it, which is nothing where it cannot be waited for.
pub(super) fn wait_until_writable(socket: impl AsFd, longest: Duration) -> Duration {
    let begun = Instant::now();
    let milliseconds = libc::c_int::try_from(longest.as_millis()).unwrap_or(libc::c_int::MAX);
    let fd = socket.as_fd().as_raw_fd();
    let mut waited = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: the kernel reads and writes the one `pollfd` that the pointer names.
    let ready = unsafe { libc::poll(&raw mut waited, 1, milliseconds) };
    if ready > 0 { longest.saturating_sub(begun.elapsed()) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_full_socket_is_waited_for_and_not_without_end() {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        sender.set_nonblocking(true).unwrap();
        while sender.send(&[0; 1000]).is_ok() {}
        let left = wait_until_writable(&sender, Duration::from_millis(1));
        assert_eq!(left, Duration::ZERO);
        let reading = std::thread::spawn(move || {
            receiver.set_nonblocking(true).unwrap();
            while receiver.recv(&mut [0; 1000]).is_ok() {}
            receiver
        });
        assert!(!wait_until_writable(&sender, Duration::from_secs(60)).is_zero());
        reading.join().unwrap();
    }
}
