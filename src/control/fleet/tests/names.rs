//! Who has a name, and when it passes to another process.

use super::*;

/// The same heartbeat, of a process that holds the identity file of others.
fn after(succeeds: &[u64], beat: Heartbeat) -> Heartbeat {
    Heartbeat { succeeds: succeeds.into(), ..beat }
}

fn serves(incarnation: u64, heard: Option<u64>) -> Result<(), Refusal> {
    Err(Refusal::Serves { incarnation, heard: heard.map(Duration::from_secs) })
}

#[test]
fn who_may_have_the_name_of_another() {
    let lapsed = LAPSE;
    let taken = |left| Err(Refusal::Taken(Duration::from_secs(left)));
    let cases = [
        // Lease over or not: who serves on may serve as long as it is not known to have ended.
        ("a stranger", serving(1, 0), 5, serving(2, 0), serves(1, Some(5))),
        ("a stranger, late", serving(1, 0), 99_999, serving(2, 0), serves(1, Some(99_999))),
        ("one that validates", serving(1, 0), 99_999, node(2, 0), serves(1, Some(99_999))),
        ("of another file", serving(1, 0), lapsed, after(&[9], serving(2, 0)), serves(1, Some(11))),
        ("the next process", serving(1, 0), 1, after(&[1], serving(2, 0)), Ok(())),
        ("starts without an answer", serving(1, 0), 1, after(&[1, 7, 8], serving(2, 0)), Ok(())),
        ("an answer was lost", serving(7, 0), 1, after(&[1, 7, 8], serving(2, 0)), Ok(())),
        // Who validates has a lease to be waited for.
        ("a lease lives", node(1, 0), 9, node(2, 0), taken(2)),
        ("a lease is over", node(1, 0), lapsed, serving(2, 0), Ok(())),
        ("the next, at once", node(1, 0), 1, after(&[1], node(2, 0)), Ok(())),
    ];
    for (case, first, second, next, expected) in cases {
        let mut stage = Stage::new();
        stage.beat("a", 0, first).unwrap();
        stage.fleet.advance(at(second));
        assert_eq!(stage.beat("a", second, next), expected, "{case}");
    }
}

#[test]
fn a_name_passes_on_with_what_it_owes() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    stage.append(1, 1);
    stage.beat("a", 2, after(&[1], serving(2, 0))).unwrap();
    assert_eq!(stage.receipt(1), pending("a pending"), "it owes what the first did");
    stage.beat("a", 3, serving(2, 1)).unwrap();
    assert_eq!(stage.receipt(1), complete("a applied 2000"));
    // A heartbeat of the first that comes late changes nothing.
    assert_eq!(stage.beat("a", 4, serving(1, 1)), serves(2, Some(1)));
}

#[test]
fn a_name_is_kept_over_a_restart_of_the_control_plane() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    let mut stage = stage.restarted(1000);
    stage.fleet.advance(at(9000));
    assert_eq!(stage.beat("a", 9000, serving(2, 0)), serves(1, None));
    assert_eq!(stage.beat("a", 9000, after(&[1], serving(2, 0))), Ok(()));
}

#[test]
fn an_operators_word_frees_a_name() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    assert!(stage.fleet.remove("a", "alice"));
    assert_eq!(stage.beat("a", 1, serving(2, 0)), Ok(()));
}

#[test]
fn who_leaves_is_waited_for_no_longer_and_frees_its_name() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    stage.append(1, 1);
    stage.beat("a", 2, serving(1, 1)).unwrap();
    stage.append(1, 3);
    assert!(!stage.fleet.leave("a", 2), "the name is another's");
    assert!(stage.fleet.leave("a", 1) && !stage.fleet.leave("a", 1));
    assert_eq!(stage.receipt(1), complete("a applied 1000"));
    assert_eq!(stage.receipt(2), complete("a left"));
    stage.append(1, 4);
    assert_eq!(stage.receipt(3), complete(""));
    assert_eq!(stage.since("a", 5, serving(2, 0)), Ok(3), "none of that waited for the name");
}

#[test]
fn while_a_name_passes_on_nobody_has_a_lease_under_it() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    let Ok(Admission::New(second)) = stage.fleet.admit("a", &node(2, 0), at(LAPSE)) else {
        panic!("its lease is over");
    };
    // The first comes back while the second is being written.
    let refused = Err(Refusal::Taken(BOUNDS.lease));
    assert_eq!(stage.beat("a", LAPSE, node(1, 0)), refused);
    assert_eq!(stage.fleet.beat("a", node(1, 0), head(0), at(LAPSE)), None);
    assert_eq!(stage.beat("a", LAPSE, node(3, 0)), refused);
    // Unless that fails.
    assert!(stage.fleet.give_up(&second) && !stage.fleet.give_up(&second));
    assert_eq!(stage.beat("a", LAPSE, node(1, 0)), Ok(()));
    stage.fleet.register(second, at(LAPSE));
    assert_eq!(stage.beat("a", LAPSE, node(1, 0)), Ok(()), "it was given up");
}

#[test]
fn of_two_that_are_new_one_claims_the_name() {
    let mut fleet = Stage::new().fleet;
    assert!(matches!(fleet.admit("a", &node(1, 0), at(0)), Ok(Admission::New(_))));
    assert!(matches!(fleet.admit("a", &node(1, 0), at(0)), Ok(Admission::New(_))), "asked again");
    assert_eq!(fleet.admit("a", &node(2, 0), at(0)), Err(Refusal::Taken(BOUNDS.lease)));
    for name in ["b", "c"] {
        assert!(fleet.admit(name, &node(3, 0), at(0)).is_ok());
    }
    assert_eq!(fleet.admit("d", &node(4, 0), at(0)), Err(Refusal::Full), "claims count");
}

#[test]
fn nodes_that_nobody_knows_take_no_place() {
    let known = vec![Registration::unknown(BOUNDS.lease)];
    let mut stage = Stage { fleet: Fleet::new(BOUNDS, head(0), known, at(0)), head: 0 };
    for name in ["a", "b", "c"] {
        assert_eq!(stage.beat(name, 1, node(1, 0)), Ok(()));
    }
    assert_eq!(stage.beat("d", 1, node(1, 0)), Err(Refusal::Full));
}
