//! BITOP: strings combined bit by bit.

use super::super::{Args, CommandError, Ctx, raw};
use super::bytes_at;
use crate::store::{Digits, EventClass};

const ONE_SOURCE: CommandError =
    CommandError::fixed("ERR BITOP NOT must be called with a single source key.");

#[derive(Clone, Copy)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let names = [
            ("AND", Self::And),
            ("OR", Self::Or),
            ("XOR", Self::Xor),
            ("NOT", Self::Not),
        ];
        let named = names.into_iter().find(|(name, _)| args.is(1, name));
        let (_, operation) = named.ok_or(CommandError::Syntax)?;
        if matches!(operation, Self::Not) && args.len() != 4 {
            return Err(ONE_SOURCE);
        }
        Ok(operation)
    }

    /// Combines what there is so far with one more string; the shorter one counts as followed by
    /// zeroes.
    fn apply(self, sum: &mut Vec<u8>, more: &[u8]) {
        if sum.len() < more.len() {
            sum.resize(more.len(), 0);
        }
        let both = sum.iter_mut().zip(more);
        match self {
            Self::And => {
                both.for_each(|(byte, more)| *byte &= more);
                sum.get_mut(more.len()..).unwrap_or_default().fill(0);
            }
            Self::Or => both.for_each(|(byte, more)| *byte |= more),
            Self::Xor => both.for_each(|(byte, more)| *byte ^= more),
            Self::Not => both.for_each(|(byte, more)| *byte = !more),
        }
    }
}

pub(super) fn bitop(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let operation = Operation::parse(args)?;
    let mut sum: Option<Vec<u8>> = None;
    for key in args.iter_from(3) {
        let mut digits = Digits::default();
        let bytes = bytes_at(&mut ctx.db, key, &mut digits)?.unwrap_or_default();
        match &mut sum {
            Some(sum) => operation.apply(sum, bytes),
            None if matches!(operation, Operation::Not) => {
                operation.apply(sum.insert(Vec::new()), bytes);
            }
            None => sum = Some(bytes.to_vec()),
        }
    }
    let sum = sum.unwrap_or_default();
    let (destination, len) = (args.get(2), sum.len());
    if sum.is_empty() {
        ctx.db.delete(destination);
    } else {
        raw::store(&mut ctx.db, destination, sum);
        ctx.db.notify(EventClass::String, "set", destination);
    }
    ctx.reply.integer(len as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_string_counts_as_followed_by_zeroes() {
        type Case = (Operation, &'static [u8], &'static [u8], &'static [u8]);
        let cases: [Case; 6] = [
            (Operation::And, b"\xff\xff", b"\x0f", b"\x0f\x00"),
            (Operation::And, b"\x0f", b"\xff\xff", b"\x0f\x00"),
            (Operation::Or, b"\xf0", b"\x0f\x01", b"\xff\x01"),
            (Operation::Xor, b"\xff\x01", b"\x0f", b"\xf0\x01"),
            (Operation::And, b"\xff", b"", b"\x00"),
            (Operation::Not, b"", b"\x0f\xff", b"\xf0\x00"),
        ];
        for (operation, a, b, expected) in cases {
            let mut sum = a.to_vec();
            operation.apply(&mut sum, b);
            assert_eq!(sum, expected, "{a:?} {b:?}");
        }
    }
}
