//! Signature Version 4 of a request for an object, in its fields. Pure.
//!
//! Signed are `Host`, `Range` and all that begins with `x-amz-`, as AWS asks for, and that there is
//! no content. Conditions are not: they may be there or not, and widen nothing.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::{HOST, RANGE};
use http::{HeaderName, HeaderValue};

use crate::net::client::OutgoingRequest;

/// Adds the fields of the signature to a request that is changed no more.
///
/// # Errors
/// It cannot be signed, in words.
pub(super) fn add_signature(
    request: &mut OutgoingRequest,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<(), String> {
    let mut settings = SigningSettings::default();
    // Of S3: the path is signed as it is written, and the content's hash is told.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let target = std::str::from_utf8(&request.target).map_err(|error| error.to_string())?;
    let fields = request.headers.iter().filter(|(name, _)| is_signed(name));
    let fields = fields.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = SignableBody::Bytes(&[]);
    let signable = SignableRequest::new(request.method.as_str(), target, fields, body)
        .map_err(|error| error.to_string())?;
    let (instructions, _) =
        sign(signable, &parameters).map_err(|error| error.to_string())?.into_parts();
    let (fields, _) = instructions.into_parts();
    for field in fields {
        let mut value = HeaderValue::try_from(field.value()).map_err(|error| error.to_string())?;
        value.set_sensitive(field.sensitive());
        request.headers.insert(HeaderName::from_static(field.name()), value);
    }
    Ok(())
}

fn is_signed(name: &HeaderName) -> bool {
    *name == HOST || *name == RANGE || name.as_str().starts_with("x-amz-")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, Method};

    use super::*;
    use crate::message::Body;

    /// 2013-05-24T00:00:00Z.
    const THEN: Duration = Duration::from_secs(1_369_353_600);

    fn signed(target: &str, fields: &[(&'static str, &str)], token: Option<&str>) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap())
        });
        let mut request = OutgoingRequest {
            method: Method::GET,
            target: target.to_owned().into(),
            headers: fields.collect(),
            body: Body::Empty,
            content_length: None,
            on_interim: None,
        };
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            token.map(str::to_owned),
            None,
            "test",
        );
        add_signature(&mut request, "us-east-1", credentials, UNIX_EPOCH + THEN).unwrap();
        request.headers
    }

    fn told<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        headers[name].to_str().unwrap()
    }

    /// Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header", the
    /// first of its examples.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let fields = [("host", "examplebucket.s3.amazonaws.com"), ("range", "bytes=0-9")];
        let headers = signed("/test.txt", &fields, None);
        assert_eq!(
            told(&headers, "authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(told(&headers, "x-amz-date"), "20130524T000000Z");
        assert_eq!(
            told(&headers, "x-amz-content-sha256"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_session_token_and_what_is_paid_are_signed_and_conditions_are_not() {
        let fields = [
            ("host", "b.s3.amazonaws.com"),
            ("if-none-match", "\"é\""),
            ("x-amz-request-payer", "requester"),
        ];
        let headers = signed("/a%20b", &fields, Some("token"));
        let authorization = told(&headers, "authorization");
        let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-request-payer;\
                     x-amz-security-token,";
        assert!(authorization.contains(names), "{authorization}");
        assert_eq!(told(&headers, "x-amz-security-token"), "token");
        assert!(headers["x-amz-security-token"].is_sensitive());
    }
}
