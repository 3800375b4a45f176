//! The edge rules of a route: what is done for clients before anything is looked up. Pure; files
//! that rules name are read when they are made.
//!
//! A node that is asked by an edge asks none of them: that edge has. The first that speaks is
//! heard:
//!
//! ```text
//!  ip_deny, ip_allow ──► 403
//!  country_… ──────────► 403
//!  rate_limit ─────────► 429
//!  cors ───────────────► 204 or 403 for a preflight, which no redirect may meet
//!  maintenance ────────► 503
//!  redirects ──────────► 3xx
//!  signed_urls ────────► 403
//!  hotlink ────────────► 403
//!  respond ────────────► what it says
//! ```

mod addresses;
mod canned;
mod cors;
mod denial;
mod foresee;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod limiters;
mod pages;
mod rate_limit;
mod redirects;
mod respond;
mod security;
mod signed_urls;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, StatusCode};

pub use self::canned::Canned;
pub use self::denial::Denial;
pub use self::foresee::Foreseen;
pub use self::limiters::Limiters;
pub use self::pages::Page;
pub use self::signed_urls::{Grant, Unsignable, sign_url};

use self::addresses::{AddressRules, Networks};
use self::canned::push_lifetime;
use self::cors::CorsRules;
use self::pages::{Pages, maintenance_page};
use self::rate_limit::Limiter;
use self::redirects::{RedirectRules, base};
use self::respond::Responder;
use self::security::{HotlinkRules, SecurityRules, is_for_safety};
pub(super) use self::signed_urls::PARAMETERS;
use self::signed_urls::SignatureRules;
use super::countries::Countries;
use super::header_rules::HeaderRules;
use crate::config::geo::{Country, Geo};
use crate::config::site::{Policy, Route, Site};
use crate::message::{Extra, Fields, push_field};
use crate::semantics::onward::tells_origins;
use crate::semantics::time::Timestamp;
use crate::semantics::uri::normalize_path_pattern;

/// The rules of one route, those alone that are set.
#[derive(Debug)]
pub struct EdgeRules {
    addresses: Option<AddressRules>,
    countries: Option<CountryRules>,
    limiter: Option<Arc<Limiter>>,
    cors: Option<CorsRules>,
    closed: Option<Closed>,
    redirects: Option<RedirectRules>,
    signatures: Option<SignatureRules>,
    hotlink: Option<HotlinkRules>,
    responder: Option<Responder>,
    pages: Option<Pages>,
    security: Option<SecurityRules>,
    /// The lines that every response has which is made here.
    fixed: Vec<u8>,
}

type Field = (HeaderName, HeaderValue);

/// Which countries' clients are let in.
#[derive(Debug)]
struct CountryRules {
    countries: Arc<Countries>,
    allow: Vec<Country>,
    deny: Vec<Country>,
}

/// A route that is closed.
#[derive(Debug)]
struct Closed {
    /// Whose clients are served all the same.
    allow: Networks,
    /// Seconds after which the others may come again.
    wait: u64,
    page: Option<Page>,
}

/// What rules ask of a request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// Whether the client came over TLS.
    pub is_secure: bool,
    /// The host in normal form.
    pub host: &'a str,
    /// The port that the client named.
    pub port: Option<&'a str>,
    /// The path in normal form.
    pub path: &'a str,
    /// The query as sent.
    pub query: Option<&'a str>,
    /// All fields.
    pub fields: &'a Fields,
    /// The client's address.
    pub client: IpAddr,
    /// When it came.
    pub now: Timestamp,
}

/// What becomes of a request by the rules of its route.
#[derive(Debug)]
pub enum Access {
    /// It goes on.
    Admit,
    /// It is refused.
    Refuse(Denial),
    /// It is answered.
    Answer(Canned),
}

impl EdgeRules {
    /// What becomes of a request.
    pub fn judge(&self, asked: &Asked<'_>) -> Access {
        match self.judge_client(asked, Limiter::ask) {
            Some(denial) => Access::Refuse(denial),
            None => self.judge_request(asked),
        }
    }

    /// Why a client is not let in, whatever it asks for; `take` takes a token of its own.
    #[inline]
    fn judge_client(
        &self,
        asked: &Asked<'_>,
        take: impl FnOnce(&Limiter, IpAddr, Timestamp) -> Result<(), u64>,
    ) -> Option<Denial> {
        if self.addresses.as_ref().is_some_and(|rules| !rules.admit(asked.client)) {
            return Some(Denial::Address);
        }
        if self.countries.as_ref().is_some_and(|rules| !rules.admit(asked.client)) {
            return Some(Denial::Country);
        }
        let taken = self.limiter.as_ref().map(|it| take(it, asked.client, asked.now));
        taken?.err().map(|wait| Denial::Rate { wait })
    }

