//! The versions of the published config, and which of them nodes are to have. Pure.
//!
//! ```text
//!                   share of 100 ┌───────────────────────┐
//!  publish ──► checked ──────────┤                       ▼
//!                                └─► candidate ─ promote ─► current ─ rollback ─► the one before,
//!                                        └────── rollback: dropped               as a new version
//! ```
//!
//! Numbers go up from 1 and are never given twice. Going back publishes the text of the version
//! before as a new one, so that a node never has to tell two times of one version apart. What was
//! gone back from is passed over when one goes back again.
//!
//! Lines of text, as they are kept:
//!
//! ```text
//!  {"candidate":9,"current":7,"share":10}
//!  {"at":…,"by":"ops","bytes":…,"hash":"64 hex","number":7,"restores":5,"share":100,…}
//!  …
//! ```

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::rollout::Share;
use crate::config::published::Release;

/// One version, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// From 1.
    pub number: u64,
    /// Of its text.
    pub hash: blake3::Hash,
    /// Of its text.
    pub bytes: usize,
    /// Name of the token's holder who published it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The part of the fleet that it was first for.
    pub share: Share,
    /// The version whose text it has, where somebody went back.
    pub restores: Option<u64>,
    /// Whether it is or was the one of all nodes.
    pub was_current: bool,
}

impl Version {
    /// What nodes are told of it.
    pub fn release(&self) -> Release {
        Release::Published { version: self.number, hash: self.hash }
    }
}

/// What somebody publishes.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Of the text.
    pub hash: blake3::Hash,
    /// Of the text.
    pub bytes: usize,
    /// Name of the token's holder.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The part of the fleet that it is first for.
    pub share: Share,
}

/// Every version that is kept, in the order of the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    list: Vec<Version>,
    current: Option<u64>,
    candidate: Option<(u64, Share)>,
}

/// How a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For the part of the fleet that comes first.
    Candidate(Share),
    /// For all other nodes.
    Current,
    /// Was current.
    Past,
    /// Never was.
    Dropped,
}

/// Why nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another version came meanwhile.
    #[error("after: expected {0}, the latest version")]
    Meanwhile(u64),
    /// There is none, or it is another.
    #[error("version: expected the candidate, which is version {0}")]
    Candidate(u64),
    /// There is none.
    #[error("version: expected a candidate, found none; every version is promoted or dropped")]
    NoCandidate,
    /// It is another.
    #[error("version: expected {0}, which all nodes are to have")]
    Current(u64),
    /// A share of a candidate does not shrink.
    #[error("share: expected more than the {0} percent that are to have the candidate")]
    Share(u8),
    /// There is nothing to go back to.
    #[error("version: expected a version to go back to, found none that all nodes had before")]
    First,
}

