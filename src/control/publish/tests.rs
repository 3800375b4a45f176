//! The same for each home; what is damaged is seen, and what cannot be written changes nothing.

use std::fs;

use super::folder::FolderShelf;
use super::nats::NatsShelf;
use super::*;
use crate::config::published::Release;
use crate::config::units::ByteSize;
use crate::control::nats::server::NatsServer;
use crate::control::nats::{Nats, NatsParts};

const BOUNDS: Publish = Publish { versions: 4, size: ByteSize::kib(1) };

/// A text of one site.
fn text(host: &str) -> String {
    format!(
        "[[origin]]\nname = \"app\"\nservers = [{{ url = \"${{APP}}\" }}]\n\
         [[site]]\nname = \"shop\"\nhosts = [\"{host}\"]\norigin = \"app\"\n"
    )
}

fn proposal(host: &str, percent: u64) -> Proposal {
    Proposal { text: text(host), share: Share::percent(percent).unwrap(), after: None }
}

fn ops() -> Actor {
    Actor { by: "ops".to_owned(), at: 7 }
}

async fn over(shelf: impl Shelf + 'static) -> Arc<Publisher> {
    let publisher = Publisher::new(Arc::new(shelf), BOUNDS);
    assert!(publisher.take_up().await);
    publisher
}

async fn nats(server: &NatsServer) -> NatsShelf {
    let parts = NatsParts::of(vec![server.url()]);
    NatsShelf::new(&Nats::connect(parts).await.unwrap()).await.unwrap()
}

/// What one publishes is there for the next, text by text.
async fn keeps(one: impl Shelf + 'static, next: impl Shelf + 'static) -> [Arc<Publisher>; 2] {
    let one = over(one).await;
    assert_eq!(*one.look(), Shelved::default());
    for number in 1..=6 {
        one.publish(proposal(&format!("{number}.example"), 100), ops()).await.unwrap();
    }
    one.rollback(Some(6), ops()).await.unwrap();
    one.publish(proposal("8.example", 10), ops()).await.unwrap();
    one.promote(None, Share::percent(20).unwrap()).await.unwrap();
    let kept = one.look();
    let numbers: Vec<_> = kept.versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [4, 6, 7, 8], "4 is what one would go back to");
    let next = over(next).await;
    assert_eq!(next.look(), kept);
    assert_eq!(&*kept.texts[&7], text("5.example"));
    [one, next]
}

#[tokio::test]
async fn versions_are_kept_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FolderShelf::new(folder.path().to_owned());
    keeps(open(), open()).await;
    let count = fs::read_dir(folder.path().join("config")).unwrap().count();
    assert_eq!(count, 1 + 4, "the index, and a text a version");
}

#[tokio::test]
async fn versions_are_kept_on_nats_by_one_at_a_time() {
    let server = NatsServer::start();
    let [one, next] = keeps(nats(&server).await, nats(&server).await).await;
    let refused = one.rollback(None, ops()).await.unwrap_err().to_string();
    assert!(refused.contains("the published config cannot be written"), "{refused}");
    assert!(one.look().versions.candidate().is_some(), "nothing has changed");
    next.rollback(None, ops()).await.unwrap();
    one.forget();
    assert!(one.take_up().await);
    assert_eq!(one.look(), next.look(), "it may lead again");
    one.publish(proposal("9.example", 100), ops()).await.unwrap();
    assert!(next.publish(proposal("9.example", 100), ops()).await.is_err());
    let keys = nats(&server).await.keys().await;
    assert_eq!(keys.iter().filter(|key| key.starts_with("config.")).count(), 4, "{keys:?}");
}

#[tokio::test]
async fn what_a_message_cannot_hold_is_refused() {
    let server = NatsServer::start();
    let large = Publish { size: ByteSize::mib(4), ..BOUNDS };
    let publisher = Publisher::new(Arc::new(nats(&server).await), large);
    assert!(publisher.take_up().await);
    let mut proposal = proposal("a.example", 100);
    proposal.text += &"#".repeat(2 << 20);
    let refused = publisher.publish(proposal, ops()).await.unwrap_err().to_string();
    assert!(refused.contains("expected a higher max_payload"), "{refused}");
    assert_eq!(*publisher.look(), Shelved::default());
}

#[tokio::test]
async fn damage_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FolderShelf::new(folder.path().to_owned());
    let publisher = over(open()).await;
    publisher.publish(proposal("a.example", 100), ops()).await.unwrap();
    for entry in fs::read_dir(folder.path().join("config")).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut hit = whole.clone();
            hit[at] ^= 1;
            for damaged in [&hit, &whole[..at]] {
                fs::write(&path, damaged).unwrap();
                let error = open().take_up().await.unwrap_err().to_string();
                assert!(error.contains(" is damaged; take its folder from a backup"), "{error}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(open().take_up().await.unwrap(), *publisher.look());
    fs::remove_file(folder.path().join("config/index")).unwrap();
    assert_eq!(open().take_up().await.unwrap(), Shelved::default());
}

#[tokio::test]
async fn what_cannot_be_written_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = over(FolderShelf::new(folder.path().to_owned())).await;
    let first = publisher.publish(proposal("a.example", 100), ops()).await.unwrap();
    let new = folder.path().join("config/index.new");
    fs::create_dir(&new).unwrap();
    let error = publisher.publish(proposal("b.example", 100), ops()).await.unwrap_err();
    assert!(error.to_string().contains("index cannot be written: Is a directory"), "{error}");
    assert_eq!(publisher.look(), first);
    // What it left there has another name than what takes its number.
    fs::remove_dir(&new).unwrap();
    publisher.publish(proposal("c.example", 100), ops()).await.unwrap();
    let again = FolderShelf::new(folder.path().to_owned()).take_up().await.unwrap();
    assert_eq!(&*again.texts[&2], text("c.example"));
}

#[test]
fn a_text_is_read_where_it_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let publisher = over(FolderShelf::new(folder.path().to_owned())).await;
        // While the one thread for what blocks is taken, nothing is read.
        let (free, taken) = std::sync::mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || taken.recv().is_err());
        let mut check = Box::pin(publisher.check(proposal("a.example", 100)));
        assert!(futures_util::poll!(&mut check).is_pending());
        drop(free);
        check.await.unwrap();
        assert!(taken.await.unwrap());
    });
}

#[tokio::test]
async fn what_is_no_config_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = over(FolderShelf::new(folder.path().to_owned())).await;
    let cases = [
        ("[[site]]\n".to_owned(), None, "toml:1:1: site[0].hosts: expected an array"),
        ("#".repeat(1025), None, "toml: expected at most 1024 bytes, found 1025"),
        (text("a.example"), Some(1), "after: expected 0, the latest version"),
    ];
    for (text, after, expected) in cases {
        let proposal = Proposal { text, after, ..proposal("", 100) };
        let checked = publisher.check(proposal.clone()).await.unwrap_err().to_string();
        assert!(checked.starts_with(expected), "{checked}");
        let refused = publisher.publish(proposal, ops()).await.unwrap_err().to_string();
        assert_eq!(refused, checked);
    }
    assert_eq!(publisher.look().versions.wanted("fra-1"), None);
    assert!(!folder.path().join("config").exists());
    publisher.publish(proposal("a.example", 100), ops()).await.unwrap();
    let wanted = publisher.look().versions.wanted("fra-1");
    assert!(matches!(wanted, Some(Release::Published { version: 1, .. })), "{wanted:?}");
}
