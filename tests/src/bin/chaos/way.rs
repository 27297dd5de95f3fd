//! The way of one replica to its primary. It passes bytes on, or holds them, or slows them down, or
//! ends in the middle; and it hears what the two agree on.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::facts::Facts;

/// How long a thread waits for bytes before it looks whether the connection is to be cut.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes that are passed on at once.
const PIECE: usize = 64 * 1024;
/// No handshake is longer.
const HEAD_MAX: usize = 8 * 1024;

/// How bytes go in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Free,
    Held,
    /// So many bytes in ten milliseconds.
    Slow(usize),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// To the primary.
    Up = 0,
    /// To the replica.
    Down = 1,
}

/// What a primary answered to PSYNC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Partial,
    Full,
    Refused(String),
}

/// A PSYNC that came along.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// How often the primary had changed until then.
    pub(crate) era: u32,
    /// The history and the byte that were asked for; `None`: all data.
    pub(crate) asked: Option<(String, i64)>,
    pub(crate) answer: Option<Answer>,
    /// What the primary said before it was asked, and once it had answered.
    pub(crate) before: Option<Facts>,
    pub(crate) after: Option<Facts>,
    /// The connection has ended.
    pub(crate) is_over: bool,
}

/// What becomes of a replica's connections.
#[derive(Debug)]
pub(crate) struct Way {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: AtomicU16,
    era: AtomicU32,
    flow: [Mutex<Flow>; 2],
    stop: AtomicBool,
    links: AtomicU64,
    /// Connections with lower numbers end.
    cut_below: AtomicU64,
    resets: AtomicBool,
    /// Bytes from the primary after which each of so many connections ends.
    cut_after: Mutex<Vec<u64>>,
    cuts: AtomicU64,
    heard: Mutex<Vec<Shown>>,
}

/// An exchange that may be going on.
type Shown = Arc<Mutex<Exchange>>;

/// One connection, of which two threads know.
#[derive(Debug)]
struct Link {
    number: u64,
    is_over: AtomicBool,
    exchange: Mutex<Option<Shown>>,
    most: Option<u64>,
}

