//! Slots that are out, and whose turn it is to have one.
//!
//! A long command takes its slots out ([`Store::take_out`]): it owns them from then on, without
//! their locks, until it puts them back. So the lock itself is held for microseconds, whatever
//! runs. Whoever takes it looks at a byte beside it: if the slot is out, the lock is let go again.
//! A session then takes a [`Ticket`], and its thread serves others; the store's own work passes the
//! slot by ([`Store::try_lock`]), leaves an errand ([`Store::when_in`]), or waits, on a thread that
//! may ([`Store::lock`], [`Store::await_back`]).
//!
//! A ticket stands in the lines of all its slots at once, and its turn comes when it is first in all
//! of them and none is out. From then on the slots are kept for it, until it is given up. A long
//! command stands in one line more, that for a place: so many may run at one time. What needs the
//! whole keyspace (FLUSHALL) stands in all lines that there are, and its turn comes when all places
//! are free: then no slot is out, and none goes out before it has run.
//!
//! Tickets enter all their lines under one lock, so there is one order among them. A long command
//! has all it needs before it begins, and waits for nobody. So somebody's turn always comes.
//!
//! Who comes while a slot is in, but kept for others, takes a *loose* ticket: it waits for those
//! before it, and then nothing is kept for it. Otherwise a slot that many use would be handed from
//! one to the next for ever, a wake-up each.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use slotilla_common::slot::Slot;
use smallvec::SmallVec;

use super::Store;
use super::guards::Guards;
use super::slot::SlotGuard;

/// Bits of the byte beside a slot's lock.
pub(super) mod busy {
    /// It is out. Changes while the lock is held.
    pub(in super::super) const OUT: u8 = 1;
    /// Somebody stands in its line.
    pub(in super::super) const AWAITED: u8 = 2;
}

/// The most long commands that may ever run at one time.
pub const PLACES_MAX: usize = 16;

/// Whom a ticket's turn wakes.
pub trait Waits: Send + Sync + fmt::Debug {
    /// The turn has come.
    fn wake(&self);
}

/// What somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    slots: Box<[Slot]>,
    beyond: Beyond,
}

/// What it takes beyond the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Nothing,
    /// A place among the long commands.
    Place,
    /// All places: that no slot is out.
    AllPlaces,
}

impl Need {
    /// Slots, ascending, each once: to lock them.
    #[must_use]
    pub fn slots(slots: &[Slot]) -> Self {
        Self {
            slots: slots.into(),
            beyond: Beyond::Nothing,
        }
    }

    /// Slots, ascending, each once, and a place among the long commands: to take them out.
    #[must_use]
    pub fn place(slots: &[Slot]) -> Self {
        Self {
            slots: slots.into(),
            beyond: Beyond::Place,
        }
    }

    /// That no slot is out.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            slots: Box::default(),
            beyond: Beyond::AllPlaces,
        }
    }
}

/// Somebody's place in the lines.
#[derive(Debug)]
pub struct Ticket {
    slots: Box<[Slot]>,
    beyond: Beyond,
    /// What it waits for is kept for it.
    firm: bool,
    ready: AtomicBool,
    /// `None`: a thread that sleeps until then.
    who: Option<Arc<dyn Waits>>,
}

impl Ticket {
    /// Whether its turn has come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// What is to be done with a slot that is out once it is back; of each kind, the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// What this node is to the slot has changed.
    Serving,
    /// Its keys are another node's.
    DropKeys,
}

type Work = Box<dyn FnOnce(&mut SlotGuard<'_>) + Send>;

/// A slot that is out, or that somebody waits for.
#[derive(Default)]
struct Line {
    out: bool,
    waiting: VecDeque<Arc<Ticket>>,
    errands: BTreeMap<Errand, Work>,
}

struct Inner {
    lines: HashMap<Slot, Line>,
    /// Who waits for places.
    places: VecDeque<Arc<Ticket>>,
    /// Places that are free, of all that there may ever be.
    free: Vec<usize>,
    /// How many are taken.
    taken: usize,
    /// How many may be.
    most: usize,
    /// How often slots were taken out.
    begun: u64,
}

/// What the slots' lines and the places are at some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LongTotals {
    /// Long commands that have begun.
    pub begun: u64,
    /// Those that run.
    pub running: usize,
    /// Who waits for slots or for a place.
    pub waiting: usize,
}

