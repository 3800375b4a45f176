//! Tables of preconditions.

use proptest::prelude::*;

use super::*;

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// Fields by lower-case name.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn validators(etag: &str) -> Validators<'_> {
    Validators {
        etag: (!etag.is_empty()).then_some(etag.as_bytes()),
        last_modified: parse_http_date(MODIFIED.as_bytes()),
        date: None,
    }
}

fn outcome(method: Method, fields: Fields<'_>, etag: &str) -> Outcome {
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    evaluate(method, &Conditions::read(fields), &validators(etag))
}

#[test]
fn preconditions_of_a_get() {
    use Outcome::*;
    let inm = |value| ("if-none-match", value);
    let im = |value| ("if-match", value);
    let ims = |value| ("if-modified-since", value);
    let ius = |value| ("if-unmodified-since", value);
    let cases: [(Fields<'_>, &str, Outcome); 38] = [
        (&[], "\"a\"", Proceed),
        (&[inm("\"a\"")], "\"a\"", NotModified),
        (&[inm("\"b\"")], "\"a\"", Proceed),
        (&[inm("\"b\", \"a\"")], "\"a\"", NotModified),
        (&[inm("\"b\""), inm("\"a\"")], "\"a\"", NotModified),
        (&[inm("\"b,\"a\"")], "\"a\"", Proceed),
        (&[inm("\"x,y\", \"z\"")], "\"x,y\"", NotModified),
        (&[inm("\"x,y\", \"z\"")], "\"y\"", Proceed),
        (&[inm("W/\"a\"")], "\"a\"", NotModified),
        (&[inm("\"a\"")], "W/\"a\"", NotModified),
        (&[inm("w/\"a\"")], "\"a\"", Proceed),
        (&[inm("a")], "\"a\"", Proceed),
        (&[inm("a, \"a\"")], "\"a\"", NotModified),
        (&[inm("\"A\"")], "\"a\"", Proceed),
        (&[inm("\"\"")], "\"\"", NotModified),
        (&[inm("*")], "\"a\"", NotModified),
        (&[inm(" * ")], "", NotModified),
        (&[inm("\"*\"")], "\"a\"", Proceed),
        (&[inm("\"a\"")], "", Proceed),
        (&[ims(MODIFIED)], "", NotModified),
        (&[ims(AFTER)], "", NotModified),
        (&[ims(BEFORE)], "", Proceed),
        (&[ims("yesterday")], "", Proceed),
        (&[ims(MODIFIED), ims(MODIFIED)], "", Proceed),
        (&[ius(BEFORE), ius(BEFORE)], "", Proceed),
        (&[inm("\"b\""), ims(AFTER)], "\"a\"", Proceed),
        (&[inm("\"a\""), ims(BEFORE)], "\"a\"", NotModified),
        (&[im("\"a\"")], "\"a\"", Proceed),
        (&[im("\"b\"")], "\"a\"", PreconditionFailed),
        (&[im("W/\"a\"")], "\"a\"", PreconditionFailed),
        (&[im("\"a\"")], "W/\"a\"", PreconditionFailed),
        (&[im("*")], "", Proceed),
        (&[im("\"a\""), inm("\"a\"")], "\"a\"", NotModified),
        (&[ius(MODIFIED)], "", Proceed),
        (&[ius(AFTER)], "", Proceed),
        (&[ius(BEFORE)], "", PreconditionFailed),
        (&[ius("yesterday")], "", Proceed),
        (&[im("\"a\""), ius(BEFORE)], "\"a\"", Proceed),
    ];
    for (fields, etag, wanted) in cases {
        assert_eq!(outcome(Method::Get, fields, etag), wanted, "{fields:?} {etag}");
        assert_eq!(outcome(Method::Head, fields, etag), wanted, "{fields:?} {etag}");
    }
}

#[test]
fn preconditions_of_a_write() {
    use Outcome::*;
    let cases = [
        ("if-none-match", "*", PreconditionFailed),
        ("if-none-match", "\"a\"", PreconditionFailed),
        ("if-none-match", "\"b\"", Proceed),
        ("if-match", "\"b\"", PreconditionFailed),
        ("if-modified-since", AFTER, Proceed),
        ("if-unmodified-since", BEFORE, PreconditionFailed),
    ];
    for (name, value, wanted) in cases {
        assert_eq!(outcome(Method::Put, &[(name, value)], "\"a\""), wanted, "{name} {value}");
    }
}

#[test]
fn without_a_date_of_change_dates_are_ignored() {
    let fields = [("if-modified-since", AFTER), ("if-unmodified-since", BEFORE)];
    for (name, value) in fields {
        let conditions = Conditions::read([(name, value.as_bytes())].into_iter());
        assert!(!conditions.is_empty());
        let found = evaluate(Method::Get, &conditions, &Validators::default());
        assert_eq!(found, Outcome::Proceed);
    }
}

#[test]
fn the_date_stands_in_for_when_it_was_modified() {
    let date = parse_http_date(MODIFIED.as_bytes());
    let dated = Validators { date, ..Validators::default() };
    let modified = Validators { last_modified: date, ..validators("") };
    let late = Validators { date: parse_http_date(AFTER.as_bytes()), ..modified };
    for (asked, unmodified) in [(BEFORE, false), (MODIFIED, true), (AFTER, true)] {
        let wanted = if unmodified { Outcome::NotModified } else { Outcome::Proceed };
        let conditions =
            Conditions { if_modified_since: Some(asked.as_bytes()), ..Conditions::default() };
        for validators in [dated, modified, late] {
            assert_eq!(evaluate(Method::Get, &conditions, &validators), wanted, "{asked}");
        }
        // It says nothing of when it last changed to who wants no other than that.
        let conditions =
            Conditions { if_unmodified_since: Some(asked.as_bytes()), ..Conditions::default() };
        assert_eq!(evaluate(Method::Get, &conditions, &dated), Outcome::Proceed, "{asked}");
    }
}

#[test]
fn if_range_is_strong() {
    let cases = [
        ("\"a\"", "\"a\"", Some(AFTER), true),
        ("\"a\"", "\"a\"", None, true),
        (" \"a\" ", "\"a\"", None, true),
        ("\"b\"", "\"a\"", None, false),
        ("W/\"a\"", "\"a\"", None, false),
        ("\"a\"", "W/\"a\"", None, false),
        ("W/\"a\"", "W/\"a\"", None, false),
        ("\"a\"", "", None, false),
        ("\"a\", \"b\"", "\"a\"", None, false),
        ("*", "\"a\"", None, false),
        (MODIFIED, "", Some(AFTER), true),
        (MODIFIED, "", Some(MODIFIED), false),
        (MODIFIED, "", Some(BEFORE), false),
        (MODIFIED, "", None, false),
        (AFTER, "", Some(AFTER), false),
        (BEFORE, "", Some(AFTER), false),
        ("", "\"a\"", Some(AFTER), false),
    ];
    for (value, etag, date, wanted) in cases {
        let date = date.and_then(|date| parse_http_date(date.as_bytes()));
        let validators = Validators { date, ..validators(etag) };
        let found = if_range_matches(value.as_bytes(), &validators);
        assert_eq!(found, wanted, "{value} {etag} {date:?}");
    }
}

#[test]
fn lists_of_tags() {
    let cases: [(&str, &[(bool, &str)]); 8] = [
        ("", &[]),
        ("\"a\"", &[(false, "a")]),
        (" W/\"a\" ,\"b\"", &[(true, "a"), (false, "b")]),
        ("\"a,b\",\"c\"", &[(false, "a,b"), (false, "c")]),
        ("\"a\\\", \"b\"", &[(false, "a\\"), (false, "b")]),
        ("x, \"b\", y", &[(false, "b")]),
        ("\"a\" x, \"b\"", &[(false, "b")]),
        ("\"a", &[]),
    ];
    for (line, wanted) in cases {
        let found: Vec<_> =
            entity_tags(line.as_bytes()).map(|tag| (tag.weak, tag.opaque)).collect();
        let wanted: Vec<_> =
            wanted.iter().map(|(weak, opaque)| (*weak, opaque.as_bytes())).collect();
        assert_eq!(found, wanted, "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        line in prop::collection::vec(prop::sample::select(b"W/\"a,* \\".to_vec()), 0..24),
    ) {
        for tag in entity_tags(&line) {
            prop_assert!(!tag.opaque.contains(&b'"'));
        }
        let _ = if_range_matches(&line, &validators("\"a\""));
    }

    #[test]
    fn a_tag_is_found_in_any_list(
        tags in prop::collection::vec("[a-z,]{0,4}", 1..6),
        at in 0usize..6,
    ) {
        let at = at % tags.len();
        let list: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
        let own = list[at].clone();
        let line = list.join(" , ");
        prop_assert_eq!(
            outcome(Method::Get, &[("if-none-match", &line)], &own),
            Outcome::NotModified
        );
    }
}
