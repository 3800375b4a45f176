//! The purger with event loops that are held still at will.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::store::StoreLimits;

/// Passes once for each permit.
#[derive(Clone)]
struct Gate {
    permits: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl Barrier for Gate {
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let permits = self.permits.clone();
        Box::pin(async move { permits.acquire().await.unwrap().forget() })
    }
}

fn purger(permits: usize, recent_max: usize) -> (Arc<Purger>, Gate) {
    let gate = Gate { permits: Arc::new(Semaphore::new(permits)), asked: Arc::default() };
    let resolve = |url: &PurgeUrl| {
        let key = UrlKey::any_query(url.host.as_bytes(), url.target.as_bytes());
        let site = match url.host.as_str() {
            "shop.example" => "shop",
            "blog.example" => "blog",
            _ => return None,
        };
        Some(Named { key, site })
    };
    let purger = Purger::new(PurgerParts {
        store: Arc::new(Store::new(StoreLimits { memory: 1 << 20, variants: 4, rules: 64 })),
        resolve: Box::new(resolve),
        barrier: Box::new(gate.clone()),
        metrics: Arc::new(Metrics::new(&["hit"])),
        clock: Instant::now,
        recent_max,
        pending_max: 0,
    });
    (purger, gate)
}

fn commands(hosts: &[&str]) -> Vec<PurgeCommand> {
    let command = |host: &&str| {
        PurgeCommand::from_json(&json!({"kind": "url", "value": format!("https://{host}/x")}))
    };
    hosts.iter().map(|host| command(host).unwrap()).collect()
}

fn asked() -> Asked {
    let (at, since) = (SystemTime::UNIX_EPOCH, Instant::now());
    Asked { by: "test".to_owned(), sites: Vec::new(), at, since }
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_purge_is_acknowledged_behind_the_barrier() {
    let (purger, _gate) = purger(1, 9);
    let hosts = ["shop.example", "blog.example"];
    let receipts = purger.purge(commands(&hosts), asked(), LONG).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.sequence.number).collect::<Vec<_>>(), [1, 2]);
    assert!(receipts.iter().all(|receipt| receipt.applied().is_some()));
    assert_eq!((receipts[1].site, receipts[1].by.as_str()), ("blog", "test"));
    assert_eq!((purger.head(), purger.position()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_some_loop_has_not_seen_is_pending_and_goes_on() {
    let (purger, gate) = purger(0, 9);
    let late = purger.purge(commands(&["shop.example"]), asked(), LONG).await.unwrap();
    assert!(late[0].applied().is_none());
    assert_eq!((purger.head(), purger.position()), (1, 0));
    gate.permits.add_permits(2);
    let next = purger.purge(commands(&["shop.example"]), asked(), LONG).await.unwrap();
    assert!(late[0].applied().is_some() && next[0].applied().is_some());
    assert_eq!(purger.position(), 2);
}

#[tokio::test(start_paused = true)]
async fn purges_that_gather_share_a_turn() {
    let (purger, gate) = purger(0, 9);
    for _ in 0..5 {
        let patience = Duration::from_millis(1);
        purger.purge(commands(&["shop.example"]), asked(), patience).await.unwrap();
    }
    gate.permits.add_permits(9);
    purger.purge(commands(&["shop.example"]), asked(), LONG).await.unwrap();
    assert_eq!(gate.asked.load(Ordering::Relaxed), 2);
    assert_eq!(purger.position(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_list_with_one_fault_purges_nothing() {
    let (purger, _gate) = purger(9, 9);
    let refused = |hosts: &'static [&'static str], asked: Asked| {
        let purger = purger.clone();
        async move { purger.purge(commands(hosts), asked, LONG).await.unwrap_err().to_string() }
    };
    assert_eq!(
        refused(&["shop.example", "other.example"], asked()).await,
        "[1].value: expected a host of one of this node's sites, found \"other.example\"",
    );
    let scoped = Asked { sites: vec!["blog".to_owned()], ..asked() };
    assert_eq!(
        refused(&["shop.example"], scoped).await,
        "value: expected a URL of a site that the token is for, found one of site \"shop\"",
    );
    let mut named = commands(&["shop.example"]);
    named[0].site = Some("blog".to_owned());
    assert_eq!(
        purger.purge(named, asked(), LONG).await.unwrap_err().to_string(),
        "site: expected \"shop\", to which the URL belongs, found \"blog\"",
    );
    assert_eq!(purger.head(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded() {
    let (purger, _gate) = purger(0, 9);
    let full = vec!["shop.example"; BATCH_MAX];
    let patience = Duration::from_millis(1);
    // The first thousand is taken into the barrier, the second waits before it.
    for _ in 0..2 {
        purger.purge(commands(&full), asked(), patience).await.unwrap();
    }
    let refused = purger.purge(commands(&["shop.example"]), asked(), patience).await.unwrap_err();
    assert_eq!(refused.fault, PurgeFault::Busy);
}

#[tokio::test(start_paused = true)]
async fn recent_receipts_are_paged_and_bounded() {
    let (purger, _gate) = purger(99, 4);
    for _ in 0..3 {
        let hosts = ["shop.example", "blog.example"];
        purger.purge(commands(&hosts), asked(), LONG).await.unwrap();
    }
    let numbers = |before, limit, site: &str| {
        let keep = |receipt: &Receipt| site.is_empty() || receipt.site == site;
        let (page, more) = purger.recent(before, limit, keep);
        (page.iter().map(|receipt| receipt.sequence.number).collect::<Vec<_>>(), more)
    };
    assert_eq!(numbers(u64::MAX, 3, ""), (vec![6, 5, 4], true));
    assert_eq!(numbers(4, 3, ""), (vec![3], false));
    assert_eq!(numbers(u64::MAX, 1, "shop"), (vec![5], true));
    assert!(purger.receipt(2).is_none());
    assert_eq!(purger.receipt(3).unwrap().site, "shop");
}

#[test]
fn event_loops_have_turned_when_the_barrier_passes() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (gone, here) = (tokio::runtime::Builder::new_current_thread().build().unwrap(), &runtime);
    let loops = EventLoops::new(vec![gone.handle().clone(), here.handle().clone()]);
    drop(gone);
    runtime.block_on(loops.pass());
}
