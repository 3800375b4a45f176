//! `[geo]`: where clients are.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::reference::Sample::Commented;
use super::section::section;

section! {
    /// Where clients are.
    pub struct Geo {
        /// A database of countries in MaxMind's format (GeoLite2-Country.mmdb and kin), for the
        /// country_allow, country_deny and key.country of sites. Read when the config is.
        database: Option<PathBuf> = None, Commented(r#""GeoLite2-Country.mmdb""#);
    }
}

/// Bytes that a database has at most: it stays in memory.
const DATABASE_MAX: u64 = 512 << 20;

impl Geo {
    /// The bytes of the database; `None` where none is named.
    ///
    /// # Errors
    /// The file system's, or it is too large.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = &self.database else { return Ok(None) };
        match std::fs::metadata(file)?.len() > DATABASE_MAX {
            true => Err(io::Error::other("more than 512 MiB")),
            false => std::fs::read(file).map(Some),
        }
    }
}

/// A country by its two letters (ISO 3166-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads `DE` or `de`.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        let is_code = letters.iter().all(u8::is_ascii_alphabetic);
        is_code.then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}
