//! A pipeline of commands and the replies that it must get, both as bytes.
//!
//! The bytes are laid out once. For another round only the digits of the keys change, in the
//! requests and in the expected replies, so a request costs the generator some nanoseconds,
//! and a reply one comparison of memory.

use super::digits::{DIGITS, digits};
use super::template::Place;
use super::{Answers, Kind, Order, Reply, Shape, Template, put};

/// Commands that are sent in one go.
#[derive(Debug)]
pub(crate) struct Batch {
    request: Vec<u8>,
    expected: Vec<u8>,
    keys: Vec<KeyPlaces>,
    key_space: u64,
    commands: u64,
    /// Where the numbers of templates stand, a command after the other.
    numbers: Vec<Vec<Place>>,
    random: fastrand::Rng,
    any_replies: bool,
}

/// What must come back for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many replies that are no errors.
    Replies(u64),
}

/// Where the digits of one key stand.
#[derive(Debug)]
struct KeyPlaces {
    key: usize,
    value: ValuePlaces,
}

#[derive(Debug)]
enum ValuePlaces {
    Nowhere,
    InRequest { head: usize, tail: usize },
    InExpected { head: usize, tail: usize },
}

impl Batch {
    /// Lays out `kinds`, one command each.
    pub(crate) fn new(kinds: &[Kind], shape: &Shape, answers: Answers) -> Self {
        let mut batch = Self {
            request: Vec::new(),
            expected: Vec::new(),
            keys: Vec::new(),
            key_space: shape.keys,
            commands: kinds.len() as u64,
            numbers: Vec::new(),
            random: fastrand::Rng::with_seed(0),
            any_replies: false,
        };
        for kind in kinds {
            batch.push(*kind, shape, answers);
        }
        batch
    }

    /// Lays out a command `count` times. Batches with another `seed` get other random numbers.
    pub(crate) fn repeat(template: &Template, count: usize, seed: u64) -> Self {
        let length = template.request.len();
        let places = template.places.as_slice();
        let shifted = |by: usize| {
            let places = places.iter().map(|place| Place {
                at: place.at + by,
                ..*place
            });
            places.collect()
        };
        let (expected, any_replies) = match &template.reply {
            Reply::Same(bytes) => (bytes.repeat(count), false),
            Reply::Any => (Vec::new(), true),
        };
        Self {
            request: template.request.repeat(count),
            expected,
            keys: Vec::new(),
            key_space: template.range,
            commands: count as u64,
            numbers: if places.is_empty() {
                Vec::new()
            } else {
                (0..count).map(|turn| shifted(turn * length)).collect()
            },
            random: fastrand::Rng::with_seed(seed),
            any_replies,
        }
    }

    /// How many commands it holds.
    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    /// The bytes to send.
    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// What must come back.
    pub(crate) fn expected(&self) -> Expected<'_> {
        if self.any_replies {
            Expected::Replies(self.commands)
        } else {
            Expected::Bytes(&self.expected)
        }
    }

    /// Gives the commands other keys.
    #[inline]
    pub(crate) fn renew(&mut self, order: &mut Order) {
        for places in &self.keys {
            let text = digits(order.next(self.key_space));
            put(&mut self.request, places.key, text);
            match places.value {
                ValuePlaces::Nowhere => {}
                ValuePlaces::InRequest { head, tail } => {
                    put(&mut self.request, head, text);
                    put(&mut self.request, tail, text);
                }
                ValuePlaces::InExpected { head, tail } => {
                    put(&mut self.expected, head, text);
                    put(&mut self.expected, tail, text);
                }
            }
        }
        for places in &self.numbers {
            let number = digits(order.next(self.key_space));
            for place in places {
                let text = if place.is_random {
                    digits(self.random.u64(..self.key_space))
                } else {
                    number
                };
                put(&mut self.request, place.at, text);
            }
        }
    }

    fn push(&mut self, kind: Kind, shape: &Shape, answers: Answers) {
        let (name, keys, with_values) = match kind {
            Kind::Get => ("GET", 1, false),
            Kind::Set => ("SET", 1, true),
            Kind::MGet => ("MGET", shape.keys_per_command, false),
            Kind::MSet => ("MSET", shape.keys_per_command, true),
        };
        let arguments = 1 + keys * if with_values { 2 } else { 1 };
        self.request
            .extend_from_slice(format!("*{arguments}\r\n").as_bytes());
        push_bulk(&mut self.request, name.as_bytes());
        let replies_ok = with_values || answers == Answers::AlwaysOk;
        if replies_ok {
            self.expected.extend_from_slice(b"+OK\r\n");
        } else if kind == Kind::MGet {
            self.expected
                .extend_from_slice(format!("*{keys}\r\n").as_bytes());
        }
        for _ in 0..keys {
            let key = push_bulk(&mut self.request, &shape.key(0));
            let key = key + shape.key_size - DIGITS;
            let value = if with_values {
                let head = push_bulk(&mut self.request, &shape.value(0));
                let tail = head + shape.value_tail();
                ValuePlaces::InRequest { head, tail }
            } else if replies_ok {
                ValuePlaces::Nowhere
            } else {
                let head = push_bulk(&mut self.expected, &shape.value(0));
                let tail = head + shape.value_tail();
                ValuePlaces::InExpected { head, tail }
            };
            self.keys.push(KeyPlaces { key, value });
        }
    }
}

