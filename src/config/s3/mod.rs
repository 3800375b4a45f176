//! `[origin.s3]`: a bucket as an origin, and the file of its credentials.

mod profile;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::profile::Profile;
use super::address::{Endpoint, Scheme};
use super::reference::Sample::Commented;
use super::rule::{Form, named};
use super::secret::Secret;
use super::section::{choice, section};

section! {
    /// An S3 bucket, or one of a server that speaks its language: tested with SeaweedFS, and with
    /// no vendor's own service. It is asked for objects by GET and HEAD alone, and never for a list
    /// of them: neither queries nor fields of clients reach it, besides ranges and conditions.
    pub struct S3 {
        /// Name of the bucket.
        bucket: String = String::new(), named("\"assets\"");
        /// Region that signatures name.
        region: String = String::new(), named("\"eu-central-1\"");
        /// Where the service is; without it Amazon's address of the region.
        endpoint: Option<Endpoint> = None,
            Commented(r#""https://s3.eu-central-1.amazonaws.com""#);
        /// Folder of the bucket that is served: put before each path to make the key.
        prefix: String = String::new(), FOLDER;
        /// The bucket in the path and not in the host.
        path_style: bool = false;
        /// Object that is served for a path that ends with a slash, from the folder of that name;
        /// "": none is.
        index: String = "index.html".to_owned(), OBJECT;
        /// Object below the prefix that is sent in place of one that is not there, with status 404;
        /// "": none is.
        error_document: String = String::new(), FOLDER;
        /// Whether what the bucket denies (403) is answered as what is not there (404): without the
        /// right to list, it says the one of the other.
        denied_as_missing: bool = false;
        /// Agrees to pay for what is read (`x-amz-request-payer`).
        requester_pays: bool = false;
        /// Where credentials come from; `auto` is the first that is there: `credentials_file`,
        /// `AWS_ACCESS_KEY_ID`, `AWS_WEB_IDENTITY_TOKEN_FILE`, else the instance's metadata.
        credentials: CredentialsFrom = CredentialsFrom::default();
        /// File of the credentials, in the form of `~/.aws/credentials`; read again each minute.
        credentials_file: Option<PathBuf> = None, Commented(r#""s3.credentials""#);
        /// Which section of that file.
        profile: String = "default".to_owned();
    }
}

choice! {
    /// Where credentials come from.
    pub enum CredentialsFrom {
        /// The first that is there.
        Auto = "auto",
        /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
        Environment = "environment",
        /// `credentials_file`.
        File = "file",
        /// The metadata service of the machine (version 2).
        Instance = "instance",
        /// A token in `AWS_WEB_IDENTITY_TOKEN_FILE`, for the role of `AWS_ROLE_ARN`.
        WebIdentity = "web_identity",
        /// Requests are not signed: the bucket is public.
        None = "none",
    }
}

const FOLDER: Form = Form {
    expected: "a part of a key without the segments \".\" and \"..\"",
    holds: |text| !text.split('/').any(|segment| matches!(segment, "." | "..")),
    sample: None,
};

const OBJECT: Form = Form {
    expected: "a name without a slash",
    holds: |text| !text.contains('/') && !matches!(text, "." | ".."),
    sample: None,
};

impl S3 {
    /// Reads the credentials of the file, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or holds none of this profile: in words, without the secrets.
    pub fn read_profile(&self) -> Option<Result<Profile, String>> {
        let file = self.credentials_file.as_ref()?;
        let text = fs::read_to_string(file).map_err(|error| error.to_string());
        Some(text.and_then(|text| Profile::parse(&text, &self.profile)))
    }

    /// Where the service is.
    pub fn service(&self) -> Endpoint {
        self.endpoint.clone().unwrap_or_else(|| Endpoint {
            scheme: Scheme::Https,
            host: format!("s3.{}.amazonaws.com", self.region),
            port: Scheme::Https.default_port(),
        })
    }
}

/// Reads a token of the length that STS takes.
///
/// # Errors
/// The file cannot be read, or holds none.
pub fn read_token(file: &Path) -> Result<Secret, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    match text.trim() {
        token if (4..=20_000).contains(&token.len()) => Ok(Secret::new(token)),
        other => Err(format!("expected a token of 4 to 20000 bytes, found {}", other.len())),
    }
}
