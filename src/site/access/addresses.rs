//! Clients by their addresses: networks that are let in, and networks that are not. Pure.
//!
//! ```text
//! 10.0.0.0/8 ┐                      ┌ 10.0.0.0  – 10.255.255.255
//! 10.1.0.0/16┴── sorted, merged ──▶ └ 192.0.2.1 – 192.0.2.1      a look-up halves the list
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::address::Network;

/// Which clients are let in.
#[derive(Debug)]
pub(super) struct AddressRules {
    allow: Option<Networks>,
    deny: Networks,
}

impl AddressRules {
    /// The rules of these lists; `None` where both are empty.
    pub(super) fn new(allow: &[Network], deny: &[Network]) -> Option<Self> {
        let is_any = !(allow.is_empty() && deny.is_empty());
        is_any.then(|| Self {
            allow: (!allow.is_empty()).then(|| Networks::new(allow)),
            deny: Networks::new(deny),
        })
    }

    /// Whether a client at `address` is let in: what is denied is so whatever is allowed.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        !self.deny.contain(address)
            && self.allow.as_ref().is_none_or(|allow| allow.contain(address))
    }

    /// Whether the address is one of those that are denied.
    pub(super) fn deny(&self, address: IpAddr) -> bool {
        self.deny.contain(address)
    }

    /// Whether any address is denied.
    pub(super) fn denies_any(&self) -> bool {
        !self.deny.is_empty()
    }

    /// Whether only some addresses are allowed.
    pub(super) fn allows_some(&self) -> bool {
        self.allow.is_some()
    }
}

/// Networks in the order of their addresses, those that touch as one. An IPv4 address that is
/// mapped into IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address.
#[derive(Debug, Default)]
pub(super) struct Networks {
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl Networks {
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn new(networks: &[Network]) -> Self {
        let mut all = Self::default();
        for network in networks.iter().map(unmapped) {
            match network.address {
                IpAddr::V4(first) => {
                    let hosts = u32::MAX.checked_shr(u32::from(network.prefix)).unwrap_or(0);
                    all.v4.push((first, Ipv4Addr::from_bits(first.to_bits() | hosts)));
                }
                IpAddr::V6(first) => {
                    let hosts = u128::MAX.checked_shr(u32::from(network.prefix)).unwrap_or(0);
                    all.v6.push((first, Ipv6Addr::from_bits(first.to_bits() | hosts)));
                }
            }
        }
        merge(&mut all.v4);
        merge(&mut all.v6);
        all
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_within(&self.v4, address),
            IpAddr::V6(address) => is_within(&self.v6, address),
        }
    }
}

/// The network as one of IPv4, where all of it is mapped from there.
fn unmapped(network: &Network) -> Network {
    match (network.address.to_canonical(), network.prefix.checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(prefix)) if network.address.is_ipv6() => {
            Network { address, prefix }
        }
        _ => *network,
    }
}

/// Sorts, and joins what overlaps: then the one range that begins last before an address is the
/// only one that may hold it.
fn merge<A: Ord + Copy>(ranges: &mut Vec<(A, A)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|(first, last), (_, before)| {
        let overlaps = *first <= *before;
        if overlaps {
            *before = (*before).max(*last);
        }
        overlaps
    });
    ranges.shrink_to_fit();
}

fn is_within<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).is_some_and(|at| address <= ranges[at].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| Network::parse(text).unwrap()).collect()
    }

    fn admit(allow: &[&str], deny: &[&str], client: &str) -> bool {
        let rules = AddressRules::new(&networks(allow), &networks(deny));
        rules.is_none_or(|rules| rules.admit(client.parse().unwrap()))
    }

    #[test]
    fn clients_are_let_in_by_address() {
        let cases: &[(&[&str], &[&str], &str, bool)] = &[
            (&[], &[], "192.0.2.1", true),
            (&["192.0.2.1"], &[], "192.0.2.1", true),
            (&["192.0.2.1"], &[], "192.0.2.2", false),
            (&["192.0.2.0/24"], &[], "192.0.2.0", true),
            (&["192.0.2.0/24"], &[], "192.0.2.255", true),
            (&["192.0.2.0/24"], &[], "192.0.3.0", false),
            (&["192.0.2.0/24"], &[], "192.0.1.255", false),
            (&["192.0.2.0/24"], &[], "2001:db8::1", false),
            (&["192.0.2.0/24"], &[], "::ffff:192.0.2.7", true),
            (&["::ffff:192.0.2.0/120"], &[], "192.0.2.7", true),
            (&["::ffff:192.0.2.0/120"], &[], "192.0.3.7", false),
            (&["0.0.0.0/0"], &[], "203.0.113.9", true),
            (&["0.0.0.0/0"], &[], "2001:db8::1", false),
            (&["::/0"], &[], "2001:db8::1", true),
            (&["::/0"], &[], "203.0.113.9", false),
            (&["2001:db8::/32"], &[], "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
            (&["2001:db8::/32"], &[], "2001:db9::", false),
            (&[], &["192.0.2.1"], "192.0.2.1", false),
            (&[], &["192.0.2.1"], "192.0.2.2", true),
            (&[], &["2001:db8::/64"], "2001:db8::1", false),
            (&[], &["2001:db8::/64"], "2001:db8:0:1::1", true),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.2.3", true),
            (&["10.1.2.3"], &["10.0.0.0/8"], "10.1.2.3", false),
            (&["10.0.0.0/9", "10.0.0.0/8"], &[], "10.200.0.1", true),
            (&["10.0.0.0/8", "10.1.0.0/16"], &[], "10.200.0.1", true),
            (&["9.0.0.0/8", "11.0.0.0/8"], &[], "10.0.0.1", false),
        ];
        for &(allow, deny, client, admitted) in cases {
            assert_eq!(admit(allow, deny, client), admitted, "{allow:?} {deny:?} {client}");
        }
    }

    #[test]
    fn what_overlaps_is_one() {
        let many = networks(&["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/9", "11.0.0.0/8", "::1"]);
        let Networks { v4, v6 } = Networks::new(&many);
        assert_eq!((v4.len(), v6.len()), (2, 1));
    }

    proptest! {
        #[test]
        fn agrees_with_a_search_of_the_whole_list(
            networks in prop::collection::vec((0..64_u8, 26..=32_u8), 0..12),
            client in 0..64_u8,
        ) {
            let within = |(first, prefix): &(u8, u8)| {
                let hosts = (1_u32 << (32 - prefix)) - 1;
                u32::from(client) & !hosts == u32::from(*first) & !hosts
            };
            let expected = networks.iter().any(within);
            let list: Vec<_> = networks.iter().map(|&(first, prefix)| {
                let hosts = (1_u32 << (32 - prefix)) - 1;
                let address = Ipv4Addr::from_bits(u32::from(first) & !hosts).into();
                Network { address, prefix }
            }).collect();
            let client = Ipv4Addr::from_bits(u32::from(client)).into();
            prop_assert_eq!(Networks::new(&list).contain(client), expected);
        }
    }
}
