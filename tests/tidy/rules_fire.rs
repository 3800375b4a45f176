//! Each rule shown to fire on a small input, and to keep still where it should.

use super::house::{ROOMS, RULES};
use super::source::Source;
use super::{faults, floors};

/// What is said of one file that holds `text` behind a good first line.
fn said(path: &str, text: &str) -> Vec<String> {
    faults(&[Source::new(path, &format!("//! A file.\n{text}"))])
}

#[track_caller]
fn fires(path: &str, text: &str, what: &str) {
    let said = said(path, text);
    assert!(said.len() == 1 && said[0].contains(what), "{path} {text:?}: {said:?}");
}

#[track_caller]
fn still(path: &str, text: &str) {
    assert_eq!(said(path, text), [""; 0], "{path} {text:?}");
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = concat!(
        "/* a /* nested */ unsafe */ let a = \"unsafe \\\" unsafe \"; // unsafe \n",
        "let b = r#\"unsafe \" unsafe \"#; let c = '\"'; let d = b'\\''; unsafe {}\n",
        "fn f<'a>(r#unsafe: &'a str) -> &'a str { br\"unsafe \\\"; cr##\"\"# unsafe \"## }\n",
    );
    let source = Source::new("src/net/a.rs", text);
    assert_eq!(source.code.matches("unsafe ").count(), 1, "{}", source.code);
    assert_eq!(source.comments.matches("unsafe").count(), 2, "{}", source.comments);
    assert_eq!(source.literals.matches("unsafe").count(), 6, "{}", source.literals);
    assert_eq!(source.code.len(), text.len());
}

#[test]
fn positions_survive_wide_characters() {
    fires("src/net/a.rs", "// – “wide” –\nfn f() { let _ = \"é\"; todo!() }", "src/net/a.rs:3: ");
}

#[test]
fn sizes() {
    let body = |lines| format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines));
    still("src/net/a.rs", &body(68));
    fires("src/net/a.rs", &body(69), "a.rs:2: fn long has 71 lines");
    fires("tests/a.rs", &body(69), "fn long has 71 lines");
    let braces = format!("fn f<T>(x: [u8; 2]) -> char where T: Fn() {{\n'{{'\n}}\n{}", body(10));
    still("src/net/a.rs", &braces.replace("work()", "\"}{\"; '}'"));
    still(
        "src/net/a.rs",
        &format!("trait T {{ fn f(&self);\n{}}}", "const A: u8 = 1;\n".repeat(80)),
    );

    still("src/net/a.rs", &"\n".repeat(499));
    fires("src/net/a.rs", &"\n".repeat(500), "501 lines");
    still("src/net/a.rs", &format!("// {}", "é".repeat(97)));
    fires("src/net/a.rs", &format!("// {}", "é".repeat(98)), "a.rs:2: 101 columns");
}

#[test]
fn names_and_first_lines() {
    for path in ["src/net/util/a.rs", "src/net/helpers.rs", "tests/common/a.rs"] {
        fires(path, "", "says nothing");
    }
    assert!(faults(&[Source::new("src/net/a.rs", "use std::fmt;\n")])[0].contains("first line"));
    assert!(faults(&[Source::new("tests/a.rs", "use std::fmt;\n")]).is_empty());
}

/// An offence for each rule, in the order of the table, and a file where it offends.
const OFFENCES: &[(&str, &str, &str)] = &[
    ("src/proxy/a.rs", "fn f() { TcpStream::connect(a); }", "sockets"),
    ("src/proxy/a.rs", "fn f() { std::fs::read_to_string(p); }", "files are opened"),
    ("src/proxy/a.rs", "fn f() { unsafe { g() } }", "`unsafe`"),
    ("src/site/a.rs", "fn f() { std::time::Instant::now(); }", "clock"),
    ("src/semantics/a.rs", "async fn f() {}", "never awaits"),
    ("src/store/a.rs", "const NAME: &str = \"headland_hits_total\";", "metric names"),
    ("src/site/a.rs", "const T: &str = \"application/problem+json\";", "error responses"),
    ("src/site/a.rs", "fn f() { todo!() }", "unfinished code"),
    ("src/site/a.rs", "// TODO: later", "unfinished business"),
    ("tests/a.rs", "#[test]\n#[ignore]\nfn f() {}", "not run"),
    ("tests/a.rs", "fn f() { std::thread::sleep(d); }", "waits for what it expects"),
];

