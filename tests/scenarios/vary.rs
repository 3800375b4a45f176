//! Responses of one URL that differ by request fields (RFC 9111 section 4.1).

use crate::support::{Ask, Client, Protocol, Reply, Scene, over_each_protocol};

over_each_protocol!(
    each_variant_is_stored_for_its_requests,
    fields_are_compared_as_they_mean,
    a_refused_language_tells_requests_apart,
    variants_have_a_bound,
    a_variant_that_waits_is_not_given_to_another,
    what_the_node_says_itself_chooses_as_it_says_it,
);

async fn what_the_node_says_itself_chooses_as_it_says_it(protocol: Protocol) {
    let site = "key.headers = [\"x-forwarded-proto\"]\n[[site.route]]\npath = \"/*\"\n";
    for (by, site) in [("vary", ""), ("key", site)] {
        let scene = Scene::with(protocol, |setup| setup.site(site)).await;
        let other = match protocol {
            Protocol::H1 => Protocol::H2,
            _ => Protocol::H1,
        };
        let other = Client::of(&scene.node, other).await;
        for name in ["x-forwarded-proto", "via"] {
            let target = format!("/{name}");
            let reply = |body: &'static str| match by {
                "vary" => Reply::fresh(body).field("vary", name),
                _ => Reply::fresh(body),
            };
            scene.origin.on(&target, reply("one"));
            scene.origin.on(&target, reply("other"));
            assert_eq!(scene.get(&target).await.text(), "one", "{by} {name}");
            if (by, name) == ("key", "via") {
                continue;
            }
            assert_eq!(other.get(&target).await.text(), "other", "{by} {name}");
        }
        // What a client says there is not heard.
        let target = "/x-forwarded-proto";
        for said in ["http", "https", "evil"] {
            assert!(scene.get_with(target, "x-forwarded-proto", said).await.is_hit(), "{said}");
        }
    }
    let scene = Scene::new(protocol).await;
    let names = "x-forwarded-for, x-forwarded-host, forwarded, x-original-url, te";
    scene.origin.on("/", Reply::fresh("x").field("vary", names));
    scene.get_with("/", "x-forwarded-for", "192.0.2.1").await;
    for name in ["x-forwarded-for", "x-forwarded-host", "forwarded", "x-original-url"] {
        assert!(scene.get_with("/", name, "evil").await.is_hit(), "{name}");
    }
}

#[tokio::test]
async fn what_belongs_to_the_connection_chooses_nothing() {
    let site = "key = { headers = [\"x-tier\"], device = true }";
    let scene = Scene::with(Protocol::H1, |setup| setup.site(site)).await;
    let varied = Reply::fresh("x").field("vary", "accept-language, origin");
    scene.origin.on("/", varied);
    let german = || Ask::get("/").field("accept-language", "de").field("x-tier", "gold");
    let german = || german().field("origin", "https://a.example");
    let named = "keep-alive, Accept-Language, origin, X-Tier, headland-device";
    scene.ask(german().field("connection", named)).await;
    let asked = scene.origin.last();
    for name in ["accept-language", "origin", "x-tier"] {
        assert_eq!(asked.field(name), "", "{name}");
    }
    assert_eq!(asked.field("headland-device"), "desktop");
    // It was asked for what one asks for who says nothing, and is stored for those.
    assert!(scene.get("/").await.is_hit());
    assert!(!scene.ask(german()).await.is_hit());
    assert_eq!(scene.origin.last().field("accept-language"), "de");
    // On which the rules of caching rest is not the connection's.
    let cookie = Ask::get("/cookie").field("cookie", "a=1").field("connection", "cookie");
    scene.ask(cookie).await;
    assert_eq!(scene.origin.last().field("cookie"), "a=1");
}

async fn each_variant_is_stored_for_its_requests(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let varied = |body: &'static str| Reply::fresh(body).field("vary", "Accept-Language, X-Plan");
    scene.origin.on("/", varied("de"));
    scene.origin.on("/", varied("en"));
    scene.origin.on("/", varied("none"));
    let german = ("accept-language", "de");
    let english = ("accept-language", "en");
    assert_eq!(scene.get_with("/", german.0, german.1).await.text(), "de");
    assert_eq!(scene.get_with("/", english.0, english.1).await.text(), "en");
    assert_eq!(scene.get("/").await.text(), "none");
    for (field, text) in [(Some(german), "de"), (Some(english), "en"), (None, "none")] {
        let ask = field.iter().fold(Ask::get("/"), |ask, (name, value)| ask.field(name, value));
        let hit = scene.ask(ask).await;
        assert!(hit.is_hit(), "{}", hit.cache_status());
        assert_eq!(hit.text(), text);
        assert_eq!(hit.field("vary"), "Accept-Language, X-Plan");
    }
    assert_eq!(scene.origin.count(), 3);
}

