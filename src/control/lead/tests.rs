//! How a lead begins and ends, with a real server where there is one to ask.

use std::path::Path;

use super::*;
use crate::config::control_plane::Publish;
use crate::control::fleet::FleetBounds;
use crate::control::log::embedded::EmbeddedLog;
use crate::control::log::{Asked, Later, LogBounds};
use crate::control::nats::NatsParts;
use crate::control::nats::server::NatsServer;
use crate::control::publish::Publisher;
use crate::control::publish::shelf::{Shelf, ShelfError, Shelved};
use crate::control::{FolderRegistry, PlaneParts, Registry, clock};
use crate::object::PurgeCommand;

const TERM: Duration = Duration::from_secs(10);

const BOUNDS: FleetBounds = FleetBounds { lease: TERM, forget: TERM, nodes: 10, receipts: 10 };

/// Servers that never tell what is published.
struct Silent;

impl Shelf for Silent {
    fn look(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        Box::pin(pending())
    }

    fn take_up(&self) -> Later<'_, Result<Shelved, ShelfError>> {
        Box::pin(pending())
    }

    fn seize(&self) -> Later<'_, Result<(), ShelfError>> {
        Box::pin(pending())
    }

    fn write(&self, _: Arc<Shelved>, _: Arc<Shelved>) -> Later<'_, Result<(), ShelfError>> {
        Box::pin(pending())
    }
}

async fn plane(lead: &Lead, folder: &Path) -> Arc<Plane> {
    let kept = LogBounds { entries: 8, rules: 64, waiting: 100 };
    let registry = FolderRegistry::new(folder.to_owned());
    registry.begin().await.unwrap();
    let parts = PlaneParts {
        log: Arc::new(EmbeddedLog::open(folder, kept).unwrap()),
        registry: Arc::new(registry),
        lead: lead.clone(),
        publisher: Publisher::new(Arc::new(Silent), Publish::default()),
        bounds: BOUNDS,
        clock: clock::monotonic,
    };
    Plane::open(parts).await.unwrap()
}

async fn contest(server: &NatsServer, lead: &Lead) -> Contest {
    let nats = Nats::connect(NatsParts::of(vec![server.url()])).await.unwrap();
    Contest::new(&nats, lead.clone(), TERM, clock::monotonic).await.unwrap()
}

#[test]
fn a_lead_ends() {
    let now = Duration::from_secs(7);
    assert!(Lead::always().holds(now));
    let lead = Lead::none();
    assert!(!lead.holds(now));
    lead.set(now + Duration::from_nanos(1));
    assert!(lead.holds(now) && !lead.holds(now + Duration::from_nanos(1)));
    lead.set(Duration::ZERO);
    assert!(!lead.holds(Duration::ZERO));
}

#[tokio::test]
async fn who_leads_does_not_wait_for_what_is_published() {
    let (server, folder, lead) = (NatsServer::start(), tempfile::tempdir().unwrap(), Lead::none());
    let plane = plane(&lead, folder.path()).await;
    let contest = contest(&server, &lead).await;
    let purged = async {
        while !plane.leads() {
            tokio::task::yield_now().await;
        }
        let command = PurgeCommand::from_json(&json!({ "kind": "tag", "value": "a" }));
        let commands = vec![command.unwrap()];
        let asked = Asked { by: "deploy".to_owned(), at: 7, commands };
        plane.purge(asked).await
    };
    tokio::select! {
        () = contest.contend(&plane) => {}
        purged = purged => drop(purged.unwrap()),
    }
    let refused = plane.publisher().all().unwrap_err().to_string();
    assert_eq!(refused, "config: what is published is yet to be read; expected a retry");
}

#[tokio::test]
async fn one_that_lost_the_lead_while_it_took_up_does_not_go_on() {
    let (server, folder, lead) = (NatsServer::start(), tempfile::tempdir().unwrap(), Lead::none());
    let plane = plane(&lead, folder.path()).await;
    let one = contest(&server, &lead).await;
    let next = contest(&server, &Lead::none()).await;
    let revision = one.hold(0).await.unwrap();
    next.hold(revision).await.unwrap();
    one.keep_for(&plane, revision).await;
    assert!(!plane.leads());
}

#[tokio::test]
async fn a_lost_answer_costs_nobody_the_lead() {
    let (server, folder, lead) = (NatsServer::start(), tempfile::tempdir().unwrap(), Lead::none());
    let plane = plane(&lead, folder.path()).await;
    let one = contest(&server, &lead).await;
    let known = one.hold(0).await.unwrap();
    one.hold(known).await.unwrap();
    let leads = async {
        while !plane.leads() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = one.keep_for(&plane, known) => panic!("it holds the key, and does not lead"),
        () = leads => {}
    }
}

/// A second further with every look.
fn stepping() -> Duration {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    Duration::from_secs(LOOKS.fetch_add(1, Ordering::SeqCst))
}

#[tokio::test]
async fn one_that_stands_by_waits_for_the_longer_term_of_the_two() {
    let server = NatsServer::start();
    let one = contest(&server, &Lead::none()).await;
    let revision = one.hold(0).await.unwrap();
    let nats = Nats::connect(NatsParts::of(vec![server.url()])).await.unwrap();
    let term = Duration::from_millis(800);
    let next = Contest::new(&nats, Lead::none(), term, stepping).await.unwrap();
    assert_eq!(next.stand_by().await, revision);
    assert!(stepping() > TERM, "it has waited for its own term alone");
}

static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// Looked at once a round.
fn counting() -> Duration {
    ROUNDS.fetch_add(1, Ordering::SeqCst);
    clock::monotonic()
}

#[tokio::test]
async fn servers_that_refuse_to_write_are_asked_a_few_times_a_term() {
    let server = NatsServer::start();
    let nats = Nats::connect(NatsParts::of(vec![server.url()])).await.unwrap();
    let term = Duration::from_millis(320);
    let one = Contest::new(&nats, Lead::none(), term, counting).await.unwrap();
    let revision = one.hold(0).await.unwrap();
    let mut bucket = one.bucket.stream.cached_info().config.clone();
    bucket.max_message_size = 1;
    nats.jetstream().update_stream(bucket).await.unwrap();
    assert!(one.hold(revision).await.is_none());
    assert!(one.hold_on(revision, one.a_term_from_now()).await.is_none());
    let rounds = ROUNDS.load(Ordering::SeqCst);
    assert!(rounds <= 1 + 16 + 1, "{rounds}");
}
