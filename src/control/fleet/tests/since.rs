//! What a grant says must be applied first: no more than what may be complete without the node.

use super::*;

#[test]
fn a_busy_log_does_not_move_it() {
    let mut stage = Stage::new();
    stage.append(2, 0);
    assert_eq!(stage.since("a", 1, node(1, 0)), Ok(2), "of before nothing waited for it");
    for second in 2..30 {
        stage.append(1, second);
        stage.fleet.advance(at(second));
        assert_eq!(stage.since("a", second, node(1, second)), Ok(2));
    }
}

#[test]
fn whose_lease_ran_out_must_apply_what_came_meanwhile() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(1, 1);
    stage.fleet.advance(at(LAPSE));
    assert_eq!(stage.receipt(1), complete("a fenced"));
    assert_eq!(stage.since("a", 20, node(1, 0)), Ok(1));
    stage.append(1, 21);
    // That answer may have been lost.
    assert_eq!(stage.since("a", 22, node(1, 0)), Ok(1));
    // Late, and nobody noticed that it was.
    assert_eq!(stage.since("a", 99, node(1, 1)), Ok(2));
}

#[test]
fn who_serves_on_is_always_waited_for() {
    let mut stage = Stage::new();
    stage.beat("a", 0, serving(1, 0)).unwrap();
    stage.append(1, 1);
    stage.fleet.advance(at(1000));
    assert_eq!(stage.since("a", 1000, serving(1, 0)), Ok(0));
    let next = Heartbeat { succeeds: [1].into(), ..serving(2, 0) };
    assert_eq!(stage.since("a", 1001, next), Ok(0));
    // Not so under the name of one whose lease ran out.
    let next = Heartbeat { succeeds: [2].into(), ..node(3, 0) };
    assert_eq!(stage.since("a", 1002, next), Ok(1));
    stage.append(1, 1003);
    let next = Heartbeat { succeeds: [3].into(), ..serving(4, 1) };
    assert_eq!(stage.since("a", 2000, next), Ok(2));
}

#[test]
fn a_restart_knows_not_who_was_fenced() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.beat("b", 0, serving(2, 0)).unwrap();
    stage.append(1, 1);
    let mut stage = stage.restarted(1000);
    stage.append(1, 1001);
    for (name, beat) in [("a", node(1, 0)), ("b", serving(2, 0))] {
        assert_eq!(stage.since(name, 1002, beat), Ok(1), "{name}");
    }
}

#[test]
fn who_stands_in_another_history_must_apply_all_of_this_one() {
    let mut stage = Stage::new();
    stage.beat("a", 0, node(1, 0)).unwrap();
    stage.append(2, 1);
    for position in [None, Some((LogId(8), 1)), Some((LOG, 3))] {
        assert_eq!(stage.since("a", 2, Heartbeat { position, ..node(1, 0) }), Ok(2));
    }
    assert_eq!(stage.since("a", 3, node(1, 1)), Ok(0));
    let other = Position { log: LogId(8), ..head(5) };
    assert_eq!(stage.fleet.beat("a", node(1, 1), other, at(4)), Some(5));
}
