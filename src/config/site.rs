//! `[[site]]` and `[[site.route]]`: what is done for which host and path.
//!
//! A route has the keys of its site and inherits what it leaves out. Here that is settled: a
//! [`Site`] is a list of routes with every key filled in, the last of which takes all paths.
//!
//! ```text
//! [[site]]            Policy ──┬── inherited ──▶ routes[n]   path "*"
//! [[site.route]]      Policy ◀─┘                 routes[0]   path "/media/*"
//! ```

pub(super) mod check;
pub mod cors;
pub(super) mod files;
pub mod pages;
pub mod rate_limit;
pub mod redirects;
pub mod security;
pub mod signed_urls;
pub mod upgrade;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{HeaderMap, Method};

use self::cors::Cors;
use self::pages::{ErrorPages, Maintenance, Respond};
use self::rate_limit::RateLimit;
use self::redirects::Redirects;
use self::security::{Hotlink, Security};
use self::signed_urls::SignedUrls;
use self::upgrade::Protocol;
use super::address::{HostPattern, Network};
use super::compress::Compress;
use super::geo::Country;
use super::pattern::Pattern;
use super::reader::{Node, Table};
use super::reference::Keys;
use super::reference::Sample::{self, Required, Shown};
use super::rule::{Anything, Form, Rule, Unordered, Within, named};
use super::section::{Section, choice, section};
use super::value::Value;

/// What is done for some hosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// Name of the site in logs, metrics, purges and keys.
    pub name: String,
    /// The hosts it answers to.
    pub hosts: Vec<HostPattern>,
    /// The first that matches holds; the last takes every path.
    pub routes: Vec<Route>,
}

/// What is done for some paths of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The paths it takes.
    pub path: Pattern,
    /// What holds there, inherited keys filled in.
    pub policy: Policy,
}

section! {
    /// What holds for a site or a route.
    pub struct Policy {
        /// The origin that is asked, by its name.
        origin: String = String::new(), ORIGIN;
        /// Methods that are let through, others get 405; empty: every method.
        allow: Vec<Method> = vec![];
        /// Networks whose clients are let in, others get 403; empty: all that are not denied.
        ip_allow: Vec<Network> = vec![], Unordered;
        /// Networks whose clients get 403, whatever is allowed.
        ip_deny: Vec<Network> = vec![], Unordered;
        /// Countries whose clients are let in, others get 403, and so do clients of whom it is not
        /// known; empty: all that are not denied. Needs geo.database.
        country_allow: Vec<Country> = vec![], Unordered;
        /// Countries whose clients get 403, whatever is allowed. Needs geo.database.
        country_deny: Vec<Country> = vec![], Unordered;
        /// Protocols for which a connection may leave HTTP, such as "websocket": a GET of HTTP/1.1
        /// with such an Upgrade goes to the origin on a connection of its own, past the store and
        /// any shield, and after its 101 all bytes are carried both ways as they are. Empty: none,
        /// and Upgrade is ignored, as it is in HTTP/2 and 3.
        upgrade: Vec<Protocol> = vec![], Unordered;
        /// How often a client may ask. An IPv4 address, or a /64 of IPv6, is a client.
        rate_limit: Option<RateLimit> = None;
        /// Everybody gets 503 while it is on.
        maintenance: Maintenance = Maintenance::default();
        /// Clients that are sent elsewhere.
        redirects: Redirects = Redirects::default();
        /// URLs that hold for a while.
        signed_urls: SignedUrls = SignedUrls::default();
        /// Whose pages may embed what is served.
        hotlink: Hotlink = Hotlink::default();
        /// A response that is the same for everybody; false for none.
        respond: Option<Respond> = None;
        /// Pages in the place of errors.
        error_pages: ErrorPages = ErrorPages::default();
        /// What browsers are told for the safety of their users.
        security: Security = Security::default();
        /// Which pages of other origins may read responses.
        cors: Cors = Cors::default();
        /// What makes two requests ask for the same thing, beyond host, path and query.
        key: KeyPolicy = KeyPolicy::default();
        /// How long responses stay fresh where the origin leaves it open, and beyond.
        freshness: Freshness = Freshness::default();
        /// Header fields set and removed.
        headers: HeaderRules = HeaderRules::default();
        /// Which responses leave compressed, of those that are stored, where the origin has not
        /// done so itself. What is for one client alone leaves as the origin sent it: compressed
        /// here, its length would tell of secrets that stand beside what the client sent (BREACH).
        compress: Option<Compress> = None;
    }
}

section! {
    /// What makes two requests ask for the same thing.
    pub struct KeyPolicy {
        /// Request header fields whose values are part of the key.
        headers: Vec<HeaderName> = vec![], Unordered;
        /// Cookies whose values are part of the key, at most 16.
        cookies: Vec<String> = vec![], CookieNames;
        /// Whether the class of the client's device is: "mobile", "tablet", "desktop" or "bot". It
        /// is told to the origin in Headland-Device.
        device: bool = false;
        /// Whether the client's country is. It is told to the origin in Headland-Country, where it
        /// is known. Needs geo.database.
        country: bool = false;
        /// How the query goes into the key.
        query: QueryPolicy = QueryPolicy::default();
    }
}

