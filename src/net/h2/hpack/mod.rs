//! HPACK, RFC 7541: field lists to bytes and back. Pure.
//!
//! The decoder keeps the dynamic table that the protocol demands, of at most the size that we
//! announced. The encoder is stateless: static names, literal values, nothing indexed; so a
//! response costs no look-up and no memory of its own.

mod decoder;
mod encoder;
mod table;

#[cfg(test)]
mod tests;

pub(super) use decoder::Decoder;
pub(super) use encoder::{Encoder, put_field, put_status};
pub(super) use table::DEFAULT_SIZE;

/// The block cannot be decoded, and with it the state that all later ones need is lost:
/// COMPRESSION_ERROR (RFC 9113 section 4.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;
