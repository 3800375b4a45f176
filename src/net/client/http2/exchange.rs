//! One request, the interim responses to it and its response head.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::{Response, StatusCode};

use super::clock::Clock;
use super::incoming::IncomingBody;
use super::links::Slot;
use super::request::Prepared;
use super::upload::Upload;
use crate::message::{Body, BodyError, BodyErrorKind, OnInterim, Protocol};
use crate::net::client::request::content_length;
use crate::net::client::{ClientError, ClientErrorKind, IncomingResponse, PoolConfig};

/// A failed exchange, with the request where none of it was sent.
pub(super) struct Failed {
    pub(super) error: ClientError,
    pub(super) unsent: Option<Prepared>,
}

/// Sends a request and waits for the response head; what comes before that goes to `on_interim`.
///
/// Cancel safe: dropping the future resets the stream (CANCEL), and harms no other.
pub(super) async fn exchange(
    mut slot: Slot,
    request: Prepared,
    on_interim: Option<&OnInterim>,
    config: &PoolConfig,
) -> Result<IncomingResponse, Failed> {
    let reused = slot.is_reused();
    let Some(sender) = slot.sender() else {
        let detail = "the connection has just closed".to_owned();
        let error = ClientError { kind: ClientErrorKind::Reset, sent: false, reused, detail };
        return Err(Failed { error, unsent: Some(request) });
    };
    let (head, body) = request.into_parts();
    let without_content = matches!(body, Body::Empty);
    let (response, stream) = sender
        .send_request(http::Request::from_parts(head, ()), without_content)
        .map_err(|error| failed(ClientError::unsent(ClientErrorKind::InvalidRequest, error)))?;
    let mut upload = (!without_content).then(|| Upload::new(body, stream));
    let mut clock = Clock::new(config.response_timeout);
    let response = head_of(response, on_interim, &mut upload, &mut clock)
        .await
        .map_err(|(kind, sent, detail)| failed(ClientError { kind, sent, reused, detail }))?;
    let (head, stream) = response.into_parts();
    let body = if stream.is_end_stream() {
        Body::Empty
    } else {
        clock = Clock::new(config.read_timeout);
        Body::Stream(Box::new(IncomingBody::new(stream, upload, clock, slot)))
    };
    Ok(IncomingResponse {
        status: head.status,
        content_length: content_length(&head.headers),
        headers: head.headers,
        body,
        until_close: false,
        reused,
        protocol: Protocol::Http2,
    })
}

/// What went wrong, whether the server may have processed the request, and details.
type Fault = (ClientErrorKind, bool, String);

async fn head_of(
    mut response: ResponseFuture,
    on_interim: Option<&OnInterim>,
    upload: &mut Option<Upload>,
    clock: &mut Clock,
) -> Result<Response<RecvStream>, Fault> {
    poll_fn(|cx| {
        if let Some(sending) = upload {
            let sent = sending.poll(cx);
            if sending.server_is_excused() {
                clock.stop();
            }
            match sent {
                Poll::Ready(Ok(())) => *upload = None,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err((of_body(&error), true, error.to_string())));
                }
                Poll::Pending => {}
            }
        }
        if let Err(fault) = tell_interim(&mut response, on_interim, cx) {
            return Poll::Ready(Err(fault));
        }
        match Pin::new(&mut response).poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|error| fault(&error))),
            Poll::Pending => clock.poll_overdue(cx).map(|()| {
                let detail = "no response head".to_owned();
                Err((ClientErrorKind::ResponseTimeout, true, detail))
            }),
        }
    })
    .await
}

/// Tells of the interim responses that have come. They give the server no more time, so an endless
/// row of them ends with the wait for the head.
fn tell_interim(
    response: &mut ResponseFuture,
    on_interim: Option<&OnInterim>,
    cx: &mut Context<'_>,
) -> Result<(), Fault> {
    while let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
        let interim = interim.map_err(|error| fault(&error))?;
        // RFC 9113 section 8.6: there is no 101 in HTTP/2.
        if interim.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err((ClientErrorKind::BadHead, true, "101 over HTTP/2".to_owned()));
        }
        if let Some(on_interim) = on_interim {
            on_interim.tell(interim.status(), interim.headers());
        }
    }
    Ok(())
}

fn failed(error: ClientError) -> Failed {
    Failed { error, unsent: None }
}

fn fault(error: &h2::Error) -> Fault {
    // RFC 9113 sections 6.8 and 8.7: a stream above the last of a GOAWAY, or refused, was not
    // processed. To streams that may have been, the engine tells the end of the connection instead.
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let unprocessed = error.is_remote() && (error.is_go_away() || refused);
    let kind = if error.is_library() && error.is_reset() {
        ClientErrorKind::BadHead
    } else if error.is_library() {
        ClientErrorKind::Malformed
    } else if error.is_reset() {
        ClientErrorKind::StreamReset
    } else {
        ClientErrorKind::Reset
    };
    (kind, !unprocessed, error.to_string())
}

/// Why the request's body broke off.
fn of_body(error: &BodyError) -> ClientErrorKind {
    match error.kind {
        BodyErrorKind::Timeout => ClientErrorKind::BodyTimeout,
        BodyErrorKind::TooLarge => ClientErrorKind::BodyTooLarge,
        _ => ClientErrorKind::BodyFailed,
    }
}
