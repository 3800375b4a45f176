//! `[shield]`: the tier between the edges and the origin, as an edge sees it.

use std::time::Duration;

use super::address::Endpoint;
use super::node::REGION;
use super::reader::Node as Written;
use super::reference::Keys;
use super::reference::Sample::{self, Required};
use super::rule::Within;
use super::section::{choice, section};
use super::value::Value;

section! {
    /// The shields that an edge asks before the origin; edges only, and only with `[peer]`. Without
    /// it an edge goes straight to the origin.
    pub struct Shield {
        /// Each key belongs to one of these, found by rendezvous hashing; those of this node's
        /// region come first. A plain URL stands for a table of nothing else. `http://` only on
        /// loopback: the secret never travels in clear.
        nodes: Vec<Node> = vec![], Required(r#"["https://shield-1.internal:8443"]"#);
        /// What an edge does when no shield answers.
        fallback: Fallback = Fallback::default();
        /// A GET or HEAD without an answer for so long is sent to the next shield as well, and the
        /// first answer is taken; 0s: never. Below the usual time of a miss it doubles the load.
        hedge: Duration = Duration::ZERO, Within(Duration::ZERO..=Duration::from_mins(1));
        /// Longest wait for a connection, TLS handshake included.
        connect_timeout: Duration = Duration::from_secs(1),
            Within(Duration::from_millis(10)..=Duration::from_mins(5));
        /// Longest wait from the end of the request to the head of the response; longer than the
        /// shields wait for their origins.
        response_timeout: Duration = Duration::from_mins(2),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
        /// Longest silence between two pieces of a body.
        idle_timeout: Duration = Duration::from_secs(30),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
        /// HTTP/2 connections open to each shield at once, shared out among the event loops, at
        /// least one each.
        max_connections: usize = 16, Within(1..=4096);
        /// Requests at once on each of these connections; further ones wait, or go to the next
        /// shield.
        streams: usize = 100, Within(1..=65_536);
        /// How long a connection with nothing to do is kept.
        keepalive_timeout: Duration = Duration::from_secs(50),
            Within(Duration::ZERO..=Duration::from_hours(1));
        /// Failures in a row after which a shield is asked only when no other is left.
        failures: usize = 3, Within(1..=100);
        /// How long that lasts until one request tries it again; doubled each time in vain.
        pause: Duration = Duration::from_secs(1),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
        /// Longest such pause.
        pause_max: Duration = Duration::from_secs(30),
            Within(Duration::from_millis(10)..=Duration::from_hours(1));
    }
}

choice! {
    /// What an edge does when no shield answers.
    pub enum Fallback {
        /// Asks the origin itself.
        Origin = "origin",
        /// Serves what it has stored, where that may be served stale, and else fails.
        None = "none",
    }
}

/// One shield: its URL alone, or a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it is; also its name, by which all edges rank it.
    pub url: Endpoint,
    /// Where it stands, in the words of `node.region`; empty: near to nobody.
    pub region: String,
    /// Its share of the keys, relative to the others of its region.
    pub weight: usize,
}

impl Default for Node {
    fn default() -> Self {
        Self { url: Endpoint::default(), region: String::new(), weight: 1 }
    }
}

const URL: Sample = Required(r#""https://shield-1.internal:8443""#);
const WEIGHT: Within<usize> = Within(1..=1000);

impl Value for Node {
    fn expected() -> String {
        "a URL or a table such as \"https://shield-1.internal:8443\" or { url = \"https://…\" }"
            .to_owned()
    }

    fn read(node: &Written<'_>, _base: Option<&Self>) -> Option<Self> {
        let none = Self::default();
        if !node.is_table() {
            let url = node.parse(&Self::expected(), Endpoint::parse)?;
            return Some(Self { url, ..none });
        }
        let mut table = node.table()?;
        let node = Self {
            url: table.key("url", &none.url, &URL),
            region: table.key("region", &none.region, &REGION),
            weight: table.key("weight", &none.weight, &WEIGHT),
        };
        table.finish();
        Some(node)
    }

    fn show(&self) -> Option<String> {
        None
    }

    fn keys(list: &mut Keys) {
        let none = Self::default();
        list.key("url", "Where it is.", &none.url, &URL);
        let region = "Where it stands, in the words of `node.region`; without it near to nobody.";
        list.key("region", region, &none.region, &REGION);
        let weight = "Its share of the keys, relative to the others of its region.";
        list.key("weight", weight, &none.weight, &WEIGHT);
    }

    fn heading(name: &str) -> Option<String> {
        Some(format!("[{name}]"))
    }
}