    /// What becomes of a request of a client that is let in.
    #[inline]
    fn judge_request(&self, asked: &Asked<'_>) -> Access {
        if let Some(access) = self.cors.as_ref().and_then(|rules| rules.judge(asked)) {
            return access;
        }
        if let Some(closed) = self.closed.as_ref().filter(|it| !it.allow.contain(asked.client)) {
            return Access::Refuse(Denial::Maintenance { wait: closed.wait });
        }
        if let Some(canned) = self.redirects.as_ref().and_then(|rules| rules.judge(asked)) {
            return Access::Answer(canned);
        }
        if let Some(Err(denial)) = self.signatures.as_ref().map(|rules| rules.judge(asked)) {
            return Access::Refuse(denial);
        }
        if self.hotlink.as_ref().is_some_and(|rules| !rules.admit(asked)) {
            return Access::Refuse(Denial::Referer);
        }
        match &self.responder {
            Some(responder) => Access::Answer(responder.answer(asked)),
            None => Access::Admit,
        }
    }

    /// The page of an error that is made here, if there is one.
    pub fn page(&self, status: StatusCode, denial: Option<Denial>) -> Option<&Page> {
        let own = match denial {
            Some(Denial::Maintenance { .. }) => self.closed.as_ref()?.page.as_ref(),
            _ => None,
        };
        own.or_else(|| self.pages.as_ref()?.of(status.as_u16()))
    }

    /// The page in the place of an error of the origin, if there is one.
    #[inline]
    pub fn page_for_origin(&self, status: StatusCode) -> Option<&Page> {
        let pages = self.pages.as_ref().filter(|pages| pages.of_origin)?;
        pages.of(status.as_u16())
    }

    /// Adds what every response of the route has alike, to be put in when it is made ready.
    pub(super) fn extend(&self, rules: &mut HeaderRules) {
        if let Some(security) = &self.security {
            security.extend(rules);
        }
        if let Some(cors) = &self.cors {
            cors.extend(rules);
        }
    }

    /// Appends the same to a response that is made here.
    pub fn push_fixed(&self, extra: &mut Extra) {
        extra.extend_from_slice(&self.fixed);
    }

    /// Appends what depends on who asks.
    pub fn push_own(&self, is_secure: bool, fields: &Fields, extra: &mut Extra) {
        let hsts = self.security.as_ref().and_then(|security| security.hsts.as_ref());
        if let Some(line) = hsts.filter(|_| is_secure) {
            extra.extend_from_slice(line);
        }
        if let Some(cors) = &self.cors {
            cors.push_own(fields, extra);
        }
    }

    /// The rules of a route; `None` where it has none.
    fn read(
        policy: &Policy,
        countries: Option<&Arc<Countries>>,
        limiter: Option<Arc<Limiter>>,
    ) -> Result<Option<Box<Self>>, RuleFault> {
        let unreadable = |key| move |error: io::Error| RuleFault { key, cause: error.to_string() };
        let signatures = SignatureRules::read(&policy.signed_urls)
            .map_err(|fault| RuleFault { key: "signed_urls.keys", cause: fault.to_string() })?;
        let responder = policy.respond.as_ref().map(Responder::read);
        let maintenance = &policy.maintenance;
        let page = maintenance_page(maintenance).map_err(unreadable("maintenance.page"))?;
        let closed = maintenance.enabled.then(|| Closed {
            allow: Networks::new(&maintenance.allow),
            wait: maintenance.retry_after.as_secs(),
            page,
        });
        let mut rules = Self {
            addresses: AddressRules::new(&policy.ip_allow, &policy.ip_deny),
            countries: CountryRules::new(policy, countries)?,
            limiter,
            cors: CorsRules::new(&policy.cors),
            closed,
            redirects: RedirectRules::new(&policy.redirects),
            signatures,
            hotlink: HotlinkRules::new(&policy.hotlink),
            responder: responder.transpose().map_err(unreadable("respond.file"))?,
            pages: Pages::read(&policy.error_pages).map_err(unreadable("error_pages.files"))?,
            security: SecurityRules::new(&policy.security, &policy.headers.response),
            fixed: Vec::new(),
        };
        rules.fixed = rules.fixed_lines(policy);
        Ok(rules.is_any().then(|| Box::new(rules)))
    }

    fn is_any(&self) -> bool {
        [
            self.addresses.is_some(),
            self.countries.is_some(),
            self.limiter.is_some(),
            self.cors.is_some(),
            self.closed.is_some(),
            self.redirects.is_some(),
            self.signatures.is_some(),
            self.hotlink.is_some(),
            self.responder.is_some(),
            self.pages.is_some(),
            self.security.is_some(),
        ]
        .contains(&true)
    }

