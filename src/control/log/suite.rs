//! What every home of the log must keep to: mounted on each of them.

use std::sync::Arc;

use serde_json::json;

use super::{Asked, Kept, Later, LogError, Logged, PurgeLog, Resume, resume};
use crate::object::{EntryHash, LogId, Position, PurgeCommand};

/// A place where a log lives. It keeps 8 purges in entries and folds 64.
pub(super) trait Home {
    /// Opens the log that is there; what was opened before is gone.
    fn open(&self) -> Later<'_, Arc<dyn PurgeLog>>;

    /// Loses the log, as a disk or a cluster may, or brings back an earlier state of it.
    fn lose(&self);

    /// What the log keeps, while it is open.
    fn keep(&self) -> Later<'_, Kept>;

    /// Puts a log in the place of the one that is there, which nobody has open.
    fn restore(&self, kept: Kept) -> Later<'_, ()>;
}

/// Mounts the suite on the home that an expression makes.
macro_rules! mount {
    ($home:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::control::log::suite::$case(&$home).await;
            }
        )+
    };
    ($home:expr) => {
        $crate::control::log::suite::mount! {
            $home;
            a_log_is_numbered_in_a_row_and_chained
            what_is_appended_at_once_has_an_order
            what_was_appended_is_there_again
            a_node_goes_on_where_it_was
            a_node_far_behind_gets_what_matters
            a_foreign_position_starts_over
            a_lost_log_is_another_one
            what_is_asked_is_carried_out_whoever_waits
            a_log_that_is_restored_is_another_one_with_the_same_past
            a_log_is_restored_from_its_beginning_and_onto_nothing
        }
    };
}

pub(super) use mount;

fn asked(tags: &[&str]) -> Asked {
    let command = |tag: &&str| PurgeCommand::from_json(&json!({ "kind": "tag", "value": tag }));
    let commands = tags.iter().map(|tag| command(tag).unwrap()).collect();
    Asked { by: "deploy".to_owned(), at: 7, commands }
}

async fn append(log: &dyn PurgeLog, tags: &[&str]) -> Arc<Logged> {
    log.append(asked(tags)).await.unwrap()
}

async fn read(log: &dyn PurgeLog, after: u64) -> Option<Vec<(u64, u64)>> {
    let entries = log.read(after, 100).await.unwrap()?;
    Some(entries.iter().map(|entry| (entry.first, entry.last())).collect())
}

fn head(log: &dyn PurgeLog) -> Position {
    *log.head().borrow()
}

pub(super) async fn a_log_is_numbered_in_a_row_and_chained(home: &dyn Home) {
    let log = home.open().await;
    let start = head(&*log);
    assert_eq!(start, Position::start(start.log));
    let one = append(&*log, &["a", "b"]).await;
    assert_eq!((one.first, one.last(), one.previous), (1, 2, start.hash));
    assert_eq!((one.by.as_str(), one.at), ("deploy", 7));
    let two = append(&*log, &["c"]).await;
    assert_eq!((two.first, two.last(), two.previous), (3, 3, one.hash()));
    assert_eq!(head(&*log), two.position(start.log));
    assert_eq!(read(&*log, 0).await, Some(vec![(1, 2), (3, 3)]));
    assert_eq!(start.then(&one).unwrap().then(&two), Some(head(&*log)));
    assert_eq!(log.recent(1).await, Ok(vec![two.clone()]));
    assert_eq!(log.recent(9).await, Ok(vec![one.clone(), two]));
    assert_eq!(log.hash_at(2).await, Ok(Some(one.hash())));
    assert_eq!(log.hash_at(1).await, Ok(None), "no entry ends there");
}

