//! Every endpoint, asked without a socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::config::moment::Moment;
use crate::config::secret::{Secret, TokenHash};
use crate::config::token::TokenRole;
use crate::message::{Body, Fields, Protocol, RequestHead, Scheme};
use crate::net::peer::PeerProof;
use crate::proxy::{Parts, ProxyConfig, Routing, Served};
use crate::purge::{EventLoops, Journal, PurgerParts};
use crate::site::{Generations, SiteRules, SiteTable};
use crate::store::{CacheDirectory, DiskConfig, KnownLog, RuleBounds, Rules, Store, StoreLimits};
use crate::telemetry::access_log::{AccessConfig, AccessLog, Format, Target};
use crate::upstream::{Egress, ShieldSettings, Upstreams};

const CONFIG: &str = r#"
[listen]
http = ["127.0.0.1:0"]
[peer]
secret_file = "peer.secret"
[shield]
nodes = ["http://127.0.0.1:2"]
[[origin]]
name = "app"
servers = [{ url = "http://127.0.0.1:1" }]
[[site]]
name = "shop"
hosts = ["shop.example"]
origin = "app"
[[site]]
name = "blog"
hosts = ["blog.example"]
origin = "app"
"#;

const RULES: RuleBounds = RuleBounds { rules: 64, wildcards: 64 };
const LIMITS: StoreLimits = StoreLimits { memory: 1 << 20, variants: 4, rules: RULES };

fn shield(config: &Config) -> ShieldSettings {
    ShieldSettings {
        shield: config.shield.clone().unwrap(),
        ca_file: None,
        proof: PeerProof::new(&Secret::new("the secret of a fleet")),
        region: String::new(),
    }
}

fn proxy(metrics: &Arc<Metrics>, store: Store) -> Arc<Proxy> {
    let config = Config::parse(CONFIG, "test.toml", "".as_ref(), &|_| None).unwrap();
    let log = AccessConfig { target: Target::Off, format: Format::Json, queue_bytes_max: 1 };
    let routing = Routing {
        sites: SiteTable::from_config(
            &config.sites,
            SiteRules::read(&config.sites, &config.geo).unwrap(),
            &Generations::default(),
            |name| metrics.register_site(name),
        ),
        upstreams: Upstreams::from_config(&config.origins, &Egress::default(), metrics, None)
            .and_then(|upstreams| {
                upstreams.with_shields(Some(shield(&config)), &Egress::default(), metrics, None)
            })
            .unwrap(),
    };
    let parts = Parts {
        routing,
        store: Arc::new(store),
        flights: 4,
        hit_for_miss: (4, Duration::from_secs(1)),
        refresh_pause: Duration::from_secs(1),
        metrics: metrics.clone(),
        log: AccessLog::open(&log, metrics.access_log_dropped().clone()).unwrap().into(),
    };
    let config = ProxyConfig {
        name: "edge-1".to_owned(),
        max_object: 1 << 20,
        slice: 1 << 20,
        catch_up: Duration::from_millis(1),
        collapse_wait: Duration::from_secs(1),
        relay_window: 1 << 20,
        linger: Duration::from_secs(30),
        tunnels: 8,
        compress_threads: 1,
        compressions: 8,
    };
    Arc::new(Proxy::new(config, parts))
}

/// A door of a node that serves, with the given tokens.
fn door(tokens: Vec<Token>) -> AdminDoor {
    door_over(Store::new(LIMITS), tokens, None)
}

