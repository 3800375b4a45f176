//! The suite on a real NATS server; and servers that are killed, several processes, streams that
//! are not as they were.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config as StreamConfig;
use serde_json::json;

use super::*;
use crate::control::log::Kept;
use crate::control::log::suite::{Home, mount};
use crate::control::nats::NatsParts;
use crate::control::nats::server::{NatsServer, Settings};
use crate::object::PurgeCommand;

mod damage;
mod servers;

const BOUNDS: LogBounds = LogBounds { entries: 8, rules: 64, waiting: 4000 };

/// Longer than anything here takes.
const LONGEST: Duration = Duration::from_secs(60);

async fn nats(server: &NatsServer) -> Nats {
    Nats::connect(NatsParts::of(vec![server.url()])).await.unwrap()
}

async fn log(server: &NatsServer) -> NatsLog {
    NatsLog::open(nats(server).await, BOUNDS).await.unwrap()
}

/// Somebody else who has to do with the stream.
async fn operator(server: &NatsServer) -> Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

impl Home for NatsServer {
    fn open(&self) -> Later<'_, Arc<dyn PurgeLog>> {
        Box::pin(async { Arc::new(log(self).await) as Arc<dyn PurgeLog> })
    }

    fn lose(&self) {
        std::thread::scope(|scope| {
            let lose = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    operator(self).await.delete_stream("headland").await.unwrap();
                });
            };
            scope.spawn(lose).join().unwrap();
        });
    }

    fn keep(&self) -> Later<'_, Kept> {
        Box::pin(async { Kept::of(&log(self).await).await.unwrap() })
    }

    fn restore(&self, kept: Kept) -> Later<'_, ()> {
        Box::pin(async move { restore(&nats(self).await, &kept).await.unwrap() })
    }
}

mount!(NatsServer::start());

fn asked(tag: &str) -> Asked {
    let command = PurgeCommand::from_json(&json!({ "kind": "tag", "value": tag })).unwrap();
    Asked { by: "deploy".to_owned(), at: 7, commands: vec![command] }
}

fn head(log: &NatsLog) -> Position {
    *log.head().borrow()
}

/// Appends, and again where that was refused or is not known.
async fn append(log: &NatsLog, tag: &str) -> Arc<Logged> {
    let append = async {
        loop {
            if let Ok(entry) = log.append(asked(tag)).await {
                break entry;
            }
        }
    };
    timeout(LONGEST, append).await.unwrap()
}

/// Waits until a log is as is wanted.
async fn until(log: &NatsLog, wanted: impl FnMut(&Position) -> bool) -> Position {
    let mut head = log.head();
    *timeout(LONGEST, head.wait_for(wanted)).await.unwrap().unwrap()
}

async fn tags(log: &NatsLog) -> Vec<String> {
    let entries = log.recent(usize::MAX).await.unwrap();
    let commands = entries.iter().flat_map(|entry| entry.commands.iter());
    commands.map(|command| command.value.clone()).collect()
}
