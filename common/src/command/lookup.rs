//! From a name in a request to its row: any letter case, no allocation, a few nanoseconds.
//!
//! A name of at most 24 bytes is three overlapping words of eight, which with its length say all
//! of it; so two names are compared by three words instead of byte by byte. The hash table over
//! them is filled while compiling.

use super::COMMANDS;
use super::keys::Args;
use super::spec::Spec;
use super::table::COUNT;

/// A name in lower case, as words. Equal if and only if the names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    first: u64,
    last: u64,
    middle: u64,
    len: usize,
}

/// The longest name that [`Name`] can hold.
const NAME_LEN_MAX: usize = 24;
/// Places in the hash table, a power of two; a quarter of them is taken.
const PLACES: usize = 1024;
/// A place that holds nothing.
const FREE: u16 = u16::MAX;

static INDEX: [u16; PLACES] = index();
static NAMES: [Name; COUNT] = names();

/// The command of this name, in any letter case; subcommands are found by [`Spec::subcommand`].
#[must_use]
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    Name::of(name)?.find()
}

/// Why a request names no command.
#[derive(Clone, Copy, Debug)]
pub enum Unresolved {
    /// There is no such command.
    Command,
    /// The command has no such subcommand.
    Subcommand(&'static Spec),
}

/// The command or subcommand that a request names. A container by itself is itself: its arity is
/// then wrong.
///
/// # Errors
/// What is unknown; the texts belong to the server that answers.
#[inline]
pub fn resolve<A: Args + ?Sized>(args: &A) -> Result<&'static Spec, Unresolved> {
    let spec = lookup(args.arg(0)).ok_or(Unresolved::Command)?;
    spec.subcommand_of(args)
}

/// The command that was named last. A pipeline often names one again and again, and then a look at
/// its words tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastCommand(Option<(Name, &'static Spec)>);

impl LastCommand {
    /// As [`resolve`], which it calls unless the name is the last one's.
    ///
    /// # Errors
    /// As [`resolve`].
    #[inline]
    pub fn resolve<A: Args + ?Sized>(&mut self, args: &A) -> Result<&'static Spec, Unresolved> {
        let name = Name::of(args.arg(0)).ok_or(Unresolved::Command)?;
        if let Some((last, spec)) = self.0
            && last == name
        {
            return Ok(spec);
        }
        let spec = name.find().ok_or(Unresolved::Command)?;
        let resolved = spec.subcommand_of(args)?;
        // A container's name does not tell which subcommand it is.
        if !spec.is_container() {
            self.0 = Some((name, spec));
        }
        Ok(resolved)
    }
}

impl Spec {
    /// The subcommand of this name, in any letter case.
    #[must_use]
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Spec> {
        let own = self.name.len() + 1;
        self.subcommands().iter().find(|sub| {
            let short = sub.name.as_bytes().get(own..).unwrap_or_default();
            short.eq_ignore_ascii_case(name)
        })
    }

    /// What a request of this command names: a subcommand, or if it has none, the command itself.
    #[inline]
    fn subcommand_of<A: Args + ?Sized>(
        &'static self,
        args: &A,
    ) -> Result<&'static Self, Unresolved> {
        if !self.is_container() || args.len() < 2 {
            return Ok(self);
        }
        self.subcommand(args.arg(1))
            .ok_or(Unresolved::Subcommand(self))
    }
}

impl Name {
    /// A name that no command has.
    const NONE: Self = Self {
        first: 0,
        last: 0,
        middle: 0,
        len: 0,
    };

    /// `None` if `name` is empty or longer than any command's.
    #[inline(always)]
    const fn of(name: &[u8]) -> Option<Self> {
        let len = name.len();
        // Eight bytes or more: the first eight, the last eight, and eight that cover what may
        // lie between. Fewer: halves that overlap, and the length, so that "ab" is not "aab".
        let (first, last, middle) = if len > 16 {
            if len > NAME_LEN_MAX {
                return None;
            }
            let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
            else {
                return None;
            };
            let Some((_, rest)) = name.split_first_chunk::<8>() else {
                return None;
            };
            let Some(middle) = rest.first_chunk::<8>() else {
                return None;
            };
            (lower_word(first), lower_word(last), lower_word(middle))
        } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            (lower_word(first), lower_word(last), 0)
        } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>())
        {
            let first = u32::from_le_bytes(*first) as u64;
            let both = first | (u32::from_le_bytes(*last) as u64) << 32;
            (lower(both), 0, 0)
        } else if let (Some(first), Some(last)) = (name.first_chunk::<2>(), name.last_chunk::<2>())
        {
            let first = u16::from_le_bytes(*first) as u64;
            let both = first | (u16::from_le_bytes(*last) as u64) << 16;
            (lower(both), 0, 0)
        } else if let [only] = name {
            (lower(*only as u64), 0, 0)
        } else {
            return None;
        };
        Some(Self {
            first,
            last,
            middle,
            len,
        })
    }

    /// The command of this name.
    #[inline]
    fn find(self) -> Option<&'static Spec> {
        let mut place = self.place();
        loop {
            let id = usize::from(*INDEX.get(place)?);
            // Free places have no name, so the walk ends there.
            if *NAMES.get(id)? == self {
                return COMMANDS.get(id);
            }
            place = (place + 1) % PLACES;
        }
    }

    #[inline]
    const fn place(self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (self.first ^ self.last.rotate_left(29) ^ (self.len as u64)).wrapping_mul(ODD);
        (mixed >> (u64::BITS - PLACES.trailing_zeros())) as usize
    }
}

