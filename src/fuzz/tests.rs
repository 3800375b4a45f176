//! The kept corpus, replayed: each file, and what becomes of it under a few seeded changes.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::targets;

/// Changes of each file, unless `HEADLAND_FUZZ_CHANGES` says otherwise.
const CHANGES: u64 = 32;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Another input that is like `bytes`: a few bytes flipped, cut out, doubled, or taken from
/// `other`.
fn changed(bytes: &[u8], other: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(1..17)).min(bytes.len());
        match random.u8(..5) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.u8(..8)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.u8(..)),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => {
                let from = random.usize(..=other.len());
                let to = (from + random.usize(1..17)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn the_kept_corpus_holds() {
    let changes = std::env::var("HEADLAND_FUZZ_CHANGES").map_or(CHANGES, |it| it.parse().unwrap());
    let mut found = Vec::new();
    for (name, target) in targets() {
        let inputs: Vec<_> =
            files(&corpus().join(name)).iter().map(|path| fs::read(path).unwrap()).collect();
        let mut run = |bytes: &[u8]| {
            if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
                found.push(format!("{name}: b\"{}\"", bytes.escape_ascii()));
            }
        };
        for (index, bytes) in inputs.iter().enumerate() {
            run(bytes);
            let mut random = fastrand::Rng::with_seed(index as u64);
            for _ in 0..changes {
                let other = random.usize(..inputs.len());
                run(&changed(bytes, &inputs[other], &mut random));
            }
        }
    }
    assert!(found.is_empty(), "{} inputs\n{}\n", found.len(), found.join("\n"));
}

#[test]
fn each_target_has_a_corpus_and_each_corpus_a_target() {
    let names: Vec<_> = targets().map(|(name, _)| name.to_owned()).collect();
    let known: BTreeSet<_> = names.iter().cloned().collect();
    assert_eq!(known.len(), names.len(), "each name once");
    let kept = files(&corpus()).into_iter().filter(|folder| !files(folder).is_empty());
    let kept = kept.map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned());
    assert_eq!(kept.collect::<BTreeSet<_>>(), known);
}
