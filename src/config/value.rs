//! How each type stands in a config: what it expects, how it is read, how it is written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::HeaderName;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method};

use super::address::{Endpoint, HostPattern, Network, OriginPattern};
use super::geo::Country;
use super::pattern::Pattern;
use super::reader::Node;
use super::reference::Keys;
use super::secret::{SECRET_MIN, Secret, TokenHash};
use super::section::Section;
use super::units::{ByteSize, Frequency, Rate, parse_duration, show_duration};

/// A type that can stand to the right of `key =`.
pub(super) trait Value: Clone {
    /// What a fault says was expected, with an example.
    fn expected() -> String;

    /// Reads the text of a string; types that are not written as strings have their own `read`.
    fn parse(_text: &str) -> Option<Self> {
        None
    }

    /// The value, or `None` after telling the fault. What a table leaves out is as in `base`.
    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        node.parse(&Self::expected(), Self::parse)
    }

    /// The value as TOML; `None` where one leaves it out instead.
    fn show(&self) -> Option<String>;

    /// The keys within, for tables.
    fn keys(_list: &mut Keys) {}

    /// How the reference heads the table: `[name]`, `[[name]]`; `None` for all that is no table.
    fn heading(_name: &str) -> Option<String> {
        None
    }
}

impl<S: Section> Value for S {
    fn expected() -> String {
        "a table".to_owned()
    }

    fn read(node: &Node<'_>, base: Option<&Self>) -> Option<Self> {
        let mut table = node.table()?;
        let section = match base {
            Some(base) => S::read_from(&mut table, base),
            None => S::read_from(&mut table, &S::default()),
        };
        table.finish();
        Some(section)
    }

    fn show(&self) -> Option<String> {
        None
    }

    fn keys(list: &mut Keys) {
        S::rows(list);
    }

    fn heading(name: &str) -> Option<String> {
        Some(format!("[{name}]"))
    }
}

/// Left out means none; so does `false`, where something else would be inherited.
impl<V: Value> Value for Option<V> {
    fn expected() -> String {
        V::expected()
    }

    fn read(node: &Node<'_>, base: Option<&Self>) -> Option<Self> {
        if node.boolean() == Some(false) {
            return Some(None);
        }
        V::read(node, base.and_then(Option::as_ref)).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref()?.show()
    }

    fn keys(list: &mut Keys) {
        V::keys(list);
    }

    fn heading(name: &str) -> Option<String> {
        V::heading(name).map(|heading| format!("# {heading}"))
    }
}

/// An element that cannot be read is told and left out; the others are read.
impl<V: Value> Value for Vec<V> {
    fn expected() -> String {
        format!("an array, each element {}", V::expected())
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let elements = node.elements(&Self::expected())?.into_iter();
        Some(elements.filter_map(|element| V::read(&element, None)).collect())
    }

    fn show(&self) -> Option<String> {
        let shown: Vec<_> = self.iter().filter_map(V::show).collect();
        Some(format!("[{}]", shown.join(", ")))
    }

    fn keys(list: &mut Keys) {
        V::keys(list);
    }

    fn heading(name: &str) -> Option<String> {
        V::heading(name).map(|heading| format!("[{heading}]"))
    }
}

