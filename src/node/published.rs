//! What a node serves by: its own file, and in the place of that one's sites and origins those that
//! the control plane has published. They are kept on disk, so that a start needs no control plane.
//!
//! ```text
//!  own file ──────────────────────────────┬─► in force
//!  version ─► kept, durably ─► taken ─────┘   sites and origins: the version's; else the file's
//! ```
//!
//! The file stands beside the one that shows who this node is: in the cache folder, or beside
//! `control.identity_file`.
//!
//! ```text
//!  headland config 1 <BLAKE3 of the lines below>
//!  7 <BLAKE3 of the text>
//!  …                          the text, as it was published
//! ```

use std::fmt::Display;
use std::io;

use crate::config::Config;
use crate::config::fault::Report;
use crate::config::published::{Published, Release, digest};
use crate::durable::{Kept, beside};

/// Name of the file in the cache folder.
pub(super) const NAME: &str = "config";

pub(super) const TITLE: &str = "headland config 1";

/// A version as it was published.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    version: u64,
    text: String,
    published: Published,
}

impl Taken {
    /// Reads the text of a version by this node's environment.
    pub(super) fn read(version: u64, text: String) -> Result<Self, Report> {
        let name = format!("version {version}");
        let environment = |variable: &str| std::env::var(variable).ok();
        let published = Published::parse(&text, &name, &environment)?;
        Ok(Self { version, text, published })
    }

    /// What it is called.
    pub(super) fn release(&self) -> Release {
        Release::Published { version: self.version, hash: digest(&self.text) }
    }
}

/// The node's own file, and what it has taken.
#[derive(Debug)]
pub(super) struct Configs {
    own: Config,
    taken: Option<Taken>,
    /// None where nothing outlives the process.
    file: Option<Kept>,
}

impl Configs {
    /// Those of a node at its start: what was taken before it is taken again.
    pub(super) fn open(own: Config) -> Self {
        let file = file(&own);
        let taken = file.as_ref().and_then(read);
        if let Some(Taken { version, .. }) = &taken {
            tracing::info!(version, "sites and origins are those that were published");
        }
        Self { own, taken, file }
    }

    /// What the node serves by at its start, and what `set_up` makes of it. Where a file or a name
    /// that a version needs is gone since that was taken, the node's own file is in force until the
    /// control plane is reached: what that publishes is tried anew.
    pub(super) fn settle<T, E: Display>(
        &mut self,
        set_up: impl Fn(&Config) -> Result<T, E>,
    ) -> Result<(Config, T), E> {
        let config = self.in_force();
        match (set_up(&config), self.taken.take()) {
            (Ok(made), taken) => {
                self.taken = taken;
                Ok((config, made))
            }
            (Err(fault), None) => Err(fault),
            (Err(fault), Some(Taken { version, .. })) => {
                tracing::warn!(
                    version,
                    "this node cannot serve by the sites that were published, and those of its \
                     own file are served: {fault}",
                );
                set_up(&self.own).map(|made| (self.own.clone(), made))
            }
        }
    }

    /// The node's own file.
    pub(super) fn own(&self) -> &Config {
        &self.own
    }

    /// Which sites and origins are in force.
    pub(super) fn release(&self) -> Release {
        self.taken.as_ref().map_or(Release::Own, Taken::release)
    }

    /// What the node serves by.
    pub(super) fn in_force(&self) -> Config {
        over(self.own.clone(), self.taken.as_ref())
    }

    /// What it would serve by with another file of its own.
    pub(super) fn with_own(&self, own: &Config) -> Config {
        over(own.clone(), self.taken.as_ref())
    }

    /// What it would serve by with what is published, or without.
    pub(super) fn with_taken(&self, taken: Option<&Taken>) -> Config {
        over(self.own.clone(), taken)
    }

    /// Makes a version durable in the place of the one before. Blocks.
    pub(super) fn keep(&self, taken: Option<&Taken>) -> io::Result<()> {
        match (&self.file, taken) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                tracing::warn!(
                    "without cache.disk or control.identity_file the sites that were published \
                     are gone at the next start, until the control plane is reached",
                );
                Ok(())
            }
            (Some(file), None) => file.remove(),
            (Some(file), Some(Taken { version, text, .. })) => {
                file.write(&format!("{version} {}\n{text}", digest(text).to_hex()))
            }
        }
    }

    /// Another file of the node's own is in force.
    pub(super) fn set_own(&mut self, own: Config) {
        self.own = own;
    }

    /// Another version, which is kept, is in force; or none.
    pub(super) fn set_taken(&mut self, taken: Option<Taken>) {
        self.taken = taken;
    }
}

fn over(own: Config, taken: Option<&Taken>) -> Config {
    match taken {
        Some(taken) => own.with_published(&taken.published),
        None => own,
    }
}

