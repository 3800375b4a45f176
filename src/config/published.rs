//! Sites and origins as a control plane publishes them to all nodes: `[[origin]]` and `[[site]]`
//! tables alone, by the same rules as in a node's own file.
//!
//! ```text
//!  control plane: check    ${NAME} stands for any value, which is judged where it is known
//!  node:          parse    ${NAME} from the environment of the node
//! ```
//!
//! A published text has no folder, so a path in it is absolute.

use serde_json::{Value, json};

use super::Source;
use super::bucket;
use super::check;
use super::fault::Report;
use super::load::load;
use super::origin::Origin;
use super::reader::{Document, Environment, Surroundings, Table};
use super::rule::Anything;
use super::site::Site;

/// What is published.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Each `[[origin]]`
    pub origins: Vec<Origin>,
    /// Each `[[site]]`
    pub sites: Vec<Site>,
    /// Where all this was said.
    pub source: Source,
}

/// The sections that each node has of its own.
const OWN: [&str; 12] = [
    "node", "listen", "tls", "cache", "shield", "peer", "control", "limits", "logging", "purge",
    "geo", "token",
];

impl Published {
    /// Reads a text as a node does. `name` stands for the file in faults, and `env` gives the
    /// values of variables.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn parse(
        text: &str,
        name: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Report> {
        Self::read(text, name, Some(env))
    }

    /// Reads a text as far as that can be done without a node's environment: what holds a variable
    /// is left out, and taken for right.
    ///
    /// # Errors
    /// Every fault that the text has on any node.
    pub fn check(text: &str, name: &str) -> Result<Self, Report> {
        Self::read(text, name, None)
    }

    fn read(text: &str, name: &str, environment: Option<Environment<'_>>) -> Result<Self, Report> {
        let around = Surroundings { file: name, folder: None, environment };
        let check = |it: &Self, document: &Document<'_>| {
            check::served(&it.origins, &it.sites, document);
        };
        let (mut published, source) = load(text, around, Self::read_table, check)?;
        bucket::settle(&published.origins, &mut published.sites);
        Ok(Self { source, ..published })
    }

    fn read_table(mut table: Table<'_>) -> Self {
        for section in OWN {
            if let Some(own) = table.node(section) {
                own.wrong("[[origin]] and [[site]] alone", "found what each node has of its own");
            }
        }
        let none = Self::default();
        let published = Self {
            origins: table.key("origin", &none.origins, &Anything),
            sites: table.key("site", &none.sites, &Anything),
            source: none.source,
        };
        table.finish();
        published
    }
}

/// Which origins and sites a node serves by, or is to serve by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// Those of its own file.
    #[default]
    Own,
    /// Those of a version that was published.
    Published {
        /// Its number, from 1.
        version: u64,
        /// Of its text.
        hash: blake3::Hash,
    },
}

impl Release {
    /// Its number; 0 stands for a node's own file.
    pub fn number(self) -> u64 {
        match self {
            Self::Own => 0,
            Self::Published { version, .. } => version,
        }
    }

    /// As nodes and control planes tell each other: `{"version":7,"hash":"64 hex"}`, or
    /// `{"version":0}` for a node's own file.
    pub fn to_json(self) -> Value {
        match self {
            Self::Own => json!({ "version": 0 }),
            Self::Published { version, hash } => {
                json!({ "version": version, "hash": hash.to_hex().as_str() })
            }
        }
    }

    /// What [`Self::to_json`] gave, whatever stands beside it; `None` for anything else.
    pub fn from_json(json: &Value) -> Option<Self> {
        match json["version"].as_u64()? {
            0 => Some(Self::Own),
            version => {
                let hash = blake3::Hash::from_hex(json["hash"].as_str()?).ok()?;
                Some(Self::Published { version, hash })
            }
        }
    }
}

