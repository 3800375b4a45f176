//! What is found, whatever the order in which offers, removals and recovery meet.

use super::*;

fn location(at: u32) -> Location {
    Location::new(1, at, 2)
}

fn recovered() -> Index {
    let index = Index::new();
    index.recovered();
    index
}

#[test]
fn only_the_newest_offer_is_published() {
    let index = recovered();
    let (first, lingers) = index.offer(7, None);
    assert!(!lingers && index.is_newest(7, first));
    let (second, lingers) = index.offer(7, None);
    assert!(lingers, "the first may be written by now");
    assert!(index.is_newest(7, second) && !index.is_newest(7, first));
    assert!(index.take_displaced().is_empty());
    assert!(!index.publish(7, first, location(1)));
    assert!(index.peek(7).is_none());
    assert!(index.publish(7, second, location(2)));
    assert!(!index.publish(7, second, location(3)), "once");
    assert!(index.peek(7).is_some_and(|found| found.is_at(location(2))));
    assert_eq!((index.objects(), index.bytes()), (1, location(2).length()));
}

#[test]
fn what_is_removed_stays_so_whatever_waits() {
    let index = recovered();
    let (ticket, _) = index.offer(7, None);
    assert!(index.remove(7));
    assert!(!index.publish(7, ticket, location(1)));
    assert!(!index.remove(7), "nothing is left to remove");
    let (ticket, _) = index.offer(7, None);
    index.withdraw(7, ticket);
    assert!(!index.publish(7, ticket, location(1)));
}

#[test]
fn recovery_adds_only_what_nothing_newer_stands_against() {
    let index = Index::new();
    let (waiting, _) = index.offer(1, None);
    assert!(index.remove(2), "what recovery has not met yet");
    index.recover_removal(3);
    for key in [1, 2, 3] {
        assert!(!index.recover(key, location(1)), "{key}");
    }
    assert!(index.recover(4, location(4)));
    assert!(!index.recover(4, location(1)), "the newest comes first");
    assert!(index.publish(1, waiting, location(9)));
    index.recovered();
    assert_eq!(index.objects(), 2);
    assert!(index.peek(1).is_some_and(|found| found.is_at(location(9))));
    assert!(index.peek(4).is_some_and(|found| found.is_at(location(4))));
}

#[test]
fn uses_are_counted_and_notes_follow_only_their_record() {
    let index = recovered();
    let (ticket, _) = index.offer(7, None);
    index.publish(7, ticket, location(1));
    for uses in [1, 2, 3, 3] {
        assert_eq!(index.find(7).map(Location::uses), Some(uses));
    }
    index.update(7, location(2), Location::verified);
    assert!(!index.peek(7).unwrap().is_verified(), "another record");
    index.update(7, location(1), Location::verified);
    assert!(index.peek(7).unwrap().is_verified());
    assert!(!index.relocate(7, location(2), location(3)));
    assert!(index.relocate(7, location(1), location(3)));
    assert!(!index.forget(7, location(1)));
    assert!(index.forget(7, location(3)));
    assert_eq!((index.objects(), index.bytes()), (0, 0));
}

#[test]
fn a_slot_is_forgotten_with_all_that_stands_there() {
    let index = recovered();
    for key in 1..100u32 {
        let (ticket, _) = index.offer(key.into(), None);
        index.publish(key.into(), ticket, Location::new(key as u16 % 2, key, 1));
        index.set_content(u64::from(key) << 32, Location::new(key as u16 % 2, key, 1));
    }
    assert_eq!(index.forget_slot(1), 50);
    assert_eq!(index.objects(), 49);
    assert!(index.peek(1).is_none() && index.peek(1 << 32).is_none());
    assert!(index.peek(2).is_some() && index.peek(2 << 32).is_some());
}

#[test]
fn a_million_objects_take_at_most_48_bytes_each() {
    let index = recovered();
    const OBJECTS: u64 = 1_000_000;
    for n in 1..=OBJECTS {
        let key = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (ticket, _) = index.offer(key, None);
        index.publish(key, ticket, location(n as u32));
        index.set_content(key.rotate_left(31), location(n as u32));
        let each = index.memory() as f64 / n as f64;
        assert!(n % 50_000 != 0 || each <= 48.0, "{each} bytes an object at {n}");
    }
}

#[test]
fn what_is_dropped_is_what_was_seen_and_never_what_recovery_needs() {
    let index = Index::new();
    assert!(index.recover(1, location(1)));
    assert!(!index.drop_at(1, location(1)), "it may stand against an older record");
    index.recovered();
    assert!(!index.drop_at(1, location(9)), "another stands there by now");
    index.set_content(5, location(1));
    let found: Vec<_> = (0..PARTS).flat_map(|part| index.part(part)).collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].0 == 1 && found[0].1.is_at(location(1)));
    assert!(index.drop_at(1, location(1)));
    assert_eq!((index.peek(1), index.objects()), (None, 0));
    let displaced = index.take_displaced();
    assert!(displaced.len() == 1 && displaced[0].disowned.is_none(), "nothing is written of it");
}