impl Value for usize {
    fn expected() -> String {
        "a whole number such as 64".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let number = node.number().and_then(|number| number.try_into().ok());
        if number.is_none() {
            node.misfit(&Self::expected());
        }
        number
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let boolean = node.boolean();
        if boolean.is_none() {
            node.misfit(&Self::expected());
        }
        boolean
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for ByteSize {
    fn expected() -> String {
        "a size such as \"64KiB\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// A plain number counts bytes. The default is an example within the bounds.
    fn read(node: &Node<'_>, base: Option<&Self>) -> Option<Self> {
        let example = base.copied().unwrap_or(Self::kib(64));
        let expected = format!("a size in KiB, MiB, GiB or TiB such as \"{example}\"");
        match node.number() {
            Some(bytes) => Some(Self(bytes)),
            None => node.parse(&expected, Self::parse),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

impl Value for Duration {
    fn expected() -> String {
        "a duration such as \"10s\"".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        parse_duration(text)
    }

    /// A plain 0 needs no unit.
    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        match node.number() {
            Some(0) => Some(Self::ZERO),
            _ => node.parse(&Self::expected(), Self::parse),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote(&show_duration(*self)))
    }
}

impl Value for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }

    /// Paths start from the folder of the config.
    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        match node.folder() {
            Some(folder) => {
                node.parse(&Self::expected(), |text| (!text.is_empty()).then(|| folder.join(text)))
            }
            None => {
                let path = |text: &str| Path::new(text).is_absolute().then(|| text.into());
                node.parse("an absolute path, which is the same on every node", path)
            }
        }
    }

    fn show(&self) -> Option<String> {
        non_empty(self).map(|path| quote(&path.to_string_lossy()))
    }
}

impl Value for HeaderMap {
    fn expected() -> String {
        "a table of header fields such as { \"X-Frame-Options\" = \"DENY\" }".to_owned()
    }

    fn read(node: &Node<'_>, _base: Option<&Self>) -> Option<Self> {
        let mut fields = Self::new();
        for (name, value) in node.table()?.entries() {
            let Some(name) = HeaderName::parse(name) else {
                value.wrong(&HeaderName::expected(), &format!("found \"{name}\""));
                continue;
            };
            if let Some(value) = HeaderValue::read(&value, None) {
                fields.insert(name, value);
            }
        }
        Some(fields)
    }

    fn show(&self) -> Option<String> {
        Some("{}".to_owned())
    }
}

impl Value for HeaderValue {
    fn expected() -> String {
        "the value of a header field, without control characters".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::from_str(text).ok()
    }

    fn show(&self) -> Option<String> {
        self.to_str().ok().map(quote)
    }
}

/// A type that is written as a string: what is expected, how it is parsed, how it prints.
macro_rules! text {
    ($($Type:ty: $expected:literal, $parse:expr, $show:expr;)+) => {
        $(impl Value for $Type {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn parse(text: &str) -> Option<Self> {
                $parse(text)
            }

            fn show(&self) -> Option<String> {
                let show: fn(&Self) -> Option<String> = $show;
                show(self).map(|text| quote(&text))
            }
        })+
    };
}

text! {
    String: "a string", |text: &str| Some(text.to_owned()), |text| Some(text.clone());
    Rate: "a rate such as \"1KiB/s\"", |text: &str| text.parse().ok(),
        |rate| Some(rate.to_string());
    SocketAddr: "an address and port such as \"0.0.0.0:80\"", |text: &str| text.parse().ok(),
        |address| Some(address.to_string());
    HostPattern: "a host such as \"www.example.com\" or \"*.example.com\"", Self::parse,
        |host| Some(host.to_string());
    Endpoint: "a URL without path such as \"http://10.0.0.5:8080\"", Self::parse,
        |server| (!server.host.is_empty()).then(|| server.to_string());
    Network: "a network such as \"10.0.0.0/8\"", Self::parse, |network| Some(network.to_string());
    OriginPattern: "an origin such as \"https://app.example.com\"", Self::parse,
        |origin| Some(origin.to_string());
    Country: "a country by its two letters such as \"DE\"", Self::parse,
        |country| Some(country.to_string());
    Frequency: "so many a second, minute or hour such as \"100/s\"", Self::parse,
        |frequency| Some(frequency.to_string());
    Pattern: "a pattern such as \"utm_*\"",
        |text: &str| (!text.is_empty()).then(|| Self::new(text)),
        |pattern| Some(pattern.to_string());
    Secret: "a secret of at least 16 bytes",
        |text: &str| (text.len() >= SECRET_MIN).then(|| Secret::new(text)), |_| None;
    TokenHash: "a hash \"blake3:…\" as `headland token new` prints it", Self::parse, |_| None;
    Authority: "a host such as \"static.example.com\", with a port if need be",
        |text: &str| text.parse().ok().filter(|_| !text.contains('@')),
        |host| Some(host.to_string());
    HeaderName: "the name of a header field such as \"accept-language\"",
        |text: &str| text.parse().ok(), |name| Some(name.to_string());
    Method: "a method such as \"GET\"",
        |text: &str| text.parse().ok().filter(|_| !text.bytes().any(|b| b.is_ascii_lowercase())),
        |method| Some(method.to_string());
}

/// A TOML string.
pub(super) fn quote(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn non_empty(path: &Path) -> Option<&Path> {
    (!path.as_os_str().is_empty()).then_some(path)
}
