//! Error codes (RFC 9114 section 8.1, RFC 9204 section 6).

use quinn_proto::VarInt;

/// A code of HTTP/3 or QPACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    pub(super) const NO_ERROR: Self = Self(0x100);
    pub(super) const GENERAL_PROTOCOL_ERROR: Self = Self(0x101);
    pub(super) const INTERNAL_ERROR: Self = Self(0x102);
    pub(super) const STREAM_CREATION_ERROR: Self = Self(0x103);
    pub(super) const CLOSED_CRITICAL_STREAM: Self = Self(0x104);
    pub(super) const FRAME_UNEXPECTED: Self = Self(0x105);
    pub(super) const FRAME_ERROR: Self = Self(0x106);
    pub(super) const EXCESSIVE_LOAD: Self = Self(0x107);
    pub(super) const ID_ERROR: Self = Self(0x108);
    pub(super) const SETTINGS_ERROR: Self = Self(0x109);
    pub(super) const MISSING_SETTINGS: Self = Self(0x10a);
    pub(super) const REQUEST_REJECTED: Self = Self(0x10b);
    pub(super) const REQUEST_CANCELLED: Self = Self(0x10c);
    pub(super) const REQUEST_INCOMPLETE: Self = Self(0x10d);
    pub(super) const MESSAGE_ERROR: Self = Self(0x10e);
    pub(super) const QPACK_DECOMPRESSION_FAILED: Self = Self(0x200);
    pub(super) const QPACK_ENCODER_STREAM_ERROR: Self = Self(0x201);

    /// The code on the wire.
    pub(super) const fn value(self) -> VarInt {
        VarInt::from_u32(self.0)
    }
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        code.value()
    }
}

/// What ends a stream, or the connection with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The peer broke a rule that concerns all streams: the connection is closed.
    Connection(Code),
    /// The stream is reset on our side, both ways.
    Stream(Code),
    /// The client gave the stream up.
    ClientGone,
}
