//! TLS against clients that are not rustls: curl and OpenSSL.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use super::*;
use crate::net::Drain;

/// Certificates in a folder of their own, signed by one root.
pub(in crate::net) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(in crate::net) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    pub(in crate::net) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for `hosts` to `file.pem` and its key to `file.key`.
    pub(in crate::net) fn issue(&self, file: &str, hosts: &[&str]) -> CertificateFiles {
        self.issue_with(file, hosts, |_| {})
    }

    fn issue_with(
        &self,
        file: &str,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateFiles {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, file);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = CertificateFiles {
            cert: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}.key")),
        };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

/// Answers every connection with the version that ALPN chose, then closes.
async fn serve(tls: Arc<ServerTls>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let Ok((mut stream, version)) = tls.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 1024]).await;
                let text = format!("{version:?}");
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
                let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

async fn run(mut command: Command) -> Output {
    spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap()
}

async fn curl(authority: &Authority, address: SocketAddr, host: &str, more: &[&str]) -> Output {
    let port = address.port();
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--http1.1", "--cacert"]);
    command.arg(authority.path("ca.pem"));
    command.args(["--resolve", &format!("{host}:{port}:127.0.0.1")]).args(more);
    command.arg(format!("https://{host}:{port}/"));
    run(command).await
}

async fn openssl(address: SocketAddr, more: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string()]).args(more);
    let output = run(command).await;
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat()
}

#[tokio::test]
async fn curl_trusts_the_certificate_of_each_name() {
    let authority = Authority::new();
    let files = vec![
        authority.issue("plain", &["a.example"]),
        authority.issue("wild", &["*.b.example", "b.example"]),
    ];
    let tls = ServerTls::new(Certificates::load(files).unwrap()).unwrap();
    let address = serve(tls).await;
    for host in ["a.example", "b.example", "x.b.example", "X.B.example"] {
        for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
            let output = curl(&authority, address, host, version).await;
            assert!(output.status.success(), "{host} {version:?}: {output:?}");
            assert_eq!(output.stdout, b"Http1");
        }
    }
    for host in ["x.y.b.example", "c.example", "example"] {
        let output = curl(&authority, address, host, &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("unrecognized name"), "{host}: {said}");
    }
}

#[tokio::test]
async fn openssl_sees_the_first_certificate_the_alert_and_the_protocol() {
    let authority = Authority::new();
    let files = ["one", "two"].map(|name| authority.issue(name, &[&format!("{name}.example")]));
    let tls = ServerTls::new(Certificates::load(files.into()).unwrap()).unwrap();
    let address = serve(tls).await;
    let said = openssl(address, &["-noservername"]).await;
    assert!(said.contains("subject=CN = one"), "{said}");
    let said = openssl(address, &["-servername", "two.example", "-alpn", "h2,http/1.1"]).await;
    assert!(said.contains("subject=CN = two") && said.contains("ALPN protocol: h2"), "{said}");
    let said = openssl(address, &["-servername", "three.example"]).await;
    assert!(said.contains("alert number 112"), "{said}");
    let said = openssl(address, &["-servername", "one.example", "-alpn", "spdy/1"]).await;
    assert!(said.contains("alert number 120"), "{said}");
    let said = openssl(address, &["-servername", "one.example", "-tls1_1"]).await;
    assert!(said.contains("no peer certificate available"), "{said}");
}

