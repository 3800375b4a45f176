//! The way to a server: the bytes below TLS and HTTP.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::{ClientError, ClientErrorKind};
use crate::message::ByteStream;

/// A connection that is on its way. Cancel safe: dropping it closes what it had opened.
pub type Dialing<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn ByteStream>, ClientError>> + Send + 'a>>;

/// Connects to servers.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Connects to a port of a host, which is a name or an address, and gives up at `deadline`.
    fn dial<'a>(&'a self, host: &'a str, port: u16, deadline: Instant) -> Dialing<'a>;
}

/// Connects over TCP, to the first of the host's addresses that answers.
#[derive(Clone, Copy, Debug)]
pub struct Tcp;

impl Dialer for Tcp {
    fn dial<'a>(&'a self, host: &'a str, port: u16, deadline: Instant) -> Dialing<'a> {
        Box::pin(async move {
            let stream = connect(host, port, deadline).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

async fn connect(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, ClientError> {
    let unresolved = |detail: String| ClientError::unsent(ClientErrorKind::Dns, detail);
    let addresses: Vec<SocketAddr> = lookup_host((host, port))
        .await
        .map_err(|error| unresolved(format!("{host}: {error}")))?
        .collect();
    let mut failed = unresolved(format!("{host} has no address"));
    for (tried, address) in addresses.iter().enumerate() {
        // A silent address may not use up the time of those behind it.
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / (addresses.len() - tried) as u32;
        failed = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it a request in two writes would wait for an acknowledgement; where it
                // cannot be set the connection is already broken and says so when it is used.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => {
                ClientError::unsent(ClientErrorKind::Connect, format!("{address}: {error}"))
            }
            Err(_) => ClientError::unsent(ClientErrorKind::ConnectTimeout, address),
        };
    }
    Err(failed)
}
