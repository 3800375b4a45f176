//! One line for each request, when it is over.

use std::io::BufRead;

use serde_json::Value;

use crate::support::door::Door;
use crate::support::{
    Ask, Gate, Protocol, Reply, Scene, TestNode, eventually, over_each_protocol, within,
};

/// Requests whose clients left before there was a response.
const GONE: &str = "headland_request_seconds_count{result=\"gone\"";

over_each_protocol!(
    each_request_is_a_line_of_json,
    lines_can_be_in_common_log_format,
    a_client_that_leaves_is_logged_as_gone,
    a_client_that_leaves_before_the_head_gives_its_place_back,
);

async fn lines(node: &mut TestNode) -> Vec<String> {
    within("the node's end", node.stop()).await.unwrap();
    let log = std::fs::read_to_string(node.folder().join("access.log")).unwrap();
    log.lines().map(str::to_owned).collect()
}

/// The scene ends but for its node, so that connections do not hold the drain up.
async fn logged(scene: Scene) -> Vec<String> {
    let Scene { mut node, client, origin: _origin, .. } = scene;
    drop(client);
    lines(&mut node).await
}

async fn each_request_is_a_line_of_json(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.logging("access = \"access.log\"")).await;
    scene.origin.on("/page", Reply::fresh("hello"));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let ask = Ask::get("/page?q=%22").field("user-agent", "a \"tester\"");
    scene.ask(ask.field("traceparent", trace).field("referer", "https://x.example/")).await;
    scene.get_with("/page?q=%22", "range", "bytes=0-0").await;
    scene.ask(Ask::get("/").host("nobody.example")).await;
    let lines = logged(scene).await;
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let (scheme, version) = match protocol {
        Protocol::H1 => ("http", "HTTP/1.1"),
        Protocol::H2 => ("https", "HTTP/2"),
        Protocol::H3 => ("https", "HTTP/3"),
    };
    for (field, value) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("scheme", scheme),
        ("protocol", version),
        ("host", "shop.example"),
        ("target", "/page?q=%22"),
        ("result", "miss"),
        ("reason", "miss"),
        ("site", "shop"),
        ("referer", "https://x.example/"),
        ("user_agent", "a \"tester\""),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
    ] {
        assert_eq!(lines[0][field], value, "{field}");
    }
    for (field, value) in [("status", 200), ("bytes", 5), ("origin_status", 200)] {
        assert_eq!(lines[0][field], value, "{field}");
    }
    assert!(lines[0]["duration_us"].is_u64());
    assert!(lines[0]["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&lines[1]["result"], &lines[1]["reason"]), (&"hit".into(), &"fresh".into()));
    assert_eq!((&lines[1]["status"], &lines[1]["bytes"]), (&206.into(), &1.into()));
    assert_eq!(lines[1]["range"], "bytes=0-0");
    assert_eq!((&lines[2]["status"], &lines[2]["result"]), (&421.into(), &"refused".into()));
    assert_eq!(lines[2]["reason"], "unknown-host");
}

async fn lines_can_be_in_common_log_format(protocol: Protocol) {
    let set = "access = \"access.log\"\nformat = \"common\"";
    let scene = Scene::with(protocol, |setup| setup.logging(set)).await;
    scene.origin.on("/page", Reply::fresh("hello"));
    scene.get("/page").await;
    let lines = logged(scene).await;
    assert_eq!(lines.len(), 1);
    let (before, after) = lines[0].split_once(" - - [").unwrap();
    assert_eq!(before, "127.0.0.1");
    let request = after.split_once("] \"GET /page HTTP/").unwrap().1;
    assert!(request.ends_with("\" 200 5"), "{request}");
}

async fn a_client_that_leaves_is_logged_as_gone(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.logging("access = \"access.log\"")).await;
    let (gate, never) = (Gate::new(), Gate::new());
    let reply = Reply::ok("x").field("cache-control", "no-store").gate(&gate);
    scene.origin.on("/", reply.piece(vec![b'y'; 1 << 20]).gate(&never).piece("z"));
    let crowd = scene.crowd(1).await;
    let mut response = within("a head", crowd[0].open(Ask::get("/"))).await.unwrap();
    response.at_least(1).await.unwrap();
    drop((response, crowd));
    gate.open();
    scene.origin.until("the end of the fetch", |asked| asked[0].left).await;
    let lines = logged(scene).await;
    assert_eq!(lines.len(), 1);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&line["status"], &line["reason"]), (&200.into(), &"client-gone".into()));
}

async fn a_client_that_leaves_before_the_head_gives_its_place_back(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.logging("access = \"access.log\"")).await;
    let gate = Gate::new();
    scene.origin.on("/", Reply::fresh("late").held(&gate));
    let leaving = scene.crowd(1).await.remove(0);
    tokio::select! {
        _ = leaving.open(Ask::get("/")) => panic!("an answer before the origin's"),
        () = scene.origin.until_asked(1) => {}
    }
    drop(leaving);
    let door = Door::of(&scene.node).await;
    let gone = async || door.metric(GONE).await >= 1.0;
    eventually("the request's end while its origin stalls", gone).await;
    // The fetch goes on, for whoever asks next.
    gate.open();
    assert_eq!(scene.get("/").await.text(), "late");
    assert_eq!(scene.origin.count(), 1);
    drop(door);
    let lines = logged(scene).await;
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&first["status"], &first["reason"]), (&499.into(), &"client-gone".into()));
}

/// A log that stands still holds no request up: what its bounded queue cannot take is dropped, and
/// counted, so that lines and drops make up the requests.
#[tokio::test]
async fn what_the_log_cannot_take_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Opened for both, so that neither end waits for the other.
    let pipe = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let set = format!("access = \"{}\"\nqueue = 64", path.display());
    let scene = Scene::with(Protocol::H1, |setup| setup.logging(&set)).await;
    scene.origin.on("/", Reply::fresh("hello"));
    let door = Door::of(&scene.node).await;
    let mut asked = 0;
    let dropped = async || door.metric("headland_access_log_dropped_total").await;
    while dropped().await < 10.0 {
        for _ in 0..50 {
            assert_eq!(scene.get("/").await.text(), "hello");
            asked += 1;
        }
    }
    let written = asked - dropped().await as usize;
    assert!(written > 0);
    let reading = tokio::task::spawn_blocking(move || {
        let lines = std::io::BufReader::new(pipe).lines().take(written);
        lines.filter(|line| serde_json::from_str::<Value>(line.as_ref().unwrap()).is_ok()).count()
    });
    assert_eq!(within("all lines that were not dropped", reading).await.unwrap(), written);
    assert_eq!(asked - dropped().await as usize, written);
}
