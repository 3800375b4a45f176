//! Limits over a reload: one that stays as it is goes on counting, so that nobody's count begins
//! anew because something else was changed.
//!
//! A limit is the same where its site, its path and its numbers are. Routes that share the limit of
//! their site go on sharing it.

use std::sync::Arc;

use super::rate_limit::Limiter;
use crate::config::site::rate_limit::RateLimit;
use crate::site::table::{Route, SiteTable};

/// The limits of a site as they were.
pub(super) struct Limiters<'t> {
    /// Of each path.
    routes: Vec<(&'t str, &'t Arc<Limiter>)>,
    /// The site's own, which its routes share.
    shared: Option<&'t Arc<Limiter>>,
}

impl<'t> Limiters<'t> {
    /// Those of the site of this name in a table.
    pub(super) fn of(table: &'t SiteTable, site: &str) -> Self {
        let site = table.sites().iter().find(|it| it.label.name == site);
        let routes = site.map_or(&[][..], |site| &site.routes);
        let limiter = |route: &'t Arc<Route>| {
            let path = route.path.as_ref().map_or("*", |path| path.as_str());
            Some((path, route.rules.as_ref()?.limiter.as_ref()?))
        };
        let shared = routes.last().and_then(limiter).map(|(_, limiter)| limiter);
        Self { routes: routes.iter().filter_map(limiter).collect(), shared }
    }

    /// The site's own by `limit`: as it was, or a new one.
    pub(super) fn shared(&self, limit: &RateLimit) -> Arc<Limiter> {
        let kept = self.shared.filter(|it| it.limit() == limit);
        kept.cloned().unwrap_or_else(|| Arc::new(Limiter::new(limit)))
    }

    /// A route's own, the same.
    pub(super) fn own(&self, path: &str, limit: &RateLimit) -> Arc<Limiter> {
        let at_path = self.routes.iter().filter(|(at, _)| *at == path).map(|(_, it)| *it);
        let mut own = at_path.filter(|it| !self.shared.is_some_and(|all| Arc::ptr_eq(all, it)));
        let kept = own.find(|it| it.limit() == limit).cloned();
        kept.unwrap_or_else(|| Arc::new(Limiter::new(limit)))
    }
}