#[tokio::test]
async fn sessions_are_resumed() {
    let authority = Authority::new();
    let files = vec![authority.issue("one", &["one.example"])];
    let tls = ServerTls::new(Certificates::load(files).unwrap()).unwrap();
    let address = serve(tls).await;
    let said = openssl(address, &["-servername", "one.example", "-tls1_2", "-reconnect"]).await;
    assert_eq!(said.matches("Reused, TLSv1.2").count(), 5, "{said}");

    // A TLS 1.3 ticket comes after the handshake, so the client has to read on.
    let session = authority.path("session").to_string_lossy().into_owned();
    let resume = |option| {
        format!(
            "printf 'GET / HTTP/1.1\\r\\n\\r\\n' | openssl s_client -connect {address} \
             -servername one.example -tls1_3 -ign_eof {option} {session}"
        )
    };
    for (option, expected) in [("-sess_out", "New, TLSv1.3"), ("-sess_in", "Reused, TLSv1.3")] {
        let mut command = Command::new("sh");
        command.args(["-c", &resume(option)]);
        let said = String::from_utf8(run(command).await.stdout).unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_changed_file_is_served_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let files = authority.issue("one", &["old.example"]);
    let certificates = Certificates::load(vec![files.clone()]).unwrap();
    assert!(!certificates.reload_if_changed());
    authority.issue("one", &["new.example"]);
    assert!(certificates.reload_if_changed());
    assert!(certificates.know(Some("new.example")) && !certificates.know(Some("old.example")));

    std::fs::write(&files.key, "nonsense").unwrap();
    assert!(certificates.reload_if_changed(), "tried once");
    assert!(!certificates.reload_if_changed(), "and not again");
    assert!(certificates.reload(None).is_err());
    assert!(certificates.know(Some("new.example")));

    let bad = CertificateFiles { key: authority.path("missing.key"), ..files.clone() };
    assert!(certificates.reload(Some(vec![bad])).is_err());
    assert!(!certificates.reload_if_changed(), "files refused are not those to look at");

    let other = authority.issue("two", &["other.example"]);
    certificates.reload(Some(vec![other])).unwrap();
    assert!(certificates.know(Some("other.example")) && !certificates.know(Some("new.example")));
}

#[tokio::test]
async fn the_watch_ends_with_the_drain() {
    let authority = Authority::new();
    let certificates = Certificates::load(vec![authority.issue("one", &["old.example"])]).unwrap();
    let (drain, watch) = Drain::new();
    let period = std::time::Duration::from_millis(1);
    let watching = tokio::spawn(certificates.clone().watch(period, watch));
    authority.issue("one", &["new.example"]);
    while !certificates.know(Some("new.example")) {
        tokio::task::yield_now().await;
    }
    drain.begin();
    watching.await.unwrap();
}

#[test]
fn faults_name_the_file_and_what_was_expected() {
    let authority = Authority::new();
    let good = authority.issue("good", &["a.example"]);
    let other = authority.issue("other", &["b.example"]);
    let empty = authority.path("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let garbled = authority.path("garbled.pem");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&garbled, pem).unwrap();
    let missing = authority.path("missing.pem");
    let with =
        |cert: &PathBuf, key: &PathBuf| CertificateFiles { cert: cert.clone(), key: key.clone() };
    let cases = [
        (with(&missing, &good.key), "missing.pem: I/O error: No such file"),
        (with(&empty, &good.key), "empty.pem: holds no certificate; expected"),
        (with(&good.key, &good.key), "good.key: holds no certificate"),
        (with(&garbled, &good.key), "garbled.pem: holds no X.509 certificate: "),
        (with(&good.cert, &missing), "missing.pem: I/O error"),
        (with(&good.cert, &good.cert), "good.pem: holds no private key; expected PKCS#8"),
        (with(&good.cert, &other.key), "other.key: is not the key of the first certificate in"),
    ];
    for (files, expected) in cases {
        let said = Certificates::load(vec![files]).unwrap_err().to_string();
        assert!(said.contains(expected), "{said} / {expected}");
    }
    assert!(Certificates::load(Vec::new()).is_err());
}

#[test]
fn an_old_certificate_is_served_with_a_warning() {
    let authority = Authority::new();
    let now = rustls::pki_types::UnixTime::now();
    let cases = [
        ("good", 2000, 2100, None),
        ("old", 2000, 2001, Some("has expired")),
        ("early", 2098, 2100, Some("is not valid yet")),
    ];
    for (name, from, to, warning) in cases {
        let files = authority.issue_with(name, &["a.example"], |params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
        });
        let loaded = load::load(&files, now).unwrap();
        assert_eq!(loaded.warnings, Vec::from_iter(warning));
        assert_eq!(loaded.names, ["a.example"]);
    }
}