#[test]
fn every_rule_of_the_table_fires() {
    assert_eq!(OFFENCES.len(), RULES.len(), "one offence a rule");
    for ((path, text, what), rule) in OFFENCES.iter().zip(RULES) {
        assert!(rule.what.contains(what), "{what} is not about {}", rule.what);
        fires(path, text, what);
        for (home, _) in rule.except {
            assert!(!said(home, text).iter().any(|fault| fault.contains(what)), "{home}");
        }
    }
}

#[test]
fn each_word_is_found_and_longer_words_are_not() {
    still("src/site/a.rs", "fn f() { my_todo!(); NotTcpListener::bind(a); not_unsafe (); }");
    still("src/site/a.rs", "#![deny(unsafe_code)]");
    fires("src/semantics/a.rs", "fn f() { g().await }", "never awaits");
    fires("src/site/a.rs", "fn f() { start.elapsed() }", "clock");
    fires("tests/a.rs", "#[cfg_attr(linux, ignore)]\nfn f() {}", "not run");
}

#[test]
fn tests_may_what_production_may_not_and_may_not_sleep() {
    let inside = |act: &str| format!("#[cfg(test)]\nmod tests {{\n    fn f() {{ {act} }}\n}}\n");
    still("src/site/a.rs", &inside("Instant::now(); fs::read(p); TcpStream::connect(a);"));
    still("src/site/tests.rs", "fn f() { Instant::now(); }");
    fires("src/site/a.rs", &inside("sleep(d)"), "waits for what it expects");
    fires("src/site/tests.rs", "fn f() { tokio::time::sleep(d) }", "waits for what it expects");
    still("src/upstream/health.rs", "fn f() { tokio::time::sleep(d) }");
    let behind = format!("{}fn g() {{ Instant::now(); }}", inside(""));
    fires("src/site/a.rs", &behind, "a.rs:6: below the request's context");
}

#[test]
fn floors_hold() {
    still("src/proxy/a.rs", "use crate::{config::Site, message, store::{Store, disk}};");
    still("src/net/h1.rs", "use crate::net::tls::Tls; fn f(x: crate::telemetry::Metrics) {}");
    fires("src/net/a.rs", "use crate::proxy::Proxy;", "a.rs:2: net/ may not use proxy/");
    fires("src/site/a.rs", "fn f() -> crate::store::Store {}", "site/ may not use store/");
    fires("src/config/a.rs", "use crate::message::Head;", "config/ may not use message/");
    fires("src/object/a.rs", "use crate::{semantics::x, store::y as z};", "may not use store/");
    fires("src/store/a.rs", "use crate::{\n    object::{\n A, B},\n    site::C,\n};", "site/");
    fires("src/store/disk/a.rs", "use super::super::super::site::C;", "store/ may not use site/");
    fires("src/main.rs", "use headland::proxy::Proxy;", "main/ may not use proxy/");
    fires("src/main.rs", "fn f() { headland::listener::run() }", "main/ may not use listener/");
    fires("src/site/mod.rs", "use super::*;", "leaves the room");
    fires("src/plugins/a.rs", "", "no room of the house");
    still("src/net/a.rs", "macro_rules! m { () => { $crate::proxy::run() } }");
    let inline = "#[cfg(test)]\nmod tests { use super::super::b; use super::*; }";
    still("src/site/a.rs", inline);
}

#[test]
fn no_row_of_the_table_leads_upward() {
    for room in ROOMS {
        for used in room.uses {
            let below = ROOMS.iter().find(|other| other.name == *used).expect("a room");
            assert!(below.floor < room.floor, "{} uses {used}", room.name);
        }
    }
}

#[test]
fn circles_are_found() {
    let source = |path, text| Source::new(path, &format!("//! A file.\n{text}"));
    let mut tree = vec![
        source("src/store/mod.rs", "use self::a::A; mod a; mod b; mod disk; pub struct Store;"),
        source("src/store/a.rs", "use super::Store; use super::b::B;"),
        source("src/store/b.rs", "use super::{Store, disk::map::Map};"),
        source("src/store/disk/map.rs", "use super::Disk;"),
        source("src/store/disk/tests.rs", "use crate::store::a::A;"),
    ];
    assert_eq!(floors::check_circles(&tree), [""; 0]);
    tree.push(source("src/store/disk/mod.rs", "use crate::store::a::A;"));
    let said = floors::check_circles(&tree);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("src/store/a.rs:2: uses store::b"), "{said:?}");
}
