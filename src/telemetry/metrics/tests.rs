//! What is counted is what a scrape shows, whatever threads counted it.

use std::collections::BTreeMap;
use std::thread;

use super::*;

const RESULTS: [&str; 3] = ["hit", "miss", "pass"];

fn sample(site: usize, result: usize) -> RequestSample {
    RequestSample {
        site,
        protocol: Protocol::H2,
        status: 200,
        result,
        source: Source::Memory,
        bytes: 1000,
        duration: Duration::from_micros(300),
    }
}

/// Values by series, as a scraper reads them.
fn scrape(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.render();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn a_scrape_sums_all_threads() {
    let metrics = Metrics::new(&RESULTS);
    let shop = metrics.register_site("shop");
    thread::scope(|scope| {
        for worker in 0..4 {
            let metrics = &metrics;
            scope.spawn(move || {
                // The last one stands for the threads that never attach.
                if worker < 3 {
                    metrics.attach();
                }
                for _ in 0..1000 {
                    metrics.request(&sample(shop, 0));
                    metrics.hit(Tier::Memory);
                }
                metrics.miss(Tier::Disk);
                metrics.collapsed();
            });
        }
    });
    let series = scrape(&metrics);
    let requests =
        r#"headland_requests_total{site="shop",protocol="h2",status="200",result="hit"}"#;
    assert_eq!(series[requests], 4000.0);
    assert_eq!(series[r#"headland_bytes_total{site="shop",source="memory"}"#], 4_000_000.0);
    assert_eq!(series[r#"headland_hits_total{tier="memory"}"#], 4000.0);
    assert_eq!(series[r#"headland_misses_total{tier="disk"}"#], 4.0);
    assert_eq!(series["headland_collapsed_total"], 4.0);
    let sums = metrics.snapshot();
    assert_eq!((sums.requests, sums.bytes, sums.collapsed), (4000, 4_000_000, 4));
    assert_eq!((sums.hits(Tier::Memory), sums.misses(Tier::Memory)), (4000, 0));
    assert_eq!((sums.hits(Tier::Disk), sums.misses(Tier::Disk)), (0, 4));
}

#[test]
fn the_histogram_is_cumulative_and_sums_seconds() {
    let metrics = Metrics::new(&RESULTS);
    for micros in [100, 101, 2_000, 60_000_000] {
        let duration = Duration::from_micros(micros);
        metrics.request(&RequestSample { duration, ..sample(NO_SITE, 1) });
    }
    let series = scrape(&metrics);
    let bucket = |bound: &str| {
        series[&format!(r#"headland_request_seconds_bucket{{result="miss",le="{bound}"}}"#)]
    };
    assert_eq!(bucket("0.0001"), 1.0);
    assert_eq!(bucket("0.00025"), 2.0);
    assert_eq!(bucket("0.001"), 2.0);
    assert_eq!(bucket("0.0025"), 3.0);
    assert_eq!(bucket("30"), 3.0);
    assert_eq!(bucket("+Inf"), 4.0);
    assert_eq!(series[r#"headland_request_seconds_count{result="miss"}"#], 4.0);
    assert_eq!(series[r#"headland_request_seconds_sum{result="miss"}"#], 60.002_201);
}

#[test]
fn series_that_never_happened_are_not_shown() {
    let metrics = Metrics::new(&RESULTS);
    metrics.register_site("shop");
    metrics.request(&RequestSample { status: 777, protocol: Protocol::H1, ..sample(NO_SITE, 2) });
    let series = scrape(&metrics);
    let requests: Vec<_> =
        series.keys().filter(|name| name.starts_with("headland_requests_total")).collect();
    let only = r#"headland_requests_total{site="-",protocol="h1",status="other",result="pass"}"#;
    assert_eq!(requests, [only]);
}

#[test]
fn a_site_keeps_its_index_and_there_is_an_end_to_them() {
    let metrics = Metrics::new(&RESULTS);
    let first = metrics.register_site("0");
    for name in 1..SITES_MAX {
        metrics.register_site(&name.to_string());
    }
    assert_eq!(metrics.register_site("0"), first);
    let beyond = metrics.register_site("one more");
    assert_eq!(beyond, metrics.register_site("and another"));
    metrics.request(&sample(beyond, 0));
    metrics.request(&sample(usize::MAX, 0));
    let series = scrape(&metrics);
    assert_eq!(series[r#"headland_bytes_total{site="other",source="memory"}"#], 2000.0);
    assert_eq!(metrics.snapshot().bytes, 2000);
}

#[test]
fn a_connection_may_close_on_another_thread() {
    let metrics = Metrics::new(&RESULTS);
    metrics.attach();
    metrics.connection_opened(Protocol::H3);
    metrics.connection_opened(Protocol::H3);
    thread::scope(|scope| {
        scope.spawn(|| {
            metrics.attach();
            metrics.connection_closed(Protocol::H3);
        });
    });
    assert_eq!(scrape(&metrics)[r#"headland_connections{protocol="h3"}"#], 1.0);
    assert_eq!(metrics.snapshot().connections, 1);
}

#[test]
fn a_thread_that_ended_leaves_its_shard_and_counts_to_the_next() {
    let metrics = Metrics::new(&RESULTS);
    for _ in 0..5 {
        thread::scope(|scope| {
            // Joined by hand: a scope alone does not wait for thread-locals to be dropped.
            let worker = scope.spawn(|| {
                metrics.attach();
                metrics.attach();
                metrics.hit(Tier::Disk);
            });
            worker.join().expect("counting does not panic");
        });
    }
    let mut shards = 0;
    metrics.hot.shards.each(|_| shards += 1);
    assert_eq!(shards, 2, "the spare and one more");
    assert_eq!(metrics.snapshot().hits(Tier::Disk), 5);
}

#[test]
fn nodes_in_one_process_count_apart() {
    let (one, other) = (Metrics::new(&RESULTS), Metrics::new(&RESULTS));
    one.attach();
    other.attach();
    one.hit(Tier::Memory);
    other.miss(Tier::Memory);
    assert_eq!((one.snapshot().hits(Tier::Memory), one.snapshot().misses(Tier::Memory)), (1, 0));
    assert_eq!(
        (other.snapshot().hits(Tier::Memory), other.snapshot().misses(Tier::Memory)),
        (0, 1)
    );
}

#[test]
fn cold_metrics_show_what_they_were_told() {
    let metrics = Metrics::new(&RESULTS);
    metrics.slice(Source::Flight);
    metrics.origin_request("app", Some(503));
    metrics.origin_request("app", None);
    metrics.shield_request("https://a", Some(200));
    metrics.shield_request("https://a", None);
    metrics.store_objects(Tier::Memory).set(7);
    metrics.store_bytes(Tier::Disk).add(4096);
    metrics.evictions(Tier::Memory).inc();
    metrics.purge_position().set(12);
    metrics.purge_lag().set(3);
    metrics.purge_applied(Duration::from_millis(2));
    metrics.purged_objects(Tier::Disk).inc_by(6);
    metrics.set_upstream_healthy("app", true);
    metrics.set_upstream_healthy("gone", false);
    metrics.remove_upstream("gone");
    metrics.remove_upstream("never seen");
    metrics.disk_errors().inc();
    metrics.access_log_dropped().inc_by(5);
    metrics.connection_refused("address");
    metrics.client_reset();
    let expected = [
        (r#"headland_slices_total{source="flight"}"#, 1.0),
        (r#"headland_origin_requests_total{origin="app",status="503"}"#, 1.0),
        (r#"headland_origin_requests_total{origin="app",status="error"}"#, 1.0),
        (r#"headland_shield_requests_total{shield="https://a",status="200"}"#, 1.0),
        (r#"headland_shield_requests_total{shield="https://a",status="error"}"#, 1.0),
        (r#"headland_store_objects{tier="memory"}"#, 7.0),
        (r#"headland_store_bytes{tier="disk"}"#, 4096.0),
        (r#"headland_evictions_total{tier="memory"}"#, 1.0),
        ("headland_purge_position", 12.0),
        ("headland_purge_lag", 3.0),
        (r#"headland_purge_apply_seconds_bucket{le="0.0025"}"#, 1.0),
        ("headland_purge_apply_seconds_sum", 0.002),
        (r#"headland_purged_objects_total{tier="disk"}"#, 6.0),
        (r#"headland_upstream_healthy{upstream="app"}"#, 1.0),
        ("headland_disk_errors_total", 1.0),
        ("headland_access_log_dropped_total", 5.0),
        (r#"headland_connections_refused_total{reason="address"}"#, 1.0),
        ("headland_client_resets_total", 1.0),
    ];
    let series = scrape(&metrics);
    for (name, value) in expected {
        assert_eq!(series.get(name), Some(&value), "{name}");
    }
    assert!(!series.contains_key(r#"headland_upstream_healthy{upstream="gone"}"#));
}
