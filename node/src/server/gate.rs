//! The gate: one instant at which no thread is inside a command.
//!
//! Every thread that touches the keyspace has a seat. It sits down for a batch of commands (or
//! one step of background work) and stands up after it. What needs the whole keyspace to itself
//! (FLUSHALL, SWAPDB, CLIENT PAUSE, a snapshot's mark) closes the gate, waits until all seats are
//! empty, runs, and opens it again; whoever wants to sit down meanwhile waits.
//!
//! Sitting down is one store and one load, both sequentially consistent: either the thread sees
//! the gate closed, or the closer sees the seat taken (Dekker's argument), never neither.

use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The gate of one node.
#[derive(Debug)]
pub struct Gate {
    closed: AtomicBool,
    seats: Box<[Seat]>,
    /// How many guests sit.
    guests: AtomicUsize,
    /// Held by whoever has the gate closed: closers come one after the other.
    closers: Mutex<()>,
    /// Guards nothing but the two waits below.
    waiting: Mutex<()>,
    opened: Condvar,
    emptied: Condvar,
}

/// On a cache line of its own: its thread writes it twice a batch.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Seat(AtomicBool);

/// Which seat a thread has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatId(usize);

/// Proof that every other thread stands outside: lent to the work that needs it.
#[derive(Debug)]
pub struct Exclusive(());

impl Gate {
    /// A gate with `seats` seats.
    #[must_use]
    pub fn new(seats: usize) -> Self {
        Self {
            closed: AtomicBool::new(false),
            seats: (0..seats).map(|_| Seat::default()).collect(),
            guests: AtomicUsize::new(0),
            closers: Mutex::new(()),
            waiting: Mutex::new(()),
            opened: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// The seat with number `n`, if there is one. Each may be used by one thread only.
    #[must_use]
    pub fn seat(&self, n: usize) -> Option<SeatId> {
        (n < self.seats.len()).then_some(SeatId(n))
    }

    /// Sits down: until [`Gate::leave`], nothing exclusive runs. Waits while the gate is closed.
    #[inline]
    pub fn enter(&self, seat: SeatId) {
        let Some(Seat(taken)) = self.seats.get(seat.0) else {
            return;
        };
        loop {
            taken.store(true, Ordering::SeqCst);
            if !self.closed.load(Ordering::SeqCst) {
                return;
            }
            self.stand_aside(taken);
        }
    }

    /// Stands up again.
    #[inline]
    pub fn leave(&self, seat: SeatId) {
        let Some(Seat(taken)) = self.seats.get(seat.0) else {
            return;
        };
        taken.store(false, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.wake_closer();
        }
    }

    #[cold]
    fn stand_aside(&self, taken: &AtomicBool) {
        taken.store(false, Ordering::SeqCst);
        self.wake_closer();
        self.wait_until_open();
    }

    fn wait_until_open(&self) {
        let mut waiting = self.waiting.lock();
        while self.closed.load(Ordering::SeqCst) {
            self.opened.wait(&mut waiting);
        }
    }

    #[cold]
    fn wake_closer(&self) {
        drop(self.waiting.lock());
        self.emptied.notify_all();
    }

    /// As [`Gate::enter`], until the result goes out of scope, by a panic too: a seat that stays
    /// taken would hold up every closer for ever.
    #[inline]
    pub fn sit(&self, seat: SeatId) -> Seated<'_> {
        self.enter(seat);
        Seated { gate: self, seat }
    }

    /// Whether this thread is inside [`Gate::exclusive`].
    #[must_use]
    pub fn is_closed_here() -> bool {
        Holds::now()
    }

    /// Sits down for `work` on a thread that has no seat of its own. Not inside another loan.
    /// Inside [`Gate::exclusive`], where nobody else is, it just does it.
    pub fn guest<R>(&self, work: impl FnOnce() -> R) -> R {
        if Holds::now() {
            return work();
        }
        let _seat = Guest::sit(self);
        work()
    }

    /// Runs `work` while every seat is empty. A caller that sits gives its own seat, which it has
    /// again afterwards; it must hold no slot lock, or whoever waits for that lock never stands up.
    /// Inside itself, it just does it.
    pub fn exclusive<R>(&self, own: Option<SeatId>, work: impl FnOnce(&Exclusive) -> R) -> R {
        if Holds::now() {
            return work(&Exclusive(()));
        }
        if let Some(seat) = own {
            self.leave(seat);
        }
        let result = {
            // Dropped in the opposite order: open first, then let the next closer in.
            let _closer = self.closers.lock();
            self.closed.store(true, Ordering::SeqCst);
            // Opens the gate even when `work` panics.
            let _open = Reopen(self);
            self.wait_until_empty();
            let _holds = Holds::begin();
            work(&Exclusive(()))
        };
        if let Some(seat) = own {
            self.enter(seat);
        }
        result
    }

    /// Runs `work` on a thread that sits, without its seat: for what may wait for a closer.
    pub fn outside<R>(&self, own: SeatId, work: impl FnOnce() -> R) -> R {
        self.leave(own);
        let result = work();
        self.enter(own);
        result
    }

    fn wait_until_empty(&self) {
        let empty = || {
            self.guests.load(Ordering::SeqCst) == 0
                && self
                    .seats
                    .iter()
                    .all(|Seat(taken)| !taken.load(Ordering::SeqCst))
        };
        // A batch takes microseconds, so looking again usually beats sleeping.
        for _ in 0..200 {
            if empty() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut waiting = self.waiting.lock();
        while !empty() {
            self.emptied.wait(&mut waiting);
        }
    }
}

thread_local! {
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

/// This thread has closed the gate, until this is dropped.
struct Holds(());

impl Holds {
    fn now() -> bool {
        HOLDS.with(Cell::get)
    }

    fn begin() -> Self {
        HOLDS.with(|holds| holds.set(true));
        Self(())
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        HOLDS.with(|holds| holds.set(false));
    }
}

/// A seat that is taken until this is dropped.
#[derive(Debug)]
pub struct Seated<'a> {
    gate: &'a Gate,
    seat: SeatId,
}

impl Drop for Seated<'_> {
    #[inline]
    fn drop(&mut self) {
        self.gate.leave(self.seat);
    }
}

/// A guest's seat, given up when it goes out of scope.
struct Guest<'a>(&'a Gate);

