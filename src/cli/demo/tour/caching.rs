//! One fetch for all: misses, hits, collapsing and ranges through both tiers.

use futures_util::future::join_all;

use super::super::ask::{Get, Seen, get, http1, is_over_http1, over_http1, over_http2, over_http3};
use super::super::files::{BIG, FILM, numbered};
use super::super::fleet::{EDGES, SHIELD};
use super::{Outcome, Told, Tour, both, is_hit, is_miss, one};

/// Clients that ask each edge at once in the step of collapsing.
const CROWD: usize = 50;

/// Where the four bytes of the film begin.
const START: u32 = 4_194_304;

/// Bytes of a slice, as nodes have it unless they are told otherwise.
const SLICE: u64 = 1 << 20;

impl Tour<'_> {
    pub(super) async fn miss(&self) -> Outcome {
        let seen = self.get(EDGES[0], "/").await?;
        let shield = seen.cache_status().starts_with(&format!("{SHIELD}; fwd="));
        let right = is_miss(&seen, EDGES[0]) && shield && self.requests() == 1;
        one(&seen, right)
    }

    pub(super) async fn second_edge(&self) -> Outcome {
        let seen = self.get(EDGES[1], "/").await?;
        let shield = seen.cache_status().starts_with(&format!("{SHIELD}; hit"));
        let right = is_miss(&seen, EDGES[1]) && shield && self.requests() == 1;
        one(&seen, right)
    }

    pub(super) async fn hit(&self) -> Outcome {
        let seen = self.get_both("/").await?;
        let hits = seen.iter().zip(EDGES).all(|(seen, edge)| is_hit(seen, edge));
        both(&seen, hits && self.requests() == 1)
    }

    pub(super) async fn http2(&self) -> Outcome {
        let edge = self.stage.member(EDGES[0]);
        let seen = over_http2(edge.https(), &self.stage.ca_file(), get("/")).await?;
        let told = seen.field("alt-svc").starts_with("h3=");
        one(&seen, is_hit(&seen, EDGES[0]) && told)
    }

    pub(super) async fn http3(&self) -> Outcome {
        let edge = self.stage.member(EDGES[0]);
        let seen = over_http3(edge.https(), &self.stage.ca_file(), get("/")).await?;
        one(&seen, is_hit(&seen, EDGES[0]))
    }

    pub(super) async fn revalidation(&self) -> Outcome {
        self.get(EDGES[0], "/news.html").await?;
        let seen = self.get(EDGES[0], "/news.html").await?;
        let validated = seen.cache_status().contains("fwd-status=304");
        one(&seen, seen.status == 200 && validated && !seen.body.is_empty())
    }

    pub(super) async fn not_modified(&self) -> Outcome {
        let pool = http1(self.stage.member(EDGES[0]).http());
        let first = over_http1(&pool, get("/")).await?;
        let fields = [("if-none-match", first.field("etag"))];
        let seen = over_http1(&pool, Get { path: "/", fields: &fields }).await?;
        let hit = seen.cache_status().starts_with(&format!("{}; hit", EDGES[0]));
        one(&seen, seen.status == 304 && hit && seen.body.is_empty())
    }

    pub(super) async fn range(&self) -> Outcome {
        let before = (self.requests(), self.stage.asked().bytes());
        let range = format!("bytes={START}-{}", START + 3);
        let fields = [("range", range.as_str())];
        let ask = Get { path: "/film.bin", fields: &fields };
        let [near, far] = EDGES.map(|edge| http1(self.stage.member(edge).http()));
        let seen = [over_http1(&near, ask).await?, over_http1(&far, ask).await?];
        let right = seen.iter().all(|seen| {
            seen.status == 206
                && seen.field("content-range") == format!("bytes {START}-{}/{FILM}", START + 3)
                && seen.body[..] == (START / 4).to_be_bytes()
        });
        let after = (before.0 + 1, before.1 + SLICE);
        both(&seen, right && (self.requests(), self.stage.asked().bytes()) == after)
    }

    pub(super) async fn collapse(&self) -> Outcome {
        let before = self.requests();
        let (pools, known) =
            (EDGES.map(|edge| http1(self.stage.member(edge).http())), numbered(BIG));
        let crowd = pools.iter().flat_map(|pool| std::iter::repeat_n(pool, CROWD));
        let asking = crowd.map(|pool| is_over_http1(pool, get("/big.bin"), &known));
        let all = join_all(asking).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let right = all.iter().all(|(seen, is_known)| seen.status == 200 && *is_known);
        let slowest = all.iter().map(|(seen, _)| seen).max_by_key(|seen| seen.took);
        let requests = self.requests() - before;
        Ok(Told {
            took: slowest.map(|seen| seen.took).unwrap_or_default(),
            seen: slowest.map(Seen::to_string).into_iter().collect(),
            is_right: right && requests == 1,
        })
    }

    /// Requests that the origin has seen.
    pub(super) fn requests(&self) -> usize {
        self.stage.asked().requests()
    }
}
