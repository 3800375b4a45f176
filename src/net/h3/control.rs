//! The streams that a client opens one way: its control stream and those of QPACK.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use quinn_proto::{Connection, ReadError, StreamId};
use smallvec::SmallVec;

use super::code::{Code, Failure};
use super::frame::{Frame, FrameReader, kind, put_header, put_varint, varint};

/// Stream types (RFC 9114 section 6.2, RFC 9204 section 4.2).
const CONTROL: u64 = 0x0;
const PUSH: u64 = 0x1;
const QPACK_ENCODER: u64 = 0x2;
const QPACK_DECODER: u64 = 0x3;

/// The setting that names the largest field section taken (RFC 9114 section 7.2.4.1).
const MAX_FIELD_SECTION_SIZE: u64 = 0x6;
/// The longest frame taken on the control stream; SETTINGS of real clients take some 50 bytes.
const LONGEST_FRAME: usize = 4096;
/// Set Dynamic Table Capacity to zero: the one instruction that a table of no capacity allows.
const CAPACITY_ZERO: u8 = 0x20;
/// Settings of HTTP/2 that must not be sent (RFC 9114 section 7.2.4.1).
const FORBIDDEN_SETTINGS: [u64; 5] = [0x0, 0x2, 0x3, 0x4, 0x5];

/// Appends how a control stream begins: its type and SETTINGS. What is left out stands at its
/// default, which for QPACK is no dynamic table.
pub(super) fn put_opening(out: &mut Vec<u8>, field_section_size: u64) {
    let mut settings = Vec::new();
    put_varint(&mut settings, MAX_FIELD_SECTION_SIZE);
    put_varint(&mut settings, field_section_size);
    put_varint(out, CONTROL);
    put_header(out, kind::SETTINGS, settings.len() as u64);
    out.extend(settings);
}

/// What the client told so far. Bounded by the number of streams it may open at a time.
#[derive(Debug, Default)]
pub(super) struct Control {
    streams: BTreeMap<StreamId, Role>,
    /// Roles taken; each may be taken once.
    control: bool,
    encoder: bool,
    decoder: bool,
}

#[derive(Debug)]
enum Role {
    /// The type has not come whole yet.
    Unknown(SmallVec<[u8; 8]>),
    Control {
        reader: FrameReader,
        settings: bool,
    },
    Encoder,
    Decoder,
}

impl Control {
    /// The client has opened a stream.
    pub(super) fn open(&mut self, id: StreamId) {
        self.streams.insert(id, Role::Unknown(SmallVec::new()));
    }

    /// Reads what has come on a stream.
    pub(super) fn read(&mut self, id: StreamId, transport: &mut Connection) -> Result<(), Failure> {
        let (chunks, ended) = read_all(id, transport);
        for chunk in chunks {
            if !self.take(id, chunk)? {
                // RFC 9114 section 6.2.3. Fails only if the stream has ended.
                let _ = transport.recv_stream(id).stop(Code::STREAM_CREATION_ERROR.into());
                self.streams.remove(&id);
                return Ok(());
            }
        }
        match self.streams.get(&id) {
            Some(Role::Unknown(_)) if ended => {
                self.streams.remove(&id);
                Ok(())
            }
            // RFC 9114 section 6.2.1, RFC 9204 section 4.2.
            Some(_) if ended => Err(Failure::Connection(Code::CLOSED_CRITICAL_STREAM)),
            _ => Ok(()),
        }
    }

    /// False if the stream is of no use.
    fn take(&mut self, id: StreamId, mut chunk: Bytes) -> Result<bool, Failure> {
        let Some(role) = self.streams.get_mut(&id) else { return Ok(false) };
        if let Role::Unknown(partial) = role {
            let had = partial.len();
            partial.extend_from_slice(&chunk[..chunk.len().min(8 - had)]);
            let mut rest = &partial[..];
            let Some(kind) = varint(&mut rest) else { return Ok(true) };
            chunk.advance(partial.len() - rest.len() - had);
            let (taken, next) = match kind {
                CONTROL => {
                    let reader = FrameReader::new(LONGEST_FRAME);
                    (&mut self.control, Role::Control { reader, settings: false })
                }
                QPACK_ENCODER => (&mut self.encoder, Role::Encoder),
                QPACK_DECODER => (&mut self.decoder, Role::Decoder),
                // RFC 9114 section 6.2.2: only servers push.
                PUSH => return Err(Failure::Connection(Code::STREAM_CREATION_ERROR)),
                _ => return Ok(false),
            };
            if std::mem::replace(taken, true) {
                return Err(Failure::Connection(Code::STREAM_CREATION_ERROR));
            }
            *role = next;
        }
        match role {
            Role::Control { reader, settings } => {
                while let Some(frame) = reader.read(&mut chunk) {
                    take_frame(frame, settings)?;
                }
            }
            Role::Encoder if chunk.iter().any(|&byte| byte != CAPACITY_ZERO) => {
                return Err(Failure::Connection(Code::QPACK_ENCODER_STREAM_ERROR));
            }
            _ => {}
        }
        Ok(true)
    }
}

#[cfg(any(test, fuzzing))]
impl Control {
    /// Hears the pieces of the client's stream number `index`.
    pub(super) fn hear<'a>(
        &mut self,
        index: u64,
        mut pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<bool, Failure> {
        let id = StreamId::new(quinn_proto::Side::Client, quinn_proto::Dir::Uni, index);
        self.open(id);
        pieces.try_fold(true, |useful, piece| {
            Ok(useful && self.take(id, Bytes::copy_from_slice(piece))?)
        })
    }
}