pub(super) async fn what_is_appended_at_once_has_an_order(home: &dyn Home) {
    let log = home.open().await;
    let tags: Vec<_> = (0..8).map(|n| n.to_string()).collect();
    let all = tags.iter().map(|tag| {
        let (log, tag) = (log.clone(), tag.clone());
        tokio::spawn(async move { append(&*log, &[&tag]).await.first })
    });
    let mut numbers = Vec::new();
    for task in all.collect::<Vec<_>>() {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    assert_eq!(read(&*log, 0).await, Some((1..=8).map(|n| (n, n)).collect()));
}

pub(super) async fn what_was_appended_is_there_again(home: &dyn Home) {
    let log = home.open().await;
    append(&*log, &["a"]).await;
    append(&*log, &["b", "c"]).await;
    let before = (head(&*log), log.snapshot().await.unwrap());
    drop(log);
    let log = home.open().await;
    assert_eq!((head(&*log), log.snapshot().await.unwrap()), before);
    assert_eq!(append(&*log, &["d"]).await.first, 4);
}

pub(super) async fn a_node_goes_on_where_it_was(home: &dyn Home) {
    let log = home.open().await;
    let start = head(&*log);
    for at in [start, append(&*log, &["a"]).await.position(start.log)] {
        assert_eq!(resume(&*log, Some(at)).await, Ok(Resume::Entries));
    }
}

pub(super) async fn a_node_far_behind_gets_what_matters(home: &dyn Home) {
    let log = home.open().await;
    let start = head(&*log);
    for n in 0..12 {
        append(&*log, &[&(n % 3).to_string()]).await;
    }
    assert_eq!(read(&*log, 0).await, None);
    let Ok(Resume::Snapshot(snapshot)) = resume(&*log, Some(start)).await else {
        panic!("a snapshot was expected");
    };
    let told: Vec<_> =
        snapshot.commands.iter().map(|(number, it)| (*number, it.value.as_str())).collect();
    assert_eq!(told, [(10, "0"), (11, "1"), (12, "2")]);
    assert_eq!(snapshot.at, head(&*log));
}

pub(super) async fn a_foreign_position_starts_over(home: &dyn Home) {
    let log = home.open().await;
    append(&*log, &["a", "b"]).await;
    let head = head(&*log);
    let foreign = [
        None,
        Some(Position { log: LogId(head.log.0 ^ 1), ..head }),
        Some(Position { hash: EntryHash([1; 32]), ..head }),
        Some(Position { number: 1, ..head }),
        Some(Position { number: 3, ..head }),
    ];
    for position in foreign {
        assert_eq!(resume(&*log, position).await, Ok(Resume::Foreign(head)), "{position:?}");
    }
}

pub(super) async fn a_lost_log_is_another_one(home: &dyn Home) {
    let log = home.open().await;
    append(&*log, &["a"]).await;
    let before = head(&*log);
    drop(log);
    home.lose();
    let log = home.open().await;
    let after = head(&*log);
    assert_ne!(after.log, before.log);
    assert_eq!(after, Position::start(after.log));
    assert_eq!(resume(&*log, Some(before)).await, Ok(Resume::Foreign(after)));
}

pub(super) async fn what_is_asked_is_carried_out_whoever_waits(home: &dyn Home) {
    let log = home.open().await;
    let mut moved = log.head();
    drop(log.append(asked(&["a"])));
    moved.wait_for(|head| head.number == 1).await.unwrap();
    assert_eq!(read(&*log, 0).await, Some(vec![(1, 1)]));
    let many = vec!["x"; 1000];
    let busy = (0..).find_map(|_| {
        let mut waits = log.append(asked(&many));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match waits.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(answer) => answer.err(),
            std::task::Poll::Pending => None,
        }
    });
    assert_eq!(busy, Some(LogError::Busy), "what waits is bounded");
}

pub(super) async fn a_log_that_is_restored_is_another_one_with_the_same_past(home: &dyn Home) {
    let log = home.open().await;
    append(&*log, &["a", "b"]).await;
    for n in 0..12 {
        append(&*log, &[&(n % 3).to_string()]).await;
    }
    let (before, recent) = (head(&*log), log.recent(99).await.unwrap());
    let told = log.snapshot().await.unwrap().commands;
    let kept = home.keep().await;
    assert_eq!(kept.head(), before);
    append(&*log, &["of which the backup does not know"]).await;
    let last = head(&*log);
    drop(log);
    home.restore(kept.under(LogId(77))).await;
    for opened in 0..2 {
        let log = home.open().await;
        let now = head(&*log);
        assert_eq!((now.log, now.number), (LogId(77), before.number + opened));
        for position in [before, last] {
            assert_eq!(resume(&*log, Some(position)).await, Ok(Resume::Foreign(now)));
        }
        if opened == 0 {
            assert_eq!(log.recent(99).await.unwrap(), recent);
            assert_eq!(log.snapshot().await.unwrap().commands, told);
            assert_eq!(append(&*log, &["d"]).await.first, before.number + 1);
        }
        assert_eq!(resume(&*log, Some(now)).await, Ok(Resume::Entries));
    }
}

pub(super) async fn a_log_is_restored_from_its_beginning_and_onto_nothing(home: &dyn Home) {
    let log = home.open().await;
    let kept = home.keep().await;
    assert!(kept.is_empty());
    drop(log);
    home.lose();
    home.restore(kept.under(LogId(77))).await;
    let log = home.open().await;
    assert_eq!((head(&*log).log, head(&*log).number), (LogId(77), 0));
    assert_eq!(append(&*log, &["a"]).await.first, 1);
}
