//! Being a primary: what replicas ask for, and what they are sent.
//!
//! ```text
//! mod.rs      who they are, and how far each is
//! attach.rs   a connection becomes a replica's: PSYNC, SYNC
//! feed.rs     a replica's thread: all data if it must, then the log
//! acks.rs     another one: what the replica says of itself
//! copies.rs   one snapshot for all who wait for all data
//! confirm.rs  who waits for replicas to have something: acknowledged writes, WAIT
//! record.rs   on disk: which replicas have confirmed writes
//! restart.rs  the start of a primary that may have lost such writes
//! talk.rs     what it asks its replicas then, and tells them
//! tend.rs     what happens once a second
//! leave.rs    the node is about to stop
//! wait.rs     WAIT
//! ```
//!
//! A replica's connection leaves its worker for two threads of its own, which block: there are few
//! replicas, and none may hold up clients, or another.

mod acks;
mod attach;
mod confirm;
mod copies;
mod feed;
mod leave;
mod record;
mod restart;
mod talk;
mod tend;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use slotilla_common::clock;

pub use attach::{Request, attach};
pub use confirm::{Confirm, KNOWN_MAX, Wish};
pub use leave::{ask_for_acks, let_replicas_catch_up};
pub use restart::Restart;
pub use tend::tend;
pub use wait::wait;

use super::Address;
use crate::server::Server;
use crate::server::client::{Client, flag};
use crate::server::socket::Stream;

/// What a replica has said of itself before it asked for data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The port that it serves; 0 if it has not said so.
    pub port: u16,
    /// The address that it wants to be known by.
    pub address: Option<String>,
    /// It knows the end of a snapshot by a mark, so it needs no length before.
    pub knows_end_mark: bool,
    /// It knows that a history may get another name.
    pub knows_new_names: bool,
    /// It wants all data, and nothing after.
    pub wants_data_alone: bool,
}

/// How far a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It waits for all data.
    Waiting = 0,
    /// It is sent all data.
    Copying = 1,
    /// It is sent what happens.
    Online = 2,
}

impl Stage {
    /// What INFO calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            // As in Redis, of data that goes through no file.
            Self::Waiting | Self::Copying => "wait_bgsave",
            Self::Online => "online",
        }
    }
}

/// One replica, as long as it is connected.
#[derive(Debug)]
pub struct Replica {
    /// Who it is.
    pub introduction: Introduction,
    client: Arc<Client>,
    socket: Stream,
    stage: AtomicU8,
    /// How much of the log it was sent.
    sent: AtomicU64,
    /// How much of the log it has, as it has said last.
    acked: AtomicU64,
    acked_ms: AtomicI64,
    /// Since when it is beyond the soft limit of what it may leave unread; 0 if it is not.
    behind_since_ms: AtomicI64,
    /// Its connection has ended.
    is_gone: AtomicBool,
    /// It has said so since it has all data.
    has_acked: AtomicBool,
}

impl Introduction {
    /// The address that others reach it by, if its connection comes from there.
    fn address_at<'s>(&'s self, peer: &'s str) -> &'s str {
        let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
        self.address.as_deref().unwrap_or(host)
    }

    /// Its address and port, as logs have them.
    #[must_use]
    pub fn shown_at(&self, peer: &str) -> String {
        let address = self.address_at(peer);
        match self.port {
            0 => format!("{address}:<unknown-replica-port>"),
            port => format!("{address}:{port}"),
        }
    }
}

impl Replica {
    /// How much of the log is kept for it, that it was not sent or has not read: as of the last second.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.client.output_bytes.load(Ordering::Relaxed)
    }

    /// The address that others reach it by.
    #[must_use]
    pub fn address(&self) -> &str {
        self.introduction.address_at(&self.client.addr)
    }

    /// Where it serves clients, as far as is known.
    #[must_use]
    pub fn listens_at(&self) -> Address {
        Address {
            host: self.address().to_owned(),
            port: self.introduction.port,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Waiting,
            1 => Stage::Copying,
            _ => Stage::Online,
        }
    }

    /// How much of the log it has.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// Seconds since it has last said so.
    #[must_use]
    pub fn lag_seconds(&self) -> i64 {
        let passed_ms = clock::unix_ms() - self.acked_ms.load(Ordering::Relaxed);
        passed_ms.max(0) / 1000
    }

    fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Ends the connection, and with it the threads.
    fn disconnect(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.socket.shut_down();
    }

    /// Whether nothing is to be sent any more.
    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire) || self.client.has(flag::KILLED)
    }
}

