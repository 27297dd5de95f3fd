//! Who gets a slot when, without threads and with.

use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;
use crate::cluster::routing::Serving;

fn a() -> Slot {
    Slot::from_wire(1).unwrap()
}

fn b() -> Slot {
    Slot::from_wire(2).unwrap()
}

fn store(places: usize) -> Store {
    let store = Store::new(1, Serving::Ours);
    store.set_long_places(places);
    store
}

fn take(store: &Store, slots: &[Slot], ticket: Option<&Ticket>) -> Option<Taken> {
    let guards = store.lock_many_in_turn(slots, ticket).ok()?;
    store.take_out(guards, ticket).ok()
}

fn queue(store: &Store, need: &Need) -> Arc<Ticket> {
    store.queue_up(need, None)
}

fn is_free(store: &Store, slot: Slot) -> bool {
    store.lock_in_turn(slot, None).is_ok()
}

/// How many tickets are ready.
fn ready(tickets: &[Arc<Ticket>]) -> Vec<bool> {
    tickets.iter().map(|ticket| ticket.is_ready()).collect()
}

#[test]
fn more_places_call_who_waits_for_one_and_fewer_end_nothing() {
    let store = store(1);
    let first = take(&store, &[a()], None).unwrap();
    assert!(take(&store, &[b()], None).is_none());
    let ticket = queue(&store, &Need::place(&[b()]));
    assert!(!ticket.is_ready());
    store.set_long_places(2);
    assert!(ticket.is_ready());
    let second = take(&store, &[b()], Some(&ticket)).unwrap();
    store.leave(&ticket);
    assert_ne!(first.place(), second.place());
    store.set_long_places(1);
    assert_eq!(store.long_totals().running, 2);
    store.end_long(second);
    assert!(take(&store, &[b()], None).is_none());
    store.end_long(first);
    assert!(store.is_quiet() && take(&store, &[b()], None).is_some());
}

#[test]
fn a_slot_that_is_out_is_refused_and_comes_back() {
    let store = store(2);
    let taken = take(&store, &[a()], None).unwrap();
    let need = store.lock_in_turn(a(), None).unwrap_err();
    assert_eq!(*need, Need::slots(&[a()]));
    assert!(store.try_lock(a()).is_none() && is_free(&store, b()));
    assert!(store.lock_many_in_turn(&[a(), b()], None).is_err());
    assert!(!store.is_quiet());
    store.end_long(taken);
    assert!(is_free(&store, a()) && store.is_quiet());
    let totals = LongTotals {
        begun: 1,
        ..LongTotals::default()
    };
    assert_eq!(store.long_totals(), totals);
}

#[test]
fn those_who_wait_come_one_after_the_other() {
    let store = store(1);
    let taken = take(&store, &[a()], None).unwrap();
    let tickets: Vec<_> = (0..3)
        .map(|_| queue(&store, &Need::slots(&[a()])))
        .collect();
    assert_eq!(ready(&tickets), [false, false, false]);
    store.end_long(taken);
    assert_eq!(ready(&tickets), [true, false, false]);
    // It is in, and kept for the first.
    assert!(!is_free(&store, a()) && store.try_lock(a()).is_some());
    assert!(store.lock_in_turn(a(), Some(&*tickets[1])).is_err());
    assert!(store.lock_in_turn(a(), Some(&*tickets[0])).is_ok());
    // Who comes now waits, and nothing will be kept for it.
    let late = queue(&store, &Need::slots(&[a()]));
    // One that gives up is not waited for.
    store.leave(&tickets[1]);
    store.leave(&tickets[0]);
    assert_eq!(ready(&tickets[2..]), [true]);
    assert!(!late.is_ready());
    store.leave(&tickets[2]);
    assert!(late.is_ready() && is_free(&store, a()));
    store.leave(&late);
    assert_eq!(store.long_totals().waiting, 0);
}

#[test]
fn the_first_may_take_the_slot_out_again() {
    let store = store(1);
    let taken = take(&store, &[a()], None).unwrap();
    let first = queue(&store, &Need::slots(&[a()]));
    let second = queue(&store, &Need::slots(&[a()]));
    store.end_long(taken);
    assert!(take(&store, &[a()], None).is_none());
    let again = take(&store, &[a()], Some(&first)).unwrap();
    store.leave(&first);
    assert!(!second.is_ready());
    store.end_long(again);
    assert!(second.is_ready());
    store.leave(&second);
    assert!(is_free(&store, a()));
}

