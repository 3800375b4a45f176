//! What becomes of a bucket's answer. Pure.
//!
//! ```text
//!  2xx, 304 ──────────────────────────────────► sent on
//!  404 NoSuchKey, of HEAD ────────────────────► not there: the error document, or 404
//!  403 AccessDenied, of HEAD ─────────────────► denied: 403, or as if not there
//!  SignatureDoesNotMatch, ExpiredToken … ─────► refused: no response, 502
//!  404 NoSuchBucket, 301 PermanentRedirect ───► no such bucket here: no response, 502
//!  else ──────────────────────────────────────► its status alone
//! ```
//!
//! Clients read nothing of S3's own errors: they name the bucket, its owner and the key.

use http::StatusCode;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// A response to the request.
    Response,
    /// There is no such object.
    Missing,
    /// Whoever signed may not read it.
    Denied,
    /// Whoever signed is not believed: a fault of the credentials, or of the clock.
    Refused,
    /// There is no such bucket at the endpoint.
    Elsewhere,
    /// Another error, of which the status tells all.
    Error,
}

/// What is the matter with credentials or clock, in S3's words.
const REFUSALS: [&str; 12] = [
    "AccountProblem",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "NotSignedUp",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnauthorizedAccess",
];

/// Whether more than the status has to be known.
pub(super) fn is_error(status: StatusCode) -> bool {
    !status.is_success() && status != StatusCode::NOT_MODIFIED
}

/// Judges an answer by its status, and by the code of an error where it has one.
pub(super) fn judge(status: StatusCode, code: Option<&str>) -> Judgement {
    match (status.as_u16(), code) {
        _ if !is_error(status) => Judgement::Response,
        (_, Some(code)) if REFUSALS.contains(&code) => Judgement::Refused,
        (404, Some("NoSuchBucket")) | (300..=399, _) => Judgement::Elsewhere,
        (404, _) => Judgement::Missing,
        (403, None | Some("AccessDenied")) => Judgement::Denied,
        (401, _) => Judgement::Refused,
        _ => Judgement::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_status_and_code() {
        use Judgement::{Denied, Elsewhere, Error, Missing, Refused, Response};
        for (status, code, judgement) in [
            (200, None, Response),
            (206, None, Response),
            (304, None, Response),
            (404, None, Missing),
            (404, Some("NoSuchKey"), Missing),
            (404, Some("NoSuchBucket"), Elsewhere),
            (403, None, Denied),
            (403, Some("AccessDenied"), Denied),
            (403, Some("InvalidObjectState"), Error),
            (403, Some("SignatureDoesNotMatch"), Refused),
            (403, Some("RequestTimeTooSkewed"), Refused),
            (400, Some("ExpiredToken"), Refused),
            (400, Some("AuthorizationHeaderMalformed"), Refused),
            (401, None, Refused),
            (301, Some("PermanentRedirect"), Elsewhere),
            (307, None, Elsewhere),
            (412, Some("PreconditionFailed"), Error),
            (416, Some("InvalidRange"), Error),
            (400, Some("KeyTooLongError"), Error),
            (503, Some("SlowDown"), Error),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(judge(status, code), judgement, "{status} {code:?}");
        }
    }
}
