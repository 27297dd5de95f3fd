//! Clients that ask at a steady pace, whatever the server does: some whose every reply is timed, and
//! one that writes much.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use slotilla_common::clock::{Monotonic, Tick};
use slotilla_common::resp::Value;

use crate::client::{Client, shown};
use crate::failure::{Failure, Outcome};
use crate::load::Latency;
use crate::workload::{Answers, Batch, DIGITS, Expected, Kind, Mix, Order, Shape, Work};

/// Clients whose replies are timed: half of them GET, half of them SET.
const PROBES: u64 = 4;
const PROBE_EVERY_NANOS: u64 = 2_000_000;
/// How often the one that writes much sends what is due.
const WRITE_EVERY_NANOS: u64 = 1_000_000;
const WRITES_PER_SECOND_MIN: u64 = 1_000_000_000 / WRITE_EVERY_NANOS;
const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// Who asks whom.
#[derive(Debug)]
pub(super) struct Traffic<'a> {
    pub(super) target: SocketAddr,
    pub(super) shape: &'a Shape,
    /// Of the client that writes much, in thousands; none if there are none.
    pub(super) writes_per_second: u64,
}

/// What the clients felt.
#[derive(Debug)]
pub(super) struct Felt {
    pub(super) before: Latency,
    pub(super) meanwhile: Latency,
    /// Seconds after the beginning at which the one was due that took longest.
    pub(super) longest_at: f64,
    /// What the server took in truth.
    pub(super) writes_per_second: f64,
}

const BEFORE: u8 = 0;
const MEANWHILE: u8 = 1;
const OVER: u8 = 2;

/// Where a run is.
#[derive(Debug)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    /// From now on it is what is measured.
    pub(super) fn begin(&self) {
        self.0.store(MEANWHILE, Ordering::Release);
    }

    fn now(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

/// Has all clients ask until `work` is done; it says where what is measured begins.
pub(super) fn beside<R>(
    traffic: &Traffic<'_>,
    work: impl FnOnce(&Stage) -> Outcome<R>,
) -> Outcome<(R, Felt)> {
    let (stage, clock) = (Stage(AtomicU8::new(BEFORE)), Monotonic::new());
    let (worked, probes, writer) = thread::scope(|scope| {
        let probes: Vec<_> = (0..PROBES)
            .map(|number| {
                let (stage, clock) = (&stage, &clock);
                scope.spawn(move || probe(traffic, number, clock, stage))
            })
            .collect();
        let writer = scope.spawn(|| write(traffic, &clock, &stage));
        let worked = work(&stage);
        stage.0.store(OVER, Ordering::Release);
        let join = thread::ScopedJoinHandle::join;
        let probes: Vec<_> = probes.into_iter().map(join).collect();
        (worked, probes, writer.join())
    });
    let worked = worked?;
    let panicked = |_| Failure::WrongAnswer("a paced client panicked".to_owned());
    let mut felt = Histograms::new()?;
    for probe in probes {
        felt.add(&probe.map_err(panicked)??);
    }
    let felt = Felt {
        before: latency(&felt.before),
        meanwhile: latency(&felt.meanwhile),
        longest_at: felt.longest.1 as f64 / 1e9,
        writes_per_second: writer.map_err(panicked)??,
    };
    Ok((worked, felt))
}

/// Latencies before what is measured, and while it lasts.
struct Histograms {
    before: Histogram<u64>,
    meanwhile: Histogram<u64>,
    /// What took longest of the latter, and when it was due, in nanoseconds.
    longest: (u64, u64),
}

impl Histograms {
    /// Up to two minutes, which is more than a reply may take.
    fn new() -> Outcome<Self> {
        let new = || {
            let found = Histogram::new_with_bounds(1, 120_000_000_000, 3);
            found.map_err(|error| Failure::WrongAnswer(format!("a histogram: {error}")))
        };
        Ok(Self {
            before: new()?,
            meanwhile: new()?,
            longest: (0, 0),
        })
    }

    fn add(&mut self, other: &Self) {
        // Of the same bounds, so they fit.
        self.before.add(&other.before).unwrap_or_default();
        self.meanwhile.add(&other.meanwhile).unwrap_or_default();
        self.longest = self.longest.max(other.longest);
    }
}

fn latency(found: &Histogram<u64>) -> Latency {
    let micros = |quantile| found.value_at_quantile(quantile) as f64 / 1e3;
    Latency {
        p50_us: micros(0.5),
        p99_us: micros(0.99),
        p999_us: micros(0.999),
        max_us: found.max() as f64 / 1e3,
    }
}

/// The moments at which something is due. What is late because the one before took long counts from
/// when it was due: so a pause is felt by all that fall into it.
struct Timetable<'c> {
    clock: &'c Monotonic,
    start: Tick,
    every_nanos: u64,
    due: u64,
}

