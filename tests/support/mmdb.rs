//! A small writer of databases in MaxMind's format: networks and their countries.
//!
//! ```text
//!  tree of 24-bit records │ 16 zeros │ one map a network │ marker │ map that describes it all
//! ```

use std::net::IpAddr;

/// A node of the tree: what a 0 leads to, and a 1.
type Node = [Leads; 2];

#[derive(Clone, Copy)]
enum Leads {
    Nowhere,
    To(usize),
    /// The offset in the data.
    Data(usize),
}

/// The bytes of a database of `networks` that do not overlap, each with its country.
pub(crate) fn database(networks: &[(&str, &str)]) -> Vec<u8> {
    let mut tree: Vec<Node> = vec![[Leads::Nowhere; 2]];
    let mut data = Vec::new();
    for (network, country) in networks {
        let (bits, prefix) = bits_of(network);
        let mut at = 0;
        for depth in 0..prefix - 1 {
            let side = bit(bits, depth);
            at = match tree[at][side] {
                Leads::To(next) => next,
                _ => {
                    tree.push([Leads::Nowhere; 2]);
                    let next = tree.len() - 1;
                    tree[at][side] = Leads::To(next);
                    next
                }
            };
        }
        tree[at][bit(bits, prefix - 1)] = Leads::Data(data.len());
        push_map(&mut data, 1);
        push_text(&mut data, "country");
        push_map(&mut data, 1);
        push_text(&mut data, "iso_code");
        push_text(&mut data, country);
    }
    let count = tree.len();
    let mut bytes = Vec::new();
    for leads in tree.into_iter().flatten() {
        let record = match leads {
            Leads::Nowhere => count,
            Leads::To(node) => node,
            Leads::Data(offset) => count + 16 + offset,
        };
        bytes.extend_from_slice(&(record as u32).to_be_bytes()[1..]);
    }
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&data);
    bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    describe(&mut bytes, count);
    bytes
}

fn describe(bytes: &mut Vec<u8>, count: usize) {
    const UINT16: u8 = 5 << 5;
    const UINT32: u8 = 6 << 5;
    push_map(bytes, 9);
    for (name, number) in [
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
        ("ip_version", 6),
        ("record_size", 24),
    ] {
        push_text(bytes, name);
        bytes.extend_from_slice(&[UINT16 | 1, number]);
    }
    push_text(bytes, "node_count");
    bytes.push(UINT32 | 4);
    bytes.extend_from_slice(&(count as u32).to_be_bytes());
    push_text(bytes, "build_epoch");
    // Types above 7 stand in a byte of their own: 64-bit numbers are 9, arrays 11.
    bytes.extend_from_slice(&[1, 2, 1]);
    push_text(bytes, "database_type");
    push_text(bytes, "Country");
    push_text(bytes, "languages");
    bytes.extend_from_slice(&[0, 4]);
    push_text(bytes, "description");
    push_map(bytes, 0);
}

/// The bits of an address of IPv6, in which those of IPv4 are the last, and how many count.
fn bits_of(network: &str) -> (u128, usize) {
    let (address, prefix) = network.split_once('/').unwrap();
    let prefix: usize = prefix.parse().unwrap();
    match address.parse().unwrap() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 96 + prefix),
        IpAddr::V6(address) => (address.to_bits(), prefix),
    }
}

fn bit(bits: u128, depth: usize) -> usize {
    usize::from(bits << depth >> 127 == 1)
}

fn push_map(bytes: &mut Vec<u8>, entries: u8) {
    bytes.push(7 << 5 | entries);
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(2 << 5 | text.len() as u8);
    bytes.extend_from_slice(text.as_bytes());
}
