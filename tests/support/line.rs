//! A line between two parties that a test can lead elsewhere, hold and cut.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Takes connections at its own address and carries their bytes to another, as long as there is
/// one. Dropping it cuts it.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
    carrying: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The other end; `None` where the line is cut.
    far_end: Option<SocketAddr>,
    /// Whether bytes stay on the way.
    is_held: bool,
}

impl Line {
    /// A line that leads nowhere yet: connections to it end at once.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State { far_end: None, is_held: false });
        Self { address, state, carrying: tokio::spawn(carry(listener, seen)) }
    }

    /// Leads it to `far_end`.
    pub(crate) fn lead_to(&self, far_end: SocketAddr) {
        self.state.send_replace(State { far_end: Some(far_end), is_held: false });
    }

    /// Cuts it: what is open ends, and nothing gets through any more.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State { far_end: None, is_held: false });
    }

    /// Holds whatever is on its way, and tells nobody.
    pub(crate) fn hold(&self) {
        self.state.send_modify(|state| state.is_held = true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(listener: TcpListener, mut seen: watch::Receiver<State>) {
    let (mut open, mut led_to) = (JoinSet::new(), None);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let (Ok((near, _)), Some(far_end)) = (accepted, led_to) {
                    open.spawn(join(near, far_end, seen.clone()));
                }
            }
            changed = seen.changed() => {
                let Ok(()) = changed else { return };
                let State { far_end, .. } = *seen.borrow_and_update();
                if far_end != led_to {
                    open.abort_all();
                }
                led_to = far_end;
            }
            _ended = open.join_next(), if !open.is_empty() => {}
        }
    }
}

async fn join(near: TcpStream, far_end: SocketAddr, seen: watch::Receiver<State>) {
    let Ok(far) = TcpStream::connect(far_end).await else { return };
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    let there = pump(from_near, to_far, seen.clone());
    let back = pump(from_far, to_near, seen);
    let _broken = tokio::try_join!(there, back).is_err();
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<State>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut bytes).await?;
        let released = seen.wait_for(|state| !state.is_held).await;
        drop(released.map_err(io::Error::other)?);
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}
