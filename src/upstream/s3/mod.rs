//! A bucket as an origin: which object a request is for, what S3 is asked, what its answer means.
//!
//! ```text
//!  request ── key ──► GET or HEAD, made anew ──► attempt ── sign ──► S3
//!               └ none: 404, not asked              ▲  each time anew, by the clock of that moment
//!                                            credentials: held, renewed behind, waited for
//!  S3's answer ── error ──► sent on, not there, denied, its status alone, or no response
//! ```
//!
//! Invariant: of a client's request only the method, the path, ranges and conditions reach S3. A
//! query could ask for a list, a policy or an upload in our name, as could fields that S3 reads.

mod credentials;
mod error;
mod key;
mod sign;
mod xml;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, EXPIRES, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::timeout;

use self::credentials::{Keeper, Source};
use self::error::{Judgement, is_error, judge};
use self::key::{Keys, encode};
use self::sign::add_signature;
use super::Origin;
use super::error::{Fault, SetupError, UpstreamError};
use crate::config::address::Endpoint;
use crate::config::s3::S3;
use crate::message::{Body, Piece, Protocol};
use crate::net::client::{Egress, IncomingResponse, OutgoingRequest};

const REQUEST_PAYER: HeaderName = HeaderName::from_static("x-amz-request-payer");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// All of a client's fields that S3 is told.
const TOLD: [HeaderName; 6] =
    [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];

/// Longest wait for the document that tells of an error.
const ERROR_WAIT: Duration = Duration::from_secs(5);

/// Bytes of an error, or of credentials, that are read.
const DOCUMENT_MAX: usize = 64 * 1024;

/// What it is to ask one bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The origin's name.
    name: String,
    config: S3,
    keys: Keys,
    /// What is signed as `Host`.
    host: HeaderValue,
    /// What stands before each key in a target: a slash, or the bucket between two.
    root: String,
    /// `None` for a public bucket.
    keeper: Option<Arc<Keeper>>,
    /// Whether S3 refused the last request that it judged.
    is_refused: AtomicBool,
}

impl Bucket {
    /// The bucket of the origin `name`. What its credentials come from is found in `env`.
    pub(super) fn new(
        name: &str,
        config: &S3,
        egress: &Egress,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SetupError> {
        let source = Source::new(name, config, egress, env)?;
        let root = match config.path_style {
            true => format!("/{}/", encode(&config.bucket)),
            false => "/".to_owned(),
        };
        Ok(Self {
            name: name.to_owned(),
            keys: Keys::new(&config.prefix, &config.index),
            // A name of a host is visible ASCII, so this never fails.
            host: server(config).authority().parse().map_err(|_| SetupError::Name(name.into()))?,
            root,
            keeper: source.map(|source| Arc::new(Keeper::new(source, Arc::new(SystemTime::now)))),
            is_refused: AtomicBool::new(false),
            config: config.clone(),
        })
    }

    /// What asks for the object that `request` is for; `None` if there can be none.
    fn request(&self, request: &OutgoingRequest) -> Option<OutgoingRequest> {
        let target = std::str::from_utf8(&request.target).ok()?;
        let path = target.split('?').next().unwrap_or_default();
        let key = self.keys.of_path(path)?;
        let mut asked = self.get(&request.method, &key);
        for name in &TOLD {
            for value in request.headers.get_all(name) {
                asked.headers.append(name, value.clone());
            }
        }
        Some(asked)
    }

    /// Routes let GET and HEAD through alone: whatever else came would read, too.
    fn get(&self, method: &Method, key: &str) -> OutgoingRequest {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.host.clone());
        if self.config.requester_pays {
            headers.insert(REQUEST_PAYER, HeaderValue::from_static("requester"));
        }
        OutgoingRequest {
            method: if *method == Method::HEAD { Method::HEAD } else { Method::GET },
            target: format!("{}{}", self.root, encode(key)).into(),
            headers,
            body: Body::Empty,
            content_length: None,
            on_interim: None,
        }
    }

