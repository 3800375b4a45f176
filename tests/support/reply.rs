//! What the scripted origin says: a head and a body, piece by piece, with gates between.

use bytes::Bytes;

use super::upload::RequestHead;
use super::{Film, Gate};

/// One response of a script.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    framing: Framing,
    trailers: Vec<(String, String)>,
    /// What is waited for before anything is said.
    pub(super) held: Option<Gate>,
    /// What is waited for before the request's content is read.
    pub(super) upload_held: Option<Gate>,
    /// Said while the request's content still comes.
    pub(super) early: bool,
    body: Vec<Step>,
    end: End,
    /// Answers in place of all this.
    film: Option<Film>,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    /// `Content-Length`: the sum of the pieces, or what is claimed.
    Length(Option<u64>),
    Chunked,
    UntilClose,
    /// Nothing is added to what the script says.
    Bare,
}

/// What happens next on the wire.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Say(Bytes),
    /// These bytes of a film.
    MakeUp(Film, u64, u64),
    Wait(Gate),
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    KeepAlive,
    Close,
    Reset,
}

impl Reply {
    /// A response with this status and no body yet.
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            framing: Framing::Length(None),
            trailers: Vec::new(),
            held: None,
            upload_held: None,
            early: false,
            body: Vec::new(),
            end: End::KeepAlive,
            film: None,
        }
    }

    /// A 200 with this body.
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self::new(200).piece(body)
    }

    /// A 200 with this body, fresh for an hour.
    pub(crate) fn fresh(body: impl Into<Bytes>) -> Self {
        Self::ok(body).field("cache-control", "max-age=3600")
    }

    /// A 200 with this body and entity tag, that is stored and stale from the first.
    pub(crate) fn stale(etag: &str, body: impl Into<Bytes>) -> Self {
        Self::ok(body).field("cache-control", "max-age=60").field("age", "60").field("etag", etag)
    }

    /// A film, by range or whole. Held where it is said so; otherwise by its own rules.
    pub(crate) fn film(film: Film) -> Self {
        Self { film: Some(film), ..Self::new(200) }
    }

    /// Bytes as they are, then the end of the connection.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { framing: Framing::Bare, ..Self::new(0) }.piece(bytes).then_close()
    }

    /// No response: the connection is reset.
    pub(crate) fn reset() -> Self {
        Self { framing: Framing::Bare, end: End::Reset, ..Self::new(0) }
    }

    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds to the body.
    pub(crate) fn piece(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body.push(Step::Say(bytes.into()));
        self
    }

    /// Adds a film's bytes from `start` up to `end` to the body.
    pub(super) fn made_up(mut self, film: Film, start: u64, end: u64) -> Self {
        self.body.push(Step::MakeUp(film, start, end));
        self
    }

    /// What is said to the request of `head`.
    pub(super) fn to(&self, head: &RequestHead) -> Self {
        match self.film {
            Some(film) => Self { held: self.held.clone(), ..film.reply(head) },
            None => self.clone(),
        }
    }

    /// Waits at this place of the body.
    pub(crate) fn gate(mut self, gate: &Gate) -> Self {
        self.body.push(Step::Wait(gate.clone()));
        self
    }

    /// Waits before the head.
    pub(crate) fn held(self, gate: &Gate) -> Self {
        Self { held: Some(gate.clone()), ..self }
    }

    /// Waits before reading the request's content.
    pub(crate) fn upload_held(self, gate: &Gate) -> Self {
        Self { upload_held: Some(gate.clone()), ..self }
    }

    /// Is said while the request's content still comes.
    pub(crate) fn early(self) -> Self {
        Self { early: true, ..self }
    }

    /// The body in chunks.
    pub(crate) fn chunked(self) -> Self {
        Self { framing: Framing::Chunked, ..self }
    }

    /// The body until the connection ends.
    pub(crate) fn until_close(self) -> Self {
        Self { framing: Framing::UntilClose, end: End::Close, ..self }
    }

    /// A `Content-Length` of one's own, whatever the body is.
    pub(crate) fn claims(self, length: u64) -> Self {
        Self { framing: Framing::Length(Some(length)), ..self }
    }

    /// Adds a trailer; the body is in chunks then.
    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.chunked()
    }

    /// Ends the connection after what was said.
    pub(crate) fn then_close(self) -> Self {
        Self { end: End::Close, ..self }
    }

    /// Resets the connection after what was said, which is no whole response.
    pub(crate) fn then_reset(self) -> Self {
        Self { end: End::Reset, ..self }
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// What is said, as bytes and waits, to a request with this method.
    pub(super) fn steps(&self, method: &str) -> Vec<Step> {
        if self.framing == Framing::Bare {
            return self.body.clone();
        }
        let bodiless = method == "HEAD" || matches!(self.status, 204 | 304);
        let mut steps = vec![Step::Say(self.head().into())];
        if bodiless {
            return steps;
        }
        for step in &self.body {
            steps.push(match step {
                Step::Say(bytes) if self.framing == Framing::Chunked => Step::Say(chunk(bytes)),
                step => step.clone(),
            });
        }
        if self.framing == Framing::Chunked && self.end != End::Reset {
            let mut last = String::from("0\r\n");
            push_fields(&self.trailers, &mut last);
            steps.push(Step::Say(last.into()));
        }
        steps
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        match self.framing {
            Framing::Length(_) if self.status == 304 => {}
            Framing::Length(claimed) => {
                let length = claimed.unwrap_or_else(|| self.body_length());
                head.push_str(&format!("content-length: {length}\r\n"));
            }
            Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Framing::UntilClose => head.push_str("connection: close\r\n"),
            Framing::Bare => {}
        }
        push_fields(&self.fields, &mut head);
        head
    }

    fn body_length(&self) -> u64 {
        let lengths = self.body.iter().map(|step| match step {
            Step::Say(bytes) => bytes.len() as u64,
            Step::MakeUp(_, start, end) => end - start,
            Step::Wait(_) => 0,
        });
        lengths.sum()
    }
}

fn push_fields(fields: &[(String, String)], out: &mut String) {
    for (name, value) in fields {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
}

fn chunk(bytes: &Bytes) -> Bytes {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}
