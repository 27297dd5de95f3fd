//! What other threads may know of a client, and do to it.
//!
//! A connection belongs to one worker; its session is nobody else's business. What CLIENT LIST
//! prints, CLIENT KILL changes and MONITOR sends goes through this shared part.

use bytes::Bytes;
use parking_lot::Mutex;
use slotilla_common::clock;
use slotilla_common::command::{COMMANDS, Spec};
use slotilla_common::resp::Protocol;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use super::blocked::Blocked;
use super::mailbox::Mailbox;
use super::output_limit::Excess;
use super::pubsub::Subscriptions;
use super::unblock::Unblock;
use crate::config::{Config, OutputLimit};
use crate::store::{Touched, Waiting, Waits};

/// One bit each of [`Client::flags`].
pub mod flag {
    /// Close the connection as soon as its worker notices.
    pub const KILLED: u32 = 1;
    /// Close it once what has been answered is sent.
    pub const CLOSE_AFTER_REPLY: u32 = 1 << 1;
    /// Sends every command to this client (MONITOR).
    pub const MONITOR: u32 = 1 << 2;
    /// Exempt from client eviction (CLIENT NO-EVICT).
    pub const NO_EVICT: u32 = 1 << 3;
    /// Reads from replicas are fine (READONLY).
    pub const READONLY: u32 = 1 << 4;
    /// Waits for something: a background result, a slot, a pause to end.
    pub const BLOCKED: u32 = 1 << 5;
    /// Came in through the Unix socket.
    pub const UNIX_SOCKET: u32 = 1 << 6;
    /// There is mail to send.
    pub const MAIL: u32 = 1 << 7;
    /// Waits for keys, and no longer than a time.
    pub const TIMED: u32 = 1 << 8;
    /// Subscribes to something.
    pub const PUBSUB: u32 = 1 << 9;
    /// This node's primary.
    pub const PRIMARY: u32 = 1 << 10;
    /// It is a replica.
    pub const REPLICA: u32 = 1 << 11;
}

/// [`Client::queued`] of a client that is not between MULTI and EXEC.
pub const NO_TRANSACTION: usize = usize::MAX;

/// The shared part of one client.
#[derive(Debug)]
pub struct Client {
    /// Unique in this process, ascending.
    pub id: u64,
    /// Peer's address, `ip:port`, or the socket's path and `:0`.
    pub addr: Box<str>,
    /// Our end's address.
    pub laddr: Box<str>,
    /// The socket's number in this process.
    pub fd: i32,
    /// Milliseconds since the epoch at which it connected.
    pub connected_ms: i64,
    /// Milliseconds since the epoch of the last bytes from it, or to it if it is slow to read.
    pub active_ms: AtomicI64,
    /// Place of the last command in [`COMMANDS`]; [`u16::MAX`] before the first.
    pub last_command: AtomicU16,
    /// Bits of [`flag`].
    flags: AtomicU32,
    /// The database it has selected.
    pub db: AtomicU16,
    /// 3 after HELLO 3.
    resp3: AtomicBool,
    /// Bytes received and not done with: while commands run, all that came with them.
    pub input_bytes: AtomicUsize,
    /// What its own input buffer could hold beyond that without growing.
    pub input_free: AtomicUsize,
    /// Bytes answered but not yet sent.
    pub output_bytes: AtomicUsize,
    /// What the buffer of its unsent replies takes.
    pub output_held: AtomicUsize,
    /// Commands queued since MULTI, or [`NO_TRANSACTION`].
    pub queued: AtomicUsize,
    /// What those, and the keys it watches, take.
    pub transaction_bytes: AtomicUsize,
    /// Set once a key that it watches has changed; there since its first WATCH.
    touched: OnceLock<Touched>,
    name: Mutex<Box<[u8]>>,
    /// What other threads want it to send; appended to its output by its worker.
    mail: Mutex<Mailbox>,
    /// What it subscribes to; see [`super::pubsub`].
    pub(super) subscribed: Mutex<Option<Box<Subscriptions>>>,
    waker: Mutex<Option<Waker>>,
    /// The blocking command that it waits in.
    waiting: Mutex<Option<Arc<Waiting<Blocked>>>>,
    /// What ends the wait that it is in, if that is not for keys.
    unblock: Mutex<Option<Arc<Unblock>>>,
    /// Where a thread waits for another server on its behalf (MIGRATE).
    elsewhere: Mutex<Option<TcpStream>>,
}

