//! `/v1/explain`: what would become of a request to this node, and why.
//!
//! ```text
//!  ?url=        the absolute URL, percent-encoded as the value of a parameter
//!  &method=     GET where it is not said
//!  &header=     "Name: value"; as often as there are fields
//!  &client=     the client's address; rules about addresses are not asked where it is not said
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::Door;
use crate::door::{Caller, Problem, answer, query};
use crate::message::{Body, FieldsBuilder, Peer, Protocol, Request, RequestHead, Response, Scheme};
use crate::object::PurgeState;
use crate::proxy::explain::{
    Answer, Answered, Asking, Explanation, Found, Rule, RuleSource, Served,
};
use crate::proxy::{Arrival, calendar};

/// Fields that a request to be explained may have.
const FIELDS_MAX: usize = 64;

impl Door {
    pub(super) async fn explain(&self, query: &str, caller: &Caller) -> Result<Response, Problem> {
        let asking = read(query)?;
        let request = &asking.request;
        let url = format!("{}://{}", request.head.peer.scheme.as_str(), shown(request));
        let method = request.head.method.clone();
        let explanation = self.parts.proxy.explain(asking, arrival()).await;
        let site = match &explanation {
            Explanation::Answered(answered) => answered.way.as_ref().map(|(site, _)| *site),
            Explanation::Served(served) => Some(served.site),
        };
        if let Some(site) = site.filter(|site| !caller.sees(Some(*site))) {
            let detail = format!("The token may not look at site {site}.");
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let data = match &explanation {
            Explanation::Answered(answered) => ended(answered),
            Explanation::Served(served) => told(served),
        };
        let mut whole = json!({ "url": url, "method": method.as_str() });
        merge(&mut whole, data);
        Ok(answer::envelope(StatusCode::OK, whole, json!({})))
    }
}

/// The request that the parameters describe.
fn read(query: &str) -> Result<Asking, Problem> {
    let (mut url, mut method, mut client) = (None, Method::GET, None);
    let (mut fields, mut count) = (FieldsBuilder::default(), 0);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "url" => url = Some(absolute(&value)?),
            "method" => {
                let read = Method::from_bytes(value.as_bytes());
                method = read.map_err(|_| query::invalid("method", "a method", &value))?;
            }
            "header" => {
                count += 1;
                let (name, value) =
                    field(&value).filter(|_| count <= FIELDS_MAX).ok_or_else(|| {
                        let expected =
                            format!("\"Name: value\" but for Host, {FIELDS_MAX} times at most");
                        query::invalid("header", &expected, &value)
                    })?;
                fields.push(name.as_str().as_bytes(), value.as_bytes());
            }
            "client" => {
                let read: Result<IpAddr, _> = value.parse();
                let read = read.map_err(|_| query::invalid("client", "an address", &value))?;
                client = Some(read);
            }
            _ => return Err(query::unknown(&name, "url, method, header or client")),
        }
    }
    let (scheme, host, target) = url.ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "url: expected an absolute URL, found none")
    })?;
    let address = SocketAddr::from((client.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), 0));
    let head = RequestHead {
        method,
        host: host.into(),
        target: target.into(),
        fields: fields.build(),
        content_length: None,
        peer: Peer { address, protocol: Protocol::Http1 { minor: 1 }, scheme },
    };
    let request = Request { head: Box::new(head), body: Body::Empty };
    Ok(Asking { request, knows_client: client.is_some() })
}

/// Scheme, authority and target of an absolute URL.
fn absolute(url: &str) -> Result<(Scheme, String, String), Problem> {
    let expected = "an absolute URL such as https://shop.example/app.js";
    let wrong = || query::invalid("url", expected, url);
    let read: Uri = url.parse().map_err(|_| wrong())?;
    let scheme = match read.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(wrong()),
    };
    let authority = read.authority().ok_or_else(wrong)?;
    let target = read.path_and_query().map_or("/", PathAndQuery::as_str);
    let target = if target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
    Ok((scheme, authority.as_str().to_owned(), target))
}

