//! Listening sockets: for every address one socket for each event loop, on the same port.
//!
//! The kernel spreads connections over the sockets of a port (`SO_REUSEPORT`), so a connection is
//! accepted on the loop that serves it. Because that option would let a second node share the port
//! unseen, a bind without it goes first and tells.
//!
//! Sockets inherited from a service manager or an older process will enter here as well: everything
//! behind takes plain `std::net` sockets and does not ask where they come from.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Asked for either direction of a UDP socket, bytes; the kernel caps it at `net.core.rmem_max` and
/// `wmem_max`. Its own 208 KiB lose datagrams in a burst.
const UDP_BUFFER: usize = 4 * 1024 * 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({transport}): {cause}{}", advice(cause))]
pub struct BindError {
    /// The address as it was asked for.
    pub address: SocketAddr,
    /// `TCP` or `UDP`.
    pub transport: &'static str,
    /// What the system said.
    #[source]
    pub cause: io::Error,
}

/// What to do about it.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "; stop what listens there, or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        io::ErrorKind::PermissionDenied => {
            "; a port below 1024 needs CAP_NET_BIND_SERVICE \
             (or a lower net.ipv4.ip_unprivileged_port_start)"
        }
        _ => "",
    }
}

/// One listener for each of `workers` loops. Port 0 picks a free port, the same for all.
///
/// An IPv6 address is IPv6 alone: list `0.0.0.0` beside `[::]` to have both.
pub fn tcp(address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, BindError> {
    let fault = |cause| BindError { address, transport: "TCP", cause };
    let sockets = bind_all(address, Type::STREAM, Protocol::TCP, workers).map_err(fault)?;
    for socket in &sockets {
        socket.listen(BACKLOG).map_err(fault)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

/// One UDP socket for each of `workers` loops. Port 0 picks a free port, the same for all.
pub fn udp(address: SocketAddr, workers: usize) -> Result<Vec<UdpSocket>, BindError> {
    let fault = |cause| BindError { address, transport: "UDP", cause };
    let sockets = bind_all(address, Type::DGRAM, Protocol::UDP, workers).map_err(fault)?;
    for socket in &sockets {
        socket.set_recv_buffer_size(UDP_BUFFER).map_err(fault)?;
        socket.set_send_buffer_size(UDP_BUFFER).map_err(fault)?;
    }
    Ok(sockets.into_iter().map(UdpSocket::from).collect())
}

fn bind_all(
    mut address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    workers: usize,
) -> io::Result<Vec<Socket>> {
    let probe = open(address, kind, protocol)?;
    probe.bind(&address.into())?;
    address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = open(address, kind, protocol)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            Ok(socket)
        })
        .collect()
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        // Lets a node start anew while connections of the old one linger in TIME_WAIT.
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn all_loops_share_the_port_that_the_first_got() {
        let listeners = tcp(local(0), 3).unwrap();
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        assert_ne!(addresses[0].port(), 0);
        assert_eq!(addresses, [addresses[0]; 3]);

        let sockets = udp(addresses[0], 2).unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == addresses[0]));
    }

    #[test]
    fn a_port_in_use_is_told_with_its_address() {
        let held = tcp(local(0), 1).unwrap();
        let address = held[0].local_addr().unwrap();
        let error = tcp(address, 1).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address} (TCP): ")), "{error}");
        assert!(error.ends_with("; stop what listens there, or choose another port"), "{error}");

        let held = udp(local(0), 1).unwrap();
        let error = udp(held[0].local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_foreign_address_is_told() {
        let error = tcp(SocketAddr::from(([192, 0, 2, 1], 0)), 1).unwrap_err();
        assert_eq!(error.cause.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn both_families_may_have_one_port() {
        let Ok(v6) = tcp("[::]:0".parse().unwrap(), 1) else { return };
        let port = v6[0].local_addr().unwrap().port();
        assert!(tcp(SocketAddr::from(([0, 0, 0, 0], port)), 1).is_ok());
    }
}
