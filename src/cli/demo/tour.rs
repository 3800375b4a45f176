//! The tour: each step asks for something, checks what came back, and is a row of the table.

use std::future::Future;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::ask::{self, Failed, Get, Seen, over_http1, over_http2, over_http3};
use super::files::{BIG, big};
use super::stage::Stage;

/// Clients that ask at once in the step of collapsing.
const CROWD: usize = 100;

/// Walks all steps and prints the table; true if every step was as it should be.
pub(super) async fn walk(stage: &Stage) -> bool {
    let tour = Tour { stage, clear: ask::http1(stage.http()), admin: ask::http1(stage.admin()) };
    println!("   {:13} {:50} {:>9}  seen", "step", "what happens", "time");
    let mut passed = true;
    passed &= row("miss", "GET / is fetched from the origin and stored", tour.miss()).await;
    passed &= row("hit", "GET / again comes from memory", tour.hit()).await;
    passed &= row("HTTP/2", "the same over TLS and HTTP/2", tour.http2()).await;
    passed &= row("HTTP/3", "the same over QUIC and HTTP/3", tour.http3()).await;
    passed &=
        row("revalidation", "a stored page is asked for by its ETag: 304", tour.revalidation())
            .await;
    passed &=
        row("not modified", "a client that has the page gets 304 from memory", tour.not_modified())
            .await;
    passed &=
        row("collapse", "100 clients want a cold 10 MiB file: one fetch", tour.collapse()).await;
    passed &= row("range", "bytes 4194304-4194307 of it, from memory", tour.range()).await;
    passed &= row("purge", "GET / is purged, with a receipt, and fetched anew", tour.purge()).await;
    passed &= row("unknown host", "a host of no site is refused: 421", tour.unknown_host()).await;
    println!("{}", if passed { "All steps passed." } else { "Some steps FAILED." });
    passed
}

/// A step's outcome: what was seen, and whether it was right.
type Outcome = Result<(Seen, bool), Failed>;

async fn row(step: &str, what: &str, outcome: impl Future<Output = Outcome>) -> bool {
    let (mark, took, seen) = match outcome.await {
        Ok((seen, true)) => ("ok", seen.took, seen.to_string()),
        Ok((seen, false)) => ("NO", seen.took, seen.to_string()),
        Err(error) => ("NO", Default::default(), error.to_string()),
    };
    let millis = took.as_secs_f64() * 1000.0;
    println!("{mark} {step:13} {what:50} {millis:6.1} ms  {seen}");
    mark == "ok"
}

struct Tour<'a> {
    stage: &'a Stage,
    clear: crate::net::client::Pool,
    admin: crate::net::client::Pool,
}

const fn get(path: &str) -> Get<'_> {
    Get { path, fields: &[] }
}

impl Tour<'_> {
    async fn miss(&self) -> Outcome {
        let seen = over_http1(&self.clear, get("/")).await?;
        let right = seen.status == 200 && is_miss(&seen) && self.stage.asked() == 1;
        Ok((seen, right))
    }

    async fn hit(&self) -> Outcome {
        let seen = over_http1(&self.clear, get("/")).await?;
        let right = seen.status == 200 && is_hit(&seen) && self.stage.asked() == 1;
        Ok((seen, right))
    }

    async fn http2(&self) -> Outcome {
        let seen = over_http2(self.stage.https(), &self.stage.ca_file(), get("/")).await?;
        let told = seen.field("alt-svc").starts_with("h3=");
        let right = seen.status == 200 && is_hit(&seen) && told;
        Ok((seen, right))
    }

    async fn http3(&self) -> Outcome {
        let seen = over_http3(self.stage.https(), &self.stage.ca_file(), get("/")).await?;
        let right = seen.status == 200 && is_hit(&seen);
        Ok((seen, right))
    }

    async fn revalidation(&self) -> Outcome {
        over_http1(&self.clear, get("/news.html")).await?;
        let seen = over_http1(&self.clear, get("/news.html")).await?;
        let validated = seen.field("cache-status").contains("fwd-status=304");
        let right = seen.status == 200 && validated && !seen.body.is_empty();
        Ok((seen, right))
    }

    async fn not_modified(&self) -> Outcome {
        let first = over_http1(&self.clear, get("/")).await?;
        let fields = [("if-none-match", first.field("etag"))];
        let seen = over_http1(&self.clear, Get { path: "/", fields: &fields }).await?;
        let right = seen.status == 304 && is_hit(&seen) && seen.body.is_empty();
        Ok((seen, right))
    }

    async fn collapse(&self) -> Outcome {
        let before = self.stage.asked();
        let crowd = (0..CROWD).map(|_| over_http1(&self.clear, get("/big.bin")));
        let mut all = join_all(crowd).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let expected = big();
        let same = all.iter().all(|seen| seen.status == 200 && seen.body == expected);
        all.sort_by_key(|seen| seen.took);
        let slowest = all.pop().unwrap_or_default();
        Ok((slowest, same && self.stage.asked() == before + 1))
    }

    async fn range(&self) -> Outcome {
        let fields = [("range", "bytes=4194304-4194307")];
        let seen = over_http1(&self.clear, Get { path: "/big.bin", fields: &fields }).await?;
        let right = seen.status == 206
            && seen.field("content-range") == format!("bytes 4194304-4194307/{BIG}")
            && seen.body[..] == (4_194_304_u32 / 4).to_be_bytes();
        Ok((seen, right))
    }

    async fn purge(&self) -> Outcome {
        let command = json!({ "kind": "url", "value": "http://localhost/" }).to_string();
        let receipt = ask::post(&self.admin, "/v1/purges?wait=true", command).await?;
        let told: Value = serde_json::from_slice(&receipt.body)?;
        let complete = receipt.status == 200 && told["data"]["state"] == "complete";
        let seen = over_http1(&self.clear, get("/")).await?;
        let right = complete && seen.status == 200 && is_miss(&seen);
        Ok((seen, right))
    }

    async fn unknown_host(&self) -> Outcome {
        let other = [("host", "other.example")];
        let seen = over_http1(&self.clear, Get { path: "/", fields: &other }).await?;
        let right = seen.status == 421;
        Ok((seen, right))
    }
}

fn is_hit(seen: &Seen) -> bool {
    seen.field("cache-status").starts_with("edge-1; hit")
}

fn is_miss(seen: &Seen) -> bool {
    let status = seen.field("cache-status");
    status.starts_with("edge-1; fwd=") && status.contains("fwd-status=200; stored")
}