fn door_over(store: Store, tokens: Vec<Token>, journal: Option<Journal>) -> AdminDoor {
    let metrics = Arc::new(Metrics::new(&Served::NAMES));
    let proxy = proxy(&metrics, store);
    let purger = Purger::new(PurgerParts {
        store: proxy.store().clone(),
        journal: journal.map(|journal| Arc::new(Mutex::new(journal))),
        resolve: resolve_by(&proxy),
        barrier: Box::new(EventLoops::new(Vec::new())),
        metrics: metrics.clone(),
        clock: Instant::now,
        recent_max: 100,
        pending_max: 1000,
        follows: None,
        config: Default::default(),
    });
    let life = Arc::new(Life::default());
    life.set(State::Serving);
    let parts = AdminParts {
        name: "edge-1".to_owned(),
        region: "eu".to_owned(),
        role: "edge",
        version: "1.2.3",
        address: "127.0.0.1:9180".parse().unwrap(),
        life,
        proxy,
        purger,
        metrics,
        now: || Moment(1000),
    };
    AdminDoor::new(parts, tokens, "abc".to_owned())
}

/// A request, and what is asked of its answer.
struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a [(&'a str, &'a str)],
    host: &'static str,
    body: String,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        let (method, target, host) = ("GET", "/", "127.0.0.1:9180");
        Self { method, target, fields: &[], host, body: String::new() }
    }
}

