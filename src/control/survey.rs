//! What purges would hit, asked of every node by the streams of the log, and summed up.
//!
//! ```text
//!  ask ──► line ──► every stream that wants such lines ──► nodes
//!   ▲                                                        │
//!   └── all have told, or patience is over ◄── tell ◄────────┘
//! ```
//!
//! What a node would not tell, or not in time, makes the sum an estimate. Surveys at once are
//! bounded, and so is what is remembered of each: of many nodes and purges the sums alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};
use tokio::time::timeout;

use crate::object::PurgeCommand;

/// Surveys under way at once.
const SURVEYS_MAX: usize = 4;

/// Figures of single nodes that are remembered of a survey.
const ROWS_MAX: usize = 10_000;

/// What a purge would hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing yet; whether it is waited for.
    Nothing { is_awaited: bool },
    /// Why it says nothing.
    Fault(String),
    Hits {
        /// By each purge; `None` where only the sum is remembered.
        hits: Option<Vec<Tally>>,
        is_estimate: bool,
    },
}

/// What purges would hit, as far as it was told.
#[derive(Debug)]
pub(super) struct Survey {
    /// By each purge, on all nodes that told.
    pub(super) sums: Vec<Tally>,
    pub(super) nodes: BTreeMap<Arc<str>, Told>,
    /// Nodes that are waited for.
    awaited: usize,
    rows_left: usize,
    done: Arc<Notify>,
}

/// So many surveys are under way that no more is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// What a node says is not what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// No such survey is under way, or it does not ask this node.
    Unknown,
    /// So many figures are expected.
    Count(usize),
}

/// The surveys under way.
#[derive(Debug)]
pub(super) struct Surveys {
    lines: broadcast::Sender<Bytes>,
    open: Mutex<BTreeMap<u64, Survey>>,
}

impl Surveys {
    pub(super) fn new() -> Self {
        // A stream that is further behind than that tells nothing, and is not waited for long.
        Self { lines: broadcast::Sender::new(2 * SURVEYS_MAX), open: Mutex::default() }
    }

    /// Lines that ask, from now on.
    pub(super) fn lines(&self) -> broadcast::Receiver<Bytes> {
        self.lines.subscribe()
    }

    /// Asks nodes what purges would hit, and waits up to `patience` for those of them that are to
    /// be waited for.
    ///
    /// Cancel safe: nothing is left of what nobody waits for.
    pub(super) async fn ask(
        &self,
        commands: &[PurgeCommand],
        nodes: impl Iterator<Item = (Arc<str>, bool)>,
        patience: Duration,
    ) -> Result<Survey, Busy> {
        let nodes = nodes.map(|(name, is_awaited)| (name, Told::Nothing { is_awaited }));
        let nodes: BTreeMap<_, _> = nodes.collect();
        let awaits = |told: &&Told| **told == Told::Nothing { is_awaited: true };
        let awaited = nodes.values().filter(awaits).count();
        let done = Arc::new(Notify::new());
        let sums = vec![Tally::default(); commands.len()];
        let survey = Survey { sums, nodes, awaited, rows_left: ROWS_MAX, done: done.clone() };
        let asked = self.begin(survey)?;
        let list: Vec<_> = commands.iter().map(PurgeCommand::to_json).collect();
        let line = json!({ "commands": list, "survey": format!("{:016x}", asked.id) });
        // Where no stream is open nobody hears it.
        let _unheard = self.lines.send(format!("{line}\n").into()).is_err();
        if awaited > 0 {
            let _late = timeout(patience, done.notified()).await.is_err();
        }
        self.open.lock().remove(&asked.id).ok_or(Busy)
    }

