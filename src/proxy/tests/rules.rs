//! Edge rules on their way through the proxy: what is done for clients is not done for edges again.

use super::world::{World, say};

#[tokio::test]
async fn a_node_asks_no_rule_for_an_edge() {
    let site = "ip_deny = [\"127.0.0.0/8\"]";
    let script = |_: &str, _| vec![say("200 OK", &["cache-control: max-age=60"], "x")];
    let world = World::new(site, script).await;
    let refused = world.get("/").got().await;
    assert_eq!((refused.status, refused.served), (403, "refused"));
    assert_eq!(refused.cache(), "detail=address-denied");
    let served = world.get("/").by_edge().got().await;
    assert_eq!((served.status, served.body.as_str()), (200, "x"));
    assert_eq!(world.get("/").got().await.status, 403, "what is stored is not let out either");
}

const IPHONE: &str = "Mozilla/5.0 (iPhone) Mobile Safari";

#[tokio::test]
async fn the_device_is_told_by_the_node_that_the_client_asks() {
    let site = "key = { device = true, cookies = [\"tier\"] }";
    let script = |_: &str, number: usize| {
        vec![say("200 OK", &["cache-control: max-age=60"], &number.to_string())]
    };
    let world = World::new(site, script).await;
    let phone = || world.get("/").with("user-agent", IPHONE);
    assert_eq!(phone().with("headland-device", "bot").got().await.body, "0");
    let head = world.origin.heads()[0].to_lowercase();
    assert!(head.contains("headland-device: mobile") && !head.contains(": bot"), "{head}");
    assert_eq!(phone().got().await.served, "hit");
    // The same by an edge, whatever it hands on besides.
    let by_edge = |device| world.get("/").by_edge().with("headland-device", device);
    assert_eq!(by_edge("mobile").got().await.body, "0");
    assert_eq!(by_edge("tablet").with("user-agent", IPHONE).got().await.body, "1");
    assert_eq!(world.get("/").got().await.body, "2");
    assert_eq!(phone().with("cookie", "a=b; tier=gold").got().await.body, "3");
    assert_eq!(phone().with("cookie", "tier=gold; a=c").got().await.served, "hit");
    assert_eq!(phone().with("cookie", "a=c").got().await.body, "0");
}

#[tokio::test]
async fn nobody_tells_what_the_route_does_not_ask() {
    let script = |_: &str, _| vec![say("200 OK", &["cache-control: max-age=60"], "x")];
    let world = World::new("", script).await;
    let ask = world.get("/").with("headland-device", "bot").with("headland-country", "XX");
    assert_eq!(ask.with("user-agent", IPHONE).got().await.status, 200);
    assert!(!world.origin.heads()[0].to_lowercase().contains("headland-"));
}
