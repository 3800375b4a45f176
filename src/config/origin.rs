//! `[[origin]]`: where responses come from.

use std::time::Duration;

use http::uri::Authority;

use super::address::Endpoint;
use super::reference::Sample::{Commented, Required, Shown};
use super::rule::{Form, Within, named};
use super::s3::S3;
use super::section::{choice, section};

section! {
    /// Where responses come from: HTTP servers or an S3 bucket.
    pub struct Origin {
        /// Name by which sites and routes call it.
        name: String = String::new(), named("\"app\"");
        /// HTTP servers; either these or `s3`.
        servers: Vec<Server> = vec![], Shown(r#"[{ url = "http://127.0.0.1:3000" }]"#);
        /// An S3 bucket; either this or `servers`.
        s3: Option<S3> = None, Commented(r#"{ bucket = "assets", region = "eu-central-1" }"#);
        /// What is spoken to the servers: `auto` is HTTP/2 over TLS where the server agrees to it
        /// (ALPN), else HTTP/1.1; `http2` is HTTP/2 alone, in cleartext too (prior knowledge).
        protocol: Protocol = Protocol::default();
        /// How a server is chosen among those that are healthy.
        balance: Balance = Balance::default();
        /// Host that is sent as `Host` and SNI; without it the client's.
        host: Option<Authority> = None, Commented(r#""static.example.com""#);
        /// Asking each server whether it is well; without it only real requests tell.
        health: Option<Health> = None, Commented(r#"{ path = "/healthz", interval = "5s" }"#);
        /// Longest wait for a connection, TLS handshake included.
        connect_timeout: Duration = Duration::from_secs(2),
            Within(Duration::from_millis(10)..=Duration::from_mins(5));
        /// Longest wait from the end of the request to the head of the response.
        response_timeout: Duration = Duration::from_secs(30),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
        /// Longest silence between two pieces of a body.
        idle_timeout: Duration = Duration::from_secs(30),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
        /// Connections open to each server at once, of one request each, or with HTTP/2 of a
        /// hundred, and without those that have left HTTP (limits.tunnels); further requests wait.
        max_connections: usize = 256, Within(1..=65_536);
        /// Connections kept open to each server with nothing to do.
        max_idle: usize = 64, Within(0..=65_536);
        /// How long a connection with nothing to do is kept.
        keepalive_timeout: Duration = Duration::from_secs(60),
            Within(Duration::ZERO..=Duration::from_hours(1));
        /// How often a request that may be repeated is tried again, on the next server first.
        retries: usize = 2, Within(0..=10);
    }
}

section! {
    /// One server of an origin.
    pub struct Server {
        /// Where it is.
        url: Endpoint = Endpoint::default(), Required(r#""http://127.0.0.1:3000""#);
        /// Its share of requests, relative to the others.
        weight: usize = 1, Within(1..=1000);
        /// Asked only while no other server is healthy.
        backup: bool = false;
    }
}

choice! {
    /// What is spoken to the servers of an origin.
    pub enum Protocol {
        /// HTTP/2 over TLS where the server agrees to it, else HTTP/1.1.
        Auto = "auto",
        /// HTTP/1.1 alone.
        Http1 = "http1",
        /// HTTP/2 alone.
        Http2 = "http2",
    }
}

choice! {
    /// How a server is chosen among those that are healthy.
    pub enum Balance {
        /// One after the other, by weight.
        RoundRobin = "round_robin",
        /// The one with the fewest requests under way, by weight.
        LeastConnections = "least_connections",
        /// The same server for the same key.
        Hash = "hash",
    }
}

section! {
    /// How a server is asked whether it is well.
    pub struct Health {
        /// What is asked for; a 2xx or 3xx answer is well.
        path: String = "/".to_owned(), PATH;
        /// From one question to the next.
        interval: Duration = Duration::from_secs(5),
            Within(Duration::from_millis(100)..=Duration::from_hours(1));
        /// Longest wait for the answer.
        timeout: Duration = Duration::from_secs(1),
            Within(Duration::from_millis(10)..=Duration::from_mins(5));
        /// Failures in a row that make a server unhealthy.
        unhealthy: usize = 3, Within(1..=100);
        /// Successes in a row that make it healthy again.
        healthy: usize = 2, Within(1..=100);
    }
}

const PATH: Form = Form {
    expected: "a path such as \"/healthz\"",
    holds: |path| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()),
    sample: None,
};
