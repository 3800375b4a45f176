//! Which countries' clients are let in.

use std::fs;

use super::super::{Access, Denial};
use super::{get, rules};
use crate::config::Config;
use crate::site::countries::mmdb;
use crate::site::{Generations, SiteRules, SiteTable};

fn geo(folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("countries.mmdb");
    let networks = [("192.0.2.0/24", "DE"), ("198.51.100.0/24", "FR")];
    fs::write(&file, mmdb::database(&networks)).unwrap();
    format!("[geo]\ndatabase = \"{}\"\n", file.display())
}

#[test]
fn clients_are_let_in_by_country() {
    let folder = tempfile::tempdir().unwrap();
    let geo = geo(&folder);
    let cases = [
        ("country_allow = [\"de\"]", [true, false, false]),
        ("country_allow = [\"DE\", \"FR\"]\ncountry_deny = [\"FR\"]", [true, false, false]),
        ("country_deny = [\"FR\"]", [true, false, true]),
        ("country_deny = [\"FR\"]\nip_deny = [\"192.0.2.0/24\"]", [false, false, true]),
    ];
    for (lines, expected) in cases {
        let rules = rules(&format!("{lines}\n{geo}"));
        let clients = ["192.0.2.1", "198.51.100.1", "203.0.113.1"];
        let admitted = clients.map(|client| {
            let judged = get("https://example.com/").client(client.parse().unwrap());
            match judged.judged(&rules) {
                Access::Admit => true,
                Access::Refuse(Denial::Country | Denial::Address) => false,
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(admitted, expected, "{lines}");
    }
}

#[test]
fn a_country_is_known_where_a_key_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[listen]\nhttp = [\"127.0.0.1:0\"]\n[[origin]]\nname = \"app\"\n\
         servers = [{{ url = \"http://a.example\" }}]\n[[site]]\nname = \"shop\"\n\
         hosts = [\"example.com\"]\norigin = \"app\"\nkey.country = true\n{}",
        geo(&folder)
    );
    let config = Config::parse(&text, "t.toml", "/".as_ref(), &|_| None).unwrap();
    let rules = SiteRules::read(&config.sites, &config.geo).unwrap();
    let generations = Generations::default().next(&config.sites);
    let table = SiteTable::from_config(&config.sites, rules, &generations, |_| 0);
    assert!(table.tells());
    let of = |client: &str| table.country_of(client.parse().unwrap()).map(|it| it.to_string());
    assert_eq!((of("192.0.2.1").as_deref(), of("203.0.113.1")), (Some("DE"), None));
    // What is published may ask for what this node has not.
    let fault = SiteRules::read(&config.sites, &Default::default()).unwrap_err();
    assert_eq!(fault.to_string(), "site shop: geo.database: found none");
    fs::write(folder.path().join("countries.mmdb"), "damaged").unwrap();
    let fault = SiteRules::read(&config.sites, &config.geo).unwrap_err().to_string();
    assert!(fault.starts_with("geo.database: "), "{fault}");
}