impl<'a> Guest<'a> {
    fn sit(gate: &'a Gate) -> Self {
        loop {
            gate.guests.fetch_add(1, Ordering::SeqCst);
            let guest = Self(gate);
            if !gate.closed.load(Ordering::SeqCst) {
                return guest;
            }
            drop(guest);
            gate.wait_until_open();
        }
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::SeqCst);
        if self.0.closed.load(Ordering::SeqCst) {
            self.0.wake_closer();
        }
    }
}

struct Reopen<'a>(&'a Gate);

impl Drop for Reopen<'_> {
    fn drop(&mut self) {
        let waiting = self.0.waiting.lock();
        self.0.closed.store(false, Ordering::SeqCst);
        drop(waiting);
        self.0.opened.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn nobody_sits_while_the_gate_is_closed() {
        const THREADS: usize = 3;
        let gate = Gate::new(THREADS);
        let inside = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for n in 0..THREADS {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || {
                    let seat = gate.seat(n).unwrap();
                    for turn in 0..2_000 {
                        gate.enter(seat);
                        inside.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if turn % 50 == n {
                            gate.exclusive(Some(seat), |_| {
                                assert_eq!(inside.load(Ordering::SeqCst), 0);
                            });
                        }
                        gate.leave(seat);
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..1_000 {
                    gate.guest(|| {
                        inside.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
            for _ in 0..200 {
                gate.exclusive(None, |_| assert_eq!(inside.load(Ordering::SeqCst), 0));
            }
        });
    }

    #[test]
    fn a_panic_in_a_seat_leaves_it_empty() {
        let gate = Gate::new(1);
        let seat = gate.seat(0).unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _seated = gate.sit(seat);
            panic!("on purpose");
        }));
        assert!(outcome.is_err());
        assert_eq!(gate.exclusive(None, |_| 7), 7);
    }

    #[test]
    fn a_panic_inside_opens_the_gate() {
        let gate = Gate::new(1);
        let seat = gate.seat(0).unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gate.exclusive(None, |_| panic!("on purpose"));
        }));
        assert!(outcome.is_err());
        gate.enter(seat);
        gate.leave(seat);
    }
}
