//! A stream whose handler is at work: interim responses go out while it is waited for.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use quinn_proto::{Connection, StreamId, WriteError};

use super::code::Failure;
use super::outgoing::put_interim;
use crate::message::Interim;
use crate::net::{Later, Reply, Waited};

/// A handler at work.
pub(super) struct Waiting<X> {
    later: Later<X>,
    /// Interim responses that the transport has not taken yet.
    owed: Bytes,
}

impl<X> Waiting<X> {
    pub(super) fn new(later: Later<X>) -> Self {
        Self { later, owed: Bytes::new() }
    }

    /// The handler reads what the client holds back.
    pub(super) fn owe_continue(&mut self, buffer: &mut BytesMut) {
        let (status, block) = (StatusCode::CONTINUE, Default::default());
        self.owe(&Interim { status, block }, buffer);
    }

    /// Polls the handler. With its reply what is still owed stands in `buffer`, for the head to
    /// follow.
    pub(super) fn poll(
        &mut self,
        id: StreamId,
        transport: &mut Connection,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Result<Option<Reply<X>>, Failure> {
        let reply = loop {
            match self.later.poll_next(cx) {
                Poll::Ready(Waited::Interim(interim)) => self.owe(&interim, buffer),
                Poll::Ready(Waited::Reply(reply)) => break Some(reply),
                Poll::Pending => break None,
            }
        };
        if !self.owed.is_empty() {
            let mut chunks = [std::mem::take(&mut self.owed)];
            let written = transport.send_stream(id).write_chunks(&mut chunks);
            [self.owed] = chunks;
            if let Err(WriteError::Stopped(_) | WriteError::ClosedStream) = written {
                return Err(Failure::ClientGone);
            }
        }
        if reply.is_some() {
            buffer.extend_from_slice(&self.owed);
        }
        Ok(reply)
    }

    fn owe(&mut self, interim: &Interim, buffer: &mut BytesMut) {
        put_interim(buffer, interim);
        let more = buffer.split().freeze();
        self.owed =
            if self.owed.is_empty() { more } else { [&self.owed[..], &more].concat().into() };
    }
}
