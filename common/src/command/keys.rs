//! Which arguments of a request are keys: as COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS tell.

use super::flags::{Flags, KeyFlags};
use super::spec::{BeginSearch, FindKeys, Finder, KeySpec, Spec};
use crate::resp::ArgRange;
use smallvec::SmallVec;

/// The arguments of a request, the command's name first.
pub trait Args {
    /// How many there are.
    fn len(&self) -> usize;

    /// The argument at `index`; empty if there are not so many.
    fn arg(&self, index: usize) -> &[u8];

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: AsRef<[u8]>> Args for [T] {
    #[inline]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    #[inline]
    fn arg(&self, index: usize) -> &[u8] {
        self.get(index).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// A parsed request: what was read, and where the arguments lie in it.
#[derive(Clone, Copy, Debug)]
pub struct RequestArgs<'a> {
    /// What the parser was given.
    pub input: &'a [u8],
    /// What it found.
    pub ranges: &'a [ArgRange],
}

impl Args for RequestArgs<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.ranges.len()
    }

    #[inline]
    fn arg(&self, index: usize) -> &[u8] {
        match self.ranges.get(index) {
            Some(range) => range.of(self.input),
            None => &[],
        }
    }
}

/// An argument that is a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyPosition {
    /// Its index in the request.
    pub index: usize,
    /// What is done to it.
    pub flags: KeyFlags,
}

/// The keys of a request; in place while they are few.
pub type KeyPositions = SmallVec<[KeyPosition; 16]>;

/// Why the keys of a request cannot be told. The texts are those of COMMAND GETKEYS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// No request of this command has keys.
    #[error("The command has no key arguments")]
    NoKeys,
    /// Too many or too few arguments.
    #[error("Invalid number of arguments specified for command")]
    Arity,
    /// The arguments are no request of this command.
    #[error("Invalid arguments specified for command")]
    Invalid,
}

/// What keys are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Shard channels count as well, and so does all that the request may touch.
    Routing,
    /// What Redis tells.
    Report,
}

/// The index of the argument that a request is routed by: its first key, or shard channel.
///
/// Meant for requests with the right number of arguments. `None` if it has no keys, or they
/// cannot be told: the node that runs it will say what is wrong.
#[must_use]
#[inline]
pub fn first_key<A: Args + ?Sized>(spec: &Spec, args: &A) -> Option<usize> {
    let first = usize::try_from(spec.range.first).ok()?;
    if first != 0 && spec.finder != Finder::Migrate {
        return (first < args.len()).then_some(first);
    }
    if !spec.flags.contains(Flags::MOVABLEKEYS) {
        return None;
    }
    first_moved_key(spec, args)
}

#[cold]
fn first_moved_key<A: Args + ?Sized>(spec: &Spec, args: &A) -> Option<usize> {
    let mut found = KeyPositions::new();
    keys(spec, args, &mut found).ok()?;
    found.first().map(|key| key.index)
}

/// Appends all that a request is routed by to `out`, in the order of the key specs: its keys, and
/// its shard channels.
///
/// # Errors
/// [`KeyError::Arity`] or [`KeyError::Invalid`] if the arguments are no request of this command.
pub fn keys<A: Args + ?Sized>(
    spec: &Spec,
    args: &A,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    let found = find(spec, args, Purpose::Routing, out);
    // PFMERGE needs no source, but what Redis calls its keys does: only the destination is left.
    let is_range = |keys: &KeySpec| matches!(keys.find, FindKeys::Range { .. });
    if found == Err(KeyError::Invalid)
        && spec.finder == Finder::Specs
        && spec.keys.iter().all(is_range)
        && let Ok(first @ 1..) = usize::try_from(spec.range.first)
    {
        push(out, first, KeyFlags::default());
        return Ok(());
    }
    found
}