impl Client {
    /// One that nobody finds: no connection.
    #[must_use]
    pub fn unlisted(introduction: Introduction) -> Arc<Self> {
        Arc::new(Self::new(0, introduction))
    }

    fn new(id: u64, introduction: Introduction) -> Self {
        let now = clock::unix_ms();
        let flags = if introduction.unix_socket {
            flag::UNIX_SOCKET
        } else {
            0
        };
        Self {
            id,
            addr: introduction.addr,
            laddr: introduction.laddr,
            fd: introduction.fd,
            connected_ms: now,
            active_ms: AtomicI64::new(now),
            last_command: AtomicU16::new(u16::MAX),
            flags: AtomicU32::new(flags),
            db: AtomicU16::new(0),
            resp3: AtomicBool::new(false),
            input_bytes: AtomicUsize::new(0),
            input_free: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            output_held: AtomicUsize::new(0),
            queued: AtomicUsize::new(NO_TRANSACTION),
            transaction_bytes: AtomicUsize::new(0),
            touched: OnceLock::new(),
            name: Mutex::default(),
            mail: Mutex::default(),
            subscribed: Mutex::default(),
            waker: Mutex::new(None),
            waiting: Mutex::new(None),
            unblock: Mutex::new(None),
            elsewhere: Mutex::new(None),
        }
    }

