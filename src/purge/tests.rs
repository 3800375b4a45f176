//! The purger with event loops that are held still at will.

mod background;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;
use crate::object::{
    BATCH_MAX, Coverage, LogSequence, PurgeState, PurgeTarget, Sequence, SiteKey, TargetUri,
};
use crate::store::{RuleBounds, StoreLimits};

pub(super) fn target<'a>(site: &str, host: &'a str, path: &'a str) -> TargetUri<'a> {
    let site = SiteKey::new(site);
    TargetUri { site, host, path, query: None, query_as_sent: true }
}

const RULES: RuleBounds = RuleBounds { rules: 64, wildcards: 64 };
const LIMITS: StoreLimits = StoreLimits { memory: 1 << 20, variants: 4, rules: RULES };

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
    purger_on(permits, recent_max, Store::new(LIMITS), None)
}

/// A purger on the journal of a folder, as after a start.
fn started(folder: &TempDir) -> Arc<Purger> {
    let path = folder.path().join("purges.journal");
    let (journal, restored) = Journal::open(&path, RULES.rules).unwrap();
    let store = Store::new(LIMITS);
    store.rules().restore(restored.head, restored.rules);
    purger_on(9999, 9, store, Some(journal)).0
}

/// The purger of a node that follows, fenced as it starts, and how far its journal has come.
pub(super) fn follower_of(folder: &TempDir) -> (Arc<Purger>, Option<Followed>) {
    let path = folder.path().join("purges.journal");
    let (journal, restored) = Journal::open(&path, RULES.rules).unwrap();
    let store = Store::new(LIMITS);
    store.rules().restore(restored.head, restored.rules);
    store.rules().fence(true);
    let (parts, _) = parts_of(9999, 9, store, Some(journal));
    let parts = PurgerParts { follows: Some(restored.followed), ..parts };
    (Purger::new(parts), restored.followed)
}

fn purger_on(
    permits: usize,
    recent_max: usize,
    store: Store,
    journal: Option<Journal>,
) -> (Arc<Purger>, Gate) {
    let (parts, gate) = parts_of(permits, recent_max, store, journal);
    (Purger::new(parts), gate)
}

fn parts_of(
    permits: usize,
    recent_max: usize,
    store: Store,
    journal: Option<Journal>,
) -> (PurgerParts, Gate) {
    let gate = Gate { permits: Arc::new(Semaphore::new(permits)), asked: Arc::default() };
    let resolve = |command: &PurgeCommand| {
        let PurgeTarget::Url(url) = &command.target else {
            let covers = Coverage::Whole;
            return Ok(Named { rule: PurgeRule { site: None, covers }, site: None });
        };
        let name = match url.host.as_str() {
            "shop.example" => "shop",
            "blog.example" => "blog",
            host => return Err(PurgeFault::UnknownHost(host.to_owned())),
        };
        if let Some(found) = command.site.clone().filter(|site| site != name) {
            return Err(PurgeFault::OtherSite { actual: name.to_owned(), found });
        }
        let target = target(name, &url.host, &url.target);
        let rule = PurgeRule { site: Some(target.site), covers: Coverage::Url(target.any_query()) };
        Ok(Named { rule, site: Some(name) })
    };
    let parts = PurgerParts {
        store: Arc::new(store),
        journal: journal.map(|journal| Arc::new(Mutex::new(journal))),
        resolve: Box::new(resolve),
        barrier: Box::new(gate.clone()),
        metrics: Arc::new(Metrics::new(&["hit"])),
        clock: Instant::now,
        recent_max,
        pending_max: 0,
        follows: None,
        config: PurgeConfig::default(),
    };
    (parts, gate)
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
    assert_eq!((receipts[1].site, receipts[1].by.as_str()), (Some("blog"), "test"));
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
    let everywhere = PurgeCommand::from_json(&json!({"kind": "tag", "value": "a"})).unwrap();
    let scoped = Asked { sites: vec!["blog".to_owned()], ..asked() };
    assert_eq!(
        purger.purge(vec![everywhere], scoped, LONG).await.unwrap_err().to_string(),
        "site: expected one of the sites that the token is for, found nothing",
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
        let keep = |receipt: &Receipt| site.is_empty() || receipt.site == Some(site);
        let (page, more) = purger.recent(before, limit, keep);
        (page.iter().map(|receipt| receipt.sequence.number).collect::<Vec<_>>(), more)
    };
    assert_eq!(numbers(u64::MAX, 3, ""), (vec![6, 5, 4], true));
    assert_eq!(numbers(4, 3, ""), (vec![3], false));
    assert_eq!(numbers(u64::MAX, 1, "shop"), (vec![5], true));
    assert!(purger.receipt(2).is_none());
    assert_eq!(purger.receipt(3).unwrap().site, Some("shop"));
}

