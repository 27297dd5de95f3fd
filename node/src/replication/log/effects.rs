//! What a command has done, as commands that do it again.
//!
//! ```text
//! SELECT 3   MULTI  SREM s a  SREM s b  EXEC   LPOP l   SELECT 0
//! └ if it is not database 0    └ a part of several ┘    └ a part of one
//! ```
//!
//! A *part* is what Redis runs as one: a command, a transaction, the pop of a client that is served.
//! One that came to several commands is wrapped in MULTI and EXEC, as Redis does. All parts of what
//! was done with the same slots locked go into the log together.

use std::cell::Cell;

use slotilla_common::resp::{encode_command, encode_words};
use smallvec::SmallVec;

use crate::store::Digits;

/// Larger buffers are freed rather than kept for the next command.
const KEPT_BYTES: usize = 64 * 1024;

/// Commands that do again what was done, in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// The commands, one behind the other.
    bytes: Vec<u8>,
    commands: SmallVec<[Command; 2]>,
    /// The part that is under way.
    part: u32,
    /// The command that runs has said itself what it has done.
    is_told: bool,
    /// As it goes into the log, unless that is `bytes`.
    sealed: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Command {
    /// Where it ends in `bytes`.
    end: usize,
    db: u16,
    part: u32,
}

thread_local! {
    static SPARE: Cell<Option<Box<Effects>>> = const { Cell::new(None) };
}

impl Effects {
    /// An empty one, with the memory of one that was given back.
    #[must_use]
    pub fn take_spare() -> Box<Self> {
        SPARE.take().unwrap_or_default()
    }

    /// Keeps its memory for the next command of this thread.
    pub fn give_back(mut self: Box<Self>) {
        if self.bytes.capacity().max(self.sealed.capacity()) <= KEPT_BYTES {
            self.clear();
            SPARE.set(Some(self));
        }
    }

    /// Adds a command.
    pub fn push<'w>(&mut self, db: u16, words: impl ExactSizeIterator<Item = &'w [u8]>) {
        encode_words(&mut self.bytes, words);
        self.commands.push(Command {
            end: self.bytes.len(),
            db,
            part: self.part,
        });
    }

    /// What comes next is a part of its own.
    pub fn begin_part(&mut self) {
        self.part = self.part.wrapping_add(1);
    }

    /// Whether the command that runs has told what it has done, or is to tell nothing.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// Says so; or, of the next command, that it has not.
    pub fn set_told(&mut self, is_told: bool) {
        self.is_told = is_told;
    }

    /// Takes over all that another has: its first part belongs to the one that is under way here.
    pub(super) fn absorb(&mut self, other: &mut Self) {
        let before = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let (part, commands) = (self.part, &other.commands);
        self.commands.extend(commands.iter().map(|command| Command {
            end: before.saturating_add(command.end),
            db: command.db,
            part: part.wrapping_add(command.part),
        }));
        self.part = part.wrapping_add(other.part);
        other.clear();
    }

    /// All of it as it goes into the log: begun in database 0 and ended there.
    pub(super) fn seal(&mut self) -> &[u8] {
        match self.commands.as_slice() {
            [] | [Command { db: 0, .. }] => &self.bytes,
            commands => {
                seal(&mut self.sealed, &self.bytes, commands);
                &self.sealed
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sealed.clear();
        self.commands.clear();
        self.part = 0;
        self.is_told = false;
    }
}

fn seal(out: &mut Vec<u8>, bytes: &[u8], commands: &[Command]) {
    let (mut selected, mut start) = (0, 0);
    for part in commands.chunk_by(|a, b| a.part == b.part) {
        if let Some(first) = part.first() {
            select(out, &mut selected, first.db);
        }
        let is_several = part.len() > 1;
        if is_several {
            encode_command(out, &[b"MULTI"]);
        }
        for command in part {
            select(out, &mut selected, command.db);
            out.extend_from_slice(bytes.get(start..command.end).unwrap_or_default());
            start = command.end;
        }
        if is_several {
            encode_command(out, &[b"EXEC"]);
        }
    }
    select(out, &mut selected, 0);
}

fn select(out: &mut Vec<u8>, selected: &mut u16, db: u16) {
    if *selected != db {
        let mut digits = Digits::default();
        encode_command(out, &[b"SELECT", digits.of(i64::from(db))]);
        *selected = db;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(effects: &mut Effects, db: u16, text: &str) {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        effects.push(db, words.into_iter());
    }

    /// As Redis's inline commands, for reading.
    fn sealed(effects: &mut Effects) -> String {
        let text = String::from_utf8(effects.seal().to_vec()).unwrap();
        let mut words = text.split("\r\n").filter(|word| !word.starts_with('$'));
        let mut commands: Vec<Vec<&str>> = Vec::new();
        words.by_ref().for_each(|word| match commands.last_mut() {
            _ if word.starts_with('*') => commands.push(Vec::new()),
            Some(command) if !word.is_empty() => command.push(word),
            _ => {}
        });
        let commands: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
        commands.join("; ")
    }

    #[test]
    fn a_single_command_goes_as_it_is() {
        let mut effects = Effects::default();
        assert_eq!(effects.seal(), b"");
        push(&mut effects, 0, "set a 1");
        assert_eq!(effects.seal(), b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n");
    }

    #[test]
    fn several_of_a_part_are_a_transaction_and_the_end_is_in_database_0() {
        let mut effects = Effects::default();
        push(&mut effects, 1, "set q 1");
        push(&mut effects, 0, "set r 1");
        effects.begin_part();
        push(&mut effects, 3, "LPOP l");
        let expected = "SELECT 1; MULTI; set q 1; SELECT 0; set r 1; EXEC; SELECT 3; LPOP l; \
                        SELECT 0";
        assert_eq!(sealed(&mut effects), expected);
        effects.clear();
        push(&mut effects, 0, "set a 1");
        assert_eq!(sealed(&mut effects), "set a 1");
    }

    #[test]
    fn what_is_taken_over_goes_on_in_the_part_under_way() {
        let (mut all, mut one, mut two) =
            (Effects::default(), Effects::default(), Effects::default());
        push(&mut one, 0, "flushall");
        all.absorb(&mut one);
        push(&mut two, 0, "set a 1");
        two.begin_part();
        push(&mut two, 0, "LPOP l");
        all.absorb(&mut two);
        assert_eq!(sealed(&mut all), "MULTI; flushall; set a 1; EXEC; LPOP l");
        assert_eq!((one.seal().len(), two.seal().len()), (0, 0));
    }
}
