//! Who asks: clients of the edges, and who purges.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::header::{CONTENT_TYPE, ETAG, HOST, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::network::{Network, Place};
use super::origin::{folder, path};
use super::truth::{LINE, PAGES, Told, Truth, Versions, lines};
use super::witness::seen;
use crate::message::{Body, Piece};
use crate::net::client::{Egress, IncomingResponse, OutgoingRequest, Pool, PoolConfig, Server};

/// The host of the site, and its name.
pub(super) const SITE: (&str, &str) = ("www.example.com", "shop");

/// Accepted purges that are not known to be complete: number, log, and what they cover.
pub(super) type Accepted = Arc<Mutex<Vec<(u64, String, Versions)>>>;

/// What a client reached in time.
type Got = (u16, HeaderMap, Vec<u8>);

/// Connections from the clients' machine to a port.
pub(super) fn pool(network: &Network, from: Place, port: u16) -> Pool {
    let config = PoolConfig {
        connect_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_secs(2),
        egress: Egress { loops: 1, dialer: network.dialer(from) },
        ..PoolConfig::default()
    };
    Pool::new(Server::http("127.0.0.1", port), config)
}

async fn pause(random: &mut Rng, longest: u64) {
    sleep_until(Instant::now() + Duration::from_millis(random.u64(1..longest))).await;
}

/// A client of the edges.
pub(super) struct Client {
    pub(super) truth: Arc<Truth>,
    pub(super) edges: Vec<Pool>,
    pub(super) random: Rng,
}

impl Client {
    /// Asks for ever.
    pub(super) async fn run(mut self) {
        loop {
            let (edge, page) = (self.random.usize(..self.edges.len()), self.random.usize(..PAGES));
            let part = match self.random.u8(..4) {
                0 => {
                    let first = self.random.usize(..2 + 30 * (page % 3));
                    Some(first..first + self.random.usize(1..60))
                }
                _ => None,
            };
            if self.random.u8(..16) == 0 {
                self.give_up(edge, page).await;
            } else {
                ask(&self.truth, &self.edges[edge], page, part).await;
            }
            pause(&mut self.random, 50).await;
        }
    }

    /// Asks, and goes away.
    async fn give_up(&mut self, edge: usize, page: usize) {
        let patience = Instant::now() + Duration::from_millis(self.random.u64(1..40));
        let (truth, pool) = (self.truth.clone(), self.edges[edge].clone());
        let asking = ask(&truth, &pool, page, None);
        // Whether there was an answer by then does not matter.
        let _late = tokio::time::timeout_at(patience, asking).await.is_err();
    }
}

/// Asks an edge for a page, or for some of its lines; whether there was an answer.
pub(super) async fn ask(
    truth: &Truth,
    edge: &Pool,
    page: usize,
    part: Option<Range<usize>>,
) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static(SITE.0));
    if let Some(Range { start, end }) = part.map(lines) {
        let range = format!("bytes={start}-{}", end - 1);
        headers.insert(RANGE, range.try_into().unwrap());
    }
    let request = OutgoingRequest {
        method: Method::GET,
        target: path(page).into(),
        headers,
        body: Body::Empty,
        content_length: None,
        on_interim: None,
    };
    let Some((status, headers, body)) = send(edge, request).await else { return false };
    let word = |name| headers.get(name).and_then(|it| HeaderValue::to_str(it).ok());
    let how = headers.get_all("cache-status").iter().map(|it| it.to_str().unwrap());
    let how = how.collect::<Vec<_>>().join(", ");
    let start = match status {
        200 => 0,
        206 => {
            let range = word("content-range").and_then(|range| range.strip_prefix("bytes "));
            range.and_then(|range| range.split_once('-')?.0.parse().ok()).unwrap_or(0)
        }
        _ => {
            truth.note(format!("page {page}: {status}: {how}"));
            return status < 500;
        }
    };
    let told = Told {
        seen: seen(&headers).unwrap(),
        etag: word(ETAG.as_str()).unwrap_or_default().to_owned(),
        how,
    };
    let first = body.get(..LINE - 1).unwrap_or_default().escape_ascii();
    truth.note(format!("page {page} from {start}: {first}: {}", told.how));
    truth.answer(page, &body, start, &told);
    true
}

/// The answer, if all of it came in time.
async fn send(pool: &Pool, request: OutgoingRequest) -> Option<Got> {
    let IncomingResponse { status, headers, mut body, .. } = pool.send(request).await.ok()?;
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        if let Piece::Data(bytes) = piece.ok()? {
            whole.extend_from_slice(&bytes);
        }
    }
    Some((status.as_u16(), headers, whole))
}

/// Who changes pages and purges them.
pub(super) struct Purges {
    pub(super) truth: Arc<Truth>,
    pub(super) control: Pool,
    pub(super) accepted: Accepted,
    pub(super) random: Rng,
}

impl Purges {
    /// Purges for ever.
    pub(super) async fn run(mut self) {
        loop {
            let count = if self.random.u8(..6) == 0 { self.random.usize(2..5) } else { 1 };
            let each: Vec<_> = (0..count).map(|_| command(&mut self.random)).collect();
            self.purge(each).await;
            pause(&mut self.random, 100).await;
        }
    }