section! {
    /// How the query goes into the key.
    pub struct QueryPolicy {
        /// Names of parameters that are kept, and all others left out; "*" stands for any
        /// characters. Empty: all are kept.
        keep: Vec<Pattern> = vec![], Unordered;
        /// Names of parameters that are left out; "*" stands for any characters.
        ignore: Vec<Pattern> = vec![], Unordered;
        /// Sorts the parameters by name, so that their order does not matter.
        sort: bool = false;
    }
}

section! {
    /// How long responses stay fresh.
    pub struct Freshness {
        /// Freshness lifetime of responses to which the origin gives none.
        default: Duration = Duration::ZERO, LIFETIME;
        /// Freshness lifetime of errors by status: "404", or "5xx" for a class, without those that
        /// a faulty request provokes. None holds where the request is of a kind on which servers
        /// fail.
        negative: Negative = Negative::default();
        /// How long a stale response may still be served while it is refreshed, where the origin
        /// does not say.
        stale_while_revalidate: Duration = Duration::ZERO, LIFETIME;
        /// How long a stale response may still be served while the origin fails, where the origin
        /// does not say.
        stale_if_error: Duration = Duration::from_hours(1), LIFETIME;
        /// Whether what a request's Cache-Control asks of a cache is done. Who may ask for
        /// `no-cache` may have the origin asked as often as he likes.
        request_directives: RequestDirectives = RequestDirectives::default();
        /// What becomes of a response that sets cookies.
        set_cookie: SetCookie = SetCookie::default();
    }
}

choice! {
    /// What is done about the Cache-Control of requests.
    pub enum RequestDirectives {
        /// It goes no further than here, where what comes may be stored.
        Ignore = "ignore",
        /// What it asks is done.
        Obey = "obey",
    }
}

choice! {
    /// What becomes of a response that sets cookies.
    pub enum SetCookie {
        /// It is for the one who asked, and not stored.
        Pass = "pass",
        /// It is stored without them, and nobody gets them.
        Remove = "remove",
        /// It is stored with them, and everybody gets the same.
        Store = "store",
    }
}

section! {
    /// Header fields set and removed.
    pub struct HeaderRules {
        /// On requests to the origin.
        request: FieldRules = FieldRules::default();
        /// On responses to clients.
        response: FieldRules = FieldRules::default();
    }
}

section! {
    /// Header fields of one direction. Removing comes first.
    pub struct FieldRules {
        /// Fields that get this value, whatever they had.
        set: HeaderMap = HeaderMap::new(), Settable;
        /// Fields that are removed.
        remove: Vec<HeaderName> = vec![], Settable;
    }
}

/// Each is looked for in every request.
struct CookieNames;

impl Rule<Vec<String>> for CookieNames {
    fn apply(&self, mut names: Vec<String>) -> Result<Vec<String>, String> {
        names.sort_unstable();
        names.dedup();
        // RFC 6265 section 4.1.1: a name is a token.
        let in_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_token = |name: &String| !name.is_empty() && name.bytes().all(in_token);
        match names.len() <= 16 && names.iter().all(is_token) {
            true => Ok(names),
            false => Err(self.bounds()),
        }
    }

    fn bounds(&self) -> String {
        "at most 16 names of cookies".to_owned()
    }
}

const LIFETIME: Within<Duration> = Within(Duration::ZERO..=Duration::from_hours(24 * 3650));

/// Freshness lifetimes by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negative(BTreeMap<Statuses, Duration>);

impl Negative {
    /// The lifetime for `status`: its own if there is one, else that of its class.
    pub fn lifetime(&self, status: u16) -> Option<Duration> {
        let class = || self.0.get(&Statuses::Class(status / 100));
        self.0.get(&Statuses::One(status)).or_else(class).copied()
    }
}

impl Negative {
    /// Every lifetime, those of single statuses first.
    pub fn iter(&self) -> impl Iterator<Item = (Statuses, Duration)> {
        self.0.iter().map(|(statuses, lifetime)| (*statuses, *lifetime))
    }
}

impl FromIterator<(Statuses, Duration)> for Negative {
    fn from_iter<I: IntoIterator<Item = (Statuses, Duration)>>(lifetimes: I) -> Self {
        Self(lifetimes.into_iter().collect())
    }
}

/// A status of 300 to 599, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statuses {
    /// Such as 404.
    One(u16),
    /// The first digit, such as 5 for all of 500 to 599.
    Class(u16),
}

