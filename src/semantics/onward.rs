//! Which fields of a request go on to the next server, by their names.
//!
//! Origins and the frameworks in them take a client's word for another URL, host, method or address
//! than those of the request line in many fields that no RFC knows. None of that is in a key, so
//! none of it goes on: who stands before the origin is this node, and it says so itself.

use super::headers::is_hop_by_hop;

/// Whether the field of this lower-case name goes on from a client, or from an edge that has proven
/// itself. What this node says of the request takes the place of what came in the same field.
pub fn goes_on(name: &str, from_edge: bool) -> bool {
    let is_of_message = is_hop_by_hop(name)
        // RFC 9110 section 7.6.2: this node counts it down, for OPTIONS; others may ignore it.
        || matches!(name, "content-length" | "expect" | "max-forwards");
    let is_of_nodes = is_like(name, "headland-", Like::Prefix) && !is_told(name);
    !is_of_message && !is_of_nodes && (from_edge || !is_not_the_clients(name))
}

/// Whether the field of this lower-case name can tell an origin of a client, so that a key may be
/// made of it.
pub fn tells_origins(name: &str) -> bool {
    matches!(name, "x-forwarded-for" | "x-forwarded-proto") || goes_on(name, false)
}

/// Whether gateways to programs may take a field of this name for that of another: they make no
/// difference between `-`, `_` and other signs (RFC 3875 section 4.1.18).
pub fn is_ambiguous(name: &str) -> bool {
    !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether gateways may take one name for the other.
pub fn is_alike(name: &str, other: &str) -> bool {
    spelled(name).eq(spelled(other))
}

/// What nodes tell of a client goes on to the origin.
fn is_told(name: &str) -> bool {
    matches!(name, "headland-country" | "headland-device")
}

/// Whether a client could make an origin answer for another URL, host or method than the key says.
fn is_not_the_clients(name: &str) -> bool {
    PREFIXES.iter().any(|known| is_like(name, known, Like::Prefix))
        || NAMES.iter().any(|known| is_like(name, known, Like::Whole))
}

#[derive(Clone, Copy, PartialEq)]
enum Like {
    Prefix,
    Whole,
}

fn is_like(name: &str, known: &str, like: Like) -> bool {
    let fits = match like {
        Like::Prefix => name.len() >= known.len(),
        Like::Whole => name.len() == known.len(),
    };
    fits && spelled(name).take(known.len()).eq(known.bytes())
}

/// A name as gateways tell names apart.
fn spelled(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' })
}

const PREFIXES: [&str; 8] = [
    "proxy-",
    "x-envoy-",
    "x-forward",
    "x-invoke-",
    "x-middleware-",
    "x-original-",
    "x-proxy-",
    "x-rewrite-",
];

const NAMES: [&str; 30] = [
    "base-url",
    "client-ip",
    "forwarded",
    "front-end-https",
    "host-override",
    "proxy",
    "request-uri",
    "script-name",
    "surrogate-capability",
    "true-client-ip",
    "url-scheme",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-host-override",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-matched-path",
    "x-method-override",
    "x-now-route-matches",
    "x-override-url",
    "x-real-ip",
    "x-scheme",
    "x-script-name",
    "x-uri",
    "x-url-scheme",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_lower_case() {
        assert!(NAMES.is_sorted() && PREFIXES.is_sorted());
        for name in NAMES.iter().chain(&PREFIXES) {
            assert!(spelled(name).eq(name.to_ascii_lowercase().bytes()), "{name}");
        }
    }

    #[test]
    fn what_names_another_request_goes_on_from_edges_alone() {
        for name in [
            "forwarded",
            "proxy",
            "proxy-host",
            "x-forward-host",
            "x-forwarded-for",
            "x_forwarded_for",
            "x.forwarded-for",
            "x-original-url",
            "x-envoy-original-path",
            "x-invoke-path",
            "x-matched-path",
            "x_matched_path",
            "x-middleware-subrequest",
            "x-uri",
            "script-name",
            "script_name",
        ] {
            assert!(!goes_on(name, false) && goes_on(name, true), "{name}");
        }
        for name in ["x-forwar", "x-uris", "x-ur", "accept", "host", "via", "x-kept", "cookie"] {
            assert!(goes_on(name, false), "{name}");
        }
    }

    #[test]
    fn what_is_of_one_message_goes_on_from_nobody() {
        for name in ["te", "connection", "proxy-authorization", "expect", "max-forwards"] {
            assert!(!goes_on(name, false) && !goes_on(name, true), "{name}");
        }
        // Tiers tell each other so, each of its own.
        for name in ["headland-floor", "headland-peer", "headland_device", "headland-other"] {
            assert!(!goes_on(name, false) && !goes_on(name, true), "{name}");
        }
        assert!(goes_on("headland-device", false) && goes_on("headland-country", true));
        for (name, tells) in [("x-forwarded-proto", true), ("x-tier", true), ("te", false)] {
            assert_eq!(tells_origins(name), tells, "{name}");
        }
    }

    #[test]
    fn names_that_gateways_take_for_others() {
        for name in ["x_tier", "x.tier", "x-tier!"] {
            assert!(is_ambiguous(name), "{name}");
        }
        assert!(!is_ambiguous("x-tier-1"));
        assert!(is_alike("x_tier", "x-tier") && !is_alike("x-tiers", "x-tier"));
    }
}
