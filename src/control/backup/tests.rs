//! The file, cut and hit; and folders that are backed up and restored.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::control_plane::ControlPlane;
use crate::control::log::embedded::EmbeddedLog;
use crate::control::log::{Asked, LogBounds, PurgeLog};
use crate::control::nats::server::NatsServer;
use crate::control::nats::{Nats, NatsParts};
use crate::control::publish::folder::FolderShelf;
use crate::control::publish::nats::NatsShelf;
use crate::control::publish::rollout::Share;
use crate::control::publish::shelf::Shelf;
use crate::control::publish::{Actor, Proposal, Publisher};

/// Of the backup.
const LEASE: Duration = Duration::from_secs(60);

const BOUNDS: LogBounds = LogBounds { entries: 4, rules: 64, waiting: 4000 };

fn node(name: &str, incarnation: u64) -> Registration {
    Registration { name: name.into(), incarnation, serves_on: true, lease: LEASE }
}

fn config(folder: &Path) -> ControlPlane {
    let text = "[purge_log]\npath = \"log\"\n[fleet]\nlease = \"100ms\"";
    ControlPlane::parse(text, "control.toml", folder, &|_| None).unwrap()
}

async fn log(folder: &Path) -> EmbeddedLog {
    // The task that appended last may still be about to let go of the folder.
    loop {
        match EmbeddedLog::open(&folder.join("log"), BOUNDS) {
            Ok(log) => return log,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn purge(log: &EmbeddedLog, tags: &[&str]) {
    let command = |tag: &&str| PurgeCommand::from_json(&json!({ "kind": "tag", "value": tag }));
    let commands = tags.iter().map(|tag| command(tag).unwrap()).collect();
    log.append(Asked { by: "deploy".to_owned(), at: 7, commands }).await.unwrap();
}

async fn on_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

async fn taken(folder: &Path) -> Result<Backup, String> {
    let config = config(folder);
    on_thread(move || take(&config).map(|(backup, _)| backup).map_err(|error| error.to_string()))
        .await
}

async fn restored(folder: &Path, backup: &Backup, forces: bool) -> Result<Restored, String> {
    let (config, backup) = (config(folder), backup.clone());
    on_thread(move || restore(&config, backup, forces).map_err(|error| error.to_string())).await
}

/// Has one site of this name published in a folder.
async fn publish(folder: &Path, name: &str) {
    let shelf = Arc::new(FolderShelf::new(folder.join("log")));
    let publisher = Publisher::new(shelf, config(folder).publish);
    assert!(publisher.take_up().await);
    let text = format!(
        "[[origin]]\nname = \"o\"\nservers = [{{ url = \"http://127.0.0.1:1\" }}]\n\
         [[site]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\norigin = \"o\"\n"
    );
    let proposal = Proposal { text, share: Share::ALL, after: None };
    publisher.publish(proposal, Actor { by: "ops".to_owned(), at: 7 }).await.unwrap();
}

async fn published(folder: &Path) -> Shelved {
    FolderShelf::new(folder.join("log")).look().await.unwrap()
}

/// A control plane's folder with six purges, a node and a site, backed up while its log is open.
async fn backed_up() -> (TempDir, EmbeddedLog, Backup) {
    let folder = tempfile::tempdir().unwrap();
    let open = log(folder.path()).await;
    for tags in [&["a", "b"][..], &["c"], &["d"], &["e", "f"]] {
        purge(&open, tags).await;
    }
    registrations::write(&folder.path().join("log"), &[node("fra-1", 1)]).unwrap();
    publish(folder.path(), "first").await;
    let backup = taken(folder.path()).await.unwrap();
    (folder, open, backup)
}

#[tokio::test]
async fn a_file_is_read_as_it_was_written_and_damage_is_seen() {
    let (_folder, _open, backup) = backed_up().await;
    assert_eq!(backup.log.head().number, 6);
    let text = backup.encode();
    assert_eq!(Backup::decode(text.as_bytes()), Ok(backup));
    let whole = text.as_bytes();
    for at in 0..whole.len() {
        assert!(Backup::decode(&whole[..at]).is_err(), "cut at {at}");
        let mut hit = whole.to_vec();
        hit[at] ^= 1;
        assert!(Backup::decode(&hit).is_err(), "hit at {at}");
    }
    let told = |text: &str| Backup::decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(told("headland fleet 1 x\n"), "it is no backup of a control plane");
    let later = text.replacen("backup 1", "backup 12", 1);
    assert_eq!(told(&later), "its format is version 12, this program's is 1");
    let sealed = |lines: &str| {
        format!("headland backup 1 {}\n{lines}", blake3::hash(lines.as_bytes()).to_hex())
    };
    let lines = text.split_once('\n').unwrap().1;
    assert_eq!(told(&sealed("")), "line 2 is not as a backup has it");
    let more = format!("{lines}{{\"of_later\":1}}\n");
    let last = more.lines().count() + 1;
    assert_eq!(told(&sealed(&more)), format!("line {last} is not as a backup has it"));
    // An entry that does not follow.
    let gap = lines.replacen("\"first\":3", "\"first\":4", 1);
    assert_ne!(gap, lines);
    assert!(told(&sealed(&gap)).starts_with("line "));
}

#[tokio::test]
async fn what_was_registered_is_waited_for_again() {
    let (folder, open, backup) = backed_up().await;
    let in_use = restored(folder.path(), &backup, true).await.unwrap_err();
    assert!(in_use.ends_with("another control plane uses its folder"), "{in_use}");
    let empty = tempfile::tempdir().unwrap();
    let done = restored(empty.path(), &backup, false).await.unwrap();
    assert_eq!((done.head.number, done.nodes), (6, 1));
    assert_ne!(done.head.log, backup.log.base.log);
    let registered = registrations::read(&empty.path().join("log")).unwrap().unwrap();
    assert_eq!(registered, [node("fra-1", 1), Registration::unknown(LEASE)]);
    assert_eq!(published(empty.path()).await, backup.published);
    assert_eq!(backup.published.versions.latest(), 1);
    let again = log(empty.path()).await;
    assert_eq!(*again.head().borrow(), done.head);
    drop((again, open));

    let refused = restored(empty.path(), &backup, false).await.unwrap_err();
    assert!(refused.contains("/log is not empty; expected another place, or --force"), "{refused}");
    let since = [node("fra-1", 2), node("nyc-1", 3)];
    registrations::write(&empty.path().join("log"), &since).unwrap();
    let done = restored(empty.path(), &backup, true).await.unwrap();
    assert_eq!(done.nodes, 2, "who was registered since is not forgotten");
    let registered = registrations::read(&empty.path().join("log")).unwrap().unwrap();
    assert_eq!(registered, [&since[..1], &[Registration::unknown(LEASE)], &since[1..]].concat());
    // Who they were is given up by an operator's own hand alone.
    let file = empty.path().join("log/nodes");
    std::fs::write(&file, "?").unwrap();
    for forces in [false, true] {
        let refused = restored(empty.path(), &backup, forces).await.unwrap_err();
        assert!(refused.contains("/log/nodes are damaged; take them from a backup"), "{refused}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(restored(empty.path(), &backup, true).await.unwrap().nodes, 1);
}

#[tokio::test]
async fn a_folder_where_nothing_was_purged_is_as_good_as_none() {
    let (_folder, _open, backup) = backed_up().await;
    let begun = tempfile::tempdir().unwrap();
    assert!(taken(begun.path()).await.unwrap_err().contains("there is no purge log in "));
    drop(log(begun.path()).await);
    assert_eq!(taken(begun.path()).await.unwrap().log.head().number, 0);
    registrations::write(&begun.path().join("log"), &[node("fra-1", 1)]).unwrap();
    assert!(restored(begun.path(), &backup, false).await.is_err(), "somebody is registered");
    registrations::write(&begun.path().join("log"), &[]).unwrap();
    assert_eq!(restored(begun.path(), &backup, false).await.unwrap().head.number, 6);
    let published_alone = tempfile::tempdir().unwrap();
    std::fs::create_dir(published_alone.path().join("log")).unwrap();
    publish(published_alone.path(), "other").await;
    assert!(restored(published_alone.path(), &backup, false).await.is_err(), "a site is published");
    restored(published_alone.path(), &backup, true).await.unwrap();
    assert_eq!(published(published_alone.path()).await, backup.published);
    std::fs::write(begun.path().join("log/purges.log"), "?").unwrap();
    assert!(taken(begun.path()).await.unwrap_err().contains("cannot be read: it does not begin"));
    assert!(restored(begun.path(), &backup, false).await.is_err(), "it may have held purges");
    assert!(restored(begun.path(), &backup, true).await.is_ok());
}

/// Whether by the config, the backup, or a registration.
#[test]
fn nodes_that_are_not_known_are_held_for_the_longest_lease_that_was_granted() {
    let lease = |backup: &[Registration], there: &[Registration], lease| {
        let joined = joined(backup.to_vec(), there.to_vec(), lease);
        joined.into_iter().find(Registration::is_unknown).unwrap().lease
    };
    let (one, short) = ([node("fra-1", 1)], Duration::from_secs(1));
    assert_eq!(lease(&one, &[], short), LEASE);
    assert_eq!(lease(&[], &one, short), LEASE);
    assert_eq!(lease(&[], &[], short), short);
    assert_eq!(lease(&one, &[], 2 * LEASE), 2 * LEASE);
    assert_eq!(lease(&[], &[Registration::unknown(LEASE)], short), LEASE, "of a restore before");
}

#[tokio::test]
async fn what_is_damaged_on_nats_gives_way_if_forced_but_for_registrations() {
    let (_folder, _open, backup) = backed_up().await;
    let server = NatsServer::start();
    let text = format!("[purge_log]\nbackend = \"nats\"\nservers = [{:?}]", server.url());
    let config = ControlPlane::parse(&text, "control.toml", Path::new("/"), &|_| None).unwrap();
    let restored = async |forces: bool| {
        let (config, backup) = (config.clone(), backup.clone());
        on_thread(move || restore(&config, backup, forces).map_err(|why| why.to_string())).await
    };
    let nats = Nats::connect(NatsParts::of(vec![server.url()])).await.unwrap();
    let bucket = nats.bucket().await.unwrap();
    for damaged in ["?", "0000000000000007\n?"] {
        for key in ["config", "saved"] {
            bucket.put(key, damaged.into()).await.unwrap();
        }
        assert!(
            restored(false).await.unwrap_err().contains("is not empty; expected another place")
        );
        assert_eq!(restored(true).await.unwrap().nodes, 1);
        let shelf = NatsShelf::new(&nats).await.unwrap();
        assert_eq!(shelf.look().await.unwrap(), backup.published);
    }
    bucket.put("nodes", "0000000000000007\n?".into()).await.unwrap();
    let refused = restored(true).await.unwrap_err();
    assert!(
        refused.contains("or delete the key \"nodes\" of the bucket once no node"),
        "{refused}"
    );
}
