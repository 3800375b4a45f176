//! Graceful stop: every connection watches one signal, and the stop waits for the last watcher.

use std::time::Duration;

use tokio::sync::watch;

/// A request may be under way while a drain begins; longer than it travels nobody is waited for
/// that has asked for nothing.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Begins a drain and waits for its end.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// Held by every listener and connection; dropping it is the word that it is done.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    receiver: watch::Receiver<bool>,
    /// Whether this watcher was told.
    told: bool,
}

impl Drain {
    /// A signal and its first watcher.
    pub fn new() -> (Self, DrainWatch) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), DrainWatch { receiver, told: false })
    }

    /// Asks all watchers to finish what they have begun and to begin nothing new.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when the last watcher is gone. Cancel safe.
    pub async fn done(&self) {
        self.0.closed().await;
    }
}

impl DrainWatch {
    /// Whether the drain has begun. Asked for every request, so it writes to nothing that event
    /// loops share.
    pub fn is_draining(&self) -> bool {
        self.told || self.receiver.has_changed().unwrap_or_else(|_| *self.receiver.borrow())
    }

    /// Resolves when the drain begins, or when nobody can begin it any more. Cancel safe.
    pub async fn draining(&mut self) {
        // The one change is the beginning; an error means that the sender is gone, which ends the
        // node as well.
        self.told = self.told || self.receiver.changed().await.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_ends_with_its_last_watcher() {
        let (drain, mut watch) = Drain::new();
        assert!(!watch.is_draining());
        drain.begin();
        watch.draining().await;
        assert!(watch.is_draining());
        drop(watch);
        drain.done().await;
    }
}
