//! Each rule of the registry, the leases and the receipts, by a clock of its own.

use serde_json::json;

mod names;
mod since;

use super::*;
use crate::object::{Entry, EntryHash, PurgeCommand};

const LOG: LogId = LogId(7);

const BOUNDS: FleetBounds = FleetBounds {
    lease: Duration::from_secs(10),
    forget: Duration::from_secs(100),
    nodes: 3,
    receipts: 4,
};

/// Past the lease, margin included.
const LAPSE: u64 = 11;

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn head(number: u64) -> Position {
    Position { log: LOG, number, hash: EntryHash([0; 32]) }
}

/// A fleet and the log that it follows.
struct Stage {
    fleet: Fleet,
    head: u64,
}

impl Stage {
    fn new() -> Self {
        Self { fleet: Fleet::new(BOUNDS, head(0), Vec::new(), at(0)), head: 0 }
    }

    fn restarted(&self, second: u64) -> Self {
        let known = self.fleet.registrations();
        Self { fleet: Fleet::new(BOUNDS, head(self.head), known, at(second)), head: self.head }
    }

    /// A heartbeat as the door takes it: admitted, registered if need be, granted.
    fn beat(&mut self, name: &str, second: u64, beat: Heartbeat) -> Result<(), Refusal> {
        self.since(name, second, beat).map(drop)
    }

    /// The same, and what its grant says must be applied first.
    fn since(&mut self, name: &str, second: u64, beat: Heartbeat) -> Result<u64, Refusal> {
        if let Admission::New(node) = self.fleet.admit(name, &beat, at(second))? {
            self.fleet.register(node, at(second));
        }
        Ok(self.fleet.beat(name, beat, head(self.head), at(second)).unwrap())
    }

    /// Appends an entry of so many purges.
    fn append(&mut self, purges: usize, second: u64) -> u64 {
        let command = PurgeCommand::from_json(&json!({ "kind": "tag", "value": "a" })).unwrap();
        let (first, previous) = (self.head + 1, EntryHash([0; 32]));
        let commands = vec![command; purges];
        let entry = Entry { first, previous, at: 0, by: "deploy".to_owned(), commands };
        self.head = entry.last();
        self.fleet.appended(LOG, Arc::new(Logged::new(entry)), at(second));
        self.head
    }

    /// The rows of a receipt, as `name state`, and whether it is complete.
    fn receipt(&self, number: u64) -> (String, bool) {
        let receipt = self.fleet.receipt(number).unwrap();
        let rows = receipt.rows().map(|row| {
            let ms = match row.state {
                State::Applied(Some(took)) => format!(" {}", took.as_millis()),
                State::Applied(None) => " before".to_owned(),
                _ => row.removed_by.map(|by| format!(" by {by}")).unwrap_or_default(),
            };
            format!("{} {}{ms}", row.name, row.state.as_str())
        });
        (rows.collect::<Vec<_>>().join(", "), receipt.is_complete())
    }

    fn standing(&self, name: &str, second: u64) -> &'static str {
        self.fleet.nodes[name].standing(at(second)).as_str()
    }
}

/// What a node of an incarnation says that has applied so much.
fn node(incarnation: u64, applied: u64) -> Heartbeat {
    Heartbeat {
        incarnation,
        succeeds: Box::default(),
        role: "edge".into(),
        region: "".into(),
        version: "".into(),
        serves_on: false,
        is_fenced: false,
        hash: None,
        position: Some((LOG, applied)),
        applied_ms: None,
        status: None,
        leaves: false,
        unmatched: Box::default(),
        config: None,
    }
}

fn serving(incarnation: u64, applied: u64) -> Heartbeat {
    Heartbeat { serves_on: true, ..node(incarnation, applied) }
}

fn complete(rows: &str) -> (String, bool) {
    (rows.to_owned(), true)
}

fn pending(rows: &str) -> (String, bool) {
    (rows.to_owned(), false)
}