/// Appends a bulk string and gives the place of its first byte.
fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    let place = out.len();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    place
}

#[cfg(test)]
mod tests {
    use slotilla_common::resp::encode_command;

    use super::*;

    fn encoded(commands: &[Vec<Vec<u8>>]) -> String {
        let mut bytes = Vec::new();
        for command in commands {
            let arguments: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            encode_command(&mut bytes, &arguments);
        }
        String::from_utf8(bytes).unwrap()
    }

    fn renewed(kinds: &[Kind], answers: Answers) -> (String, String) {
        let mut batch = Batch::new(kinds, &Shape::default(), answers);
        batch.renew(&mut Order::Sequential(77));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let Expected::Bytes(expected) = batch.expected() else {
            panic!("every reply is known");
        };
        (text(batch.request()), text(expected))
    }

    #[test]
    fn a_template_is_repeated_with_other_numbers() {
        let template = Template::new("ZADD z {r} m{n}", 1000);
        let mut batch = Batch::repeat(&template, 3, 5);
        assert_eq!(batch.expected(), Expected::Replies(3));
        let mut order = Order::Sequential(7);
        let mut scores = Vec::new();
        for first in [7, 10] {
            batch.renew(&mut order);
            let request = String::from_utf8(batch.request().to_vec()).unwrap();
            let words: Vec<&str> = request.split("\r\n").collect();
            let members = words.iter().filter(|word| word.starts_with('m'));
            let expected = (first..first + 3).map(|number| format!("m{number:08}"));
            assert!(members.eq(expected.collect::<Vec<_>>().iter()), "{request}");
            scores.extend(words.iter().skip(6).step_by(9).map(|word| word.to_string()));
        }
        assert!(scores.iter().all(|score| score.starts_with("00000")));
        scores.sort();
        scores.dedup();
        assert!(scores.len() > 3, "{scores:?}");
        let same = template.replies(Reply::Same(b":1\r\n".to_vec()));
        let batch = Batch::repeat(&same, 2, 0);
        assert_eq!(batch.expected(), Expected::Bytes(b":1\r\n:1\r\n"));
    }

    #[test]
    fn requests_are_the_commands_with_the_keys_in_order() {
        let shape = Shape::default();
        let (request, expected) = renewed(&[Kind::Set, Kind::Get], Answers::Values);
        let commands = [
            vec![b"SET".to_vec(), shape.key(77), shape.value(77)],
            vec![b"GET".to_vec(), shape.key(78)],
        ];
        assert_eq!(request, encoded(&commands));
        let value = String::from_utf8(shape.value(78)).unwrap();
        assert_eq!(expected, format!("+OK\r\n$64\r\n{value}\r\n"));
    }

    #[test]
    fn many_keys_are_asked_for_and_expected_in_order() {
        let shape = Shape::default();
        let (request, expected) = renewed(&[Kind::MGet, Kind::MSet], Answers::Values);
        let mut mget = vec![b"MGET".to_vec()];
        let mut mset = vec![b"MSET".to_vec()];
        let mut reply = "*10\r\n".to_owned();
        for number in 77..87 {
            mget.push(shape.key(number));
            let value = String::from_utf8(shape.value(number)).unwrap();
            reply.push_str(&format!("$64\r\n{value}\r\n"));
            mset.extend([shape.key(number + 10), shape.value(number + 10)]);
        }
        assert_eq!(request, encoded(&[mget, mset]));
        assert_eq!(expected, reply + "+OK\r\n");
    }

    #[test]
    fn the_floor_answers_ok_to_everything() {
        let (_, expected) = renewed(&[Kind::Get, Kind::MGet, Kind::Set], Answers::AlwaysOk);
        assert_eq!(expected, "+OK\r\n+OK\r\n+OK\r\n");
    }
}