/// Where what is published is kept; of a node that stands alone nothing is.
fn file(own: &Config) -> Option<Kept> {
    let path = match (&own.control.as_ref()?.identity_file, &own.cache.disk) {
        (Some(identity), _) => beside(identity, "config"),
        (None, Some(disk)) => disk.path.join(NAME),
        (None, None) => return None,
    };
    Some(Kept::new(path, TITLE))
}

/// What the file has, if this node can serve by it.
fn read(file: &Kept) -> Option<Taken> {
    let lost = |why: String| {
        tracing::warn!(
            path = %file.path().display(),
            "the sites that were published are lost until the control plane is reached, and those \
             of the node's own file are served: {why}",
        );
    };
    let lines = file.read().map_err(|error| lost(error.to_string())).ok()??;
    let told = lines.split_once('\n').and_then(|(head, text)| {
        let (version, hash) = head.split_once(' ')?;
        (digest(text).to_hex().as_str() == hash).then_some((version.parse().ok()?, text))
    });
    let Some((version, text)) = told else {
        lost("they are not as this version writes them".to_owned());
        return None;
    };
    Taken::read(version, text.to_owned()).map_err(|report| lost(report.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const OWN: &str = "[listen]\nhttp = [\"127.0.0.1:0\"]\n[control]\n\
                       url = \"http://127.0.0.1:1\"\ntoken_file = \"t\"\n";

    fn own(lines: &str, folder: &Path) -> Config {
        let text = format!("{OWN}{lines}");
        let parsed = Config::parse(&text, "t.toml", folder, &|_| None);
        parsed.unwrap_or_else(|report| panic!("{report}"))
    }

    fn text(host: &str) -> String {
        format!(
            "[[origin]]\nname = \"app\"\nservers = [{{ url = \"http://a.example\" }}]\n\
             [[site]]\nname = \"shop\"\nhosts = [\"{host}\"]\norigin = \"app\"\n"
        )
    }

    fn taken(version: u64, host: &str) -> Taken {
        Taken::read(version, text(host)).unwrap()
    }

    fn hosts(config: &Config) -> Vec<String> {
        let hosts = config.sites.iter().flat_map(|site| &site.hosts);
        hosts.map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_published_takes_the_place_of_the_files_sites_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut configs = Configs::open(own(&text("own.example"), folder.path()));
        assert_eq!(
            (configs.release(), hosts(&configs.in_force())),
            (Release::Own, vec!["own.example".into()])
        );
        configs.set_taken(Some(taken(7, "published.example")));
        assert_eq!(configs.release().number(), 7);
        assert_eq!(hosts(&configs.in_force()), ["published.example"]);
        let other = own(&format!("[limits]\nheaders = 9\n{}", text("new.example")), folder.path());
        let merged = configs.with_own(&other);
        assert_eq!((merged.limits.headers, hosts(&merged)), (9, vec!["published.example".into()]));
        assert_eq!(hosts(&configs.with_taken(None)), ["own.example"]);
    }

    #[test]
    fn what_is_kept_is_taken_again_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let disk = "[cache]\ndisk = { path = \"cache\", size = \"64MiB\" }\n";
        let identity = OWN.replace("url", "identity_file = \"node.identity\"\nurl");
        let beside = Config::parse(&identity, "t.toml", folder.path(), &|_| None).unwrap();
        fs::create_dir(folder.path().join("cache")).unwrap();
        for (own, name) in
            [(own(disk, folder.path()), "cache/config"), (beside, "node.identity.config")]
        {
            let file = folder.path().join(name);
            let mut configs = Configs::open(own.clone());
            assert!(configs.in_force().sites.is_empty());
            let seven = taken(7, "published.example");
            configs.keep(Some(&seven)).unwrap();
            configs.set_taken(Some(seven));
            let again = Configs::open(own.clone());
            assert_eq!(again.release(), configs.release());
            assert_eq!(hosts(&again.in_force()), ["published.example"]);

            let whole = fs::read_to_string(&file).unwrap();
            let kept = Kept::new(file.clone(), TITLE);
            for damaged in [whole.replace("published", "publishee"), String::new()] {
                fs::write(&file, damaged).unwrap();
                assert_eq!(Configs::open(own.clone()).release(), Release::Own);
            }
            // Whole, but not what it says it is, or nothing that this node can serve by.
            let unset = text("${HEADLAND_NO_SUCH_VARIABLE}");
            let unset = format!("7 {}\n{unset}", digest(&unset).to_hex());
            for lines in ["", "7", "7 x\n", &unset] {
                kept.write(lines).unwrap();
                assert_eq!(Configs::open(own.clone()).release(), Release::Own, "{lines}");
            }
            configs.keep(None).unwrap();
            assert!(!file.exists());
        }
    }
}
