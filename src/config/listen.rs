//! `[listen]`: where this node can be reached.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::address::Network;
use super::reference::Sample::{Commented, Shown};
use super::section::section;

section! {
    /// Where this node can be reached. At least one address under `http` or `https`.
    pub struct Listen {
        /// Addresses for HTTP in clear: HTTP/1.1, and HTTP/2 by prior knowledge.
        http: Vec<SocketAddr> = vec![], Shown(r#"["0.0.0.0:80"]"#);
        /// Addresses for HTTP over TLS: HTTP/1.1 and HTTP/2, chosen by ALPN.
        https: Vec<SocketAddr> = vec![], Shown(r#"["0.0.0.0:443"]"#);
        /// HTTP/3 over UDP on the ports of `https`, told to clients by `Alt-Svc`.
        http3: bool = true;
        /// The door for metrics, health, status and purges; beyond loopback only with `[tls]` and
        /// a `[[token]]`.
        admin: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9180));
        /// A door for `/healthz`, `/readyz` and `/metrics` alone, open without a token.
        probes: Option<SocketAddr> = None, Commented(r#""0.0.0.0:9181""#);
        /// Networks whose connections start with a PROXY protocol version 2 header.
        proxy_protocol: Vec<Network> = vec![], Commented(r#"["10.0.0.0/8"]"#);
    }
}
