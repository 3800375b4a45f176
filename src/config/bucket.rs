//! Rules of an origin that is a bucket: what may stand beside `[origin.s3]`, and what it is asked
//! by.

use std::net::IpAddr;

use http::Method;

use super::address::Scheme;
use super::origin::Origin;
use super::reader::Document;
use super::s3::{CredentialsFrom, S3};
use super::site::Site;

/// What a bucket is asked by.
const METHODS: [Method; 2] = [Method::GET, Method::HEAD];

/// Tells each rule that an origin with a bucket breaks; `key` is the origin's.
pub(super) fn rules(key: &str, origin: &Origin, s3: &S3, document: &Document<'_>) {
    let without = "none beside s3";
    if origin.host.is_some() {
        document.tell(&format!("{key}.host"), without, "a bucket has the host that is signed");
    }
    if origin.health.is_some() {
        document.tell(&format!("{key}.health"), without, "a bucket answers signed requests alone");
    }
    let service = s3.service();
    let path_style = format!("{key}.s3.path_style");
    if !s3.path_style && service.host.parse::<IpAddr>().is_ok() {
        let wrong = "the endpoint is an address, which no name of a bucket can stand before";
        document.tell(&path_style, "true", wrong);
    } else if !s3.path_style && service.scheme == Scheme::Https && s3.bucket.contains('.') {
        let wrong = "no certificate of a service covers a host with a dot in the bucket's name";
        document.tell(&path_style, "true", wrong);
    }
    let file = format!("{key}.s3.credentials_file");
    match (s3.credentials, &s3.credentials_file) {
        (CredentialsFrom::File, None) => {
            document.tell(&file, "a file, which credentials = \"file\" asks for", "found none");
        }
        (CredentialsFrom::Auto | CredentialsFrom::File, _) | (_, None) => {}
        (from, Some(_)) => {
            let wrong = format!("found a file beside credentials = \"{}\"", from.as_str());
            document.tell(&file, "none", &wrong);
        }
    }
}

/// Tells each `allow` that lets no method of a bucket through.
pub(super) fn methods(origins: &[Origin], sites: &[Site], document: &Document<'_>) {
    for (index, site) in sites.iter().enumerate() {
        for (number, route) in site.routes.iter().enumerate() {
            let own = format!("site[{index}].route[{number}].allow");
            let key = if document.says(&own) { own } else { format!("site[{index}].allow") };
            let allow = &route.policy.allow;
            let is_served = allow.is_empty() || allow.iter().any(|it| METHODS.contains(it));
            if !is_served && is_bucket(origins, &route.policy.origin) {
                let expected = "\"GET\" or \"HEAD\", by which a bucket is asked";
                document.tell(&key, expected, "found neither");
            }
        }
    }
}

/// Lets no other method through to a bucket.
pub(super) fn settle(origins: &[Origin], sites: &mut [Site]) {
    for route in sites.iter_mut().flat_map(|site| &mut site.routes) {
        let policy = &mut route.policy;
        if !is_bucket(origins, &policy.origin) {
            continue;
        }
        match policy.allow.is_empty() {
            true => policy.allow = METHODS.to_vec(),
            false => policy.allow.retain(|method| METHODS.contains(method)),
        }
    }
}

fn is_bucket(origins: &[Origin], name: &str) -> bool {
    origins.iter().any(|origin| origin.name == name && origin.s3.is_some())
}
