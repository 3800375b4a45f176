//! Where a config says what holds for a route: the key, its file and its line. Pure.

use std::sync::Arc;

use super::table::{Route, Site, SiteTable};

/// Where a setting is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The key, such as `site[0].route[1].freshness.default`.
    pub key: String,
    /// The file as it was named, and the line, from 1; `None` where the default holds.
    pub at: Option<(String, usize)>,
}

impl SiteTable {
    /// Where `key`, such as `freshness.default`, is said for a route: by the route itself, else by
    /// its site, else nowhere.
    pub fn said(&self, site: &Arc<Site>, route: &Arc<Route>, key: &str) -> Said {
        let source = self.source();
        let site_at = self.sites().iter().position(|one| Arc::ptr_eq(one, site));
        let of_site = format!("site[{}]", site_at.unwrap_or_default());
        // The last route is the site itself.
        let routes = site.routes.split_last().map_or(&[][..], |(_, routes)| routes);
        let route_at = routes.iter().position(|one| Arc::ptr_eq(one, route));
        let of_route = route_at.map(|index| format!("{of_site}.route[{index}].{key}"));
        let of_site = format!("{of_site}.{key}");
        let said = |key: &String| Some((source.file.clone(), source.place(key)?.line));
        match of_route {
            Some(key) if said(&key).is_some() => Said { at: said(&key), key },
            _ => Said { at: said(&of_site), key: of_site },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Generations;
    use super::*;
    use crate::config::Config;

    const CONFIG: &str = r#"
[listen]
http = ["127.0.0.1:0"]
[[origin]]
name = "app"
servers = [{ url = "http://127.0.0.1:1" }]
[[site]]
name = "blog"
hosts = ["blog.example"]
origin = "app"
[[site]]
name = "shop"
hosts = ["shop.example"]
origin = "app"
freshness = { default = "10s", stale_if_error = "1m" }
[[site.route]]
path = "/media/*"
freshness = { default = "1h" }
[[site.route]]
path = "/api/*"
"#;

    #[test]
    fn the_route_is_asked_before_its_site() {
        let config = Config::parse(CONFIG, "edge.toml", "".as_ref(), &|_| None).unwrap();
        let table = {
            let rules = crate::site::SiteRules::read(&config.sites, &config.geo).unwrap();
            SiteTable::from_config(&config.sites, rules, &Generations::default(), |_| 1)
        };
        let table = table.said_by(config.source);
        let site = table.find("shop.example").unwrap();
        let said = |path: &str, key: &str| {
            let Said { key, at } = table.said(site, site.route(path).unwrap(), key);
            let at = at.map(|(file, line)| format!(" {file}:{line}"));
            format!("{key}{}", at.unwrap_or_default())
        };
        let cases = [
            ("/media/a", "path", "site[1].route[0].path edge.toml:17"),
            ("/media/a", "freshness.default", "site[1].route[0].freshness.default edge.toml:18"),
            (
                "/media/a",
                "freshness.stale_if_error",
                "site[1].freshness.stale_if_error edge.toml:15",
            ),
            ("/api/a", "freshness.default", "site[1].freshness.default edge.toml:15"),
            ("/a", "freshness.default", "site[1].freshness.default edge.toml:15"),
            ("/a", "key.query.sort", "site[1].key.query.sort"),
        ];
        for (path, key, expected) in cases {
            assert_eq!(said(path, key), expected, "{path} {key}");
        }
    }
}
