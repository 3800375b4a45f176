//! Streams that are not as they were, full ones, and snapshots.

use super::reading::Reading;
use super::*;
use crate::control::log::Resume;
use crate::control::log::layout::Writer;
use crate::control::log::resume;
use crate::object::LogId;

async fn messages(server: &NatsServer) -> (u64, u64) {
    let mut stream = operator(server).await.get_stream("headland").await.unwrap();
    let state = &stream.info().await.unwrap().state;
    (state.first_sequence, state.last_sequence)
}

#[tokio::test]
async fn a_stream_made_anew_underneath_is_another_log() {
    let server = NatsServer::start();
    let (one, other) = (log(&server).await, log(&server).await);
    let entry = append(&one, "a").await;
    let before = until(&other, |head| head.number == 1).await;
    assert_eq!(before, entry.position(before.log));
    server.lose();
    let after = until(&one, |head| head.log != before.log).await;
    until(&other, |head| head.log == after.log).await;
    assert_eq!(resume(&one, Some(before)).await, Ok(Resume::Foreign(head(&one))));
    assert_eq!(append(&one, "b").await.first, 1);
    until(&other, |head| head.number == 1).await;
    assert_eq!(tags(&other).await, ["b"]);
}

#[tokio::test]
async fn what_does_not_follow_begins_another_log() {
    let server = NatsServer::start();
    let (one, other) = (log(&server).await, log(&server).await);
    append(&one, "a").await;
    let before = until(&other, |head| head.number == 1).await;
    let context = operator(&server).await;
    context.publish("headland.log", "what?".into()).await.unwrap().await.unwrap();
    let after = until(&one, |head| head.log != before.log).await;
    until(&other, |head| head.log == after.log).await;
    let third = log(&server).await;
    assert_eq!(head(&third), head(&one), "all agree");
    append(&third, "b").await;
    until(&one, |head| head.number == 1).await;
}

#[tokio::test]
async fn lost_entries_make_another_log() {
    let server = NatsServer::start();
    let one = log(&server).await;
    append(&one, "a").await;
    append(&one, "b").await;
    let before = head(&one);
    drop(one);
    // The same stream, brought back as it was before the last entry.
    let context = operator(&server).await;
    let stream = context.get_stream("headland").await.unwrap();
    let kept = [1, 2].map(|sequence| stream.get_raw_message(sequence));
    let kept = futures_util::future::join_all(kept).await;
    let config = stream.cached_info().config.clone();
    context.delete_stream("headland").await.unwrap();
    context.create_stream(config).await.unwrap();
    for message in kept {
        let payload = message.unwrap().payload;
        context.publish("headland.log", payload).await.unwrap().await.unwrap();
    }
    let fresh = log(&server).await;
    assert_eq!((head(&fresh).log, head(&fresh).number), (before.log, 1));
    assert_eq!(resume(&fresh, Some(before)).await, Ok(Resume::Foreign(head(&fresh))));
    // Whoever knows what was lost begins another log.
    let nats = nats(&server).await;
    let bucket = nats.bucket().await.unwrap();
    let bounds = Bounds { entries: 8, rules: 64 };
    let known = Reading::new(&nats, &bucket, bounds, Some(before)).await.unwrap();
    let after = known.history.head();
    assert_ne!(after.log, before.log);
    until(&fresh, |head| head.log == after.log).await;
}

#[tokio::test]
async fn a_stream_that_was_emptied_is_another_log() {
    let server = NatsServer::start();
    let one = log(&server).await;
    append(&one, "a").await;
    let before = head(&one);
    let stream = operator(&server).await.get_stream("headland").await.unwrap();
    stream.purge().await.unwrap();
    let other = log(&server).await;
    let after = until(&other, |head| head.log != before.log).await;
    until(&one, |head| head.log == after.log).await;
}

#[tokio::test]
async fn a_snapshot_stands_for_messages_that_are_gone() {
    let server = NatsServer::start();
    let one = log(&server).await;
    let begun = head(&one);
    let mut sequences = Vec::new();
    for n in 0..60 {
        append(&one, &(n % 3).to_string()).await;
        sequences.push(messages(&server).await);
    }
    let (first, last) = sequences[59];
    assert_eq!(last, 61);
    assert!(first > 30, "old messages go: {first}");
    let (read, snapshot) = (head(&one), one.snapshot().await.unwrap());
    let other = log(&server).await;
    assert_eq!(head(&other), read);
    assert_eq!(other.snapshot().await.unwrap(), snapshot);
    assert_eq!(other.hash_at(5).await, one.hash_at(5).await, "hashes go back to the beginning");
    let Ok(Resume::Snapshot(_)) = resume(&other, Some(begun)).await else {
        panic!("a snapshot was expected");
    };
    let keys = keys(&server).await;
    let places = keys.iter().filter(|key| key.starts_with("saved.")).count();
    assert!(places <= 2, "what was replaced is gone: {keys:?}");
}