    async fn purge(&self, each: Vec<(Value, Vec<usize>)>) {
        let covered = self.truth.change(each.iter().flat_map(|(_, pages)| pages.iter().copied()));
        let is_soft = |(command, _): &(Value, Vec<usize>)| command["soft"] == true;
        let promised = match each.iter().any(is_soft) {
            // What is soft may be served once more.
            true => Versions::new(),
            false => covered,
        };
        let commands: Vec<_> = each.into_iter().map(|(command, _)| command).collect();
        let what = Value::Array(commands).to_string();
        self.truth.note(format!("purge {what}"));
        let Some((status, headers, answer)) = self.post(what.clone()).await else {
            return self.truth.note("purge: no answer");
        };
        let receipts: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let Some(last) = receipts["data"].as_array().and_then(|all| all.last()) else {
            return self.truth.note(format!("purge: {status}"));
        };
        let sequence = &last["sequence"];
        let number = sequence["number"].as_u64().unwrap();
        self.truth.note(format!("purge {number}: {status}"));
        match status {
            200 => self.truth.promise(&what, &promised, seen(&headers).unwrap().begun),
            _ => {
                let log = sequence["log"].as_str().unwrap().to_owned();
                self.accepted.lock().push((number, log, promised));
            }
        }
    }

    async fn post(&self, content: String) -> Option<Got> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let content = Bytes::from(content);
        let request = OutgoingRequest {
            method: Method::POST,
            target: Bytes::from_static(b"/v1/purges?wait=true&timeout=150ms"),
            headers,
            content_length: Some(content.len() as u64),
            body: Body::Full(content),
            on_interim: None,
        };
        send(&self.control, request).await
    }
}

/// A purge, and the pages that it covers.
fn command(random: &mut Rng) -> (Value, Vec<usize>) {
    let page = random.usize(..PAGES);
    let url = |path: &str| format!("http://{}{path}", SITE.0);
    let soft = random.u8(..5) == 0;
    let (kind, value, covers): (_, _, fn(usize, usize) -> bool) = match random.u8(..12) {
        0..4 => ("url", url(&path(page)), |page, other| page == other),
        4..8 => ("tag", format!("p{page}"), |page, other| page == other),
        8 => ("tag", format!("every-{}", page % 4), |page, other| page % 4 == other % 4),
        9 => ("prefix", url(&format!("/{}/", folder(page))), same_folder),
        10 => ("url", url(&format!("/{}/*", folder(page))), same_folder),
        _ => ("site", SITE.1.to_owned(), |_, _| true),
    };
    let pages = (0..PAGES).filter(|other| covers(page, *other)).collect();
    (json!({ "kind": kind, "value": value, "soft": soft }), pages)
}

fn same_folder(page: usize, other: usize) -> bool {
    folder(page) == folder(other)
}

/// Who waits until every purge that was accepted is complete.
pub(super) struct Settling {
    pub(super) truth: Arc<Truth>,
    pub(super) control: Pool,
    pub(super) accepted: Accepted,
    /// Purges back from the head whose receipts outlive the control plane.
    pub(super) kept: u64,
}

impl Settling {
    pub(super) async fn run(self) {
        let waiting = std::mem::take(&mut *self.accepted.lock());
        for (number, log, covered) in waiting {
            self.complete(number, &log, &covered).await;
        }
        self.truth.note("settled");
    }

    async fn complete(&self, number: u64, log: &str, covered: &Versions) {
        let target = format!("/v1/purges/{number}");
        loop {
            match get(&self.control, &target).await {
                Some((200, headers, answer)) => {
                    let receipt: Value = serde_json::from_slice(&answer).unwrap();
                    // A log that was lost is another now, and nodes trust nothing of before.
                    if receipt["data"]["sequence"]["log"] == log {
                        self.truth.promise(&target, covered, seen(&headers).unwrap().begun);
                    }
                    return;
                }
                Some((404, ..)) if self.is_kept(number, log).await => {
                    return self.truth.fail(format!("purge {number} is lost"));
                }
                Some((404, ..)) => return,
                _ => {}
            }
            sleep_until(Instant::now() + Duration::from_millis(50)).await;
        }
    }

    /// Whether the receipt of a purge must be there still.
    async fn is_kept(&self, number: u64, log: &str) -> bool {
        loop {
            if let Some((200, _, answer)) = get(&self.control, "/v1/status").await {
                let status: Value = serde_json::from_slice(&answer).unwrap();
                let purge = &status["data"]["purge"];
                let head = purge["head"].as_u64().unwrap();
                return purge["log"] == log && head < number + self.kept;
            }
        }
    }
}

/// Asks every edge for every page, until it answers.
pub(super) async fn look(truth: Arc<Truth>, edges: Vec<Pool>) {
    for edge in &edges {
        for page in 0..PAGES {
            while !ask(&truth, edge, page, None).await {
                sleep_until(Instant::now() + Duration::from_millis(20)).await;
            }
        }
    }
    truth.note("looked");
}

async fn get(control: &Pool, target: &str) -> Option<Got> {
    let request = OutgoingRequest {
        method: Method::GET,
        target: Bytes::from(target.to_owned()),
        headers: HeaderMap::new(),
        body: Body::Empty,
        content_length: None,
        on_interim: None,
    };
    send(control, request).await
}
