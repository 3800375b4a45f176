//! Credentials as they are held, by a calendar that is set, and from a scripted metadata service.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::config::moment::Moment;
use crate::config::s3::{CredentialsFrom, S3};
use crate::net::client::Egress;
use crate::upstream::error::SetupError;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn credentials(id: &str, ends: Option<u64>) -> Credentials {
    Credentials::new(id, "secret", None, ends.map(at), "test")
}

#[test]
fn what_is_held_is_renewed_before_it_ends() {
    let mut held = Held::default();
    assert_eq!(held.at(at(0)), State::Absent);
    for (ends, renew) in [(3600, 3300), (600, 300), (100, 50)] {
        let own = credentials("a", Some(ends));
        held.obtained(own.clone(), None, at(0));
        assert_eq!(held.at(at(renew - 1)), State::Good(own.clone()));
        assert_eq!(held.at(at(renew)), State::Due(own.clone()));
        assert_eq!(held.at(at(ends - 1)), State::Due(own));
        assert_eq!(held.at(at(ends)), State::Absent);
    }
    let own = credentials("a", None);
    held.obtained(own.clone(), Some(Duration::from_secs(60)), at(0));
    assert_eq!(held.at(at(59)), State::Good(own.clone()));
    assert_eq!(held.at(at(1_000_000)), State::Due(own.clone()), "a file is good until read again");
    held.obtained(own.clone(), None, at(0));
    assert_eq!(held.at(at(1_000_000)), State::Good(own));
}

#[test]
fn a_renewal_that_fails_holds_the_next_one_back_and_leaves_what_is_held() {
    let (mut held, own) = (Held::default(), credentials("a", Some(600)));
    let why = Unavailable("why".into());
    held.failed = Some((at(10), why.clone()));
    assert_eq!(held.at(at(14)), State::Failed(why.clone()));
    assert_eq!(held.at(at(15)), State::Absent);
    assert_eq!(held.at(at(9)), State::Absent, "the calendar was put back");
    held.obtained(own.clone(), None, at(0));
    held.failed = Some((at(310), why.clone()));
    assert_eq!(held.at(at(314)), State::Good(own.clone()));
    assert_eq!(held.at(at(315)), State::Due(own));
    held.failed = Some((at(599), why.clone()));
    assert_eq!(held.at(at(601)), State::Failed(why));
}

/// A metadata service: to each request for credentials the next of these answers.
struct Metadata {
    address: SocketAddr,
    asked: watch::Receiver<usize>,
}

impl Metadata {
    async fn start(answers: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut answers: VecDeque<String> = answers.to_vec().into();
        let (told, asked) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let is_in_session = head.contains("\r\nx-aws-ec2-metadata-token: session\r\n");
                let answer = match head.split("\r\n").next().unwrap() {
                    "PUT /latest/api/token HTTP/1.1" => "session".to_owned(),
                    "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" if is_in_session => {
                        "role\n".to_owned()
                    }
                    "GET /latest/meta-data/iam/security-credentials/role HTTP/1.1"
                        if is_in_session =>
                    {
                        told.send_modify(|asked| *asked += 1);
                        answers.pop_front().unwrap_or_default()
                    }
                    _ => "unknown".to_owned(),
                };
                let length = answer.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\
                     connection: close\r\n\r\n{answer}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, asked }
    }

    fn env(&self) -> impl Fn(&str) -> Option<String> {
        let url = format!("http://{}", self.address);
        move |name| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| url.clone())
    }

    async fn until_asked(&mut self, count: usize) {
        let asked = self.asked.wait_for(|asked| *asked == count);
        tokio::time::timeout(Duration::from_mins(1), asked).await.expect("a question").unwrap();
    }
}

fn answer(id: &str, ends: u64) -> String {
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"S","Token":"T",
            "Expiration":"{}"}}"#,
        Moment(ends)
    )
}

/// A keeper, and what sets its calendar.
fn keeper(config: &S3, env: &dyn Fn(&str) -> Option<String>) -> (Arc<Keeper>, watch::Sender<u64>) {
    let (set, time) = watch::channel(1000);
    let source = Source::new("bucket", config, &Egress::default(), env).unwrap().unwrap();
    (Arc::new(Keeper::new(source, Arc::new(move || at(*time.borrow())))), set)
}

async fn id(keeper: &Arc<Keeper>) -> String {
    keeper.get().await.unwrap().access_key_id().to_owned()
}

