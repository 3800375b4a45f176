//! Tests that raise the count, which is of the whole process: each runs in a process of its own,
//! lest it cut the connections of its neighbours.

use std::any::type_name;
use std::env;
use std::process::{Command, Output};
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::message::{BodyError, BodyStream, Piece};

/// Runs the body of the test that calls it, in a process of its own.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    if let Some(output) = run_alone(test) {
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The same, and what became of the process; `None` in that process.
pub(crate) fn run_alone<F: FnOnce()>(test: F) -> Option<Output> {
    const ALONE: &str = "HEADLAND_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        test();
        return None;
    }
    // The closure is named after the test, and that after the crate.
    let (_, path) = type_name::<F>().split_once("::").unwrap();
    let name = path.strip_suffix("::{{closure}}").unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args([name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "no test of the name {name}: {said}");
    Some(output)
}

/// A body that gives `kept`, lets it be written, and gives `lost` when the count has risen.
#[derive(Default)]
pub(crate) struct LosingBody {
    polls: usize,
}

impl BodyStream for LosingBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let data = |bytes| Poll::Ready(Some(Ok(Piece::Data(Bytes::from_static(bytes)))));
        self.polls += 1;
        match self.polls {
            1 => data(b"kept"),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            3 => {
                super::raise();
                data(b"lost")
            }
            _ => Poll::Ready(None),
        }
    }
}
