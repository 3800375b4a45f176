//! The demo's origin: a folder of files over HTTP/1.1, read anew for every request.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;

use crate::message::{
    Answer, Body, Ended, Extra, Fault, FieldBlock, Fields, Peer, Reply, Request, Response,
    push_field,
};
use crate::net::Handler;
use crate::semantics::time::{Timestamp, write_http_date};

/// How long the big file lets its readers wait, so that a collapse can be seen.
const SLOW: Duration = Duration::from_millis(300);

/// The origin, and how often it was asked.
#[derive(Debug)]
pub(super) struct Origin {
    folder: PathBuf,
    asked: Arc<AtomicUsize>,
}

impl Origin {
    pub(super) fn new(folder: PathBuf, asked: Arc<AtomicUsize>) -> Self {
        Self { folder, asked }
    }
}

impl Handler for Origin {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.clone();
        let Request { target, fields, .. } = request;
        Answer::Later(Box::pin(async move {
            let response = match file_of(&folder, &target) {
                Some((name, path)) => serve_file(name, &path, &fields).await,
                None => plain(StatusCode::NOT_FOUND),
            };
            Reply { response, exchange: () }
        }))
    }

    fn refuse(&self, _: &Peer, fault: Fault) -> Reply<()> {
        Reply { response: plain(fault.status), exchange: () }
    }

    fn ended(&self, (): (), _: Ended) {}
}

/// The file that a target names: those of the folder alone, `index.html` for `/`.
fn file_of<'a>(folder: &Path, target: &'a [u8]) -> Option<(&'a str, PathBuf)> {
    let path = std::str::from_utf8(target).ok()?.split('?').next()?;
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name if name.contains('/') || name.starts_with('.') => return None,
        name => name,
    };
    Some((name, folder.join(name)))
}

async fn serve_file(name: &str, path: &Path, fields: &Fields) -> Response {
    let (Ok(bytes), Ok(about)) = (tokio::fs::read(path).await, tokio::fs::metadata(path).await)
    else {
        return plain(StatusCode::NOT_FOUND);
    };
    if name == "big.bin" {
        tokio::time::sleep(SLOW).await;
    }
    let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}\"", bytes.len(), changed.as_millis());
    let mut last_modified = Vec::new();
    write_http_date(Timestamp::from_seconds(changed.as_secs()), &mut last_modified);
    let mut lines = Vec::new();
    push_field(&mut lines, "etag", etag.as_bytes());
    push_field(&mut lines, "last-modified", &last_modified);
    push_field(&mut lines, "cache-control", cache_control(name).as_bytes());
    let unchanged = fields.get("if-none-match") == Some(etag.as_bytes());
    if !unchanged {
        push_field(&mut lines, "content-type", content_type(name).as_bytes());
    }
    Response {
        status: if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK },
        content_length: (!unchanged).then_some(bytes.len() as u64),
        block: FieldBlock::from_lines(lines.into()),
        extra: Extra::new(),
        body: if unchanged { Body::Empty } else { Body::Full(bytes.into()) },
    }
}

fn cache_control(name: &str) -> &'static str {
    match name {
        "news.html" => "no-cache",
        _ => "max-age=600",
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn plain(status: StatusCode) -> Response {
    let text = format!("{status}\n");
    Response {
        content_length: Some(text.len() as u64),
        body: Body::Full(text.into()),
        ..Response::empty(status)
    }
}
