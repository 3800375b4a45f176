//! Which variant a response is (RFC 9111 section 4.1).

use smallvec::SmallVec;

use super::VarySpec;

/// The normalised selecting fields of a request. Inline up to 128 bytes: a look-up of a resource
/// that varies allocates nothing.
pub type Selection = SmallVec<[u8; 128]>;

/// By which fields a resource varies, and what the request that brought a response said in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The fields that select.
    pub spec: VarySpec,
    /// Their normalised values.
    pub selection: Selection,
}
