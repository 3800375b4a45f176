//! Polices the house: who may use whom, how long things may grow, and which acts (sockets, files,
//! clocks, `unsafe`) stand in which files. The tables are in `tidy/house.rs`.
//!
//! The source is read as text: a small scanner tells code, comments and literals apart
//! (`tidy/source.rs`), so that no rule is fooled by a string or a comment.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/rules_fire.rs"]
mod rules_fire;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

use source::Source;

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = source::read_tree(root, &["src", "tests", "benches"]);
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the tree was not found");
    let faults = faults(&sources);
    assert!(faults.is_empty(), "{} faults\n{}\n", faults.len(), faults.join("\n"));
}

/// All faults, as `file:line: what`.
fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        faults.extend(rules::check_sizes(source));
        faults.extend(rules::check_names(source));
        faults.extend(rules::check_words(source, house::RULES));
    }
    faults.extend(floors::check_rooms(sources, house::ROOMS));
    faults.extend(floors::check_circles(sources));
    faults
}
