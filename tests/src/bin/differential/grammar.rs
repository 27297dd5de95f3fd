//! Makes commands out of `shapes.txt`.

use fastrand::Rng;
use slotilla_tests::differential::{Command, pick};

const SHAPES: &str = include_str!("shapes.txt");

/// Integers, and what is none.
const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "-10",
    "100",
    "12345",
    "007",
    "-0",
    "+1",
    " 1",
    "",
    "abc",
    "1.5",
    "32767",
    "-32768",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "99999999999999999999999",
];
/// Both servers say the same to these, as times, whenever they read their clocks.
const NO_TIME_SOON: &[&str] = &[
    "0",
    "-1",
    "-10",
    "",
    "abc",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "99999999999999999999999",
];
const DOUBLES: &[&str] = &[
    "0",
    "1",
    "-1",
    "-0",
    "2.5",
    "1.5",
    "-3.75",
    "0.1",
    "1e3",
    "3.0e-3",
    "inf",
    "-inf",
    "+inf",
    "nan",
    "abc",
    "",
    "0x10",
    "1e400",
    "9007199254740993",
    "0.30000000000000004",
    "1e17",
    "5e-324",
];
const INDEXES: &[&str] = &[
    "0",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-1",
    "-2",
    "-3",
    "10",
    "-10",
    "100",
    "-100",
    "x",
    "9223372036854775807",
];
const SCORE_BOUNDS: &[&str] = &[
    "-inf", "-inf", "+inf", "+inf", "inf", "0", "1", "(1", "(0", "2.5", "(2.5", "-1", "(-inf",
    "10", "(x", "nan",
];
const MEMBER_BOUNDS: &[&str] = &[
    "-", "-", "+", "+", "[f1", "(f1", "[f3", "(f5", "[", "(", "[m1", "f1", "",
];
const DISTANCES: &[(&str, &str)] = &[
    ("100", "km"),
    ("200", "km"),
    ("5000", "km"),
    ("1", "m"),
    ("300000", "m"),
    ("90", "mi"),
    ("x", "km"),
    ("-1", "m"),
    ("10", "yd"),
    ("20000", "km"),
];

/// How many elements a random command is asked for.
const RANDOM_COUNTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "5",
    "-5",
    "100",
    "-100",
    "2000",
    "9223372036854775807",
    "-9223372036854775808",
    "x",
    "",
];
const PATTERNS: &[&str] = &[
    "{t}c*",
    "*",
    "{t}c[01]",
    "{t}c?",
    "{t}c1",
    "__key*__:*",
    "x*",
    "",
];

/// Prefixes of keys: as in the shapes' `$` words.
const KEY_KINDS: &[u8] = b"shtzlbpg";
const KEYS_OF_A_KIND: usize = 3;
/// One key of so many is of a kind that the command was not made for.
const STRANGER: usize = 25;

/// How often others come for one that is rare.
const RARE: usize = 20;
/// One command of so many has a word too many or too few.
const SLIP: usize = 30;
/// Commands that must stay as they are made: they could block, turn random or into settings for
/// all that follows, and SORT orders some of what it gives as it likes.
const UNTOUCHED: &[&str] = &[
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "client",
    "command",
    "config",
    "debug",
    "hello",
    "hrandfield",
    "hscan",
    "randomkey",
    "scan",
    "sort",
    "sort_ro",
    "slowlog",
    "spop",
    "srandmember",
    "sscan",
    "zrandmember",
    "zscan",
];

/// All commands that may be made.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Those whose replies two servers share.
    plain: Shapes,
    /// Those whose replies each server chooses by itself.
    free: Shapes,
    /// What a client sends that listens to channels.
    listeners: Shapes,
}

/// A shape's words, as often as it counts.
type Shapes = Vec<Vec<&'static str>>;

impl Grammar {
    /// Of the commands that `is_known` knows; and the names of the others.
    pub(crate) fn of_known(mut is_known: impl FnMut(&str) -> bool) -> (Self, Vec<&'static str>) {
        let mut grammar = Self {
            plain: Shapes::new(),
            free: Shapes::new(),
            listeners: Shapes::new(),
        };
        let mut unknown = Vec::new();
        for line in SHAPES.lines().filter(|line| !line.starts_with('#')) {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            let mut times = RARE;
            let mut shapes = &mut grammar.plain;
            while let Some(mark) = words.first().copied() {
                match (mark, mark.strip_prefix('=')) {
                    ("~", _) => times = 1,
                    ("?", _) => shapes = &mut grammar.free,
                    (">", _) => shapes = &mut grammar.listeners,
                    (_, Some(count)) => {
                        times = RARE * count.parse::<usize>().expect("a shape's count is a number");
                    }
                    _ => break,
                }
                words.remove(0);
            }
            let Some(name) = words.first().copied() else {
                continue;
            };
            let is_made = |name: &str| name.contains('$') || is_known(name);
            if name.split('|').any(is_made) {
                shapes.extend(std::iter::repeat_n(words, times));
            } else if unknown.last() != Some(&name) {
                unknown.push(name);
            }
        }
        (grammar, unknown)
    }

    /// A random command whose reply two servers share.
    pub(crate) fn command(&self, random: &mut Rng) -> Command {
        let mut command = self.made(&self.plain, random);
        let is_touched = !UNTOUCHED.iter().any(|name| {
            command[0] == name.as_bytes() || command.get(1) == Some(&name.as_bytes().to_vec())
        });
        if is_touched && random.usize(..SLIP) == 0 {
            slip(&mut command, random);
        }
        command
    }