/// What a node knows of its replicas.
#[derive(Debug, Default)]
pub struct Primary {
    replicas: Mutex<Vec<Arc<Replica>>>,
    /// Who waits for all data, and since when somebody does.
    queue: Mutex<copies::Queue>,
    /// Who waits for replicas to have something.
    pub confirm: Confirm,
    /// Whether it waits for them after a restart.
    pub restart: Restart,
    /// Replicas that are near enough for `min-replicas-to-write`, as of the last look.
    good: AtomicUsize,
    /// The node is about to stop.
    leaving: leave::Leaving,
    /// Writes are refused, as too few are.
    refuses: AtomicBool,
    /// All data is being written for some.
    copying: AtomicBool,
    /// Since when there is no replica; 0 if there is one, or never was.
    alone_since_ms: AtomicI64,
    /// Whether the log is followed for replicas, those to come included.
    follows: AtomicBool,
    /// How often all data was sent, what was missing, and what was no longer there.
    pub full: AtomicU64,
    /// See [`full`](Self::full).
    pub partial: AtomicU64,
    /// See [`full`](Self::full).
    pub denied: AtomicU64,
}

impl Primary {
    /// All replicas, in the order in which they came.
    #[must_use]
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas.lock().clone()
    }

    /// How many replicas there are, however far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.replicas.lock().len()
    }

    /// How many have this much of the log.
    #[must_use]
    pub fn have(&self, offset: u64) -> usize {
        let replicas = self.replicas.lock();
        let has_it =
            |replica: &&Arc<Replica>| replica.stage() == Stage::Online && replica.acked() >= offset;
        replicas.iter().filter(has_it).count()
    }

    /// How many replicas were near enough at the last look.
    #[must_use]
    pub fn good(&self) -> usize {
        self.good.load(Ordering::Relaxed)
    }

    /// Whether writes are refused, as too few replicas are near enough.
    #[must_use]
    #[inline]
    pub fn refuses_writes(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// CONFIG RESETSTAT: what was sent is counted anew.
    pub fn reset_counts(&self) {
        for count in [&self.full, &self.partial, &self.denied] {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Whether all data is being written for replicas.
    #[must_use]
    pub fn is_copying(&self) -> bool {
        self.copying.load(Ordering::Acquire)
    }

    /// Whether what happens is kept for replicas.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.follows.load(Ordering::Acquire)
    }

    /// The stream is kept for replicas from now on.
    pub(super) fn begin_following(&self) {
        self.alone_since_ms
            .store(clock::unix_ms(), Ordering::Relaxed);
        self.follows.store(true, Ordering::Release);
    }

    /// The stream is kept no longer; whether it was.
    pub(super) fn unfollow(&self) -> bool {
        self.follows.swap(false, Ordering::AcqRel)
    }

    /// All replicas are to ask again, and have the time to.
    pub(super) fn let_replicas_go(&self) {
        if self.count() == 0 && self.follows() {
            self.begin_following();
        }
        for replica in self.replicas() {
            replica.disconnect();
        }
    }

    fn add(&self, replica: &Arc<Replica>) {
        self.alone_since_ms.store(0, Ordering::Relaxed);
        self.replicas.lock().push(Arc::clone(replica));
    }

    fn forget(&self, server: &Server, replica: &Arc<Replica>) {
        let mut replicas = self.replicas.lock();
        replicas.retain(|other| !Arc::ptr_eq(other, replica));
        if replicas.is_empty() {
            self.alone_since_ms
                .store(clock::unix_ms(), Ordering::Relaxed);
        }
        drop(replicas);
        self.settle(server);
    }

    fn note_ack(&self, replica: &Replica, offset: u64) {
        replica.acked.fetch_max(offset, Ordering::AcqRel);
        replica.acked_ms.store(clock::unix_ms(), Ordering::Relaxed);
        replica.has_acked.store(true, Ordering::Release);
    }

    /// How many replicas are near enough, and whether writes are refused as too few are.
    fn note_good(&self, server: &Server) {
        let wanted = server.config.min_replicas_to_write();
        let lag = server.config.min_replicas_max_lag();
        let is_good = |replica: &&Arc<Replica>| {
            replica.stage() == Stage::Online && replica.lag_seconds() <= lag
        };
        let replicas = self.replicas.lock();
        let good = replicas.iter().filter(is_good).count();
        self.good.store(good, Ordering::Relaxed);
        let refuses = wanted > 0 && lag > 0 && good < wanted && !server.replication.is_replica();
        self.refuses.store(refuses, Ordering::Relaxed);
    }
}
