//! `[[hook]]`: buckets whose changes purge what is served of them.

use http::uri::Authority;

use crate::config::reference::Sample::{Commented, Required};
use crate::config::rule::{Form, named};
use crate::config::section::section;

section! {
    /// A bucket whose changes purge what is served of it: events of S3 are taken at
    /// `POST /v1/hooks/s3/NAME`.
    pub struct Hook {
        /// Name of the hook: the end of its path, and whom its purges are by.
        name: String = String::new(), named("\"assets\"");
        /// The bucket whose events are taken.
        bucket: String = String::new(), BUCKET;
        /// What the keys of the objects that are served begin with; other keys are left alone.
        prefix: String = String::new();
        /// Where the objects are served: behind each of these URLs stands what follows the prefix
        /// in a key.
        urls: Vec<String> = vec![], Required(r#"["https://static.example.com/"]"#);
        /// The key that is served at the URL of its folder as well; empty: none.
        index: String = "index.html".to_owned();
        /// Purge within this site alone; without it wherever the URLs are.
        site: Option<String> = None, Commented(r#""shop""#);
        /// Make stale what is stored instead of dropping it.
        soft: bool = false;
    }
}

const BUCKET: Form = Form {
    expected: "the name of a bucket",
    holds: |name| !name.is_empty(),
    sample: Some(Required("\"assets\"")),
};

/// Whether a key can stand behind it: an absolute URL that ends with a slash.
pub(super) fn is_base(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let split = rest.and_then(|rest| rest.split_once('/'));
    split.is_some_and(|(host, path)| {
        let authority = host.parse::<Authority>().ok();
        let is_host = authority.is_some_and(|it| !it.host().is_empty() && !host.contains('@'));
        let is_path = path.is_empty() || path.ends_with('/');
        is_host && is_path && !host.contains('*') && !path.contains(['?', '#', '*'])
    })
}
