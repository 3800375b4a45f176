//! A purge as it was asked for, read from JSON.
//!
//! ```json
//! { "kind": "url", "value": "https://static.example.com/app.js", "soft": false, "exact": false }
//! ```

use serde_json::Value;

use super::fault::{BATCH_MAX, PurgeFault, Refused, shorten};
use crate::object::{PurgeKind, PurgeUrl};

/// One purge, raw: which stored responses it names is for each node to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeCommand {
    /// The URL as it was written.
    pub value: String,
    /// What it names.
    pub url: PurgeUrl,
    /// The site that the URL is said to belong to.
    pub site: Option<String>,
    /// Hard or soft.
    pub kind: PurgeKind,
}

impl PurgeCommand {
    /// Reads one purge.
    ///
    /// # Errors
    /// The first field that is not as expected.
    pub fn from_json(json: &Value) -> Result<Self, PurgeFault> {
        let Value::Object(fields) = json else {
            return Err(PurgeFault::invalid("purge", "a JSON object", Some(json)));
        };
        if let Some(field) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return Err(PurgeFault::UnknownField(shorten(field)));
        }
        match fields.get("kind").and_then(Value::as_str) {
            Some("url") => {}
            Some(kind @ ("prefix" | "tag" | "site")) => {
                return Err(PurgeFault::Unsupported(kind.to_owned()));
            }
            _ => return Err(PurgeFault::invalid("kind", "\"url\"", fields.get("kind"))),
        }
        let flag = |name| match fields.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            found => Err(PurgeFault::invalid(name, "true or false", found)),
        };
        let (soft, exact) = (flag("soft")?, flag("exact")?);
        let site = match fields.get("site") {
            None => None,
            Some(Value::String(site)) => Some(site.clone()),
            found => return Err(PurgeFault::invalid("site", "the name of a site", found)),
        };
        let Some(Value::String(value)) = fields.get("value") else {
            return Err(PurgeFault::invalid("value", "a URL", fields.get("value")));
        };
        let url = PurgeUrl::parse(value, exact)
            .map_err(|error| PurgeFault::Url { error, found: shorten(value) })?;
        let kind = if soft { PurgeKind::Soft } else { PurgeKind::Hard };
        Ok(Self { value: value.clone(), url, site, kind })
    }

    /// Reads a list of purges.
    ///
    /// # Errors
    /// The first entry that is not as expected; none is carried out then.
    pub fn list_from_json(list: &[Value]) -> Result<Vec<Self>, Refused> {
        if list.is_empty() || list.len() > BATCH_MAX {
            return Err(PurgeFault::Count { found: list.len() }.into());
        }
        let entries = list.iter().enumerate();
        let read = |(index, json)| Self::from_json(json).map_err(|fault| fault.at(index));
        entries.map(read).collect()
    }
}

/// The fields of a purge.
const FIELDS: [&str; 5] = ["kind", "value", "site", "soft", "exact"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(json: Value) -> String {
        PurgeCommand::from_json(&json).unwrap_err().to_string()
    }

    #[test]
    fn a_purge_is_read() {
        let read = |json| PurgeCommand::from_json(&json).unwrap();
        let plain = read(json!({"kind": "url", "value": "https://A.example/x"}));
        assert_eq!((plain.url.host.as_str(), plain.url.exact), ("a.example", false));
        assert_eq!((plain.kind, plain.site), (PurgeKind::Hard, None));
        let full = json!({"kind": "url", "value": "https://a.example/x", "site": "shop",
            "soft": true, "exact": true});
        let full = read(full);
        assert_eq!((full.kind, full.site.as_deref()), (PurgeKind::Soft, Some("shop")));
        assert!(full.url.exact);
    }

    #[test]
    fn faults_name_the_field_and_what_was_expected() {
        let cases = [
            (json!("/x"), "purge: expected a JSON object, found \"/x\""),
            (json!({"value": "http://a/"}), "kind: expected \"url\", found nothing"),
            (json!({"kind": "ur"}), "kind: expected \"url\", found \"ur\""),
            (
                json!({"kind": "tag", "value": "p42"}),
                "kind: purges by \"tag\" are not supported yet by this version; expected \"url\"",
            ),
            (json!({"kind": "url"}), "value: expected a URL, found nothing"),
            (json!({"kind": "url", "value": 7}), "value: expected a URL, found 7"),
            (
                json!({"kind": "url", "value": "/x"}),
                "value: expected an absolute URL that begins with http:// or https://, \
                 found \"/x\"",
            ),
            (
                json!({"kind": "url", "value": "http://a/", "soft": "yes"}),
                "soft: expected true or false, found \"yes\"",
            ),
            (
                json!({"kind": "url", "value": "http://a/", "site": null}),
                "site: expected the name of a site, found null",
            ),
            (
                json!({"kind": "url", "value": "http://a/", "hard": true}),
                "hard: unknown field; expected kind, value, site, soft or exact",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(fault(json), expected);
        }
    }

    #[test]
    fn a_list_is_taken_whole_or_not_at_all() {
        let good = json!({"kind": "url", "value": "http://a/"});
        let fault = |list: &[Value]| PurgeCommand::list_from_json(list).unwrap_err().to_string();
        assert_eq!(PurgeCommand::list_from_json(&[good.clone(), good.clone()]).unwrap().len(), 2);
        assert_eq!(fault(&[]), "purges: expected 1 to 1000 of them, found 0");
        assert_eq!(
            fault(&vec![good.clone(); 1001]),
            "purges: expected 1 to 1000 of them, found 1001"
        );
        assert_eq!(fault(&[good, json!({})]), "[1].kind: expected \"url\", found nothing");
    }
}
