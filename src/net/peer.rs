//! How nodes of one fleet know each other: a proof that its sender has the secret of `[peer]`.
//!
//! Edge and shield derive the same proof from the secret, and the edge sends it with each request,
//! over TLS or within one machine only. Whoever sees it could ask as a peer, but cannot tell the
//! secret from it. Invariant: the proof is never printed, and compared in constant time.

use http::{HeaderName, HeaderValue};

use crate::config::secret::{Secret, base64url, same_bytes};

/// The field that bears the proof.
pub const PEER: HeaderName = HeaderName::from_static("headland-peer");

/// Keeps this use of the secret apart from any other, and from later versions of the proof.
const CONTEXT: &str = "headland peer 1";

/// The proof of a fleet's secret.
#[derive(Clone, Debug)]
pub struct PeerProof(HeaderValue);

impl PeerProof {
    /// The proof of whoever has `secret`: 32 bytes derived from it, as base64url.
    pub fn new(secret: &Secret) -> Self {
        let proof = base64url(&blake3::derive_key(CONTEXT, secret.reveal().as_bytes()));
        // Letters, digits, "-" and "_" are always a field value.
        let mut value =
            HeaderValue::try_from(proof).unwrap_or_else(|_| HeaderValue::from_static(""));
        // Neither printed nor kept in the tables of HPACK.
        value.set_sensitive(true);
        Self(value)
    }

    /// The value of [`PEER`] to send.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Whether the value of [`PEER`] in a request proves that its sender has the secret.
    pub fn is_proven_by(&self, value: &[u8]) -> bool {
        !value.is_empty() && same_bytes(self.0.as_bytes(), value)
    }
}

impl PartialEq for PeerProof {
    fn eq(&self, other: &Self) -> bool {
        self.is_proven_by(other.0.as_bytes())
    }
}

impl Eq for PeerProof {}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(secret: &str) -> PeerProof {
        PeerProof::new(&Secret::new(secret))
    }

    #[test]
    fn the_proof_is_the_same_for_ever() {
        let header = proof("a secret of a fleet").header();
        assert_eq!(header.as_bytes(), b"PcmxU_Och_17ExohM0XbAhig4mJNhoJA0orDVqEeabE");
    }

    #[test]
    fn only_the_same_secret_proves() {
        let (ours, header) = (proof("a secret of a fleet"), proof("a secret of a fleet").header());
        assert!(ours.is_proven_by(header.as_bytes()));
        let cut = &header.as_bytes()[..42];
        let other = proof("another secret of it").header();
        for wrong in [&b""[..], b"a secret of a fleet", cut, other.as_bytes()] {
            assert!(!ours.is_proven_by(wrong));
        }
    }

    #[test]
    fn nobody_prints_it() {
        let ours = proof("a secret of a fleet");
        assert_eq!(format!("{ours:?} {:?}", ours.header()), "PeerProof(Sensitive) Sensitive");
    }
}
