//! What goes to shields, to whom, and over what.

use http::header::HOST;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;

#[tokio::test]
async fn the_near_one_is_asked_with_the_proof_and_all_fields() {
    let ((near, near_url), (far, far_url)) =
        (Scripted::start("near", Mood::Well).await, Scripted::start("far", Mood::Well).await);
    let shields = shields(settings(&[&near_url, &far_url]));
    let mut request = get();
    request.headers.insert(HOST, "www.example.com".parse().unwrap());
    request.headers.insert("headland-floor", "1/2".parse().unwrap());
    assert_eq!(ask(&shields, request).await.unwrap(), "near");
    let seen = near.last();
    assert_eq!(seen.head.uri.to_string(), "http://www.example.com/a?b");
    assert!(proof().is_proven_by(seen.head.headers[PEER].as_bytes()));
    assert_eq!(seen.head.headers["headland-floor"], "1/2");
    assert_eq!((near.asked(), far.asked()), (1, 0));
    let counted = format!("headland_shield_requests_total{{shield=\"{near_url}\",status=\"200\"}}");
    assert_eq!(metric(&shields, &counted), "1");
}

#[tokio::test]
async fn keys_are_shared_out_among_the_near() {
    let ((_a, a_url), (_b, b_url)) =
        (Scripted::start("a", Mood::Well).await, Scripted::start("b", Mood::Well).await);
    let mut settings = settings(&[&a_url, &b_url]);
    settings.shield.nodes[1].region = "eu".to_owned();
    let shields = shields(settings);
    let mut answers = [0_u32; 2];
    for number in 0..200_u32 {
        let key = number.to_le_bytes();
        let first = shields.queue(&key).next().unwrap().member;
        let again = shields.queue(&key).next().unwrap().member;
        assert!(std::ptr::eq(first, again));
        answers[usize::from(first.url == b_url)] += 1;
    }
    assert!(answers.iter().all(|&count| count > 50), "{answers:?}");
}

/// A root, and what a shield at 127.0.0.1 shows that it signed.
fn authority() -> (CertifiedIssuer<'static, KeyPair>, TlsAcceptor) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (root, TlsAcceptor::from(Arc::new(config)))
}

/// A shield over TLS.
async fn secure(shield: Scripted, acceptor: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(shield.clone().serve(stream));
        }
    });
    address
}

#[tokio::test]
async fn only_the_named_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let ((root, acceptor), (stranger, _)) = (authority(), authority());
    let shield = Scripted::new("secure", Mood::Well);
    let url = format!("https://{}", secure(shield.clone(), acceptor).await);
    let with_root = |file: &str, root: &CertifiedIssuer<'static, KeyPair>| {
        let file = folder.path().join(file);
        std::fs::write(&file, root.pem()).unwrap();
        shields(ShieldSettings { ca_file: Some(file), ..settings(&[&url]) })
    };
    assert_eq!(name(&with_root("ca.pem", &root)).await, "secure");
    assert_eq!(shield.last().head.uri.scheme_str(), Some("https"));

    let failed = ask(&with_root("stranger.pem", &stranger), get()).await.unwrap_err();
    assert_eq!(failed.error.reason, "shield-tls-failed", "{}", failed.error);
    assert_eq!(shield.asked(), 1);

    let absent = Some(folder.path().join("absent.pem"));
    let settings = ShieldSettings { ca_file: absent, ..settings(&[&url]) };
    let fault = Shields::new(settings, &Egress::default(), metrics()).unwrap_err().to_string();
    assert!(fault.contains("absent.pem"), "{fault}");
}

#[tokio::test]
async fn a_reload_keeps_what_did_not_change() {
    let (_shield, url) = Scripted::start("a", Mood::Well).await;
    let (metrics, other) = (metrics(), nowhere().await);
    let build = |settings: Option<ShieldSettings>, previous: Option<&Upstreams>| {
        let upstreams = Upstreams::default()
            .with_shields(settings, &Egress::default(), &metrics, previous)
            .unwrap();
        upstreams.watch(previous);
        upstreams
    };
    let first = build(Some(settings(&[&url])), None);
    let same = build(Some(settings(&[&url])), Some(&first));
    let shields = same.shields().unwrap();
    assert!(Arc::ptr_eq(first.shields().unwrap(), shields));
    let healthy = |url| format!("headland_upstream_healthy{{upstream=\"{url}\"}}");
    assert_eq!(metric(shields, &healthy(&url)), "1");

    let mut rotated = settings(&[&url]);
    rotated.proof = PeerProof::new(&Secret::new("another secret of it"));
    let rotated = build(Some(rotated), Some(&same));
    assert!(!Arc::ptr_eq(rotated.shields().unwrap(), shields));

    let moved = build(Some(settings(&[&other])), Some(&rotated));
    let servers: Vec<_> = moved.status().map(|server| (server.name, server.server)).collect();
    assert_eq!(servers, [("shield".to_owned(), other.clone())]);
    assert_eq!(metric(shields, &healthy(&other)), "1");
    assert_eq!(metric(shields, &healthy(&url)), "0", "it is gone");
    assert!(build(None, Some(&moved)).shields().is_none());
}
