//! NATS JetStream as the control plane uses it: the connection, the stream and the bucket.
//!
//! ```text
//!  stream  headland          subject headland.log     the log, message by message
//!  bucket  headland          lead                     which control process leads, and until when
//!  (KV_headland)             nodes, config, config.…   the registrations; published versions
//!                            saved, saved.….…         a snapshot of the log's beginning
//! ```
//!
//! An acknowledged message is durable only if the servers sync before they answer, by
//! `jetstream { sync_interval: always }`. Clients cannot see that by themselves: the system account
//! has to export `$SYS.REQ.SERVER.PING.JSZ`, as a service, to the account of the control plane.
//! Then it is checked at start (`servers`); without it, somebody's word is asked for.

pub(super) mod held;
mod servers;

#[cfg(test)]
#[path = "../../../tests/support/nats.rs"]
pub(super) mod server;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::kv::{self, Store};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions};

use crate::config::secret::Secret;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where NATS is, and what is used there.
#[derive(Clone, Debug)]
pub struct NatsParts {
    /// URLs of servers, any of which will do.
    pub servers: Vec<String>,
    /// What a client of an account with JWTs signs in with.
    pub credentials: Option<Secret>,
    /// PEM file of the authority behind the servers' certificates.
    pub ca_file: Option<PathBuf>,
    /// Name of the stream and of the bucket.
    pub stream: String,
    /// Servers that each keep a copy, where the stream is made.
    pub replicas: usize,
    /// Whether the servers must show that they sync.
    pub checks_sync: bool,
}

#[cfg(test)]
impl NatsParts {
    /// A stream of one copy on servers that show that they sync.
    pub(super) fn of(servers: Vec<String>) -> Self {
        Self {
            servers,
            credentials: None,
            ca_file: None,
            stream: "headland".to_owned(),
            replicas: 1,
            checks_sync: true,
        }
    }
}

/// A connection, held until all its clones are dropped. It comes back by itself when it breaks.
#[derive(Clone, Debug)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    name: String,
    replicas: usize,
}

/// What NATS failed at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("NATS: {0}")]
pub struct NatsError(String);

impl NatsError {
    pub(super) fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

impl Nats {
    /// Connects.
    ///
    /// # Errors
    /// No server can be reached, or takes the credentials; or they do not sync.
    pub async fn connect(parts: NatsParts) -> Result<Self, NatsError> {
        let NatsParts { servers, credentials, ca_file, stream, replicas, checks_sync } = parts;
        let mut options = ConnectOptions::new()
            .name("headland control")
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE))
            .max_reconnects(None);
        if let Some(credentials) = credentials {
            let taken = options.credentials(credentials.reveal());
            options = taken.map_err(|error| NatsError::new("the credentials", error))?;
        }
        if let Some(file) = ca_file {
            options = options.add_root_certificates(file);
        }
        let client = options.connect(&servers).await;
        let client = client.map_err(|error| NatsError::new(servers.join(", "), error))?;
        if checks_sync {
            servers::check_sync(&client).await?;
        }
        let mut jetstream = async_nats::jetstream::new(client.clone());
        jetstream.set_timeout(PATIENCE);
        Ok(Self { client, jetstream, name: stream, replicas })
    }

    /// Name of the stream and of the bucket.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Subject of the log.
    pub(super) fn subject(&self) -> String {
        format!("{}.log", self.name)
    }

    /// Bytes that a message may have beside its headers.
    pub(super) fn payload_max(&self) -> usize {
        const HEADERS: usize = 512;
        self.client.server_info().max_payload.saturating_sub(HEADERS)
    }

    /// The stream of the log, made if there is none.
    pub(super) async fn stream(&self) -> Result<Stream, NatsError> {
        let failed = |why: &dyn fmt::Display| NatsError::new(self.told_stream(), why);
        let stream = match self.jetstream.get_stream(&self.name).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    self.make_stream().await?
                }
                _ => return Err(failed(&error)),
            },
        };
        match unfit(&stream.cached_info().config, &self.subject()) {
            Some(expected) => Err(failed(&format!("expected {expected}"))),
            None => Ok(stream),
        }
    }

    async fn make_stream(&self) -> Result<Stream, NatsError> {
        let config = StreamConfig {
            name: self.name.clone(),
            description: Some("Headland: the ordered log of purges".to_owned()),
            subjects: vec![self.subject()],
            storage: StorageType::File,
            num_replicas: self.replicas,
            // A full stream refuses purges; it never forgets one.
            discard: DiscardPolicy::New,
            deny_delete: true,
            allow_direct: true,
            ..StreamConfig::default()
        };
        match self.jetstream.create_stream(config).await {
            Ok(stream) => Ok(stream),
            // Another control process was first, and made it otherwise: what it has made is judged.
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
                {
                    let made = self.jetstream.get_stream(&self.name).await;
                    made.map_err(|error| NatsError::new(self.told_stream(), error))
                }
                _ => Err(NatsError::new(self.told_stream(), error)),
            },
        }
    }

    /// The bucket, made if there is none.
    pub(super) async fn bucket(&self) -> Result<Store, NatsError> {
        if let Ok(bucket) = self.jetstream.get_key_value(&self.name).await {
            return Ok(bucket);
        }
        let config = kv::Config {
            bucket: self.name.clone(),
            description: "Headland: lead, registrations and snapshot".to_owned(),
            storage: StorageType::File,
            num_replicas: self.replicas,
            history: 1,
            ..kv::Config::default()
        };
        let made = self.jetstream.create_key_value(config).await;
        made.map_err(|error| NatsError::new(format!("the bucket {:?}", self.name), error))
    }

    fn told_stream(&self) -> String {
        format!("the stream {:?}", self.name)
    }
}

/// What is expected of a stream that somebody else made, where it is not as the log needs it.
fn unfit(config: &StreamConfig, subject: &str) -> Option<String> {
    let limits = [config.max_messages, config.max_bytes, config.max_messages_per_subject];
    let forgets = config.discard == DiscardPolicy::Old && limits.iter().any(|limit| *limit > 0);
    if config.subjects != [subject] {
        Some(format!("the subject {subject:?} alone"))
    } else if config.storage != StorageType::File {
        Some("storage in files".to_owned())
    } else if config.retention != RetentionPolicy::Limits || !config.max_age.is_zero() || forgets {
        Some("one that forgets nothing: no age, and \"discard\": \"new\" with limits".to_owned())
    } else if config.no_ack || config.sealed {
        Some("one that takes and acknowledges messages".to_owned())
    } else {
        None
    }
}
