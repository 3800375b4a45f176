//! A real client: curl over a loopback socket.

use std::net::SocketAddr;
use std::process::Command;

use tokio::net::TcpListener;

use super::uploads::collect;
use super::*;

/// What `curl ARGS http://ADDRESS/page` prints: head and body.
async fn curl(address: SocketAddr, args: &'static [&'static str]) -> String {
    let run = move || {
        let url = format!("http://{address}/page");
        let fixed = ["--silent", "--show-error", "--include", "--max-time", "20"];
        Command::new("curl").args(fixed).args(args).arg(url).output().expect("curl is needed")
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Connections to `handler` on an address of this machine, until the test ends.
async fn listen(handler: Arc<Scripted>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_drain, watch) = Drain::new();
        while let Ok((socket, _)) = listener.accept().await {
            spawn(socket, &handler, Limits::default(), watch.clone());
        }
    });
    address
}

#[tokio::test]
async fn curl_is_content() {
    let address = listen(Scripted::new(|request| {
        let body = listed(vec![data("hello"), None, data(" world")]);
        match request.head.method.as_str() {
            "GET" | "HEAD" => Answer::Now(reply(&request.head.target, 200, Some(11), body)),
            "DELETE" => Answer::Now(reply(&request.head.target, 200, None, body)),
            _ => collect(request),
        }
    }))
    .await;
    let get = curl(address, &[]).await;
    assert!(
        get.starts_with("HTTP/1.1 200 OK\r\n") && get.ends_with("\r\n\r\nhello world"),
        "{get}"
    );
    let old = curl(address, &["--http1.0"]).await;
    assert!(old.ends_with("content-length: 11\r\nconnection: close\r\n\r\nhello world"), "{old}");
    let old = curl(address, &["--http1.0", "--request", "DELETE"]).await;
    assert!(old.ends_with("age: 1\r\nconnection: close\r\n\r\nhello world"), "{old}");
    let chunked = curl(address, &["--request", "DELETE"]).await;
    assert!(chunked.ends_with("chunked\r\n\r\nhello world"), "{chunked}");
    let head = curl(address, &["--head"]).await;
    assert!(head.ends_with("content-length: 11\r\n\r\n"), "{head}");
    let expect = &["--upload-file", "Cargo.toml", "--header", "Expect: 100-continue"];
    let put = curl(address, expect).await;
    assert!(put.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{put}");
    assert!(put.ends_with(include_str!("../../../../Cargo.toml")));
    let chunked = &["--upload-file", "Cargo.toml", "--header", "Transfer-Encoding: chunked"];
    assert!(curl(address, chunked).await.ends_with(include_str!("../../../../Cargo.toml")));
}
