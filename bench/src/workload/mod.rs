//! What is asked: keys, the values that they must have, and commands ready to be sent.
//!
//! A value is derived from its key, so whoever reads a reply knows what it must be without
//! remembering what was written.

mod batch;
mod digits;
mod template;

pub(crate) use batch::{Batch, Expected};
pub(crate) use digits::DIGITS;
pub(crate) use template::{Reply, Template};

use crate::failure::{Failure, Outcome};
use digits::digits;

/// The form of keys and values.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// What keys begin with.
    pub(crate) prefix: &'static str,
    /// How many keys there are: their numbers are below this.
    pub(crate) keys: u64,
    /// Bytes of a key.
    pub(crate) key_size: usize,
    /// Bytes of a value.
    pub(crate) value_size: usize,
    /// Which of its values a key has: another letter makes all values different.
    pub(crate) generation: u8,
    /// Keys of one MGET or MSET.
    pub(crate) keys_per_command: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            prefix: "key:",
            keys: 1_000_000,
            key_size: 16,
            value_size: 64,
            generation: b'a',
            keys_per_command: 10,
        }
    }
}

impl Shape {
    /// Whether keys and values are long enough to hold what makes them different.
    pub(crate) fn validate(&self) -> Outcome<()> {
        let refuse = |text: String| Err(Failure::Usage(text));
        let key_size_min = self.prefix.len() + DIGITS;
        if self.key_size < key_size_min {
            return refuse(format!("keys need {key_size_min} bytes at least"));
        }
        if self.value_size < DIGITS {
            return refuse(format!("values need {DIGITS} bytes at least"));
        }
        if self.keys == 0 || self.keys > 100_000_000 {
            return refuse("between one and a hundred million keys, please".to_owned());
        }
        if self.keys_per_command == 0 {
            return refuse("MGET and MSET need a key at least".to_owned());
        }
        Ok(())
    }

    /// Key number `number`: the prefix, zeros, the number.
    pub(crate) fn key(&self, number: u64) -> Vec<u8> {
        let zeros = self.key_size.saturating_sub(self.prefix.len() + DIGITS);
        let mut key = self.prefix.as_bytes().to_vec();
        key.resize(key.len() + zeros, b'0');
        key.extend_from_slice(&digits(number));
        key
    }

    /// The value of key number `number`: the number, filler, and the number again if it fits.
    pub(crate) fn value(&self, number: u64) -> Vec<u8> {
        let mut value = digits(number).to_vec();
        let tail = self.value_tail();
        value.resize(tail.max(DIGITS), self.generation);
        if tail > 0 {
            value.extend_from_slice(&digits(number));
        }
        value.resize(self.value_size, self.generation);
        value
    }

    /// Where the number stands in a value the second time; 0 if only once.
    fn value_tail(&self) -> usize {
        if self.value_size >= 2 * DIGITS {
            self.value_size - DIGITS
        } else {
            0
        }
    }
}

/// A command of the generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// GET of one key.
    Get,
    /// SET of one key.
    Set,
    /// MGET of several keys.
    MGet,
    /// MSET of several keys.
    MSet,
}

impl Kind {
    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "get" => Some(Self::Get),
            "set" => Some(Self::Set),
            "mget" => Some(Self::MGet),
            "mset" => Some(Self::MSet),
            _ => None,
        }
    }
}

/// What a run sends.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Commands whose every reply is known beforehand.
    Keys {
        /// Which commands.
        mix: Mix,
        /// Keys and values.
        shape: Shape,
        /// What must come back.
        answers: Answers,
    },
    /// One command over and over, with other numbers.
    Template(Template),
}

impl Work {
    /// A batch of `count` commands; `place` is the turn of its connection.
    pub(crate) fn batch(&self, place: usize, count: usize) -> Batch {
        match self {
            Self::Keys {
                mix,
                shape,
                answers,
            } => Batch::new(&mix.commands(place * count, count), shape, *answers),
            Self::Template(template) => Batch::repeat(template, count, place as u64),
        }
    }
}