#[tokio::test]
async fn many_who_wait_ask_once_and_nobody_waits_for_a_renewal() {
    let answers = [answer("first", 2000), answer("second", 3000)];
    let mut metadata = Metadata::start(&answers).await;
    let (keeper, time) = keeper(&S3::default(), &metadata.env());
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let keeper = keeper.clone();
            tokio::spawn(async move { id(&keeper).await })
        })
        .collect();
    for waits in waiting {
        assert_eq!(waits.await.unwrap(), "first");
    }
    assert_eq!(*metadata.asked.borrow(), 1);
    time.send_replace(1700);
    assert_eq!((id(&keeper).await, id(&keeper).await), ("first".to_owned(), "first".to_owned()));
    metadata.until_asked(2).await;
    // The turn is over when what was brought is held.
    drop(keeper.turn.lock().await);
    assert_eq!(id(&keeper).await, "second");
    assert_eq!(*metadata.asked.borrow(), 2);
}

#[tokio::test]
async fn what_is_held_outlives_renewals_that_fail_until_it_ends() {
    let answers = [answer("first", 2000), "<html>".to_owned(), answer("old", 1900)];
    let metadata = Metadata::start(&answers).await;
    let (keeper, time) = keeper(&S3::default(), &metadata.env());
    assert_eq!(id(&keeper).await, "first");
    time.send_replace(1700);
    assert_eq!(id(&keeper).await, "first");
    drop(keeper.turn.lock().await);
    assert_eq!(id(&keeper).await, "first");
    time.send_replace(2000);
    let wrong = keeper.get().await.unwrap_err().to_string();
    assert_eq!(wrong, "instance credentials: they ended before they came");
    assert_eq!(keeper.get().await.unwrap_err().to_string(), wrong, "not asked again at once");
    assert_eq!(*metadata.asked.borrow(), 3);
    time.send_replace(2005);
    let wrong = keeper.get().await.unwrap_err().to_string();
    assert_eq!(wrong, "instance credentials: expected credentials in JSON");
}

#[tokio::test]
async fn a_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let write = |id: &str| {
        let text = format!("[ci]\naws_access_key_id = {id}\naws_secret_access_key = s\n");
        std::fs::write(&file, text).unwrap();
    };
    let profile = "ci".to_owned();
    let config = S3 { credentials_file: Some(file.clone()), profile, ..S3::default() };
    write("first");
    let (keeper, time) = keeper(&config, &|_| None);
    assert_eq!(id(&keeper).await, "first");
    write("second");
    for (now, expected) in [(1059, "first"), (1060, "first"), (1060, "second")] {
        time.send_replace(now);
        assert_eq!(id(&keeper).await, expected, "{now}");
        while keeper.turn.try_lock().is_err() {
            tokio::task::yield_now().await;
        }
    }
    std::fs::remove_file(&file).unwrap();
    time.send_replace(1200);
    id(&keeper).await;
    drop(keeper.turn.lock().await);
    assert_eq!(id(&keeper).await, "second");
}

#[test]
fn the_first_source_that_is_there_is_taken() {
    const KEY: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    const TOKEN: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    const ROLE: &str = "AWS_ROLE_ARN";
    const STS: &str = "AWS_ENDPOINT_URL_STS";
    let found = |from, file: Option<&str>, set: &[(&str, &str)]| {
        let credentials_file = file.map(Into::into);
        let config = S3 { credentials: from, credentials_file, ..S3::default() };
        let env = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let source = Source::new("b", &config, &Egress::default(), &env);
        source.map(|source| source.map_or("none", |source| source.name()))
    };
    let (auto, keys) = (CredentialsFrom::Auto, [(KEY, "a"), (SECRET, "s")]);
    let token = [(TOKEN, "/t"), (ROLE, "r"), (STS, "http://127.0.0.1:1")];
    assert_eq!(found(auto, Some("f"), &keys).unwrap(), "file");
    assert_eq!(found(auto, None, &[&keys[..], &token].concat()).unwrap(), "environment");
    assert_eq!(found(auto, None, &token).unwrap(), "web identity");
    assert_eq!(found(auto, None, &[(KEY, "")]).unwrap(), "instance");
    assert_eq!(found(CredentialsFrom::Instance, None, &keys).unwrap(), "instance");
    assert_eq!(found(CredentialsFrom::None, None, &keys).unwrap(), "none");
    let wrong = |outcome: Result<_, SetupError>| outcome.unwrap_err().to_string();
    assert_eq!(
        wrong(found(auto, None, &keys[..1])),
        "b: credentials: expected the secret of the access key in AWS_SECRET_ACCESS_KEY"
    );
    assert_eq!(
        wrong(found(CredentialsFrom::WebIdentity, None, &keys)),
        "b: credentials: expected the file of a token in AWS_WEB_IDENTITY_TOKEN_FILE"
    );
    assert_eq!(
        wrong(found(auto, None, &[&token[..2], &[(STS, "sts/path")]].concat())),
        "b: credentials: expected a URL without a path in AWS_ENDPOINT_URL_STS"
    );
}
