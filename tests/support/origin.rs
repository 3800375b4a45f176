//! The scripted origin: per path a script of responses, and a record of the requests that came.
//!
//! It speaks HTTP/1.1 over bare TCP, so that it can say what no sound server would. A script is
//! used up one response after another; its last one is repeated.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::reply::{End, Reply, Step};
use super::upload::{Reader, RequestHead};
use super::within;

/// Bytes between two looks at how far a response is.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// An origin on a port of its own.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    listening: tokio::task::JoinHandle<()>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: RequestHead,
    /// The content, as far as it has come.
    pub(crate) body: Vec<u8>,
    /// All of the content has come.
    pub(crate) whole: bool,
    /// The trailers of the content.
    pub(crate) trailers: Vec<(String, String)>,
    /// Bytes of the response said so far.
    pub(crate) said: usize,
    /// The connection ended before the response was said.
    pub(crate) left: bool,
    /// The connection that it came on, from 0.
    pub(crate) connection: usize,
}

/// What is said where there is no script.
type Otherwise = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

struct Shared {
    scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    otherwise: Mutex<Option<Otherwise>>,
    asked: watch::Sender<Vec<Asked>>,
}

impl Origin {
    /// Listens; every path is a 404 until it has a script.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = watch::Sender::new(Vec::new());
        let shared =
            Arc::new(Shared { scripts: Mutex::default(), otherwise: Mutex::default(), asked });
        let listening = tokio::spawn(listen(listener, shared.clone()));
        Self { address, shared, listening }
    }

    /// Adds a response to the script of `target`; a target without query stands for every query.
    pub(crate) fn on(&self, target: &str, reply: Reply) {
        self.shared.scripts.lock().entry(target.to_owned()).or_default().push_back(reply);
    }

    /// Begins the script of `target` anew.
    pub(crate) fn now(&self, target: &str, reply: Reply) {
        self.shared.scripts.lock().insert(target.to_owned(), VecDeque::from([reply]));
    }

    /// Makes up the response to whatever has no script.
    pub(crate) fn otherwise(&self, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        *self.shared.otherwise.lock() = Some(Arc::new(reply));
    }

    /// Takes no connections any more.
    pub(crate) fn stop(&self) {
        self.listening.abort();
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.borrow().clone()
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.asked.borrow().len()
    }

    /// The latest request.
    pub(crate) fn last(&self) -> Asked {
        self.shared.asked.borrow().last().expect("the origin was asked").clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn until_asked(&self, count: usize) {
        let what = format!("{count} requests at the origin");
        self.until(&what, |asked| asked.len() >= count).await;
    }

    /// Waits until the requests so far are as they should be.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Vec<Asked>) -> bool) {
        let mut asked = self.shared.asked.subscribe();
        within(what, asked.wait_for(is_so)).await.expect("the origin lives");
    }
}

impl Asked {
    /// The values of a field, joined as RFC 9110 section 5.3 has it; empty where there is none.
    pub(crate) fn field(&self, name: &str) -> String {
        self.head.field(name)
    }
}

impl Shared {
    fn note(&self, index: usize, change: impl FnOnce(&mut Asked)) {
        self.asked.send_modify(|asked| change(&mut asked[index]));
    }

    fn begin(&self, head: RequestHead, connection: usize) -> usize {
        let mut index = 0;
        self.asked.send_modify(|asked| {
            index = asked.len();
            let (body, trailers) = (Vec::new(), Vec::new());
            asked.push(Asked {
                head,
                body,
                whole: false,
                trailers,
                said: 0,
                left: false,
                connection,
            });
        });
        index
    }

    fn make_up(&self, target: &str) -> Reply {
        let make_up = self.otherwise.lock().clone();
        make_up.map_or_else(|| Reply::new(404), |make_up| make_up(target))
    }

    fn reply(&self, target: &str) -> Reply {
        let mut scripts = self.scripts.lock();
        let path = target.split('?').next().unwrap_or(target);
        let name = if scripts.contains_key(target) { target } else { path };
        match scripts.get_mut(name) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        }
        .unwrap_or_else(|| self.make_up(target))
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut connection = 0;
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, shared.clone(), connection));
        connection += 1;
    }
}

/// Serves one connection; it may end at any time, and tests judge what came of that.
async fn serve(stream: TcpStream, shared: Arc<Shared>, connection: usize) {
    let (reading, mut writing) = stream.into_split();
    let mut reader = Reader::new(reading);
    while let Ok(Some(head)) = reader.head().await {
        let reply = shared.reply(&head.target).to(&head);
        let index = shared.begin(head.clone(), connection);
        let exchange = Exchange { shared: &shared, index, head: &head, reply: &reply };
        match exchange.answer(&mut reader, &mut writing).await {
            Ok(()) if reply.end() == End::KeepAlive => {}
            Ok(()) => {
                if reply.end() == End::Reset {
                    reset(&writing);
                }
                return;
            }
            Err(_) => return shared.note(index, |asked| asked.left = true),
        }
    }
}

/// With a linger of nothing, closing is resetting.
fn reset(writing: &OwnedWriteHalf) {
    let socket = socket2::SockRef::from(AsRef::<TcpStream>::as_ref(writing));
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// One request and its scripted response.
struct Exchange<'a> {
    shared: &'a Shared,
    index: usize,
    head: &'a RequestHead,
    reply: &'a Reply,
}

impl Exchange<'_> {
    /// Reads the content and says the reply, one after the other or both at once.
    async fn answer(&self, reader: &mut Reader, writing: &mut OwnedWriteHalf) -> io::Result<()> {
        if self.head.field("expect") == "100-continue" && !self.reply.early {
            writing.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if self.reply.early {
            let (read, said) = tokio::join!(self.upload(reader), self.say(None, writing));
            return read.and(said);
        }
        self.upload(reader).await?;
        self.say(Some(reader), writing).await
    }

    async fn upload(&self, reader: &mut Reader) -> io::Result<()> {
        if let Some(gate) = &self.reply.upload_held {
            gate.passed().await;
        }
        let note = |bytes: &[u8]| {
            self.shared.note(self.index, |asked| asked.body.extend_from_slice(bytes));
        };
        let trailers = reader.content(self.head, note).await?;
        self.shared.note(self.index, |asked| (asked.whole, asked.trailers) = (true, trailers));
        Ok(())
    }

    /// `reader` tells at a gate that the client has left.
    async fn say(
        &self,
        mut reader: Option<&mut Reader>,
        writing: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let before = self.reply.held.iter().map(|gate| Step::Wait(gate.clone()));
        for step in before.chain(self.reply.steps(&self.head.method)) {
            match (step, &mut reader) {
                (Step::Say(bytes), _) => {
                    for bytes in bytes.chunks(WRITTEN_AT_ONCE) {
                        writing.write_all(bytes).await?;
                        self.shared.note(self.index, |asked| asked.said += bytes.len());
                    }
                }
                (Step::MakeUp(film, start, end), _) => {
                    for start in (start..end).step_by(WRITTEN_AT_ONCE) {
                        let bytes = film.bytes(start, end.min(start + WRITTEN_AT_ONCE as u64));
                        writing.write_all(&bytes).await?;
                        self.shared.note(self.index, |asked| asked.said += bytes.len());
                    }
                }
                (Step::Wait(gate), None) => gate.passed().await,
                (Step::Wait(gate), Some(reader)) => tokio::select! {
                    biased;
                    () = gate.passed() => {}
                    gone = reader.gone() => return Err(gone),
                },
            }
        }
        writing.flush().await
    }
}