/// Everybody who waits for a slot.
pub(super) struct Turns {
    inner: Mutex<Inner>,
    /// A slot is back, or the turn of a thread has come.
    changed: Condvar,
}

/// Slots that are out, and a place among the long commands: whoever has this owns them. To be
/// given back by [`Store::resume`] and [`Store::end_long`].
#[derive(Debug)]
pub struct Taken {
    slots: Box<[Slot]>,
    place: usize,
}

impl Taken {
    /// The number of the place.
    #[must_use]
    pub fn place(&self) -> usize {
        self.place
    }

    /// The slots, ascending.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

/// Tickets whose turn has come, to be woken when no lock is held.
type Woken = SmallVec<[Arc<Ticket>; 4]>;

impl Inner {
    /// Whether nothing that a ticket waits for is taken, or kept for somebody before it. With no
    /// ticket, everybody there is comes before.
    fn admits(&self, slots: &[Slot], beyond: Beyond, ticket: Option<&Ticket>) -> bool {
        let is_it =
            |other: &Arc<Ticket>| ticket.is_some_and(|it| std::ptr::eq(Arc::as_ptr(other), it));
        let is_first = |waiting: &VecDeque<Arc<Ticket>>| {
            let before = waiting.iter().take_while(|other| !is_it(other));
            !before.into_iter().any(|other| other.firm)
        };
        let has_room = match beyond {
            Beyond::Nothing => true,
            Beyond::Place => is_first(&self.places) && self.taken < self.most,
            Beyond::AllPlaces => is_first(&self.places) && self.taken == 0,
        };
        has_room
            && slots.iter().all(|slot| {
                let line = self.lines.get(slot);
                line.is_none_or(|line| !line.out && is_first(&line.waiting))
            })
    }

    /// Calls a ticket whose turn has come.
    fn consider(&mut self, ticket: &Arc<Ticket>, woken: &mut Woken) {
        if ticket.is_ready() || !self.admits(&ticket.slots, ticket.beyond, Some(ticket)) {
            return;
        }
        ticket.ready.store(true, Ordering::Release);
        woken.push(Arc::clone(ticket));
        if !ticket.firm {
            self.strike(ticket);
        }
    }

    /// Takes a ticket out of all lines.
    fn strike(&mut self, ticket: &Arc<Ticket>) {
        let strike = |waiting: &mut VecDeque<Arc<Ticket>>| {
            if let Some(at) = waiting.iter().position(|other| Arc::ptr_eq(other, ticket)) {
                waiting.remove(at);
            }
        };
        for slot in &ticket.slots {
            if let Some(line) = self.lines.get_mut(slot) {
                strike(&mut line.waiting);
            }
        }
        if ticket.beyond != Beyond::Nothing {
            strike(&mut self.places);
        }
    }

    /// Calls those whose turn has come now that something about a slot has changed: whoever comes
    /// after a firm ticket waits for that one.
    fn settle_slot(&mut self, slot: Slot, woken: &mut Woken) {
        let Some(line) = self.lines.get(&slot).filter(|line| !line.out) else {
            return;
        };
        let firm = line.waiting.iter().position(|ticket| ticket.firm);
        let candidates = line
            .waiting
            .iter()
            .take(firm.map_or(usize::MAX, |at| at + 1));
        let candidates: SmallVec<[Arc<Ticket>; 8]> = candidates.map(Arc::clone).collect();
        for ticket in candidates {
            self.consider(&ticket, woken);
        }
    }

