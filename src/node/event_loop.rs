//! What each event loop runs: its own listeners, on its own sockets.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::assemble::{Assembled, LoopSockets, Sockets};
use super::{StartError, Stop};
use crate::net::DrainWatch;
use crate::net::worker::Workers;

/// Starts one thread for each event loop; each sends its runtime's handle over `loops`.
pub(super) fn start(
    shared: &Arc<Assembled>,
    sockets: Sockets,
    drain: &DrainWatch,
    stopped: &watch::Receiver<Stop>,
    loops: Sender<Handle>,
) -> Result<Workers, StartError> {
    let each: Vec<_> = sockets.loops.into_iter().map(|at| Mutex::new(Some(at))).collect();
    let (shared, drain, stopped) =
        (shared.clone(), Mutex::new(Some(drain.clone())), stopped.clone());
    let watches: Vec<_> = each.iter().map(|_| Mutex::new(drain.lock().clone())).collect();
    drop(drain);
    let loops = Mutex::new((0..each.len()).map(|_| Some(loops.clone())).collect::<Vec<_>>());
    Workers::start(shared.loops, true, move |index| {
        let mine = each[index].lock().take().unwrap_or_default();
        let drain = watches[index].lock().take();
        let handle_to = loops.lock()[index].take();
        run(index, shared.clone(), mine, drain, stopped.clone(), handle_to)
    })
    .map_err(StartError::Thread)
}

async fn run(
    index: usize,
    shared: Arc<Assembled>,
    sockets: LoopSockets,
    drain: Option<DrainWatch>,
    mut stopped: watch::Receiver<Stop>,
    handle_to: Option<Sender<Handle>>,
) {
    shared.metrics.attach();
    if let Some(drain) = drain {
        listen(index, &shared, sockets, &drain);
    }
    if let Some(handle_to) = handle_to {
        // The receiver is gone only if the start has failed; then the loop is told to end.
        let _gone = handle_to.send(Handle::current()).is_err();
    }
    // Tasks that are left when this ends are dropped, and their connections cut.
    let _dropped = stopped.wait_for(|stop| *stop == Stop::Now).await.is_err();
}

fn listen(index: usize, shared: &Arc<Assembled>, sockets: LoopSockets, drain: &DrainWatch) {
    for listener in sockets.http {
        let (shared, drain) = (shared.clone(), drain.clone());
        spawn("http", async move { shared.front.tcp(listener, None, None, drain).await });
    }
    for (listener, alt_svc) in sockets.https {
        let (shared, drain) = (shared.clone(), drain.clone());
        spawn("https", async move {
            let tls = shared.tls.clone();
            shared.front.tcp(listener, tls, alt_svc, drain).await
        });
    }
    for socket in sockets.http3 {
        let Some(quic) = shared.quic.clone() else { continue };
        let (shared, drain) = (shared.clone(), drain.clone());
        let place = (index, shared.loops);
        spawn("http3", async move { Err(shared.front.udp(socket, quic, place, drain).await) });
    }
}

fn spawn(listener: &'static str, serve: impl Future<Output = io::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = serve.await {
            tracing::error!(listener, %error, "a listener failed");
        }
    });
}