#[test]
fn a_receipt_is_complete_when_every_node_registered_then_has_applied_it() {
    let mut stage = Stage::new();
    stage.append(1, 0);
    assert_eq!(stage.receipt(1), complete(""), "nobody to wait for");
    stage.beat("a", 1, node(1, 1)).unwrap();
    stage.beat("b", 1, node(2, 0)).unwrap();
    stage.append(2, 2);
    stage.beat("c", 2, node(3, 0)).unwrap();
    assert_eq!(stage.receipt(2), pending("a pending, b pending"));
    stage.beat("a", 3, node(1, 3)).unwrap();
    stage.beat("b", 3, node(2, 2)).unwrap();
    assert_eq!(stage.receipt(3), pending("a applied 1000, b pending"), "half an entry is none");
    assert_eq!(stage.fleet.pending(), 1);
    let before = stage.fleet.completed();
    stage.beat("b", 4, node(2, 3)).unwrap();
    assert_eq!(stage.receipt(2), complete("a applied 1000, b applied 2000"));
    assert_eq!((stage.fleet.completed() - before, stage.fleet.pending()), (1, 0));
}

#[test]
fn an_acknowledgement_is_cumulative_and_never_taken_back() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    for _ in 0..3 {
        stage.append(1, 1);
    }
    stage.beat("a", 2, node(1, 3)).unwrap();
    stage.beat("a", 3, node(1, 1)).unwrap();
    assert_eq!(stage.fleet.nodes["a"].applied(), 3);
    for number in 1..=3 {
        assert_eq!(stage.receipt(number), complete("a applied 1000"));
    }
    // What came to be known here only after the node had applied it.
    stage.head = 4;
    stage.beat("a", 4, node(1, 4)).unwrap();
    stage.head = 3;
    stage.append(1, 4);
    assert_eq!(stage.receipt(4), complete("a applied 0"));
}

#[test]
fn what_was_applied_of_another_log_or_beyond_the_head_counts_as_nothing() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(1, 1);
    let elsewhere = Some((LogId(8), 1));
    stage.beat("a", 2, Heartbeat { position: elsewhere, ..node(1, 0) }).unwrap();
    stage.beat("a", 2, Heartbeat { position: None, ..node(1, 0) }).unwrap();
    stage.beat("a", 2, node(1, 2)).unwrap();
    assert_eq!(stage.receipt(1), pending("a pending"));
}

#[test]
fn a_lease_ends_a_margin_after_it_was_granted() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(1, 1);
    for (second, standing, rows) in
        [(10, "live", pending("a pending")), (LAPSE, "fenced", complete("a fenced"))]
    {
        stage.fleet.advance(at(second));
        assert_eq!((stage.standing("a", second), stage.receipt(1)), (standing, rows));
    }
    stage.append(1, 12);
    assert_eq!(
        stage.receipt(2),
        complete("a fenced"),
        "of those that come while it is fenced, too"
    );
}

#[test]
fn who_was_fenced_stays_so_until_it_has_applied_what_its_grant_carries() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(1, 1);
    // It comes back late, before anybody noticed, and does not know that it was fenced.
    stage.beat("a", 20, node(1, 0)).unwrap();
    assert_eq!(stage.receipt(1), complete("a fenced"));
    stage.append(1, 21);
    assert_eq!(stage.receipt(2), pending("a pending"), "the grant did not carry this one");
    stage.beat("a", 22, node(1, 2)).unwrap();
    assert_eq!(stage.receipt(1), complete("a applied 21000"), "better than fenced");
    assert_eq!(stage.receipt(2), complete("a applied 1000"));
    // Not by its own word: a grant that it holds may have lifted the fence since.
    stage.append(1, 23);
    stage.beat("a", 24, Heartbeat { is_fenced: true, ..node(1, 2) }).unwrap();
    assert_eq!((stage.receipt(3), stage.standing("a", 24)), (pending("a pending"), "fenced"));
}