/// Appends the keys of a request to `out`, as COMMAND GETKEYS does: without shard channels, and
/// with its errors.
///
/// # Errors
/// As COMMAND GETKEYS says.
pub fn reported_keys<A: Args + ?Sized>(
    spec: &Spec,
    args: &A,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    if !spec.keys.iter().any(is_key) {
        return Err(KeyError::NoKeys);
    }
    let before = out.len();
    match find(spec, args, Purpose::Report, out) {
        Err(KeyError::Arity) => Err(KeyError::Arity),
        Ok(()) if out.len() > before => Ok(()),
        _ if spec.flags.contains(Flags::NO_MANDATORY_KEYS) => {
            out.truncate(before);
            Ok(())
        }
        _ => Err(KeyError::Invalid),
    }
}

fn is_key(spec: &KeySpec) -> bool {
    !spec.flags.contains(KeyFlags::NOT_KEY)
}

fn find<A: Args + ?Sized>(
    spec: &Spec,
    args: &A,
    purpose: Purpose,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    if !spec.arity_allows(args.len()) {
        return Err(KeyError::Arity);
    }
    match spec.finder {
        Finder::Specs => {
            let before = out.len();
            let mut specs = spec.keys.iter();
            let wanted = |keys: &&KeySpec| purpose == Purpose::Routing || is_key(keys);
            let found = specs
                .clone()
                .filter(wanted)
                .try_for_each(|keys| by_spec(keys, args, out));
            if found.is_err() {
                out.truncate(before);
                let number = specs.find_map(place_of_count).ok_or(KeyError::Invalid)?;
                by_loose_count(spec, number, args, out)?;
            }
        }
        Finder::Bitfield => push(out, 1, bitfield_flags(args)),
        Finder::Migrate => return migrate(args, out),
        Finder::Set => push(out, 1, set_flags(args)),
        Finder::Sort => sort(spec, args, out),
        Finder::GeoRadius => geo_radius(spec, args, purpose, out)?,
    }
    Ok(())
}

/// Where a command's number of keys stands, if it has one.
fn place_of_count(keys: &KeySpec) -> Option<usize> {
    match (keys.begin, keys.find) {
        (BeginSearch::Index(index), FindKeys::KeyNum { .. }) => usize::try_from(index).ok(),
        _ => None,
    }
}

/// Redis looks twice: what no spec accepts it reads once more, taking a number of keys such as
/// `+1` or ` 1` or `1x` for what it begins with. It does not say what is done to these keys, and
/// gives a destination last.
fn by_loose_count<A: Args + ?Sized>(
    spec: &Spec,
    number: usize,
    args: &A,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    let count = usize::try_from(leading_integer(args.arg(number))).unwrap_or(0);
    let first = number + 1;
    if count == 0 || count > args.len().saturating_sub(first) {
        return Err(KeyError::Invalid);
    }
    for index in first..first + count {
        push(out, index, KeyFlags::default());
    }
    if let Ok(destination @ 1..) = usize::try_from(spec.range.first) {
        push(out, destination, KeyFlags::default());
    }
    Ok(())
}