    fn settle_places(&mut self, woken: &mut Woken) {
        if let Some(first) = self.places.front().map(Arc::clone) {
            self.consider(&first, woken);
        }
    }
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                lines: HashMap::new(),
                places: VecDeque::new(),
                free: (0..PLACES_MAX).rev().collect(),
                taken: 0,
                most: 1,
                begun: 0,
            }),
            changed: Condvar::new(),
        }
    }

    fn wake(&self, woken: &Woken) {
        for ticket in woken {
            match &ticket.who {
                Some(who) => who.wake(),
                // It was called under the lock under which whoever sleeps looks.
                None => {
                    self.changed.notify_all();
                }
            }
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

impl Store {
    /// How many long commands may run at one time, at most [`PLACES_MAX`]; those that run already
    /// go on.
    pub fn set_long_places(&self, most: usize) {
        let mut woken = Woken::new();
        let mut inner = self.turns.inner.lock();
        inner.most = most.min(PLACES_MAX);
        inner.settle_places(&mut woken);
        drop(inner);
        self.turns.wake(&woken);
    }

    /// How many long commands there were, there are, and who waits.
    #[must_use]
    pub fn long_totals(&self) -> LongTotals {
        let inner = self.turns.inner.lock();
        let mut waiting: Vec<*const Ticket> = inner
            .lines
            .values()
            .flat_map(|line| &line.waiting)
            .chain(&inner.places)
            .map(Arc::as_ptr)
            .collect();
        waiting.sort_unstable();
        waiting.dedup();
        LongTotals {
            begun: inner.begun,
            running: inner.taken,
            waiting: waiting.len(),
        }
    }

    /// Whether no slot is out. At the gate that stays so until it opens.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let inner = self.turns.inner.lock();
        inner.taken == 0
    }

    /// Locks a slot unless it is out, or somebody stands in line for it: then
    /// [`lock_in_turn`](Self::lock_in_turn) knows more.
    #[inline]
    pub fn lock_if_free(&self, slot: Slot) -> Option<SlotGuard<'_>> {
        SlotGuard::lock_unless(self, self.cell(slot), slot, u8::MAX)
    }

    /// Locks a slot for somebody who has this ticket, or none.
    ///
    /// # Errors
    /// It is out, or kept for others: what to wait for.
    #[inline]
    pub fn lock_in_turn(
        &self,
        slot: Slot,
        ticket: Option<&Ticket>,
    ) -> Result<SlotGuard<'_>, Box<Need>> {
        match self.lock_if_free(slot) {
            Some(guard) => Ok(guard),
            None => self.lock_kept(slot, ticket),
        }
    }

    #[cold]
    fn lock_kept(&self, slot: Slot, ticket: Option<&Ticket>) -> Result<SlotGuard<'_>, Box<Need>> {
        let mut guards = self.lock_all_kept(&[slot], ticket)?;
        guards.pop().ok_or_else(|| Box::new(Need::slots(&[slot])))
    }

    /// As [`Store::lock_many`], for somebody who has this ticket, or none.
    ///
    /// # Errors
    /// One of them is out, or kept for others: what to wait for.
    pub fn lock_many_in_turn(
        &self,
        slots: &[Slot],
        ticket: Option<&Ticket>,
    ) -> Result<Guards<'_>, Box<Need>> {
        debug_assert!(slots.is_sorted_by(|a, b| a < b), "locks are taken in order");
        let lock = |slots: &[Slot]| self.lock_all_in_turn(slots, ticket);
        let guards = lock(slots)?;
        if guards.iter().any(SlotGuard::is_entangled) {
            drop(guards);
            return self.lock_entangled(slots, lock);
        }
        Ok(guards)
    }

    fn lock_all_in_turn(
        &self,
        slots: &[Slot],
        ticket: Option<&Ticket>,
    ) -> Result<Guards<'_>, Box<Need>> {
        match self.lock_all_unless(slots, u8::MAX) {
            Some(guards) => Ok(guards),
            None => self.lock_all_kept(slots, ticket),
        }
    }

    #[cold]
    fn lock_all_kept(
        &self,
        slots: &[Slot],
        ticket: Option<&Ticket>,
    ) -> Result<Guards<'_>, Box<Need>> {
        loop {
            let inner = self.turns.inner.lock();
            let is_turn = inner.admits(slots, Beyond::Nothing, ticket);
            drop(inner);
            if !is_turn {
                return Err(Box::new(Need::slots(slots)));
            }
            // Another may have gone out since.
            if let Some(guards) = self.lock_all_unless(slots, busy::OUT) {
                return Ok(guards);
            }
        }
    }

    fn lock_all_unless(&self, slots: &[Slot], bits: u8) -> Option<Guards<'_>> {
        let lock = |slot: &Slot| SlotGuard::lock_unless(self, self.cell(*slot), *slot, bits);
        slots.iter().map(lock).collect()
    }

    /// Locks a slot unless it is out: for work that can do without.
    #[inline]
    pub fn try_lock(&self, slot: Slot) -> Option<SlotGuard<'_>> {
        SlotGuard::lock_unless(self, self.cell(slot), slot, busy::OUT)
    }

    /// Sleeps until a slot is in. Neither on a worker nor as a guest at the gate: others would wait
    /// along.
    #[cold]
    pub fn await_back(&self, slot: Slot) {
        let mut inner = self.turns.inner.lock();
        while inner.lines.get(&slot).is_some_and(|line| line.out) {
            self.turns.changed.wait(&mut inner);
        }
    }

    /// Gets in line for what somebody needs; wakes them when their turn has come, which may be at
    /// once. To be given up by [`Store::leave`].
    #[must_use]
    pub fn queue_up(&self, need: &Need, who: Option<Arc<dyn Waits>>) -> Arc<Ticket> {
        let mut inner = self.turns.inner.lock();
        let mut slots = need.slots.clone();
        if need.beyond == Beyond::AllPlaces {
            slots = inner.lines.keys().copied().collect();
            slots.sort_unstable();
        }
        let is_out = |slot: &Slot| inner.lines.get(slot).is_some_and(|line| line.out);
        let ticket = Arc::new(Ticket {
            firm: need.beyond != Beyond::Nothing || slots.iter().any(is_out),
            slots,
            beyond: need.beyond,
            ready: AtomicBool::new(false),
            who,
        });
        for slot in &ticket.slots {
            let line = inner.lines.entry(*slot).or_default();
            line.waiting.push_back(Arc::clone(&ticket));
        }
        if ticket.beyond != Beyond::Nothing {
            inner.places.push_back(Arc::clone(&ticket));
        }
        let mut woken = Woken::new();
        inner.consider(&ticket, &mut woken);
        self.note_lines(&mut inner, &ticket.slots);
        drop(inner);
        self.turns.wake(&woken);
        ticket
    }

    /// Gets in line on a thread that may sleep, and sleeps until its turn has come.
    #[must_use]
    pub fn queue_up_and_wait(&self, need: &Need) -> Arc<Ticket> {
        let ticket = self.queue_up(need, None);
        let mut inner = self.turns.inner.lock();
        while !ticket.is_ready() {
            self.turns.changed.wait(&mut inner);
        }
        drop(inner);
        ticket
    }

    /// Gives a ticket up, be its turn over or still to come.
    pub fn leave(&self, ticket: &Arc<Ticket>) {
        let mut woken = Woken::new();
        let mut inner = self.turns.inner.lock();
        inner.strike(ticket);
        for slot in &ticket.slots {
            inner.settle_slot(*slot, &mut woken);
        }
        if ticket.beyond != Beyond::Nothing {
            inner.settle_places(&mut woken);
        }
        self.note_lines(&mut inner, &ticket.slots);
        for called in woken.iter().filter(|called| !called.firm) {
            self.note_lines(&mut inner, &called.slots);
        }
        drop(inner);
        self.turns.wake(&woken);
    }

    /// Has the slots' bytes say what their lines do.
    fn note_lines(&self, inner: &mut Inner, slots: &[Slot]) {
        for slot in slots {
            let Some(line) = inner.lines.get(slot) else {
                continue;
            };
            let out = if line.out { busy::OUT } else { 0 };
            let awaited = if line.waiting.is_empty() {
                0
            } else {
                busy::AWAITED
            };
            self.cell(*slot).set_busy(out | awaited);
            if out | awaited == 0 && line.errands.is_empty() {
                inner.lines.remove(slot);
            }
        }
    }

    /// Takes locked slots out, for somebody who has this ticket, or none.
    ///
    /// # Errors
    /// There is no place for them: too many long commands run, or something waits until none does.
    pub fn take_out<'s>(
        &self,
        guards: Guards<'s>,
        ticket: Option<&Ticket>,
    ) -> Result<Taken, Box<Need>> {
        let slots: Box<[Slot]> = guards.iter().map(SlotGuard::slot).collect();
        let mut inner = self.turns.inner.lock();
        // The slots are locked, so it is their turn.
        let place = if inner.admits(&[], Beyond::Place, ticket) {
            inner.free.pop()
        } else {
            None
        };
        let Some(place) = place else {
            return Err(Box::new(Need::place(&slots)));
        };
        inner.begun += 1;
        inner.taken += 1;
        for slot in &slots {
            inner.lines.entry(*slot).or_default().out = true;
        }
        self.note_lines(&mut inner, &slots);
        drop(inner);
        guards.into_each(SlotGuard::go_out);
        Ok(Taken { slots, place })
    }

    /// The slots of a long command, to work on. Dropping them puts them back.
    #[must_use]
    pub fn resume(&self, taken: &mut Taken) -> Guards<'_> {
        let slots = std::mem::take(&mut taken.slots);
        let resume = |slot: &Slot| SlotGuard::resume(self, self.cell(*slot), *slot);
        slots.iter().map(resume).collect()
    }

    /// A long command has put its slots back: its place is free.
    pub fn end_long(&self, mut taken: Taken) {
        drop(self.resume(&mut taken));
        let mut woken = Woken::new();
        let mut inner = self.turns.inner.lock();
        inner.free.push(taken.place);
        inner.taken -= 1;
        inner.settle_places(&mut woken);
        drop(inner);
        self.turns.wake(&woken);
    }

    /// Does `work` with a slot, at once or, if it is out, when it is put back.
    pub fn when_in(
        &self,
        slot: Slot,
        errand: Errand,
        work: impl FnOnce(&mut SlotGuard<'_>) + Send + 'static,
    ) {
        loop {
            if let Some(mut guard) = self.try_lock(slot) {
                return work(&mut guard);
            }
            let mut inner = self.turns.inner.lock();
            if let Some(line) = inner.lines.get_mut(&slot).filter(|line| line.out) {
                line.errands.insert(errand, Box::new(work));
                return;
            }
        }
    }

    /// Does what was left to be done with a slot that is about to come back.
    pub(super) fn do_errands(&self, guard: &mut SlotGuard<'_>) {
        loop {
            let mut inner = self.turns.inner.lock();
            let line = inner.lines.get_mut(&guard.slot());
            let Some((_, work)) = line.and_then(|line| line.errands.pop_first()) else {
                return;
            };
            drop(inner);
            work(guard);
        }
    }

    /// Says that a slot is back, its lock being held; `None` if there is an errand to do first.
    pub(super) fn note_back(&self, slot: Slot) -> Option<Called> {
        let mut woken = Woken::new();
        let mut inner = self.turns.inner.lock();
        let line = inner.lines.entry(slot).or_default();
        if !line.errands.is_empty() {
            return None;
        }
        line.out = false;
        inner.settle_slot(slot, &mut woken);
        self.note_lines(&mut inner, &[slot]);
        for called in woken.iter().filter(|called| !called.firm) {
            self.note_lines(&mut inner, &called.slots);
        }
        Some(Called(woken))
    }

    /// Wakes those whose turn has come, and who sleeps until a slot is back.
    pub(super) fn call(&self, called: &Called) {
        self.turns.changed.notify_all();
        self.turns.wake(&called.0);
    }
}

/// Those whose turn has come.
pub(super) struct Called(Woken);

#[cfg(test)]
mod tests;
