//! The key generations of a node's sites, kept in the cache folder: what is stored there outlives
//! the process, so its keys must.
//!
//! Invariants: sites are served with their generations only when those are durable; no generation
//! is in the file whose settings were not the last that were.

use std::io;
use std::path::Path;

use crate::config::cache::Disk;
use crate::config::site::Site;
use crate::durable::Kept;
use crate::site::Generations;

/// Name of the file in the cache folder.
pub(super) const NAME: &str = "sites";

pub(super) const TITLE: &str = "headland sites 1";

/// Why the generations cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("the key generations of the sites, {path}, cannot be {act}: {error}")]
pub struct GenerationsError {
    path: String,
    act: &'static str,
    error: io::Error,
}

/// The generations in use, and the file that has them.
#[derive(Debug)]
pub(super) struct KeptGenerations {
    used: Generations,
    /// None where nothing stored outlives the process.
    file: Option<Kept>,
    /// What is in the file, as far as is known.
    noted: Option<Generations>,
}

impl KeptGenerations {
    /// Those of `sites` at the start of a node, which holds its cache folder; `has_store` tells
    /// whether that one is expected to have them. Where they cannot be noted, none are: the next
    /// start finds all of them new.
    ///
    /// # Errors
    /// What the file has can neither be replaced nor taken away: old keys would come back.
    pub(super) fn open(
        disk: Option<&Disk>,
        sites: &[Site],
        has_store: bool,
    ) -> Result<Self, GenerationsError> {
        let file = disk.map(|disk| Kept::new(disk.path.join(NAME), TITLE));
        let noted = file.as_ref().and_then(|file| read_or_tell(file, has_store));
        let used = noted.clone().unwrap_or_default().next(sites);
        let mut generations = Self { used, file, noted };
        let used = generations.used.clone();
        if let (Err(error), Some(file)) = (generations.note(&used), &generations.file) {
            tracing::error!("what is stored is lost to the next start: {error}");
            file.remove().map_err(|error| failed(file, "removed", error))?;
        }
        Ok(generations)
    }

    /// Those in use.
    pub(super) fn used(&self) -> &Generations {
        &self.used
    }

    /// Makes those of other sites durable. Blocks.
    ///
    /// # Errors
    /// The file system's: the sites are not to be served.
    pub(super) fn note(&mut self, next: &Generations) -> Result<(), GenerationsError> {
        let Some(file) = &self.file else { return Ok(()) };
        if self.noted.as_ref() != Some(next) {
            // Where it fails, either may be there.
            self.noted = None;
            file.write(&next.to_lines()).map_err(|error| failed(file, "written", error))?;
            self.noted = Some(next.clone());
        }
        Ok(())
    }

    /// Has the file there again, where what is stored begins anew. Blocks.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn keep(&mut self) -> Result<(), GenerationsError> {
        if self.file.as_ref().is_some_and(|file| !file.path().exists()) {
            self.noted = None;
        }
        let used = self.used.clone();
        self.note(&used)
    }

    /// They are in use, and were noted.
    pub(super) fn set_used(&mut self, next: Generations) {
        self.used = next;
    }
}

/// What is wrong with the file in a cache folder that has something stored; `None` if nothing is.
pub(super) fn inspect(folder: &Path) -> Option<String> {
    match read(&Kept::new(folder.join(NAME), TITLE)) {
        Ok(Some(_)) => None,
        Ok(None) => Some("it is not there, and without it nothing that is stored is found".into()),
        Err(error) => Some(error.to_string()),
    }
}

fn read_or_tell(file: &Kept, has_store: bool) -> Option<Generations> {
    let lost = |why: &str| {
        tracing::warn!(
            path = %file.path().display(),
            "the key generations of the sites are lost, so nothing that is stored on disk is found \
             again, and its room goes to what comes: {why}",
        );
    };
    match read(file) {
        Ok(None) if has_store => lost("there is no such file"),
        Ok(read) => return read,
        Err(error) => lost(&error.to_string()),
    }
    None
}

fn read(file: &Kept) -> io::Result<Option<Generations>> {
    let Some(lines) = file.read()? else { return Ok(None) };
    let other = || io::Error::other("it is not as this version writes it");
    Generations::from_lines(&lines).map(Some).ok_or_else(other)
}

fn failed(file: &Kept, act: &'static str, error: io::Error) -> GenerationsError {
    GenerationsError { path: file.path().display().to_string(), act, error }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    fn sites(host: &str) -> Vec<Site> {
        let text = format!(
            "[listen]\nhttp = [\"127.0.0.1:0\"]\n[[origin]]\nname = \"app\"\n\
             servers = [{{ url = \"http://a.example\" }}]\n[[site]]\nname = \"shop\"\n\
             hosts = [\"{host}\"]\norigin = \"app\"\n"
        );
        let parsed = Config::parse(&text, "t.toml", "/".as_ref(), &|_| None);
        parsed.unwrap_or_else(|report| panic!("{report}")).sites
    }

    fn open(folder: &Path, host: &str) -> KeptGenerations {
        let disk = Disk { path: folder.to_owned(), ..Disk::default() };
        KeptGenerations::open(Some(&disk), &sites(host), true).unwrap()
    }

    #[test]
    fn the_same_settings_keep_their_keys_over_a_restart_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |host| open(folder.path(), host).used().clone();
        let first = at("a.example");
        assert_eq!(at("a.example"), first);
        assert_ne!(at("b.example"), first);
        assert_ne!(at("a.example"), first);
    }

    #[test]
    fn what_is_lost_or_damaged_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let at = |host| open(folder.path(), host).used().clone();
        let first = at("a.example");
        fs::write(folder.path().join(NAME), "headland sites 1 x\n").unwrap();
        assert_eq!(inspect(folder.path()).as_deref(), Some("it is not as it was written"));
        let second = at("a.example");
        fs::remove_file(folder.path().join(NAME)).unwrap();
        assert!(inspect(folder.path()).is_some_and(|why| why.starts_with("it is not there")));
        let third = at("a.example");
        assert_eq!(inspect(folder.path()), None);
        assert!(first != second && second != third && third != first);
    }

    #[test]
    fn what_cannot_be_noted_is_not_there_for_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), "a.example");
        fs::create_dir(folder.path().join("sites.new")).unwrap();
        let same = open(folder.path(), "a.example");
        assert_eq!(same.used(), first.used(), "nothing to note");
        open(folder.path(), "b.example");
        fs::remove_dir(folder.path().join("sites.new")).unwrap();
        assert_ne!(open(folder.path(), "a.example").used(), first.used());
    }

    #[test]
    fn a_reload_that_cannot_be_noted_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut generations = open(folder.path(), "a.example");
        let first = generations.used().clone();
        let next = first.next(&sites("b.example"));
        fs::create_dir(folder.path().join("sites.new")).unwrap();
        let error = generations.note(&next).unwrap_err().to_string();
        assert!(error.ends_with("/sites, cannot be written: Is a directory (os error 21)"));
        fs::remove_dir(folder.path().join("sites.new")).unwrap();
        generations.note(&next).unwrap();
        generations.set_used(next.clone());
        assert_eq!(open(folder.path(), "b.example").used(), &next);
    }
}