fn url(path: &str) -> PurgeCommand {
    let value = format!("https://shop.example{path}");
    PurgeCommand::from_json(&json!({"kind": "url", "value": value})).unwrap()
}

/// How far purges cover what was fetched at `since`.
fn state(purger: &Purger, since: u64, path: &str) -> PurgeState {
    let rules = purger.parts.store.rules();
    rules.url_state_since(Sequence { number: since }, &target("shop", "shop.example", path))
}

#[tokio::test]
async fn what_was_acknowledged_is_a_rule_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let before = started(&folder);
    let receipts = before.purge(vec![url("/a"), url("/b")], asked(), LONG).await.unwrap();
    assert!(receipts.iter().all(|receipt| receipt.applied().is_some()));
    let log = before.log().to_owned();
    drop(before);
    let after = started(&folder);
    assert_eq!((after.log(), after.head(), after.position()), (log, 2, 2));
    assert_eq!(state(&after, 0, "/a"), PurgeState::Hard);
    assert_eq!(state(&after, 1, "/b"), PurgeState::Hard);
    assert_eq!(state(&after, 1, "/a"), PurgeState::Clean);
    let next = after.purge(vec![url("/a")], asked(), LONG).await.unwrap();
    assert_eq!(next[0].sequence.number, 3);
    assert_eq!(state(&after, 2, "/a"), PurgeState::Hard);
}

#[tokio::test]
async fn a_table_that_ran_over_is_the_same_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let before = started(&folder);
    // One purge at a time, so that the journal is compacted on the way.
    for number in 0..200 {
        before.purge(vec![url(&format!("/{number}"))], asked(), LONG).await.unwrap();
    }
    let after = started(&folder);
    assert_eq!(after.head(), 200);
    let whole = |purger: &Purger| {
        let (_, rules) = purger.parts.store.rules().snapshot();
        let whole = rules.into_iter().find(|(rule, _)| rule.covers == Coverage::Whole);
        whole.map(|(_, purged)| purged)
    };
    assert_eq!(whole(&after), whole(&before));
    assert!(whole(&after).is_some_and(|purged| purged.hard > 99 && purged.soft == 0));
    for number in 0..200 {
        assert_eq!(state(&after, number, &format!("/{number}")), PurgeState::Hard);
    }
    let length = std::fs::metadata(folder.path().join("purges.journal")).unwrap().len();
    assert!(length <= 129 * 64, "{length}");
}

#[tokio::test]
async fn without_the_journal_nothing_is_purged() {
    let folder = TempDir::new().unwrap();
    let purger = started(&folder);
    let journal = purger.journal.clone().unwrap();
    let file = journal.lock().break_writes();
    let list = vec![url("/a"), url("/b")];
    let refused = purger.purge(list.clone(), asked(), LONG).await.unwrap_err().to_string();
    let expected = "cannot be written: Bad file descriptor (os error 9)";
    assert!(refused.starts_with("purges: none was carried out: the purge journal"), "{refused}");
    assert!(refused.ends_with(expected), "{refused}");
    assert_eq!((purger.head(), purger.position()), (0, 0));
    assert_eq!(state(&purger, 0, "/a"), PurgeState::Clean);
    assert!(!purger.recent(u64::MAX, 9, |_| true).1);
    journal.lock().mend_writes(file);
    let receipts = purger.purge(list, asked(), LONG).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.sequence.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(started(&folder).head(), 2);
}

#[tokio::test]
async fn purges_of_many_are_numbered_in_one_order() {
    let folder = TempDir::new().unwrap();
    let purger = started(&folder);
    let ask = |number: usize| {
        let purger = purger.clone();
        async move {
            let list = vec![url(&format!("/{number}")), url("/same")];
            purger.purge(list, asked(), LONG).await.unwrap()
        }
    };
    let asked: Vec<_> = (0..20).map(|number| tokio::spawn(ask(number))).collect();
    let mut firsts = Vec::new();
    for task in asked {
        let receipts = task.await.unwrap();
        let first = receipts[0].sequence.number;
        assert_eq!(receipts[1].sequence.number, first + 1, "a list stays together");
        firsts.push(first);
    }
    firsts.sort_unstable();
    assert_eq!(firsts, (1..40).step_by(2).collect::<Vec<_>>());
    assert_eq!(started(&folder).head(), 40);
}

