//! The purges that still matter, in bounded space: of each target the last hard and the last soft.
//!
//! ```text
//!  group                      target                          numbers
//!  site "shop" ──┬─────────── the whole site                  hard 3
//!                ├─────────── tag p42                         hard 7, soft 9
//!                └─────────── url https://…                   soft 4
//!  host "a.example" ──┬────── prefix https://a.example/       (purges that name no site)
//!                     └────── url https://a.example/x
//!  every ─────────────┬────── url https://*/*
//!                     └────── tag p42, of every site
//! ```
//!
//! Which site a host is of only the nodes know, so what names no site is grouped by its host.
//!
//! Invariant: what any purge covered, some purge that is kept covers, by a number that is not lower
//! and a kind that is not softer. Where there are too many, the oldest quarter of the largest group
//! becomes one of the whole group; where there are too many groups, the oldest become one of all.

use std::collections::{BTreeMap, HashMap};

use crate::object::{PurgeCommand, PurgeKind, PurgeTarget, PurgeUrl};

/// Bytes of a purge that count as one; a long one counts as several.
const WEIGHT: usize = 256;

/// What a purge weighs against the bounds of what is kept.
pub(in crate::control) fn weight(command: &PurgeCommand) -> usize {
    1 + (command.value.len() + command.site.as_ref().map_or(0, String::len)) / WEIGHT
}

/// The table.
#[derive(Debug)]
pub(super) struct Folded {
    groups: BTreeMap<Group, Targets>,
    weight: usize,
    weight_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Site(String),
    Host(String),
    Every,
}

#[derive(Debug, Default)]
struct Targets {
    last: HashMap<Target, Last>,
    weight: usize,
}

/// What a purge names within its group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Target {
    kind: &'static str,
    exact: bool,
    value: String,
}

#[derive(Debug)]
struct Last {
    command: PurgeCommand,
    hard: u64,
    soft: u64,
}

impl Folded {
    /// A table of so many purges, long ones counted as several.
    pub(super) fn new(weight_max: usize) -> Self {
        Self { groups: BTreeMap::new(), weight: 0, weight_max: weight_max.max(4) }
    }

    /// Takes in a purge. The same one may come again.
    pub(super) fn fold(&mut self, number: u64, command: &PurgeCommand) {
        self.raise(Group::of(command), number, command);
        while self.weight > self.weight_max {
            self.make_room();
        }
    }

    /// Every purge that is kept, in the order of the log.
    pub(super) fn commands(&self) -> Vec<(u64, PurgeCommand)> {
        let each = self.groups.values().flat_map(|targets| targets.last.values());
        let mut commands: Vec<_> = each
            .flat_map(|last| {
                let kinds = [(last.hard, PurgeKind::Hard), (last.soft, PurgeKind::Soft)];
                let kept = kinds.into_iter().filter(|(number, _)| *number > 0);
                kept.map(|(number, kind)| (number, PurgeCommand { kind, ..last.command.clone() }))
            })
            .collect();
        commands.sort_by(|a, b| (a.0, &a.1.value).cmp(&(b.0, &b.1.value)));
        commands
    }

    fn raise(&mut self, group: Group, number: u64, command: &PurgeCommand) {
        let whole = group.whole().map(|whole| Target::of(&whole));
        let targets = self.groups.entry(group).or_default();
        let before = targets.weight;
        let target = Target::of(command);
        if whole.as_ref() == Some(&target) {
            targets.cover(&target, number, command.kind);
        }
        targets.raise(target, number, command);
        self.weight = self.weight - before + targets.weight;
    }

    /// Gives up what is oldest in favour of what covers more.
    fn make_room(&mut self) {
        let largest = self.groups.iter().max_by_key(|(_, targets)| targets.last.len());
        let Some((group, targets)) = largest else { return };
        match targets.last.len() {
            0 | 1 => self.merge_groups(),
            _ => self.shrink(group.clone()),
        }
    }

    /// The oldest quarter of a group becomes part of its whole.
    fn shrink(&mut self, group: Group) {
        let Some(whole) = group.whole() else { return };
        let Some(targets) = self.groups.get_mut(&group) else { return };
        let before = targets.weight;
        let (hard, soft) = targets.give_up_oldest(&Target::of(&whole));
        self.weight = self.weight - before + targets.weight;
        self.raise_whole(group, whole, hard, soft);
    }

