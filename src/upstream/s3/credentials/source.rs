//! Where the credentials of a bucket come from.

use std::time::Duration;

use aws_credential_types::Credentials;

use super::instance::Instance;
use super::web_identity::WebIdentity;
use crate::config::address::Endpoint;
use crate::config::s3::{CredentialsFrom, Profile, S3};
use crate::net::client::Egress;
use crate::upstream::error::SetupError;

/// How long a file is taken to hold what it held.
const FILE_PERIOD: Duration = Duration::from_mins(1);

/// One source.
#[derive(Debug)]
pub(in crate::upstream::s3) enum Source {
    /// The environment, which stays as it is.
    Environment(Credentials),
    File(Box<S3>),
    Instance(Instance),
    WebIdentity(WebIdentity),
}

/// The variables of a process.
pub(super) struct Variables<'a> {
    origin: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Source {
    /// The source of the origin's bucket; `None` for a public one.
    ///
    /// # Errors
    /// A variable is missing or wrong, or the trusted roots cannot be read.
    pub(in crate::upstream::s3) fn new(
        origin: &str,
        config: &S3,
        egress: &Egress,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, SetupError> {
        let variables = Variables { origin, env };
        let from = match config.credentials {
            CredentialsFrom::Auto if config.credentials_file.is_some() => CredentialsFrom::File,
            CredentialsFrom::Auto if variables.get(ACCESS_KEY).is_some() => {
                CredentialsFrom::Environment
            }
            CredentialsFrom::Auto if variables.get(TOKEN_FILE).is_some() => {
                CredentialsFrom::WebIdentity
            }
            CredentialsFrom::Auto => CredentialsFrom::Instance,
            chosen => chosen,
        };
        Ok(match from {
            CredentialsFrom::Auto | CredentialsFrom::None => None,
            CredentialsFrom::Environment => Some(Self::Environment(Credentials::new(
                variables.need(ACCESS_KEY, "the id of an access key")?,
                variables.need("AWS_SECRET_ACCESS_KEY", "the secret of the access key")?,
                variables.get("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ))),
            CredentialsFrom::File => Some(Self::File(Box::new(config.clone()))),
            CredentialsFrom::Instance => Some(Self::Instance(Instance::new(
                variables.endpoint("AWS_EC2_METADATA_SERVICE_ENDPOINT")?,
                egress,
            )?)),
            CredentialsFrom::WebIdentity => Some(Self::WebIdentity(WebIdentity::new(
                variables.need(TOKEN_FILE, "the file of a token")?.into(),
                variables.need("AWS_ROLE_ARN", "the role that the token is for")?,
                variables.get("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "headland".to_owned()),
                variables
                    .endpoint("AWS_ENDPOINT_URL_STS")?
                    .unwrap_or_else(|| WebIdentity::service(&config.region)),
                egress,
            )?)),
        })
    }

    /// In a word, for errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Environment(_) => "environment",
            Self::File(_) => "file",
            Self::Instance(_) => "instance",
            Self::WebIdentity(_) => "web identity",
        }
    }

    /// How long what does not end by itself is taken to stay; `None` for ever.
    pub(super) fn changes_after(&self) -> Option<Duration> {
        matches!(self, Self::File(_)).then_some(FILE_PERIOD)
    }

    /// Asks for credentials; the error says what was expected, and holds no secret.
    pub(super) async fn obtain(&self) -> Result<Credentials, String> {
        match self {
            Self::Environment(credentials) => Ok(credentials.clone()),
            Self::File(config) => from_file(config.clone()).await,
            Self::Instance(instance) => instance.obtain().await,
            Self::WebIdentity(identity) => identity.obtain().await,
        }
    }
}

const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn need(&self, name: &'static str, expected: &'static str) -> Result<String, SetupError> {
        self.get(name).ok_or_else(|| self.wrong(name, expected))
    }

    fn endpoint(&self, name: &'static str) -> Result<Option<Endpoint>, SetupError> {
        let Some(url) = self.get(name) else { return Ok(None) };
        let endpoint = Endpoint::parse(&url);
        endpoint.map(Some).ok_or_else(|| self.wrong(name, "a URL without a path"))
    }

    fn wrong(&self, variable: &'static str, expected: &'static str) -> SetupError {
        SetupError::Variable { origin: self.origin.to_owned(), variable, expected }
    }
}

async fn from_file(config: Box<S3>) -> Result<Credentials, String> {
    let shown = config.credentials_file.clone().unwrap_or_default();
    let read = tokio::task::spawn_blocking(move || config.read_profile()).await;
    let profile = read.ok().flatten().ok_or("the file was not read")?;
    let Profile { access_key, secret_key, session_token } =
        profile.map_err(|why| format!("{}: {why}", shown.display()))?;
    let session_token = session_token.map(|token| token.reveal().to_owned());
    Ok(Credentials::new(access_key, secret_key.reveal(), session_token, None, "file"))
}