impl Versions {
    /// What the node of that name is to have; `None` where nothing was ever published.
    pub fn wanted(&self, name: &str) -> Option<Release> {
        self.list.last()?;
        let candidate = self.candidate.filter(|(_, share)| share.covers(name));
        let number = candidate.map(|(number, _)| number).or(self.current);
        let version = number.and_then(|number| self.get(number));
        Some(version.map_or(Release::Own, Version::release))
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<&Version> {
        let at = self.list.binary_search_by_key(&number, |version| version.number).ok()?;
        self.list.get(at)
    }

    /// The one of all nodes but those that come first.
    pub fn current(&self) -> Option<&Version> {
        self.get(self.current?)
    }

    /// The one of the nodes that come first.
    pub fn candidate(&self) -> Option<&Version> {
        self.get(self.candidate?.0)
    }

    /// Number of the latest; 0 where there is none.
    pub fn latest(&self) -> u64 {
        self.list.last().map_or(0, |version| version.number)
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.list.iter()
    }

    /// How one of them stands.
    pub fn stage(&self, version: &Version) -> Stage {
        match self.candidate {
            Some((number, share)) if number == version.number => Stage::Candidate(share),
            _ if self.current == Some(version.number) => Stage::Current,
            _ if version.was_current => Stage::Past,
            _ => Stage::Dropped,
        }
    }

    /// With one more, in the place of the candidate, or of the current one if it is for all.
    ///
    /// # Errors
    /// The latest is not `after`.
    pub fn publish(&self, draft: Draft, after: Option<u64>) -> Result<Self, Refusal> {
        if after.is_some_and(|after| after != self.latest()) {
            return Err(Refusal::Meanwhile(self.latest()));
        }
        Ok(self.with(draft, None))
    }

    /// With the candidate for more nodes, or for all: then it is the current one.
    ///
    /// # Errors
    /// There is none, it is not `version`, or it is for as many already.
    pub fn promote(&self, version: Option<u64>, share: Share) -> Result<Self, Refusal> {
        let (number, before) = self.candidate.ok_or(Refusal::NoCandidate)?;
        if version.is_some_and(|version| version != number) {
            return Err(Refusal::Candidate(number));
        }
        if share <= before {
            return Err(Refusal::Share(before.as_percent()));
        }
        let mut next = self.clone();
        next.assign(number, share);
        Ok(next)
    }

    /// Without the candidate. Where there is none, with the text of the version that was current
    /// before this one: as a new version, and the number of that whose text it has.
    ///
    /// # Errors
    /// It is not `version` that one would go back from, or there is none before it.
    pub fn rollback(
        &self,
        version: Option<u64>,
        by: &str,
        at: u64,
    ) -> Result<(Self, Option<u64>), Refusal> {
        let is_other = |number| version.is_some_and(|version| version != number);
        if let Some((number, _)) = self.candidate {
            if is_other(number) {
                return Err(Refusal::Candidate(number));
            }
            return Ok((Self { candidate: None, ..self.clone() }, None));
        }
        let current = self.current().ok_or(Refusal::First)?;
        if is_other(current.number) {
            return Err(Refusal::Current(current.number));
        }
        let before = self.before(current).ok_or(Refusal::First)?;
        let restored = before.restores.unwrap_or(before.number);
        let Version { hash, bytes, .. } = *before;
        let draft = Draft { hash, bytes, by: by.to_owned(), at, share: Share::ALL };
        Ok((self.with(draft, Some(restored)), Some(before.number)))
    }

    /// Without the oldest beyond `versions_max`, but for those that nodes are to have or one would
    /// go back to.
    pub fn pruned(mut self, versions_max: usize) -> Self {
        let before = self.current().and_then(|current| self.before(current));
        let kept =
            [self.current, self.candidate.map(|(number, _)| number), before.map(|it| it.number)];
        let mut surplus = self.list.len().saturating_sub(versions_max);
        self.list.retain(|version| {
            let goes = surplus > 0 && !kept.contains(&Some(version.number));
            surplus -= usize::from(goes);
            !goes
        });
        self
    }

    /// What one goes back to from a version that is or was current: what was before it, or before
    /// the one whose text it has.
    fn before(&self, version: &Version) -> Option<&Version> {
        let number = version.restores.unwrap_or(version.number);
        self.list.iter().rev().find(|other| other.number < number && other.was_current)
    }

    fn with(&self, draft: Draft, restores: Option<u64>) -> Self {
        let Draft { hash, bytes, by, at, share } = draft;
        let number = self.latest() + 1;
        let mut next = self.clone();
        let was_current = false;
        next.list.push(Version { number, hash, bytes, by, at, share, restores, was_current });
        next.assign(number, share);
        next
    }

    /// A version is for so much of the fleet.
    fn assign(&mut self, number: u64, share: Share) {
        if share < Share::ALL {
            self.candidate = Some((number, share));
            return;
        }
        (self.current, self.candidate) = (Some(number), None);
        let version = self.list.iter_mut().find(|version| version.number == number);
        version.into_iter().for_each(|version| version.was_current = true);
    }
}

impl Versions {
    /// As lines of text.
    pub fn to_lines(&self) -> String {
        let (candidate, share) = self.candidate.unzip();
        let share = share.map(Share::as_percent);
        let head = json!({ "candidate": candidate, "current": self.current, "share": share });
        self.list.iter().fold(format!("{head}\n"), |mut lines, version| {
            let Version { number, hash, bytes, by, at, share, restores, was_current } = version;
            let line = json!({
                "number": number, "hash": hash.to_hex().as_str(), "bytes": bytes, "by": by,
                "at": at, "share": share.as_percent(), "restores": restores,
                "was_current": was_current,
            });
            // Writing to a string does not fail.
            let _written = writeln!(lines, "{line}").is_ok();
            lines
        })
    }

    /// What [`Self::to_lines`] wrote; `None` for anything else.
    pub fn from_lines(lines: &str) -> Option<Self> {
        let mut values = lines.lines().map(serde_json::from_str::<Value>);
        let head = values.next()?.ok()?;
        let share = head["share"].as_u64().and_then(Share::percent);
        let candidate = head["candidate"].as_u64().zip(share);
        let version = |value: Result<Value, _>| {
            let value: Value = value.ok()?;
            Some(Version {
                number: value["number"].as_u64()?,
                hash: blake3::Hash::from_hex(value["hash"].as_str()?).ok()?,
                bytes: value["bytes"].as_u64()?.try_into().ok()?,
                by: value["by"].as_str()?.to_owned(),
                at: value["at"].as_u64()?,
                share: Share::percent(value["share"].as_u64()?)?,
                restores: value["restores"].as_u64(),
                was_current: value["was_current"].as_bool()?,
            })
        };
        let list: Vec<_> = values.map(version).collect::<Option<_>>()?;
        let read = Self { list, current: head["current"].as_u64(), candidate };
        let named = read.current.into_iter().chain(read.candidate.map(|(number, _)| number));
        let is_ordered = read.list.is_sorted_by(|one, two| one.number < two.number);
        (is_ordered && { named }.all(|number| read.get(number).is_some())).then_some(read)
    }
}

#[cfg(test)]
mod tests;
