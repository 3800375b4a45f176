//! What settled each part of a freshness: kept by nobody, told to whoever asks why.
//!
//! The decision itself gives it, so an explanation cannot say otherwise than what was done.

use super::{FreshnessFlags, StatusMatch};

/// What settled each part of a [`Freshness`](super::Freshness).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grounds {
    /// The field whose directives apply.
    pub field: DirectivesField,
    /// Where the lifetime comes from.
    pub lifetime: LifetimeSource,
    /// What forbids use once stale.
    pub must_revalidate: Option<MustRevalidate>,
    /// Where the stale-while-revalidate window comes from.
    pub stale_while_revalidate: WindowSource,
    /// Where the stale-if-error window comes from.
    pub stale_if_error: WindowSource,
}

/// The field whose directives apply to this cache: the most specific that is valid (RFC 9213).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DirectivesField {
    /// For every cache.
    #[default]
    CacheControl,
    /// For CDNs (RFC 9213 section 3.1).
    CdnCacheControl,
    /// For this one.
    HeadlandCdnCacheControl,
    /// For surrogates, before RFC 9213.
    SurrogateControl,
}

impl DirectivesField {
    /// The field's name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            DirectivesField::CacheControl => "cache-control",
            DirectivesField::CdnCacheControl => "cdn-cache-control",
            DirectivesField::HeadlandCdnCacheControl => "headland-cdn-cache-control",
            DirectivesField::SurrogateControl => "surrogate-control",
        }
    }
}

/// Where a freshness lifetime comes from (RFC 9111 section 4.2.1), in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeSource {
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// `Expires` that cannot be read: it has passed.
    InvalidExpires,
    /// `Pragma: no-cache` without any `Cache-Control`.
    Pragma,
    /// The site, for these statuses.
    SiteStatus(StatusMatch),
    /// The site, where the origin says nothing.
    SiteDefault,
    /// A guess from `Last-Modified` (RFC 9111 section 4.2.2).
    LastModified,
    /// Nobody gives one.
    Nobody,
}

impl LifetimeSource {
    /// The flag that a stored response keeps of it.
    pub const fn flag(self) -> FreshnessFlags {
        match self {
            LifetimeSource::SMaxage
            | LifetimeSource::MaxAge
            | LifetimeSource::Expires
            | LifetimeSource::InvalidExpires => FreshnessFlags::EXPLICIT,
            LifetimeSource::LastModified => FreshnessFlags::HEURISTIC,
            LifetimeSource::Pragma
            | LifetimeSource::SiteStatus(_)
            | LifetimeSource::SiteDefault
            | LifetimeSource::Nobody => FreshnessFlags::NONE,
        }
    }
}

/// The directive that forbids use once stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustRevalidate {
    /// `must-revalidate`.
    Itself,
    /// `proxy-revalidate`.
    Proxy,
    /// `s-maxage` without a window beside it.
    SMaxage,
}

impl MustRevalidate {
    /// The directive's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            MustRevalidate::Itself => "must-revalidate",
            MustRevalidate::Proxy => "proxy-revalidate",
            MustRevalidate::SMaxage => "s-maxage",
        }
    }
}

/// Where a window of use once stale comes from (RFC 5861).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowSource {
    /// The response gives it.
    Response,
    /// The site does.
    Site,
    /// `s-maxage` rules the site's out.
    RuledOut,
}
