//! The rules between keys.

use http::uri::Authority;

use super::hook::is_base;
use super::{Backend, ControlPlane, Hook, PurgeLog};
use crate::config::reader::Document;

/// Tells each broken rule between keys.
pub(super) fn rules(config: &ControlPlane, document: &Document<'_>) {
    let ControlPlane { listen, tls, purge_log, tokens, hooks, .. } = config;
    let is_guarded = !tls.certificates.is_empty() && !tokens.is_empty();
    if !listen.api.ip().is_loopback() && !is_guarded {
        let expected = "a loopback address such as \"127.0.0.1:9190\"";
        let wrong = "found another without [tls] certificates and a [[token]]";
        document.tell("listen.api", expected, wrong);
    }
    check_log(purge_log, document);
    let names = tokens.iter().map(|token| token.name.as_str());
    document.unique(names.enumerate().map(|(index, name)| (format!("token[{index}].name"), name)));
    check_hooks(hooks, document);
}

fn check_hooks(hooks: &[Hook], document: &Document<'_>) {
    let names = hooks.iter().map(|hook| hook.name.as_str());
    document.unique(names.enumerate().map(|(index, name)| (format!("hook[{index}].name"), name)));
    let expected = "a URL such as \"https://static.example.com/\", with a slash at its end";
    for (index, hook) in hooks.iter().enumerate() {
        let key = format!("hook[{index}].urls");
        if hook.urls.is_empty() && document.says(&key) {
            document.tell(&key, expected, "found none");
        }
        for (at, url) in hook.urls.iter().enumerate().filter(|(_, url)| !is_base(url)) {
            let key = format!("{key}[{at}]");
            document.tell(&key, expected, &format!("found \"{}\"", document.words(&key, url)));
        }
    }
}

/// What each home needs, and what it has no use for.
fn check_log(log: &PurgeLog, document: &Document<'_>) {
    const EMBEDDED: [&str; 1] = ["path"];
    const NATS: [&str; 6] =
        ["servers", "stream", "replicas", "credentials_file", "ca_file", "check_sync"];
    let (others, expected) = match log.backend {
        Backend::Embedded => {
            if log.path.as_os_str().is_empty() {
                let expected = "a path such as \"/var/lib/headland\"";
                document.tell("purge_log.path", expected, "found none");
            }
            (&NATS[..], "it with backend = \"nats\" alone")
        }
        Backend::Nats => {
            if log.servers.is_empty() {
                let expected = "URLs such as [\"nats://nats-1.internal:4222\"]";
                document.tell("purge_log.servers", expected, "found none");
            }
            (&EMBEDDED[..], "it with backend = \"embedded\" alone")
        }
    };
    for key in others.iter().map(|key| format!("purge_log.{key}")) {
        if document.says(&key) {
            let wrong = format!("found backend = \"{}\"", log.backend.as_str());
            document.tell(&key, expected, &wrong);
        }
    }
    for (index, server) in log.servers.iter().enumerate() {
        if !is_server(server) {
            let expected = "a URL such as \"nats://nats-1.internal:4222\" or \"tls://…\"";
            let key = format!("purge_log.servers[{index}]");
            let words = document.words(&key, server);
            document.tell(&key, expected, &format!("found \"{words}\""));
        }
    }
}

/// Whoever puts a password there has it in every log.
fn is_server(url: &str) -> bool {
    let rest = url.strip_prefix("nats://").or_else(|| url.strip_prefix("tls://"));
    let authority = rest.and_then(|rest| rest.parse::<Authority>().ok());
    authority.is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'))
}
