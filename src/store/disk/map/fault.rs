//! What happens when a page of a map cannot be read.
//!
//! The kernel answers a read of a mapped page that its file no longer has, or whose sector the disk
//! does not give, with SIGBUS. In a registered map the handler puts zeros where the page was, so
//! that the reader goes on; by then the map is marked and the loss is counted, so nobody takes the
//! zeros for what was stored. Every other SIGBUS is none of ours and takes its course: the handler
//! that stood before us, or the end of the process.
//!
//! Invariant: the handler does what is async-signal-safe, and nothing else: atomics, `mmap`,
//! `sigaction`, `raise`. It leaves `errno` as it was.

use std::io;
use std::mem::{transmute, zeroed};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::registry::{Found, MAPS};
use crate::message::losses;

/// So many pages of a map are replaced one by one; at the next fault, all of it. Each page replaced
/// may cut a mapping in two, of which the kernel allows a process 65,530. It is not all of it at
/// once, since the kernel may be sending a healthy page of the map at this moment.
const SINGLE_PAGES: u32 = 64;

/// What SIGBUS did before us.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Bytes of a page; zero until the handler stands.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler if it does not stand yet. Returns the size of a page.
///
/// # Errors
/// The kernel refuses.
pub(super) fn install() -> io::Result<usize> {
    static INSTALLED: OnceLock<Result<usize, i32>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        install_now().map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL))
    });
    installed.map_err(io::Error::from_raw_os_error)
}

fn install_now() -> io::Result<usize> {
    // SAFETY: no memory is involved.
    let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page_size = usize::try_from(page_size).map_err(|_| io::Error::last_os_error())?;
    PAGE_SIZE.store(page_size, Ordering::SeqCst);
    // Known before ours stands, for it may be called at once.
    // SAFETY: a `sigaction` of all zeros is valid, and is there to be written to.
    let previous = unsafe {
        let mut previous = zeroed();
        check(libc::sigaction(libc::SIGBUS, ptr::null(), &mut previous))?;
        previous
    };
    PREVIOUS.get_or_init(|| previous);
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
    // SAFETY: a `sigaction` of all zeros is valid: no flags, an empty mask. The handler has the
    // signature that SA_SIGINFO asks for, and does only what a handler may. SA_ONSTACK: a thread
    // whose own stack is short of room has an alternate one from the standard library.
    unsafe {
        let mut ours: libc::sigaction = zeroed();
        ours.sa_sigaction = handler as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        check(libc::sigaction(libc::SIGBUS, &ours, ptr::null_mut()))?;
    }
    Ok(page_size)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid `siginfo_t`; `si_addr` is read only of the codes that carry
    // an address. `errno` is this thread's own.
    let (code, address, errno) = unsafe {
        let code = (*info).si_code;
        let carries = matches!(code, libc::BUS_ADRERR | libc::BUS_MCEERR_AR);
        let address = if carries { (*info).si_addr().addr() } else { 0 };
        (code, address, *libc::__errno_location())
    };
    let found = if address == 0 { None } else { MAPS.find(address) };
    if !found.is_some_and(|map| replace(&map, address)) {
        pass_on(signal, code, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Puts zeros where the page of `address` was. False if the kernel does not let us.
fn replace(map: &Found, address: usize) -> bool {
    // Both before the first zero can be read, by whatever thread.
    let faults_before = map.lose();
    losses::raise();
    let page_size = PAGE_SIZE.load(Ordering::SeqCst);
    let (start, length) = if faults_before < SINGLE_PAGES {
        (address - address % page_size, page_size)
    } else {
        (map.base, map.length)
    };
    // SAFETY: the pages belong to a registered map, which the faulting thread is reading and which
    // is therefore not unmapped meanwhile; they stay readable and at their place.
    let zeros = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(start),
            length,
            libc::PROT_READ,
            libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    zeros != libc::MAP_FAILED
}

/// Lets the signal do what it would have done without us.
fn pass_on(
    signal: libc::c_int,
    code: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let previous = PREVIOUS.get();
    let action = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    // What the kernel sends for a fault has a code above zero, and comes again when we return. It
    // is not ignored, whatever was asked for.
    let is_fault = code > 0;
    match action {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: as in `install_now`; all zeros is the default action. Raised while it is
            // blocked, the signal is taken on return.
            unsafe {
                let default: libc::sigaction = zeroed();
                libc::sigaction(signal, &default, ptr::null_mut());
                if !is_fault {
                    libc::raise(signal);
                }
            }
        }
        handler if previous.is_some_and(|action| action.sa_flags & libc::SA_SIGINFO != 0) => {
            // SAFETY: with SA_SIGINFO the address is that of a function of this signature.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO it is that of a function of the signal's number.
            let handler: extern "C" fn(libc::c_int) = unsafe { transmute(handler) };
            handler(signal);
        }
    }
}
