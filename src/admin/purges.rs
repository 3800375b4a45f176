//! `/v1/purges`: purge, and what became of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Value, json};

use super::Door;
use crate::door::{Caller, Problem, answer, body, query};
use crate::message::{Body, Response};
use crate::object::{PurgeCommand, PurgeKind};
use crate::purge::{Asked, PurgeFault, Receipt, Refused};
use crate::store::Tally;
use crate::telemetry::access_log::rfc3339;

/// How long a purge is waited for where nothing is said: a lone node needs far less.
const PATIENCE: Duration = Duration::from_secs(1);

impl Door {
    /// A list in, a list out. A dry run tells of each what it would hit.
    pub(super) async fn purge(
        &self,
        query: &str,
        content: Body,
        caller: Caller,
        trace: Option<u128>,
    ) -> Result<Response, Problem> {
        let query::Asking { patience, is_dry_run } = query::asking(query, PATIENCE)?;
        let asked = Asked {
            by: caller.name,
            sites: caller.sites,
            at: SystemTime::now(),
            since: Instant::now(),
        };
        let content = body::read(content, body::PURGES_MAX).await?;
        let (commands, is_list) = body::purges(&content).map_err(|fault| refused(fault.into()))?;
        if is_dry_run {
            let survey = self.parts.purger.survey(&commands, &asked).await.map_err(refused)?;
            let shown = commands.iter().zip(&survey.hits);
            let shown = shown.map(|(command, hit)| show_hit(command, *hit, survey.is_estimate));
            let data = answer::listed(shown.collect(), is_list);
            return Ok(answer::envelope(StatusCode::OK, data, json!({})));
        }
        let receipts = self.parts.purger.purge(commands, asked, patience).await.map_err(refused)?;
        for receipt in &receipts {
            let (number, by) = (receipt.sequence.number, &receipt.by);
            let (kind, value) = (receipt.command.target.kind(), &receipt.command.value);
            let (site, soft) = (receipt.site, is_soft(receipt));
            let trace = trace.map(|trace| format!("{trace:032x}"));
            tracing::info!(number, by, site, kind, value, soft, trace, "purged");
        }
        let shown: Vec<_> = receipts.iter().map(|receipt| self.show(receipt)).collect();
        let complete = receipts.iter().all(|receipt| receipt.applied().is_some());
        let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(answer::envelope(status, answer::listed(shown, is_list), json!({})))
    }

    /// The recent purges of the caller's sites, the newest first.
    pub(super) fn purges(&self, query: &str, caller: &Caller) -> Result<Response, Problem> {
        let page = query::page(query)?;
        let keep = |receipt: &Receipt| caller.sees(receipt.site);
        let (receipts, more) = self.parts.purger.recent(page.before, page.limit, keep);
        let next = receipts.last().filter(|_| more).map(|last| last.sequence.number.to_string());
        let data = receipts.iter().map(|receipt| self.show(receipt)).collect();
        let meta = json!({ "limit": page.limit, "next": next });
        Ok(answer::envelope(StatusCode::OK, data, meta))
    }

    pub(super) fn receipt(&self, number: u64, caller: &Caller) -> Result<Response, Problem> {
        let receipt = self.parts.purger.receipt(number);
        let Some(receipt) = receipt.filter(|receipt| caller.sees(receipt.site)) else {
            let detail = format!("No recent purge has the number {number}.");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let complete = receipt.applied().is_some();
        let status = if complete { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(answer::envelope(status, self.show(&receipt), json!({})))
    }

    fn show(&self, receipt: &Receipt) -> Value {
        let took = receipt.applied();
        let (state, node) = match took {
            Some(_) => ("complete", "applied"),
            None => ("pending", "pending"),
        };
        let ms = took.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3);
        let unix = receipt.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({
            "sequence": { "log": self.parts.purger.log(), "number": receipt.sequence.number },
            "state": state,
            "nodes": [{ "name": self.parts.name, "state": node, "ms": ms }],
            "kind": receipt.command.target.kind(),
            "value": receipt.command.value,
            "site": receipt.site,
            "soft": is_soft(receipt),
            "exact": receipt.command.is_exact(),
            "by": receipt.by,
            "at": rfc3339(unix.as_secs()),
        })
    }
}

/// What a purge would hit.
fn show_hit(command: &PurgeCommand, hit: Tally, is_estimate: bool) -> Value {
    json!({
        "kind": command.target.kind(),
        "value": command.value,
        "objects": hit.objects,
        "bytes": hit.bytes,
        "estimate": is_estimate,
    })
}

fn is_soft(receipt: &Receipt) -> bool {
    receipt.command.kind == PurgeKind::Soft
}

fn refused(refused: Refused) -> Problem {
    let status = match refused.fault {
        PurgeFault::Busy
        | PurgeFault::Journal(_)
        | PurgeFault::JournalLate
        | PurgeFault::Survey(_)
        | PurgeFault::Surveying => StatusCode::SERVICE_UNAVAILABLE,
        PurgeFault::OtherScope(_) | PurgeFault::NoScope => StatusCode::FORBIDDEN,
        PurgeFault::UnknownHost(_) | PurgeFault::UnknownSite(_) => StatusCode::NOT_FOUND,
        PurgeFault::OtherSite { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        PurgeFault::Follower => StatusCode::CONFLICT,
        PurgeFault::Command(_) => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, refused.to_string())
}
