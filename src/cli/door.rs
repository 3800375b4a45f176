//! The other end of a command: the admin door of a node, or a control plane.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{USAGE, say};
use crate::config::address::{Endpoint, Scheme};
use crate::message::{Body, Piece};
use crate::net::client::{
    ClientError, OutgoingRequest, Pool, PoolConfig, RootsError, Server, tls_config,
};

/// Where a node listens unless told otherwise.
const NODE: &str = "http://127.0.0.1:9180";

/// Where a control plane listens unless told otherwise.
const CONTROL: &str = "http://127.0.0.1:9190";

/// Items of a page, as many as may be asked for.
const PAGE: usize = 1000;

/// Bytes of an answer, at most.
const ANSWER_MAX: usize = 64 << 20;

/// Whom to ask
#[derive(Debug, clap::Args)]
pub(super) struct DoorArgs {
    /// The control plane to ask [env: HEADLAND_CONTROL]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    control: Option<Endpoint>,
    /// The one node to ask instead, by its admin door [default without a control plane:
    /// http://127.0.0.1:9180]
    #[arg(long, value_name = "URL", value_parser = endpoint, conflicts_with = "control")]
    node: Option<Endpoint>,
    #[command(flatten)]
    proof: ProofArgs,
}

/// Which control plane to ask
#[derive(Debug, clap::Args)]
pub(super) struct ControlArgs {
    /// The control plane to ask [env: HEADLAND_CONTROL] [default: http://127.0.0.1:9190]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    control: Option<Endpoint>,
    #[command(flatten)]
    proof: ProofArgs,
}

/// Which node to ask
#[derive(Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// The node to ask, by its admin door [default: http://127.0.0.1:9180]
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    node: Option<Endpoint>,
    #[command(flatten)]
    proof: ProofArgs,
}

/// What both sides show to each other
#[derive(Debug, clap::Args)]
struct ProofArgs {
    /// File with the token to show [env: HEADLAND_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates to trust beside the system's, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A connection to whom was named.
pub(super) struct Door {
    url: Endpoint,
    role: Role,
    pool: Pool,
    authorization: Option<HeaderValue>,
    runtime: Runtime,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A control plane.
    Control,
    /// One node.
    Node,
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
        "{url} answered {status}, but not as Headland does; is it the address of {}?",
        role.key()
    )]
    Foreign { url: Endpoint, role: Role, status: StatusCode },
    /// A variable of the environment.
    #[error("{name}: {expected}, found {found:?}")]
    Environment { name: &'static str, expected: String, found: String },
    /// The name is not one that a certificate can have.
    #[error("{0}: expected a host name or an address")]
    Name(Endpoint),
    /// The answer is a refusal.
    #[error("{url} refused: {detail}{}", advice(*status, *with_token))]
    Refused { url: Endpoint, status: StatusCode, detail: String, with_token: bool },
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
    #[error(
        "{url} does not answer ({error}); is the {} running, and is this its {}?",
        role.name(),
        role.key()
    )]
    Unreachable { url: Endpoint, role: Role, error: ClientError },
}

impl DoorError {
    /// Usage, or a failure.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Environment { .. } | Self::Name(_) | Self::Roots(_) | Self::Token { .. } => {
                ExitCode::from(USAGE)
            }
            // What was asked for makes no sense there.
            Self::Refused {
                status:
                    StatusCode::BAD_REQUEST
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNPROCESSABLE_ENTITY
                    | StatusCode::URI_TOO_LONG,
                ..
            } => ExitCode::from(USAGE),
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether it may go away by itself.
    pub(super) fn is_fleeting(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Truncated(_) => true,
            Self::Refused { status, .. } | Self::Foreign { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Control => "control plane",
            Self::Node => "node",
        }
    }

    /// The key of the config that says where it is.
    fn key(self) -> &'static str {
        match self {
            Self::Control => "listen.api",
            Self::Node => "listen.admin",
        }
    }
}

impl Door {
    /// The door that `args` name; an answer may take up to `patience`.
    pub(super) fn new(args: &DoorArgs, patience: Duration) -> Result<Self, DoorError> {
        let (url, role) = match &args.node {
            Some(node) => (node.clone(), Role::Node),
            None => match named(&args.control)? {
                Some(control) => (control, Role::Control),
                None => (Endpoint::parse(NODE).unwrap_or_default(), Role::Node),
            },
        };
        Self::open(url, role, &args.proof, patience)
    }

