//! What the rules of a route would do, told and not done: the judgement of a real request, at which
//! nobody loses a token.

use super::rate_limit::Limiter;
use super::{Access, Asked, Canned, Denial, EdgeRules};

/// What would become of a request by the rules of its route.
#[derive(Debug)]
pub struct Foreseen {
    /// What becomes of it.
    pub access: Access,
    /// The key of the rule that speaks, such as `redirects.https`, below its route; `None` where
    /// none does.
    pub key: Option<String>,
    /// The keys of the rules that bear on clients by their addresses and were not asked, for no
    /// address is known.
    pub unasked: Vec<&'static str>,
}

impl Foreseen {
    /// What becomes of a request where there is no rule.
    pub fn nothing() -> Self {
        Self { access: Access::Admit, key: None, unasked: Vec::new() }
    }
}

impl EdgeRules {
    /// What would become of a request, of whose client the address may not be known.
    pub fn foresee(&self, asked: &Asked<'_>, knows_client: bool) -> Foreseen {
        let denial = match knows_client {
            true => self.judge_client(asked, Limiter::peek),
            false => None,
        };
        let access = denial.map_or_else(|| self.judge_request(asked), Access::Refuse);
        let key = match &access {
            Access::Admit => None,
            Access::Refuse(denial) => Some(self.key_of_denial(*denial, asked).to_owned()),
            Access::Answer(canned) => Some(self.key_of_answer(canned, asked)),
        };
        let unasked = if knows_client { Vec::new() } else { self.by_address(asked) };
        Foreseen { access, key, unasked }
    }

    /// Whether a page of the origin that asks may read the response; `None` where no rule says.
    pub fn lets_read(&self, origin: &[u8]) -> Option<bool> {
        self.cors.as_ref().map(|cors| cors.allows(origin))
    }

    fn key_of_denial(&self, denial: Denial, asked: &Asked<'_>) -> &'static str {
        match denial {
            Denial::Address => {
                let denies = self.addresses.as_ref().is_some_and(|it| it.deny(asked.client));
                if denies { "ip_deny" } else { "ip_allow" }
            }
            Denial::Country => {
                let denies = self.countries.as_ref().is_some_and(|it| it.deny(asked.client));
                if denies { "country_deny" } else { "country_allow" }
            }
            Denial::Origin => "cors.origins",
            Denial::Rate { .. } => "rate_limit",
            Denial::Maintenance { .. } => "maintenance.enabled",
            Denial::Referer => "hotlink.hosts",
            Denial::NoSignature | Denial::WrongSignature | Denial::Expired => "signed_urls.keys",
        }
    }

    fn key_of_answer(&self, canned: &Canned, asked: &Asked<'_>) -> String {
        let key = match canned.reason {
            "preflight" => "cors.origins",
            "redirect" => {
                let rule = self.redirects.as_ref().and_then(|rules| rules.rule(asked.path));
                return rule.map_or_else(String::new, |at| format!("redirects.rules[{at}]"));
            }
            "redirect-https" => "redirects.https",
            "redirect-host" => "redirects.host",
            "redirect-slash" => "redirects.slash",
            _ => "respond",
        };
        key.to_owned()
    }

    /// The keys of the rules that ask for the client's address.
    fn by_address(&self, asked: &Asked<'_>) -> Vec<&'static str> {
        let addresses = self.addresses.as_ref();
        let countries = self.countries.as_ref();
        let is_bound = |query: &str| query.split('&').any(|pair| pair.starts_with("hl_ip"));
        let rules = [
            ("ip_deny", addresses.is_some_and(|it| it.denies_any())),
            ("ip_allow", addresses.is_some_and(|it| it.allows_some())),
            ("country_deny", countries.is_some_and(|it| !it.deny.is_empty())),
            ("country_allow", countries.is_some_and(|it| !it.allow.is_empty())),
            ("rate_limit", self.limiter.is_some()),
            ("maintenance.allow", self.closed.as_ref().is_some_and(|it| !it.allow.is_empty())),
            ("signed_urls.keys", self.signatures.is_some() && asked.query.is_some_and(is_bound)),
        ];
        rules.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
    }
}
