//! A real S3 server, SeaweedFS, that verifies signatures; curl signs what is put there. Dropping it
//! ends it.
//!
//! One that is missing fails the test with the command that installs it; no test is skipped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::node::TRIES;
use super::tools::{Said, curl};
use super::{Film, eventually};

/// The access key that may do everything.
pub(crate) const ACCESS_KEY: &str = "AKIDOWNER";
/// Its secret.
pub(crate) const SECRET_KEY: &str = "the/secret+of=the owner";
/// The access key that may read what is in [`BUCKET`], and list nothing.
pub(crate) const READER_KEY: &str = "AKIDREADER";
/// Its secret.
pub(crate) const READER_SECRET: &str = "the-secret-of-the-reader";

/// The bucket that is there. With it before `0.0.1` a host is an address of this machine, so that
/// it is found in the host without a name server.
pub(crate) const BUCKET: &str = "127";

/// Bytes that S3 wants of each part but the last.
const PART: u64 = 5 * 1024 * 1024;

/// A server with a bucket.
pub(crate) struct Seaweed {
    folder: TempDir,
    child: Child,
    ports: Ports,
}

/// HTTP and gRPC of each part.
#[derive(Clone, Copy)]
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

impl Seaweed {
    /// Starts one, and makes the bucket: whoever owns the server makes it by the first object.
    pub(crate) async fn start() -> Self {
        for _ in 0..TRIES {
            let mut server = Self::launch();
            // curl tries until the server takes connections; then it may have no place to write to.
            eventually("an object that SeaweedFS takes", async || {
                !server.lives() || server.put("/ready", b"yes").await.success
            })
            .await;
            if server.lives() {
                return server;
            }
        }
        panic!("SeaweedFS ended at once")
    }

