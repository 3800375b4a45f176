//! Limits over a reload: one that stays as it is goes on counting, so that nobody's count begins
//! anew because something else was changed.
//!
//! A limit is the same where its site, its path and its numbers are. Routes that share the limit of
//! their site go on sharing it.

use std::sync::Arc;

use super::EdgeRules;
use super::rate_limit::Limiter;
use crate::config::site::rate_limit::RateLimit;

/// The limits of a site as they were.
#[derive(Default)]
pub struct Limiters<'t> {
    /// Of each path.
    routes: Vec<(&'t str, &'t Arc<Limiter>)>,
    /// The site's own, which its routes share.
    shared: Option<&'t Arc<Limiter>>,
}

impl<'t> Limiters<'t> {
    /// Those of a site's routes, each with its path, in their order: the last is the site's own.
    pub fn of(routes: impl Iterator<Item = (&'t str, Option<&'t EdgeRules>)>) -> Self {
        let mut limiters = Self::default();
        for (path, rules) in routes {
            limiters.shared = rules.and_then(|rules| rules.limiter.as_ref());
            limiters.routes.extend(limiters.shared.map(|limiter| (path, limiter)));
        }
        limiters
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
