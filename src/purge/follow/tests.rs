//! A follower before a scripted control plane, over real sockets.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::net::client::{PoolConfig, Server};
use crate::object::{Entry, LogId, Position, PurgeCommand, PurgeState, Sequence};
use crate::purge::tests::{follower_of, target};
use crate::purge::{Followed, Purger};

const LOG: LogId = LogId(7);

/// What the control plane says, and what it was told.
struct Script {
    /// The lines of the log, by connection; the last one stays open.
    logs: Mutex<VecDeque<Vec<String>>>,
    /// The answer to every heartbeat.
    answer: Mutex<(u16, Value)>,
    heartbeats: watch::Sender<Vec<Value>>,
    /// Where the log was asked for.
    asked: watch::Sender<Vec<String>>,
}

impl Script {
    async fn start(logs: Vec<Vec<String>>, answer: (u16, Value)) -> (Arc<Self>, Pool) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Self {
            logs: Mutex::new(logs.into()),
            answer: Mutex::new(answer),
            heartbeats: watch::Sender::default(),
            asked: watch::Sender::default(),
        });
        let serving = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        let pool = Pool::new(Server::http("127.0.0.1", port), PoolConfig::default());
        (script, pool)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut request, mut length, mut line) = (String::new(), 0, String::new());
            while stream.read_line(&mut line).await.is_ok_and(|count| count > 2) {
                if request.is_empty() {
                    request = line.clone();
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if request.is_empty() || stream.read_exact(&mut body).await.is_err() {
                return;
            }
            let target = request.split(' ').nth(1).unwrap().to_owned();
            if request.starts_with("GET") {
                return self.tell(stream, target).await;
            }
            let beat = serde_json::from_slice(&body).unwrap();
            self.heartbeats.send_modify(|beats| beats.push(beat));
            let (status, json) = self.answer.lock().clone();
            let json = json.to_string();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", json.len());
            stream.write_all((head + &json).as_bytes()).await.unwrap();
        }
    }

    async fn tell(&self, mut stream: BufReader<TcpStream>, target: String) {
        self.asked.send_modify(|asked| asked.push(target));
        let (lines, stays) = {
            let mut logs = self.logs.lock();
            (logs.pop_front().unwrap_or_default(), logs.is_empty())
        };
        let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
        for line in lines {
            text += &format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        }
        stream.write_all(text.as_bytes()).await.unwrap();
        if stays {
            // Until the follower leaves.
            let _left = stream.read_u8().await;
        }
    }

    /// The first heartbeat that `is_it`.
    async fn told(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut heartbeats = self.heartbeats.subscribe();
        let waiting = heartbeats.wait_for(|beats| beats.iter().any(&is_it));
        let beats = timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        beats.iter().find(|beat| is_it(beat)).unwrap().clone()
    }
}

/// A grant to a node that every purge has waited for.
fn grant(head: Position) -> (u16, Value) {
    grant_since(0, head)
}

fn grant_since(since: u64, head: Position) -> (u16, Value) {
    let Position { log, number, hash } = head;
    let (log, hash) = (log.to_string(), hash.to_string());
    let data = json!({
        "granted": true, "lease_ms": 300, "log": log, "head": number, "head_hash": hash,
        "since": since,
    });
    (200, json!({ "data": data, "meta": {} }))
}

fn at(beat: &Value) -> Option<u64> {
    beat["position"]["number"].as_u64()
}

fn command(path: &str) -> PurgeCommand {
    let value = format!("https://shop.example{path}");
    PurgeCommand::from_json(&json!({"kind": "url", "value": value})).unwrap()
}

/// Entries of one purge each behind `position`, and the position behind them.
fn entries(position: Position, paths: &[&str]) -> (Vec<String>, Position) {
    let mut behind = position;
    let lines = paths.iter().map(|path| {
        let (first, commands) = (behind.number + 1, vec![command(path)]);
        let by = "test".to_owned();
        let entry = Entry { first, previous: behind.hash, at: 1, by, commands };
        behind = behind.then(&entry).unwrap();
        entry.to_json()
    });
    let lines = lines.collect();
    (lines, behind)
}

