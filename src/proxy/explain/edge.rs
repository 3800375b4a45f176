//! What the rules at the edge do to a request: the judgement of the live path, foreseen.

use http::{Method, StatusCode};

use super::super::context::Journey;
use super::super::error::Refusal;
use super::rules::{Rule, RuleSource};
use crate::message::Request;
use crate::site::{Access, Denial, EdgeRules, Foreseen, Said};

/// A request to be explained.
#[derive(Debug)]
pub struct Asking {
    /// The request, without content.
    pub request: Request,
    /// Whether the address of its `peer` is that of a client; else none is known.
    pub knows_client: bool,
}

/// A request that goes no further than the rules of its route, or than what it may be.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The site that answers to its host, and the route that covers its path, where it got so far.
    pub way: Option<(&'static str, Option<String>)>,
    /// Whether it is answered, not refused.
    pub is_served: bool,
    /// Why.
    pub reason: &'static str,
    /// With what.
    pub status: StatusCode,
    /// Every rule that mattered, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

impl From<Refusal> for Answered {
    /// One that no rule was asked about.
    fn from(refusal: Refusal) -> Self {
        let (reason, status) = (refusal.as_str(), refusal.status());
        Self { way: None, is_served: false, reason, status, rules: Vec::new() }
    }
}

/// How a route's rules end the way of a request.
struct Ended {
    reason: &'static str,
    status: StatusCode,
    is_served: bool,
    denial: Option<Denial>,
}

impl Journey {
    /// The rules at the edge that matter, told behind `rules`; and how they end the way of the
    /// request, if they do.
    pub(super) fn at_the_edge(
        &self,
        knows_client: bool,
        mut rules: Vec<Rule>,
        said: &dyn Fn(&str) -> Said,
    ) -> Result<Vec<Rule>, Answered> {
        let by = |key: &str| RuleSource::Config(said(key));
        let own = self.inbound.rules(&self.route);
        let foreseen =
            own.map(|own| own.foresee(&self.inbound.asked(&self.resource), knows_client));
        let Foreseen { access, key, mut unasked } = foreseen.unwrap_or_else(Foreseen::nothing);
        if self.route.key.country && !knows_client {
            unasked.push("key.country");
        }
        let says = "by the client's address";
        rules
            .extend(unasked.iter().map(|key| Rule::new(by(key), says, "not known: none is given")));
        let by_key = |key: Option<String>| by(&key.unwrap_or_default());
        let ended = match access {
            Access::Admit if self.route.allows(&self.inbound.head.method) => {
                rules.extend(own.and_then(|own| self.of_page(own, &by)));
                return Ok(rules);
            }
            Access::Admit => {
                let allowed = self.route.allow.iter().flatten().map(Method::as_str);
                let allowed = allowed.collect::<Vec<_>>().join(", ");
                rules.push(Rule::new(by("allow"), allowed, "no other method is let through"));
                let refusal = Refusal::Method;
                let (reason, status) = (refusal.as_str(), refusal.status());
                Ended { reason, status, is_served: false, denial: None }
            }
            Access::Refuse(denial) => {
                let effect = match denial.retry_after() {
                    Some(wait) => format!("{}, for {wait}s", denial.as_str()),
                    None => denial.as_str().to_owned(),
                };
                rules.push(Rule::new(by_key(key), denial.detail(), effect));
                let (reason, status) = (denial.as_str(), denial.status());
                Ended { reason, status, is_served: false, denial: Some(denial) }
            }
            Access::Answer(canned) => {
                let status = canned.status;
                let location = canned.block.get("location").map(String::from_utf8_lossy);
                let effect = match location {
                    Some(location) => format!("{} to {location}", status.as_u16()),
                    None => format!("{} from here", status.as_u16()),
                };
                rules.push(Rule::new(by_key(key), canned.reason, effect));
                Ended { reason: canned.reason, status, is_served: true, denial: None }
            }
        };
        rules.extend(own.filter(|_| !ended.is_served).and_then(|own| ended.page(own, said)));
        let Ended { reason, status, is_served, .. } = ended;
        let way = Some(self.way());
        Err(Answered { way, is_served, reason, status, rules })
    }

    /// The site, and the route if it is not the whole of it.
    pub(super) fn way(&self) -> (&'static str, Option<String>) {
        let route = self.route.path.as_ref().map(|path| path.as_str().to_owned());
        (self.site.label.name, route)
    }

    /// Whether the page that asks may read the response.
    fn of_page(&self, own: &EdgeRules, by: &dyn Fn(&str) -> RuleSource) -> Option<Rule> {
        let origin = self.inbound.head.fields.get("origin")?;
        let effect = match own.lets_read(origin)? {
            true => "pages of this origin may read the response",
            false => "no page of this origin may read the response",
        };
        Some(Rule::new(by("cors.origins"), String::from_utf8_lossy(origin), effect))
    }
}

impl Ended {
    /// The page that is sent in the place of an error.
    fn page(&self, own: &EdgeRules, said: &dyn Fn(&str) -> Said) -> Option<Rule> {
        own.page(self.status, self.denial)?;
        let own = said("maintenance.page");
        let is_own = matches!(self.denial, Some(Denial::Maintenance { .. })) && own.at.is_some();
        let source = if is_own { own } else { said("error_pages.files") };
        let says = self.status.as_str();
        Some(Rule::new(RuleSource::Config(source), says, "the site's own page is its body"))
    }
}
