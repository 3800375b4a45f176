//! The tables: rooms and floors, and which act stands where, each exception with its reason.

use super::rules::{Rule, Text, Where};

/// A top folder of `src`, its floor, and the rooms it may use.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) floor: u8,
    pub(crate) uses: &'static [&'static str],
}

const fn room(name: &'static str, floor: u8, uses: &'static [&'static str]) -> Room {
    Room { name, floor, uses }
}

/// Rooms that every room above the ground floor may use.
pub(crate) const FOR_ALL: &[&str] = &["message", "config"];

pub(crate) const ROOMS: &[Room] = &[
    room("message", 1, &[]),
    room("semantics", 1, &[]),
    room("config", 1, &[]),
    room("telemetry", 1, &[]),
    room("durable", 1, &[]),
    room("object", 2, &["semantics"]),
    room("net", 2, &["telemetry"]),
    room("site", 3, &["object", "semantics"]),
    room("store", 3, &["object", "telemetry", "durable"]),
    room("door", 3, &["object", "semantics"]),
    room("collapse", 3, &["object", "telemetry"]),
    room("upstream", 3, &["net", "object", "semantics", "telemetry"]),
    room(
        "proxy",
        4,
        &["site", "store", "collapse", "upstream", "object", "semantics", "telemetry"],
    ),
    room("purge", 4, &["store", "object", "net", "telemetry", "durable"]),
    room("listener", 5, &["proxy", "net", "semantics", "telemetry"]),
    room(
        "admin",
        5,
        &[
            "door",
            "proxy",
            "purge",
            "site",
            "store",
            "upstream",
            "object",
            "semantics",
            "net",
            "telemetry",
        ],
    ),
    room("control", 5, &["door", "object", "net", "telemetry", "durable"]),
    room("bench", 5, &["store", "object", "semantics", "upstream", "net", "telemetry"]),
    room(
        "node",
        6,
        &[
            "semantics",
            "telemetry",
            "durable",
            "object",
            "net",
            "site",
            "store",
            "collapse",
            "upstream",
            "door",
            "proxy",
            "purge",
            "listener",
            "admin",
            "control",
            "bench",
        ],
    ),
    // The demo's origin writes dates.
    room(
        "cli",
        7,
        &["node", "control", "bench", "net", "store", "site", "object", "semantics", "durable"],
    ),
    // The targets of all rooms in one list.
    room(
        "fuzz",
        8,
        &["semantics", "telemetry", "object", "net", "site", "store", "door", "purge", "control"],
    ),
    room("main", 8, &["cli", "node", "control", "bench", "net", "store", "site", "object"]),
];

/// Longest file, in lines, its tests included.
pub(crate) const FILE_LINES_MAX: usize = 500;
/// Longest function, in lines, signature included.
pub(crate) const FUNCTION_LINES_MAX: usize = 70;
/// Longest line, in characters.
pub(crate) const COLUMNS_MAX: usize = 100;

/// Names that say nothing about what a folder or file holds.
pub(crate) const BANNED_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

/// Which words stand only in which files.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        what: "only net/ opens sockets",
        words: &[
            "TcpListener::bind",
            "TcpStream::connect",
            "TcpSocket::new",
            "UdpSocket::bind",
            "UnixListener::bind",
            "UnixStream::connect",
            "UnixDatagram::",
            "Socket::new",
            "socket2::",
            "quinn::Endpoint",
            "tokio::net::",
            "ConnectOptions",
        ],
        text: Text::Code,
        applies: Where::Production,
        within: &["src/"],
        except: &[
            ("src/net/", "every socket of the house"),
            ("src/control/nats/", "the NATS client connects by itself, and again when it breaks"),
        ],
    },
    Rule {
        what: "files are opened in few places, so that few can fail on a disk",
        words: &[
            "File::open",
            "File::create",
            "File::options",
            "OpenOptions",
            "fs::read",
            "fs::write",
            "fs::copy",
        ],
        text: Text::Code,
        applies: Where::Production,
        within: &["src/"],
        except: &[
            ("src/store/disk/", "the disk tier"),
            ("src/config/", "the configuration, and the files it names"),
            ("src/purge/journal", "rules and position survive a crash"),
            ("src/control/audit/file", "who did what outlives the process"),
            ("src/control/log", "the purge log of the control plane"),
            ("src/control/publish/folder", "a version is durable before a node is told of it"),
            ("src/telemetry/access_log", "the access log"),
            ("src/durable/", "what outlives the process is replaced whole"),
            ("src/net/tls", "certificates are loaded anew when they change"),
            ("src/bench/", "traces are read, tables are written"),
            ("src/cli/", "files that the command line names"),
        ],
    },
    Rule {
        what: "`unsafe` stands in two files",
        words: &["unsafe "],
        text: Text::Code,
        applies: Where::Everywhere,
        within: &["src/", "tests/", "benches/"],
        except: &[
            ("src/store/disk/map", "mapped segments"),
            ("src/net/sys.rs", "socket options that no crate offers"),
        ],
    },
    Rule {
        what: "below the request's context nobody reads a clock: take `now`",
        words: &["Instant::now", "SystemTime::now", "UtcDateTime::now", ".elapsed()"],
        text: Text::Code,
        applies: Where::Production,
        within: &["src/"],
        except: &[
            ("src/net/", "time-outs and the Date of a response"),
            ("src/listener/", "the request is stamped here"),
            ("src/proxy/context", "what one request knows, its time included"),
            ("src/upstream/health", "the loop that probes"),
            ("src/upstream/s3/mod.rs", "a signature tells when it was made"),
            ("src/upstream/shields", "breakers are told when a shield failed"),
            ("src/store/disk/", "background loops: writer, reclaim, scrub"),
            ("src/purge/feed", "the loop that follows the log"),
            ("src/telemetry/access_log/writer.rs", "the writer's tick"),
            ("src/admin/", "requests of the private door are stamped here"),
            ("src/control/", "leases and receipts"),
            ("src/bench/", "measures"),
            ("src/node/", "uptime, reload and drain"),
            ("src/cli/", "waits for people"),
        ],
    },
    Rule {
        what: "semantics/ never awaits",
        words: &["async ", ".await", "tokio::"],
        text: Text::Code,
        applies: Where::Everywhere,
        within: &["src/semantics/"],
        except: &[],
    },
    Rule {
        what: "metric names stand in telemetry/metrics alone",
        words: &["headland_"],
        text: Text::Literals,
        applies: Where::Production,
        within: &["src/"],
        except: &[("src/telemetry/metrics/names.rs", "every metric, declared once")],
    },
    Rule {
        what: "one file makes error responses",
        words: &["application/problem+json"],
        text: Text::Literals,
        applies: Where::Production,
        within: &["src/"],
        except: &[
            ("src/proxy/error.rs", "failure to response"),
            ("src/door/answer.rs", "answers of the private doors"),
        ],
    },
    Rule {
        what: "unfinished code",
        words: &["todo!", "unimplemented!", "dbg!("],
        text: Text::Code,
        applies: Where::Everywhere,
        within: &["src/", "tests/", "benches/"],
        except: &[],
    },
    Rule {
        what: "unfinished business belongs into an issue",
        words: &["TODO", "FIXME", "XXX"],
        text: Text::Comments,
        applies: Where::Everywhere,
        within: &["src/", "tests/", "benches/"],
        except: &[],
    },
    Rule {
        what: "a test that is not run proves nothing",
        words: &["#[ignore", "ignore)]"],
        text: Text::Code,
        applies: Where::Everywhere,
        within: &["src/", "tests/", "benches/"],
        except: &[],
    },
    Rule {
        what: "a test waits for what it expects, never for a time",
        words: &["sleep("],
        text: Text::Code,
        applies: Where::Tests,
        within: &["src/", "tests/"],
        except: &[("tests/support/", "a scripted origin is slow on purpose")],
    },
];