    /// The oldest quarter of the groups becomes part of everything.
    fn merge_groups(&mut self) {
        let others = self.groups.iter().filter(|(group, _)| **group != Group::Every);
        let mut oldest: Vec<_> =
            others.map(|(group, targets)| (targets.last_number(), group.clone())).collect();
        oldest.sort();
        oldest.truncate(oldest.len().div_ceil(4));
        let (mut hard, mut soft) = (0, 0);
        for (_, group) in oldest {
            let Some(targets) = self.groups.remove(&group) else { continue };
            self.weight -= targets.weight;
            hard = targets.last.values().map(|last| last.hard).fold(hard, u64::max);
            soft = targets.last.values().map(|last| last.soft).fold(soft, u64::max);
        }
        if let Some(whole) = Group::Every.whole() {
            self.raise_whole(Group::Every, whole, hard, soft);
        }
    }

    fn raise_whole(&mut self, group: Group, whole: PurgeCommand, hard: u64, soft: u64) {
        for (number, kind) in [(hard, PurgeKind::Hard), (soft, PurgeKind::Soft)] {
            if number > 0 {
                let command = PurgeCommand { kind, ..whole.clone() };
                self.raise(group.clone(), number, &command);
            }
        }
    }
}

impl Group {
    fn of(command: &PurgeCommand) -> Self {
        match (&command.site, &command.target) {
            (Some(site), _) => Self::Site(site.clone()),
            (None, PurgeTarget::Url(url) | PurgeTarget::Prefix(url)) => {
                Self::Host(url.host.clone())
            }
            (None, PurgeTarget::Wildcard(url)) if !url.host.contains('*') => {
                Self::Host(url.host.clone())
            }
            (None, _) => Self::Every,
        }
    }

    /// A purge of all that purges of the group may cover. There is one of every group that
    /// [`Self::of`] makes; without one nothing of the group is given up.
    fn whole(&self) -> Option<PurgeCommand> {
        let kind = PurgeKind::Hard;
        match self {
            Self::Site(name) => {
                let (value, site) = (name.clone(), Some(name.clone()));
                Some(PurgeCommand { value, target: PurgeTarget::Site, site, kind })
            }
            Self::Host(host) => {
                let value = format!("https://{host}/");
                let target = PurgeTarget::Prefix(PurgeUrl::parse(&value, false).ok()?);
                Some(PurgeCommand { value, target, site: None, kind })
            }
            Self::Every => {
                let value = "https://*/*".to_owned();
                let target = PurgeTarget::Wildcard(PurgeUrl::wildcard(&value).ok()?);
                Some(PurgeCommand { value, target, site: None, kind })
            }
        }
    }
}

impl Targets {
    fn raise(&mut self, target: Target, number: u64, command: &PurgeCommand) {
        let weight = weight(command);
        let last = self.last.entry(target).or_insert_with(|| {
            self.weight += weight;
            Last { command: command.clone(), hard: 0, soft: 0 }
        });
        match command.kind {
            PurgeKind::Hard => last.hard = last.hard.max(number),
            PurgeKind::Soft => last.soft = last.soft.max(number),
        }
        last.settle();
    }

    /// Takes out what a purge of the whole covers.
    fn cover(&mut self, whole: &Target, number: u64, kind: PurgeKind) {
        let weight = &mut self.weight;
        self.last.retain(|target, last| {
            if target == whole {
                return true;
            }
            if kind == PurgeKind::Hard && last.hard <= number {
                last.hard = 0;
            }
            if last.soft <= number {
                last.soft = 0;
            }
            let kept = last.number() > 0;
            *weight -= if kept { 0 } else { self::weight(&last.command) };
            kept
        });
    }

    /// Takes out the oldest quarter, but not the whole, and returns its last numbers.
    fn give_up_oldest(&mut self, whole: &Target) -> (u64, u64) {
        let others = self.last.iter().filter(|(target, _)| *target != whole);
        let mut oldest: Vec<_> =
            others.map(|(target, last)| (last.number(), target.clone())).collect();
        oldest.sort_by_key(|(number, _)| *number);
        oldest.truncate(oldest.len().div_ceil(4));
        let (mut hard, mut soft) = (0, 0);
        for (_, target) in oldest {
            let Some(last) = self.last.remove(&target) else { continue };
            self.weight -= weight(&last.command);
            (hard, soft) = (last.hard.max(hard), last.soft.max(soft));
        }
        (hard, soft)
    }

    fn last_number(&self) -> u64 {
        self.last.values().map(Last::number).max().unwrap_or(0)
    }
}

impl Last {
    fn number(&self) -> u64 {
        self.hard.max(self.soft)
    }

    /// What is gone since cannot also be stale since before.
    fn settle(&mut self) {
        if self.soft < self.hard {
            self.soft = 0;
        }
    }
}

impl Target {
    fn of(command: &PurgeCommand) -> Self {
        let (kind, exact) = (command.target.kind(), command.is_exact());
        Self { kind, exact, value: command.value.clone() }
    }
}

#[cfg(test)]
mod tests;
