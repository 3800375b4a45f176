//! A body that lies in a mapped segment: sent from there, window by window.
//!
//! A window that is resident goes out as it is. One that is not is brought in by a blocking thread
//! first, so that neither the event loop nor the kernel's copy waits for the disk, and the first
//! time the whole body is compared with its BLAKE3: one that is damaged is cut short. What was
//! looked at when the body was found is not asked about again. Pages may still be given up between
//! the look and the copy; then that one copy waits.

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::format::Content;
use super::segment::Segment;
use crate::message::{Body, BodyError, BodyErrorKind, BodyStream, FilePart, Piece};
use crate::object::BodySource;

/// Bounds what blocking threads bring in at a time.
pub(super) type Readers = Arc<Semaphore>;

/// Bytes of a large body that are looked at, brought in and sent at a time: what one `sendfile` is
/// asked for. With a quarter of it, and a look at each, a server took a tenth to a fifth more CPU
/// for 10 MiB over plain HTTP/1.1.
pub(super) const WINDOW: usize = 1 << 20;

/// How long what was resident is taken to be so.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Bytes of the largest record that is looked at and sent as a whole.
pub(super) const SMALL_MAX: usize = 256 * 1024;

/// Bytes of the smallest part that a transport may send from the file: a whole window, or the rest
/// of a large body. At 64 KiB a vectored write from the map takes less CPU than a write of the head
/// and a `sendfile` (row `disk-64k`); for a large body it takes a third more (row `disk-10m`).
const FROM_FILE_MIN: usize = 64 * 1024;

/// Part of a segment, which stays mapped as long as this lives.
pub(super) struct Pinned {
    segment: Arc<Segment>,
    range: Range<usize>,
}

impl Pinned {
    /// `range` lies within the segment.
    pub(super) fn new(segment: Arc<Segment>, range: Range<usize>) -> Self {
        Self { segment, range }
    }
}

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        self.segment.bytes(self.range.clone())
    }
}

/// A body in a segment.
pub(super) struct Mapped {
    segment: Arc<Segment>,
    start: usize,
    bytes: Bytes,
    content: Content,
    readers: Readers,
}

impl Mapped {
    /// The body `content` at `range`, of which the first [`WINDOW`] is resident.
    pub(super) fn new(
        segment: Arc<Segment>,
        range: Range<usize>,
        content: Content,
        readers: Readers,
    ) -> Self {
        let start = range.start;
        let bytes = Bytes::from_owner(Pinned::new(segment.clone(), range));
        Self { segment, start, bytes, content, readers }
    }

    /// Where a part of the body lies in the map; `None` if it is no part of it.
    fn place(&self, part: &Bytes) -> Option<Range<usize>> {
        let at = (part.as_ptr() as usize).checked_sub(self.bytes.as_ptr() as usize)?;
        let is_within = at.checked_add(part.len()).is_some_and(|end| end <= self.bytes.len());
        is_within.then(|| self.start + at..self.start + at + part.len())
    }

    fn is_resident(&self, part: &Bytes) -> bool {
        let map = self.segment.map();
        map.is_intact() && self.place(part).is_some_and(|place| map.is_resident(place))
    }

    /// Brings `part` in on a blocking thread; unless the body is verified, all of it.
    fn bring_in(self: &Arc<Self>, part: &Bytes, is_verified: bool) -> Coming {
        let body = self.clone();
        let part = if is_verified { part.clone() } else { self.bytes.clone() };
        let place = self.place(&part).unwrap_or_default();
        Box::pin(async move {
            // The semaphore is never closed.
            let permit = body.readers.clone().acquire_owned().await.map_err(io::Error::other)?;
            let populate = move || {
                let came = body.segment.map().populate(place).and_then(|()| {
                    let is_sound = is_verified || blake3::hash(&part).as_bytes() == &body.content;
                    is_sound.then_some(()).ok_or_else(|| io::ErrorKind::InvalidData.into())
                });
                drop(permit);
                came
            };
            tokio::task::spawn_blocking(populate).await.map_err(io::Error::other)?
        })
    }
}

impl BodySource for Mapped {
    fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn is_here(&self) -> bool {
        self.is_resident(&self.bytes)
    }

    fn digest(&self) -> &[u8; 32] {
        &self.content
    }

    fn send(self: Arc<Self>, part: Range<usize>) -> Body {
        let rest = self.bytes.slice(part.clone());
        if rest.is_empty() {
            return Body::Empty;
        }
        // It was looked at when it was found, just now; it is not kept for longer.
        let is_intact = self.segment.map().is_intact();
        if self.bytes.len() <= SMALL_MAX && is_intact {
            return Body::Full(rest);
        }
        let known = if is_intact { WINDOW.saturating_sub(part.start) } else { 0 };
        let looked_at = (known, Instant::now());
        Body::Stream(Box::new(Windows {
            body: self,
            rest,
            looked_at,
            coming: None,
            is_verified: false,
        }))
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.bytes.len())
    }
}

type Coming = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// What is left to send of a body.
struct Windows {
    body: Arc<Mapped>,
    rest: Bytes,
    /// Bytes of the rest that were resident when the body was found, at that instant.
    looked_at: (usize, Instant),
    coming: Option<Coming>,
    /// Whether the body was compared with its BLAKE3 on the way.
    is_verified: bool,
}

impl Windows {
    /// Whether what is sent next was resident a moment ago.
    fn is_known(&self) -> bool {
        let (bytes, at) = self.looked_at;
        bytes > 0 && at.elapsed() < KNOWN_FOR
    }
}

impl BodyStream for Windows {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = if self.looked_at.0 == 0 { WINDOW } else { self.looked_at.0 };
        let window = self.rest.slice(..self.rest.len().min(length));
        if self.coming.is_none() && !self.is_known() && !self.body.is_resident(&window) {
            self.coming = Some(self.body.bring_in(&window, self.is_verified));
        }
        if let Some(coming) = &mut self.coming {
            let Poll::Ready(came) = coming.as_mut().poll(cx) else { return Poll::Pending };
            self.coming = None;
            if came.is_err() || !self.body.segment.map().is_intact() {
                self.body.segment.suspect();
                self.rest.clear();
                return Poll::Ready(Some(Err(LOST)));
            }
            self.is_verified = true;
        }
        self.looked_at.0 = 0;
        self.rest = self.rest.slice(window.len()..);
        Poll::Ready(Some(Ok(Piece::Data(window))))
    }

    fn file(&self, piece: &Bytes) -> Option<FilePart> {
        if piece.len() < FROM_FILE_MIN {
            return None;
        }
        let offset = self.body.place(piece)?.start as u64;
        Some(FilePart { file: self.body.segment.clone(), offset })
    }
}

const LOST: BodyError = BodyError::new(BodyErrorKind::Truncated, "a segment cannot be read");
