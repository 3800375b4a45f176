//! The demo's origin: a folder of files over HTTP/1.1, read anew for every request, whole or by
//! range, each under a surrogate key.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::message::{
    Answer, Body, Ended, Extra, Fault, FieldBlock, Fields, Later, Peer, Reply, Request,
    RequestHead, Response, push_field,
};
use crate::net::Handler;
use crate::semantics::range::{
    ByteRange, RangeSet, Resolved, write_content_range, write_unsatisfied_range,
};
use crate::semantics::time::{Timestamp, write_http_date};

/// How long the big file lets its readers wait, so that a collapse can be seen.
const SLOW: Duration = Duration::from_millis(300);

/// What the origin was asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    requests: AtomicUsize,
    bytes: AtomicU64,
}

impl Asked {
    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes of bodies that were sent for them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The origin, and how much it was asked for.
#[derive(Debug)]
pub(super) struct Origin {
    folder: PathBuf,
    asked: Arc<Asked>,
}

impl Origin {
    pub(super) fn new(folder: PathBuf, asked: Arc<Asked>) -> Self {
        Self { folder, asked }
    }
}

impl Handler for Origin {
    type Exchange = ();

    fn serve(&self, request: Request) -> Answer<()> {
        self.asked.requests.fetch_add(1, Ordering::Relaxed);
        let (folder, asked) = (self.folder.clone(), self.asked.clone());
        let RequestHead { target, fields, .. } = *request.head;
        Answer::Later(Later::new(async move {
            let response = match file_of(&folder, &target) {
                Some((name, path)) => serve_file(name, &path, &fields).await,
                None => plain(StatusCode::NOT_FOUND),
            };
            let length = response.content_length.unwrap_or(0);
            asked.bytes.fetch_add(length, Ordering::Relaxed);
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
    let Ok(about) = tokio::fs::metadata(path).await else { return plain(StatusCode::NOT_FOUND) };
    if name == "big.bin" {
        tokio::time::sleep(SLOW).await;
    }
    let length = about.len();
    let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{length:x}-{:x}\"", changed.as_millis());
    let (status, range) = wanted(fields, &etag, length);
    let Ok(bytes) = read(path, range).await else { return plain(StatusCode::NOT_FOUND) };
    let mut lines = Vec::new();
    push_field(&mut lines, "etag", etag.as_bytes());
    let mut last_modified = Vec::new();
    write_http_date(Timestamp::from_seconds(changed.as_secs()), &mut last_modified);
    push_field(&mut lines, "last-modified", &last_modified);
    push_field(&mut lines, "cache-control", cache_control(name).as_bytes());
    push_field(&mut lines, "surrogate-key", surrogate_key(name).as_bytes());
    if status != StatusCode::NOT_MODIFIED {
        push_field(&mut lines, "content-type", content_type(name).as_bytes());
        push_field(&mut lines, "accept-ranges", b"bytes");
    }
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let mut value = Vec::new();
            write_content_range(range, length, &mut value);
            push_field(&mut lines, "content-range", &value);
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let mut value = Vec::new();
            write_unsatisfied_range(length, &mut value);
            push_field(&mut lines, "content-range", &value);
        }
        _ => {}
    }
    let has_content = status != StatusCode::NOT_MODIFIED;
    Response {
        status,
        content_length: has_content.then_some(bytes.len() as u64),
        block: FieldBlock::from_lines(lines.into()),
        extra: Extra::new(),
        body: if has_content { Body::Full(bytes.into()) } else { Body::Empty },
    }
}

/// What of a file is wanted: one range, or the whole (RFC 9110 section 14.2).
fn wanted(fields: &Fields, etag: &str, length: u64) -> (StatusCode, ByteRange) {
    let nothing = ByteRange { start: 0, end: 0 };
    if fields.get("if-none-match") == Some(etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, nothing);
    }
    let holds = fields.get("if-range").is_none_or(|known| known == etag.as_bytes());
    let ranges = fields.get("range").filter(|_| holds).and_then(RangeSet::parse);
    match ranges.map(|ranges| ranges.resolve(length)) {
        Some(Resolved::Unsatisfiable) => (StatusCode::RANGE_NOT_SATISFIABLE, nothing),
        Some(Resolved::Ranges(ranges)) if ranges.len() == 1 => {
            (StatusCode::PARTIAL_CONTENT, ranges[0])
        }
        _ => (StatusCode::OK, ByteRange { start: 0, end: length }),
    }
}

async fn read(path: &Path, range: ByteRange) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(io::SeekFrom::Start(range.start)).await?;
    file.take(range.len()).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn cache_control(name: &str) -> &'static str {
    match name {
        "news.html" => "no-cache",
        _ => "max-age=600",
    }
}

/// What a purge by tag names: `pages`, `assets` or `films`.
fn surrogate_key(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "pages",
        Some("bin") => "films",
        _ => "assets",
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