    /// The bits of [`flag`] that are set.
    #[inline]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Acquire)
    }

    /// Whether all bits of `flags` are set.
    #[inline]
    pub fn has(&self, flags: u32) -> bool {
        self.flags() & flags == flags
    }

    /// Sets or clears bits of [`flag`].
    pub fn set(&self, flags: u32, on: bool) {
        if on {
            self.flags.fetch_or(flags, Ordering::AcqRel);
        } else {
            self.flags.fetch_and(!flags, Ordering::AcqRel);
        }
    }

    /// Its CLIENT SETNAME name; empty if it has none.
    pub fn name(&self) -> Box<[u8]> {
        self.name.lock().clone()
    }

    /// Sets the name.
    pub fn set_name(&self, name: &[u8]) {
        *self.name.lock() = name.into();
    }

    /// The blocking command that it waits in, or has waited in until now.
    pub fn waiting(&self) -> Option<Arc<Waiting<Blocked>>> {
        self.waiting.lock().clone()
    }

    /// Notes what it waits in.
    pub fn set_waiting(&self, waiting: Option<Arc<Waiting<Blocked>>>) {
        *self.waiting.lock() = waiting;
    }

    /// What ends the wait that it is in, if that is not for keys.
    pub fn unblock(&self) -> Option<Arc<Unblock>> {
        self.unblock.lock().clone()
    }

    /// Notes what does.
    pub fn set_unblock(&self, unblock: Option<Arc<Unblock>>) {
        *self.unblock.lock() = unblock;
    }

    /// A thread waits for another server on its behalf; `None`: no longer.
    pub fn set_elsewhere(&self, socket: Option<TcpStream>) {
        let mut elsewhere = self.elsewhere.lock();
        *elsewhere = socket;
        // Whoever closes it says so first, and then looks for the socket.
        if self.has(flag::KILLED) {
            shut_down(elsewhere.as_ref());
        }
    }

    /// Closes the connection from any thread. Nobody serves it from now on.
    pub fn kill(&self) {
        self.set(flag::KILLED, true);
        shut_down(self.elsewhere.lock().as_ref());
        if self.waiting().is_some_and(|waiting| waiting.claim()) {
            self.set(flag::BLOCKED | flag::TIMED, false);
        }
        self.wake();
    }

    /// Has its worker look at it.
    pub fn wake(&self) {
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whom [`Client::wake`] wakes.
    pub fn set_waker(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    /// Sends `message`, a whole reply or push, after what has been answered. At the hard limit of
    /// unsent bytes the client is closed instead: it does not read.
    pub fn post(&self, message: Bytes, limit: OutputLimit) {
        let mut mail = self.mail.lock();
        // Asked under the mail's lock, or mail could be left to one that is closed.
        if self.has(flag::KILLED) {
            return;
        }
        let sent_later = self.output_bytes.load(Ordering::Relaxed);
        let before = mail.bytes() + sent_later;
        mail.push(message);
        let unsent = (mail.bytes() + sent_later) as u64;
        if limit.hard_bytes != 0 && unsent >= limit.hard_bytes {
            self.set(flag::KILLED, true);
            mail.clear();
            drop(mail);
            self.warn_of_excess(unsent, &Excess::Hard(limit.hard_bytes));
            self.wake();
            return;
        }
        let is_first = !self.has(flag::MAIL);
        self.set(flag::MAIL, true);
        drop(mail);
        // While there is mail its worker knows; but at the soft limit its time begins.
        let soft = limit.soft_bytes;
        if is_first || soft != 0 && (before as u64) < soft && unsent >= soft {
            self.wake();
        }
    }

    /// Tells the log why a client is closed that does not read.
    pub fn warn_of_excess(&self, unsent: u64, excess: &Excess) {
        tracing::warn!(
            "Closing client id={} addr={}: it left {unsent} bytes of replies unread, \
             client-output-buffer-limit allows {excess}",
            self.id,
            self.addr,
        );
    }

    /// How much it may leave unread.
    pub fn output_limit(&self, config: &Config) -> OutputLimit {
        let [normal, _, pubsub] = config.output_limits();
        if self.has(flag::PUBSUB) {
            pubsub
        } else {
            normal
        }
    }

    /// Moves mail to the end of `out`, at most `most` bytes and one message more.
    pub fn take_mail(&self, out: &mut Vec<u8>, most: usize) {
        let mut mail = self.mail.lock();
        if mail.take(out, most) {
            self.set(flag::MAIL, false);
        }
    }

    /// A command that has waited is answered now: mail from now on comes after its reply, and cannot
    /// be taken before that.
    pub fn hold_mail(&self) {
        self.mail.lock().hold_for_reply();
    }

    /// The reply is where it belongs: all mail can be taken again.
    pub fn release_mail(&self) {
        let mut mail = self.mail.lock();
        let is_left = mail.release();
        self.set(flag::MAIL, is_left);
    }

    /// Bytes of mail that its worker has not taken yet.
    pub fn mail_bytes(&self) -> usize {
        self.mail.lock().bytes()
    }

    /// What a change to a key that it watches sets.
    pub fn touched(&self) -> Touched {
        Arc::clone(self.touched.get_or_init(Touched::default))
    }

    /// Whether a key that it watches has changed.
    pub fn is_touched(&self) -> bool {
        let touched = self.touched.get();
        touched.is_some_and(|touched| touched.load(Ordering::Relaxed))
    }

    /// How many commands are queued since its MULTI; `None` if there was none.
    pub fn queued(&self) -> Option<usize> {
        let queued = self.queued.load(Ordering::Relaxed);
        (queued != NO_TRANSACTION).then_some(queued)
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        self.has(flag::UNIX_SOCKET)
            || self.addr.starts_with("127.")
            || self.addr.starts_with("[::1]")
            || self.addr.starts_with("[::ffff:127.")
    }

    /// The protocol it speaks.
    pub fn protocol(&self) -> Protocol {
        if self.resp3.load(Ordering::Relaxed) {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        }
    }

    /// Notes the protocol it speaks from now on.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.resp3
            .store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    /// The last command it sent.
    pub fn last_command(&self) -> Option<&'static Spec> {
        COMMANDS.get(usize::from(self.last_command.load(Ordering::Relaxed)))
    }
}

impl Waits for Client {
    fn wake(&self) {
        Client::wake(self);
    }
}

