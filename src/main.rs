//! The program: its arguments are read in `cli`.

use std::process::ExitCode;

/// Objects come and go by the million, in every size: glibc's allocator keeps far more of them
/// resident than they take (`make bench`, the row of memory).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    headland::cli::main()
}
