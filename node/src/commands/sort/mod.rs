//! SORT and SORT_RO.
//!
//! BY and GET may name any key, so a sort by patterns first lets its own slots go. It looks which
//! slots its keys are in, locks all of them, and looks again: if the elements have changed in
//! between, so may have the slots. In a cluster Redis refuses such patterns.

mod pattern;
mod rows;

use slotilla_common::resp::ReplyWriter;
use slotilla_common::slot::Slot;
use std::ops::Range;
use std::sync::Arc;

use super::list::limit;
use super::{Args, CommandError, Ctx, Handler};
use crate::server::Server;
use crate::store::{
    Collection as _, Db, End, EventClass, List, NodeLimit, Scope, Set, SortedSet, ValueRef,
};
use pattern::Pattern;
use rows::Rows;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[("sort", sort), ("sort_ro", sort_ro)];

/// What a sort is told.
#[derive(Debug)]
struct Plan {
    key: Vec<u8>,
    /// `None`: as the elements come.
    by: Option<Pattern>,
    get: Vec<Pattern>,
    offset: i64,
    /// Negative: all.
    count: i64,
    is_descending: bool,
    is_alpha: bool,
    store: Option<Vec<u8>>,
}

fn sort(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    start(ctx, args, true)
}

fn sort_ro(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    start(ctx, args, false)
}

/// Whether patterns may lead to keys that the arguments do not name.
pub(crate) fn may_need_other_keys(args: &Args<'_>) -> bool {
    let may = |at: usize| args.is(at, "by") || args.is(at, "get");
    (2..args.len()).any(|at| may(at) && args.get(at + 1).contains(&b'*'))
}

fn start(ctx: &mut Ctx<'_>, args: &Args<'_>, may_store: bool) -> Result<(), CommandError> {
    let plan = Plan::parse(args, may_store, ctx.server.cluster_enabled)?;
    if plan.patterns().any(|pattern| pattern.of_keys().is_some()) {
        let scope = ctx.scope;
        let words = ctx.db.is_logged().then(|| args.to_vecs());
        ctx.unlocked(move |server, reply| {
            plan.run_anywhere(server, scope, reply, words.as_deref())
        });
        return Ok(());
    }
    plan.run(&mut ctx.db, &mut ctx.reply, limit(ctx.server))
}