/// What C's `atoi` makes of a text.
fn leading_integer(text: &[u8]) -> i32 {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = text.iter().copied().skip_while(is_space);
    let mut text = text.peekable();
    let negative = text.peek() == Some(&b'-');
    text.next_if(|byte| matches!(byte, b'-' | b'+'));
    let digits = text.take_while(u8::is_ascii_digit);
    let magnitude = digits.fold(0i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    let number = if negative { -magnitude } else { magnitude };
    // The low 32 bits, as C converts a long to an int.
    number as i32
}

fn push(out: &mut KeyPositions, index: usize, flags: KeyFlags) {
    out.push(KeyPosition { index, flags });
}

/// Appends the keys that one spec finds.
fn by_spec<A: Args + ?Sized>(
    keys: &KeySpec,
    args: &A,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    let start = match keys.begin {
        BeginSearch::Index(index) => i64::from(index),
        BeginSearch::Keyword {
            keyword,
            start_from,
        } => match after_keyword(keyword, start_from, args) {
            Some(index) => index,
            None => return Ok(()),
        },
        BeginSearch::Unknown => return Err(KeyError::Invalid),
    };
    let len = i64::try_from(args.len()).unwrap_or(i64::MAX);
    let (first, last, step) = match keys.find {
        FindKeys::Range {
            last_key,
            step,
            limit,
        } => {
            let last = if last_key >= 0 {
                start + i64::from(last_key)
            } else if limit == 0 {
                len + i64::from(last_key)
            } else {
                start + (len - start) / i64::from(limit) + i64::from(last_key)
            };
            (start, last, step)
        }
        FindKeys::KeyNum {
            key_num_index,
            first_key,
            step,
        } => {
            let place = usize::try_from(start + i64::from(key_num_index)).ok();
            let count = place.filter(|place| *place < args.len());
            let count = count.and_then(|place| parse_count(args.arg(place)));
            let count = count.ok_or(KeyError::Invalid)?;
            let first = start + i64::from(first_key);
            let last = first.saturating_add(count.saturating_sub(1).saturating_mul(step.into()));
            (first, last, step)
        }
        FindKeys::Unknown => return Err(KeyError::Invalid),
    };
    run(keys.flags, (first, last, step), len, out)
}

/// The index after `keyword`, looked for from `start_from` on: forwards, or, if that is negative
/// (and so counted from the end), backwards.
fn after_keyword<A: Args + ?Sized>(keyword: &str, start_from: i8, args: &A) -> Option<i64> {
    let is_it = |index: &usize| args.arg(*index).eq_ignore_ascii_case(keyword.as_bytes());
    let start = usize::from(start_from.unsigned_abs());
    // The word is followed by something, and the command's name is not looked at.
    let found = if start_from >= 0 {
        (start..args.len().saturating_sub(1)).find(is_it)
    } else {
        let start = args.len().checked_sub(start)?;
        (2..=start).rev().find(is_it)
    };
    found.and_then(|index| i64::try_from(index + 1).ok())
}

/// Appends the keys of a run; one that is empty or leaves the request is no request.
fn run(
    flags: KeyFlags,
    (first, last, step): (i64, i64, i8),
    len: i64,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    if first < 0 || last < first || last >= len {
        return Err(KeyError::Invalid);
    }
    let step = usize::try_from(step).ok().filter(|step| *step > 0);
    let (Some(step), Ok(first), Ok(last)) = (step, usize::try_from(first), usize::try_from(last))
    else {
        return Err(KeyError::Invalid);
    };
    for index in (first..=last).step_by(step) {
        push(out, index, flags);
    }
    Ok(())
}

/// A number of keys, of which Redis looks at the low 32 bits.
fn parse_count(text: &[u8]) -> Option<i64> {
    crate::resp::parse_i64(text).map(|count| i64::from(count as i32))
}

/// SET overwrites; with GET it returns the old value, too.
fn set_flags<A: Args + ?Sized>(args: &A) -> KeyFlags {
    let options = 3..args.len();
    if options
        .into_iter()
        .any(|i| args.arg(i).eq_ignore_ascii_case(b"get"))
    {
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE)
    } else {
        KeyFlags::OW.union(KeyFlags::UPDATE)
    }
}

/// BITFIELD only reads if all it says is GET and OVERFLOW.
fn bitfield_flags<A: Args + ?Sized>(args: &A) -> KeyFlags {
    let mut index = 2;
    while index < args.len() {
        let word = args.arg(index);
        let left = args.len() - index - 1;
        if word.eq_ignore_ascii_case(b"get") && left >= 2 {
            index += 3;
        } else if word.eq_ignore_ascii_case(b"overflow") && left >= 1 {
            index += 2;
        } else {
            return KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE);
        }
    }
    KeyFlags::RO.union(KeyFlags::ACCESS)
}

/// MIGRATE has one key, or, if that is empty, those after KEYS.
fn migrate<A: Args + ?Sized>(args: &A, out: &mut KeyPositions) -> Result<(), KeyError> {
    let flags = KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE);
    let mut index = 6;
    // A KEYS with nothing after it does not count, unless there is another: so says Redis.
    let has_keys = after_keyword("KEYS", -2, args).is_some();
    while has_keys && index < args.len() {
        let word = args.arg(index);
        if word.eq_ignore_ascii_case(b"keys") {
            if !args.arg(3).is_empty() {
                return Err(KeyError::Invalid);
            }
            (index + 1..args.len()).for_each(|key| push(out, key, flags));
            return Ok(());
        }
        // What follows AUTH and AUTH2 may well be "keys".
        index += if word.eq_ignore_ascii_case(b"auth") {
            2
        } else if word.eq_ignore_ascii_case(b"auth2") {
            3
        } else {
            1
        };
    }
    push(out, 3, flags);
    Ok(())
}