fn field(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    // The host is the URL's.
    let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| *name != HOST)?;
    Some((name, HeaderValue::from_str(value.trim()).ok()?))
}

fn shown(request: &Request) -> String {
    let parts = [&request.head.host[..], &request.head.target[..]].concat();
    String::from_utf8_lossy(&parts).into_owned()
}

fn arrival() -> Arrival {
    Arrival { instant: tokio::time::Instant::now(), now: calendar(), from_edge: false }
}

/// Of what ends at the rules at the edge.
fn ended(answered: &Answered) -> Value {
    let mut told = json!({
        "verdict": if answered.is_served { "answer" } else { "refuse" },
        "reason": answered.reason,
        "status": answered.status.as_u16(),
    });
    if let Some((site, route)) = &answered.way {
        let rules: Vec<_> = answered.rules.iter().map(rule).collect();
        merge(&mut told, json!({ "site": site, "route": route, "rules": rules }));
    }
    told
}

fn told(served: &Served) -> Value {
    let found = served.found.as_ref();
    let mut purge = json!({ "position": served.position, "needs": needs(served) });
    if let Some(found) = found {
        purge["state"] = json!(state(found.purged));
        purge["reflects"] = json!(found.reflects);
    }
    json!({
        "site": served.site,
        "route": served.route,
        "origin": served.origin,
        "key": format!("{:032x}", served.key.as_u128()),
        "tier": found.map(|found| found.tier.label()),
        "verdict": served.verdict.as_str(),
        "reason": served.verdict.reason().as_str(),
        "uncacheable": served.is_uncacheable,
        "stored": found.map(|found| json!({ "status": found.status, "bytes": found.bytes })),
        "freshness": found.map(freshness),
        "response": served.answer.as_ref().map(response),
        "purge": purge,
        "rules": served.rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn response(answer: &Answer) -> Value {
    let mut told = json!({ "status": answer.status.as_u16(), "bytes": answer.bytes });
    if let Some((coding, is_stored)) = answer.coded {
        merge(&mut told, json!({ "coding": coding, "coded_copy": is_stored }));
    }
    told
}

/// In seconds.
fn freshness(found: &Found) -> Value {
    let freshness = &found.freshness;
    json!({
        "age": freshness.age(found.now),
        "lifetime": freshness.lifetime,
        "left": freshness.left(found.now),
        "stale_while_revalidate": freshness.stale_while_revalidate,
        "stale_if_error": freshness.stale_if_error,
    })
}

fn state(purged: PurgeState) -> &'static str {
    match purged {
        PurgeState::Clean => "clean",
        PurgeState::Soft => "soft",
        PurgeState::Hard => "hard",
        PurgeState::Possibly => "possibly",
    }
}

/// The purges that would cover it, from the narrowest to the widest.
fn needs(served: &Served) -> Value {
    let url = format!("https://{}", served.url);
    let mut needs = vec![json!({ "kind": "url", "value": url })];
    let tags = served.found.iter().flat_map(|found| &found.tags);
    needs.extend(tags.map(|tag| json!({ "kind": "tag", "value": tag, "site": served.site })));
    needs.push(json!({ "kind": "site", "value": served.site }));
    Value::Array(needs)
}

fn rule(rule: &Rule) -> Value {
    let mut told = match &rule.source {
        RuleSource::Request(part) => json!({ "source": "request", "name": part }),
        RuleSource::Response(field) => json!({ "source": "response", "name": field }),
        RuleSource::Config(said) => match &said.at {
            Some((file, line)) => {
                json!({ "source": "config", "name": said.key, "file": file, "line": line })
            }
            None => json!({ "source": "default", "name": said.key }),
        },
        RuleSource::Purges => json!({ "source": "purges" }),
        RuleSource::Node => json!({ "source": "node" }),
    };
    merge(&mut told, json!({ "says": rule.says, "effect": rule.effect }));
    told
}

/// Puts the members of `more` behind those of `object`.
fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
