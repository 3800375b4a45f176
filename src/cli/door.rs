//! The other end of a command: the admin door of a node, or a control plane.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::USAGE;
use crate::config::address::{Endpoint, Scheme};
use crate::message::{Body, Piece};
use crate::net::client::{
    ClientError, OutgoingRequest, Pool, PoolConfig, RootsError, Server, tls_config,
};

/// Where a node listens unless told otherwise.
const NODE: &str = "http://127.0.0.1:9180";

/// Bytes of an answer, at most.
const ANSWER_MAX: usize = 64 << 20;

/// Whom to ask
#[derive(Debug, clap::Args)]
pub(super) struct DoorArgs {
    /// The control plane to ask
    #[arg(long, value_name = "URL", env = "HEADLAND_CONTROL", value_parser = endpoint)]
    control: Option<Endpoint>,
    /// The one node to ask instead, by its admin door [default without a control plane:
    /// http://127.0.0.1:9180]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    node: Option<Endpoint>,
    /// File with the token to show
    #[arg(long, value_name = "FILE", env = "HEADLAND_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificates to trust beside the system's, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A connection to whom was named.
pub(super) struct Door {
    url: Endpoint,
    pool: Pool,
    authorization: Option<HeaderValue>,
    runtime: Runtime,
}

/// An answer of success.
#[derive(Debug)]
pub(super) struct Told {
    /// `data` of the envelope.
    pub(super) data: Value,
    /// The whole envelope.
    pub(super) whole: Value,
}

/// Why there is no answer, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    /// What was answered is not an answer of this program.
    #[error(
        "{url} answered {status}, but not as Headland does; is it the address of listen.admin?"
    )]
    Foreign { url: Endpoint, status: StatusCode },
    /// The name is not one that a certificate can have.
    #[error("{0}: expected a host name or an address")]
    Name(Endpoint),
    /// The answer is a refusal.
    #[error("{url} refused: {detail}{}", advice(*status))]
    Refused { url: Endpoint, status: StatusCode, detail: String },
    /// Nothing can be trusted.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
    /// The token cannot be had.
    #[error("--token-file {}: {cause}", file.display())]
    Token { file: PathBuf, cause: String },
    /// The answer broke off.
    #[error("{0} broke off its answer; try again")]
    Truncated(Endpoint),
    /// No answer.
    #[error("{url} does not answer ({error}); is the node running, and is this its listen.admin?")]
    Unreachable { url: Endpoint, error: ClientError },
}

impl DoorError {
    /// Usage, or a failure.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Name(_) | Self::Roots(_) | Self::Token { .. } => ExitCode::from(USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

impl Door {
    /// The door that `args` name; an answer may take up to `patience`.
    pub(super) fn new(args: &DoorArgs, patience: Duration) -> Result<Self, DoorError> {
        let named = args.node.clone().or_else(|| args.control.clone());
        let url = named.or_else(|| Endpoint::parse(NODE)).unwrap_or_default();
        let server = match url.scheme {
            Scheme::Http => Server::http(&url.host, url.port),
            Scheme::Https => {
                let tls = tls_config(args.ca.as_deref())?;
                let server = Server::https(&url.host, url.port, None, tls);
                server.map_err(|_| DoorError::Name(url.clone()))?
            }
        };
        let config = PoolConfig { response_timeout: patience, ..PoolConfig::default() };
        let authorization = args.token_file.clone().map(read_token).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { url, pool: Pool::new(server, config), authorization, runtime })
    }

    /// Looks at `target`.
    pub(super) fn get(&self, target: &str) -> Result<Told, DoorError> {
        self.runtime.block_on(self.ask(Method::GET, target, Body::Empty))
    }

    /// Sends `json` to `target`.
    pub(super) fn post(&self, target: &str, json: &Value) -> Result<Told, DoorError> {
        let body = Body::Full(json.to_string().into());
        self.runtime.block_on(self.ask(Method::POST, target, body))
    }

    async fn ask(&self, method: Method, target: &str, body: Body) -> Result<Told, DoorError> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, json.clone());
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, json);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let content_length = body.known_length();
        let target = target.to_owned().into();
        let request = OutgoingRequest { method, target, headers, body, content_length };
        let sent = self.pool.send(request).await;
        let response =
            sent.map_err(|error| DoorError::Unreachable { url: self.url.clone(), error })?;
        let text = self.read(response.body).await?;
        self.understand(response.status, &text)
    }

    async fn read(&self, mut body: Body) -> Result<BytesMut, DoorError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(Piece::Data(bytes)) if whole.len() + bytes.len() <= ANSWER_MAX => {
                    whole.extend_from_slice(&bytes);
                }
                Ok(Piece::Trailers(_)) => {}
                _ => return Err(DoorError::Truncated(self.url.clone())),
            }
        }
        Ok(whole)
    }

    fn understand(&self, status: StatusCode, text: &[u8]) -> Result<Told, DoorError> {
        let url = self.url.clone();
        let Ok(whole) = serde_json::from_slice::<Value>(text) else {
            return Err(DoorError::Foreign { url, status });
        };
        match (whole.get("data"), whole.get("detail").and_then(Value::as_str)) {
            (Some(data), _) if status.is_success() => Ok(Told { data: data.clone(), whole }),
            (_, Some(detail)) => Err(DoorError::Refused { url, status, detail: detail.to_owned() }),
            _ => Err(DoorError::Foreign { url, status }),
        }
    }
}

/// A URL without a path.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text).ok_or_else(|| format!("expected a URL without a path, such as {NODE}"))
}

fn read_token(file: PathBuf) -> Result<HeaderValue, DoorError> {
    let fault =
        |cause: &dyn ToString| DoorError::Token { file: file.clone(), cause: cause.to_string() };
    let text = std::fs::read_to_string(&file).map_err(|error| fault(&error))?;
    let token = text.trim();
    if !token.starts_with("hl_") {
        return Err(fault(&"expected a token as `headland token new` prints it, hl_…"));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| fault(&"expected one token and nothing else"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "; name a token with --token-file or HEADLAND_TOKEN_FILE",
        StatusCode::NOT_FOUND => "; nothing was done",
        StatusCode::SERVICE_UNAVAILABLE => "; try again",
        _ => "",
    }
}