#[test]
fn a_node_that_serves_on_is_waited_for_however_long() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    stage.append(1, 1);
    stage.fleet.advance(at(1_000_000));
    assert_eq!(stage.standing("a", 1_000_000), "lost");
    assert_eq!(stage.receipt(1), pending("a pending"));
    stage.append(1, 1_000_000);
    assert_eq!(stage.receipt(2), pending("a pending"));
    stage.beat("a", 1_000_001, Heartbeat { is_fenced: true, ..serving(1, 0) }).unwrap();
    assert_eq!(stage.receipt(2), pending("a pending"));
}

#[test]
fn an_operators_word_strikes_a_node_off_and_stands_in_the_receipt() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    stage.beat("b", 0, serving(2, 0)).unwrap();
    stage.append(1, 1);
    stage.beat("a", 2, serving(1, 1)).unwrap();
    stage.append(1, 3);
    assert!(stage.fleet.remove("a", "alice") && stage.fleet.remove("b", "bob"));
    assert!(!stage.fleet.remove("b", "bob"));
    assert_eq!(stage.receipt(1), complete("a applied 1000, b removed by bob"));
    assert_eq!(stage.receipt(2), complete("a removed by alice, b removed by bob"));
    stage.append(1, 4);
    assert_eq!(stage.receipt(3), complete(""));
    assert_eq!(stage.fleet.beat("a", serving(1, 3), head(3), at(5)), None, "it registers anew");
}

#[test]
fn a_second_process_of_a_name_is_refused_while_the_first_may_serve() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    let left = Duration::from_secs(2);
    assert_eq!(stage.beat("a", 9, node(2, 0)), Err(Refusal::Taken(left)));
    stage.beat("a", 9, node(1, 0)).unwrap();
    stage.append(1, 10);
    assert!(stage.beat("a", 19, node(2, 0)).is_err(), "the first was heard since");
    stage.beat("a", 20, node(2, 0)).unwrap();
    assert_eq!(stage.beat("a", 21, node(1, 1)), Err(Refusal::Taken(Duration::from_secs(10))));
    assert_eq!(stage.receipt(1), complete("a fenced"));
}

#[test]
fn a_restart_holds_every_lease_live_for_a_whole_one() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.beat("b", 0, serving(2, 0)).unwrap();
    let mut stage = stage.restarted(1000);
    assert_eq!((stage.standing("a", 1000), stage.standing("b", 1000)), ("held", "held"));
    stage.append(1, 1001);
    assert!(stage.beat("a", 1010, node(3, 0)).is_err());
    stage.fleet.advance(at(1010));
    assert_eq!(stage.receipt(1), pending("a pending, b pending"));
    stage.beat("b", 1010, serving(2, 1)).unwrap();
    stage.fleet.advance(at(1000 + LAPSE));
    assert_eq!(stage.receipt(1), complete("a fenced, b applied 9000"));
}

/// What was registered after the backup, and serves on, is not known before it is heard.
#[test]
fn after_a_restore_every_receipt_waits_a_lease_and_for_whoever_is_heard_meanwhile() {
    let known = vec![Registration {
        name: "a".into(),
        incarnation: 1,
        serves_on: true,
        lease: BOUNDS.lease,
    }];
    let restored = || {
        let known = [known.clone(), vec![Registration::unknown(Duration::ZERO)]].concat();
        Stage { fleet: Fleet::new(BOUNDS, head(0), known, at(1000)), head: 0 }
    };
    let mut stage = restored();
    stage.append(1, 1001);
    stage.beat("a", 1002, serving(1, 1)).unwrap();
    let rows = "a applied 1000, nodes-not-known pending";
    assert_eq!(stage.receipt(1), pending(rows));
    assert_eq!(stage.since("b", 1003, serving(2, 0)), Ok(1), "it trusts nothing before");
    stage.append(1, 1004);
    stage.beat("a", 1005, serving(1, 2)).unwrap();
    stage.fleet.advance(at(1000 + LAPSE));
    let rows = "a applied 1000, nodes-not-known fenced, b pending";
    assert_eq!(stage.receipt(1), pending(rows));
    stage.beat("b", 1012, serving(2, 2)).unwrap();
    let rows = "a applied 1000, nodes-not-known fenced, b applied 11000";
    assert_eq!(stage.receipt(1), complete(rows));
    // Then all is as ever: a new one owes nothing of what was before.
    stage.fleet.advance(at(1000 + LAPSE + 100));
    stage.append(1, 1200);
    stage.beat("c", 1201, serving(3, 0)).unwrap();
    assert_eq!(stage.receipt(3), pending("a pending, b pending"));

    let mut stage = restored();
    stage.append(1, 1001);
    stage.beat("a", 1002, serving(1, 1)).unwrap();
    assert!(stage.fleet.remove("nodes-not-known", "alice"), "by somebody's word at once");
    let rows = "a applied 1000, nodes-not-known removed by alice";
    assert_eq!(stage.receipt(1), complete(rows));
}