#[inline]
const fn lower_word(word: &[u8; 8]) -> u64 {
    lower(u64::from_le_bytes(*word))
}

/// Eight bytes with A to Z made a to z, and all others left alone.
#[inline]
const fn lower(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // In each byte the high bit says "at least 'A'" and "more than 'Z'"; no sum carries over,
    // since the bytes' own high bits are taken out first.
    let low = word & !HIGH;
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x7f - b'Z' as u64);
    let upper = (from_a ^ past_z) & !word & HIGH;
    word | (upper >> 2)
}

#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "evaluated while compiling, where they are errors"
)]
const fn names() -> [Name; COUNT] {
    let mut names = [Name::NONE; COUNT];
    let mut id = 0;
    while id < COUNT {
        let spec = &COMMANDS[id];
        if !spec.is_subcommand() {
            names[id] = match Name::of(spec.name.as_bytes()) {
                Some(name) => name,
                None => panic!("a command's name is longer than NAME_LEN_MAX"),
            };
        }
        id += 1;
    }
    names
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated while compiling, where a wrong index is an error"
)]
const fn index() -> [u16; PLACES] {
    let names = names();
    let mut index = [FREE; PLACES];
    let mut id = 0;
    while id < COUNT {
        if !COMMANDS[id].is_subcommand() {
            let mut place = names[id].place();
            while index[place] != FREE {
                place = (place + 1) % PLACES;
            }
            index[place] = id as u16;
        }
        id += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_is_found_in_every_case() {
        for spec in super::super::top_level() {
            for name in [
                spec.name.to_owned(),
                spec.name.to_uppercase(),
                capitalised(spec.name),
            ] {
                assert_eq!(lookup(name.as_bytes()).unwrap().name, spec.name);
            }
            for sub in spec.subcommands() {
                let name = sub.short_name().to_uppercase();
                assert_eq!(spec.subcommand(name.as_bytes()).unwrap().id, sub.id);
                assert!(
                    lookup(sub.name.as_bytes()).is_none(),
                    "{} is no command by itself",
                    sub.name
                );
            }
        }
    }

    fn capitalised(name: &str) -> String {
        name.chars()
            .enumerate()
            .map(|(i, c)| {
                if i % 2 == 0 {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect()
    }

    proptest! {
        /// What was named before makes no difference.
        #[test]
        fn the_last_command_is_remembered_right(
            requests in proptest::collection::vec(
                proptest::collection::vec(
                    prop_oneof!["get", "GET", "config", "set", "nope", "", "[a-z]{1,9}"],
                    1..3,
                ),
                1..12,
            ),
        ) {
            let mut last = LastCommand::default();
            for request in &requests {
                let words: Vec<&[u8]> = request.iter().map(String::as_bytes).collect();
                let name = |found: Result<&Spec, Unresolved>| format!("{:?}", found.map(|s| s.name));
                prop_assert_eq!(name(last.resolve(&words[..])), name(resolve(&words[..])));
            }
        }
    }

    #[test]
    fn what_is_no_command_is_not_found() {
        for name in [
            "",
            "g",
            "ge",
            "gget",
            "get ",
            "get\0",
            "sort\x7fro",
            "\u{0007}et",
            "georadiusbymember_roo",
            "georadiusbymember_r0",
            "a name that is much too long to be a command",
        ] {
            assert!(lookup(name.as_bytes()).is_none(), "{name:?}");
        }
        assert!(lookup(b"config").unwrap().subcommand(b"").is_none());
    }

    #[test]
    fn a_request_names_its_subcommand() {
        let name = |args: &[&[u8]]| resolve(args).map(|spec| spec.name);
        assert_eq!(name(&[b"GET", b"k"]).unwrap(), "get");
        assert_eq!(name(&[b"Config", b"gEt"]).unwrap(), "config|get");
        assert_eq!(name(&[b"config"]).unwrap(), "config");
        assert!(matches!(
            name(&[b"config", b"nope"]),
            Err(Unresolved::Subcommand(spec)) if spec.name == "config"
        ));
        assert!(matches!(name(&[b"nope"]), Err(Unresolved::Command)));
        assert!(matches!(name(&[]), Err(Unresolved::Command)));
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_linear_search(
            spec in proptest::sample::select(&COMMANDS[..]),
            flips in proptest::collection::vec((0usize..24, any::<u8>()), 0..3),
            cut in 0usize..24,
        ) {
            let mut name = spec.name.as_bytes().to_vec();
            for (place, byte) in flips {
                if let Some(old) = name.get_mut(place) {
                    *old = byte;
                }
            }
            name.truncate(cut);
            let slow = super::super::top_level()
                .find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(&name));
            prop_assert_eq!(lookup(&name).map(|s| s.name), slow.map(|s| s.name));
        }

        #[test]
        fn words_are_lowered_byte_by_byte(word in any::<u64>()) {
            let slow = word.to_le_bytes().map(|b| b.to_ascii_lowercase());
            prop_assert_eq!(lower(word), u64::from_le_bytes(slow));
        }
    }
}