fn told_position(position: Position, resume: Option<&str>) -> String {
    let Position { log, number, hash } = position;
    let (log, hash) = (log.to_string(), hash.to_string());
    json!({"log": log, "head": number, "head_hash": hash, "resume": resume}).to_string()
}

fn state(purger: &Purger, since: u64, path: &str) -> PurgeState {
    let target = target("shop", "shop.example", path);
    purger.rules().url_state_since(Sequence { number: since }, &target)
}

fn follow(purger: &Arc<Purger>, pool: Pool, followed: Option<Followed>) -> Arc<Follower> {
    let says = watch::channel(Value::Null).1;
    let beside = Beside { says, hears: Box::new(|_| ()), figures: Box::new(|| Value::Null) };
    follow_beside(purger, pool, followed, beside)
}

fn follow_beside(
    purger: &Arc<Purger>,
    pool: Pool,
    followed: Option<Followed>,
    beside: Beside,
) -> Arc<Follower> {
    let follower = Follower::new(FollowParts {
        purger: purger.clone(),
        pool,
        authorization: HeaderValue::from_static("Bearer x"),
        facts: NodeFacts {
            name: "fra-1".to_owned(),
            region: "eu".to_owned(),
            role: "edge",
            version: "1",
        },
        incarnation: Incarnation { own: 7, succeeds: vec![5, 6] },
        registered: Arc::new(|| ()),
        on_loss: OnControlLoss::Serve,
        served: followed.is_some_and(|followed| followed.serves),
        uptime: || Duration::from_secs(1),
        beside,
    });
    tokio::spawn(follower.clone().run());
    follower
}

#[tokio::test]
async fn what_goes_along_with_heartbeats_is_said_at_once_and_heard_with_each_grant() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (status, mut answer) = grant(start);
    answer["data"]["lease_ms"] = json!(3_600_000);
    answer["data"]["config"] = json!({ "version": 7 });
    let (script, pool) =
        Script::start(vec![vec![told_position(start, Some("entries"))]], (status, answer)).await;
    let (purger, followed) = follower_of(&folder);
    let (say, says) = watch::channel(json!("first"));
    let (heard, mut hears) = watch::channel(Value::Null);
    let hear = Box::new(move |config: &Value| drop(heard.send_replace(config.clone())));
    let figures = Box::new(|| json!({ "state": "serving" }));
    follow_beside(&purger, pool, followed, Beside { says, hears: hear, figures });
    let beat = script.told(|beat| beat["config"] == "first").await;
    assert_eq!(beat["status"], json!({ "state": "serving" }));
    hears.wait_for(|config| *config == json!({ "version": 7 })).await.unwrap();
    // The next heartbeat is due in twenty minutes.
    say.send_replace(json!("second"));
    script.told(|beat| beat["config"] == "second").await;
}

#[tokio::test]
async fn entries_are_applied_journaled_and_acknowledged() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (lines, behind) = entries(start, &["/a", "/b"]);
    let first = [vec![told_position(start, Some("foreign"))], lines].concat();
    let (script, pool) = Script::start(vec![first], grant(behind)).await;
    let (purger, followed) = follower_of(&folder);
    assert_eq!(followed, None);
    follow(&purger, pool, followed);
    let beat = script.told(|beat| at(beat) == Some(2)).await;
    assert_eq!(beat["position"]["hash"], behind.hash.to_string());
    script.told(|beat| beat["fenced"] == false).await;
    assert_eq!((purger.log(), purger.position(), purger.head()), (LOG.to_string(), 2, 2));
    // What was there before is of no log that is known; then came two purges.
    assert_eq!(state(&purger, 0, "/other"), PurgeState::Possibly);
    assert_eq!(state(&purger, 1, "/other"), PurgeState::Clean);
    assert_eq!(state(&purger, 1, "/a"), PurgeState::Hard);
    assert_eq!(state(&purger, 2, "/b"), PurgeState::Hard);
    let asked = script.asked.borrow().clone();
    assert_eq!(asked, ["/v1/log"]);
    let (again, followed) = follower_of(&folder);
    assert_eq!(followed, Some(Followed { position: behind, serves: true }));
    again.rules().fence(false);
    assert_eq!((again.position(), state(&again, 2, "/b")), (2, PurgeState::Hard));
}