#[tokio::test]
async fn who_leaves_has_purged_all_the_same() {
    let folder = TempDir::new().unwrap();
    let purger = started(&folder);
    let left = purger.purge(vec![url("/a")], asked(), LONG).now_or_never();
    assert!(left.is_none() && purger.head() == 0);
    let mut applied = purger.applied.subscribe();
    applied.wait_for(|number| *number == 1).await.unwrap();
    assert_eq!(state(&purger, 0, "/a"), PurgeState::Hard);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_hangs_is_waited_for_so_long() {
    let folder = TempDir::new().unwrap();
    let purger = started(&folder);
    // Its turn has come, and does not end.
    purger.ledger.lock().is_recorded = true;
    let late = purger.purge(vec![url("/a")], asked(), LONG).await.unwrap_err();
    assert_eq!(late.fault, PurgeFault::JournalLate);
    let full = vec![url("/a"); BATCH_MAX];
    let busy = purger.purge(full, asked(), LONG).await.unwrap_err();
    assert_eq!(busy.fault, PurgeFault::Busy, "what waits for the journal is bounded");
}

#[test]
fn event_loops_have_turned_when_the_barrier_passes() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (gone, here) = (tokio::runtime::Builder::new_current_thread().build().unwrap(), &runtime);
    let loops = EventLoops::new(vec![gone.handle().clone(), here.handle().clone()]);
    drop(gone);
    runtime.block_on(loops.pass());
}

#[tokio::test]
async fn numbers_that_were_given_ahead_are_older_than_whatever_comes_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (purger, _) = follower_of(&folder);
    let at = |log, number| Position { number, ..Position::start(LogId(log)) };
    let command =
        PurgeCommand::from_json(&json!({"kind": "url", "value": "http://shop.example/a"})).unwrap();
    purger.distrust(at(7, 10), true).await.unwrap();
    purger.apply(&[&command], at(7, 11), true, |_| ()).await.unwrap();
    let rules = purger.rules();
    let (head, numbers) = (rules.head().number, rules.numbers().unwrap());
    let there = |number| LogSequence { log: LogId(7), number };
    assert_eq!(numbers.to_here(there(11)), Some(head), "what follows runs on");
    // A fetch for an edge that knows of nine purges more.
    let ahead = Sequence { number: numbers.to_here(there(20)).unwrap() };
    assert!(rules.give(ahead.number, &numbers));
    rules.fence(false);
    assert_eq!(
        rules.url_state_since(ahead, &target("shop", "shop.example", "/a")),
        PurgeState::Clean
    );
    // The log goes on elsewhere: purges that cover the fetch are known by no number.
    purger.distrust(at(8, 3), true).await.unwrap();
    assert_eq!(
        rules.url_state_since(ahead, &target("shop", "shop.example", "/a")),
        PurgeState::Possibly
    );
    assert!(!rules.give(99, &numbers), "in numbers that hold no longer");
    assert_eq!(rules.numbers().unwrap().stamp(rules.head().number).number, 3);
    // And again behind a gap, where only the purges that still matter are told.
    let numbers = rules.numbers().unwrap();
    let ahead = Sequence { number: rules.head().number + 30 };
    assert!(rules.give(ahead.number, &numbers));
    purger.apply(&[&command], at(8, 99), true, |_| ()).await.unwrap();
    assert_eq!(
        rules.url_state_since(ahead, &target("shop", "shop.example", "/a")),
        PurgeState::Hard
    );
    let head = rules.head();
    drop(purger);
    let (again, followed) = follower_of(&folder);
    assert_eq!((again.rules().head(), followed.unwrap().position), (head, at(8, 99)));
    let numbers = again.rules().numbers().unwrap();
    assert_eq!(numbers.stamp(head.number), LogSequence { log: LogId(8), number: 99 });
}

/// While they are under way the site of one comes, and that of another goes.
#[tokio::test]
async fn what_names_nothing_is_told_by_the_sites_by_which_it_is_applied() {
    let (mut parts, _) = parts_of(9999, 9, Store::new(LIMITS), None);
    let commands = commands(&["shop.example", "blog.example", "other.example"]);
    let (sites, looks, count) = (parts.resolve, AtomicUsize::new(0), commands.len());
    parts.resolve = Box::new(move |command| {
        let is_first = looks.fetch_add(1, Ordering::SeqCst) < count;
        let absent = if is_first { "shop" } else { "blog" };
        match command.value.contains(absent) {
            true => Err(PurgeFault::UnknownHost(absent.to_owned())),
            false => sites(command),
        }
    });
    let purger = Purger::new(PurgerParts { follows: Some(None), ..parts });
    let position = Position { number: 3, ..Position::start(LogId(7)) };
    let mut told = None;
    let tell = |named: &[bool]| told = Some((named.to_vec(), purger.position()));
    purger.apply(&commands.iter().collect::<Vec<_>>(), position, true, tell).await.unwrap();
    assert_eq!(told, Some((vec![true, true, false], 0)), "before it is acknowledged");
    assert_eq!(purger.position(), 3);
}