#[test]
fn one_that_needs_several_waits_for_all_and_keeps_what_is_in() {
    let store = store(1);
    let taken = take(&store, &[b()], None).unwrap();
    let both = queue(&store, &Need::slots(&[a(), b()]));
    assert!(!both.is_ready() && !is_free(&store, a()));
    let behind = queue(&store, &Need::slots(&[a()]));
    assert!(!behind.is_ready());
    store.end_long(taken);
    assert!(both.is_ready());
    assert!(store.lock_many_in_turn(&[a(), b()], Some(&both)).is_ok());
    store.leave(&both);
    assert!(behind.is_ready() && is_free(&store, b()));
}

#[test]
fn long_commands_wait_for_a_place() {
    let store = store(1);
    let taken = take(&store, &[a()], None).unwrap();
    let guards = store.lock_many_in_turn(&[b()], None).unwrap();
    let need = store.take_out(guards, None).unwrap_err();
    assert_eq!(*need, Need::place(&[b()]));
    let waits = queue(&store, &need);
    assert!(!waits.is_ready());
    store.end_long(taken);
    assert!(waits.is_ready());
    // The place is kept for it, and so is its slot.
    assert!(take(&store, &[a()], None).is_none() && !is_free(&store, b()));
    let taken = take(&store, &[b()], Some(&waits)).unwrap();
    store.leave(&waits);
    store.end_long(taken);
    assert!(is_free(&store, a()) && is_free(&store, b()) && store.is_quiet());
}

#[test]
fn what_needs_everything_waits_for_all_that_is_out_and_lets_nothing_new_out() {
    let store = store(3);
    let taken = [a(), b()].map(|slot| take(&store, &[slot], None).unwrap());
    let before = queue(&store, &Need::slots(&[a()]));
    let everything = queue(&store, &Need::everything());
    let other = Slot::from_wire(7).unwrap();
    assert!(is_free(&store, other) && take(&store, &[other], None).is_none());
    let behind = queue(&store, &Need::place(&[other]));
    for taken in taken {
        assert!(!everything.is_ready());
        store.end_long(taken);
    }
    // Who came before runs before.
    assert!(before.is_ready() && !everything.is_ready());
    store.leave(&before);
    assert!(everything.is_ready() && store.is_quiet() && !behind.is_ready());
    store.leave(&everything);
    assert!(behind.is_ready());
    store.leave(&behind);
}

#[test]
fn what_is_to_be_done_with_a_slot_that_is_out_is_done_before_anybody_else_has_it() {
    let store = Arc::new(store(1));
    let set = |to: Serving| {
        let expected = Arc::clone(&store);
        store.when_in(a(), Errand::Serving, move |guard| {
            assert!(!is_free(&expected, b()) || guard.slot() == a());
            guard.set_serving(to);
        });
    };
    set(Serving::Migrating);
    assert_eq!(store.serving(a()), Serving::Migrating);
    let taken = take(&store, &[a()], None).unwrap();
    set(Serving::Ours);
    // The last counts.
    set(Serving::Elsewhere);
    assert_eq!(store.serving(a()), Serving::Migrating);
    store.end_long(taken);
    assert_eq!(store.serving(a()), Serving::Elsewhere);
    assert!(is_free(&store, a()));
}

#[test]
fn a_thread_may_sleep_until_a_slot_is_back_or_its_turn_has_come() {
    let store = store(1);
    let taken = take(&store, &[a()], None).unwrap();
    let seen = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let guard = store.lock(a());
            seen.fetch_add(1, Ordering::SeqCst);
            drop(guard);
        });
        scope.spawn(|| {
            let ticket = store.queue_up_and_wait(&Need::everything());
            assert!(store.is_quiet());
            seen.fetch_add(1, Ordering::SeqCst);
            store.leave(&ticket);
        });
        while store.long_totals().waiting == 0 {
            std::thread::yield_now();
        }
        assert_eq!(seen.load(Ordering::SeqCst), 0);
        store.end_long(taken);
    });
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

