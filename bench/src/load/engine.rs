//! The loop of the generator.

use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use slotilla_common::clock::{Monotonic, Tick};

use super::connection::{Connection, Received};
use super::window::{LoadReport, Window};
use super::{Extent, Plan};
use crate::failure::{Failure, Outcome};
use crate::workload::Order;
use crate::{hold, interrupt};

/// How long nothing may come before the subject is called stuck.
const SILENCE: Duration = Duration::from_secs(10);

/// How often the loop looks at the clock when nothing comes.
const TURN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// Replies are read into this many bytes at most at a time.
const SCRATCH_BYTES: usize = 256 * 1024;

/// Where a run is.
#[derive(Debug)]
enum Phase {
    WarmUp {
        nanos: u64,
        measured: u64,
    },
    Timed {
        window: Window,
        nanos: u64,
    },
    Counted {
        window: Window,
        left: u64,
    },
    /// Nothing more is sent; replies that are due are awaited.
    Draining(LoadReport),
}

/// Runs a plan to its end.
pub(crate) fn drive(plan: Plan) -> Outcome<LoadReport> {
    hold::allow_open_files(plan.connections as u64 + 100)?;
    let mut engine = Engine::open(plan)?;
    engine.start()?;
    engine.run()
}

struct Engine {
    clock: Monotonic,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    order: Order,
    watch: Vec<u32>,
    extent: Extent,
    scratch: Vec<u8>,
    busy: usize,
}

impl Engine {
    fn open(plan: Plan) -> Outcome<Self> {
        if plan.connections == 0 || plan.pipeline == 0 {
            let text = "a connection and a pipeline of one are the least".to_owned();
            return Err(Failure::Usage(text));
        }
        let clock = Monotonic::new();
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(system("create an epoll"))?;
        let mut connections = Vec::with_capacity(plan.connections);
        for place in 0..plan.connections {
            let batch = plan.work.batch(place, plan.pipeline);
            let opened = Connection::open(plan.target, batch, clock.now());
            let what = format!("connect to {}", plan.target);
            let connection = opened.map_err(Failure::io(what))?;
            let name = EventData::new_u64(place as u64);
            epoll::add(&epoll, &connection.stream, name, EventFlags::IN)
                .map_err(system("watch a socket"))?;
            connections.push(connection);
        }
        Ok(Self {
            clock,
            epoll,
            connections,
            order: plan.order,
            watch: plan.watch,
            extent: plan.extent,
            scratch: vec![0; SCRATCH_BYTES],
            busy: 0,
        })
    }

    /// Sends the first batch of every connection.
    fn start(&mut self) -> Outcome<()> {
        for place in 0..self.connections.len() {
            self.begin(place)?;
        }
        Ok(())
    }

    fn run(&mut self) -> Outcome<LoadReport> {
        let started = self.clock.now();
        let mut heard = started;
        let mut phase = match self.extent {
            Extent::Commands(left) => Phase::Counted {
                window: Window::open(&self.clock, &self.watch)?,
                left: left.saturating_sub(self.commands_under_way()),
            },
            Extent::Time { warm_up, measured } => Phase::WarmUp {
                nanos: nanos(warm_up),
                measured: nanos(measured),
            },
        };
        let mut phase_start = started;
        let mut events = Vec::with_capacity(1024);
        loop {
            self.wait(&mut events)?;
            let now = self.clock.now();
            if events.is_empty() {
                self.check_silence(heard, now)?;
            } else {
                heard = now;
            }
            for event in events.drain(..) {
                self.handle(event, &mut phase)?;
            }
            let (next, changed) = self.advance(phase, phase_start)?;
            phase = next;
            if changed {
                phase_start = self.clock.now();
            }
            if self.busy == 0 {
                return match phase {
                    Phase::Draining(report) => Ok(report),
                    Phase::Counted { window, .. } => window.close(&self.clock),
                    Phase::WarmUp { .. } | Phase::Timed { .. } => {
                        Err(Failure::Subject("no connection is left".to_owned()))
                    }
                };
            }
        }
    }