struct Told {
    status: u16,
    fields: String,
    length: Option<u64>,
    text: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn detail(&self) -> String {
        assert!(self.fields.contains("content-type: application/problem+json\r\n"));
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

async fn told(door: &AdminDoor, ask: Ask<'_>) -> Told {
    let body = if ask.body.is_empty() { Body::Empty } else { Body::Full(ask.body.into()) };
    let address = "127.0.0.1:50000".parse().unwrap();
    let head = RequestHead {
        method: Method::from_bytes(ask.method.as_bytes()).unwrap(),
        host: ask.host.into(),
        target: ask.target.to_owned().into(),
        fields: ask.fields.iter().map(|&(name, value)| (name, value)).collect::<Fields>(),
        content_length: body.known_length(),
        peer: Peer { address, protocol: Protocol::Http1 { minor: 1 }, scheme: Scheme::Http },
    };
    let answer = door.serve(Request { head: Box::new(head), body });
    let Reply { response, .. } = match answer {
        Answer::Now(reply) => reply,
        Answer::Later(reply) => reply.await,
    };
    let text = match response.body {
        Body::Full(bytes) => String::from_utf8(bytes.into()).unwrap(),
        _ => String::new(),
    };
    let lines = [response.block.as_bytes(), &response.extra[..]].concat();
    Told {
        status: response.status.as_u16(),
        fields: String::from_utf8(lines).unwrap(),
        length: response.content_length,
        text,
    }
}

async fn get(door: &AdminDoor, target: &str) -> Told {
    told(door, Ask { target, ..Ask::default() }).await
}

async fn purge(door: &AdminDoor, target: &str, body: Value) -> Told {
    let fields = &[("content-type", "application/json; charset=utf-8")];
    told(door, Ask { method: "POST", target, fields, body: body.to_string(), ..Ask::default() })
        .await
}

fn url(host: &str) -> Value {
    json!({ "kind": "url", "value": format!("https://{host}/x") })
}

#[tokio::test]
async fn probes_tell_the_state() {
    let door = door(Vec::new());
    let life = door.0.parts.life.clone();
    for (state, ready) in [(State::Starting, 503), (State::Serving, 200), (State::Draining, 503)] {
        life.set(state);
        let health = get(&door, "/healthz").await;
        assert_eq!((health.status, &health.json()["data"]["state"]), (200, &state.as_str().into()));
        assert_eq!(get(&door, "/readyz").await.status, ready);
    }
    assert_eq!(get(&door, "/readyz").await.detail(), "The node is draining and takes no traffic.");
}

#[tokio::test]
async fn metrics_are_fresh_at_each_scrape() {
    let door = door(Vec::new());
    purge(&door, "/v1/purges", json!([url("shop.example"), url("blog.example")])).await;
    let metrics = get(&door, "/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.fields.contains("content-type: text/plain; version=0.0.4"));
    for line in [
        "headland_store_objects{tier=\"memory\"} 0",
        "headland_store_bytes{tier=\"memory\"} 0",
        "headland_evictions_total{tier=\"memory\"} 0",
        "headland_purge_position 2",
        "headland_purge_lag 0",
        "headland_purge_apply_seconds_count 2",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}\n{}", metrics.text);
    }
}

#[tokio::test]
async fn the_status_has_its_shape() {
    let door = door(Vec::new());
    purge(&door, "/v1/purges", url("shop.example")).await;
    let status = get(&door, "/v1/status").await.json();
    let expected = json!({
        "data": {
            "version": "1.2.3",
            "name": "edge-1",
            "region": "eu",
            "role": "edge",
            "state": "serving",
            "fenced": false,
            "config_version": "abc",
            "tiers": [{
                "tier": "memory",
                "objects": 0,
                "bytes": 0,
                "capacity_bytes": 1 << 20,
                "hits": 0,
                "misses": 0,
                "hit_ratio": 0.0,
                "evictions": 0,
            }],
            "upstreams": [
                { "name": "app", "server": "http://127.0.0.1:1", "healthy": true },
                { "name": "shield", "server": "http://127.0.0.1:2", "healthy": true },
            ],
            "purge": { "log": door.0.parts.purger.log(), "position": 1, "head": 1 },
        },
        "meta": {},
    });
    assert_eq!(status, expected);
    assert_eq!(
        get(&door, "/v1/status?verbose=1").await.detail(),
        "verbose: unknown parameter; expected none"
    );
}

#[tokio::test]
async fn a_disk_tier_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let disk = DiskConfig {
        size: 64 << 20,
        queue: 1 << 20,
        readers: 1,
        checkpoint: Duration::from_secs(3600),
        scrub: 0,
        errors: prometheus::IntCounter::new("errors", "errors").unwrap(),
    };
    let directory = CacheDirectory::open(folder.path()).unwrap();
    let store =
        Store::open(LIMITS, Rules::new(RULES), directory, &disk, KnownLog::unkept(1)).unwrap();
    let door = door_over(store, Vec::new(), None);
    let metrics = get(&door, "/metrics").await.text;
    for name in ["store_refused_total", "store_waiting_bytes", "store_short", "store_aside"] {
        let line = format!("headland_{name}{{tier=\"disk\"}} 0");
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("headland_store_index_bytes{tier=\"disk\"} "));
    let status = get(&door, "/v1/status").await.json();
    let disk = &status["data"]["tiers"][1];
    assert_eq!(disk["tier"], "disk");
    for key in ["evictions", "refused", "waiting_bytes", "errors"] {
        assert_eq!(disk[key], 0, "{key}");
    }
    assert!(disk["index_bytes"].is_u64());
    assert!(disk.get("short").is_none() && disk.get("aside").is_none());
}

#[tokio::test]
async fn a_purge_has_a_receipt() {
    let door = door(Vec::new());
    let log = door.0.parts.purger.log().to_owned();
    let one = purge(&door, "/v1/purges?wait=true&timeout=5s", url("shop.example")).await;
    assert_eq!(one.status, 200);
    let receipt = one.json()["data"].clone();
    assert_eq!(receipt["sequence"], json!({ "log": log, "number": 1 }));
    assert_eq!((&receipt["state"], &receipt["site"]), (&"complete".into(), &"shop".into()));
    let node = &receipt["nodes"][0];
    assert_eq!((&node["name"], &node["state"]), (&"edge-1".into(), &"applied".into()));
    assert!(node["ms"].is_number());

    let list = purge(&door, "/v1/purges", json!([url("shop.example")])).await;
    assert_eq!(list.json()["data"][0]["sequence"]["number"], 2);
    assert_eq!(get(&door, "/v1/purges/1").await.json()["data"], receipt);
    assert_eq!(get(&door, "/v1/purges/9").await.detail(), "No recent purge has the number 9.");
}

#[tokio::test]
async fn a_dry_run_tells_and_purges_nothing() {
    fn hit(kind: &str, value: &str) -> Value {
        json!({ "kind": kind, "value": value, "objects": 0, "bytes": 0, "estimate": false })
    }
    let door = door(Vec::new());
    let tag = json!({ "kind": "tag", "value": "p42" });
    let told = purge(&door, "/v1/purges?dry_run=true", tag.clone()).await;
    assert_eq!(told.status, 200);
    assert_eq!(told.json(), json!({ "data": hit("tag", "p42"), "meta": {} }));
    let list = json!([tag, url("blog.example")]);
    let told = purge(&door, "/v1/purges?dry_run=true", list).await;
    let hits = [hit("tag", "p42"), hit("url", "https://blog.example/x")];
    assert_eq!(told.json()["data"], json!(hits));
    let refused = purge(&door, "/v1/purges?dry_run=true", url("other.example")).await;
    assert_eq!(refused.status, 404);
    assert_eq!(door.0.parts.purger.head(), 0);
}

#[tokio::test]
async fn purges_are_listed_in_pages() {
    let door = door(Vec::new());
    for _ in 0..3 {
        purge(&door, "/v1/purges", url("shop.example")).await;
    }
    let page = get(&door, "/v1/purges?limit=2").await.json();
    assert_eq!(page["meta"], json!({ "limit": 2, "next": "2" }));
    assert_eq!(page["data"][0]["sequence"]["number"], 3);
    let rest = get(&door, "/v1/purges?limit=2&cursor=2").await.json();
    assert_eq!(rest["meta"], json!({ "limit": 2, "next": null }));
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn purges_that_cannot_be_are_refused() {
    let door = door(Vec::new());
    let unknown = "expected a host of one of this node's sites, found \"x.example\"";
    let cases = [
        (url("x.example"), 404, format!("value: {unknown}")),
        (json!([url("shop.example"), url("x.example")]), 404, format!("[1].value: {unknown}")),
        (
            json!({ "kind": "tag", "value": "a", "site": "news" }),
            404,
            "site: expected the name of one of this node's sites, found \"news\"".to_owned(),
        ),
        (json!({ "kind": "url" }), 400, "value: expected a URL, found nothing".to_owned()),
        (json!([]), 400, "purges: expected 1 to 1000 of them, found 0".to_owned()),
    ];
    for (body, status, detail) in cases {
        let refused = purge(&door, "/v1/purges", body).await;
        assert_eq!((refused.status, refused.detail()), (status, detail));
    }
    let fields = &[("content-type", "application/json")];
    let post =
        |body: String| Ask { method: "POST", target: "/v1/purges", fields, body, ..Ask::default() };
    let detail = told(&door, post("{".to_owned())).await.detail();
    assert!(detail.starts_with("body: expected a JSON object or a list of them: EOF"), "{detail}");
    let large = told(&door, post(" ".repeat((1 << 20) + 1))).await;
    assert_eq!(large.status, 413);
    assert_eq!(door.0.parts.purger.head(), 0);
}

#[tokio::test]
async fn a_purge_that_cannot_be_journaled_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("purges.journal"), 64).unwrap().0;
    journal.break_writes();
    let door = door_over(Store::new(LIMITS), Vec::new(), Some(journal));
    let refused = purge(&door, "/v1/purges?wait=true", url("shop.example")).await;
    assert_eq!(refused.status, 503);
    let detail = refused.detail();
    assert!(detail.ends_with("cannot be written: Bad file descriptor (os error 9)"), "{detail}");
    assert_eq!(door.0.parts.purger.head(), 0);
}