    fn begin(&self, survey: Survey) -> Result<Asked<'_>, Busy> {
        let mut open = self.open.lock();
        if open.len() >= SURVEYS_MAX {
            return Err(Busy);
        }
        let id = fastrand::u64(..);
        open.insert(id, survey);
        Ok(Asked { surveys: self, id })
    }

    /// Takes what a node says.
    pub(super) fn tell(
        &self,
        id: u64,
        name: &str,
        told: Result<(Vec<Tally>, bool), String>,
    ) -> Result<(), Unasked> {
        let mut open = self.open.lock();
        let survey = open.get_mut(&id).ok_or(Unasked::Unknown)?;
        let count = survey.sums.len();
        let node = survey.nodes.get_mut(name).ok_or(Unasked::Unknown)?;
        let Told::Nothing { is_awaited } = *node else { return Ok(()) };
        *node = match told {
            Ok((hits, _)) if hits.len() != count => return Err(Unasked::Count(count)),
            Ok((hits, is_estimate)) => {
                for (sum, hit) in survey.sums.iter_mut().zip(&hits) {
                    sum.objects = sum.objects.saturating_add(hit.objects);
                    sum.bytes = sum.bytes.saturating_add(hit.bytes);
                }
                let left = survey.rows_left.checked_sub(count);
                survey.rows_left = left.unwrap_or(survey.rows_left);
                Told::Hits { hits: left.map(|_| hits), is_estimate }
            }
            Err(fault) => Told::Fault(fault),
        };
        survey.awaited -= usize::from(is_awaited);
        if survey.awaited == 0 {
            survey.done.notify_one();
        }
        Ok(())
    }
}

impl Survey {
    /// Whether there may be more than was told, or less.
    pub(super) fn is_estimate(&self) -> bool {
        let is_sure = |told: &Told| matches!(told, Told::Hits { is_estimate: false, .. });
        !self.nodes.values().all(is_sure)
    }

    /// What single nodes told of the purge at `index`, as far as it is remembered; and how many
    /// others there are.
    pub(super) fn rows(&self, index: usize) -> (Vec<Value>, usize) {
        let rows_max = ROWS_MAX / self.sums.len().max(1);
        let row = |(name, told): (&Arc<str>, &Told)| match told {
            Told::Hits { hits, is_estimate } => hits.as_ref()?.get(index).map(|hit| {
                json!({
                    "name": **name, "state": "counted",
                    "objects": hit.objects, "bytes": hit.bytes, "estimate": is_estimate,
                })
            }),
            Told::Fault(fault) => {
                Some(json!({ "name": **name, "state": "failed", "detail": fault }))
            }
            Told::Nothing { .. } => Some(json!({ "name": **name, "state": "silent" })),
        };
        let rows: Vec<_> = self.nodes.iter().filter_map(row).take(rows_max).collect();
        let left_out = self.nodes.len() - rows.len();
        (rows, left_out)
    }
}