#[tokio::test]
async fn a_node_goes_on_where_its_journal_stands() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (lines, behind) = entries(start, &["/a", "/b"]);
    let resumes = told_position(behind, Some("entries"));
    {
        let (purger, _) = follower_of(&folder);
        purger.distrust(start, true).await.unwrap();
        let entry = Entry::from_json(lines[0].as_bytes()).unwrap();
        let position = start.then(&entry).unwrap();
        purger.apply(&[&entry.commands[0]], position, true, |_| ()).await.unwrap();
    }
    let (script, pool) = Script::start(vec![vec![resumes, lines[1].clone()]], grant(behind)).await;
    let (purger, followed) = follower_of(&folder);
    follow(&purger, pool, followed);
    assert!(!purger.rules().is_fenced(), "the last grant lets it serve alone");
    script.told(|beat| at(beat) == Some(2)).await;
    assert_eq!(state(&purger, 2, "/b"), PurgeState::Hard);
    assert!(script.asked.borrow()[0].starts_with(&format!("/v1/log?log={LOG}&after=1&hash=")));
}

#[tokio::test]
async fn a_history_that_is_not_the_nodes_voids_what_is_stored() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (lines, _) = entries(start, &["/a", "/b"]);
    let other = Position { number: 40, ..Position::start(LogId(8)) };
    // The second entry without the first; then another log.
    let broken = vec![told_position(start, Some("foreign")), lines[1].clone()];
    let foreign = vec![told_position(other, Some("foreign"))];
    let (script, pool) = Script::start(vec![broken, foreign], grant(start)).await;
    let (purger, followed) = follower_of(&folder);
    follow(&purger, pool, followed);
    script.told(|beat| at(beat) == Some(40)).await;
    assert_eq!(script.asked.borrow()[..], ["/v1/log", "/v1/log"]);
    assert_eq!(state(&purger, 1, "/any"), PurgeState::Possibly);
}

#[tokio::test]
async fn purges_that_still_matter_stand_for_those_that_are_gone() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let behind = Position { number: 9, ..start };
    let (lines, last) = entries(behind, &["/c"]);
    let matters = json!({"number": 5, "command": command("/a").to_json()}).to_string();
    let snapshot = json!({"log": LOG.to_string(), "head": 10, "resume": "snapshot"}).to_string();
    let lines = [vec![snapshot, matters, told_position(behind, None)], lines].concat();
    let (script, pool) = Script::start(vec![lines], grant(last)).await;
    let (purger, followed) = follower_of(&folder);
    purger.distrust(start, false).await.unwrap();
    follow(&purger, pool, followed);
    script.told(|beat| at(beat) == Some(10)).await;
    assert_eq!(state(&purger, 1, "/a"), PurgeState::Hard);
    assert_eq!(state(&purger, 1, "/c"), PurgeState::Hard);
    assert_eq!(state(&purger, 1, "/b"), PurgeState::Clean);
    assert_eq!(purger.standing().position, Some(last));
}

