//! What a purge covers here: a raw command and the sites in use to a rule.

use super::key_policy::ResourceUrl;
use super::table::{Route, Site, SiteLabel, SiteTable};
use crate::object::{
    Coverage, PurgeCommand, PurgeRule, PurgeTarget, PurgeUrl, TagKey, UrlWildcard,
};

/// A purge as this node understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What it covers.
    pub rule: PurgeRule,
    /// The one site that it is of; `None` if it may be of several.
    pub site: Option<SiteLabel>,
}

/// Why a purge covers nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// No site answers to this host.
    Host(String),
    /// There is no site of this name.
    Site(String),
    /// The URL is of this site, and not of the one that was said.
    OtherSite(SiteLabel),
}

impl SiteTable {
    /// What a purge covers. The same command may cover something else once the sites have changed.
    ///
    /// # Errors
    /// Why it covers nothing.
    pub fn resolve(&self, command: &PurgeCommand) -> Result<Resolved, Unresolved> {
        let said = match &command.site {
            Some(name) => Some(self.named(name)?),
            None => None,
        };
        let covers = match &command.target {
            PurgeTarget::Site => Coverage::Whole,
            PurgeTarget::Tag => Coverage::Tag(TagKey::new(command.value.as_bytes())),
            PurgeTarget::Wildcard(url) => {
                let site = match url.host.contains('*') {
                    true => said,
                    false => Some(self.site_of(url, said)?),
                };
                return Ok(resolved(site, Coverage::Wildcard(UrlWildcard::new(url))));
            }
            PurgeTarget::Url(url) => {
                let site = self.site_of(url, said)?;
                let (route, resource) = locate(site, url)?;
                return Ok(resolved(Some(site), covers_url(site, route, &resource, url)));
            }
            PurgeTarget::Prefix(url) => {
                let site = self.site_of(url, said)?;
                return Ok(resolved(Some(site), covers_prefix(site, url)?));
            }
        };
        Ok(resolved(said, covers))
    }

    fn named(&self, name: &str) -> Result<&Site, Unresolved> {
        let site = self.sites().iter().find(|site| site.label.name == name);
        site.map(|site| &**site).ok_or_else(|| Unresolved::Site(name.to_owned()))
    }

    /// The site of a URL whose host is a name.
    fn site_of(&self, url: &PurgeUrl, said: Option<&Site>) -> Result<&Site, Unresolved> {
        let site = self.find(&url.host).ok_or_else(|| Unresolved::Host(url.host.clone()))?;
        match said {
            Some(said) if said.key != site.key => Err(Unresolved::OtherSite(site.label)),
            _ => Ok(site),
        }
    }
}

fn resolved(site: Option<&Site>, covers: Coverage) -> Resolved {
    let rule = PurgeRule { site: site.map(|site| site.key), covers };
    Resolved { rule, site: site.map(|site| site.label) }
}

fn locate<'a>(
    site: &'a Site,
    url: &'a PurgeUrl,
) -> Result<(&'a Route, ResourceUrl<'a>), Unresolved> {
    let located = site.locate(url.host.as_str().into(), &url.target);
    let (route, resource) = located.ok_or_else(|| Unresolved::Host(url.host.clone()))?;
    Ok((route, resource))
}

/// The path with any query, or one URL as the route's key policy sees it.
fn covers_url(site: &Site, route: &Route, resource: &ResourceUrl<'_>, url: &PurgeUrl) -> Coverage {
    let target = resource.target_uri(site.key, &route.key);
    Coverage::Url(if url.exact { target.exact() } else { target.any_query() })
}