impl Plan {
    fn parse(args: &Args<'_>, may_store: bool, is_cluster: bool) -> Result<Self, CommandError> {
        let mut plan = Self {
            key: args.get(1).to_vec(),
            by: Some(Pattern::Element),
            get: Vec::new(),
            offset: 0,
            count: -1,
            is_descending: false,
            is_alpha: false,
            store: None,
        };
        let mut at = 2;
        while at < args.len() {
            let left = args.len() - at - 1;
            if args.is(at, "asc") {
                plan.is_descending = false;
            } else if args.is(at, "desc") {
                plan.is_descending = true;
            } else if args.is(at, "alpha") {
                plan.is_alpha = true;
            } else if args.is(at, "limit") && left >= 2 {
                plan.offset = args.int(at + 1)?;
                plan.count = args.int(at + 2)?;
                at += 2;
            } else if args.is(at, "store") && may_store && left >= 1 {
                plan.store = Some(args.get(at + 1).to_vec());
                at += 1;
            } else if args.is(at, "by") && left >= 1 {
                let pattern = Pattern::parse(args.get(at + 1));
                if pattern.of_keys().is_none() {
                    // `#` has no star either: it does not mean the element here.
                    plan.by = None;
                } else if is_cluster {
                    return Err("ERR BY option of SORT denied in Cluster mode.".into());
                } else if plan.by.is_some() {
                    // Once there is not to be an order, a later pattern makes none.
                    plan.by = Some(pattern);
                }
                at += 1;
            } else if args.is(at, "get") && left >= 1 {
                if is_cluster {
                    return Err("ERR GET option of SORT denied in Cluster mode.".into());
                }
                plan.get.push(Pattern::parse(args.get(at + 1)));
                at += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            at += 1;
        }
        Ok(plan)
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.by.iter().chain(&self.get)
    }

    /// Runs with no slot locked.
    fn run_anywhere(
        &self,
        server: &Arc<Server>,
        scope: Scope,
        reply: &mut ReplyWriter<'_>,
        words: Option<&[Vec<u8>]>,
    ) -> Result<(), CommandError> {
        let mut slots = vec![Slot::of_key(&self.key)];
        slots.extend(self.store.as_deref().map(Slot::of_key));
        slots.sort_unstable();
        slots.dedup();
        loop {
            let guards = server.store.lock_many_in_turn(&slots, None)?;
            let mut db = Db::many(&server.store, guards, scope);
            let needed = self.slots(&mut db, &slots)?;
            if needed.len() == slots.len() {
                let result = self.run(&mut db, reply, limit(server));
                if let Some(words) = words
                    && db.end_command()
                {
                    db.write_words(words.iter().map(Vec::as_slice));
                }
                return result;
            }
            slots = needed;
        }
    }

    /// These slots and those of all keys that the patterns lead to, ascending.
    fn slots(&self, db: &mut Db<'_>, known: &[Slot]) -> Result<Vec<Slot>, CommandError> {
        let value = db.peek(&self.key).map(|entry| entry.value());
        let rows = Source::of(value)?.load(self);
        let mut slots = known.to_vec();
        let mut key = Vec::new();
        let mut is_there = vec![false; usize::from(Slot::COUNT)];
        let mut note = |slot: Slot| {
            let there = is_there.get_mut(slot.index());
            there.is_some_and(|there| !std::mem::replace(there, true))
        };
        for slot in known {
            note(*slot);
        }
        for pattern in self.patterns().filter_map(Pattern::of_keys) {
            for element in rows.iter() {
                pattern.key(element, &mut key);
                let slot = Slot::of_key(&key);
                if note(slot) {
                    slots.push(slot);
                }
            }
        }
        slots.sort_unstable();
        Ok(slots)
    }

    /// Runs with all slots locked.
    fn run(
        &self,
        db: &mut Db<'_>,
        reply: &mut ReplyWriter<'_>,
        limit: NodeLimit,
    ) -> Result<(), CommandError> {
        let is_packed = match Source::of(db.read(&self.key))? {
            Source::Sorted(set) => set.is_packed(),
            _ => false,
        };
        if is_packed {
            // Clients can see that Redis does so, whatever is sorted; it is no change to watch for.
            let _: Option<()> = db.edit(&self.key, |entry| {
                let set = entry.object_mut().and_then(SortedSet::of_mut);
                set.into_iter().for_each(SortedSet::unpack);
                None
            });
        }
        let source = Source::of(db.peek(&self.key).map(|entry| entry.value()))?;
        let sorting = self.sorting(source);
        let window = self.window(source.len());
        let mut rows = source.load(self);
        if let Some((by, is_alpha)) = sorting {
            rows.weigh(db, by, is_alpha)?;
            rows.sort(&window, self.is_descending);
        }
        match &self.store {
            Some(target) => self.store(db, reply, &rows, target, limit),
            None => {
                self.answer(db, reply, &rows);
                Ok(())
            }
        }
    }

    /// What the elements are sorted by, and whether as texts; `None` if they stay in their order.
    fn sorting(&self, source: Source<'_>) -> Option<(&Pattern, bool)> {
        match (&self.by, source) {
            (Some(by), _) => Some((by, self.is_alpha)),
            // A set has no order, and what is stored must not depend on the server.
            (None, Source::Set(_)) if self.store.is_some() => Some((&Pattern::Element, true)),
            (None, _) => None,
        }
    }

    /// The positions that are wanted.
    fn window(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).map_or(len, |offset| offset.min(len));
        let end = match usize::try_from(self.count) {
            Ok(count) => start.saturating_add(count).min(len),
            Err(_) => len,
        };
        start..end
    }