#[tokio::test]
async fn what_purges_would_hit_is_told_and_the_log_goes_on() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (lines, behind) = entries(start, &["/a"]);
    let survey =
        |id: &str, commands: Value| json!({"commands": commands, "survey": id}).to_string();
    let known = json!([command("/a").to_json(), {"kind": "site", "value": "elsewhere"}]);
    let asked = vec![
        told_position(start, Some("foreign")),
        survey("00000000000000aa", known),
        survey("00000000000000bb", json!([{"kind": "of a later version", "value": "x"}])),
    ];
    let (script, pool) = Script::start(vec![[asked, lines].concat()], grant(behind)).await;
    let (purger, followed) = follower_of(&folder);
    follow(&purger, pool, followed);
    let told = script.told(|told| told["hits"].is_array()).await;
    let none = json!({"objects": 0, "bytes": 0});
    assert_eq!(told, json!({"hits": [none, none], "estimate": false}));
    let fault = script.told(|told| told["fault"].is_string()).await;
    assert!(fault["fault"].as_str().unwrap().starts_with("kind: expected"), "{fault}");
    script.told(|beat| at(beat) == Some(1)).await;
    assert_eq!(script.asked.borrow().len(), 1, "one stream all along");
}

#[tokio::test]
async fn a_node_that_is_refused_is_fenced() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (script, pool) =
        Script::start(vec![vec![told_position(start, Some("foreign"))]], grant(start)).await;
    let (purger, followed) = follower_of(&folder);
    let follower = follow(&purger, pool, followed);
    script.told(|beat| beat["fenced"] == false).await;
    *script.answer.lock() = (409, json!({"detail": "another process has this name"}));
    assert!(follower.beat_once(None).await.is_err());
    follower.settle();
    assert!(purger.rules().is_fenced());
    assert_eq!(script.heartbeats.borrow()[0]["on_control_loss"], "serve");
}

#[tokio::test]
async fn a_node_that_leaves_trusts_nothing_before_it_says_so() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (script, pool) =
        Script::start(vec![vec![told_position(start, Some("foreign"))]], grant(start)).await;
    let (purger, followed) = follower_of(&folder);
    let follower = follow(&purger, pool, followed);
    let beat = script.told(|beat| beat["fenced"] == false).await;
    let process = json!(["0000000000000007", ["0000000000000005", "0000000000000006"]]);
    assert_eq!(json!([beat["incarnation"], beat["succeeds"]]), process);
    follower.leave().await.unwrap();
    let last = script.heartbeats.borrow().last().unwrap().clone();
    assert_eq!((&last["leaves"], &last["fenced"]), (&json!(true), &json!(true)));
    let (_, followed) = follower_of(&folder);
    assert_eq!(followed, Some(Followed { position: start, serves: false }));
    assert!(follower.leave().await.is_err(), "it has no lease any more");
    assert!(purger.rules().is_fenced());
}

#[tokio::test]
async fn a_node_that_is_not_heard_does_not_leave() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    {
        let (purger, _) = follower_of(&folder);
        purger.distrust(start, true).await.unwrap();
    }
    let (_, pool) = Script::start(Vec::new(), (503, json!({}))).await;
    let (purger, followed) = follower_of(&folder);
    let follower = follow(&purger, pool, followed);
    assert!(follower.leave().await.is_err());
    assert!(!purger.rules().is_fenced(), "it serves on, and may at its next start");
}

#[tokio::test]
async fn a_node_that_missed_what_did_not_wait_for_it_applies_that_first() {
    let folder = TempDir::new().unwrap();
    let start = Position::start(LOG);
    let (lines, behind) = entries(start, &["/a"]);
    {
        let (purger, _) = follower_of(&folder);
        purger.distrust(start, true).await.unwrap();
    }
    // The log is silent; whoever struck the node off let the purge be complete without it.
    let (script, pool) =
        Script::start(vec![vec![told_position(start, Some("entries"))]], grant_since(1, behind))
            .await;
    let (purger, followed) = follower_of(&folder);
    assert!(followed.unwrap().serves);
    follow(&purger, pool, followed);
    script.told(|beat| beat["fenced"] == true).await;
    let (_, followed) = follower_of(&folder);
    assert!(!followed.unwrap().serves, "nor does its next start trust what is stored");
    let entry = Entry::from_json(lines[0].as_bytes()).unwrap();
    purger.apply(&[&entry.commands[0]], behind, false, |_| ()).await.unwrap();
    script.told(|beat| at(beat) == Some(1) && beat["fenced"] == false).await;
}