impl<'c> Timetable<'c> {
    fn new(clock: &'c Monotonic, every_nanos: u64) -> Self {
        Self {
            clock,
            start: clock.now(),
            every_nanos,
            due: 0,
        }
    }

    fn elapsed(&self) -> u64 {
        self.clock.nanos_between(self.start, self.clock.now())
    }

    /// Waits for the next moment; from when on the reply is awaited. What this thread has overslept
    /// is not the server's.
    fn wait(&mut self) -> u64 {
        let now = self.elapsed();
        let from = if now < self.due {
            thread::sleep(Duration::from_nanos(self.due - now));
            self.elapsed()
        } else {
            self.due
        };
        self.due += self.every_nanos;
        from
    }
}

/// Sends one command after the other.
fn probe(
    traffic: &Traffic<'_>,
    number: u64,
    clock: &Monotonic,
    stage: &Stage,
) -> Outcome<Histograms> {
    let mut client = Client::connect(traffic.target)?;
    let mut found = Histograms::new()?;
    let mut random = fastrand::Rng::with_seed(number);
    let mut timetable = Timetable::new(clock, PROBE_EVERY_NANOS);
    let mut begun = None;
    loop {
        let key = random.u64(..traffic.shape.keys);
        let from = timetable.wait();
        let when = stage.now();
        if when == OVER {
            return Ok(found);
        }
        if number.is_multiple_of(2) {
            get(&mut client, traffic.shape, key)?;
        } else {
            set(&mut client, traffic.shape, key)?;
        }
        let nanos = timetable.elapsed() - from;
        if when == BEFORE {
            found.before.saturating_record(nanos);
        } else {
            found.meanwhile.saturating_record(nanos);
            let due = from.saturating_sub(*begun.get_or_insert(from));
            found.longest = found.longest.max((nanos, due));
        }
    }
}

/// Whoever writes, a value begins with its key's number.
fn get(client: &mut Client, shape: &Shape, number: u64) -> Outcome<()> {
    let reply = client.call(&[&b"GET"[..], &shape.key(number)])?;
    let right = shape.value(number);
    match &reply {
        Value::Bulk(value)
            if value.len() == right.len() && value.get(..DIGITS) == right.get(..DIGITS) =>
        {
            Ok(())
        }
        other => Err(Failure::WrongAnswer(format!("GET: {}", shown(other)))),
    }
}

fn set(client: &mut Client, shape: &Shape, number: u64) -> Outcome<()> {
    let (key, value) = (shape.key(number), shape.value(number));
    match client.call(&[&b"SET"[..], &key, &value])? {
        Value::Simple(text) if text == b"OK" => Ok(()),
        other => Err(Failure::WrongAnswer(format!("SET: {}", shown(&other)))),
    }
}

/// Writes random keys; how many a second while it was measured.
fn write(traffic: &Traffic<'_>, clock: &Monotonic, stage: &Stage) -> Outcome<f64> {
    let count = traffic.writes_per_second / WRITES_PER_SECOND_MIN;
    if count == 0 {
        return Ok(0.0);
    }
    let mut batch = batch(traffic.shape, count);
    let mut order = Order::Random(fastrand::Rng::with_seed(PROBES));
    let broken = || Failure::io(format!("write to {}", traffic.target));
    let mut stream = TcpStream::connect(traffic.target).map_err(broken())?;
    let set_up = stream.set_nodelay(true);
    set_up
        .and_then(|()| stream.set_read_timeout(Some(REPLY_LIMIT)))
        .map_err(broken())?;
    let mut replies = Vec::new();
    let mut timetable = Timetable::new(clock, WRITE_EVERY_NANOS);
    let (mut written, mut begun) = (0, None);
    loop {
        timetable.wait();
        match stage.now() {
            OVER => break,
            MEANWHILE => {
                begun.get_or_insert_with(|| timetable.elapsed());
                written += count;
            }
            _ => {}
        }
        batch.renew(&mut order);
        let Expected::Bytes(expected) = batch.expected() else {
            break;
        };
        replies.resize(expected.len(), 0);
        stream
            .write_all(batch.request())
            .and_then(|()| stream.read_exact(&mut replies))
            .map_err(broken())?;
        if replies != expected {
            let text = format!("SET: \"{}\"", replies.escape_ascii());
            return Err(Failure::WrongAnswer(text));
        }
    }
    let nanos = begun.map_or(0, |begun| timetable.elapsed() - begun);
    Ok(written as f64 * 1e9 / nanos.max(1) as f64)
}

/// SETs whose values are none that the keys had before.
fn batch(shape: &Shape, count: u64) -> Batch {
    let work = Work::Keys {
        mix: Mix::only(Kind::Set),
        shape: Shape {
            generation: b'w',
            ..shape.clone()
        },
        answers: Answers::Values,
    };
    work.batch(0, usize::try_from(count).unwrap_or(usize::MAX))
}
