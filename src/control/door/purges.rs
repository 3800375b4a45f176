//! `/v1/purges`: purge, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{Asking, Door};
use crate::control::fleet::{Receipt, Row, State};
use crate::control::log::{Asked, LogError, Logged};
use crate::door::{Caller, Problem, answer, body, query};
use crate::message::{Body, Response};
use crate::object::{PurgeCommand, PurgeKind};
use crate::telemetry::access_log::rfc3339;

/// Rows of nodes in one answer; beyond them those that are pending come first, and `nodes_left_out`
/// says how many do not.
const ROWS_MAX: usize = 10_000;

impl Door {
    /// A list in, a list out. A dry run tells of each what it would hit.
    pub(super) async fn purge(
        &self,
        query: &str,
        content: Body,
        asking: &Asking,
    ) -> Result<Response, Problem> {
        let query::Asking { patience, is_dry_run } = query::asking(query, Duration::ZERO)?;
        let (commands, is_list) = self.commands(content, asking).await?;
        if is_dry_run {
            return self.survey(query, &commands, is_list).await;
        }
        let told = told(&commands);
        let entry = self.append(&asking.caller.name, commands, asking).await?;
        self.parts.plane.wait(entry.last(), patience).await;
        let (shown, complete) = self.parts.plane.look(|fleet, _| {
            let receipt = fleet.receipt(entry.last());
            let rows = ROWS_MAX / entry.commands.len().max(1);
            let each = (entry.first..=entry.last())
                .filter_map(|number| Some(show(receipt?, number, rows)))
                .collect::<Vec<_>>();
            (each, receipt.is_some_and(Receipt::is_complete))
        });
        let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
        self.note(asking, status, format!("{told}: {}", numbers(&entry)));
        Ok(answer::envelope(status, answer::listed(shown, is_list), json!({})))
    }

    /// Appends purges of a holder of a name. That they are refused is noted.
    pub(super) async fn append(
        &self,
        by: &str,
        commands: Vec<PurgeCommand>,
        asking: &Asking,
    ) -> Result<Arc<Logged>, Problem> {
        let (told, count) = (told(&commands), commands.len() as u64);
        let asked = Asked { by: by.to_owned(), at: (self.parts.calendar)(), commands };
        let since = (self.parts.clock)();
        let entry = self.parts.plane.purge(asked.clone()).await.map_err(|error| {
            self.parts.metrics.refused(count);
            let refused = refused(&error);
            self.note(asking, refused.status, format!("{told}: {}", refused.detail));
            refused
        })?;
        self.parts.metrics.appended(count, (self.parts.clock)().saturating_sub(since));
        self.repeat_later(asked);
        Ok(entry)
    }

    /// The purges of a body, within the sites of whoever asks, and whether they came as a list.
    async fn commands(
        &self,
        content: Body,
        asking: &Asking,
    ) -> Result<(Vec<PurgeCommand>, bool), Problem> {
        let content = body::read(content, body::PURGES_MAX).await?;
        let (mut commands, is_list) = body::purges(&content).map_err(|(index, fault)| {
            problem(StatusCode::BAD_REQUEST, index, &fault.to_string())
        })?;
        for (index, command) in commands.iter_mut().enumerate() {
            let index = is_list.then_some(index);
            if let Err(refused) = limit(command, &asking.caller, index) {
                self.note(asking, refused.status, refused.detail.clone());
                return Err(refused);
            }
        }
        Ok((commands, is_list))
    }

    /// The recent purges of the caller's sites, the newest first.
    pub(super) fn purges(&self, query: &str, caller: &Caller) -> Result<Response, Problem> {
        let page = query::page(query)?;
        let (data, more) = self.parts.plane.look(|fleet, _| {
            let wanted = fleet.receipts(page.before).flat_map(|receipt| {
                let newest_first = (receipt.entry.first..=receipt.entry.last()).rev();
                let seen = |number: &u64| {
                    let command = command(receipt, *number);
                    command.is_some_and(|command| caller.sees(command.site.as_deref()))
                };
                let below = newest_first.filter(|number| *number < page.before);
                below.filter(seen).map(move |number| (receipt, number)).collect::<Vec<_>>()
            });
            let mut wanted = wanted.take(page.limit + 1).collect::<Vec<_>>();
            let more = wanted.len() > page.limit;
            wanted.truncate(page.limit);
            let rows = ROWS_MAX / wanted.len().max(1);
            let show = |(receipt, number): (&Receipt, u64)| show(receipt, number, rows);
            (wanted.into_iter().map(show).collect::<Vec<_>>(), more)
        });
        let last = data.last().filter(|_| more).map(|last| &last["sequence"]["number"]);
        let meta = json!({ "limit": page.limit, "next": last.map(Value::to_string) });
        Ok(answer::envelope(StatusCode::OK, Value::Array(data), meta))
    }