    fn answer(&self, db: &mut Db<'_>, reply: &mut ReplyWriter<'_>, rows: &Rows) {
        reply.array(rows.len() * self.get.len().max(1));
        let mut key = Vec::new();
        for element in rows.iter() {
            if self.get.is_empty() {
                reply.bulk(element);
            }
            for pattern in &self.get {
                pattern.look_up(db, element, &mut key, |found| match found {
                    Some(text) => reply.bulk(text),
                    None => reply.null(),
                });
            }
        }
    }

    fn store(
        &self,
        db: &mut Db<'_>,
        reply: &mut ReplyWriter<'_>,
        rows: &Rows,
        target: &[u8],
        limit: NodeLimit,
    ) -> Result<(), CommandError> {
        let mut list = List::default();
        let mut is_too_long = false;
        let mut add = |element: &[u8]| {
            is_too_long |= element.len() > List::ELEMENT_MAX;
            if !is_too_long {
                list.push(End::Tail, element, limit);
            }
        };
        let mut key = Vec::new();
        for element in rows.iter() {
            if self.get.is_empty() {
                add(element);
            }
            for pattern in &self.get {
                // A list has no place for what is not there.
                pattern.look_up(
                    db,
                    element,
                    &mut key,
                    |found| add(found.unwrap_or_default()),
                );
            }
        }
        if is_too_long {
            return Err(CommandError::StringTooLong);
        }
        reply.integer(list.len() as i64);
        db.store_collection(target, list, EventClass::List, "sortstore");
        Ok(())
    }
}

/// What is sorted.
#[derive(Clone, Copy)]
enum Source<'a> {
    Missing,
    List(&'a List),
    Set(&'a Set),
    Sorted(&'a SortedSet),
}

impl<'a> Source<'a> {
    fn of(value: Option<ValueRef<'a>>) -> Result<Self, CommandError> {
        match value {
            None => Ok(Self::Missing),
            Some(ValueRef::Object(object)) => {
                let list = List::of(object).map(Self::List);
                let set = || Set::of(object).map(Self::Set);
                let sorted = || SortedSet::of(object).map(Self::Sorted);
                list.or_else(set)
                    .or_else(sorted)
                    .ok_or(CommandError::WrongType)
            }
            Some(_) => Err(CommandError::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::Sorted(set) => set.len(),
        }
    }

    /// All elements, if they are to be sorted; else those that are wanted.
    fn load(self, plan: &Plan) -> Rows {
        let all = 0..self.len();
        let (window, is_descending) = if plan.sorting(self).is_some() {
            (all, false)
        } else {
            (plan.window(all.end), plan.is_descending)
        };
        let mut rows = Rows::default();
        match self {
            Self::Missing => {}
            Self::List(list) if is_descending => {
                let elements = list.backwards().skip(window.start).take(window.len());
                elements.for_each(|element| rows.push_item(element));
            }
            Self::List(list) => {
                let elements = list.iter_from(window.start).take(window.len());
                elements.for_each(|element| rows.push_item(element));
            }
            Self::Set(set) => {
                let members = set.iter().skip(window.start).take(window.len());
                members.for_each(|member| rows.push_item(member));
            }
            Self::Sorted(set) => {
                let ranks = if is_descending {
                    set.len() - window.end..set.len() - window.start
                } else {
                    window
                };
                for (member, _) in set.range(ranks, is_descending) {
                    member.with_text(|text| rows.push(text));
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lies_within_what_there_is() {
        for (offset, count, len, expected) in [
            (0, -1, 5, 0..5),
            (0, i64::MIN, 5, 0..5),
            (-3, 2, 5, 0..2),
            (1, 2, 5, 1..3),
            (4, 9, 5, 4..5),
            (9, 9, 5, 5..5),
            (2, 0, 5, 2..2),
            (i64::MAX, i64::MAX, 5, 5..5),
            (0, 3, 0, 0..0),
        ] {
            let plan = Plan {
                key: Vec::new(),
                by: None,
                get: Vec::new(),
                offset,
                count,
                is_descending: false,
                is_alpha: false,
                store: None,
            };
            assert_eq!(plan.window(len), expected, "{offset} {count} of {len}");
        }
    }
}
