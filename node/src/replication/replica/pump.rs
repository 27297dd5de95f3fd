//! One connection once the two have agreed: what comes goes to the thread that loads and applies it,
//! as fast as that takes it; what goes out says that this node is there, and how far it is.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use slotilla_common::resp::encode_command;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::handshake::{Agreed, Form};
use super::intake::{self, Order};
use crate::replication::LinkState;
use crate::server::Server;
use crate::server::client::{Client, Introduction, flag};

/// So many chunks wait for the thread that applies them.
const CHUNKS: usize = 32;
/// Bytes of one.
const CHUNK: usize = 64 * 1024;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It broke, or was cut, after it had brought something.
    Lost,
    /// What came cannot be used, or did not come.
    Failed(String),
    /// The node was told to follow somebody else, or nobody.
    Ordered,
}

/// What both threads of a connection know.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// All data is there, and the stream is being applied.
    streams: AtomicBool,
    /// Somebody wants to hear at once how far this node is.
    asked: AtomicBool,
    /// The primary knows only SYNC, and takes what a replica says for commands of a client.
    is_mute: AtomicBool,
    changed: Notify,
}

impl Progress {
    /// All data is there.
    pub(super) fn begin_stream(&self) {
        self.streams.store(true, Ordering::Release);
        self.ask();
    }

    /// The primary is to hear at once how far this node is.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// The primary does not want to hear how far this node is.
    fn be_mute(&self) {
        self.is_mute.store(true, Ordering::Release);
    }

    fn streams(&self) -> bool {
        self.streams.load(Ordering::Acquire)
    }
}

/// Waits until the thread of the last connection has applied what it was given.
pub(super) async fn await_data_thread(server: &Arc<Server>) {
    let busy = &server.replication.data_thread;
    loop {
        let ended = busy.ended();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !busy.is_busy() {
            return;
        }
        ended.await;
    }
}

/// The primary, as clients see it; gone when this is dropped.
struct Listed {
    server: Arc<Server>,
    client: Arc<Client>,
}

impl Listed {
    fn new(server: &Arc<Server>, stream: &TcpStream) -> Self {
        use std::os::fd::AsRawFd;
        let shown = |address: std::io::Result<std::net::SocketAddr>| {
            address.map_or_else(|_| "?:0".into(), |address| address.to_string().into())
        };
        let client = server.clients.admit(Introduction {
            addr: shown(stream.peer_addr()),
            laddr: shown(stream.local_addr()),
            fd: stream.as_raw_fd(),
            unix_socket: false,
        });
        client.set(flag::PRIMARY, true);
        Self {
            server: Arc::clone(server),
            client,
        }
    }

