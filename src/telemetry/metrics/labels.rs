//! The bounded label values of the metrics: every value a label can take is an index here, so
//! that counting needs neither a string nor a hash. Uses nothing of ours.

/// The HTTP version spoken with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
    /// HTTP/3.
    H3,
}

impl Protocol {
    /// Every one, in the order of their indices.
    pub const ALL: [Self; 3] = [Self::H1, Self::H2, Self::H3];

    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }
}

/// A tier of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The memory tier.
    Memory,
    /// The disk tier.
    Disk,
}

impl Tier {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Disk];

    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// Where the body of a response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The memory tier.
    Memory,
    /// The disk tier.
    Disk,
    /// A flight that another request leads.
    Flight,
    /// A shield.
    Shield,
    /// An origin, HTTP or S3.
    Origin,
    /// Made here: errors, redirects, preflight answers.
    Synthetic,
}

impl Source {
    pub(super) const ALL: [Self; 6] =
        [Self::Memory, Self::Disk, Self::Flight, Self::Shield, Self::Origin, Self::Synthetic];

    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Flight => "flight",
            Self::Shield => "shield",
            Self::Origin => "origin",
            Self::Synthetic => "synthetic",
        }
    }
}

/// The codes counted exactly: the IANA registry and the few others that are common in the field.
/// Any other code counts under its class, so that a strange origin cannot grow the table.
const STATUSES: [u16; 72] = [
    100, 101, 102, 103, 104, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303,
    304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414,
    415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 444, 451, 499, 500, 501, 502,
    503, 504, 505, 506, 507, 508, 510, 511, 520, 521, 522, 523, 524, 525, 529,
];

const STATUS_LABELS: [&str; STATUSES.len()] = [
    "100", "101", "102", "103", "104", "200", "201", "202", "203", "204", "205", "206", "207",
    "208", "226", "300", "301", "302", "303", "304", "305", "307", "308", "400", "401", "402",
    "403", "404", "405", "406", "407", "408", "409", "410", "411", "412", "413", "414", "415",
    "416", "417", "418", "421", "422", "423", "424", "425", "426", "428", "429", "431", "444",
    "451", "499", "500", "501", "502", "503", "504", "505", "506", "507", "508", "510", "511",
    "520", "521", "522", "523", "524", "525", "529",
];

/// Classes beside the exact codes; the first is for what is no status code at all.
const CLASS_LABELS: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// How many slots a table indexed by [`status_slot`] needs.
pub(super) const STATUS_SLOTS: usize = STATUSES.len() + CLASS_LABELS.len();

static SLOT_OF_STATUS: [u8; 600] = slot_table();

const fn slot_table() -> [u8; 600] {
    let mut table = [STATUSES.len() as u8; 600];
    let mut code = 100;
    while code < 600 {
        table[code] = (STATUSES.len() + code / 100) as u8;
        code += 1;
    }
    let mut slot = 0;
    while slot < STATUSES.len() {
        table[STATUSES[slot] as usize] = slot as u8;
        slot += 1;
    }
    table
}

/// The dense index of a status code.
pub(super) fn status_slot(status: u16) -> usize {
    match SLOT_OF_STATUS.get(usize::from(status)) {
        Some(slot) => usize::from(*slot),
        None => STATUSES.len(),
    }
}

/// The label value of an exchange with upstream; `None` if it ended without a status.
pub(super) fn outcome_label(status: Option<u16>) -> &'static str {
    status.map_or("error", |code| status_label(status_slot(code)))
}

/// The label value of an index made by [`status_slot`].
pub(super) fn status_label(slot: usize) -> &'static str {
    match STATUS_LABELS.get(slot) {
        Some(label) => label,
        None => CLASS_LABELS[slot - STATUSES.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_status_has_its_own_digits_as_label() {
        for code in STATUSES {
            assert_eq!(status_label(status_slot(code)), code.to_string());
        }
    }

    #[test]
    fn an_unlisted_status_counts_under_its_class() {
        for (code, label) in [(199, "1xx"), (299, "2xx"), (499, "499"), (599, "5xx")] {
            assert_eq!(status_label(status_slot(code)), label);
        }
        for code in [0, 99, 600, u16::MAX] {
            assert_eq!(status_label(status_slot(code)), "other");
        }
    }

    #[test]
    fn enums_index_their_own_lists() {
        for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol as usize, index);
        }
        for (index, tier) in Tier::ALL.into_iter().enumerate() {
            assert_eq!(tier as usize, index);
        }
        for (index, source) in Source::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, index);
        }
    }
}