    /// The admin door of the node that `args` name.
    pub(super) fn node(args: &NodeArgs, patience: Duration) -> Result<Self, DoorError> {
        let default = || Endpoint::parse(NODE).unwrap_or_default();
        let url = args.node.clone().unwrap_or_else(default);
        Self::open(url, Role::Node, &args.proof, patience)
    }

    /// The door of the control plane that `args` name.
    pub(super) fn control(args: &ControlArgs, patience: Duration) -> Result<Self, DoorError> {
        let default = || Endpoint::parse(CONTROL).unwrap_or_default();
        let url = named(&args.control)?.unwrap_or_else(default);
        Self::open(url, Role::Control, &args.proof, patience)
    }

    fn open(
        url: Endpoint,
        role: Role,
        proof: &ProofArgs,
        patience: Duration,
    ) -> Result<Self, DoorError> {
        let server = match url.scheme {
            Scheme::Http => Server::http(&url.host, url.port),
            Scheme::Https => {
                let tls = tls_config(proof.ca.as_deref())?;
                let server = Server::https(&url.host, url.port, None, tls);
                server.map_err(|_| DoorError::Name(url.clone()))?
            }
        };
        let config = PoolConfig { response_timeout: patience, ..PoolConfig::default() };
        let file = proof.token_file.clone();
        let file = file.or_else(|| variable("HEADLAND_TOKEN_FILE").map(PathBuf::from));
        let authorization = file.map(read_token).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { url, role, pool: Pool::new(server, config), authorization, runtime })
    }

    /// Who is asked.
    pub(super) fn role(&self) -> Role {
        self.role
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

    /// Takes away what `target` names.
    pub(super) fn delete(&self, target: &str) -> Result<Told, DoorError> {
        self.runtime.block_on(self.ask(Method::DELETE, target, Body::Empty))
    }

    /// Every item of the list that `target` is, page by page.
    pub(super) fn list(&self, target: &str) -> Result<Vec<Value>, DoorError> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let told = self.get(&format!("{target}?limit={PAGE}{cursor}"))?;
            if let Value::Array(page) = told.data {
                items.extend(page);
            }
            match told.whole["meta"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
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
        let on_interim = None;
        let request = OutgoingRequest { method, target, headers, body, content_length, on_interim };
        let sent = self.pool.send(request).await;
        let response = sent.map_err(|error| DoorError::Unreachable {
            url: self.url.clone(),
            role: self.role,
            error,
        })?;
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
        let (url, role, with_token) = (self.url.clone(), self.role, self.authorization.is_some());
        let Ok(whole) = serde_json::from_slice::<Value>(text) else {
            return Err(DoorError::Foreign { url, role, status });
        };
        match (whole.get("data"), whole.get("detail").and_then(Value::as_str)) {
            (Some(data), _) if status.is_success() => Ok(Told { data: data.clone(), whole }),
            (_, Some(detail)) => {
                let detail = detail.to_owned();
                Err(DoorError::Refused { url, status, detail, with_token })
            }
            _ => Err(DoorError::Foreign { url, role, status }),
        }
    }
}

/// Says what a command has to say, or why it cannot, and ends it.
pub(super) fn conclude(command: &str, told: Result<String, DoorError>) -> ExitCode {
    match told {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("headland {command}: {error}");
            error.exit_code()
        }
    }
}

/// A URL without a path.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text).ok_or_else(|| format!("expected a URL without a path, such as {NODE}"))
}

/// The control plane of the command line, or else that of the environment.
fn named(control: &Option<Endpoint>) -> Result<Option<Endpoint>, DoorError> {
    const NAME: &str = "HEADLAND_CONTROL";
    match (control, variable(NAME)) {
        (Some(control), _) => Ok(Some(control.clone())),
        (None, None) => Ok(None),
        (None, Some(found)) => {
            let found = found.to_string_lossy().into_owned();
            let read = endpoint(&found);
            read.map(Some).map_err(|expected| DoorError::Environment {
                name: NAME,
                expected,
                found,
            })
        }
    }
}

/// A variable of the environment. One that is empty is not set: that is how a script unsets it for
/// one command.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
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

fn advice(status: StatusCode, with_token: bool) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED if with_token => "; is it the right file?",
        StatusCode::UNAUTHORIZED => "; name a token with --token-file or HEADLAND_TOKEN_FILE",
        StatusCode::SERVICE_UNAVAILABLE => "; try again",
        _ => "",
    }
}
