//! One question to a service that gives credentials.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::timeout;

use crate::config::address::{Endpoint, Scheme};
use crate::message::Body;
use crate::net::client::{Egress, OutgoingRequest, Pool, PoolConfig, Server, tls_config};
use crate::upstream::error::SetupError;
use crate::upstream::s3::read;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A service, by HTTP.
#[derive(Debug)]
pub(super) struct Service {
    endpoint: Endpoint,
    pool: Pool,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) fields: &'a [(HeaderName, &'a str)],
    /// The content, of a form.
    pub(super) form: Option<String>,
}

impl Service {
    /// Reads the trusted roots where it is over TLS.
    pub(super) fn new(endpoint: Endpoint, egress: &Egress) -> Result<Self, SetupError> {
        let Endpoint { scheme, host, port } = &endpoint;
        let server = match scheme {
            Scheme::Http => Server::http(host, *port),
            Scheme::Https => Server::https(host, *port, None, tls_config(None)?)
                .map_err(|_| SetupError::Name(host.clone()))?,
        };
        let egress = egress.clone();
        let pool = Pool::new(server, PoolConfig { max_idle: 1, egress, ..PoolConfig::default() });
        Ok(Self { endpoint, pool })
    }

    /// The text of a 200; the error is in words, with the URL and the answer's status.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<String, String> {
        let Question { method, path, fields, form } = question;
        let told = format!("{method} {}{path}", self.endpoint);
        let answered = timeout(PATIENCE, self.exchange(method, path, fields, form)).await;
        let (status, text) = answered
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .map_err(|why| format!("{told}: {why}"))?;
        match status {
            StatusCode::OK => Ok(text),
            _ => Err(format!("{told}: expected 200, found {}", status.as_u16())),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        fields: &[(HeaderName, &str)],
        form: Option<String>,
    ) -> Result<(StatusCode, String), String> {
        let mut headers = HeaderMap::new();
        let form_type = form.as_ref().map(|_| (CONTENT_TYPE, "application/x-www-form-urlencoded"));
        let authority = self.endpoint.authority();
        let own = [(HOST, &*authority), (ACCEPT, "*/*")];
        for (name, value) in own.into_iter().chain(form_type).chain(fields.iter().cloned()) {
            let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            headers.insert(name, value);
        }
        let content_length = form.as_ref().map(|form| form.len() as u64);
        let request = OutgoingRequest {
            method,
            target: path.to_owned().into(),
            headers,
            body: form.map_or(Body::Empty, |form| Body::Full(form.into())),
            content_length: content_length.or(Some(0)),
            on_interim: None,
        };
        let response = self.pool.send(request).await.map_err(|error| error.to_string())?;
        let text = read(response.body).await.ok_or("the answer broke off, or is too long")?;
        Ok((response.status, String::from_utf8_lossy(&text).into_owned()))
    }
}
