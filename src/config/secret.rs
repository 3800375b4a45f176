//! Secrets that never print, and are compared in a time that does not tell how much was right.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A secret in clear: a bearer token as it came with a request. Prints as `…`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes hold of a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that has to send or hash it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Bytes that a secret has at least.
pub(super) const SECRET_MIN: usize = 16;

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("expected {}, found {}: {cause}", SecretFault::EXPECTED, file.display())]
pub struct SecretFault {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

impl SecretFault {
    /// What such a file has to hold.
    pub(super) const EXPECTED: &'static str = "a text of at least 16 bytes";
}

/// Reads a secret.
pub(super) fn read_secret(file: &Path) -> Result<Secret, SecretFault> {
    let fault = |cause| SecretFault { file: file.to_owned(), cause };
    let text = fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
    match text.trim() {
        secret if secret.len() < SECRET_MIN => Err(fault(format!("{} bytes", secret.len()))),
        secret => Ok(Secret::new(secret)),
    }
}

/// What a config keeps of a token: its BLAKE3 hash, written `blake3:` and 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &Secret) -> Self {
        Self(*blake3::hash(token.0.as_bytes()).as_bytes())
    }

    /// Whether this is the hash of `token`.
    pub fn matches(&self, token: &Secret) -> bool {
        *self == Self::of(token)
    }

    /// Reads the form in which a config writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(text.strip_prefix("blake3:")?).ok()?;
        Some(Self(*hash.as_bytes()))
    }
}

impl Default for TokenHash {
    /// All zero, which is the hash of no known token.
    fn default() -> Self {
        Self([0; 32])
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(&self.0, &other.0)
    }
}

impl Eq for TokenHash {}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Compares every byte whatever the earlier ones were; only the lengths are told by the time.
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |bits, (x, y)| bits | (x ^ y));
    // Keeps the optimiser from turning the fold into an early exit.
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

/// Bytes as text that needs no quoting anywhere (RFC 4648 section 5, without padding).
pub fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        // One digit more than there are bytes: each digit holds six bits.
        for digit in 0..=chunk.len() {
            let index = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints() {
        let token = Secret::new("hl_abc");
        assert_eq!(format!("{token:?} {:?}", TokenHash::of(&token)), "… …");
    }

    #[test]
    fn compares() {
        assert_eq!(Secret::new("hl_abc"), Secret::new("hl_abc"));
        for other in ["", "hl_ab", "hl_abd", "hl_abcd"] {
            assert_ne!(Secret::new("hl_abc"), Secret::new(other));
        }
    }

    #[test]
    fn a_hash_is_written_and_read_back() {
        let token = Secret::new("hl_abc");
        let written = TokenHash::of(&token).to_string();
        assert_eq!(written.len(), "blake3:".len() + 64);
        let read = TokenHash::parse(&written).unwrap();
        assert!(read.matches(&token) && !read.matches(&Secret::new("hl_abd")));
        for wrong in ["", "blake3:", "blake3:12", "sha256:00", &written[7..]] {
            assert!(TokenHash::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn base64url_is_that_of_the_rfc() {
        // RFC 4648 section 10.
        let cases = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        assert_eq!(base64url(&[0; 32]).len(), 43);
    }
}