/// Of a lease of 60 seconds, by a control plane that is started anew with one of 10.
#[test]
fn a_restart_with_a_shorter_lease_holds_those_that_were_granted_before() {
    let long = FleetBounds { lease: Duration::from_secs(60), ..BOUNDS };
    let mut before = Stage { fleet: Fleet::new(long, head(0), Vec::new(), at(0)), head: 0 };
    before.beat("a", 0, node(1, 0)).unwrap();
    let mut stage = before.restarted(1000);
    stage.append(1, 1001);
    // Its answer may be lost.
    stage.beat("a", 1002, node(1, 0)).unwrap();
    stage.fleet.advance(at(1065));
    assert_eq!(stage.receipt(1), pending("a pending"));
    stage.fleet.advance(at(1066));
    assert_eq!(stage.receipt(1), complete("a fenced"));
    assert_eq!(stage.fleet.registrations(), before.fleet.registrations(), "until it starts anew");
    stage.beat("a", 1070, node(2, 1)).unwrap();
    assert_eq!(stage.fleet.registrations()[0].lease, BOUNDS.lease);
    // A longer one is durable before it is granted.
    let known = stage.fleet.registrations();
    let mut longer = Fleet::new(long, head(1), known, at(2000));
    let registration =
        Registration { name: "a".into(), incarnation: 2, serves_on: false, lease: long.lease };
    assert_eq!(longer.admit("a", &node(2, 1), at(2001)), Ok(Admission::New(registration)));

    let known = vec![Registration::unknown(long.lease)];
    let mut restored = Stage { fleet: Fleet::new(BOUNDS, head(0), known, at(1000)), head: 0 };
    restored.append(1, 1001);
    restored.fleet.advance(at(1065));
    assert_eq!(restored.receipt(1), pending("nodes-not-known pending"));
}

#[test]
fn receipts_of_before_a_restart_wait_for_who_is_registered() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(1, 1);
    let entry = stage.fleet.receipt(1).unwrap().entry.clone();
    let mut stage = stage.restarted(1000);
    stage.fleet.begin(head(0));
    stage.fleet.recall(LOG, entry, at(1000));
    assert_eq!(stage.receipt(1), pending("a pending"));
    stage.beat("a", 1001, node(1, 1)).unwrap();
    assert_eq!(stage.receipt(1), complete("a applied before"));
}

#[test]
#[should_panic(expected = "carries every purge that has a receipt")]
fn a_grant_does_not_fall_behind_the_receipts() {
    let mut stage = Stage::new();
    stage.append(1, 0);
    stage.head = 0;
    let _granted = stage.beat("a", 1, node(1, 0));
}

