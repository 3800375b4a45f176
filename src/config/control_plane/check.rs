//! The rules between keys.

use super::{Backend, ControlPlane};
use crate::config::later::FOR_LATER;
use crate::config::reader::Document;

/// Tells each broken rule between keys.
pub(super) fn rules(config: &ControlPlane, document: &Document<'_>) {
    let ControlPlane { listen, tls, purge_log, tokens, .. } = config;
    let is_guarded = !tls.certificates.is_empty() && !tokens.is_empty();
    if !listen.api.ip().is_loopback() && !is_guarded {
        let expected = "a loopback address such as \"127.0.0.1:9190\"";
        let wrong = "found another without [tls] certificates and a [[token]]";
        document.tell("listen.api", expected, wrong);
    }
    if !document.says("purge_log") {
        document.tell("purge_log.path", "a path such as \"/var/lib/headland\"", "found none");
    }
    if purge_log.backend == Backend::Nats {
        document.tell("purge_log.backend", "", FOR_LATER);
    }
    let names = tokens.iter().map(|token| token.name.as_str());
    document.unique(names.enumerate().map(|(index, name)| (format!("token[{index}].name"), name)));
}
