//! LPOS: where in a list an element is.

use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Item, List, Wanted};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[("lpos", lpos)];

/// What LPOS is told beside key and element.
#[derive(Debug)]
struct Options {
    is_backwards: bool,
    /// Matches to pass by.
    skip: usize,
    /// `None` for the first alone, else so many.
    count: Option<usize>,
    /// Comparisons at most.
    maxlen: usize,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self {
            is_backwards: false,
            skip: 0,
            count: None,
            maxlen: usize::MAX,
        };
        // 0 is no bound.
        let bound = |at: usize, text| match args.int(at).map(usize::try_from) {
            Ok(Ok(0)) => Ok(usize::MAX),
            Ok(Ok(number)) => Ok(number),
            _ => Err(CommandError::fixed(text)),
        };
        let mut is_least = false;
        for at in (3..args.len()).step_by(2) {
            if at + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            if args.is(at, "rank") {
                let rank = args.int(at + 1)?;
                // It has no counterpart: in Redis every match counts, however many are wanted.
                is_least = rank == i64::MIN;
                options.rank(rank)?;
            } else if args.is(at, "count") {
                options.count = Some(bound(at + 1, "ERR COUNT can't be negative")?);
            } else if args.is(at, "maxlen") {
                options.maxlen = bound(at + 1, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if is_least {
            options.count = options.count.and(Some(usize::MAX));
        }
        Ok(options)
    }

    fn rank(&mut self, rank: i64) -> Result<(), CommandError> {
        if rank == 0 {
            return Err(CommandError::fixed(
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second \
                 ... or use negative to start from the end of the list",
            ));
        }
        self.is_backwards = rank < 0;
        self.skip = rank.checked_abs().map_or(0, |matches| {
            usize::try_from(matches - 1).unwrap_or(usize::MAX)
        });
        Ok(())
    }

    /// The positions that match, as they are asked for.
    fn positions(&self, list: &List, element: &[u8]) -> Vec<usize> {
        let wanted = Wanted::from(element);
        let last = list.len().saturating_sub(1);
        if self.is_backwards {
            let steps = self.matches(list.backwards(), wanted);
            steps.into_iter().map(|steps| last - steps).collect()
        } else {
            self.matches(list.iter_from(0), wanted)
        }
    }

    fn matches<'a>(
        &self,
        elements: impl Iterator<Item = Item<'a>>,
        wanted: Wanted<'_>,
    ) -> Vec<usize> {
        let elements = elements.take(self.maxlen).enumerate();
        elements
            .filter(|(_, element)| element.is(wanted))
            .map(|(steps, _)| steps)
            .skip(self.skip)
            .take(self.count.unwrap_or(1))
            .collect()
    }
}

fn lpos(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let options = Options::parse(args)?;
    let list = ctx.db.read_as::<List>(args.get(1))?;
    let places = list.map_or_else(Vec::new, |list| options.positions(list, args.get(2)));
    if options.count.is_none() {
        match places.first() {
            Some(place) => ctx.reply.integer(*place as i64),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    ctx.reply.array(places.len());
    for place in places {
        ctx.reply.integer(place as i64);
    }
    Ok(())
}
