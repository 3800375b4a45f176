//! What the scenario tests are made of: a scripted origin, a node in this process, and clients of
//! several makes.
//!
//! ```text
//!  Client (hyper, h3), curl, other makes ──► TestNode ──► Origin (scripted, counts requests)
//! ```
//!
//! Tests wait for events: what the origin saw, a byte, a gate that they open themselves. All waits
//! are bounded by [`within`], so that what never happens fails and does not hang.

pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod decode;
pub(crate) mod disk;
pub(crate) mod door;
pub(crate) mod faults;
pub(crate) mod film;
pub(crate) mod gate;
pub(crate) mod line;
pub(crate) mod mmdb;
pub(crate) mod node;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod reply;
pub(crate) mod scene;
pub(crate) mod seaweed;
pub(crate) mod tiers;
pub(crate) mod tools;
pub(crate) mod upload;
pub(crate) mod wire;

use std::future::Future;
use std::time::Duration;

pub(crate) use self::client::{Ask, Client, Protocol};
pub(crate) use self::disk::DiskScene;
pub(crate) use self::film::Film;
pub(crate) use self::gate::Gate;
pub(crate) use self::node::{Setup, TestNode};
pub(crate) use self::origin::Origin;
pub(crate) use self::reply::Reply;
pub(crate) use self::scene::Scene;

/// The host that the test node serves, and the name in its certificate.
pub(crate) const HOST: &str = "shop.example";

/// The longest that anything may take to happen, on a machine busy with other tests.
const LONGEST: Duration = Duration::from_secs(120);

/// Waits for what must happen.
pub(crate) async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LONGEST, happens).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within {LONGEST:?}: {what}"),
    }
}

/// Asks again until it is so: for what tells nobody that it has happened.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    const PERIOD: Duration = Duration::from_millis(10);
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(PERIOD).await;
        }
    };
    within(what, asking).await;
}

/// Mounts each case once for each protocol.
macro_rules! over_each_protocol {
    ($($case:ident),+ $(,)?) => {
        mod h1 { $crate::support::mount! { H1: $($case),+ } }
        mod h2 { $crate::support::mount! { H2: $($case),+ } }
        mod h3 { $crate::support::mount! { H3: $($case),+ } }
    };
}

/// Mounts each case for one protocol.
macro_rules! mount {
    ($protocol:ident: $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let case = super::$case($crate::support::Protocol::$protocol);
                $crate::support::within(stringify!($case), Box::pin(case)).await;
            }
        )+
    };
}

pub(crate) use {mount, over_each_protocol};
