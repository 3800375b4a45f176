//! Which country a client is in, by a database in MaxMind's format. Pure.

use std::fmt;
use std::net::IpAddr;

use maxminddb::{Reader, path};

use crate::config::geo::Country;

/// The countries of networks.
pub struct Countries(Reader<Vec<u8>>);

impl Countries {
    /// Reads the bytes of a database.
    ///
    /// # Errors
    /// They are none.
    pub fn new(database: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(database).map(Self).map_err(|error| error.to_string())
    }

    /// Where an address is, if that is known.
    pub fn of(&self, client: IpAddr) -> Option<Country> {
        let found = self.0.lookup(client.to_canonical()).ok()?;
        let code: &str = found.decode_path(&path!["country", "iso_code"]).ok()??;
        Country::parse(code)
    }
}

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Countries")
    }
}

#[cfg(test)]
#[path = "../../tests/support/mmdb.rs"]
pub(super) mod mmdb;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_found() {
        let networks =
            [("192.0.2.0/24", "DE"), ("198.51.100.128/25", "FR"), ("2001:db8::/32", "CH")];
        let countries = Countries::new(mmdb::database(&networks)).unwrap();
        for (client, country) in [
            ("192.0.2.7", Some("DE")),
            ("::ffff:192.0.2.7", Some("DE")),
            ("192.0.3.7", None),
            ("198.51.100.128", Some("FR")),
            ("198.51.100.127", None),
            ("2001:db8:1::1", Some("CH")),
            ("2001:db9::1", None),
        ] {
            let found = countries.of(client.parse().unwrap()).map(|it| it.to_string());
            assert_eq!(found.as_deref(), country, "{client}");
        }
    }

    #[test]
    fn what_is_damaged_is_refused_or_knows_nothing() {
        assert!(Countries::new(b"nothing".to_vec()).is_err());
        let whole = mmdb::database(&[("192.0.2.0/24", "DE")]);
        for cut in 1..whole.len() {
            // The end holds what says how to read the rest.
            if let Ok(countries) = Countries::new(whole[cut..].to_vec()) {
                let _nothing_or_something = countries.of([192, 0, 2, 7].into());
            }
        }
        let mut odd = whole.clone();
        for at in 0..odd.len() {
            odd[at] ^= 0xff;
            if let Ok(countries) = Countries::new(odd.clone()) {
                let _nothing_or_something = countries.of([192, 0, 2, 7].into());
            }
            odd[at] ^= 0xff;
        }
    }
}