    pub(super) fn receipt(&self, number: u64, caller: &Caller) -> Result<Response, Problem> {
        let shown = self.parts.plane.look(|fleet, _| {
            let receipt = fleet.receipt(number)?;
            let command = command(receipt, number)?;
            let seen = caller.sees(command.site.as_deref());
            seen.then(|| (show(receipt, number, ROWS_MAX), receipt.is_complete()))
        });
        let Some((shown, complete)) = shown else {
            let detail = format!("No recent purge has the number {number}.");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(answer::envelope(status, shown, json!({})))
    }
}

/// Limits a purge to the caller's sites: where there is one, it is filled in.
pub(super) fn limit(
    command: &mut PurgeCommand,
    caller: &Caller,
    index: Option<usize>,
) -> Result<(), Problem> {
    if let (None, [site]) = (&command.site, &*caller.sites) {
        command.site = Some(site.clone());
    }
    if caller.sees(command.site.as_deref()) {
        return Ok(());
    }
    let found = command.site.as_ref().map_or("nothing".to_owned(), |site| format!("{site:?}"));
    let detail = format!("site: expected one of the sites that the token is for, found {found}");
    Err(problem(StatusCode::FORBIDDEN, index, &detail))
}

fn problem(status: StatusCode, index: Option<usize>, detail: &str) -> Problem {
    match index {
        Some(index) => Problem::new(status, format!("[{index}].{detail}")),
        None => Problem::new(status, detail),
    }
}

fn refused(error: &LogError) -> Problem {
    let detail = match error {
        LogError::Late => format!("purges: {error}"),
        LogError::Busy | LogError::Failed(_) => format!("purges: none was carried out: {error}"),
    };
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    if *error == LogError::Busy { problem.with("retry-after", "1") } else { problem }
}

/// The numbers of an entry, for the audit.
pub(super) fn numbers(entry: &Logged) -> String {
    match entry.commands.len() {
        1 => format!("purge {}", entry.first),
        _ => format!("purges {} to {}", entry.first, entry.last()),
    }
}

/// What was asked, for the audit.
pub(super) fn told(commands: &[PurgeCommand]) -> String {
    let Some(first) = commands.first() else { return String::new() };
    let soft = if first.kind == PurgeKind::Soft { "soft " } else { "" };
    let site = first.site.as_ref().map(|site| format!(" of {site:?}")).unwrap_or_default();
    let value: String = first.value.chars().take(200).collect();
    let more = match commands.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{soft}{} {value:?}{site}{more}", first.target.kind())
}

fn command(receipt: &Receipt, number: u64) -> Option<&PurgeCommand> {
    let at = usize::try_from(number.checked_sub(receipt.entry.first)?).ok()?;
    receipt.entry.commands.get(at)
}

/// The receipt of one purge, with up to so many rows.
fn show(receipt: &Receipt, number: u64, rows_max: usize) -> Value {
    let Some(command) = command(receipt, number) else { return Value::Null };
    let count = receipt.rows().len();
    let is_pending = |row: &Row<'_>| row.state == State::Pending;
    let nodes: Vec<_> = match count <= rows_max {
        true => receipt.rows().map(show_row).collect(),
        false => {
            let others = receipt.rows().filter(|row| !is_pending(row));
            receipt.rows().filter(is_pending).chain(others).take(rows_max).map(show_row).collect()
        }
    };
    let mut shown = json!({
        "sequence": { "log": receipt.log.to_string(), "number": number },
        "state": if receipt.is_complete() { "complete" } else { "pending" },
        "nodes": nodes,
        "matched": receipt.matched(number),
        "kind": command.target.kind(),
        "value": command.value,
        "site": command.site,
        "soft": command.kind == PurgeKind::Soft,
        "exact": command.is_exact(),
        "by": receipt.entry.by,
        "at": rfc3339(receipt.entry.at / 1000),
    });
    if count > rows_max {
        shown["nodes_left_out"] = (count - rows_max).into();
    }
    shown
}

fn show_row(row: Row<'_>) -> Value {
    let ms = match row.state {
        State::Applied(Some(took)) => Some((took.as_secs_f64() * 1e6).round() / 1e3),
        _ => None,
    };
    let mut shown = json!({ "name": row.name, "state": row.state.as_str(), "ms": ms });
    if let Some(by) = row.removed_by {
        shown["removed_by"] = by.into();
    }
    shown
}