    /// Signs a request that is about to be sent.
    pub(super) async fn sign(&self, request: &mut OutgoingRequest) -> Result<(), UpstreamError> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let unsigned = |detail: String| self.fails("origin-credentials-unavailable", detail);
        let credentials = keeper.get().await.map_err(|why| unsigned(why.to_string()))?;
        let now = SystemTime::now();
        add_signature(request, &self.config.region, credentials, now).map_err(unsigned)
    }

    /// What S3's answer to a request by `method` means.
    async fn hear(
        &self,
        mut response: IncomingResponse,
        method: &Method,
    ) -> Result<Heard, UpstreamError> {
        if !is_error(response.status) {
            self.is_believed();
            response.headers = without_own(&response.headers);
            return Ok(Heard::Response(response));
        }
        // Of one that does not come, the status tells enough.
        let reading = timeout(ERROR_WAIT, read(std::mem::take(&mut response.body))).await;
        let document = reading.ok().flatten().unwrap_or_default();
        let document = String::from_utf8_lossy(&document);
        let code = xml::text(&document, "Code");
        let message = xml::text(&document, "Message").unwrap_or_default();
        let status = response.status;
        let told = format!("{} {}: {message}", status.as_u16(), code.as_deref().unwrap_or("-"));
        let judgement = match judge(status, code.as_deref()) {
            Judgement::Denied if self.config.denied_as_missing => Judgement::Missing,
            judgement => judgement,
        };
        match judgement {
            Judgement::Refused => {
                let source = self.keeper.as_ref().map_or("no", |keeper| keeper.source_name());
                let detail = format!("S3 does not take {source} credentials: it says {told}");
                Err(self.refused("origin-credentials-refused", detail))
            }
            Judgement::Elsewhere => {
                let region = response.headers.get(BUCKET_REGION).map(HeaderValue::as_bytes);
                let region = region.unwrap_or_default().escape_ascii();
                let S3 { bucket, region: own, .. } = &self.config;
                let detail = format!(
                    "expected the bucket {bucket} at {} in the region {own}, S3 says {told} \
                     (region \"{region}\")",
                    server(&self.config)
                );
                Err(self.refused("origin-bucket-elsewhere", detail))
            }
            Judgement::Missing => Ok(Heard::Missing),
            _ => {
                tracing::debug!(origin = self.name, told, "an error of S3");
                let plain = self.plain(status, method);
                Ok(Heard::Response(keeping(&response.headers, plain)))
            }
        }
    }

    fn is_believed(&self) {
        if self.is_refused.swap(false, Ordering::Relaxed) {
            tracing::info!(origin = self.name, "the bucket answers again");
        }
    }

    fn refused(&self, reason: &'static str, detail: String) -> UpstreamError {
        if !self.is_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(origin = self.name, detail, "the bucket refuses");
        }
        self.fails(reason, detail)
    }

    fn fails(&self, reason: &'static str, detail: String) -> UpstreamError {
        let (origin, fault) = (self.name.clone(), Fault::Origin);
        UpstreamError { origin, fault, timeout: false, reason, detail }
    }

    /// The request for the document that stands for what is not there, if there is one.
    fn document(&self, method: &Method) -> Option<OutgoingRequest> {
        let document = self.config.error_document.trim_start_matches('/');
        (!document.is_empty()).then(|| self.get(method, &self.keys.below(document)))
    }

    /// A response that S3 did not make.
    fn plain(&self, status: StatusCode, method: &Method) -> IncomingResponse {
        let reason = status.canonical_reason().unwrap_or("Error");
        let text = Bytes::from(format!("{} {reason}\n", status.as_u16()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(http::header::CONTENT_LENGTH, text.len().into());
        IncomingResponse {
            status,
            headers,
            content_length: Some(text.len() as u64),
            body: if *method == Method::HEAD { Body::Empty } else { Body::Full(text) },
            until_close: false,
            reused: false,
            protocol: Protocol::Http1 { minor: 1 },
        }
    }
}

/// A response, as far as it is one.
enum Heard {
    Response(IncomingResponse),
    Missing,
}

impl Origin {
    /// Asks the bucket for the object that a request is for.
    pub(super) async fn fetch_object(
        &self,
        bucket: &Bucket,
        request: OutgoingRequest,
    ) -> Result<IncomingResponse, UpstreamError> {
        let method = request.method.clone();
        let heard = match bucket.request(&request) {
            Some(asked) => bucket.hear(self.send(asked).await?, &method).await?,
            None => Heard::Missing,
        };
        if let Heard::Response(response) = heard {
            return Ok(response);
        }
        if let Some(document) = bucket.document(&method) {
            let page = self.send(document).await?;
            if let Heard::Response(page) = bucket.hear(page, &method).await?
                && page.status == StatusCode::OK
            {
                return Ok(in_place_of_missing(page));
            }
        }
        Ok(bucket.plain(StatusCode::NOT_FOUND, &method))
    }
}

/// The server that has the bucket.
pub(super) fn server(config: &S3) -> Endpoint {
    let service = config.service();
    match config.path_style {
        true => service,
        false => Endpoint { host: format!("{}.{}", config.bucket, service.host), ..service },
    }
}

/// What S3 says of the object, and not of itself: `x-amz-meta-` is the object's.
fn without_own(headers: &HeaderMap) -> HeaderMap {
    let is_own = |name: &HeaderName| {
        name.as_str().starts_with("x-amz-") && !name.as_str().starts_with("x-amz-meta-")
    };
    let kept = headers.iter().filter(|(name, _)| !is_own(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The fields of an error that are not of its body.
fn keeping(headers: &HeaderMap, mut plain: IncomingResponse) -> IncomingResponse {
    for name in [CONTENT_RANGE, DATE, RETRY_AFTER] {
        if let Some(value) = headers.get(&name) {
            plain.headers.insert(name, value.clone());
        }
    }
    plain
}

/// How long the document is fresh where it lies, and how it is validated, says nothing of how long
/// the object is missing.
fn in_place_of_missing(mut page: IncomingResponse) -> IncomingResponse {
    page.status = StatusCode::NOT_FOUND;
    for name in [ACCEPT_RANGES, CACHE_CONTROL, ETAG, EXPIRES, LAST_MODIFIED] {
        page.headers.remove(name);
    }
    page
}

/// Reads a small document; `None` if it breaks off or is none.
async fn read(mut body: Body) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(piece) = body.next().await {
        if let Piece::Data(data) = piece.ok()? {
            if read.len() + data.len() > DOCUMENT_MAX {
                return None;
            }
            read.extend_from_slice(&data);
        }
    }
    Some(read)
}
