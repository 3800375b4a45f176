//! A purge as it was asked for, in JSON.
//!
//! ```json
//! { "kind": "url", "value": "https://static.example.com/app.js", "soft": false, "exact": false }
//! { "kind": "url", "value": "https://static.example.com/img/*.jpg" }
//! { "kind": "prefix", "value": "https://static.example.com/img/" }
//! { "kind": "tag", "value": "p42", "site": "shop" }
//! { "kind": "site", "value": "shop" }
//! ```

use serde_json::{Map, Value, json};

use super::fault::{CommandFault, shorten};
use super::{BATCH_MAX, PurgeKind, PurgeUrl};

/// One purge, raw: which stored responses it names is for each node to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeCommand {
    /// What it names, as it was written.
    pub value: String,
    /// The same, read.
    pub target: PurgeTarget,
    /// The site to which it is limited.
    pub site: Option<String>,
    /// Hard or soft.
    pub kind: PurgeKind,
}

/// What a purge names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeTarget {
    /// One URL with all its variants; with every query, unless it is `exact`.
    Url(PurgeUrl),
    /// Every URL that matches one with stars.
    Wildcard(PurgeUrl),
    /// Every URL that begins like this one.
    Prefix(PurgeUrl),
    /// Every response with this tag.
    Tag,
    /// Every response of the site.
    Site,
}

impl PurgeTarget {
    /// The name of the kind, as it is asked for.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Url(_) | Self::Wildcard(_) => "url",
            Self::Prefix(_) => "prefix",
            Self::Tag => "tag",
            Self::Site => "site",
        }
    }
}

impl PurgeCommand {
    /// Reads one purge.
    ///
    /// # Errors
    /// The first field that is not as expected.
    pub fn from_json(json: &Value) -> Result<Self, CommandFault> {
        let Value::Object(fields) = json else {
            return Err(CommandFault::invalid("purge", "a JSON object", Some(json)));
        };
        if let Some(field) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return Err(CommandFault::UnknownField(shorten(field)));
        }
        let flag = |name| match fields.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            found => Err(CommandFault::invalid(name, "true or false", found)),
        };
        let kind = if flag("soft")? { PurgeKind::Soft } else { PurgeKind::Hard };
        let site = match fields.get("site") {
            None => None,
            Some(Value::String(site)) if !site.is_empty() => Some(site.clone()),
            found => return Err(CommandFault::invalid("site", "the name of a site", found)),
        };
        let (value, target) = target(fields, flag("exact")?)?;
        let site = match (&target, site) {
            (PurgeTarget::Site, Some(site)) if site != value => {
                let found = Some(&fields["site"]);
                return Err(CommandFault::invalid("site", "the site of value, or none", found));
            }
            (PurgeTarget::Site, _) => Some(value.clone()),
            (_, site) => site,
        };
        Ok(Self { value, target, site, kind })
    }

    /// What [`Self::from_json`] reads.
    pub fn to_json(&self) -> Value {
        let mut json = json!({ "kind": self.target.kind(), "value": self.value });
        if let (Some(site), false) = (&self.site, self.target == PurgeTarget::Site) {
            json["site"] = site.as_str().into();
        }
        if self.kind == PurgeKind::Soft {
            json["soft"] = true.into();
        }
        if self.is_exact() {
            json["exact"] = true.into();
        }
        json
    }

    /// Whether one URL alone is meant.
    pub fn is_exact(&self) -> bool {
        matches!(&self.target, PurgeTarget::Url(url) if url.exact)
    }

    /// The purge as a log is to hold it: of a URL that is written in capitals one spelling. Refuses
    /// what a log may hold, but nobody who asks for it can mean.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn asked(mut self) -> Result<Self, CommandFault> {
        // It would stand for itself, and cover next to nothing.
        if matches!(self.target, PurgeTarget::Prefix(_)) && self.value.contains('*') {
            let expected = "the beginning of a URL without a star; stars are for kind url";
            let found = Some(Value::from(self.value.as_str()));
            return Err(CommandFault::invalid("value", expected, found.as_ref()));
        }
        match &self.target {
            PurgeTarget::Url(_) | PurgeTarget::Wildcard(_) | PurgeTarget::Prefix(_) => {
                // RFC 3986 section 6.2.2.1.
                let host = self.value.find("://").map_or(0, |end| end + 3);
                let end = self.value[host..].find(['/', '?', '#']).map(|end| host + end);
                let end = end.unwrap_or(self.value.len());
                self.value[..end].make_ascii_lowercase();
            }
            PurgeTarget::Tag | PurgeTarget::Site => {}
        }
        Ok(self)
    }

    /// Reads a list of purges.
    ///
    /// # Errors
    /// The first entry that is not as expected, and its place where there is one.
    pub fn list_from_json(list: &[Value]) -> Result<Vec<Self>, (Option<usize>, CommandFault)> {
        if list.is_empty() || list.len() > BATCH_MAX {
            return Err((None, CommandFault::Count { found: list.len() }));
        }
        let entries = list.iter().enumerate();
        let read = |(index, json)| Self::from_json(json).map_err(|fault| (Some(index), fault));
        entries.map(read).collect()
    }
}

/// The fields of a purge.
const FIELDS: [&str; 5] = ["kind", "value", "site", "soft", "exact"];

/// Bytes of a tag or a site's name, at most.
const NAME_MAX: usize = 1024;

/// Bytes of a URL, at most.
const URL_MAX: usize = 8192;

fn target(fields: &Map<String, Value>, exact: bool) -> Result<(String, PurgeTarget), CommandFault> {
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
    let expected = match kind {
        "url" => "a URL",
        "prefix" => "the beginning of a URL",
        "tag" => "a surrogate key",
        "site" => "the name of a site",
        _ => {
            let found = fields.get("kind");
            return Err(CommandFault::invalid("kind", "url, prefix, tag or site", found));
        }
    };
    let value = match fields.get("value") {
        Some(Value::String(value)) => value,
        found => return Err(CommandFault::invalid("value", expected, found)),
    };
    if exact && kind != "url" {
        let found = Some(&fields["exact"]);
        return Err(CommandFault::invalid("exact", "only with a url", found));
    }
    let fault = |error| CommandFault::Url { error, found: shorten(value) };
    let target = match kind {
        "url" | "prefix" if value.len() > URL_MAX => {
            let found = fields.get("value");
            return Err(CommandFault::invalid("value", "a URL of at most 8192 bytes", found));
        }
        "url" if value.contains('*') && !exact => {
            PurgeTarget::Wildcard(PurgeUrl::wildcard(value).map_err(fault)?)
        }
        "url" => PurgeTarget::Url(PurgeUrl::parse(value, exact).map_err(fault)?),
        "prefix" => PurgeTarget::Prefix(PurgeUrl::parse(value, false).map_err(fault)?),
        _ if value.len() > NAME_MAX => {
            return Err(CommandFault::invalid("value", "at most 1024 bytes", fields.get("value")));
        }
        _ if !is_name(value, kind) => {
            return Err(CommandFault::invalid("value", expected, fields.get("value")));
        }
        "tag" => PurgeTarget::Tag,
        _ => PurgeTarget::Site,
    };
    Ok((value.clone(), target))
}

/// A tag holds nothing at which the fields that carry tags are cut (see [`super::tags_of`]); one of
/// `Cache-Tag` may hold spaces.
fn is_name(value: &str, kind: &str) -> bool {
    let is_cut = |byte: u8| byte.is_ascii_control() || (byte == b',' && kind == "tag");
    !value.is_empty() && value.trim() == value && !value.bytes().any(is_cut)
}

#[cfg(test)]
mod tests;
