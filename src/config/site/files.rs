//! The files that the edge rules of sites name.

use std::path::Path;

use super::pages::read_page;
use super::{Policy, Site};
use crate::config::Source;

/// Opens each file that `sites` name where they are told in `source`, and hands on its key, what is
/// expected, its path, and whether it can be used.
pub(in crate::config) fn check(
    sites: &[Site],
    source: &Source,
    mut told: impl FnMut(&str, &str, &Path, Result<(), String>),
) {
    for (index, site) in sites.iter().enumerate() {
        let last = site.routes.len().saturating_sub(1);
        for (number, route) in site.routes.iter().enumerate() {
            let key = match number == last {
                true => format!("site[{index}]"),
                false => format!("site[{index}].route[{number}]"),
            };
            // What a route has from its site is told there.
            policy(&route.policy, &key, &mut |key, expected, path, result| {
                if source.place(key).is_some() {
                    told(key, expected, path, result);
                }
            });
        }
    }
}

fn policy(
    policy: &Policy,
    key: &str,
    told: &mut impl FnMut(&str, &str, &Path, Result<(), String>),
) {
    for (number, signing) in policy.signed_urls.keys.iter().enumerate() {
        if let Some(file) = &signing.file {
            let read = signing.read().map(drop).map_err(|fault| fault.cause);
            let key = format!("{key}.signed_urls.keys[{number}].file");
            told(&key, "a text of at least 16 bytes", file, read);
        }
    }
    let mut page = |key: &str, file: &Path| {
        let read = read_page(file).map(drop).map_err(|error| error.to_string());
        told(key, "a file of at most 1 MiB", file, read);
    };
    if let Some(file) = policy.respond.as_ref().and_then(|respond| respond.file.as_ref()) {
        page(&format!("{key}.respond.file"), file);
    }
    if let Some(file) = &policy.maintenance.page {
        page(&format!("{key}.maintenance.page"), file);
    }
    for (_, file) in policy.error_pages.files.iter() {
        page(&format!("{key}.error_pages.files"), file);
    }
}
