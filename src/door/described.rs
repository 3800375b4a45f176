//! Whether a description tells of every endpoint of a door and of no other: for tests.

use http::Method;
use serde_json::Value;

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Compares an OpenAPI description with the source of a table of endpoints, and with what the table
/// finds.
///
/// # Panics
/// Where they differ.
pub fn check(openapi: &str, table: &str, finds: impl Fn(&Method, &str) -> bool) {
    let json: Value = serde_json::from_str(openapi).unwrap();
    let paths = json["paths"].as_object().unwrap();
    for (template, endpoint) in paths {
        let path = template.replace("{number}", "7").replace("{name}", "fra-1");
        let path = path.replace("{id}", "00000000000000ff");
        assert!(!path.contains('{'), "{template}: no example of a parameter");
        for method in METHODS {
            let is_described = endpoint.get(method.as_str().to_lowercase()).is_some();
            assert_eq!(finds(&method, &path), is_described, "{method} {template}");
        }
    }
    let code = table.split("#[cfg(test)]").next().unwrap();
    for part in code.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/')) {
        let is_of = |template: &String| match part.ends_with('/') {
            true => template.contains(part),
            false => template == part,
        };
        assert!(paths.keys().any(is_of), "{part} is not described");
    }
}
