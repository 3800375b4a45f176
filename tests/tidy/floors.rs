//! Who uses whom: rooms only what their row names, and no circle among the files of a folder.

use std::collections::{BTreeMap, BTreeSet};

use super::house::{FOR_ALL, Room};
use super::source::{Source, is_word, words};

/// A path in the code that names something of ours.
struct Use {
    at: usize,
    /// From the root of the crate.
    path: Vec<String>,
}

/// Each room uses only what its row names.
pub(crate) fn check_rooms(sources: &[Source], rooms: &[Room]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let module = module(&source.path);
        let Some(name) = module.first() else { continue };
        let Some(room) = rooms.iter().find(|room| room.name == name) else {
            faults.push(format!("{}:1: `{name}` is no room of the house", source.path));
            continue;
        };
        for used in uses(source, &module) {
            let Some(target) = used.path.first() else {
                faults.push(source.fault(used.at, "`super` leaves the room: name it by `crate`"));
                continue;
            };
            let is_room = rooms.iter().any(|room| room.name == target);
            let for_all = room.floor > 1 && FOR_ALL.contains(&target.as_str());
            let allowed = for_all || target == name || room.uses.contains(&target.as_str());
            if is_room && !allowed {
                faults.push(source.fault(used.at, &format!("{name}/ may not use {target}/")));
            }
        }
    }
    faults
}

/// Files that stand side by side do not use each other in a circle.
pub(crate) fn check_circles(sources: &[Source]) -> Vec<String> {
    let modules: BTreeSet<_> = sources.iter().map(|source| module(&source.path)).collect();
    let mut edges: BTreeMap<Vec<String>, BTreeMap<Vec<String>, String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/")) {
        let module = module(&source.path);
        // A test may look at its neighbours from wherever it stands.
        for used in uses(source, &module).into_iter().filter(|used| !source.is_test(used.at)) {
            let shared = module.iter().zip(&used.path).take_while(|(one, two)| one == two).count();
            let (Some(_), Some(_)) = (module.get(shared), used.path.get(shared)) else {
                continue;
            };
            let (from, to) = (module[..=shared].to_vec(), used.path[..=shared].to_vec());
            if modules.contains(&to) {
                let place = source.fault(used.at, &format!("uses {}", to.join("::")));
                edges.entry(from).or_default().entry(to).or_insert(place);
            }
        }
    }
    let mut faults = Vec::new();
    for (from, targets) in &edges {
        for (to, place) in targets {
            if reaches(&edges, to, from) {
                faults.push(format!("{place}, which uses {} in a circle", from.join("::")));
            }
        }
    }
    faults
}

fn reaches<T>(
    edges: &BTreeMap<Vec<String>, BTreeMap<Vec<String>, T>>,
    from: &Vec<String>,
    goal: &Vec<String>,
) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(here) = open.pop() {
        if here == goal {
            return true;
        }
        if seen.insert(here) {
            open.extend(edges.get(here).into_iter().flat_map(BTreeMap::keys));
        }
    }
    false
}

/// The module of a file of `src`: `src/net/tls.rs` is `net::tls`. Empty for the root, and for
/// what is not part of the crate.
fn module(path: &str) -> Vec<String> {
    let Some(path) = path.strip_prefix("src/") else {
        return Vec::new();
    };
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = path.split('/').map(str::to_owned);
    if path == "lib" { Vec::new() } else { parts.collect() }
}

/// All paths of a file that begin at the crate, at itself or above itself.
fn uses(source: &Source, module: &[String]) -> Vec<Use> {
    let mut found = Vec::new();
    for start in ["crate", "headland", "self", "super"] {
        for at in words(&source.code, start) {
            let rest = &source.code[at + start.len()..];
            // Anything but the beginning of a path; `$crate` belongs to whoever calls the macro.
            let before = &source.code[..at];
            if !rest.starts_with("::") || before.ends_with("::") || before.ends_with('$') {
                continue;
            }
            let inline = source.is_test(at) && !source.is_test_file();
            let mut base = module.to_vec();
            base.extend(inline.then(|| "tests".to_owned()));
            let mut rest = &rest[2..];
            match start {
                "crate" | "headland" => base.clear(),
                "super" => {
                    base.pop();
                    while let Some(above) = rest.strip_prefix("super::") {
                        base.pop();
                        rest = above;
                    }
                }
                _ => {}
            }
            let leaves = tree(&mut rest, &base);
            found.extend(leaves.into_iter().map(|path| Use { at, path }));
        }
    }
    found
}

/// The leaves of a use tree; a plain path is a tree of one leaf.
fn tree(rest: &mut &str, base: &[String]) -> Vec<Vec<String>> {
    let mut path = base.to_vec();
    loop {
        *rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('{') {
            *rest = inner;
            return branches(rest, &path);
        }
        let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if !name.is_empty() && name != "self" {
            path.push(name.to_owned());
        }
        *rest = behind;
        match behind.strip_prefix("::") {
            Some(further) => *rest = further,
            None => return vec![path],
        }
    }
}

/// What stands between the braces of a use tree.
fn branches(rest: &mut &str, base: &[String]) -> Vec<Vec<String>> {
    let mut leaves = Vec::new();
    loop {
        *rest = rest.trim_start();
        if rest.is_empty() {
            return leaves;
        }
        if let Some(behind) = rest.strip_prefix('}') {
            *rest = behind;
            return leaves;
        }
        leaves.extend(tree(rest, base));
        // A new name (`as x`), a star: up to the next branch.
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        *rest = rest[end..].strip_prefix(',').unwrap_or(&rest[end..]);
    }
}