async fn keys(server: &NatsServer) -> Vec<String> {
    use futures_util::TryStreamExt;
    let bucket = nats(server).await.bucket().await.unwrap();
    bucket.keys().await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn a_crash_between_the_steps_of_a_snapshot_does_no_harm() {
    let server = NatsServer::start();
    let wide = LogBounds { entries: 4096, ..BOUNDS };
    let open = async || NatsLog::open(nats(&server).await, wide).await.unwrap();
    let one = open().await;
    for n in 0..12 {
        append(&one, &(n % 5).to_string()).await;
    }
    let (read, snapshot) = (head(&one), one.snapshot().await.unwrap());
    let same = async || {
        let log = open().await;
        assert_eq!((head(&log), log.snapshot().await.unwrap()), (read, snapshot.clone()));
    };
    let (number, sequence) = (6, 7);
    let hash = one.hash_at(number).await.unwrap().unwrap();
    let saved = || {
        let mut writer = Writer::begin(read.log);
        let base = Position { log: read.log, number, hash };
        writer.snapshot(&snapshot.commands, std::iter::empty(), base);
        writer
    };
    let bucket = nats(&server).await.bucket().await.unwrap();
    let stream = operator(&server).await.get_stream("headland").await.unwrap();
    // After its first step: parts in a place that no index names.
    bucket.put("saved.0.00000000000000ff.0", "half".into()).await.unwrap();
    same().await;
    // After the second: every message is still there.
    assert!(saved::write(&bucket, saved(), sequence).await.unwrap());
    assert_eq!(messages(&server).await, (1, 13));
    same().await;
    assert!(!saved::write(&bucket, saved(), sequence).await.unwrap(), "there is one");
    // After the third.
    stream.purge().sequence(sequence).await.unwrap();
    assert_eq!(messages(&server).await, (7, 13));
    same().await;
    // Without the snapshot nothing shows that what is left is whole.
    let parts = format!("{}saved.>", bucket.prefix);
    bucket.stream.purge().filter(parts).await.unwrap();
    assert_ne!(head(&open().await).log, read.log);
    until(&one, |head| head.log != read.log).await;
}

#[tokio::test]
async fn a_full_stream_refuses_purges_and_loses_none() {
    let server = NatsServer::start();
    let one = log(&server).await;
    append(&one, "a").await;
    let context = operator(&server).await;
    let config = context.get_stream("headland").await.unwrap().cached_info().config.clone();
    let full = StreamConfig { max_messages: 2, ..config.clone() };
    context.update_stream(full).await.unwrap();
    let Err(LogError::Failed(why)) = one.append(asked("b")).await else {
        panic!("it was expected to be full");
    };
    assert!(why.contains("maximum messages"), "{why}");
    context.update_stream(config).await.unwrap();
    assert_eq!(append(&one, "c").await.first, 2);
    assert_eq!(tags(&one).await, ["a", "c"]);
}

#[tokio::test]
async fn what_no_message_takes_is_refused() {
    let server = NatsServer::start();
    let one = log(&server).await;
    let url = format!("https://a.example/{}", "x".repeat(2000));
    let command = PurgeCommand::from_json(&json!({ "kind": "url", "value": url }));
    let commands = vec![command.unwrap(); 1000];
    let many = Asked { by: String::new(), at: 7, commands };
    let Err(LogError::Failed(why)) = one.append(many).await else {
        panic!("it was expected to be too much");
    };
    assert!(why.contains("takes messages of up to 1048064 bytes"), "{why}");
    assert_eq!(append(&one, "a").await.first, 1);
}

#[tokio::test]
async fn a_stream_of_another_kind_is_refused() {
    let server = NatsServer::start();
    let forgetful = StreamConfig {
        name: "headland".to_owned(),
        subjects: vec!["headland.log".to_owned()],
        max_age: Duration::from_secs(60),
        ..StreamConfig::default()
    };
    operator(&server).await.create_stream(forgetful).await.unwrap();
    let error = NatsLog::open(nats(&server).await, BOUNDS).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "NATS: the stream \"headland\": expected one that forgets nothing: no age, and \
         \"discard\": \"new\" with limits"
    );
}

#[tokio::test]
async fn of_two_that_begin_a_log_one_does() {
    let server = NatsServer::start();
    let (nats_one, nats_other) = (nats(&server).await, nats(&server).await);
    let (one, other) =
        tokio::join!(NatsLog::open(nats_one, BOUNDS), NatsLog::open(nats_other, BOUNDS));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(head(&one), head(&other));
    assert_eq!(messages(&server).await, (1, 1));
    // What a slow one begins later is another log, for all.
    let late = tail::begin(LogId(7));
    operator(&server).await.publish("headland.log", late.into()).await.unwrap().await.unwrap();
    for log in [&one, &other] {
        until(log, |head| head.log == LogId(7)).await;
    }
}
