//! What time does to a connection: every wait for the client has an end, and every response that
//! waits is looked at now and then.

use std::time::Duration;

use tokio::time::Instant;

use super::frame::{self, Code, FrameHead, kind};
use super::session::{Goaway, Opening, Session};
use super::streams::ResponseSide;
use crate::net::{Handler, Outcome};

/// How long a client may take to answer the PING of a drain.
pub(super) const DRAIN_ROUND_TRIP: Duration = Duration::from_secs(1);

impl<H: Handler> Session<H> {
    /// When [`expire`](Self::expire) is to be called next.
    pub(super) fn deadline(&self) -> Instant {
        let mut deadline = match self.streams.first_key_value() {
            // Streams begin in the order of their numbers: the first is the oldest.
            Some((_, stream)) => stream.request.began + self.limits.request_timeout,
            None => self.active + self.limits.idle_timeout,
        };
        if self.opening != Opening::Done {
            deadline = self.active + self.limits.handshake_timeout;
        }
        if let Some(since) = self.partial_since {
            deadline = deadline.min(since + self.limits.header_timeout);
        }
        if let Goaway::Announced(until) = self.goaway {
            deadline = deadline.min(until);
        }
        self.review_at.map_or(deadline, |at| at.min(deadline))
    }

    /// Asks, when it is time, whether the responses on their way may go on. True if one was cut.
    pub(super) fn review(&mut self) -> bool {
        if self.streams.is_empty() && self.output.is_empty() {
            self.review_at = None;
        } else if self.review_at.is_none_or(|at| self.now >= at) {
            return self.cut_or_let_run();
        }
        false
    }

    fn cut_or_let_run(&mut self) -> bool {
        let (handler, now) = (&self.handler, self.now);
        let mut next: Option<Instant> = None;
        let mut may_run = |exchange: &mut H::Exchange| {
            let until = handler.may_run_until(exchange, now.into_std()).map(Instant::from);
            next = next.into_iter().chain(until).min();
            until.is_some()
        };
        let mut cut = Vec::new();
        for (id, stream) in &mut self.streams {
            if let ResponseSide::Sending(sending) = &mut stream.response
                && !may_run(&mut sending.exchange)
            {
                cut.push(*id);
            }
        }
        // Of what is queued to its end only the end of the connection shows that some is missing.
        self.is_cut |= self.output.complete_mut().any(|exchange| !may_run(exchange));
        self.review_at = next;
        for id in &cut {
            self.cut(*id);
        }
        self.is_cut || !cut.is_empty()
    }

    /// Resets a stream, and lets nothing leave of what is queued of its body but the end of a frame
    /// that has begun to.
    fn cut(&mut self, id: u32) {
        let withdrawn = self.output.withdraw(id);
        // The client has counted none of it. One that has widened the window beyond all bounds
        // meanwhile goes without.
        let _ = self.send_window.shift(withdrawn as i64);
        if let Some(stream) = self.streams.get_mut(&id)
            && let ResponseSide::Sending(sending) = &mut stream.response
        {
            sending.framed -= withdrawn as u64;
        }
        frame::put_reset(self.output.small(), id, Code::INTERNAL_ERROR);
        self.remove(id, Outcome::Truncated);
    }

    /// Does what is due at [`now`](Self::now), so that the next deadline lies ahead.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        if self.opening != Opening::Done && now >= self.active + self.limits.handshake_timeout {
            return self.fail(Code::SETTINGS_TIMEOUT, "no SETTINGS in time");
        }
        if self.partial_since.is_some_and(|since| now >= since + self.limits.header_timeout) {
            return self.fail(Code::ENHANCE_YOUR_CALM, "a head too slow");
        }
        if let Goaway::Announced(until) = self.goaway
            && now >= until
        {
            self.finish_drain();
        }
        while let Some((&id, stream)) = self.streams.first_key_value()
            && now >= stream.request.began + self.limits.request_timeout
        {
            frame::put_reset(self.output.small(), id, Code::CANCEL);
            self.remove(id, Outcome::ClientGone);
        }
        let idle = self.streams.is_empty() && self.opening == Opening::Done;
        if idle && now >= self.active + self.limits.idle_timeout {
            if self.output.is_empty() {
                self.finish_drain();
            } else {
                self.fail(Code::ENHANCE_YOUR_CALM, "the last bytes were not taken");
            }
        }
    }

    /// Notes whether `input`, from which every whole frame was taken, ends in a part of a head.
    /// Content has no time limit of its own, it has a pace; and what we leave unread because the
    /// output is long is not the client's fault.
    pub(super) fn note_partial(&mut self, input: &[u8]) {
        let unread = self.output.queued() >= self.limits.connection_buffer;
        let begun = match input.first_chunk().map(FrameHead::parse) {
            Some(head) => head.kind != kind::DATA,
            None => !input.is_empty(),
        };
        if !unread && (begun || self.block.is_some()) {
            self.partial_since.get_or_insert(self.now);
        } else {
            self.partial_since = None;
        }
    }

    /// Whether neither side waits for the other.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.block.is_none() && self.output.is_empty()
    }

    /// Whether the client is waited for: to take what is sent, or to send what a handler reads.
    pub(super) fn waits_for_client(&self) -> bool {
        // What is neither scheduled nor waiting for its body waits for a window.
        !self.output.is_empty()
            || !self.schedule.is_empty()
            || self.streams.values().any(|stream| {
                let content = &stream.request.content;
                content.as_ref().is_some_and(|content| content.waits_for_client())
                    || match &stream.response {
                        ResponseSide::Waiting(_) => false,
                        ResponseSide::Sending(sending) => {
                            sending.has_data() && stream.request.window.available() == 0
                        }
                    }
            })
    }
}
