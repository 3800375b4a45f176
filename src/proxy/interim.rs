//! Interim responses, from the server that is asked to the one client for whom it is (RFC 9110
//! section 15.2): early hints above all (RFC 8297).
//!
//! Whoever joins a flight gets none, nor is one stored: what they say of the response, its own head
//! says as well.

use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::context::Journey;
use super::head::interim_lines;
use crate::message::{Interim, OnInterim};

/// Interim responses that wait for a client; what comes beyond is left out.
pub(super) const INTERIM_MAX: usize = 8;

impl Journey {
    /// Who is told of interim responses; `None` where nobody waits for any.
    pub(super) fn on_interim(&self) -> Option<OnInterim> {
        let (sender, route) = (self.interim.clone()?, self.route.clone());
        Some(OnInterim::new(move |status, headers: &HeaderMap| {
            // Each belongs to its connection: nobody here has asked for either.
            if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
                return;
            }
            let block = interim_lines(headers.clone(), &route.response_headers);
            // Nobody waits any more, or too many wait.
            let _sent = sender.try_send(Interim { status, block }).is_ok();
        }))
    }

    /// The same journey, with a way for interim responses to its client.
    pub(super) fn with_interim(self) -> (Self, mpsc::Receiver<Interim>) {
        let (sender, receiver) = mpsc::channel(INTERIM_MAX);
        (Self { interim: Some(sender), ..self }, receiver)
    }
}