#[test]
fn what_is_made_durable_is_what_a_restart_needs() {
    let mut stage = Stage::new();
    let admitted = stage.fleet.admit("a", &serving(1, 0), at(0));
    let lease = BOUNDS.lease;
    let registration = Registration { name: "a".into(), incarnation: 1, serves_on: true, lease };
    assert_eq!(admitted, Ok(Admission::New(registration.clone())));
    stage.beat("a", 0, serving(1, 0)).unwrap();
    assert_eq!(stage.fleet.registrations(), std::slice::from_ref(&registration));
    assert_eq!(stage.fleet.admit("a", &serving(1, 0), at(0)), Ok(Admission::Known));
    // Whether it serves on is durable before it gets a lease by it.
    let changed = Registration { serves_on: false, ..registration.clone() };
    assert_eq!(stage.fleet.admit("a", &node(1, 0), at(1)), Ok(Admission::New(changed)));
    assert_eq!(stage.restarted(5).fleet.admit("a", &serving(1, 0), at(6)), Ok(Admission::Known));
}

#[test]
fn the_tables_are_bounded() {
    let mut stage = Stage::new();
    for (name, incarnation) in [("a", 1), ("b", 2), ("c", 3)] {
        stage.beat(name, 0, node(incarnation, 0)).unwrap();
    }
    assert_eq!(stage.beat("d", 0, node(4, 0)), Err(Refusal::Full));
    for _ in 0..6 {
        stage.append(1, 1);
    }
    assert!(stage.fleet.receipt(2).is_none() && stage.fleet.receipt(3).is_some());
    let numbers = |before| {
        stage.fleet.receipts(before).map(|receipt| receipt.entry.first).collect::<Vec<_>>()
    };
    assert_eq!((numbers(u64::MAX), numbers(5)), (vec![6, 5, 4, 3], vec![4, 3]));
    // Who is fenced is forgotten in the end, and makes room.
    stage.fleet.advance(at(LAPSE + 99));
    assert_eq!(stage.fleet.nodes().len(), 3);
    stage.fleet.advance(at(LAPSE + 100));
    assert_eq!(stage.fleet.nodes().len(), 0);
    assert_eq!(stage.beat("d", 200, node(4, 0)), Ok(()));
}

#[test]
fn another_log_begins_with_nothing_acknowledged() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(1, 1);
    stage.beat("a", 2, node(1, 1)).unwrap();
    let other = Position { log: LogId(8), ..head(5) };
    assert_eq!(stage.fleet.beat("a", node(1, 1), other, at(3)), Some(5));
    assert_eq!((stage.fleet.nodes["a"].applied(), stage.fleet.receipts(u64::MAX).count()), (0, 0));
}

#[test]
fn what_names_nothing_that_any_node_serves_is_told() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.beat("b", 0, node(2, 0)).unwrap();
    stage.append(3, 1);
    let matched = |stage: &Stage| {
        let receipt = stage.fleet.receipt(1).unwrap();
        [1, 2, 3].map(|number| receipt.matched(number))
    };
    assert_eq!(matched(&stage), [None; 3], "nobody has applied it");
    let unmatched = |rows: &[(u64, u64)], beat| Heartbeat { unmatched: rows.into(), ..beat };
    stage.beat("a", 2, unmatched(&[(1, 2)], node(1, 3))).unwrap();
    assert_eq!(matched(&stage), [Some(0), Some(0), Some(1)]);
    // Said again, by the next process of the name, it counts once.
    let next = Heartbeat { succeeds: [1].into(), ..node(4, 3) };
    stage.beat("a", 2, unmatched(&[(1, 2)], next)).unwrap();
    stage.beat("b", 2, unmatched(&[(1, 1), (3, 9)], node(2, 3))).unwrap();
    assert_eq!(matched(&stage), [Some(0), Some(1), Some(1)]);
}

#[test]
fn what_a_fenced_node_serves_is_not_known() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.beat("b", 0, node(2, 0)).unwrap();
    stage.append(2, 1);
    let nothing = Heartbeat { unmatched: [(1, 1)].into(), ..node(1, 2) };
    stage.beat("a", 2, nothing).unwrap();
    stage.fleet.advance(at(LAPSE));
    let receipt = stage.fleet.receipt(1).unwrap();
    assert!(receipt.is_complete());
    assert_eq!([1, 2].map(|number| receipt.matched(number)), [None, Some(1)]);
}