/// Ends the wait for what comes through a socket.
fn shut_down(socket: Option<&TcpStream>) {
    if let Some(socket) = socket {
        // One that is closed already has nobody who waits.
        let _closed = socket.shutdown(Shutdown::Both);
    }
}

/// What a client comes with.
#[derive(Debug)]
pub struct Introduction {
    /// Peer's address.
    pub addr: Box<str>,
    /// Our end's address.
    pub laddr: Box<str>,
    /// The socket's number in this process.
    pub fd: i32,
    /// Came in through the Unix socket.
    pub unix_socket: bool,
}

/// All clients of the node.
#[derive(Debug, Default)]
pub struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
    connected: AtomicUsize,
    monitors: AtomicUsize,
}

impl Registry {
    /// Admits a client.
    pub fn admit(&self, introduction: Introduction) -> Arc<Client> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Arc::new(Client::new(id, introduction));
        self.clients.lock().insert(client.id, Arc::clone(&client));
        self.connected.fetch_add(1, Ordering::Relaxed);
        client
    }

    /// Forgets a client whose connection is closed.
    pub fn dismiss(&self, client: &Client) {
        if self.clients.lock().remove(&client.id).is_some() {
            self.connected.fetch_sub(1, Ordering::Relaxed);
            self.set_monitor(client, false);
        }
    }

    /// How many clients are connected.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// All clients in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().cloned().collect()
    }

    /// The client with this id.
    pub fn by_id(&self, id: u64) -> Option<Arc<Client>> {
        self.clients.lock().get(&id).cloned()
    }

    /// Whether any client watches all commands: read before each one.
    #[inline]
    pub fn has_monitors(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) != 0
    }

    /// Makes `client` a monitor, or no longer.
    pub fn set_monitor(&self, client: &Client, on: bool) {
        if client.has(flag::MONITOR) != on {
            client.set(flag::MONITOR, on);
            if on {
                self.monitors.fetch_add(1, Ordering::Relaxed);
            } else {
                self.monitors.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction() -> Introduction {
        Introduction {
            addr: "127.0.0.1:5".into(),
            laddr: "127.0.0.1:6".into(),
            fd: 9,
            unix_socket: false,
        }
    }

    #[test]
    fn clients_come_and_go() {
        let registry = Registry::default();
        let first = registry.admit(introduction());
        let second = registry.admit(introduction());
        assert!(first.id < second.id);
        assert_eq!(registry.connected(), 2);
        registry.set_monitor(&first, true);
        assert!(registry.has_monitors());
        registry.dismiss(&first);
        registry.dismiss(&first);
        assert_eq!(registry.connected(), 1);
        assert!(!registry.has_monitors());
        assert!(registry.by_id(first.id).is_none() && registry.by_id(second.id).is_some());
    }

    fn hard(bytes: u64) -> OutputLimit {
        OutputLimit {
            hard_bytes: bytes,
            ..OutputLimit::default()
        }
    }

    #[test]
    fn mail_beyond_the_limit_closes_the_client() {
        let client = Registry::default().admit(introduction());
        client.post(Bytes::from_static(b"+a\r\n"), hard(60));
        assert!(client.has(flag::MAIL) && !client.has(flag::KILLED));
        let mut out = Vec::new();
        client.take_mail(&mut out, usize::MAX);
        assert_eq!(out, b"+a\r\n");
        assert!(!client.has(flag::MAIL));
        client.post(Bytes::from_static(b"+b\r\n"), hard(60));
        client.post(Bytes::from_static(b"+c\r\n"), hard(60));
        assert!(client.has(flag::KILLED));
        assert_eq!(client.mail_bytes(), 0);
    }

    #[test]
    fn mail_that_its_worker_has_taken_but_not_sent_counts() {
        let client = Registry::default().admit(introduction());
        client.post(Bytes::from_static(b"+a\r\n"), hard(60));
        client.take_mail(&mut Vec::new(), usize::MAX);
        client.output_bytes.store(36, Ordering::Relaxed);
        client.post(Bytes::from_static(b"+b\r\n"), hard(60));
        assert!(client.has(flag::KILLED));
    }
}
