//! Lines as they are written, and the log as a whole: nothing torn, nothing lost uncounted.

use std::fs;
use std::io::Write;
use std::net::Ipv6Addr;
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use super::time::Clock;
use super::*;

const FLUSH: Duration = Duration::from_secs(30);

fn entry() -> Entry<'static> {
    Entry {
        unix_millis: 1_795_323_633_045,
        client: IpAddr::from([192, 0, 2, 17]),
        method: b"GET",
        scheme: "https",
        host: b"static.example.com",
        target: b"/a.css?v=1",
        protocol: "HTTP/2",
        status: 200,
        bytes: 1024,
        duration: Duration::from_micros(153),
        ttfb: None,
        result: "hit",
        reason: "fresh",
        site: "shop",
        origin_status: None,
        range: None,
        referer: None,
        user_agent: None,
        trace_id: None,
    }
}

fn line(format: Format, entry: &Entry<'_>) -> String {
    let mut line = Vec::new();
    line::write(&mut line, &mut Clock::new(), format, entry);
    String::from_utf8(line).expect("a line is UTF-8 whatever the client sent")
}

fn parsed(entry: &Entry<'_>) -> Value {
    let line = line(Format::Json, entry);
    assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
    serde_json::from_str(&line).expect("JSON")
}

fn dropped() -> IntCounter {
    IntCounter::new("dropped", "lines lost").expect("a name")
}

fn file_log(path: PathBuf, queue_bytes_max: usize) -> AccessLog {
    let config =
        AccessConfig { target: Target::File(path), format: Format::Common, queue_bytes_max };
    AccessLog::open(&config, dropped()).expect("opens")
}

#[test]
fn json_has_documented_keys_in_a_stable_order() {
    assert_eq!(
        line(Format::Json, &entry()),
        concat!(
            r#"{"time":"2026-11-22T05:00:33.045Z","client":"192.0.2.17","method":"GET","#,
            r#""scheme":"https","host":"static.example.com","target":"/a.css?v=1","#,
            r#""protocol":"HTTP/2","status":200,"bytes":1024,"duration_us":153,"#,
            r#""result":"hit","reason":"fresh","site":"shop"}"#,
            "\n"
        )
    );
    let full = Entry {
        client: IpAddr::V6(Ipv6Addr::LOCALHOST),
        ttfb: Some(Duration::from_millis(2)),
        origin_status: Some(304),
        range: Some(b"bytes=0-1"),
        referer: Some(b"https://example.com/"),
        user_agent: Some(b"curl/8.0"),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
        site: "",
        ..entry()
    };
    assert_eq!(
        parsed(&full),
        json!({
            "time": "2026-11-22T05:00:33.045Z", "client": "::1", "method": "GET",
            "scheme": "https", "host": "static.example.com", "target": "/a.css?v=1",
            "protocol": "HTTP/2", "status": 200, "bytes": 1024, "duration_us": 153,
            "ttfb_us": 2000, "result": "hit", "reason": "fresh", "origin_status": 304,
            "range": "bytes=0-1", "referer": "https://example.com/", "user_agent": "curl/8.0",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        })
    );
}

#[test]
fn common_and_combined_log_format() {
    let mut entry = entry();
    let common = r#"192.0.2.17 - - [22/Nov/2026:05:00:33 +0000] "GET /a.css?v=1 HTTP/2" 200 1024"#;
    assert_eq!(line(Format::Common, &entry), format!("{common}\n"));
    assert_eq!(line(Format::Combined, &entry), format!("{common} \"-\" \"-\"\n"));
    entry.referer = Some(b"\"\\\n\xe9\x7f");
    entry.user_agent = Some(b"curl/8.0");
    let escaped = r#""\"\\\x0a\xe9\x7f" "curl/8.0""#;
    assert_eq!(line(Format::Combined, &entry), format!("{common} {escaped}\n"));
}

#[test]
fn every_byte_survives_json() {
    let table: [(&[u8], &str); 7] = [
        (b"plain", "plain"),
        (b"", ""),
        (b"a\"b\\c", "a\"b\\c"),
        (b"\n\r\t\x00\x1f\x7f", "\n\r\t\0\u{1f}\u{7f}"),
        ("Zoë 🦀".as_bytes(), "Zoë 🦀"),
        (b"caf\xe9 \xff", "caf\\xe9 \\xff"),
        (b"\xf0\x9f\xa6", "\\xf0\\x9f\\xa6"),
    ];
    for (bytes, decoded) in table {
        let value = parsed(&Entry { user_agent: Some(bytes), ..entry() });
        assert_eq!(value["user_agent"], decoded, "{bytes:?}");
    }
    for byte in 0..=u8::MAX {
        let around = [b'a', byte, b'z'];
        let entry = Entry { target: &around, ..entry() };
        let value = parsed(&entry);
        let target = value["target"].as_str().expect("a string");
        assert!(target.starts_with('a') && target.ends_with('z'), "{byte}: {target:?}");
        assert_eq!(line(Format::Common, &entry).matches('\n').count(), 1);
    }
}

#[test]
fn a_field_is_cut_at_its_bound() {
    let long = vec![b'a'; 100_000];
    let value = parsed(&Entry { host: &long, ..entry() });
    assert_eq!(value["host"].as_str().map(str::len), Some(8192));
    // Cut within a character: its first bytes are kept as bytes.
    let wide = "é".repeat(5000).split_off(2).into_bytes();
    let wide = [b"a", wide.as_slice()].concat();
    let value = parsed(&Entry { host: &wide, ..entry() });
    assert!(value["host"].as_str().is_some_and(|host| host.ends_with("é\\xc3")));
}