#[tokio::test]
async fn a_write_is_json_from_here() {
    let door = door(Vec::new());
    let post = |fields, host| Ask {
        method: "POST",
        target: "/v1/purges",
        fields,
        host,
        body: url("shop.example").to_string(),
    };
    let json = &[("content-type", "application/json")];
    let form = &[("content-type", "text/plain")];
    let found = told(&door, post(form, "localhost")).await;
    assert_eq!(
        (found.status, found.detail()),
        (415, "content-type: expected application/json, found \"text/plain\"".to_owned())
    );
    assert_eq!(told(&door, post(&[], "localhost")).await.status, 415);
    let found = told(&door, post(json, "evil.example")).await;
    assert_eq!(
        (found.status, found.detail()),
        (403, "host: expected localhost or a loopback address, found \"evil.example\"".to_owned())
    );
    assert_eq!(told(&door, post(json, "localhost:9180")).await.status, 200);
}

#[tokio::test]
async fn tokens_are_asked_for_and_scoped() {
    let token = |name: &str, role, sites: &[&str]| Token {
        name: name.to_owned(),
        role,
        sites: sites.iter().map(|&site| site.to_owned()).collect(),
        expires: (name == "gone").then_some(Moment(1000)),
        hash: TokenHash::of(&Secret::new(format!("hl_{name}"))),
    };
    let door = door(vec![
        token("viewer", TokenRole::View, &[]),
        token("deploy", TokenRole::Purge, &["shop"]),
        token("gone", TokenRole::Admin, &[]),
    ]);
    let ask = |method, target, authorization, body: Value| {
        let door = door.clone();
        async move {
            let fields = &[("authorization", authorization), ("content-type", "application/json")];
            let body = body.to_string();
            told(&door, Ask { method, target, fields, body, ..Ask::default() }).await
        }
    };
    assert_eq!(get(&door, "/healthz").await.status, 200);
    assert_eq!(get(&door, "/openapi.json").await.text, OPENAPI);
    let refused = get(&door, "/metrics").await;
    assert_eq!(refused.status, 401);
    assert!(refused.fields.contains("www-authenticate: Bearer\r\n"));
    let (viewer, deploy) = ("Bearer hl_viewer", "Bearer hl_deploy");
    assert_eq!(ask("GET", "/metrics", viewer, json!({})).await.status, 200);
    let expired = ask("GET", "/metrics", "Bearer hl_gone", json!({})).await;
    assert_eq!(expired.status, 401);
    assert_eq!(expired.detail(), "authorization: the token has expired");
    assert_eq!(ask("POST", "/v1/purges", viewer, url("shop.example")).await.status, 403);
    let purged = ask("POST", "/v1/purges", deploy, url("shop.example")).await;
    assert_eq!((purged.status, &purged.json()["data"]["by"]), (200, &"deploy".into()));
    let refused = ask("POST", "/v1/purges", deploy, url("blog.example")).await;
    assert_eq!(
        (refused.status, refused.detail()),
        (
            403,
            "value: expected a URL of a site that the token is for, found one of site \"blog\""
                .to_owned()
        )
    );
    door.reload(vec![token("other", TokenRole::Admin, &[])], "def".to_owned());
    assert_eq!(ask("GET", "/v1/status", viewer, json!({})).await.status, 401);
    let status = ask("GET", "/v1/status", "Bearer hl_other", json!({})).await.json();
    assert_eq!(status["data"]["config_version"], "def");
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let door = door(Vec::new());
    assert_eq!(get(&door, "/v1/nodes").await.detail(), "There is no endpoint \"/v1/nodes\".");
    let fields = &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    let ask = Ask { method: "DELETE", target: "/v1/purges", fields, ..Ask::default() };
    let refused = told(&door, ask).await;
    assert_eq!(
        (refused.status, refused.detail()),
        (405, "method: expected GET, HEAD, POST, found DELETE".to_owned())
    );
    assert!(refused.fields.contains("allow: GET, HEAD, POST\r\n"));
    assert_eq!(refused.json()["trace_id"], "0af7651916cd43dd8448eb211c80319c");

    let whole = get(&door, "/healthz").await;
    let head = told(&door, Ask { method: "HEAD", target: "/healthz", ..Ask::default() }).await;
    assert_eq!((head.status, head.length, &*head.text), (200, whole.length, ""));
    assert_eq!(whole.length, Some(whole.text.len() as u64));
}
