//! Whether the servers sync what they acknowledge.
//!
//! Every server answers `$SYS.REQ.SERVER.PING.JSZ` with the settings of its JetStream, if the
//! system account exports that:
//!
//! ```text
//!  SYS { exports: [{ service: "$SYS.REQ.SERVER.PING.JSZ", response: stream }] }
//!  APP { imports: [{ service: { account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" } }] }
//! ```

use std::time::Duration;

use async_nats::{Client, StatusCode};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use super::NatsError;

const SUBJECT: &str = "$SYS.REQ.SERVER.PING.JSZ";

/// How long servers that are down are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks all servers of the cluster; those that do not answer are down.
///
/// # Errors
/// A server does not sync, or none shows whether it does.
pub(super) async fn check_sync(client: &Client) -> Result<(), NatsError> {
    let failed = |why: &dyn std::fmt::Display| NatsError::new("whether servers sync", why);
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
    let asked = client.publish_with_reply(SUBJECT, inbox, "".into()).await;
    asked.map_err(|error| failed(&error))?;
    let (mut known, mut servers) = (0, 1);
    while known < servers {
        let answer = timeout(PATIENCE, answers.next()).await.ok().flatten();
        let shown = answer.filter(|answer| answer.status != Some(StatusCode::NO_RESPONDERS));
        let Some(shown) = shown else { break };
        let told: Value = serde_json::from_slice(&shown.payload).map_err(|error| failed(&error))?;
        if told["server"]["jetstream"].as_bool() == Some(false) {
            continue;
        }
        if told["data"]["config"]["sync_always"].as_bool() != Some(true) {
            let name = told["server"]["name"].as_str().unwrap_or("one");
            let expected = "expected \"jetstream { sync_interval: always }\" in the config of the \
                            server";
            return Err(NatsError::new(expected, name));
        }
        known += 1;
        servers = told["data"]["meta_cluster"]["cluster_size"].as_u64().unwrap_or(1);
    }
    if known == 0 {
        return Err(failed(&format!(
            "expected that the system account exports {SUBJECT}; or, by somebody's word that \
             every server has \"sync_interval: always\", purge_log.check_sync = false"
        )));
    }
    Ok(())
}