#[test]
fn lines_of_all_threads_are_written_whole_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let log = file_log(path.clone(), 64 << 20);
    thread::scope(|scope| {
        for worker in 0..4u16 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..5000 {
                    log.log(&Entry { status: worker, bytes: number, ..entry() });
                }
            });
        }
    });
    assert!(log.flush(FLUSH));
    let mut next = [0; 4];
    for line in fs::read_to_string(&path).expect("written").lines() {
        let (_, tail) = line.split_once("HTTP/2\" ").expect("a whole line");
        let (worker, number) = tail.split_once(' ').expect("two numbers");
        let expected = &mut next[worker.parse::<usize>().expect("a number")];
        assert_eq!(number, expected.to_string());
        *expected += 1;
    }
    assert_eq!(next, [5000; 4]);
}

#[test]
fn after_rotation_lines_go_to_the_new_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = file_log(path.clone(), 1 << 20);
    let write = |bytes| log.log(&Entry { bytes, ..entry() });
    write(1);
    assert!(log.flush(FLUSH));
    fs::rename(&path, &rotated).expect("renamed");
    write(2);
    assert!(log.flush(FLUSH));
    log.reopen();
    assert!(log.flush(FLUSH));
    write(3);
    assert!(log.flush(FLUSH));
    let ends = |path| -> Vec<String> {
        let text = fs::read_to_string(path).expect("readable");
        text.lines().map(|line| line.rsplit(' ').next().unwrap_or("").to_owned()).collect()
    };
    assert_eq!(ends(&rotated), ["1", "2"]);
    assert_eq!(ends(&path), ["3"]);
}

#[test]
fn a_path_that_cannot_be_opened_is_an_error_or_leaves_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = AccessConfig {
        target: Target::File(folder.path().join("missing/access.log")),
        format: Format::Json,
        queue_bytes_max: 0,
    };
    let error = AccessLog::open(&config, dropped()).expect_err("no such folder");
    assert!(error.to_string().contains("missing/access.log"), "{error}");

    let inner = folder.path().join("inner");
    let moved = folder.path().join("moved");
    fs::create_dir(&inner).expect("made");
    let log = file_log(inner.join("access.log"), 0);
    fs::rename(&inner, &moved).expect("renamed");
    log.reopen();
    log.log(&entry());
    assert!(log.flush(FLUSH));
    let text = fs::read_to_string(moved.join("access.log")).expect("readable");
    assert_eq!(text.lines().count(), 1);
}

/// Takes what the test allows, then waits, then takes all.
struct Gate {
    opened: mpsc::Receiver<()>,
    entered: mpsc::Sender<()>,
    taken: Arc<parking_lot::Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Both ends are gone once the test is over.
        let _ = self.entered.send(());
        let _ = self.opened.recv();
        self.taken.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_full_queue_cannot_take_is_counted() {
    let (open, opened) = mpsc::channel();
    let (entered, has_entered) = mpsc::channel();
    let taken = Arc::default();
    let gate = Gate { opened, entered, taken: Arc::clone(&taken) };
    let lost = dropped();
    let shared = Arc::new(Shared::new(2, lost.clone()));
    writer::start(Arc::clone(&shared), Output::to(Box::new(gate))).expect("starts");
    let log = AccessLog(Some(Open { id: u64::MAX, format: Format::Common, shared }));

    log.log(&entry());
    has_entered.recv().expect("the writer waits in the gate");
    let logged = 100_000;
    (1..logged).for_each(|_| log.log(&entry()));
    let counted = lost.get();
    assert!(counted > 0, "the queue holds two buffers");
    assert!(!log.flush(Duration::ZERO), "the writer is stuck");
    drop(open);
    assert!(log.flush(FLUSH));
    let written = taken.lock().iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(written + counted, logged);
    assert_eq!(lost.get(), counted, "nothing is lost once the writer runs");
}

/// Takes ten bytes, fails once, then takes all.
struct Failing(u8, Arc<parking_lot::Mutex<Vec<u8>>>);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(1);
        let count = match self.0 {
            1 => 10,
            2 => return Err(io::ErrorKind::StorageFull.into()),
            _ => bytes.len(),
        };
        self.1.lock().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_is_counted_and_does_not_tear_the_next_line() {
    let taken = Arc::default();
    let lost = dropped();
    let shared = Arc::new(Shared::new(1, lost.clone()));
    let output = Output::to(Box::new(Failing(0, Arc::clone(&taken))));
    writer::start(Arc::clone(&shared), output).expect("starts");
    let log = AccessLog(Some(Open { id: u64::MAX - 1, format: Format::Common, shared }));
    log.log(&entry());
    assert!(log.flush(FLUSH));
    assert_eq!(lost.get(), 1);
    log.log(&entry());
    assert!(log.flush(FLUSH));
    let text = String::from_utf8(taken.lock().clone()).expect("UTF-8");
    assert_eq!(text, format!("192.0.2.17\n{}", line(Format::Common, &entry())));
}

#[test]
fn off_costs_nothing_and_is_always_flushed() {
    let config = AccessConfig { target: Target::Off, format: Format::Json, queue_bytes_max: 0 };
    let log = AccessLog::open(&config, dropped()).expect("nothing to open");
    log.log(&entry());
    log.reopen();
    assert!(log.flush(Duration::ZERO));
}
