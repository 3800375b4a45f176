//! A line between two parties that a test can lead elsewhere and cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Takes connections at its own address and carries their bytes to another, as long as there is
/// one. Dropping it cuts it.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    far_end: watch::Sender<Option<SocketAddr>>,
    carrying: JoinHandle<()>,
}

impl Line {
    /// A line that leads nowhere yet: connections to it end at once.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (far_end, led) = watch::channel(None);
        Self { address, far_end, carrying: tokio::spawn(carry(listener, led)) }
    }

    /// Leads it to `address`.
    pub(crate) fn lead_to(&self, address: SocketAddr) {
        self.far_end.send_replace(Some(address));
    }

    /// Cuts it: what is open ends, and nothing gets through any more.
    pub(crate) fn cut(&self) {
        self.far_end.send_replace(None);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(listener: TcpListener, mut led: watch::Receiver<Option<SocketAddr>>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (Ok((mut near, _)), Some(address)) = (accepted, *led.borrow()) else { continue };
                open.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(address).await {
                        let _cut = copy_bidirectional(&mut near, &mut far).await.is_err();
                    }
                });
            }
            changed = led.changed() => match changed {
                Ok(()) => open.abort_all(),
                Err(_) => return,
            },
            _ended = open.join_next(), if !open.is_empty() => {}
        }
    }
}
