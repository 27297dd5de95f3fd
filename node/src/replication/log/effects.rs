//! What a command has done, as commands that do it again.
//!
//! ```text
//! SELECT 3            MULTI  SREM s a  SREM s b  EXEC   LPOP l
//! └ by who appends, if another one is selected    └ a part of several   └ a part of one
//! ```
//!
//! A *part* is what Redis runs as one: a command, a transaction, the pop of a client that is served.
//! One that came to several commands is wrapped in MULTI and EXEC, as Redis does. All parts of what
//! was done with the same slots locked go into the log together.

use std::cell::Cell;

use slotilla_common::resp::{encode_command, encode_words};
use smallvec::SmallVec;

use super::tail::DB_MAX;
use crate::store::Digits;

/// The database of a command that is in none, as PING.
pub const ANY_DB: u16 = u16::MAX;

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

/// Commands as they go into the log, behind a SELECT if need be.
#[derive(Debug)]
pub(super) struct Sealed<'e> {
    pub(super) bytes: &'e [u8],
    /// The databases that they begin and end in, if any of them is in one.
    pub(super) dbs: Option<(u16, u16)>,
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

    /// Adds a command as it goes into the log.
    pub fn push_encoded(&mut self, db: u16, command: &[u8]) {
        self.bytes.extend_from_slice(command);
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

    /// All of it as it goes into the log.
    pub(super) fn seal(&mut self) -> Sealed<'_> {
        match self.commands.as_slice() {
            [] => Sealed {
                bytes: &[],
                dbs: None,
            },
            [Command { db, .. }] if *db <= DB_MAX || *db == ANY_DB => Sealed {
                bytes: &self.bytes,
                dbs: (*db != ANY_DB).then_some((*db, *db)),
            },
            commands => {
                let dbs = seal(&mut self.sealed, &self.bytes, commands);
                Sealed {
                    bytes: &self.sealed,
                    dbs,
                }
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

fn seal(out: &mut Vec<u8>, bytes: &[u8], commands: &[Command]) -> Option<(u16, u16)> {
    let first = commands.iter().map(|command| command.db);
    let first = first.into_iter().find(|db| *db != ANY_DB);
    let (mut selected, mut start) = (first, 0);
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
    if selected.is_some_and(|db| db > DB_MAX) {
        select(out, &mut selected, 0);
    }
    first.zip(selected)
}

/// Adds a SELECT, unless the database is the one that is selected, or any.
pub(super) fn select(out: &mut Vec<u8>, selected: &mut Option<u16>, db: u16) {
    if db != ANY_DB && *selected != Some(db) {
        let mut digits = Digits::default();
        encode_command(out, &[b"SELECT", digits.of(i64::from(db))]);
        *selected = Some(db);
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
        let text = String::from_utf8(effects.seal().bytes.to_vec()).unwrap();
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
        assert_eq!(effects.seal().bytes, b"");
        push(&mut effects, 7, "set a 1");
        let sealed = effects.seal();
        assert_eq!(sealed.bytes, b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n");
        assert_eq!(sealed.dbs, Some((7, 7)));
        effects.clear();
        push(&mut effects, ANY_DB, "ping");
        assert_eq!(effects.seal().dbs, None);
    }

    #[test]
    fn several_of_a_part_are_a_transaction_and_change_databases() {
        let mut effects = Effects::default();
        push(&mut effects, 1, "set q 1");
        push(&mut effects, 0, "set r 1");
        effects.begin_part();
        push(&mut effects, 3, "LPOP l");
        push(&mut effects, ANY_DB, "ping");
        let expected =
            "MULTI; set q 1; SELECT 0; set r 1; EXEC; SELECT 3; MULTI; LPOP l; ping; EXEC";
        assert_eq!(sealed(&mut effects), expected);
        effects.clear();
        push(&mut effects, 1, "set q 1");
        push(&mut effects, 3, "set r 1");
        assert_eq!(effects.seal().dbs, Some((1, 3)));
        effects.clear();
        push(&mut effects, 300, "set q 1");
        assert_eq!(sealed(&mut effects), "set q 1; SELECT 0");
        assert_eq!(effects.seal().dbs, Some((300, 0)));
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
        assert!(one.seal().bytes.is_empty() && two.seal().bytes.is_empty());
    }
}
