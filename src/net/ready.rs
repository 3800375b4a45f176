//! Wakers with a key: which of many sleepers in one task was woken.
//!
//! Every future and body of a connection is polled with the waker of its own stream, and every
//! connection of an endpoint with its own, so an event costs the work of what it concerns alone,
//! however many others wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// The keys that were woken since they were last taken. Each stands in it once at most, so it is
/// bounded by the number of sleepers.
#[derive(Debug)]
pub(super) struct Ready<K> {
    woken: Mutex<Vec<Arc<Sleeper<K>>>>,
    parent: AtomicWaker,
}

#[derive(Debug)]
struct Sleeper<K> {
    key: K,
    listed: AtomicBool,
    ready: Arc<Ready<K>>,
}

impl<K: Copy + Send + Sync + 'static> Ready<K> {
    /// An empty list.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { woken: Mutex::default(), parent: AtomicWaker::new() })
    }

    /// Who is to be woken when a key is. To be said anew in each poll, before [`take`](Self::take).
    pub(super) fn set_parent(&self, waker: &Waker) {
        self.parent.register(waker);
    }

    /// A waker that lists `key`.
    pub(super) fn waker(self: &Arc<Self>, key: K) -> Waker {
        let listed = AtomicBool::new(false);
        Waker::from(Arc::new(Sleeper { key, listed, ready: Arc::clone(self) }))
    }

    /// Moves the woken keys to `out`. A key woken from now on is listed again.
    pub(super) fn take(&self, out: &mut Vec<K>) {
        out.extend(self.woken.lock().drain(..).map(|sleeper| {
            sleeper.listed.store(false, Ordering::Release);
            sleeper.key
        }));
    }
}

impl<K: Send + Sync + 'static> Wake for Sleeper<K> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.ready.woken.lock().push(Arc::clone(self));
            self.ready.parent.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_listed_once_until_taken() {
        let ready = Ready::new();
        let (one, two) = (ready.waker(1), ready.waker(2));
        one.wake_by_ref();
        two.wake_by_ref();
        one.wake_by_ref();
        let mut keys = Vec::new();
        ready.take(&mut keys);
        assert_eq!(keys, [1, 2]);
        one.wake();
        ready.take(&mut keys);
        assert_eq!(keys, [1, 2, 1]);
    }
}
