//! The names of all metrics, with meaning and labels: dashboards and alerts rely on them, and no
//! other file spells them. Uses nothing of ours.

/// One metric as it is exposed.
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
}

pub(super) const REQUESTS: Declared = Declared {
    name: "headland_requests_total",
    help: "Requests answered",
    labels: &["site", "protocol", "status", "result"],
};

pub(super) const REQUEST_SECONDS: Declared = Declared {
    name: "headland_request_seconds",
    help: "Time from the first byte of a request to the last of its response",
    labels: &["result"],
};

pub(super) const HITS: Declared = Declared {
    name: "headland_hits_total",
    help: "Look-ups that found a stored response",
    labels: &["tier"],
};

pub(super) const MISSES: Declared =
    Declared { name: "headland_misses_total", help: "Look-ups that found none", labels: &["tier"] };

pub(super) const SLICES: Declared = Declared {
    name: "headland_slices_total",
    help: "Slices of large objects opened for a response, by where they come from",
    labels: &["source"],
};

pub(super) const BYTES: Declared = Declared {
    name: "headland_bytes_total",
    help: "Body bytes sent, by where they came from",
    labels: &["site", "source"],
};

pub(super) const COLLAPSED: Declared = Declared {
    name: "headland_collapsed_total",
    help: "Requests that joined the flight of another",
    labels: &[],
};

pub(super) const COMPRESSIONS: Declared = Declared {
    name: "headland_compressions_total",
    help: "Bodies begun to be compressed, or left as they came for too many were on their way",
    labels: &["coding", "result"],
};

pub(super) const CONNECTIONS: Declared = Declared {
    name: "headland_connections",
    help: "Client connections open now",
    labels: &["protocol"],
};

pub(super) const TUNNELS: Declared = Declared {
    name: "headland_tunnels",
    help: "Connections that have left HTTP and are open now",
    labels: &[],
};

pub(super) const ORIGIN_REQUESTS: Declared = Declared {
    name: "headland_origin_requests_total",
    help: "Requests sent to an origin, by its status; `error` if none came",
    labels: &["origin", "status"],
};

pub(super) const SHIELD_REQUESTS: Declared = Declared {
    name: "headland_shield_requests_total",
    help: "Requests sent to a shield, by its status; `error` if none came",
    labels: &["shield", "status"],
};

pub(super) const RULE_REFUSALS: Declared = Declared {
    name: "headland_rule_refusals_total",
    help: "Requests refused by an edge rule, by its reason",
    labels: &["site", "reason"],
};

pub(super) const STORE_OBJECTS: Declared =
    Declared { name: "headland_store_objects", help: "Stored responses", labels: &["tier"] };

pub(super) const STORE_BYTES: Declared = Declared {
    name: "headland_store_bytes",
    help: "Bytes in use, book-keeping included",
    labels: &["tier"],
};

pub(super) const EVICTIONS: Declared = Declared {
    name: "headland_evictions_total",
    help: "Stored responses removed to make room",
    labels: &["tier"],
};

pub(super) const STORE_REFUSED: Declared = Declared {
    name: "headland_store_refused_total",
    help: "Responses served and not stored: no room, not worth it, or a disk that fails",
    labels: &["tier"],
};

pub(super) const STORE_WAITING: Declared = Declared {
    name: "headland_store_waiting_bytes",
    help: "Bytes of responses that wait to be written",
    labels: &["tier"],
};

pub(super) const STORE_INDEX: Declared = Declared {
    name: "headland_store_index_bytes",
    help: "Memory that the index of what is stored takes, where it is apart",
    labels: &["tier"],
};

pub(super) const STORE_SHORT: Declared = Declared {
    name: "headland_store_short",
    help: "1 while the disk has no room for the configured size",
    labels: &["tier"],
};

pub(super) const STORE_ASIDE: Declared = Declared {
    name: "headland_store_aside",
    help: "1 while nothing is written, since the disk fails",
    labels: &["tier"],
};

pub(super) const PURGE_POSITION: Declared = Declared {
    name: "headland_purge_position",
    help: "Number of the last purge applied and journaled",
    labels: &[],
};

pub(super) const PURGE_LAG: Declared = Declared {
    name: "headland_purge_lag",
    help: "Purges known to the log and not yet applied here",
    labels: &[],
};

pub(super) const PURGE_APPLY_SECONDS: Declared = Declared {
    name: "headland_purge_apply_seconds",
    help: "Time from a purge's arrival here until it is applied and journaled",
    labels: &[],
};

pub(super) const PURGED_OBJECTS: Declared = Declared {
    name: "headland_purged_objects_total",
    help: "Stored responses freed because a hard purge covers them",
    labels: &["tier"],
};

pub(super) const PURGED_BODIES_CUT: Declared = Declared {
    name: "headland_purged_bodies_cut_total",
    help: "Responses cut because a hard purge covered them for longer than purge.linger",
    labels: &[],
};

pub(super) const UPSTREAM_HEALTHY: Declared = Declared {
    name: "headland_upstream_healthy",
    help: "1 if requests are sent to it, 0 if it is ejected",
    labels: &["upstream"],
};

pub(super) const DISK_ERRORS: Declared = Declared {
    name: "headland_disk_errors_total",
    help: "Failed reads and writes of the disk tier",
    labels: &[],
};

pub(super) const ACCESS_LOG_DROPPED: Declared = Declared {
    name: "headland_access_log_dropped_total",
    help: "Access log lines lost to a full queue or a failed write",
    labels: &[],
};

pub(super) const CONNECTIONS_REFUSED: Declared = Declared {
    name: "headland_connections_refused_total",
    help: "Client connections closed at once, by the limit reached",
    labels: &["reason"],
};

pub(super) const CLIENT_RESETS: Declared = Declared {
    name: "headland_client_resets_total",
    help: "Responses that the client broke off",
    labels: &[],
};

pub(super) const CONTROL_NODES: Declared = Declared {
    name: "headland_control_nodes",
    help: "Nodes registered, by how they stand",
    labels: &["standing"],
};

pub(super) const CONTROL_FEEDS: Declared = Declared {
    name: "headland_control_feeds",
    help: "Streams of the purge log that are open",
    labels: &[],
};

pub(super) const CONTROL_HEARTBEATS: Declared = Declared {
    name: "headland_control_heartbeats_total",
    help: "Heartbeats, by whether a lease was granted",
    labels: &["outcome"],
};

pub(super) const CONTROL_PURGES: Declared = Declared {
    name: "headland_control_purges_total",
    help: "Purges asked for, by whether they were appended to the log",
    labels: &["outcome"],
};

pub(super) const CONTROL_PURGE_HEAD: Declared = Declared {
    name: "headland_control_purge_head",
    help: "Number of the last purge of the log",
    labels: &[],
};

pub(super) const CONTROL_RECEIPTS_PENDING: Declared = Declared {
    name: "headland_control_receipts_pending",
    help: "Receipts that wait for some node",
    labels: &[],
};

pub(super) const CONTROL_APPEND_SECONDS: Declared = Declared {
    name: "headland_control_append_seconds",
    help: "Time until a purge is durable in the log",
    labels: &[],
};
