//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

/// Locks of the table; a power of two well above the number of event loops of usual machines.
const SHARDS: usize = 64;

/// Counts connections of all event loops and all transports.
///
/// The table holds an address only while it has a connection, so `connections` bounds it as well.
#[derive(Debug)]
pub struct Gate {
    max: usize,
    max_per_address: usize,
    open: AtomicUsize,
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<Origin, usize>>]>,
}

/// Who is counted as one: an IPv4 address, or the /64 that one IPv6 client has to itself.
type Origin = u64;

/// The right to one connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Admission {
    gate: Arc<Gate>,
    origin: Origin,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many as there may be in all.
    Connections,
    /// As many as one address may have.
    ConnectionsPerAddress,
}

impl Refusal {
    /// The name of the limit: the label of metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
        }
    }
}

impl Gate {
    /// A gate for `max` connections in all and `max_per_address` from one; 0: no limit.
    pub fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let (open, hasher) = (AtomicUsize::new(0), RandomState::new());
        Arc::new(Self { max, max_per_address, open, hasher, shards })
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Lets one more connection in, or says which limit forbids it.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, Refusal> {
        let origin = origin(address);
        let before = self.open.fetch_add(1, Relaxed);
        if self.max != 0 && before >= self.max {
            self.open.fetch_sub(1, Relaxed);
            return Err(Refusal::Connections);
        }
        if self.max_per_address != 0 {
            let mut shard = self.shard(origin).lock();
            let count = shard.entry(origin).or_default();
            if *count >= self.max_per_address {
                self.open.fetch_sub(1, Relaxed);
                return Err(Refusal::ConnectionsPerAddress);
            }
            *count += 1;
        }
        Ok(Admission { gate: self.clone(), origin })
    }

    fn shard(&self, origin: Origin) -> &Mutex<HashMap<Origin, usize>> {
        &self.shards[self.hasher.hash_one(origin) as usize % SHARDS]
    }

    fn leave(&self, origin: Origin) {
        self.open.fetch_sub(1, Relaxed);
        if self.max_per_address == 0 {
            return;
        }
        if let Entry::Occupied(mut entry) = self.shard(origin).lock().entry(origin) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.gate.leave(self.origin);
    }
}

fn origin(address: IpAddr) -> Origin {
    match address.to_canonical() {
        // No /64 that is routed begins with 32 zero bits.
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_bounded_in_all_and_come_back() {
        let gate = Gate::new(2, 0);
        let first = gate.admit(ip("192.0.2.1")).unwrap();
        let _second = gate.admit(ip("192.0.2.1")).unwrap();
        assert_eq!(gate.admit(ip("192.0.2.2")).unwrap_err(), Refusal::Connections);
        drop(first);
        assert!(gate.admit(ip("192.0.2.2")).is_ok());
        assert_eq!(gate.open(), 1);
    }

    #[test]
    fn places_are_bounded_for_one_address() {
        let gate = Gate::new(0, 1);
        let held = ["192.0.2.1", "2001:db8::1"].map(|address| gate.admit(ip(address)).unwrap());
        for same in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::2", "2001:db8:0:0:ffff::"] {
            assert_eq!(gate.admit(ip(same)).unwrap_err(), Refusal::ConnectionsPerAddress);
        }
        for other in ["192.0.2.2", "2001:db8:0:1::1"] {
            assert!(gate.admit(ip(other)).is_ok());
        }
        assert_eq!(gate.open(), 2);
        drop(held);
        assert!(gate.shards.iter().all(|shard| shard.lock().is_empty()));
        assert!(gate.admit(ip("192.0.2.1")).is_ok());
    }
}