    /// Goes on to the next phase if this one's time is over.
    fn advance(&self, phase: Phase, since: Tick) -> Outcome<(Phase, bool)> {
        let passed = self.clock.nanos_between(since, self.clock.now());
        Ok(match phase {
            Phase::WarmUp { nanos, measured } if passed >= nanos => {
                let window = Window::open(&self.clock, &self.watch)?;
                let nanos = measured;
                (Phase::Timed { window, nanos }, true)
            }
            Phase::Timed { window, nanos } if passed >= nanos => {
                (Phase::Draining(window.close(&self.clock)?), true)
            }
            same => (same, false),
        })
    }

    fn wait(&self, events: &mut Vec<Event>) -> Outcome<()> {
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&TURN)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(system("wait for replies")(error)),
        }
    }

    fn check_silence(&self, heard: Tick, now: Tick) -> Outcome<()> {
        interrupt::check()?;
        if self.clock.nanos_between(heard, now) < nanos(SILENCE) {
            return Ok(());
        }
        let (busy, silence) = (self.busy, SILENCE.as_secs());
        let text = format!("no reply within {silence} s; {busy} connections wait for one");
        Err(Failure::Subject(text))
    }

    fn handle(&mut self, event: Event, phase: &mut Phase) -> Outcome<()> {
        let data = event.data;
        let place = usize::try_from(data.u64()).unwrap_or(usize::MAX);
        let flags = event.flags;
        if flags.contains(EventFlags::OUT) {
            self.go_on_sending(place)?;
        }
        // Errors and hang-ups show themselves to whoever reads.
        if flags == EventFlags::OUT {
            return Ok(());
        }
        let Some(connection) = self.connections.get_mut(place) else {
            return Ok(());
        };
        if !connection.is_busy() {
            let text = "the subject hung up, or sent what nobody asked for".to_owned();
            return Err(Failure::Subject(text));
        }
        let Received::All(commands) = connection.receive(&mut self.scratch)? else {
            return Ok(());
        };
        let latency = self
            .clock
            .nanos_between(connection.started, self.clock.now());
        self.busy -= 1;
        let goes_on = match phase {
            Phase::WarmUp { .. } => true,
            Phase::Timed { window, .. } => {
                window.count(commands, latency);
                true
            }
            Phase::Counted { window, left } => {
                window.count(commands, latency);
                let goes_on = *left > 0;
                *left = left.saturating_sub(commands);
                goes_on
            }
            Phase::Draining(_) => false,
        };
        if goes_on { self.begin(place) } else { Ok(()) }
    }

    fn begin(&mut self, place: usize) -> Outcome<()> {
        let now = self.clock.now();
        if let Some(connection) = self.connections.get_mut(place) {
            self.busy += 1;
            if !connection.begin(&mut self.order, now)? {
                self.listen(place, EventFlags::IN | EventFlags::OUT)?;
            }
        }
        Ok(())
    }

    fn go_on_sending(&mut self, place: usize) -> Outcome<()> {
        if let Some(connection) = self.connections.get_mut(place)
            && connection.send()?
        {
            self.listen(place, EventFlags::IN)?;
        }
        Ok(())
    }

    fn listen(&self, place: usize, flags: EventFlags) -> Outcome<()> {
        let Some(connection) = self.connections.get(place) else {
            return Ok(());
        };
        let name = EventData::new_u64(place as u64);
        epoll::modify(&self.epoll, &connection.stream, name, flags)
            .map_err(system("watch a socket"))
    }

    fn commands_under_way(&self) -> u64 {
        let connections = self.connections.iter();
        connections.map(Connection::commands).sum()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn system(what: &'static str) -> impl FnOnce(Errno) -> Failure {
    move |error| Failure::io(what)(error.into())
}

#[cfg(test)]
mod tests;
