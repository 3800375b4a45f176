//! Entries as text, and the chain.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn command(json: Value) -> PurgeCommand {
    PurgeCommand::from_json(&json).unwrap()
}

fn entry(first: u64, previous: EntryHash, tag: &str) -> Entry {
    let commands = vec![command(json!({ "kind": "tag", "value": tag }))];
    Entry { first, previous, at: 5, by: "deploy".to_owned(), commands }
}

#[test]
fn an_entry_is_written_in_one_way() {
    let commands = [
        json!({ "soft": true, "value": "https://a.example/x", "kind": "url", "exact": true }),
        json!({ "kind": "tag", "value": "a \"b\"", "site": "shop" }),
        json!({ "kind": "site", "value": "shop", "site": "shop", "exact": false }),
    ];
    let previous = EntryHash([0xab; 32]);
    let by = "deploy\n".to_owned();
    let commands = commands.map(command).into();
    let entry = Entry { first: 7, previous, at: 12, by, commands };
    let expected = format!(
        "{{\"at\":12,\"by\":\"deploy\\n\",\"commands\":[\
         {{\"exact\":true,\"kind\":\"url\",\"soft\":true,\"value\":\"https://a.example/x\"}},\
         {{\"kind\":\"tag\",\"site\":\"shop\",\"value\":\"a \\\"b\\\"\"}},\
         {{\"kind\":\"site\",\"value\":\"shop\"}}\
         ],\"first\":7,\"previous\":\"{}\"}}",
        "ab".repeat(32),
    );
    assert_eq!(entry.to_json(), expected);
    assert_eq!(Entry::from_json(expected.as_bytes()), Ok(entry.clone()));
    assert_eq!(entry.last(), 9);
    assert_eq!(entry.hash().0, *blake3::hash(expected.as_bytes()).as_bytes());
}

#[test]
fn what_is_no_entry_is_refused() {
    let whole = entry(1, EntryHash([0; 32]), "a").to_json();
    let without = |from: &str, to: &str| Entry::from_json(whole.replace(from, to).as_bytes());
    assert!(without("", "").is_ok());
    assert_eq!(without("\"first\":1", "\"first\":0"), Err(EntryFault::Field("first")));
    let far = format!("\"first\":{}", u64::MAX);
    assert_eq!(without("\"first\":1", &far), Err(EntryFault::Field("first")));
    assert_eq!(without("\"at\":5", "\"at\":-5"), Err(EntryFault::Field("at")));
    assert_eq!(without("\"deploy\"", "7"), Err(EntryFault::Field("by")));
    assert_eq!(without("00\"}", "0\"}"), Err(EntryFault::Field("previous")));
    assert_eq!(without("00\"}", "0G\"}"), Err(EntryFault::Field("previous")));
    let more = without("\"at\":5", "\"at\":5,\"more\":1");
    assert_eq!(more, Err(EntryFault::Unknown("more".to_owned())));
    assert!(matches!(without("[{", "[{\"x\":1,"), Err(EntryFault::Command(_))));
    assert!(matches!(Entry::from_json(b"[]"), Err(EntryFault::Json(_))));
    assert!(matches!(Entry::from_json(&whole.as_bytes()[..20]), Err(EntryFault::Json(_))));
}

#[test]
fn a_position_goes_on_by_what_follows_it_alone() {
    let start = Position::start(LogId(1));
    let one = entry(1, start.hash, "a");
    let behind = start.then(&one).unwrap();
    assert_eq!((behind.number, behind.hash), (1, one.hash()));
    assert!(behind.then(&entry(2, one.hash(), "b")).is_some());
    for wrong in [entry(1, one.hash(), "b"), entry(3, one.hash(), "b"), entry(2, start.hash, "b")] {
        assert_eq!(behind.then(&wrong), None);
    }
    // Of another log, or with another history, nothing follows.
    assert_eq!(Position::start(LogId(2)).then(&one), None);
    let other = start.then(&entry(1, start.hash, "x")).unwrap();
    assert_eq!(other.then(&entry(2, one.hash(), "b")), None);
}

#[test]
fn identities_and_hashes_are_hexadecimal() {
    let log = LogId(0xa1);
    assert_eq!(log.to_string(), format!("{}a1", "0".repeat(30)));
    assert_eq!(log.to_string().parse(), Ok(log));
    let hash = EntryHash::root(log);
    assert_eq!(hash.to_string().parse(), Ok(hash));
    for wrong in ["", "a1", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33)] {
        assert_eq!(wrong.parse::<LogId>(), Err(NotHex), "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        by in "\\PC{0,9}",
        tag in "[^,\\s\\pC]{1,9}",
        site in proptest::option::of("\\PC{1,9}"),
        soft: bool,
        at in 0..u64::MAX,
        first in 1..u64::MAX / 2,
    ) {
        let mut tag = command(json!({ "kind": "tag", "value": tag, "soft": soft }));
        tag.site = site;
        let entry = Entry { first, previous: EntryHash([7; 32]), at, by, commands: vec![tag] };
        let read = Entry::from_json(entry.to_json().as_bytes());
        prop_assert_eq!(read.as_ref().map(Entry::hash), Ok(entry.hash()));
        prop_assert_eq!(read, Ok(entry));
    }
}
