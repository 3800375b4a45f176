//! What a purge does beside the promise: surveys, the sweep, repeats.

use http::StatusCode;
use tokio::time::Instant as TokioInstant;

use super::*;
use crate::object::{CacheKey, ObjectHead, PurgeKind, Stored};
use crate::telemetry::metrics::Tier;

fn purger_by(store: Store, config: PurgeConfig) -> (Arc<Purger>, Gate) {
    let (parts, gate) = parts_of(999, 9, store, None);
    (Purger::new(PurgerParts { config, ..parts }), gate)
}

/// A store with responses of one host.
fn filled(count: u64) -> Store {
    let store = Store::new(LIMITS);
    for n in 0..count {
        let path = format!("/{n}");
        let (fresh, sequence, block) = Default::default();
        let target = target("shop", "shop.example", &path);
        let head = ObjectHead::new(StatusCode::OK, fresh, sequence, &block, None, &target);
        let key = CacheKey::new(0, b"shop.example", path.as_bytes(), None, b"");
        store.insert(key, None, Stored::new(&head, &["body".into()]).into());
    }
    store
}

fn everything(soft: bool) -> Vec<PurgeCommand> {
    let json = json!({ "kind": "site", "value": "shop", "soft": soft });
    vec![PurgeCommand::from_json(&json).unwrap()]
}

#[tokio::test]
async fn a_survey_purges_nothing_and_runs_alone() {
    let (purger, _gate) = purger_on(9, 9, filled(5), None);
    let list = [everything(false), vec![url("/3")], vec![url("/none")]].concat();
    let survey = purger.survey(&list, &asked()).await.unwrap();
    assert_eq!(survey.hits.iter().map(|hit| hit.objects).collect::<Vec<_>>(), [5, 1, 0]);
    assert!(!survey.is_estimate && purger.head() == 0);
    assert!(purger.recent(u64::MAX, 9, |_| true).0.is_empty());
    let unknown = commands(&["shop.example", "other.example"]);
    let refused = purger.survey(&unknown, &asked()).await.unwrap_err().to_string();
    assert!(refused.starts_with("[1].value: expected a host"), "{refused}");
    let turn = purger.survey.clone().try_acquire_owned().unwrap();
    let refused = purger.survey(&list, &asked()).await.unwrap_err();
    assert_eq!(refused.fault, PurgeFault::Surveying);
    drop(turn);
    assert!(purger.survey(&list, &asked()).await.is_ok());
}

#[tokio::test]
async fn what_a_hard_purge_covers_is_freed() {
    let (purger, _gate) = purger_on(9, 9, filled(600), None);
    let objects = || purger.parts.store.memory_figures().objects;
    let freed = || purger.parts.metrics.purged_objects(Tier::Memory).get();
    purger.purge(everything(true), asked(), LONG).await.unwrap();
    purger.purge(vec![url("/1")], asked(), LONG).await.unwrap();
    while freed() < 1 {
        std::thread::yield_now();
    }
    assert_eq!((freed(), objects()), (1, 599), "what is stale stays");
}

#[tokio::test]
async fn without_a_sweep_what_is_purged_stays_until_room_is_needed() {
    let config = PurgeConfig { sweep: 0, ..PurgeConfig::default() };
    let (purger, _gate) = purger_by(filled(5), config);
    purger.purge(everything(false), asked(), LONG).await.unwrap();
    assert!(purger.sweep.is_none());
    assert_eq!(purger.parts.store.memory_figures().objects, 5);
}

fn settling() -> (Arc<Purger>, Gate) {
    let config = PurgeConfig { settle: Duration::from_secs(30), ..PurgeConfig::default() };
    purger_by(Store::new(LIMITS), config)
}

#[tokio::test(start_paused = true)]
async fn a_purge_is_repeated_once_by_who_asked() {
    let (purger, _gate) = settling();
    let begun = TokioInstant::now();
    let soft = json!({ "kind": "url", "value": "https://shop.example/b", "soft": true });
    let list = vec![url("/a"), PurgeCommand::from_json(&soft).unwrap()];
    let scoped = Asked { sites: vec!["shop".to_owned()], ..asked() };
    purger.purge(list.clone(), scoped, LONG).await.unwrap();
    let mut applied = purger.applied.subscribe();
    applied.wait_for(|number| *number == 4).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 30);
    for (number, command) in (3..).zip(&list) {
        let receipt = purger.receipt(number).unwrap();
        assert_eq!((&receipt.command, receipt.by.as_str()), (command, "test"));
    }
    assert_eq!(purger.receipt(4).unwrap().command.kind, PurgeKind::Soft);
    let again = timeout(LONG * 60, applied.wait_for(|number| *number > 4)).await;
    assert!(again.is_err(), "a repeat is not repeated");
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_repeated_is_bounded() {
    let (purger, _gate) = settling();
    let taken = purger.repeats.clone().try_acquire_many_owned(REPEATS_MAX as u32 - 1).unwrap();
    purger.purge(vec![url("/a"), url("/b")], asked(), LONG).await.unwrap();
    purger.purge(vec![url("/c")], asked(), LONG).await.unwrap();
    let mut applied = purger.applied.subscribe();
    applied.wait_for(|number| *number == 4).await.unwrap();
    assert_eq!(purger.receipt(4).unwrap().command, url("/c"));
    let more = timeout(LONG, applied.wait_for(|number| *number > 4)).await;
    assert!(more.is_err(), "there was no room for two");
    drop(taken);
    assert_eq!(purger.repeats.available_permits(), REPEATS_MAX);
}