impl Way {
    /// Listens on a port of its own.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port to listen on");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(0),
            era: AtomicU32::new(0),
            flow: [Mutex::new(Flow::Free), Mutex::new(Flow::Free)],
            stop: AtomicBool::new(false),
            links: AtomicU64::new(0),
            cut_below: AtomicU64::new(0),
            resets: AtomicBool::new(false),
            cut_after: Mutex::new(Vec::new()),
            cuts: AtomicU64::new(0),
            heard: Mutex::new(Vec::new()),
        });
        let inner = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(replica) = stream else { continue };
                let target = inner.target.load(Ordering::Relaxed);
                if let Ok(primary) = TcpStream::connect(("127.0.0.1", target)) {
                    // Either may have gone already.
                    let _joined = inner.join(&replica, &primary);
                }
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Leads to that port from now on, for connections to come.
    pub(crate) fn lead_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::Relaxed);
    }

    /// What is heard from now on is of another primary, or of another life of it.
    pub(crate) fn begin_era(&self) {
        self.shared.era.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn era(&self) -> u32 {
        self.shared.era.load(Ordering::Relaxed)
    }

    pub(crate) fn set_flow(&self, side: Side, flow: Flow) {
        *self.shared.flow[side as usize].lock().expect("no panic") = flow;
    }

    /// Ends all connections, by a reset or in good order.
    pub(crate) fn cut(&self, resets: bool) {
        let shared = &self.shared;
        shared.resets.store(resets, Ordering::Relaxed);
        let all = shared.links.load(Ordering::Relaxed);
        shared.cut_below.store(all, Ordering::Relaxed);
        shared.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends each of the next connections after so many bytes from the primary.
    pub(crate) fn cut_after(&self, bytes: &[u64]) {
        *self.shared.cut_after.lock().expect("no panic") = bytes.to_vec();
    }

    /// How many connections have yet to be cut that way.
    pub(crate) fn cuts_left(&self) -> usize {
        self.shared.cut_after.lock().expect("no panic").len()
    }

    /// How often something was cut.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Everything as it should be.
    pub(crate) fn heal(&self) {
        self.cut_after(&[]);
        self.set_flow(Side::Up, Flow::Free);
        self.set_flow(Side::Down, Flow::Free);
    }

    /// What was answered last to who asked the primary of now.
    pub(crate) fn last_answer(&self) -> Option<Answer> {
        let heard = self.shared.heard.lock().expect("no panic");
        let current = heard.iter().rev().filter_map(|shown| {
            let exchange = shown.lock().expect("no panic");
            let is_current = exchange.era == self.era();
            exchange.answer.clone().filter(|_| is_current)
        });
        { current }.next()
    }

    /// Whether nothing goes on, and nothing was heard that was not taken.
    pub(crate) fn is_quiet(&self) -> bool {
        self.shared.heard.lock().expect("no panic").is_empty()
    }

    /// What was heard since this was asked last, but for what is going on still.
    pub(crate) fn take_heard(&self) -> Vec<Exchange> {
        let mut taken = Vec::new();
        self.shared.heard.lock().expect("no panic").retain(|shown| {
            let exchange = shown.lock().expect("no panic");
            let is_done = exchange.answer.is_some() || exchange.is_over;
            if is_done {
                taken.push(exchange.clone());
            }
            !is_done
        });
        taken
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.cut(true);
        // Wakes the thread that listens.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, replica: &TcpStream, primary: &TcpStream) -> io::Result<()> {
        for stream in [replica, primary] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK))?;
            stream.set_write_timeout(Some(LOOK))?;
        }
        let most = {
            let mut waiting = self.cut_after.lock().expect("no panic");
            (!waiting.is_empty()).then(|| waiting.remove(0))
        };
        let link = Arc::new(Link {
            number: self.links.fetch_add(1, Ordering::Relaxed),
            is_over: AtomicBool::new(false),
            exchange: Mutex::new(None),
            most,
        });
        for (side, from, to) in [(Side::Up, replica, primary), (Side::Down, primary, replica)] {
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            let (shared, link) = (Arc::clone(self), Arc::clone(&link));
            thread::spawn(move || {
                // However it ended: the other direction ends as well.
                let _ended = shared.pass(&link, &from, &to, side);
                shared.end(&link, &from, &to);
            });
        }
        Ok(())
    }

    fn is_cut(&self, link: &Link) -> bool {
        link.number < self.cut_below.load(Ordering::Relaxed)
    }

    fn end(&self, link: &Link, from: &TcpStream, to: &TcpStream) {
        link.is_over.store(true, Ordering::Relaxed);
        if let Some(exchange) = &*link.exchange.lock().expect("no panic") {
            exchange.lock().expect("no panic").is_over = true;
        }
        for stream in [from, to] {
            // Either may have gone already.
            if self.is_cut(link) && self.resets.load(Ordering::Relaxed) {
                let _reset = set_socket_linger(stream, Some(Duration::ZERO));
            } else {
                let _ended = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Passes on until either end is there, or the connection is cut.
    fn pass(
        &self,
        link: &Link,
        mut from: &TcpStream,
        to: &TcpStream,
        side: Side,
    ) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        let (mut passed, mut head) = (0, Vec::new());
        while !self.is_cut(link) && !link.is_over.load(Ordering::Relaxed) {
            let flow = *self.flow[side as usize].lock().expect("no panic");
            let size = match flow {
                Flow::Free => PIECE,
                Flow::Held => 0,
                Flow::Slow(bytes) => bytes.clamp(1, PIECE),
            };
            if flow != Flow::Free {
                thread::sleep(Duration::from_millis(10));
            }
            if size == 0 {
                continue;
            }
            let read = match from.read(&mut buffer[..size]) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if is_timeout(&error) => continue,
                Err(error) => return Err(error),
            };
            match side {
                Side::Up => self.hear_request(link, &mut head, &buffer[..read]),
                Side::Down => self.hear_answer(link, &mut head, &buffer[..read]),
            }
            let most = link.most.filter(|_| side == Side::Down);
            let room = most.map_or(u64::MAX, |most| most - passed);
            let kept = read.min(usize::try_from(room).unwrap_or(usize::MAX));
            self.write(link, to, &buffer[..kept])?;
            passed += kept as u64;
            if kept < read {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The other end may take nothing for a while.
    fn write(&self, link: &Link, mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.is_cut(link) || link.is_over.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn hear_request(&self, link: &Link, head: &mut Vec<u8>, piece: &[u8]) {
        let mut exchange = link.exchange.lock().expect("no panic");
        if exchange.is_some() || head.len() > HEAD_MAX {
            return;
        }
        head.extend_from_slice(piece);
        if let Some(asked) = request(head) {
            let before = Facts::of(self.target.load(Ordering::Relaxed));
            let shown = Arc::new(Mutex::new(Exchange {
                era: self.era.load(Ordering::Relaxed),
                asked,
                answer: None,
                before,
                after: None,
                is_over: false,
            }));
            *exchange = Some(Arc::clone(&shown));
            self.heard.lock().expect("no panic").push(shown);
        }
    }

    fn hear_answer(&self, link: &Link, head: &mut Vec<u8>, piece: &[u8]) {
        if head.len() > HEAD_MAX {
            return;
        }
        let Some(exchange) = link.exchange.lock().expect("no panic").clone() else {
            return;
        };
        head.extend_from_slice(piece);
        let Some(answer) = answer(head) else { return };
        // Nothing more is looked for.
        head.resize(HEAD_MAX + 1, 0);
        let after = Facts::of(self.target.load(Ordering::Relaxed));
        let mut exchange = exchange.lock().expect("no panic");
        exchange.answer = Some(answer);
        exchange.after = after;
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// What PSYNC asks for, once it is there.
fn request(head: &[u8]) -> Option<Option<(String, i64)>> {
    let text = String::from_utf8_lossy(head).into_owned();
    let (_, rest) = text.split_once("PSYNC\r\n")?;
    let mut words = rest.split("\r\n").skip(1).step_by(2);
    let replid = words.next()?.to_owned();
    let next = words.next()?.to_owned();
    // The last line may not be whole yet.
    let is_whole = rest.matches("\r\n").count() >= 4;
    let position = next.parse().ok().filter(|next: &i64| *next >= 0);
    is_whole.then(|| position.map(|next| (replid, next)))
}

/// What is answered, once it is there.
fn answer(head: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(head);
    let whole = text.rsplit_once('\n')?.0.lines().map(str::trim_end);
    for line in whole {
        if line.starts_with("+CONTINUE") {
            return Some(Answer::Partial);
        }
        if line.starts_with("+FULLRESYNC") {
            return Some(Answer::Full);
        }
        if line.starts_with('-') {
            return Some(Answer::Refused(line.to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_heard_once_it_is_whole() {
        let bytes = b"*1\r\n$4\r\nPING\r\n*3\r\n$5\r\nPSYNC\r\n$2\r\nab\r\n$2\r\n17\r\n";
        for length in 0..bytes.len() {
            assert_eq!(request(&bytes[..length]), None);
        }
        assert_eq!(request(bytes), Some(Some(("ab".to_owned(), 17))));
        let all = b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n";
        assert_eq!(request(all), Some(None));
    }

    #[test]
    fn an_answer_is_heard_behind_what_says_that_somebody_is_there() {
        assert_eq!(answer(b"+OK\r\n\n\n+CONTINUE ab"), None);
        assert_eq!(answer(b"\n+CONTINUE ab\r\n"), Some(Answer::Partial));
        assert_eq!(answer(b"+FULLRESYNC ab 1\r\n$EOF"), Some(Answer::Full));
        let refused = Answer::Refused("-NOMASTERLINK x".to_owned());
        assert_eq!(answer(b"-NOMASTERLINK x\r\n"), Some(refused));
    }
}
