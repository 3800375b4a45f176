//! The segment files of a directory as bytes, and what a crash makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::segment::{id_of, path_of};

/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

/// Every segment's bytes, by its id.
pub(super) type Files = BTreeMap<u64, Vec<u8>>;

/// Reads all segments of `folder`.
pub(super) fn all(folder: &Path) -> Files {
    ids(folder).map(|id| (id, std::fs::read(path_of(folder, id)).unwrap())).collect()
}

fn ids(folder: &Path) -> impl Iterator<Item = u64> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| id_of(name.to_str().unwrap()))
}

/// Bytes of all segments of `folder`.
pub(super) fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let segments = entries.filter(|entry| id_of(entry.file_name().to_str().unwrap()).is_some());
    segments.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Every file of `folder` but those that make it a store.
pub(super) fn every(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_part = |path: &PathBuf| !path.ends_with("lock") && !path.ends_with("store");
    let mut paths: Vec<_> = paths.filter(is_part).collect();
    paths.sort();
    paths
}

fn write(folder: &Path, id: u64, bytes: &[u8]) {
    std::fs::write(path_of(folder, id), bytes).unwrap();
}

/// The segments that the last job unlinked, after which it syncs the directory: a loss of power
/// before that may bring them back.
#[derive(Debug)]
pub(super) struct Unlinked {
    /// Links to what is present and what was.
    beside: tempfile::TempDir,
    present: BTreeSet<u64>,
    gone: BTreeSet<u64>,
}

impl Unlinked {
    /// None yet of `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        let beside = tempfile::tempdir_in(folder.parent().unwrap()).unwrap();
        Self { beside, present: BTreeSet::new(), gone: BTreeSet::new() }
    }

    /// Notes what came and what went since the last call, by one job.
    pub(super) fn note(&mut self, folder: &Path) {
        let now: BTreeSet<_> = ids(folder).collect();
        for id in now.difference(&self.present) {
            let link = path_of(self.beside.path(), *id);
            let _none_yet = std::fs::remove_file(&link).is_err();
            std::fs::hard_link(path_of(folder, *id), link).unwrap();
        }
        // What went from the other end was never begun (see `cut`).
        let is_old = |id: &&u64| now.first().is_none_or(|first| *id < first);
        self.gone = self.present.difference(&now).filter(is_old).copied().collect();
        self.present = now;
    }

    /// Brings some back. They went one after the other, the oldest first; for the rest it is too
    /// late then.
    fn undo(&mut self, folder: &Path, random: &mut fastrand::Rng) {
        let gone = std::mem::take(&mut self.gone);
        for id in gone.iter().skip(random.usize(..=gone.len())) {
            std::fs::copy(path_of(self.beside.path(), *id), path_of(folder, *id)).unwrap();
        }
        self.present = ids(folder).collect();
    }
}

/// Makes the writes since `before`, which one job made, end at an arbitrary byte.
pub(super) fn cut(folder: &Path, before: &Files, random: &mut fastrand::Rng) {
    let now = all(folder);
    let Some((&newest, bytes)) = now.last_key_value() else { return };
    let is_new = !before.contains_key(&newest);
    if is_new {
        for (id, bytes) in before.iter().filter(|(id, _)| !now.contains_key(id)) {
            write(folder, *id, bytes);
        }
    }
    if is_new && random.u8(..3) == 0 {
        // Not even begun; perhaps the one before it is not sealed either.
        std::fs::remove_file(path_of(folder, newest)).unwrap();
        let Some((&last, old)) = before.last_key_value() else { return };
        return write(folder, last, &torn(old, &now[&last], random));
    }
    let nothing = vec![0; bytes.len()];
    let old = before.get(&newest).unwrap_or(&nothing);
    write(folder, newest, &torn(old, bytes, random));
}

/// `new` up to an arbitrary byte among those that differ, then `old`.
fn torn(old: &[u8], new: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let differs = |at: &usize| old[*at] != new[*at];
    let (Some(first), Some(last)) =
        ((0..new.len()).find(differs), (0..new.len()).rev().find(differs))
    else {
        return new.to_vec();
    };
    let cut = random.usize(first..=last);
    [&new[..cut], &old[cut..]].concat()
}

/// Loses what a loss of power may lose: sectors of the newest segment written since `synced`, and
/// that some were `unlinked`.
pub(super) fn lose_power(
    folder: &Path,
    synced: &Files,
    unlinked: &mut Unlinked,
    random: &mut fastrand::Rng,
) {
    let now = all(folder);
    let Some((&newest, bytes)) = now.last_key_value() else { return };
    let nothing = vec![0; bytes.len()];
    let old = synced.get(&newest).unwrap_or(&nothing);
    let mut left = bytes.clone();
    let kept = random.u8(1..8);
    for (left, old) in left.chunks_mut(SECTOR).zip(old.chunks(SECTOR)) {
        if random.u8(..8) >= kept {
            left.copy_from_slice(old);
        }
    }
    unlinked.undo(folder, random);
    write(folder, newest, &left);
}

/// Flips a bit of a file.
pub(super) fn flip(path: &Path, random: &mut fastrand::Rng) {
    let mut bytes = std::fs::read(path).unwrap();
    if bytes.is_empty() {
        return;
    }
    // Most of a segment may be free: written places come first.
    let written: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let at = random.choice(written).unwrap_or(0);
    bytes[at] ^= 1 << random.u8(..8);
    // In place, for the file may be mapped.
    let file = std::fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..=at], at as u64).unwrap();
}
