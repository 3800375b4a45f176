//! A token that some authority gave this process, exchanged at STS for the credentials of a role
//! (AWS Security Token Service API Reference, "AssumeRoleWithWebIdentity").

use std::path::PathBuf;

use aws_credential_types::Credentials;
use form_urlencoded::Serializer;
use http::Method;

use super::ask::{Question, Service};
use super::instance::moment;
use crate::config::address::{Endpoint, Scheme};
use crate::config::s3::read_token;
use crate::net::client::Egress;
use crate::upstream::error::SetupError;
use crate::upstream::s3::xml;

#[derive(Debug)]
pub(in crate::upstream::s3) struct WebIdentity {
    token_file: PathBuf,
    role: String,
    session: String,
    service: Service,
}

impl WebIdentity {
    pub(super) fn new(
        token_file: PathBuf,
        role: String,
        session: String,
        endpoint: Endpoint,
        egress: &Egress,
    ) -> Result<Self, SetupError> {
        Ok(Self { token_file, role, session, service: Service::new(endpoint, egress)? })
    }

    /// The service of a region.
    pub(super) fn service(region: &str) -> Endpoint {
        let scheme = Scheme::Https;
        Endpoint { scheme, host: format!("sts.{region}.amazonaws.com"), port: 443 }
    }

    /// The token is read each time: whoever gives it renews it in its file.
    pub(super) async fn obtain(&self) -> Result<Credentials, String> {
        let file = self.token_file.clone();
        let read = tokio::task::spawn_blocking(move || read_token(&file)).await;
        let token = read
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("{}: {error}", self.token_file.display()))?;
        let form = Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.role)
            .append_pair("RoleSessionName", &self.session)
            .append_pair("WebIdentityToken", token.reveal())
            .finish();
        let (method, form) = (Method::POST, Some(form));
        parse(&self.service.ask(Question { method, path: "/", fields: &[], form }).await?)
    }
}

fn parse(document: &str) -> Result<Credentials, String> {
    let need = |name: &str| {
        let found = xml::text(document, name).filter(|text| !text.is_empty());
        found.ok_or_else(|| format!("expected credentials with {name}, found none"))
    };
    let token = Some(need("SessionToken")?.into_owned());
    let ends = moment(&need("Expiration")?)?;
    Ok(Credentials::new(
        need("AccessKeyId")?,
        need("SecretAccessKey")?,
        token,
        Some(ends),
        "web identity",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sts_says_is_read() {
        let sound = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>\
                     <Credentials><SessionToken>T&amp;</SessionToken><SecretAccessKey>S\
                     </SecretAccessKey><Expiration>2027-01-01T00:00:00Z</Expiration>\
                     <AccessKeyId>A</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>\
                     </AssumeRoleWithWebIdentityResponse>";
        let found = parse(sound).unwrap();
        let told = (found.access_key_id(), found.secret_access_key(), found.session_token());
        assert_eq!(told, ("A", "S", Some("T&")));
        assert!(found.expiry().is_some());
        let half = sound.replace("AccessKeyId", "Key");
        assert_eq!(parse(&half).unwrap_err(), "expected credentials with AccessKeyId, found none");
    }
}