fn take_frame(frame: Frame, settings: &mut bool) -> Result<(), Failure> {
    let code = match frame {
        Frame::Whole(kind::SETTINGS, payload) if !*settings => {
            *settings = true;
            return check_settings(&payload).map_err(Failure::Connection);
        }
        // RFC 9114 section 6.2.1.
        _ if !*settings => Code::MISSING_SETTINGS,
        Frame::Whole(kind::GOAWAY | kind::MAX_PUSH_ID, payload) => {
            let mut rest = &payload[..];
            if varint(&mut rest).is_some() && rest.is_empty() {
                return Ok(());
            }
            Code::FRAME_ERROR
        }
        // RFC 9114 section 7.2.3: no push was ever promised.
        Frame::Whole(kind::CANCEL_PUSH, _) => Code::ID_ERROR,
        Frame::TooLong(kind::SETTINGS) => Code::EXCESSIVE_LOAD,
        Frame::TooLong(kind::GOAWAY | kind::MAX_PUSH_ID | kind::CANCEL_PUSH) => Code::FRAME_ERROR,
        Frame::Data(_) | Frame::Whole(..) | Frame::TooLong(_) => Code::FRAME_UNEXPECTED,
    };
    Err(Failure::Connection(code))
}

/// The client's settings concern what is not done here: a dynamic table, datagrams, CONNECT. They
/// only have to be sound.
fn check_settings(mut payload: &[u8]) -> Result<(), Code> {
    let mut seen: SmallVec<[u64; 8]> = SmallVec::new();
    while !payload.is_empty() {
        let id = varint(&mut payload).ok_or(Code::FRAME_ERROR)?;
        varint(&mut payload).ok_or(Code::FRAME_ERROR)?;
        if FORBIDDEN_SETTINGS.contains(&id) || seen.contains(&id) {
            return Err(Code::SETTINGS_ERROR);
        }
        seen.push(id);
    }
    Ok(())
}

/// All that has come, and whether the stream has ended.
fn read_all(id: StreamId, transport: &mut Connection) -> (SmallVec<[Bytes; 2]>, bool) {
    let mut pieces = SmallVec::new();
    let mut stream = transport.recv_stream(id);
    let Ok(mut chunks) = stream.read(true) else { return (pieces, false) };
    let ended = loop {
        match chunks.next(usize::MAX) {
            Ok(Some(chunk)) => pieces.push(chunk.bytes),
            Ok(None) | Err(ReadError::Reset(_)) => break true,
            Err(ReadError::Blocked) => break false,
        }
    };
    // Packets are sent after the turn in any case.
    let _ = chunks.finalize();
    (pieces, ended)
}

#[cfg(test)]
mod tests {
    use quinn_proto::{Dir, Side};

    use super::*;

    fn feed(control: &mut Control, index: u64, bytes: &[u8]) -> Result<bool, Failure> {
        let id = StreamId::new(Side::Client, Dir::Uni, index);
        control.open(id);
        bytes.iter().try_fold(true, |_, &byte| control.take(id, Bytes::copy_from_slice(&[byte])))
    }

    fn code_of(bytes: &[u8]) -> Result<bool, Code> {
        feed(&mut Control::default(), 0, bytes).map_err(|failure| match failure {
            Failure::Connection(code) => code,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_control_stream_is_checked() {
        assert_eq!(code_of(b"\x00\x04\x00"), Ok(true));
        assert_eq!(code_of(b"\x00\x04\x03\x06\x44\x00\x0d\x01\x09\x07\x01\x00"), Ok(true));
        assert_eq!(code_of(b"\x00\x21\x01x\x04\x00"), Ok(true), "an unknown frame is skipped");
        assert_eq!(code_of(b"\x00\x0d\x01\x09"), Err(Code::MISSING_SETTINGS));
        assert_eq!(code_of(b"\x00\x04\x00\x04\x00"), Err(Code::FRAME_UNEXPECTED));
        assert_eq!(code_of(b"\x00\x04\x02\x04\x01"), Err(Code::SETTINGS_ERROR));
        assert_eq!(code_of(b"\x00\x04\x04\x06\x01\x06\x01"), Err(Code::SETTINGS_ERROR));
        assert_eq!(code_of(b"\x00\x04\x01\x06"), Err(Code::FRAME_ERROR));
        assert_eq!(code_of(b"\x00\x04\x00\x00\x01x"), Err(Code::FRAME_UNEXPECTED));
        assert_eq!(code_of(b"\x00\x04\x00\x02\x00"), Err(Code::FRAME_UNEXPECTED));
        assert_eq!(code_of(b"\x00\x04\x00\x03\x01\x00"), Err(Code::ID_ERROR));
        assert_eq!(code_of(b"\x00\x04\x00\x07\x02\x00\x00"), Err(Code::FRAME_ERROR));
    }

    #[test]
    fn other_streams_have_their_rules() {
        assert_eq!(code_of(b"\x02\x20"), Ok(true));
        assert_eq!(code_of(b"\x02\x3f\x01"), Err(Code::QPACK_ENCODER_STREAM_ERROR));
        assert_eq!(code_of(b"\x03\x41"), Ok(true));
        assert_eq!(code_of(b"\x01"), Err(Code::STREAM_CREATION_ERROR));
        assert_eq!(code_of(b"\x40\x21"), Ok(false), "grease is left unread");
        let mut control = Control::default();
        assert_eq!(feed(&mut control, 0, b"\x02"), Ok(true));
        assert_eq!(feed(&mut control, 1, b"\x03"), Ok(true));
        let failure = Failure::Connection(Code::STREAM_CREATION_ERROR);
        assert_eq!(feed(&mut control, 2, b"\x02"), Err(failure));
    }
}