/// What tells one published text from every other.
pub fn digest(text: &str) -> blake3::Hash {
    blake3::hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const SOUND: &str = r#"[[origin]]
name = "app"
servers = [{ url = "http://${APP}:3000" }]
[[site]]
name = "shop"
hosts = ["${HOST}", "shop.example"]
origin = "app"
[site.headers.request]
set = { x-key = "${KEY}" }
"#;

    fn environment(name: &str) -> Option<String> {
        ["APP", "HOST", "KEY"].contains(&name).then(|| name.to_lowercase())
    }

    fn lines(report: Result<Published, Report>) -> Vec<String> {
        let report = report.err().unwrap_or_default().to_string();
        report.lines().map(str::to_owned).collect()
    }

    #[test]
    fn variables_are_the_nodes() {
        let read = Published::parse(SOUND, "toml", &environment).unwrap();
        assert_eq!(read.sites[0].hosts.len(), 2);
        assert_eq!(read.origins[0].servers[0].url.to_string(), "http://app:3000");
        assert!(Published::check(SOUND, "toml").is_ok());
        let none = lines(Published::parse(SOUND, "toml", &|_| None));
        let unset = |place: &str, name: &str| format!("toml:{place}: ${{{name}}} is not set");
        let expected = [
            unset("3:20: origin[0].servers[0].url", "APP"),
            unset("6:10: site[0].hosts[0]", "HOST"),
            unset("9:17: site[0].headers.request.set.x-key", "KEY"),
            "3 faults".to_owned(),
        ];
        assert_eq!(none, expected);
    }

    #[test]
    fn what_holds_a_variable_may_be_the_name_that_is_meant() {
        let text = SOUND.replace("name = \"app\"", "name = \"${ORIGIN}\"");
        assert!(Published::check(&text, "toml").is_ok());
        let text = SOUND.replace("origin = \"app\"", "origin = \"${ORIGIN}\"");
        assert!(Published::check(&text, "toml").is_ok());
        let text = SOUND.replace("${KEY}", "${KEY");
        assert!(lines(Published::check(&text, "toml"))[0].ends_with("found \"${\" without \"}\""));
    }

    #[test]
    fn as_many_faults_are_told_as_one_can_read() {
        let site = |number| {
            format!("[[site]]\nname = \"s{number}\"\nhosts = [\"h{number}\"]\norigin = \"x\"\n")
        };
        let text = |sites| SOUND.to_owned() + &(0..sites).map(site).collect::<String>();
        let told = |sites| lines(Published::check(&text(sites), "toml")).split_off(sites.min(100));
        assert_eq!(told(100), ["100 faults"]);
        assert_eq!(told(250), ["100 faults, and 150 more"]);
        // Thousands are found in the time of a few.
        assert_eq!(told(9000), ["100 faults, and 8900 more"]);
    }

    #[test]
    fn what_has_a_fault_beyond_those_that_are_told_is_told_once() {
        let text = SOUND.to_owned() + &"[[site]]\nname = 7\nhosts = [7]\norigin = 7\n".repeat(50);
        let report = Published::check(&text, "toml").unwrap_err();
        assert_eq!((report.faults.len(), report.more), (100, 50));
    }

    #[test]
    fn faults_do_not_tell_what_variables_stand_for() {
        let text = "[[origin]]\nname = \"${A}\"\nservers = [{ url = \"http://a.example\" }]\n\
                    [[site]]\nname = \"shop\"\nhosts = [\"${HOST}\", \"${HOST}\"]\n\
                    origin = \"${B}\"\n[[site.route]]\npath = \"${PATH}\"\n\
                    origin = \"${A}\"\n[[site.route]]\npath = \"${PATH}\"\norigin = \"secret\"\n";
        let environment = |name: &str| match name {
            "PATH" => Some("/secret".to_owned()),
            name => Some(format!("secret-{}", name.to_lowercase())),
        };
        let expected = [
            "toml:6:21: site[0].hosts[1]: expected another value, found \"${HOST}\" again, as in \
             line 6",
            "toml:7:1: site[0].origin: expected the name of an existing [[origin]], found \
             \"${B}\"; did you mean \"${A}\"?",
            "toml:12:1: site[0].route[1].path: expected another value, found \"${PATH}\" again, as \
             in line 9",
            "toml:13:1: site[0].route[1].origin: expected the name of an existing [[origin]], \
             found \"secret\"",
            "4 faults",
        ];
        assert_eq!(lines(Published::parse(text, "toml", &environment)), expected);
    }

    #[test]
    fn faults_are_told_by_place() {
        let text = "[limits]\nheaders = 7\n[[site]]\nname = \"shop\"\nhosts = []\n\
                    origin = \"app\"\n[sites]\n[[origin]]\nname = \"bucket\"\n\
                    s3 = { bucket = \"b\", region = \"r\", credentials_file = \"s3\" }\n";
        let expected = [
            "toml:1:1: limits: expected [[origin]] and [[site]] alone, found what each node has of \
             its own",
            "toml:5:1: site[0].hosts: expected at least one host, found none",
            "toml:6:1: site[0].origin: expected the name of an existing [[origin]], found \"app\"",
            "toml:7:2: sites: unknown key; did you mean \"site\"?",
            "toml:10:55: origin[0].s3.credentials_file: expected an absolute path, which is the \
             same on every node, found \"s3\"",
            "5 faults",
        ];
        assert_eq!(lines(Published::check(text, "toml")), expected);
        let none = "toml:1:1: site: expected at least one [[site]], found none";
        assert_eq!(lines(Published::check("", "toml"))[0], none);
    }

    #[test]
    fn a_release_is_told_and_understood() {
        let seven = Release::Published { version: 7, hash: digest("x") };
        for release in [Release::Own, seven] {
            assert_eq!(Release::from_json(&release.to_json()), Some(release));
        }
        let none = [json!(null), json!({ "version": 7 }), json!({ "version": 7, "hash": "7" })];
        assert_eq!(none.map(|json| Release::from_json(&json)), [None; 3]);
    }

    #[test]
    fn every_other_section_is_the_nodes_own() {
        let mut keys = Config::keys();
        keys.retain(|key| !key.path.contains('.'));
        let sections: Vec<_> = keys.iter().map(|key| key.path.as_str()).collect();
        let all: Vec<_> = OWN[..11].iter().chain(&["origin", "site"]).chain(&OWN[11..]).collect();
        assert_eq!(sections.iter().collect::<Vec<_>>(), all);
    }
}
