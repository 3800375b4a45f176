//! A NATS server that asks who comes, over TLS: the control plane signs in by its credentials, and
//! trusts nobody else.

use std::path::PathBuf;
use std::process::Output;

use data_encoding::BASE64URL_NOPAD as BASE64;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};

use super::nats::{NatsServer, Settings};
use super::*;

/// A server of one account, and what leads to it.
struct Guarded {
    folder: TempDir,
    server: NatsServer,
}

impl Guarded {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let operator = KeyPair::new_operator();
        let (system, account) = (KeyPair::new_account(), KeyPair::new_account());
        let user = KeyPair::new_user();
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        });
        let mut stored = limits.clone();
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            stored[limit] = json!(-1);
        }
        let of_operator = json!({ "type": "operator", "system_account": system.public_key() });
        let of_system = json!({ "type": "account", "limits": limits });
        let of_account = json!({ "type": "account", "limits": stored });
        let of_user = json!({ "type": "user", "subs": -1, "data": -1, "payload": -1 });
        let signed = |by: &KeyPair, whom: &KeyPair, what| token(by, whom, what);
        let accounts = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload {{\n  {}: {}\n  {}: {}\n}}\n\
             tls {{ cert_file: \"{6}/server.pem\", key_file: \"{6}/server.key\" }}\n",
            signed(&operator, &operator, of_operator),
            system.public_key(),
            system.public_key(),
            signed(&operator, &system, of_system),
            account.public_key(),
            signed(&operator, &account, of_account),
            folder.path().display(),
        );
        let credentials = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            signed(&account, &user, of_user),
            user.seed().unwrap(),
        );
        std::fs::write(folder.path().join("headland.creds"), credentials).unwrap();
        certify(folder.path());
        let settings = Settings { accounts: Some(accounts), ..Settings::default() };
        Self { server: NatsServer::with(settings), folder }
    }

    /// Lines of `[purge_log]` that lead here, without what it takes to be let in.
    fn purge_log(&self) -> String {
        let url = self.server.url().replace("nats://127.0.0.1", "tls://localhost");
        format!("backend = \"nats\"\nservers = [\"{url}\"]\ncheck_sync = false\n")
    }

    /// The line of a key whose value is a file that was made for this server.
    fn line(&self, key: &str, file: &str) -> String {
        format!("{key} = \"{}\"\n", self.folder.path().join(file).display())
    }
}

/// A JWT of NATS (version 2 of its claims): `by` says `what` of `whom`.
fn token(by: &KeyPair, whom: &KeyPair, mut what: Value) -> String {
    what["version"] = json!(2);
    let claims = json!({
        "jti": "1", "iat": 1_700_000_000, "name": "headland", "iss": by.public_key(),
        "sub": whom.public_key(), "nats": what,
    });
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let [header, claims] = [header, claims].map(|part| BASE64.encode(part.to_string().as_bytes()));
    let signature = by.sign(format!("{header}.{claims}").as_bytes()).unwrap();
    format!("{header}.{claims}.{}", BASE64.encode(&signature))
}

/// A certificate for this machine, and the authority behind it.
fn certify(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &authority).unwrap();
    for (file, text) in [
        ("nats-ca.pem", authority.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

/// What a control plane that cannot begin says.
fn refused(purge_log: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let config: PathBuf = folder.path().join("control.toml");
    let text = format!("[listen]\napi = \"127.0.0.1:0\"\n[purge_log]\n{purge_log}");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headland"));
    command.args(["control", "--config"]).arg(config).output().unwrap()
}

#[test]
fn a_server_that_asks_who_comes_is_told_and_nobody_else_is_trusted() {
    let guarded = Guarded::start();
    let lines = guarded.purge_log();
    let trusts = guarded.line("ca_file", "nats-ca.pem");
    let signs_in = guarded.line("credentials_file", "headland.creds");

    let folder = TempDir::new().unwrap();
    let purge_log = format!("{lines}{trusts}{signs_in}");
    let control = Control::start_with(folder.path(), &purge_log).led();
    let (status, receipt) = control.purge("a").unwrap();
    assert!(status == 200, "no node waits for it: {receipt}");
    assert_eq!(receipt["data"]["sequence"]["number"], 1);

    for (purge_log, expected) in [
        (format!("{lines}{trusts}"), "authorization"),
        (format!("{lines}{signs_in}"), "certificate"),
    ] {
        let output = refused(&purge_log);
        let told = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(!output.status.success() && told.contains(expected), "{told}");
    }
}
