//! `/v1/hooks/s3/{name}`: events of a bucket purge what is served of it.

use http::StatusCode;
use serde_json::{Value, json};

use super::purges::{limit, numbers, told};
use super::{Asking, Door};
use crate::config::moment::Moment;
use crate::control::fleet::Receipt;
use crate::control::hook::{self, HookFault, Notice};
use crate::door::access::basic_as_bearer;
use crate::door::{Access, Caller, Need, Problem, Refusal, answer, body};
use crate::message::{Body, Response};
use crate::object::BATCH_MAX;

/// Bytes of events: SNS and EventBridge send up to a quarter of that.
const EVENTS_MAX: usize = 1 << 20;

/// The sender of events. SNS knows only Basic credentials, and shows them when it is asked to.
pub(super) fn admit(
    access: &Access,
    authorization: Option<&[u8]>,
    now: Moment,
) -> Result<Caller, Refusal> {
    let bearer = authorization.and_then(basic_as_bearer);
    let shown = bearer.as_deref().map(str::as_bytes).or(authorization);
    access.admit(Need::Purge, shown, now).map_err(|refusal| match refusal.problem.status {
        StatusCode::UNAUTHORIZED => {
            // RFC 7617 section 2.
            let basic = "Basic realm=\"headland\"";
            let problem = refusal.problem.with("www-authenticate", basic);
            Refusal { problem: problem.into(), ..refusal }
        }
        _ => refusal,
    })
}

impl Door {
    /// Purges what events say has changed, as entries by the hook's name.
    pub(super) async fn hook(
        &self,
        name: &str,
        content: Body,
        asking: &Asking,
    ) -> Result<Response, Problem> {
        let Some(hook) = self.parts.hooks.iter().find(|hook| hook.name == name) else {
            let detail = format!("There is no hook of the name {name:?}.");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        };
        let noted = |problem: Problem| {
            self.note(asking, problem.status, problem.detail.clone());
            problem
        };
        let content = body::read(content, EVENTS_MAX).await?;
        let notice = Notice::read(&content).map_err(|fault| noted(problem(&fault)))?;
        let (objects, others) = match notice {
            Notice::Changes { objects, others } => (objects, others),
            Notice::Nothing => (Vec::new(), 1),
            Notice::Unconfirmed { url } => {
                let told = format!("SNS asks to be confirmed: open {url}");
                tracing::warn!(hook = name, "{told}");
                self.note(asking, StatusCode::ACCEPTED, told);
                let data = json!({ "hook": name, "state": "unconfirmed" });
                return Ok(answer::envelope(StatusCode::ACCEPTED, data, json!({})));
            }
        };
        let purges = hook::purges(hook, &objects).map_err(|fault| noted(problem(&fault)))?;
        let (mut commands, not_served) = purges;
        for command in &mut commands {
            limit(command, &asking.caller, None).map_err(noted)?;
        }
        let (count, mut last) = (commands.len(), None);
        for batch in commands.chunks(BATCH_MAX) {
            let entry = self.append(name, batch.to_vec(), asking).await?;
            let told = format!("{}: {}", told(batch), numbers(&entry));
            self.note(asking, StatusCode::ACCEPTED, told);
            last = Some(entry.last());
        }
        let complete = self.parts.plane.look(|fleet, _| {
            last.is_none_or(|last| fleet.receipt(last).is_some_and(Receipt::is_complete))
        });
        let (status, state) = match complete {
            true => (StatusCode::OK, "complete"),
            false => (StatusCode::ACCEPTED, "pending"),
        };
        let sequence = last.map_or(
            Value::Null,
            |number| json!({ "log": self.parts.plane.head().log.to_string(), "number": number }),
        );
        let data = json!({
            "hook": name, "state": state, "sequence": sequence, "purges": count,
            "left_alone": others + not_served,
        });
        Ok(answer::envelope(status, data, json!({})))
    }
}

fn problem(fault: &HookFault) -> Problem {
    let status = match fault {
        HookFault::Shape { .. } => StatusCode::BAD_REQUEST,
        HookFault::Bucket { .. } => StatusCode::FORBIDDEN,
    };
    Problem::new(status, fault.to_string())
}