    /// A random command whose reply each server chooses by itself.
    pub(crate) fn free(&self, random: &mut Rng) -> Command {
        self.made(&self.free, random)
    }

    /// A random command of a client that listens to channels.
    pub(crate) fn of_listener(&self, random: &mut Rng) -> Command {
        self.made(&self.listeners, random)
    }

    fn made(&self, shapes: &Shapes, random: &mut Rng) -> Command {
        let mut command = Command::new();
        expand(&shapes[random.usize(..shapes.len())], random, &mut command);
        // One within another, as COMMAND GETKEYS takes it.
        if command.last().is_some_and(|word| word == WHOLE) {
            command.pop();
            let inner = &self.plain[random.usize(..self.plain.len())];
            expand(inner, random, &mut command);
            command.retain(|word| word != WHOLE);
        }
        command
    }
}

/// What `$*` makes until the command is put in its place.
const WHOLE: &[u8] = b"a whole command";

/// A word is left out, comes twice, or is one too many.
fn slip(command: &mut Command, random: &mut Rng) {
    let at = random.usize(..command.len());
    match random.u8(..3) {
        0 if at > 0 => {
            command.remove(at);
        }
        1 if at > 0 => command.insert(at, command[at].clone()),
        _ => {
            command.push(pick(random, &["a", "12", "", "get", "withscores", "count", "nx"]).into())
        }
    }
}

/// Any key at all.
pub(crate) fn any_key(random: &mut Rng) -> Vec<u8> {
    let kind = KEY_KINDS[random.usize(..KEY_KINDS.len())];
    key(kind, random)
}

fn expand(words: &[&str], random: &mut Rng, out: &mut Command) {
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        rest = behind;
        let times = match *word {
            "[" => random.usize(..2),
            "(" => 1 + random.usize(..5) * random.usize(..2),
            _ => {
                let choices: Vec<&str> = word.split('|').collect();
                one(pick(random, &choices), random, out);
                continue;
            }
        };
        let close = closing(rest);
        for _ in 0..times {
            expand(&rest[..close], random, out);
        }
        rest = &rest[close + 1..];
    }
}

/// Where the bracket ends that has just been opened.
fn closing(words: &[&str]) -> usize {
    let mut open = 1;
    for (at, word) in words.iter().enumerate() {
        match *word {
            "[" | "(" => open += 1,
            "]" | ")" => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    panic!("a bracket in {words:?} is not closed")
}

/// One word of a shape, with what its `$` stands for; a distance is two.
fn one(word: &str, random: &mut Rng, out: &mut Command) {
    let Some((before, after)) = word.split_once('$') else {
        return out.push(word.into());
    };
    let (kind, after) = after.split_at(1);
    if kind == "D" {
        let (distance, unit) = DISTANCES[random.usize(..DISTANCES.len())];
        return out.extend([distance.into(), unit.into()]);
    }
    let value = value(kind.as_bytes()[0], random);
    out.push([before.as_bytes(), &value, after.as_bytes()].concat());
}

fn value(kind: u8, random: &mut Rng) -> Vec<u8> {
    let number = |number: u64| number.to_string().into_bytes();
    match kind {
        b'v' => any_value(random),
        b'w' => pick(random, &["a", "b", "f1", "12", ""]).into(),
        b'f' => format!("f{}", random.u8(..8)).into_bytes(),
        b'F' => format!("m{}", random.u16(..400)).into_bytes(),
        b'n' => pick(random, INTEGERS).into(),
        b'N' => pick(random, NO_TIME_SOON).into(),
        b'd' => pick(random, DOUBLES).into(),
        b'i' => pick(random, INDEXES).into(),
        b'c' => number(random.u64(..12)),
        b'o' => number(random.u64(..300) * random.u64(1..4)),
        b'x' => pick(random, SCORE_BOUNDS).into(),
        b'y' => pick(random, MEMBER_BOUNDS).into(),
        b'T' => number(random.u64(100_000..200_000)),
        b'M' => number(random.u64(100_000_000..200_000_000)),
        b'A' => number(random.u64(4_000_000_000..5_000_000_000)),
        b'B' => number(random.u64(4_000_000_000_000..5_000_000_000_000)),
        b'k' => any_key(random),
        b'r' => pick(random, RANDOM_COUNTS).into(),
        b'C' => format!("{{t}}c{}", random.u8(..3)).into_bytes(),
        b'P' => pick(random, PATTERNS).into(),
        b'*' => WHOLE.into(),
        // Nothing else is ever done to these.
        b'e' | b'S' | b'L' => key(kind, random),
        kind if random.usize(..STRANGER) > 0 => key(kind, random),
        _ => any_key(random),
    }
}

fn key(kind: u8, random: &mut Rng) -> Vec<u8> {
    assert!(
        b"eSL".contains(&kind) || KEY_KINDS.contains(&kind),
        "no kind of word is ${}",
        kind as char
    );
    let number = random.usize(..KEYS_OF_A_KIND);
    format!("{{t}}{}{number}", kind as char).into_bytes()
}

fn any_value(random: &mut Rng) -> Vec<u8> {
    match random.u8(..12) {
        0 => Vec::new(),
        1 => vec![b'x'; random.usize(40..80)],
        2 => vec![b'y'; random.usize(100..6000)],
        3 => (0..random.u8(1..20)).map(|_| random.u8(..)).collect(),
        4 | 5 => pick(random, INTEGERS).into(),
        6 => random.i64(..).to_string().into_bytes(),
        _ => pick(random, &["a", "b", "f1", "hello world", "12", "f2"]).into(),
    }
}
