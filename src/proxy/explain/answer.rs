//! What a request's own fields do, and what would be sent of what is stored.

use http::StatusCode;

use super::super::coding::is_of;
use super::super::context::Journey;
use super::super::deliver;
use super::rules::{Rule, RuleSource};
use crate::message::Seen;
use crate::object::Stored;
use crate::semantics::coding::Coding;
use crate::semantics::verdict::{Reason, Verdict};
use crate::store::Lookup;

/// What would be sent of what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Bytes of its body, where they are known before it is sent.
    pub bytes: Option<u64>,
    /// The coding that this node makes of it, and whether the coded copy is stored.
    pub coded: Option<(&'static str, bool)>,
}

/// Conditions of a request (RFC 9110 section 13.1), but for that of a range.
const CONDITIONS: [&str; 4] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

impl Journey {
    /// What would be sent of `stored`, if the verdict is to serve it.
    pub(super) async fn answer(&self, verdict: Verdict, stored: &Stored) -> Option<Answer> {
        if !matches!(verdict, Verdict::Serve(_) | Verdict::ServeAndRefresh(_)) {
            return None;
        }
        let (inbound, head) = (&self.inbound, &stored.head);
        let block = inbound.lines_of(head);
        let mut response = match stored.slices() {
            Some(slices) => deliver::sliced(inbound, head, block, slices.total, None).0,
            None => {
                let now = inbound.arrival.later();
                let status = deliver::hit_status(&self.proxy.cache_name, head, now);
                deliver::stored(inbound, stored, block, &status, now)
            }
        };
        inbound.dress(&self.route, &mut response);
        let (status, bytes) = (response.status, response.content_length);
        let coded = inbound.wanted().filter(|_| self.is_codable(stored));
        let coded = coded.and_then(|coding| Some((coding, self.coded_head(head, coding)?.0)));
        let Some((coding, key)) = coded else {
            return Some(Answer { status, bytes, coded: None });
        };
        let copy = match self.proxy.store.glance(key, |_, _| ()).await {
            Lookup::Found(_, copy) if is_of(&copy.head, head) => Some(copy.len()),
            Lookup::Found(..) | Lookup::Cold(_) | Lookup::Missing(_) => None,
        };
        let bytes = if status == StatusCode::OK { copy } else { bytes };
        Some(Answer { status, bytes, coded: Some((coding.as_str(), copy.is_some())) })
    }

    /// The rules that the request's fields give.
    pub(super) fn of_fields(
        &self,
        verdict: Verdict,
        answer: Option<&Answer>,
        by: &dyn Fn(&str) -> RuleSource,
    ) -> Vec<Rule> {
        let mut rules = Vec::new();
        rules.extend(self.of_directives(verdict.reason(), by));
        if self.facts.authorization {
            let effect = "fetched apart from others, and shared only where the response says so";
            rules.push(Rule::new(RuleSource::Request("authorization"), "it is there", effect));
        }
        if self.facts.odd {
            let says = "of a kind on which servers fail";
            let effect = "fetched apart from others; an error that it provokes is not stored";
            rules.push(Rule::new(RuleSource::Request("fields"), says, effect));
        }
        rules.extend(CONDITIONS.into_iter().filter_map(|name| self.of_condition(name, answer)));
        rules.extend(self.of_range(answer));
        rules.extend(self.of_coding(answer, by));
        rules
    }

    fn of_directives(&self, reason: Reason, by: &dyn Fn(&str) -> RuleSource) -> Option<Rule> {
        let asks = self.inbound.head.fields.seen().any(Seen::CACHE_CONTROL.or(Seen::PRAGMA));
        if asks && !self.route.freshness.obeys_requests {
            let effect = "what the request asks of caches is not done";
            return Some(Rule::new(by("freshness.request_directives"), "ignore", effect));
        }
        self.facts.directives?;
        let effect = match reason {
            Reason::RequestDirective => "what is stored is not fresh enough for it",
            Reason::RequestNoStore => "passed on by itself, and not stored",
            Reason::OnlyIfCached => "nothing stored will do, and nothing else is wanted",
            Reason::MaxStale => "what is stale will do",
            _ => "nothing is done otherwise for it",
        };
        let name = match self.inbound.head.fields.get("cache-control") {
            Some(_) => "cache-control",
            None => "pragma",
        };
        Some(Rule::new(RuleSource::Request(name), self.value(name), effect))
    }

    fn of_condition(&self, name: &'static str, answer: Option<&Answer>) -> Option<Rule> {
        self.inbound.head.fields.get(name)?;
        let effect = match answer.map(|answer| answer.status) {
            None => "held against what is fetched",
            Some(StatusCode::NOT_MODIFIED) => "the client has what is stored",
            Some(StatusCode::PRECONDITION_FAILED) => "what is stored is not what is wanted",
            Some(_) => "the client gets what is stored",
        };
        Some(Rule::new(RuleSource::Request(name), self.value(name), effect))
    }

    fn of_range(&self, answer: Option<&Answer>) -> Option<Rule> {
        self.inbound.head.fields.get("range")?;
        let effect = match answer.map(|answer| answer.status) {
            None => "cut from what is fetched",
            Some(StatusCode::PARTIAL_CONTENT) => "cut from what is stored",
            Some(StatusCode::RANGE_NOT_SATISFIABLE) => "nothing of what is stored is in it",
            Some(_) => "not heeded",
        };
        Some(Rule::new(RuleSource::Request("range"), self.value("range"), effect))
    }

    /// Which coding is made here.
    fn of_coding(&self, answer: Option<&Answer>, by: &dyn Fn(&str) -> RuleSource) -> Option<Rule> {
        let coding = self.inbound.taken.get()?.best();
        let effect = match (coding, answer) {
            (Coding::Identity, _) => "none is made for this request",
            (_, None) => "made of what is fetched, if that is stored and worth it",
            (_, Some(Answer { coded: None, .. })) => "not made: what is stored is not worth it",
            (_, Some(Answer { coded: Some((_, true)), .. })) => "the copy that is stored is sent",
            (_, Some(Answer { coded: Some((_, false)), .. })) => "made of what is stored",
        };
        Some(Rule::new(by("compress"), coding.as_str(), effect))
    }

    /// A field of the request, in one line.
    fn value(&self, name: &str) -> String {
        let lines: Vec<_> =
            self.inbound.head.fields.all(name).map(String::from_utf8_lossy).collect();
        lines.join(", ")
    }
}
