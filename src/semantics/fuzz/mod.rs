//! Fuzz targets: fields and URIs. Lines of a field are those of the input.

mod directives;
mod fields;
mod requests;
mod responses;
mod uris;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: &[Target] = &[
    ("accept-encoding", requests::accept_encoding),
    ("cache-control", directives::cache_control),
    ("conditional", fields::conditional),
    ("connection-fields", fields::connection),
    ("content-range", fields::content_range),
    ("http-date", fields::date),
    ("odd-request", requests::odd),
    ("path", uris::path),
    ("pattern", uris::pattern),
    ("query", uris::query),
    ("range", fields::range),
    ("reference", uris::reference),
    ("request-directives", requests::directives),
    ("response-fields", responses::fields),
    ("surrogate-control", directives::surrogate),
    ("targeted-control", directives::targeted),
    ("traceparent", fields::traceparent),
    ("uri-host", uris::host),
    ("vary", fields::vary),
];

/// What a field value may hold (RFC 9110 section 5.5), by lines.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split(|&byte| byte == b'\n').collect()
}

/// Name and value of each line.
fn named<'b>(lines: &[&'b [u8]]) -> Vec<(&'b [u8], &'b [u8])> {
    let colon = |line: &[u8]| line.iter().position(|&byte| byte == b':');
    lines.iter().filter_map(|line| colon(line).map(|at| (&line[..at], &line[at + 1..]))).collect()
}