/// SORT reads its first key, and writes the key after the last STORE. Redis takes that key for an
/// option, too, and so misses what is written if it is called `store` or `limit`.
fn sort<A: Args + ?Sized>(spec: &Spec, args: &A, out: &mut KeyPositions) {
    push(out, 1, KeyFlags::RO.union(KeyFlags::ACCESS));
    if !spec.flags.contains(Flags::WRITE) {
        return;
    }
    let mut store = None;
    let mut index = 2;
    while index < args.len() {
        let word = args.arg(index);
        index += if word.eq_ignore_ascii_case(b"limit") {
            3
        } else if word.eq_ignore_ascii_case(b"by") || word.eq_ignore_ascii_case(b"get") {
            2
        } else if word.eq_ignore_ascii_case(b"store") && index + 1 < args.len() {
            store = Some(index + 1);
            2
        } else {
            1
        };
    }
    if let Some(index) = store {
        push(out, index, KeyFlags::OW.union(KeyFlags::UPDATE));
    }
}

/// GEORADIUS and GEORADIUSBYMEMBER read their first key, and write the key after the last STORE or
/// STOREDIST. Redis tells the first of each; all are looked for here, so that none lies elsewhere.
fn geo_radius<A: Args + ?Sized>(
    spec: &Spec,
    args: &A,
    purpose: Purpose,
    out: &mut KeyPositions,
) -> Result<(), KeyError> {
    if purpose == Purpose::Report {
        return spec
            .keys
            .iter()
            .try_for_each(|keys| by_spec(keys, args, out));
    }
    for keys in spec.keys {
        if let BeginSearch::Index(_) = keys.begin {
            by_spec(keys, args, out)?;
        }
    }
    let first_option = spec.keys.iter().find_map(|keys| match keys.begin {
        BeginSearch::Keyword { start_from, .. } => usize::try_from(start_from).ok(),
        _ => None,
    });
    let mut index = first_option.unwrap_or(args.len());
    while index + 1 < args.len() {
        let word = args.arg(index);
        index += 1;
        if word.eq_ignore_ascii_case(b"store") || word.eq_ignore_ascii_case(b"storedist") {
            push(out, index, KeyFlags::OW.union(KeyFlags::UPDATE));
            index += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::resolve;

    /// A request in words (`''` is the empty one), and the words that are its keys.
    const CASES: &[(&str, &str)] = &[
        ("GET a", "a"),
        ("MSET a 1 b 2", "a b"),
        ("BLPOP a b 0", "a b"),
        ("BITOP AND d a b", "d a b"),
        ("OBJECT ENCODING a", "a"),
        ("MEMORY USAGE a SAMPLES 5", "a"),
        ("PFCOUNT a b", "a b"),
        ("EVAL script 2 a b c", "a b"),
        ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b"),
        ("XREAD COUNT 2 STREAMS a b 0 0", "a b"),
        ("XREADGROUP GROUP g STREAMS STREAMS a >", "a"),
        ("SORT a BY p GET STORE STORE b store c", "a c"),
        ("SORT a STORE store DESC", "a store"),
        ("SORT a STORE limit STORE c", "a c"),
        ("SORT_RO a GET x", "a"),
        ("GEORADIUS a 1 2 3 m STORE b", "a b"),
        ("MIGRATE h 1 a 0 9", "a"),
        ("MIGRATE h 1 '' 0 9 AUTH keys KEYS a b", "a b"),
        ("PING", ""),
        ("SPUBLISH c m", ""),
    ];

    #[test]
    fn keys_are_found_in_requests() {
        for (request, wanted) in CASES {
            let args: Vec<&str> = request.split(' ').map(|w| w.trim_matches('\'')).collect();
            let spec = resolve(&args[..]).unwrap();
            let mut found = KeyPositions::new();
            let result = reported_keys(spec, &args[..], &mut found);
            let keys: Vec<_> = found.iter().map(|key| args[key.index]).collect();
            assert_eq!(keys.join(" "), *wanted, "{request}");
            assert_eq!(result.is_err(), wanted.is_empty(), "{request}");
            let routed = first_key(spec, &args[..]).map(|key| args[key]);
            let channel = request.starts_with("SPUBLISH").then_some("c");
            assert_eq!(routed, keys.first().copied().or(channel), "{request}");
        }
    }

    #[test]
    fn every_place_that_a_search_may_store_at_is_looked_for() {
        for (request, told, routed) in [
            ("GEORADIUS a 1 2 3 m STORE b storedist c", "a b c", "a b c"),
            ("GEORADIUS a 1 2 3 m STORE b store c", "a b", "a b c"),
            (
                "GEORADIUS a 1 2 3 m STOREDIST store STORE c",
                "a STORE store",
                "a store c",
            ),
            ("GEORADIUSBYMEMBER a m 3 m STOREDIST b store", "a b", "a b"),
            ("GEORADIUSBYMEMBER_RO a m 3 m STORE b", "a", "a"),
        ] {
            let args: Vec<&str> = request.split(' ').collect();
            let spec = resolve(&args[..]).unwrap();
            let words = |found: &KeyPositions| {
                let words: Vec<_> = found.iter().map(|key| args[key.index]).collect();
                words.join(" ")
            };
            let mut found = KeyPositions::new();
            reported_keys(spec, &args[..], &mut found).unwrap();
            assert_eq!(words(&found), told, "{request}");
            found.clear();
            keys(spec, &args[..], &mut found).unwrap();
            assert_eq!(words(&found), routed, "{request}");
        }
    }

    #[test]
    fn a_merge_of_nothing_is_routed_by_its_destination() {
        let args = [b"PFMERGE".as_slice(), b"a"];
        let mut found = KeyPositions::new();
        keys(resolve(&args[..]).unwrap(), &args[..], &mut found).unwrap();
        assert_eq!(found.iter().map(|key| key.index).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_is_no_request_has_no_keys() {
        for (request, error) in [
            ("PING", KeyError::NoKeys),
            ("GET", KeyError::Arity),
            ("GET a b", KeyError::Arity),
            ("ZUNION 3 a b", KeyError::Invalid),
            ("ZUNION x a b", KeyError::Invalid),
            ("XREAD a b c", KeyError::Invalid),
            ("MIGRATE h 1 a 0 9 KEYS b c", KeyError::Invalid),
        ] {
            let args: Vec<&str> = request.split(' ').collect();
            let spec = resolve(&args[..]).unwrap();
            let mut found = KeyPositions::new();
            assert_eq!(
                reported_keys(spec, &args[..], &mut found),
                Err(error),
                "{request}"
            );
            assert!(found.is_empty());
        }
        let mut found = KeyPositions::new();
        let script = ["eval", "script", "0"];
        let spec = resolve(&script[..]).unwrap();
        assert_eq!(reported_keys(spec, &script[..], &mut found), Ok(()));
        assert!(found.is_empty());
    }

    #[test]
    fn flags_follow_the_arguments_where_they_do() {
        let flags = |request: &str| {
            let args: Vec<&str> = request.split(' ').collect();
            let mut found = KeyPositions::new();
            keys(resolve(&args[..]).unwrap(), &args[..], &mut found).unwrap();
            found[0].flags.names().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(flags("SET a 1 EX 1"), "OW update");
        assert_eq!(flags("SET a 1 get"), "RW access update");
        assert_eq!(flags("BITFIELD a GET u8 0"), "RO access");
        assert_eq!(
            flags("BITFIELD a OVERFLOW SAT SET u8 0 1"),
            "RW access update"
        );
    }

    #[test]
    fn a_loose_count_is_what_c_reads() {
        for (text, number) in [
            ("1", 1),
            (" \t+12x", 12),
            ("-3", -3),
            ("x", 0),
            ("", 0),
            ("4294967297", 1),
            ("99999999999999999999", -1),
        ] {
            assert_eq!(leading_integer(text.as_bytes()), number, "{text:?}");
        }
    }
}
