//! What the demo's processes prove to each other and to clients: certificates, the secret of the
//! peers, tokens. Made for one run, and written into its folder.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::cli::token::{self, NoRandom};
use crate::config::secret::{Secret, TokenHash};

/// File of the throw-away certificate authority.
pub(super) const CA: &str = "ca.pem";

/// File of the token for whoever tries the demo: it may do everything.
pub(super) const TOKEN: &str = "admin.token";

/// File of what edges and shield prove to each other.
pub(super) const PEER_SECRET: &str = "peer.secret";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// No certificate.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// No token.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// A file cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// Writes all of them, with a token for each of `nodes`; the `[[token]]` tables by which the
/// control plane knows them.
pub(super) fn make(folder: &Path, nodes: &[&str]) -> Result<String, KeyError> {
    write_certificate(folder)?;
    fs::write(folder.join(PEER_SECRET), token::random()?)?;
    let mut tables = String::new();
    let nodes = nodes.iter().map(|name| (*name, "node", format!("{name}.token")));
    for (name, role, file) in nodes.chain([("you", "admin", TOKEN.to_owned())]) {
        let token = token::random()?;
        let hash = TokenHash::of(&Secret::new(token.as_str()));
        // Writing to a String cannot fail.
        let _ =
            writeln!(tables, "[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{hash}\"");
        fs::write(folder.join(file), token)?;
    }
    Ok(tables)
}

/// A certificate for this machine by a throw-away authority.
fn write_certificate(folder: &Path) -> Result<(), KeyError> {
    let authority_key = rcgen::KeyPair::generate()?;
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Headland demo");
    let ca = authority.self_signed(&authority_key)?;
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let leaf = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let files = [(CA, ca.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())];
    files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))?;
    Ok(())
}
