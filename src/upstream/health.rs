//! Active checks: each server is asked at an interval whether it is well.

use http::{HeaderMap, Method, StatusCode};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::origin::Health;
use crate::message::Body;
use crate::net::client::{OutgoingRequest, Pool};

/// Counts answers in a row, and says when they change the judgement.
#[derive(Debug)]
pub(super) struct Judge {
    healthy: bool,
    against: usize,
}

impl Judge {
    /// A server is thought well until shown otherwise.
    pub(super) fn new() -> Self {
        Self { healthy: true, against: 0 }
    }

    /// Takes an answer in; whether the server is thought well now.
    pub(super) fn hear(&mut self, well: bool, health: &Health) -> bool {
        self.against = if well == self.healthy { 0 } else { self.against + 1 };
        let needed = if self.healthy { health.unhealthy } else { health.healthy };
        if self.against >= needed {
            self.healthy = well;
            self.against = 0;
        }
        self.healthy
    }
}

/// Asks a server and tells the judgement, until `tell` says that nobody listens any more.
pub(super) async fn watch(pool: Pool, health: Health, tell: impl Fn(bool) -> bool) {
    let mut judge = Judge::new();
    let mut ticks = interval(health.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let well = ask(&pool, &health).await;
        if !tell(judge.hear(well, &health)) {
            return;
        }
    }
}

async fn ask(pool: &Pool, health: &Health) -> bool {
    let request = OutgoingRequest {
        method: Method::GET,
        target: health.path.clone().into(),
        headers: HeaderMap::new(),
        body: Body::Empty,
        content_length: None,
        on_interim: None,
    };
    match timeout(health.timeout, pool.send(request)).await {
        Ok(Ok(response)) => is_well(response.status),
        Ok(Err(_)) | Err(_) => false,
    }
}

fn is_well(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_a_row_change_the_judgement() {
        let health = Health { unhealthy: 3, healthy: 2, ..Health::default() };
        let mut judge = Judge::new();
        let heard: Vec<bool> = [false, false, true, false, false, false, true, false, true, true]
            .map(|well| judge.hear(well, &health))
            .into();
        let expected = [true, true, true, true, true, false, false, false, false, true];
        assert_eq!(heard, expected);
    }
}