/// Does `work` with slots locked, or, if it is `long`, out; waits for as long as it takes.
fn with_slots(
    store: &Store,
    slots: &[Slot],
    long: bool,
    mut ticket: Option<Arc<Ticket>>,
    work: impl Fn(),
) {
    loop {
        let need = match store.lock_many_in_turn(slots, ticket.as_deref()) {
            Err(need) => need,
            Ok(_guards) if !long => {
                work();
                break;
            }
            Ok(guards) => match store.take_out(guards, ticket.as_deref()) {
                Err(need) => need,
                Ok(mut taken) => {
                    let guards = store.resume(&mut taken);
                    work();
                    drop(guards);
                    store.end_long(taken);
                    break;
                }
            },
        };
        if let Some(old) = ticket.take() {
            store.leave(&old);
        }
        ticket = Some(store.queue_up_and_wait(&need));
    }
    if let Some(ticket) = ticket {
        store.leave(&ticket);
    }
}

#[test]
fn threads_that_take_slots_out_and_lock_them_never_meet_in_one() {
    const SLOTS: [u64; 4] = [3, 5, 8, 9];
    const ROUNDS: usize = if cfg!(miri) { 10 } else { 3000 };
    let slot = |n: usize| Slot::from_wire(SLOTS[n]).unwrap();
    let store = store(2);
    let inside: [AtomicUsize; 4] = Default::default();
    let play = |thread: u64| {
        let mut random = fastrand::Rng::with_seed(thread);
        for _ in 0..ROUNDS {
            let chosen: Vec<usize> = (0..SLOTS.len()).filter(|_| random.bool()).collect();
            let slots: Vec<Slot> = chosen.iter().map(|n| slot(*n)).collect();
            let everything = random.u8(..) == 0;
            let ticket = everything.then(|| store.queue_up_and_wait(&Need::everything()));
            assert!(!everything || store.is_quiet());
            let long = !everything && random.bool();
            with_slots(&store, &slots, long, ticket, || {
                for n in &chosen {
                    assert_eq!(inside[*n].fetch_add(1, Ordering::SeqCst), 0);
                }
                for n in &chosen {
                    inside[*n].fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let play = &play;
            scope.spawn(move || play(thread));
        }
    });
    assert!(store.is_quiet() && (0..SLOTS.len()).all(|n| is_free(&store, slot(n))));
    assert_eq!(store.long_totals().waiting, 0);
}

/// What somebody does next.
#[derive(Debug, Clone)]
enum Step {
    /// Tries to take slots out at once.
    Take(Vec<usize>),
    /// Gets in line.
    Wait(Vec<usize>, u8),
    /// The long command number n ends.
    End(usize),
    /// Ticket number n is given up.
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let slots = || proptest::sample::subsequence(vec![0, 1, 2], 1..=3);
    let step = prop_oneof![
        slots().prop_map(Step::Take),
        (slots(), 0..4u8).prop_map(|(slots, kind)| Step::Wait(slots, kind)),
        (0..4usize).prop_map(Step::End),
        (0..6usize).prop_map(Step::Leave),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 200 }))]

    /// Whatever comes and goes: once the long commands have ended and whoever's turn it is leaves,
    /// everybody's turn comes, firm ones' in the order in which they came.
    #[test]
    fn nobody_waits_for_ever(steps in steps()) {
        let store = store(2);
        let slot = |n: &usize| Slot::from_wire(*n as u64).unwrap();
        let (mut out, mut tickets): (Vec<Taken>, Vec<Arc<Ticket>>) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Take(slots) => {
                    let slots: Vec<Slot> = slots.iter().map(slot).collect();
                    out.extend(take(&store, &slots, None));
                }
                Step::Wait(slots, kind) => {
                    let slots: Vec<Slot> = slots.iter().map(slot).collect();
                    let need = match kind {
                        0 => Need::everything(),
                        1 => Need::place(&slots),
                        _ => Need::slots(&slots),
                    };
                    tickets.push(queue(&store, &need));
                }
                Step::End(n) if n < out.len() => store.end_long(out.swap_remove(n)),
                Step::Leave(n) if n < tickets.len() => store.leave(&tickets.remove(n)),
                Step::End(_) | Step::Leave(_) => {}
            }
        }
        out.into_iter().for_each(|taken| store.end_long(taken));
        while !tickets.is_empty() {
            let first = tickets.iter().position(|ticket| ticket.is_ready());
            prop_assert!(first.is_some(), "nobody's turn: {tickets:?}");
            store.leave(&tickets.remove(first.unwrap()));
        }
        prop_assert_eq!(store.long_totals().waiting, 0);
        prop_assert!(store.is_quiet() && (0..3).all(|n| is_free(&store, slot(&n))));
    }
}
