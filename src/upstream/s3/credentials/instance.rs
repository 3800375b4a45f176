//! The metadata service of a machine, in its second version: a session, then the credentials of
//! the role that the machine has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use http::{HeaderName, Method};
use serde_json::Value;

use super::ask::{Question, Service};
use crate::config::address::{Endpoint, Scheme};
use crate::config::moment::Moment;
use crate::net::client::Egress;
use crate::upstream::error::SetupError;

/// Its address on every machine.
const ADDRESS: &str = "169.254.169.254";

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const SESSION_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const SESSION: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

#[derive(Debug)]
pub(in crate::upstream::s3) struct Instance {
    service: Service,
}

impl Instance {
    pub(super) fn new(endpoint: Option<Endpoint>, egress: &Egress) -> Result<Self, SetupError> {
        let usual = || Endpoint { scheme: Scheme::Http, host: ADDRESS.to_owned(), port: 80 };
        Ok(Self { service: Service::new(endpoint.unwrap_or_else(usual), egress)? })
    }

    pub(super) async fn obtain(&self) -> Result<Credentials, String> {
        let service = &self.service;
        let fields = [(SESSION_TTL, "60")];
        let (method, path) = (Method::PUT, "/latest/api/token");
        let session = Question { method, path, fields: &fields, form: None };
        let session = service.ask(session).await?;
        let fields = [(SESSION, session.trim())];
        let get =
            |path| service.ask(Question { method: Method::GET, path, fields: &fields, form: None });
        let roles = get(ROLES).await?;
        let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
        let path = format!("{ROLES}{}", role.ok_or("the machine has no role")?);
        parse(&get(&path).await?)
    }
}

fn parse(text: &str) -> Result<Credentials, String> {
    let told: Value =
        serde_json::from_str(text).map_err(|_| "expected credentials in JSON".to_owned())?;
    if let Some(code) = told["Code"].as_str().filter(|code| *code != "Success") {
        return Err(format!("expected the code Success, found {code}"));
    }
    let need = |name: &str| {
        told[name].as_str().ok_or_else(|| format!("expected credentials with {name}, found none"))
    };
    let token = Some(need("Token")?.to_owned());
    let ends = moment(need("Expiration")?)?;
    Ok(Credentials::new(
        need("AccessKeyId")?,
        need("SecretAccessKey")?,
        token,
        Some(ends),
        "instance",
    ))
}

/// When credentials end.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    let Moment(seconds) =
        Moment::parse(text).ok_or("expected an Expiration such as 2027-01-01T00:00:00Z")?;
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_says_is_read() {
        let sound = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"A","SecretAccessKey":"S",
                        "Token":"T","Expiration":"2027-01-01T00:00:00Z"}"#;
        let found = parse(sound).unwrap();
        let told = (found.access_key_id(), found.secret_access_key(), found.session_token());
        assert_eq!(told, ("A", "S", Some("T")));
        assert_eq!(found.expiry(), Some(UNIX_EPOCH + Duration::from_secs(1_798_761_600)));
        for (faulty, wrong) in [
            ("<html>", "expected credentials in JSON"),
            (
                r#"{"Code":"AssumeRoleUnauthorizedAccess"}"#,
                "expected the code Success, found AssumeRoleUnauthorizedAccess",
            ),
            (&sound.replace("\"Token\"", "\"Tok\""), "expected credentials with Token, found none"),
            (
                &sound.replace("2027-01", "soon"),
                "expected an Expiration such as 2027-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(parse(faulty).unwrap_err(), wrong);
        }
    }
}
