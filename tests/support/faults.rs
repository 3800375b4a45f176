//! Disks and clocks that fail when they are told to.
//!
//! `faults.c` makes a node's system calls on files fail, `clock.c` shifts its time of day, a small
//! file system in memory is full when it is full.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::Home;

/// The rules of `faults.c`, which a node reads at each call.
pub(crate) struct Rules {
    path: PathBuf,
}

impl Rules {
    /// Lets the node of `home` be subject to rules; there are none yet.
    pub(crate) fn over(home: Home) -> (Home, Self) {
        let path = home.path().join("faults");
        std::fs::write(&path, "").unwrap();
        let program = tools().join("faults");
        let home = home.through(&[program.as_os_str(), path.as_os_str()]);
        (home, Self { path })
    }

    /// From now on these calls fail; each is a call, a part of a path, and an errno.
    pub(crate) fn fail(&self, calls: &[(&str, &str, i32)]) {
        let lines = calls.iter().map(|(call, path, errno)| format!("{call} {path} {errno}\n"));
        // Renamed into place, since it is read while it is written.
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, lines.collect::<String>()).unwrap();
        std::fs::rename(fresh, &self.path).unwrap();
    }

    /// From now on all is well.
    pub(crate) fn heal(&self) {
        self.fail(&[]);
    }
}

/// A time of day that the test sets.
pub(crate) struct Clock {
    path: PathBuf,
}

impl Clock {
    /// Lets the node of `home` have this clock, which is right at first.
    pub(crate) fn over(home: Home) -> (Home, Self) {
        let path = home.path().join("clock");
        let library = tools().join("clock.so");
        let home = home.variable("LD_PRELOAD", library).variable("HEADLAND_TEST_CLOCK", &path);
        let clock = Self { path };
        clock.set(0);
        (home, clock)
    }

    /// Sets it so many seconds ahead of the right time, or behind it.
    pub(crate) fn set(&self, seconds: i64) {
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, seconds.to_string()).unwrap();
        std::fs::rename(fresh, &self.path).unwrap();
    }
}

/// A file system in memory, with room for little.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one.
    pub(crate) fn mount(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "headland-test"]);
        let output = mount.arg(folder.path()).output();
        let output = output.unwrap_or_else(|error| panic!("this test needs mount: {error}"));
        assert!(
            output.status.success(),
            "this test mounts a tmpfs, for which it must run as root: {}",
            String::from_utf8_lossy(&output.stderr),
        );
        Self { folder }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Lets it be written, or only read.
    pub(crate) fn remount(&self, is_writable: bool) {
        let how = if is_writable { "remount,rw" } else { "remount,ro" };
        let status = Command::new("mount").args(["-o", how]).arg(self.path()).status();
        assert!(status.unwrap().success());
    }

    /// Takes room away.
    pub(crate) fn fill(&self, mebibytes: usize) {
        std::fs::write(self.path().join("other"), vec![1; mebibytes << 20]).unwrap();
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.path().join("other")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that fails its test may still be ending.
        let _left = Command::new("umount").arg("--lazy").arg(self.path()).status().is_err();
    }
}

/// Where the compiled tools are; they are made once for all tests of this process.
fn tools() -> &'static Path {
    static TOOLS: OnceLock<&Path> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        compile("faults.c", &[], &folder.join("faults"));
        compile("clock.c", &["-shared", "-fPIC"], &folder.join("clock.so"));
        folder
    })
}

fn compile(source: &str, options: &[&str], to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(source);
    // Renamed into place, since another process's tests may use the one that is there.
    let fresh = to.with_extension(std::process::id().to_string());
    let arguments = [OsStr::new("-O1"), source.as_os_str(), OsStr::new("-o"), fresh.as_os_str()];
    let output = Command::new("cc").args(options).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs a C compiler: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(fresh, to).unwrap();
}