/// A beginning that reaches into the query is that of one path. Where the route changes queries it
/// cannot be compared, and the path is covered with every query.
fn covers_prefix(site: &Site, url: &PurgeUrl) -> Result<Coverage, Unresolved> {
    let (path, query) = url.split();
    if let Some(query) = query {
        let (route, resource) = locate(site, url)?;
        return Ok(match route.key.keeps_query() {
            true => Coverage::Prefix(format!("{}{path}?{query}", url.host).into()),
            false => Coverage::Url(resource.target_uri(site.key, &route.key).any_query()),
        });
    }
    Ok(Coverage::Prefix(format!("{}{path}", url.host).into()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{SiteKey, TargetUri};
    use crate::semantics::freshness::FreshnessPolicy;
    use crate::semantics::uri::Pattern;
    use crate::site::{HeaderRules, KeyPolicy};

    fn table() -> SiteTable {
        let route = |key: KeyPolicy, path: Option<&str>| Route {
            path: path.map(Pattern::new),
            origin: "app".to_owned(),
            allow: None,
            key,
            freshness: FreshnessPolicy::default(),
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            rules: None,
            compress: None,
            upgrade: Vec::new(),
        };
        let site = |name: &str, host: &str| {
            let sorting = KeyPolicy { sort: true, ..KeyPolicy::default() };
            let routes = [route(sorting, Some("/sorted/*")), route(KeyPolicy::default(), None)];
            let site = Site {
                label: SiteLabel::new(name, 1),
                key: SiteKey::new(name),
                generation: 0,
                settings: 0,
                routes: routes.into_iter().map(Into::into).collect(),
            };
            (site, vec![host.to_owned()])
        };
        SiteTable::new(vec![site("shop", "shop.example"), site("blog", "*.blog.example")])
    }

    fn resolve(json: Value) -> Result<Resolved, Unresolved> {
        table().resolve(&PurgeCommand::from_json(&json).unwrap())
    }

    fn target<'a>(path: &'a str, query: Option<&'a str>) -> TargetUri<'a> {
        let site = SiteKey::new("shop");
        TargetUri { site, host: "shop.example", path, query, query_as_sent: true }
    }

    #[test]
    fn commands_become_rules_of_their_site() {
        let prefix = |text: &str| Coverage::Prefix(text.into());
        let wildcard =
            |url| Coverage::Wildcard(UrlWildcard::new(&PurgeUrl::wildcard(url).unwrap()));
        let cases = [
            ("url", "https://shop.example/%61", Coverage::Url(target("/a", None).any_query())),
            ("url", "https://shop.example/a?q", Coverage::Url(target("/a", Some("q")).exact())),
            (
                "url",
                "https://shop.example/sorted/x?b&a",
                Coverage::Url(target("/sorted/x", Some("a&b")).exact()),
            ),
            ("url", "https://shop.example/*.jpg", wildcard("https://shop.example/*.jpg")),
            ("prefix", "https://shop.example/img/", prefix("shop.example/img/")),
            ("prefix", "https://shop.example", prefix("shop.example/")),
            ("prefix", "https://shop.example/a?q=", prefix("shop.example/a?q=")),
            (
                "prefix",
                "https://shop.example/sorted/x?q=",
                Coverage::Url(target("/sorted/x", None).any_query()),
            ),
            ("site", "shop", Coverage::Whole),
        ];
        for (kind, value, covers) in cases {
            let found = resolve(json!({"kind": kind, "value": value})).unwrap();
            let rule = PurgeRule { site: Some(SiteKey::new("shop")), covers };
            assert_eq!(found.rule, rule, "{kind} {value}");
            assert_eq!(found.site.map(|site| site.name), Some("shop"));
        }
    }

    #[test]
    fn some_purges_are_of_every_site() {
        let tag = Coverage::Tag(TagKey::new(b"p42"));
        let everywhere = resolve(json!({"kind": "tag", "value": "p42"})).unwrap();
        assert_eq!(everywhere.rule, PurgeRule { site: None, covers: tag.clone() });
        assert_eq!(everywhere.site, None);
        let here = resolve(json!({"kind": "tag", "value": "p42", "site": "blog"})).unwrap();
        assert_eq!(here.rule, PurgeRule { site: Some(SiteKey::new("blog")), covers: tag });
        let hosts = json!({"kind": "url", "value": "https://*.example/x*"});
        assert_eq!(resolve(hosts).unwrap().rule.site, None);
        let hosts = json!({"kind": "url", "value": "https://*.example/x*", "site": "blog"});
        assert_eq!(resolve(hosts).unwrap().rule.site, Some(SiteKey::new("blog")));
    }

    #[test]
    fn what_covers_nothing_here_says_why() {
        let host = json!({"kind": "prefix", "value": "https://other.example/"});
        assert_eq!(resolve(host), Err(Unresolved::Host("other.example".to_owned())));
        let site = json!({"kind": "tag", "value": "p42", "site": "news"});
        assert_eq!(resolve(site), Err(Unresolved::Site("news".to_owned())));
        let other = json!({"kind": "url", "value": "https://shop.example/", "site": "blog"});
        assert_eq!(resolve(other), Err(Unresolved::OtherSite(SiteLabel::new("shop", 1))));
    }
}