/// In which proportion commands are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mix(Vec<Kind>);

impl Mix {
    /// One kind of command only.
    pub(crate) fn only(kind: Kind) -> Self {
        Self(vec![kind])
    }

    /// Reads `get`, or `get:9,set:1`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let refuse = || Failure::Usage(format!("{text:?} is no mix; write get or get:9,set:1"));
        let mut cycle = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.split_once(':').unwrap_or((part, "1"));
            let kind = Kind::from_name(name).ok_or_else(refuse)?;
            let share: usize = share.parse().map_err(|_| refuse())?;
            cycle.resize(cycle.len() + share.min(1000), kind);
        }
        if cycle.is_empty() {
            return Err(refuse());
        }
        Ok(Self(cycle))
    }

    /// The kinds of the `count` commands from place `first` of the endless sequence.
    pub(crate) fn commands(&self, first: usize, count: usize) -> Vec<Kind> {
        let sequence = self.0.iter().copied().cycle();
        let first = first % self.0.len().max(1);
        sequence.skip(first).take(count).collect()
    }
}

/// What the subject must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// What the commands mean.
    Values,
    /// `+OK`, whatever is asked: the floor server.
    AlwaysOk,
}

/// Which keys are asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Any, all alike.
    Random(fastrand::Rng),
    /// One after the other; after the last the first again. The number is the next one.
    Sequential(u64),
}

impl Order {
    fn next(&mut self, keys: u64) -> u64 {
        match self {
            Self::Random(random) => random.u64(..keys),
            Self::Sequential(next) => {
                let number = *next;
                *next = if number + 1 >= keys { 0 } else { number + 1 };
                number
            }
        }
    }
}

/// Writes digits over those at `place`.
#[inline]
fn put(bytes: &mut [u8], place: usize, text: [u8; DIGITS]) {
    if let Some(digits) = bytes.get_mut(place..place + DIGITS) {
        digits.copy_from_slice(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_their_sizes_and_hold_the_number() {
        let shape = Shape::default();
        assert_eq!(shape.key(1234), b"key:000000001234");
        let value = String::from_utf8(shape.value(1234)).unwrap();
        assert_eq!(value, format!("00001234{}00001234", "a".repeat(48)));
        for value_size in 8..40 {
            let shape = Shape {
                value_size,
                ..Shape::default()
            };
            assert_eq!(shape.value(7).len(), value_size);
        }
    }

    #[test]
    fn another_generation_changes_every_value_that_has_room() {
        let first = Shape::default();
        let second = Shape {
            generation: b'b',
            ..Shape::default()
        };
        assert_ne!(first.value(5), second.value(5));
        assert_eq!(first.key(5), second.key(5));
    }

    #[test]
    fn shapes_that_cannot_hold_the_number_are_refused() {
        let refused = |shape: Shape| assert!(shape.validate().is_err(), "{shape:?}");
        let good = Shape::default;
        good().validate().unwrap();
        refused(Shape {
            key_size: 11,
            ..good()
        });
        refused(Shape {
            value_size: 7,
            ..good()
        });
        refused(Shape { keys: 0, ..good() });
        refused(Shape {
            keys: 100_000_001,
            ..good()
        });
    }

    #[test]
    fn mixes_are_read_and_repeat() {
        let mix = Mix::parse("get:2,set").unwrap();
        use Kind::{Get, Set};
        assert_eq!(mix.commands(0, 4), [Get, Get, Set, Get]);
        assert_eq!(mix.commands(2, 2), [Set, Get]);
        assert_eq!(Mix::parse("MGET").unwrap(), Mix::only(Kind::MGet));
        for bad in ["", "del", "get:x", "get:0"] {
            assert!(Mix::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sequential_keys_start_over_after_the_last() {
        let mut order = Order::Sequential(0);
        let numbers: Vec<_> = (0..5).map(|_| order.next(3)).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
    }
}
