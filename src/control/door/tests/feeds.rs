//! The stream of the log.

use super::*;

/// A stream, line by line.
pub(super) struct Lines {
    body: Body,
    text: String,
}

impl Lines {
    async fn open(stage: &Stage, query: &str) -> Self {
        Self::open_with(stage, query, &[]).await
    }

    /// One that is asked for with these fields.
    pub(super) async fn open_with(stage: &Stage, query: &str, fields: &[(&str, &str)]) -> Self {
        let target = format!("/v1/log{query}");
        let response = stage.response("GET", &target, fields, String::new()).await;
        assert_eq!(response.status, 200);
        let kind = response.block.get("content-type");
        assert_eq!(kind, Some(&b"application/x-ndjson"[..]));
        Self { body: response.body, text: String::new() }
    }

    /// The next line; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return Some(line);
            }
            match self.body.next().await? {
                Ok(Piece::Data(bytes)) => {
                    self.text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.next().await.unwrap()).unwrap()
    }
}

/// The position of whoever has applied all, as parameters.
fn at_head(stage: &Stage) -> String {
    let Position { log, number, hash } = stage.plane.head();
    format!("?log={log}&after={number}&hash={hash}")
}

#[tokio::test]
async fn a_node_follows_from_where_it_was() {
    let stage = Stage::open().await;
    let start = at_head(&stage);
    stage.purge("", json!([tag("a"), tag("b")])).await;
    let mut lines = Lines::open(&stage, &start).await;
    let head = stage.plane.head();
    let first = json!({
        "log": head.log.to_string(), "head": 2, "head_hash": head.hash.to_string(),
        "resume": "entries",
    });
    assert_eq!(lines.json().await, first);
    let mut position = Position::start(head.log);
    for (tag_of, last) in [("a", 2), ("c", 3)] {
        let line = lines.next().await.unwrap();
        let entry = crate::object::Entry::from_json(line.as_bytes()).unwrap();
        position = position.then(&entry).unwrap();
        assert_eq!((&*entry.commands[0].value, entry.last()), (tag_of, last));
        // The next comes while the stream is open.
        stage.purge("", tag("c")).await;
    }
    assert_eq!(stage.get("/v1/status").await.data()["feeds"], 1);
    drop(lines);
    assert_eq!(stage.get("/v1/status").await.data()["feeds"], 0);
}

#[tokio::test]
async fn who_shows_nothing_or_something_else_starts_over() {
    let stage = Stage::open().await;
    stage.purge("", tag("a")).await;
    let there = at_head(&stage);
    let log = stage.plane.head().log.to_string();
    let foreign = there.replace(&log, &"0".repeat(32));
    let wrong = there.replace("after=1", "after=7");
    for query in ["", &foreign, &wrong] {
        let mut lines = Lines::open(&stage, query).await;
        let first = lines.json().await;
        assert_eq!((&first["resume"], &first["head"]), (&json!("foreign"), &json!(1)), "{query}");
    }
    for query in ["?after=1", "?log=x", "?hash=0", "?since=1"] {
        assert_eq!(stage.get(&format!("/v1/log{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn who_missed_more_than_is_kept_gets_a_snapshot_and_goes_on() {
    let stage = Stage::open().await;
    let start = at_head(&stage);
    for n in 0..12 {
        stage.purge("", tag(&(n % 2).to_string())).await;
    }
    let mut lines = Lines::open(&stage, &start).await;
    let first = lines.json().await;
    let at = stage.plane.head();
    let behind = json!({
        "log": at.log.to_string(), "head": 12, "head_hash": at.hash.to_string(),
    });
    assert_eq!((&first["resume"], &first["head"]), (&json!("snapshot"), &json!(12)));
    let command = |value: &str| json!({ "kind": "tag", "value": value });
    assert_eq!(lines.json().await, json!({ "number": 11, "command": command("0") }));
    assert_eq!(lines.json().await, json!({ "number": 12, "command": command("1") }));
    assert_eq!(lines.json().await, behind);
    stage.purge("", tag("next")).await;
    assert_eq!(lines.json().await["first"], 13);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_shows_that_it_lives_and_ends_when_the_control_plane_stops() {
    let stage = Stage::open().await;
    let mut lines = Lines::open(&stage, &at_head(&stage)).await;
    lines.json().await;
    for _ in 0..3 {
        assert_eq!(lines.next().await.as_deref(), Some(""));
    }
    stage.drain.begin();
    assert_eq!(lines.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_is_taken_away() {
    const TOKENS: [(&str, TokenRole, &[&str]); 3] = [
        ("gone", TokenRole::Node, &[]),
        ("fallen", TokenRole::Node, &[]),
        ("kept", TokenRole::Node, &[]),
    ];
    let stage = Stage::new(&TOKENS).await;
    let open = async |name: &str| {
        let authorization = format!("Bearer hl_{name}");
        let fields = [("authorization", &*authorization)];
        let mut lines = Lines::open_with(&stage, &at_head(&stage), &fields).await;
        lines.json().await;
        lines
    };
    let (mut gone, mut fallen, mut kept) =
        (open("gone").await, open("fallen").await, open("kept").await);
    let quiet = tokio::time::Instant::now();
    let ended = tokio::join!(gone.next(), fallen.next(), async {
        stage.door.reload(vec![token(&("fallen", TokenRole::View, &[])), token(&TOKENS[2])]);
    });
    assert_eq!(ended, (None, None, ()));
    assert_eq!(quiet.elapsed(), Duration::ZERO, "at once");
    assert_eq!(kept.next().await.as_deref(), Some(""));
}