    /// The lines that every response has by these rules, and of what the site says itself those
    /// for the safety of users.
    fn fixed_lines(&self, policy: &Policy) -> Vec<u8> {
        let own = HeaderRules::from_config(&policy.headers.response);
        let mut all = own.clone();
        self.extend(&mut all);
        let mut lines = Vec::new();
        let is_ours = |field: &&Field| !own.set.contains(field) || is_for_safety(&field.0);
        for field in all.set.iter().chain(&all.add).filter(is_ours) {
            push_field(&mut lines, field.0.as_str(), field.1.as_bytes());
        }
        lines
    }
}

/// A file that a rule needs cannot be used, or a rule can have no effect.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {cause}")]
pub struct RuleFault {
    key: &'static str,
    cause: String,
}

impl CountryRules {
    fn new(policy: &Policy, countries: Option<&Arc<Countries>>) -> Result<Option<Self>, RuleFault> {
        let (allow, deny) = (policy.country_allow.clone(), policy.country_deny.clone());
        let is_set = !(allow.is_empty() && deny.is_empty());
        if !is_set && !policy.key.country {
            return Ok(None);
        }
        let none = || RuleFault { key: "geo.database", cause: "found none".to_owned() };
        let countries = countries.ok_or_else(none)?.clone();
        Ok(is_set.then_some(Self { countries, allow, deny }))
    }

    fn admit(&self, client: IpAddr) -> bool {
        let country = self.countries.of(client);
        let is_in = |list: &[Country]| country.is_some_and(|country| list.contains(&country));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }

    /// Whether the country is one of those that are denied.
    fn deny(&self, client: IpAddr) -> bool {
        self.countries.of(client).is_some_and(|country| self.deny.contains(&country))
    }
}

impl Asked<'_> {
    /// The URL as the client asks for it, in the form in which a redirect names one.
    fn url(&self) -> String {
        let url = base(self.is_secure, self.host, self.port) + self.path;
        match self.query {
            Some(query) => url + "?" + query,
            None => url,
        }
    }
}

/// The edge rules of each site's routes, as both stand in a config.
#[derive(Debug)]
pub struct SiteRules {
    pub(super) rules: Vec<Vec<Option<Box<EdgeRules>>>>,
    pub(super) countries: Option<Arc<Countries>>,
}

impl SiteRules {
    /// The rules of `sites`, by a database of countries. Reads the files that they name.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn read(sites: &[Site], geo: &Geo) -> Result<Self, SiteRulesFault> {
        Self::read_after(|_| Limiters::default(), sites, geo)
    }

    /// The same in the place of others, whose limits `before` gives by the name of their site: what
    /// clients have asked for stays counted by every limit that stays as it is.
    ///
    /// # Errors
    /// The same.
    pub fn read_after<'t>(
        before: impl Fn(&str) -> Limiters<'t>,
        sites: &[Site],
        geo: &Geo,
    ) -> Result<Self, SiteRulesFault> {
        let database = geo.read().map_err(|error| error.to_string());
        let countries = database
            .and_then(|database| database.map(Countries::new).transpose())
            .map_err(SiteRulesFault::Countries)?
            .map(Arc::new);
        let of_site = |site: &Site| {
            let rules = of_site(site, countries.as_ref(), &before(&site.name));
            rules.map_err(|fault| SiteRulesFault::Site { site: site.name.clone(), fault })
        };
        let rules = sites.iter().map(of_site).collect::<Result<_, _>>()?;
        Ok(Self { rules, countries })
    }
}

/// A file that edge rules need cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteRulesFault {
    /// That of countries.
    #[error("geo.database: {0}")]
    Countries(String),
    /// One that a site names.
    #[error("site {site}: {fault}")]
    Site {
        /// The site.
        site: String,
        /// Which, and what is wrong with it.
        #[source]
        fault: RuleFault,
    },
}

fn of_site(
    site: &Site,
    countries: Option<&Arc<Countries>>,
    before: &Limiters<'_>,
) -> Result<Vec<Option<Box<EdgeRules>>>, RuleFault> {
    let sites_own = site.routes.last().and_then(|rest| rest.policy.rate_limit.as_ref());
    let shared = sites_own.map(|limit| before.shared(limit));
    let limiter = |route: &Route| match route.policy.rate_limit.as_ref()? {
        limit if Some(limit) == sites_own => shared.clone(),
        limit => Some(before.own(&normalize_path_pattern(route.path.as_str()), limit)),
    };
    let rules = |route: &Route| {
        let untold = route.policy.key.headers.iter().find(|name| !tells_origins(name.as_str()));
        match untold {
            Some(name) => Err(RuleFault {
                key: "key.headers",
                cause: format!("expected fields that go on to origins, found {name}"),
            }),
            None => EdgeRules::read(&route.policy, countries, limiter(route)),
        }
    };
    site.routes.iter().map(rules).collect()
}