impl Statuses {
    /// Reads `404` or `5xx`: each is written in one way, so that none stands twice in a table.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix("xx").unwrap_or(text);
        if text.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| (3..=5).contains(class)).map(Self::Class);
        }
        text.parse().ok().filter(|status| (300..=599).contains(status)).map(Self::One)
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl Value for Negative {
    fn expected() -> String {
        "a table such as { \"404\" = \"10s\", \"5xx\" = \"1s\" }".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let mut lifetimes = BTreeMap::new();
        for (status, node) in node.table()?.entries() {
            let Some(status) = Statuses::parse(status) else {
                let expected = "a status of 300 to 599 or a class such as \"5xx\"";
                node.wrong(expected, &format!("found \"{status}\""));
                continue;
            };
            let Some(lifetime) = Duration::read(&node, None) else {
                continue;
            };
            match LIFETIME.apply(lifetime) {
                Ok(lifetime) => drop(lifetimes.insert(status, lifetime)),
                Err(expected) => node.misfit(&expected),
            }
        }
        Some(Self(lifetimes))
    }

    fn show(&self) -> Option<String> {
        Some("{}".to_owned())
    }
}

/// Fields that belong to one connection or frame the message are this node's own affair.
struct Settable;

impl Settable {
    // RFC 9110 section 7.6.1
    const OWN: [HeaderName; 8] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];

    fn check<'n>(mut names: impl Iterator<Item = &'n HeaderName>) -> Result<(), String> {
        match names.find(|name| Self::OWN.contains(name)) {
            Some(own) => Err(format!("no \"{own}\", which is this node's own")),
            None => Ok(()),
        }
    }
}

impl Rule<HeaderMap> for Settable {
    fn apply(&self, fields: HeaderMap) -> Result<HeaderMap, String> {
        Self::check(fields.keys()).map(|()| fields)
    }
}

impl Rule<Vec<HeaderName>> for Settable {
    fn apply(&self, names: Vec<HeaderName>) -> Result<Vec<HeaderName>, String> {
        Self::check(names.iter()).map(|()| names)
    }
}

const ORIGIN: Form =
    Form { expected: "the name of an origin", holds: |_| true, sample: Some(Shown("\"app\"")) };
const HOSTS: Sample = Required(r#"["static.example.com", "*.cdn.example.com"]"#);
const SITE_NAME: Form = named("\"shop\"");

impl Section for Site {
    const ABOUT: &'static str = "What is done for some hosts. An unknown host gets 421. Edge rules \
                                 are asked in this order, and the first that speaks is heard: \
                                 ip_deny and ip_allow, country_deny and country_allow, rate_limit, \
                                 cors for a preflight, maintenance, redirects, signed_urls, \
                                 hotlink, respond, allow. A shield asks none for an edge.";

    fn read_from(table: &mut Table<'_>, base: &Self) -> Self {
        let name = table.key("name", &base.name, &SITE_NAME);
        let hosts = table.key("hosts", &base.hosts, &HOSTS);
        let policy = Policy::read_from(table, &Policy::default());
        let rest = Route { policy, ..Route::default() };
        let route = |node: Node<'_>| Route::read(&node, Some(&rest));
        let nodes = table.node("route").and_then(|node| node.elements("an array of tables"));
        let mut routes: Vec<_> = nodes.into_iter().flatten().filter_map(route).collect();
        routes.push(rest);
        Self { name, hosts, routes }
    }

    fn rows(list: &mut Keys) {
        let site = Self::default();
        let name = "Name of the site in logs, metrics and purges.";
        list.key("name", name, &site.name, &SITE_NAME);
        let hosts = "The hosts it answers to, without regard to case and port; \"*.\" in front \
                     takes all hosts below.";
        list.key("hosts", hosts, &site.hosts, &HOSTS);
        Policy::rows(list);
        list.key("route", Route::ABOUT, &site.routes, &Anything);
    }
}

impl Section for Route {
    const ABOUT: &'static str = "What is done for some paths: the first route that matches holds. \
                                 A route takes the keys of its site too, and has as its site \
                                 what it leaves out; a list replaces the site's, and so does a \
                                 table of fields that are set.";

    /// Here `base` is what the site says.
    fn read_from(table: &mut Table<'_>, base: &Self) -> Self {
        Self {
            path: table.key("path", &base.path, &RoutePath),
            policy: Policy::read_from(table, &base.policy),
        }
    }

    fn rows(list: &mut Keys) {
        let path = "The paths it takes; \"*\" stands for any characters.";
        list.key("path", path, &Self::default().path, &RoutePath);
    }
}

/// A path that no request has would be a route that never holds.
struct RoutePath;

impl Rule<Pattern> for RoutePath {
    fn apply(&self, path: Pattern) -> Result<Pattern, String> {
        if path.as_str().starts_with(['/', '*']) { Ok(path) } else { Err(self.bounds()) }
    }

    fn bounds(&self) -> String {
        "a path that starts with \"/\" or \"*\"".to_owned()
    }

    fn sample(&self) -> Option<Sample> {
        Some(Required("\"/media/*\""))
    }
}

impl Default for Route {
    /// Takes every path.
    fn default() -> Self {
        Self { path: Pattern::everything(), policy: Policy::default() }
    }
}