/// Ends a survey when nobody waits for it any more.
struct Asked<'a> {
    surveys: &'a Surveys,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.surveys.open.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(value: &str) -> PurgeCommand {
        PurgeCommand::from_json(&json!({ "kind": "tag", "value": value })).unwrap()
    }

    fn nodes(names: &[(&str, bool)]) -> impl Iterator<Item = (Arc<str>, bool)> {
        names
            .iter()
            .map(|(name, awaited)| (Arc::from(*name), *awaited))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn hit(objects: u64) -> Tally {
        Tally { objects, bytes: 100 * objects }
    }

    /// The id that a line asks for.
    async fn asked(lines: &mut broadcast::Receiver<Bytes>) -> u64 {
        let line: Value = serde_json::from_slice(&lines.recv().await.unwrap()).unwrap();
        u64::from_str_radix(line["survey"].as_str().unwrap(), 16).unwrap()
    }

    #[tokio::test]
    async fn what_all_have_told_is_summed_up_at_once() {
        let surveys = Surveys::new();
        let mut lines = surveys.lines();
        let commands = [tag("a"), tag("b")];
        let asking = surveys.ask(&commands, nodes(&[("x", true), ("y", true)]), Duration::MAX);
        let telling = async {
            let id = asked(&mut lines).await;
            assert_eq!(surveys.tell(id ^ 1, "x", Err(String::new())), Err(Unasked::Unknown));
            assert_eq!(surveys.tell(id, "z", Err(String::new())), Err(Unasked::Unknown));
            assert_eq!(surveys.tell(id, "x", Ok((vec![hit(1)], false))), Err(Unasked::Count(2)));
            for _again in 0..2 {
                assert_eq!(surveys.tell(id, "x", Ok((vec![hit(1), hit(2)], false))), Ok(()));
            }
            assert_eq!(surveys.tell(id, "y", Ok((vec![hit(3), hit(4)], true))), Ok(()));
            id
        };
        let (survey, id) = tokio::join!(asking, telling);
        let survey = survey.unwrap();
        assert_eq!((&survey.sums[..], survey.is_estimate()), (&[hit(4), hit(6)][..], true));
        let row = json!({
            "name": "y", "state": "counted", "objects": 4, "bytes": 400, "estimate": true,
        });
        assert_eq!((&survey.rows(1).0[1], survey.rows(1).1), (&row, 0));
        assert_eq!(surveys.tell(id, "x", Err(String::new())), Err(Unasked::Unknown), "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_tell_in_time_makes_it_an_estimate() {
        let surveys = Surveys::new();
        let mut lines = surveys.lines();
        let commands = [tag("a")];
        let names = [("away", false), ("late", true), ("told", true)];
        let asking = surveys.ask(&commands, nodes(&names), Duration::from_secs(6));
        let telling = async {
            let id = asked(&mut lines).await;
            surveys.tell(id, "told", Ok((vec![hit(1)], false))).unwrap();
        };
        let (survey, ()) = tokio::join!(asking, telling);
        let survey = survey.unwrap();
        assert_eq!((survey.sums[0], survey.is_estimate()), (hit(1), true));
        let states: Vec<_> = survey.rows(0).0.iter().map(|row| row["state"].clone()).collect();
        assert_eq!(states, ["silent", "silent", "counted"]);
        // Nobody to wait for.
        let none = surveys.ask(&commands, nodes(&[("away", false)]), Duration::MAX).await.unwrap();
        assert!(none.is_estimate());
        assert!(!surveys.ask(&commands, nodes(&[]), Duration::MAX).await.unwrap().is_estimate());
    }

    #[tokio::test]
    async fn surveys_at_once_are_bounded_and_end_with_whoever_asks() {
        let surveys = Surveys::new();
        let commands = [tag("a")];
        let ask = || surveys.ask(&commands, nodes(&[("x", true)]), Duration::from_secs(600));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut open: Vec<_> = (0..SURVEYS_MAX).map(|_| Box::pin(ask())).collect();
        assert!(open.iter_mut().all(|it| it.as_mut().poll(&mut cx).is_pending()));
        assert_eq!(ask().await.unwrap_err(), Busy);
        drop(open);
        assert!(surveys.open.lock().is_empty());
    }

    #[tokio::test]
    async fn of_many_nodes_the_sums_are_remembered_alone() {
        let surveys = Surveys::new();
        let mut lines = surveys.lines();
        let commands = vec![tag("a"); 1000];
        let names: Vec<_> = (0..12).map(|n| (format!("n{n:02}"), true)).collect();
        let names: Vec<_> = names.iter().map(|(name, awaited)| (&**name, *awaited)).collect();
        let asking = surveys.ask(&commands, nodes(&names), Duration::MAX);
        let telling = async {
            let id = asked(&mut lines).await;
            for (name, _) in &names {
                surveys.tell(id, name, Ok((vec![hit(1); 1000], false))).unwrap();
            }
        };
        let (survey, ()) = tokio::join!(asking, telling);
        let survey = survey.unwrap();
        assert_eq!((survey.sums[999], survey.is_estimate()), (hit(12), false));
        let (rows, left_out) = survey.rows(999);
        assert_eq!((rows.len(), left_out), (10, 2));
    }
}