    /// Returns once somebody has closed the connection.
    async fn killed(&self) {
        poll_fn(|cx| {
            self.client.set_waker(cx.waker());
            if self.client.has(flag::KILLED) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.server.clients.dismiss(&self.client);
    }
}

/// Serves a connection until it ends. `rest` has come with the agreement.
pub(super) async fn run(
    server: &Arc<Server>,
    stream: TcpStream,
    agreed: Agreed,
    rest: Vec<u8>,
    orders: u64,
) -> End {
    let listed = Listed::new(server, &stream);
    let progress = Arc::new(Progress::default());
    let (chunks, receiver) = mpsc::channel(CHUNKS);
    let link = &server.replication.link;
    match agreed {
        Agreed::Continue(_) => link.set_received(server.replication.offset()),
        Agreed::Full {
            form,
            offset,
            is_old,
            ..
        } => {
            if is_old {
                progress.be_mute();
            }
            link.begin_transfer(match form {
                Form::Sized(bytes) => Some(bytes),
                Form::Marked(_) => None,
            });
            link.set_received(offset);
        }
    }
    let order = Order {
        agreed,
        orders,
        client: Arc::clone(&listed.client),
        progress: Arc::clone(&progress),
    };
    let done = match intake::start(server, order, receiver) {
        Ok(done) => done,
        Err(error) => return End::Failed(format!("Starting a thread: {error}")),
    };
    let mut pump = Pump {
        server,
        stream,
        chunks: Some(chunks),
        progress,
        unsent: Vec::new(),
        heard: Instant::now(),
        transferred: 0,
    };
    let end = pump.run(rest, done, &listed).await;
    match end {
        End::Lost if server.replication.orders() != orders => End::Ordered,
        end => end,
    }
}

/// What the thread of the data says at its end.
type Done = Result<Result<(), String>, oneshot::error::RecvError>;

/// What happens to a connection.
enum Event {
    Read(std::io::Result<Vec<u8>>),
    Writable(std::io::Result<()>),
    Tick,
    Changed,
    Killed,
    Ended(Done),
}

/// The way from the socket to the other thread.
struct Pump<'a> {
    server: &'a Arc<Server>,
    stream: TcpStream,
    chunks: Option<mpsc::Sender<Vec<u8>>>,
    progress: Arc<Progress>,
    /// What is still to be sent of what was said.
    unsent: Vec<u8>,
    heard: Instant,
    /// Bytes that have come before the stream was applied.
    transferred: u64,
}

impl Pump<'_> {
    async fn run(
        &mut self,
        rest: Vec<u8>,
        mut done: oneshot::Receiver<Result<(), String>>,
        listed: &Listed,
    ) -> End {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.count(rest.len());
        let mut waiting = (!rest.is_empty()).then_some(rest);
        loop {
            let Some(chunks) = &self.chunks else {
                // All that came is on its way; how it ends is up to the other.
                self.server.replication.link.set_state(LinkState::Down);
                return ended(done.await);
            };
            let event = tokio::select! {
                permit = chunks.reserve(), if waiting.is_some() => match permit {
                    Ok(permit) => {
                        permit.send(waiting.take().unwrap_or_default());
                        continue;
                    }
                    Err(_) => Event::Ended((&mut done).await),
                },
                read = read_chunk(&self.stream), if waiting.is_none() => Event::Read(read),
                ready = self.stream.ready(Interest::WRITABLE), if !self.unsent.is_empty() => {
                    Event::Writable(ready.map(|_| ()))
                }
                _ = ticks.tick() => Event::Tick,
                () = self.progress.changed.notified() => Event::Changed,
                () = listed.killed() => Event::Killed,
                end = &mut done => Event::Ended(end),
            };
            match event {
                Event::Read(Ok(chunk)) if !chunk.is_empty() => {
                    self.count(chunk.len());
                    waiting = Some(chunk);
                }
                Event::Writable(Ok(())) if self.flush().is_ok() => {}
                // What came before is applied still.
                Event::Read(_) | Event::Writable(_) | Event::Killed => self.chunks = None,
                Event::Tick => {
                    if let Some(reason) = self.silence(waiting.is_none()) {
                        return End::Failed(reason);
                    }
                    self.speak();
                }
                Event::Changed => self.speak(),
                Event::Ended(end) => return ended(end),
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        self.heard = Instant::now();
        let link = &self.server.replication.link;
        link.heard(bytes);
        if self.progress.streams() {
            link.add_received(bytes);
        } else {
            self.transferred = self.transferred.saturating_add(bytes as u64);
            link.set_read_bytes(self.transferred);
        }
    }

    /// Why the primary counts as gone that has said nothing for so long, while it was listened to.
    fn silence(&mut self, listens: bool) -> Option<String> {
        if !listens {
            self.heard = Instant::now();
            return None;
        }
        let limit = Duration::from_secs(self.server.config.repl_timeout_seconds());
        (self.heard.elapsed() > limit).then(|| {
            if self.progress.streams() {
                "MASTER timeout: no data nor PING received...".to_owned()
            } else {
                "Timeout receiving bulk data from MASTER... If the problem persists try to set \
                 the 'repl-timeout' parameter in redis.conf to a larger value."
                    .to_owned()
            }
        })
    }

    /// Says how far this node is; while it loads, that it is there. Nothing while the primary does
    /// not take what was said before.
    fn speak(&mut self) {
        let asked = self.progress.asked.swap(false, Ordering::AcqRel);
        let is_mute = self.progress.is_mute.load(Ordering::Acquire);
        if self.unsent.is_empty() {
            if self.progress.streams() {
                if self.server.replication.link.state() == LinkState::Sync {
                    self.server.replication.link.set_state(LinkState::Connected);
                }
                if !is_mute {
                    let offset = self.server.replication.offset().to_string();
                    encode_command(
                        &mut self.unsent,
                        &[b"REPLCONF", &b"ACK"[..], offset.as_bytes()],
                    );
                }
            } else if !asked {
                self.unsent.push(b'\n');
            }
        }
        // What does not go now goes when it can; an error shows when it is read.
        let _flushed = self.flush();
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(sent) => {
                    self.unsent.drain(..sent.min(self.unsent.len()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What the other thread says at its end.
fn ended(end: Done) -> End {
    match end {
        Ok(Ok(())) => End::Lost,
        Ok(Err(reason)) => End::Failed(reason),
        Err(_) => End::Failed("The thread that applies the primary's data has ended".to_owned()),
    }
}

/// Whatever is there to be read; nothing at the end.
async fn read_chunk(stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    loop {
        stream.readable().await?;
        let mut chunk = vec![0; CHUNK];
        match stream.try_read(&mut chunk) {
            Ok(read) => {
                chunk.truncate(read);
                return Ok(chunk);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
