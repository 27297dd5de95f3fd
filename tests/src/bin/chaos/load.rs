//! Clients that write all the time: some everything a server knows, some what the ledger keeps.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::Command;
use slotilla_tests::replication::some_write;
use slotilla_tests::values::{with, words};
use slotilla_tests::{Client, Deadline, encode};

use crate::ledger::{Book, DATABASE};

/// Who gets no reply for so long does not know what became of its command.
const REPLY_LIMIT: Duration = Duration::from_secs(3);
/// Who cannot connect waits for so long.
const PAUSE: Duration = Duration::from_millis(5);
/// How long clients may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(20);

/// Which clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Noise = 0,
    Ledger = 1,
}

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    Rest,
    Stop,
}

#[derive(Debug)]
struct Group {
    wanted: Wanted,
    clients: usize,
    resting: usize,
}

#[derive(Debug)]
struct Shared {
    groups: [Mutex<Group>; 2],
    changed: [Condvar; 2],
    /// Where the primary listens.
    port: AtomicU16,
    /// Commands of the noise that were answered, and those that were answered by an error.
    answered: AtomicU64,
    refused: AtomicU64,
    /// How often a connection was lost or was not to be had.
    broken: AtomicU64,
    pause: Duration,
}

/// All clients; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    pub(crate) books: Vec<Arc<Mutex<Book>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Has so many clients of each class write to a port, as the seed has it, with a pause after each
    /// batch.
    pub(crate) fn start(
        port: u16,
        seed: u64,
        noise: usize,
        ledger: usize,
        pause: Duration,
    ) -> Self {
        let group = |clients| {
            Mutex::new(Group {
                wanted: Wanted::Run,
                clients,
                resting: 0,
            })
        };
        let shared = Arc::new(Shared {
            groups: [group(noise), group(ledger)],
            changed: [Condvar::new(), Condvar::new()],
            port: AtomicU16::new(port),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            pause,
        });
        let mut threads = Vec::new();
        for number in 0..noise as u64 {
            let shared = Arc::clone(&shared);
            let random = Rng::with_seed(seed.wrapping_add(number));
            threads.push(thread::spawn(move || make_noise(&shared, random)));
        }
        let books: Vec<_> = (0..ledger as u64)
            .map(|client| Arc::new(Mutex::new(Book::new(client))))
            .collect();
        for (number, book) in books.iter().enumerate() {
            let (shared, book) = (Arc::clone(&shared), Arc::clone(book));
            let random = Rng::with_seed(seed.wrapping_add(1000 + number as u64));
            threads.push(thread::spawn(move || keep_ledger(&shared, &book, random)));
        }
        Self {
            shared,
            books,
            threads,
        }
    }

    /// Has clients of a class stop between two batches, and waits until all have.
    pub(crate) fn rest(&self, class: Class) -> Result<(), String> {
        self.shared.want(class, Wanted::Rest);
        let rested = Deadline::after(REST_LIMIT).wait(|| {
            let group = self.shared.groups[class as usize].lock().expect("no panic");
            (group.resting == group.clients).then_some(())
        });
        rested.ok_or_else(|| format!("clients did not come to rest ({class:?})"))
    }

    /// Has all clients stop between two batches, and waits until they have.
    pub(crate) fn rest_all(&self) -> Result<(), String> {
        self.shared.want(Class::Ledger, Wanted::Rest);
        self.rest(Class::Noise)?;
        self.rest(Class::Ledger)
    }

    /// Has all clients go on.
    pub(crate) fn go_on(&self) {
        self.shared.want(Class::Noise, Wanted::Run);
        self.shared.want(Class::Ledger, Wanted::Run);
    }

    /// The primary listens there from now on.
    pub(crate) fn write_to(&self, port: u16) {
        self.shared.port.store(port, Ordering::Relaxed);
    }

    /// Commands of the noise that were answered, those that were answered by an error, and
    /// connections that broke.
    pub(crate) fn noise(&self) -> [u64; 3] {
        let shared = &self.shared;
        [&shared.answered, &shared.refused, &shared.broken].map(|n| n.load(Ordering::Relaxed))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.want(Class::Noise, Wanted::Stop);
        self.shared.want(Class::Ledger, Wanted::Stop);
        for thread in self.threads.drain(..) {
            // It has told of its panic.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn want(&self, class: Class, wanted: Wanted) {
        self.groups[class as usize].lock().expect("no panic").wanted = wanted;
        self.changed[class as usize].notify_all();
    }

    /// Rests if that is wanted; false at the end.
    fn pass(&self, class: Class) -> bool {
        let mut group = self.groups[class as usize].lock().expect("no panic");
        if group.wanted == Wanted::Rest {
            group.resting += 1;
            while group.wanted == Wanted::Rest {
                group = self.changed[class as usize].wait(group).expect("no panic");
            }
            group.resting -= 1;
        }
        group.wanted == Wanted::Run
    }

    /// Makes a connection to where the primary is now, if there is none that leads there; whether
    /// it is new.
    fn connect(&self, connection: &mut Option<(u16, Client)>) -> bool {
        let port = self.port.load(Ordering::Relaxed);
        if connection.as_ref().is_some_and(|(to, _)| *to == port) {
            return false;
        }
        *connection = Client::try_connect(port).ok().map(|mut client| {
            client.set_reply_limit(REPLY_LIMIT);
            (port, client)
        });
        if connection.is_none() {
            self.broken.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
        true
    }
}

fn make_noise(shared: &Shared, mut random: Rng) {
    let mut connection = None;
    while shared.pass(Class::Noise) {
        shared.connect(&mut connection);
        let Some((_, client)) = &mut connection else {
            continue;
        };
        let batch: Vec<Command> = (0..random.usize(1..20))
            .flat_map(|_| noise(&mut random))
            .collect();
        if !send_noise(shared, client, &batch) {
            shared.broken.fetch_add(1, Ordering::Relaxed);
            connection = None;
        }
        thread::sleep(shared.pause);
    }
}

/// What changes something: mostly little, seldom much, or all of a database.
fn noise(random: &mut Rng) -> Vec<Command> {
    let key = random.u8(..20);
    let command = match random.u32(..20_000) {
        0 => words("flushdb"),
        1 => words("flushdb async"),
        2..8 => words("swapdb 0 1"),
        8..12 => words(&format!("set big:{key} {}", "x".repeat(500_000))),
        12..20 => {
            let many = (0..random.usize(1000..6000)).map(|n| format!("item:{n}"));
            match random.u8(..3) {
                0 => with(&format!("rpush bl:{key}"), many),
                1 => with(&format!("sadd bs:{key}"), many),
                _ => with(&format!("hset bh:{key}"), many.flat_map(|n| [n.clone(), n])),
            }
        }
        20..50 => words(&format!("unlink big:{key} bl:{key} bs:{key} bh:{key}")),
        50..80 => words(&format!("rename bl:{key} bl:{}", random.u8(..20))),
        80..120 => words(&format!("move s:{key} 2")),
        120..160 => words(&format!("copy s:{key} s:{key} db 2 replace")),
        160..200 => words(&format!("spop bs:{key} {}", random.u16(..2000))),
        200..300 => words(&format!("blmove l:{key} l:1 left right 0.002")),
        300..400 => words(&format!("bzpopmin z:{key} 0.002")),
        400..440 => words(&format!("restore r:{key} 0 x")),
        440..480 => words(&format!("publish channel {key}")),
        _ => return some_write(random),
    };
    vec![command]
}

fn send_noise(shared: &Shared, client: &mut Client, batch: &[Command]) -> bool {
    let mut request = Vec::new();
    for command in batch {
        encode(&mut request, command);
    }
    if client.try_send(&request).is_err() {
        return false;
    }
    for _ in batch {
        let Ok(reply) = client.try_read() else {
            return false;
        };
        shared.answered.fetch_add(1, Ordering::Relaxed);
        let is_refused = reply.error().is_some_and(|text| !text.starts_with("ERR"));
        if is_refused {
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    true
}

fn keep_ledger(shared: &Shared, book: &Mutex<Book>, mut random: Rng) {
    let mut connection = None;
    // The first number of this connection.
    let mut first = 0;
    while shared.pass(Class::Ledger) {
        let is_new = shared.connect(&mut connection);
        let Some((_, client)) = &mut connection else {
            continue;
        };
        let chosen = !is_new || is_chosen(client);
        let mut book = book.lock().expect("no panic");
        if is_new || first > book.len() {
            first = book.len();
        }
        if !chosen || !send_numbers(client, &mut book, &mut random, first) {
            shared.broken.fetch_add(1, Ordering::Relaxed);
            connection = None;
        }
        drop(book);
        thread::sleep(shared.pause);
    }
}

fn is_chosen(client: &mut Client) -> bool {
    let reply = client.try_call(&["select", DATABASE]);
    reply.is_ok_and(|reply| reply.error().is_none())
}

/// Sends some numbers in one write, and notes what becomes of them; now and then waits until a replica
/// has them. False if the connection is of no use any longer.
fn send_numbers(client: &mut Client, book: &mut Book, random: &mut Rng, first: usize) -> bool {
    let waits = random.u8(..10) == 0;
    let batch: Vec<_> = (0..random.usize(1..12))
        .map(|_| book.next(random))
        .collect();
    let mut request = Vec::new();
    for command in batch.iter().flat_map(|(_, commands)| commands) {
        encode(&mut request, command);
    }
    if waits {
        encode(&mut request, &words("wait 1 200"));
    }
    if client.try_send(&request).is_err() {
        return false;
    }
    for (at, commands) in &batch {
        let mut last = None;
        for _ in commands {
            let Ok(reply) = client.try_read() else {
                return false;
            };
            last = Some(reply);
        }
        if let Some(last) = last {
            book.note(*at, &last);
        }
    }
    if waits {
        match client.try_read() {
            Ok(slotilla_tests::Value::Integer(1..)) => book.confirm(first),
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}