    fn launch() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identities = serde_json::json!({ "identities": [
            {
                "name": "owner",
                "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
                "actions": ["Admin", "Read", "Write", "List"],
            },
            {
                "name": "reader",
                "credentials": [{ "accessKey": READER_KEY, "secretKey": READER_SECRET }],
                "actions": [format!("Read:{BUCKET}")],
            },
        ]});
        let config = folder.path().join("identities.json");
        std::fs::write(&config, identities.to_string()).unwrap();
        let ports = Ports::free();
        let mut command = Command::new(binary());
        command.arg("server").args(ports.arguments()).current_dir(&folder);
        command.arg(format!("-dir={}", folder.path().display()));
        command.arg(format!("-s3.config={}", config.display()));
        command.args(["-ip=127.0.0.1", "-s3", "-s3.domainName=0.0.1", "-volume.max=10"]);
        command.args(["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            let binary = binary();
            panic!("{} cannot be run ({error}): tests/setup-tools.sh", binary.display())
        });
        Self { folder, child, ports }
    }

    fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The port of its S3 service.
    pub(crate) fn port(&self) -> u16 {
        self.ports.s3[0]
    }

    /// Lines of `[origin.s3]` for the bucket in the path, but for credentials.
    pub(crate) fn in_path(&self) -> String {
        let port = self.port();
        format!(
            "bucket = \"{BUCKET}\"\nregion = \"eu-central-1\"\npath_style = true\n\
             endpoint = \"http://localhost:{port}\"\n"
        )
    }

    /// The same for the bucket in the host.
    pub(crate) fn in_host(&self) -> String {
        let port = self.port();
        format!(
            "bucket = \"{BUCKET}\"\nregion = \"eu-central-1\"\nendpoint = \"http://0.0.1:{port}\"\n"
        )
    }

    /// A credentials file of the server's folder, and the line that names it.
    pub(crate) fn credentials(&self, access_key: &str, secret: &str) -> String {
        let file = self.folder.path().join(format!("{access_key}-{}", secret.len()));
        let text = format!(
            "[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n"
        );
        std::fs::write(&file, text).unwrap();
        format!("credentials_file = \"{}\"\n", file.display())
    }

    /// Puts an object under a key as it stands in a URL.
    pub(crate) async fn put(&self, target: &str, content: &[u8]) -> Said {
        self.send("PUT", target, content, &[]).await
    }

    /// Puts an object with a field.
    pub(crate) async fn put_with(&self, target: &str, content: &[u8], field: &str) {
        let said = self.send("PUT", target, content, &["--header", field]).await;
        assert!(said.success, "{}", said.err);
    }

    /// Puts a film that is fresh for a minute, in two parts, and tells its entity tag.
    pub(crate) async fn put_in_parts(&self, target: &str, film: Film) -> String {
        let parts = [film.bytes(0, PART), film.bytes(PART, film.total)];
        let begin = format!("{target}?uploads=");
        let fresh = ["--header", "cache-control: max-age=60"];
        let begun = self.send("POST", &begin, b"", &fresh).await.text();
        let upload = between(&begun, "<UploadId>", "</UploadId>").to_owned();
        let mut list = String::from("<CompleteMultipartUpload>");
        for (number, part) in (1..).zip(&parts) {
            let part_target = format!("{target}?partNumber={number}&uploadId={upload}");
            let said = self.send("PUT", &part_target, part, &["--include"]).await.text();
            let mut fields = said.lines().filter_map(|line| line.split_once(": "));
            let etag = fields.find(|(name, _)| name.eq_ignore_ascii_case("etag"));
            let etag = etag.unwrap_or_else(|| panic!("no ETag: {said}")).1.trim();
            list.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        list.push_str("</CompleteMultipartUpload>");
        let end = format!("{target}?uploadId={upload}");
        let said = self.send("POST", &end, list.as_bytes(), &[]).await.text();
        between(&said, "<ETag>", "</ETag>").replace("&#34;", "").replace("&quot;", "")
    }

    async fn send(&self, method: &str, target: &str, content: &[u8], more: &[&str]) -> Said {
        let file = self.folder.path().join("content");
        std::fs::write(&file, content).unwrap();
        let url = format!("http://localhost:{}/{BUCKET}{target}", self.port());
        let content = format!("@{}", file.display());
        let user = format!("{ACCESS_KEY}:{SECRET_KEY}");
        let mut arguments = vec!["--fail-with-body", "--path-as-is", "--request", method];
        arguments.extend(["--aws-sigv4", "aws:amz:eu-central-1:s3", "--user", &user]);
        arguments.extend(["--header", "content-type: text/plain", "--data-binary", &content]);
        // curl 7.88 tells the hash of no content by itself.
        arguments.extend(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        arguments.extend(["--retry", "30", "--retry-connrefused", "--retry-delay", "1"]);
        curl(&[&arguments[..], more, &[&url]].concat()).await
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ports.forget();
    }
}

impl Ports {
    fn free() -> Self {
        let free: Vec<_> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = |index: usize| free[index].local_addr().unwrap().port();
        let two = |index| [port(index), port(index + 1)];
        Self { master: two(0), volume: two(2), filer: two(4), s3: two(6) }
    }

    fn named(self) -> [(&'static str, [u16; 2]); 4] {
        let Self { master, volume, filer, s3 } = self;
        [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)]
    }

    fn arguments(self) -> impl Iterator<Item = String> {
        self.named().into_iter().flat_map(|(name, [http, grpc])| {
            [format!("-{name}.port={http}"), format!("-{name}.port.grpc={grpc}")]
        })
    }

    /// Takes away the sockets that the server leaves behind.
    fn forget(self) {
        for (name, [http, grpc]) in self.named() {
            for file in [format!("{name}-{http}"), format!("{name}-grpc-{grpc}")] {
                // Not each part has both.
                let _ = std::fs::remove_file(format!("/tmp/seaweedfs-{file}.sock"));
            }
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap().0
}

fn binary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/venv/bin/weed")
}
