//! Which server of an origin is asked first, and which next: a pure choice.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::rendezvous;
use crate::config::origin::Balance;

/// A server, as far as the choice goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Tells servers apart for [`Balance::Hash`], whatever their place in the list.
    pub(super) url: &'a str,
    /// Its share, at least 1.
    pub(super) weight: usize,
    /// Asked only while no other server is healthy.
    pub(super) backup: bool,
    /// Whether it is thought to be well.
    pub(super) healthy: bool,
    /// Requests under way.
    pub(super) busy: usize,
}

/// Places in the list of servers, the first to be asked first.
pub(super) type Order = SmallVec<[usize; 8]>;

/// The order in which to ask: healthy servers by `balance`, then healthy backups, then the rest in
/// the same manner, for a server that is thought ill may still answer. `turn` rises by one with
/// each request; `key` is what the request asks for.
pub(super) fn order(servers: &[Candidate<'_>], balance: Balance, turn: usize, key: &[u8]) -> Order {
    let first = first_by_turn(servers, turn);
    let mut order: Order = (0..servers.len()).collect();
    let rank = |place: usize| {
        let server = &servers[place];
        let group = (!server.healthy, server.backup);
        let distance = (place + servers.len() - first) % servers.len().max(1);
        let (score, tie) = match balance {
            Balance::RoundRobin => (0, distance),
            // Compared as busy / weight, in millionths.
            Balance::LeastConnections => (server.busy * 1_000_000 / server.weight, distance),
            Balance::Hash => (0, 0),
        };
        let preference = match balance {
            Balance::Hash => Reverse(rendezvous::score(server.url, server.weight, key)),
            _ => Reverse(0),
        };
        (group, preference, score, tie)
    };
    order.sort_by_key(|&place| rank(place));
    order
}

/// The server whose turn it is: each has as many turns of a round as its weight.
fn first_by_turn(servers: &[Candidate<'_>], turn: usize) -> usize {
    let usable = |server: &&Candidate<'_>| server.healthy && !server.backup;
    let round: usize = servers.iter().filter(usable).map(|server| server.weight).sum();
    if round == 0 {
        return turn % servers.len().max(1);
    }
    let mut left = turn % round;
    for (place, server) in servers.iter().enumerate().filter(|(_, server)| usable(server)) {
        if left < server.weight {
            return place;
        }
        left -= server.weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, weight: usize) -> Candidate<'_> {
        Candidate { url, weight, backup: false, healthy: true, busy: 0 }
    }

    fn firsts(servers: &[Candidate<'_>], balance: Balance, requests: usize) -> Vec<usize> {
        let mut counts = vec![0; servers.len()];
        for turn in 0..requests {
            counts[order(servers, balance, turn, &turn.to_le_bytes())[0]] += 1;
        }
        counts
    }

    #[test]
    fn turns_follow_the_weights() {
        let servers = [server("a", 1), server("b", 3)];
        assert_eq!(firsts(&servers, Balance::RoundRobin, 400), [100, 300]);
    }

    #[test]
    fn backups_and_the_ill_come_last() {
        let ill = Candidate { healthy: false, ..server("b", 1) };
        let backup = Candidate { backup: true, ..server("c", 1) };
        let servers = [ill, backup, server("d", 1)];
        for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::Hash] {
            for turn in 0..4 {
                assert_eq!(order(&servers, balance, turn, b"k")[..], [2, 1, 0], "{balance:?}");
            }
        }
    }

    #[test]
    fn the_least_busy_for_its_weight_is_asked() {
        let busy = |busy, weight| Candidate { busy, ..server("a", weight) };
        let servers = [busy(4, 1), busy(6, 2), busy(5, 1)];
        assert_eq!(order(&servers, Balance::LeastConnections, 0, b"k")[..], [1, 0, 2]);
    }

    #[test]
    fn a_server_that_goes_moves_only_its_own_keys() {
        let all = [server("a", 1), server("b", 1), server("c", 2)];
        let fewer = [all[0], all[2]];
        let mut counts = [0_u32; 3];
        for key in 0..4000_u32 {
            let place = order(&all, Balance::Hash, 0, &key.to_le_bytes())[0];
            counts[place] += 1;
            let left = order(&fewer, Balance::Hash, 0, &key.to_le_bytes())[0];
            assert!(place == 1 || all[place].url == fewer[left].url);
        }
        assert!(counts[0].abs_diff(1000) < 150 && counts[2].abs_diff(2000) < 150, "{counts:?}");
    }

    #[test]
    fn no_server_is_no_order() {
        assert!(order(&[], Balance::RoundRobin, 3, b"k").is_empty());
    }
}
