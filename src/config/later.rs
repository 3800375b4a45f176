//! The keys that this version knows but does not serve yet. Pure.

/// Keys that are read and checked but not served by this version. Accepting one silently would
/// promise what the node does not do. Whoever builds one of these takes its row away.
pub(super) const LATER: [&str; 4] =
    ["listen.probes", "listen.proxy_protocol", "site.max_object", "site.server_timing"];

/// What a fault says of them.
pub(super) const FOR_LATER: &str = "not supported yet by this version";

/// Whether `key` is not served by this version. A route has the keys of its site.
pub(super) fn is_for_later(key: &str) -> bool {
    let unnumbered: String =
        key.split('[').map(|part| part.rsplit(']').next().unwrap_or(part)).collect();
    LATER.contains(&unnumbered.replace("site.route.", "site.").as_str())
}
