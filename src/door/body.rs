//! What is sent to a door.

use bytes::BytesMut;
use http::StatusCode;
use serde_json::Value;

use super::Problem;
use crate::message::{Body, Piece};
use crate::object::{CommandFault, PurgeCommand};

/// Bytes of a list of purges: a thousand of a thousand bytes.
pub const PURGES_MAX: usize = 1 << 20;

/// A form or a script of another site can send any type but JSON without asking first.
///
/// # Errors
/// 415 where it is another.
pub fn check_type(content_type: Option<&[u8]>) -> Result<(), Problem> {
    let found = String::from_utf8_lossy(content_type.unwrap_or_default());
    let media = found.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("content-type: expected application/json, found {media:?}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// The whole body, in one piece.
///
/// # Errors
/// 400 where it breaks off, 413 where it is longer than `bytes_max`.
pub async fn read(mut body: Body, bytes_max: usize) -> Result<BytesMut, Problem> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "body: broke off before its end"))?;
        if let Piece::Data(bytes) = piece {
            if whole.len() + bytes.len() > bytes_max {
                let detail = format!("body: expected at most {bytes_max} bytes");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            whole.extend_from_slice(&bytes);
        }
    }
    Ok(whole)
}

/// The purges of a body, and whether they came as a list.
///
/// # Errors
/// What is not as expected, and its place in the list.
pub fn purges(body: &[u8]) -> Result<(Vec<PurgeCommand>, bool), (Option<usize>, CommandFault)> {
    let alone = |fault| (None, fault);
    let (commands, is_list) = match serde_json::from_slice(body) {
        Ok(Value::Array(list)) => (PurgeCommand::list_from_json(&list)?, true),
        Ok(one) => (vec![PurgeCommand::from_json(&one).map_err(alone)?], false),
        Err(error) => return Err(alone(CommandFault::Json(error.to_string()))),
    };
    let asked = |(index, command): (usize, PurgeCommand)| {
        command.asked().map_err(|fault| (is_list.then_some(index), fault))
    };
    let commands: Result<_, _> = commands.into_iter().enumerate().map(asked).collect();
    Ok((commands?, is_list))
}
