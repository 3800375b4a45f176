//! The wait until every event loop has seen a purge.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::Handle;

/// Tells when all who serve have left what they were doing.
pub trait Barrier: Send + Sync + 'static {
    /// Resolves once each event loop has begun a turn that started after the call: whatever it
    /// judges from then on, it judges by the purges published before. Never panics.
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Event loops of one runtime each, where a new task runs only between the turns of the others.
#[derive(Debug)]
pub struct EventLoops(Vec<Handle>);

impl EventLoops {
    /// The event loops of a node.
    pub fn new(loops: Vec<Handle>) -> Self {
        Self(loops)
    }
}

impl Barrier for EventLoops {
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let turns: Vec<_> = self.0.iter().map(|event_loop| event_loop.spawn(async {})).collect();
        Box::pin(async move {
            for turn in turns {
                // An event loop that is gone serves nothing any more.
                let _gone = turn.await.is_err();
            }
        })
    }
}
