//! Whose requests are counted together.

use super::super::{Access, Denial, EdgeRules};
use super::{all_rules, get};

fn is_limited(rules: Option<&EdgeRules>) -> bool {
    match rules.map(|rules| get("https://example.com/").judged(rules)) {
        None | Some(Access::Admit) => false,
        Some(Access::Refuse(Denial::Rate { wait: 3600 })) => true,
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn routes_share_the_count_of_their_site_unless_they_have_their_own() {
    const LINES: &str = r#"
        rate_limit = { rate = "1/h", burst = 2 }
        [[site.route]]
        path = "/a"
        [[site.route]]
        path = "/b"
        rate_limit.burst = 1
        [[site.route]]
        path = "/c"
        rate_limit = false
        "#;
    let rules = all_rules(LINES);
    let [a, b, c, rest] = &rules[..] else { panic!() };
    assert!(c.is_none());
    let asked = [a, rest, a, b, rest, b].map(|rules| is_limited(rules.as_deref()));
    assert_eq!(asked, [false, false, true, false, true, true]);
}