async fn fields_are_compared_as_they_mean(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    scene.origin.on("/", Reply::fresh("x").field("vary", "x-list"));
    scene.get_with("/", "x-list", "a, b").await;
    let in_two_lines = Ask::get("/").field("x-list", "a").field("x-list", "b");
    assert!(scene.ask(in_two_lines).await.is_hit());
    assert!(scene.get_with("/", "x-list", "a,b").await.is_hit());
    assert!(!scene.get_with("/", "x-list", "b, a").await.is_hit());
    scene.origin.on("/de", Reply::fresh("x").field("vary", "accept-language"));
    scene.get_with("/de", "accept-language", "de, en;q=0.5, fr").await;
    assert!(scene.get_with("/de", "accept-language", "fr,DE , en; q=0.50").await.is_hit());
    assert!(!scene.get_with("/de", "accept-language", "fr, de;q=0.9, en;q=0.5").await.is_hit());
}

async fn a_refused_language_tells_requests_apart(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let varied = |body: &'static str| Reply::fresh(body).field("vary", "accept-language");
    scene.origin.on("/", varied("en-GB"));
    scene.origin.on("/", varied("en-US"));
    assert_eq!(scene.get_with("/", "accept-language", "en").await.text(), "en-GB");
    let american = "en, en-GB;q=0";
    assert_eq!(scene.get_with("/", "accept-language", american).await.text(), "en-US");
    assert_eq!(scene.get_with("/", "accept-language", "en").await.text(), "en-GB");
    assert_eq!(scene.origin.count(), 2);
    // Of codings what is not listed is refused as well.
    scene.origin.on("/coded", Reply::fresh("x").field("vary", "accept-encoding"));
    scene.get_with("/coded", "accept-encoding", "gzip").await;
    for (accepted, shared) in
        [("gzip, br;q=0", true), ("gzip, identity;q=0", false), ("gzip, *;q=0", false)]
    {
        let seen = scene.get_with("/coded", "accept-encoding", accepted).await;
        assert_eq!(seen.is_hit(), shared, "{accepted}");
    }
}

async fn variants_have_a_bound(protocol: Protocol) {
    let scene = Scene::with(protocol, |setup| setup.cache("variants = 2")).await;
    scene.origin.on("/", Reply::fresh("x").field("vary", "x-plan"));
    for plan in ["1", "2", "3"] {
        assert!(!scene.get_with("/", "x-plan", plan).await.is_hit(), "{plan}");
    }
    // The oldest has made room.
    for plan in ["3", "2"] {
        assert!(scene.get_with("/", "x-plan", plan).await.is_hit(), "{plan}");
    }
    assert!(!scene.get_with("/", "x-plan", "1").await.is_hit());
    assert_eq!(scene.origin.count(), 4);
}

async fn a_variant_that_waits_is_not_given_to_another(protocol: Protocol) {
    let scene = Scene::new(protocol).await;
    let gate = crate::support::Gate::new();
    let varied = |body: &'static str| Reply::fresh(body).field("vary", "x-plan");
    scene.origin.on("/", varied("one").held(&gate));
    scene.origin.on("/", varied("two"));
    let mut crowd = scene.crowd(2).await;
    let (first, second) = (crowd.remove(0), crowd.remove(0));
    let one = async { first.ask(Ask::get("/").field("x-plan", "1")).await.unwrap() };
    let two = async {
        // It joins the first one's flight: that the response varies is not known yet.
        scene.origin.until_asked(1).await;
        let answer = second.ask(Ask::get("/").field("x-plan", "2"));
        let opened = async { gate.open() };
        tokio::join!(answer, opened).0.unwrap()
    };
    let (one, two) = tokio::join!(one, two);
    assert_eq!((one.text(), two.text()), ("one", "two"));
    let plans: Vec<_> = scene.origin.asked().iter().map(|asked| asked.field("x-plan")).collect();
    assert_eq!(plans, ["1", "2"]);
}
