//! Commands written as text, with places for numbers: the requests of any command, where
//! [`Kind`](super::Kind) has those whose every reply is known beforehand.
//!
//! `{n}` stands for the number of the command, the same wherever it stands, and `{r}` for a random
//! number, another wherever it stands. Both have eight digits and are below the template's range.

use slotilla_common::resp::encode_command;

use super::DIGITS;

/// A command with places for numbers.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// The request, with zeros in the places.
    pub(super) request: Vec<u8>,
    pub(super) places: Vec<Place>,
    /// Numbers are below this.
    pub(super) range: u64,
    pub(super) reply: Reply,
}

/// Where digits go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) is_random: bool,
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// These bytes, each time.
    Same(Vec<u8>),
    /// Anything but an error.
    Any,
}

const NUMBER: &str = "{n}";
const RANDOM: &str = "{r}";

impl Template {
    /// The command that `line` gives as words between spaces.
    pub(crate) fn new(line: &str, range: u64) -> Self {
        let words: Vec<Vec<u8>> = line.split(' ').map(zeros_in_places).collect();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut request = Vec::new();
        encode_command(&mut request, &words);
        // A place is found by its turn: zeros that are no place would not tell.
        let mut places = Vec::new();
        let mut from = 0;
        for (word, zeros) in line.split(' ').zip(&words) {
            let header = format!("${}\r\n", zeros.len());
            let start = position(&request, from, header.as_bytes()) + header.len();
            places.extend(places_in(word, start));
            from = start + zeros.len();
        }
        Self {
            request,
            places,
            range,
            reply: Reply::Any,
        }
    }

    /// The command as a line without RESP around it; it has no places.
    pub(crate) fn inline(line: &str) -> Self {
        Self {
            request: format!("{line}\r\n").into_bytes(),
            places: Vec::new(),
            range: 1,
            reply: Reply::Any,
        }
    }

    /// The same with another reply.
    pub(crate) fn replies(self, reply: Reply) -> Self {
        Self { reply, ..self }
    }

    /// The request with `number` in every place.
    pub(crate) fn request_of(&self, number: u64) -> Vec<u8> {
        let mut request = self.request.clone();
        for place in &self.places {
            super::put(&mut request, place.at, super::digits::digits(number));
        }
        request
    }
}

fn zeros_in_places(word: &str) -> Vec<u8> {
    let zeros = "0".repeat(DIGITS);
    let word = word.replace(NUMBER, &zeros).replace(RANDOM, &zeros);
    word.into_bytes()
}

/// The places in a word whose first byte lies at `start` of the request.
fn places_in(word: &str, start: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = start;
    let mut rest = word;
    while let Some(brace) = rest.find('{') {
        at += brace;
        let (_, from_brace) = rest.split_at(brace);
        let is_random = from_brace.starts_with(RANDOM);
        if is_random || from_brace.starts_with(NUMBER) {
            places.push(Place { at, is_random });
            at += DIGITS;
            rest = from_brace.split_at(NUMBER.len()).1;
        } else {
            at += 1;
            rest = from_brace.split_at(1).1;
        }
    }
    places
}

/// Where `what` stands first in `bytes` at or behind `from`; it is there.
fn position(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest.windows(what.len()).position(|window| window == what);
    from + found.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_where_their_places_are() {
        let template = Template::new("ZADD {r} z{x:{n} 1.{n} 00000000 m", 100);
        let request = String::from_utf8(template.request_of(42)).unwrap();
        let expected = "*6\r\n$4\r\nZADD\r\n$8\r\n00000042\r\n$12\r\nz{x:00000042\r\n\
                        $10\r\n1.00000042\r\n$8\r\n00000000\r\n$1\r\nm\r\n";
        assert_eq!(request, expected);
        let random: Vec<bool> = template.places.iter().map(|p| p.is_random).collect();
        assert_eq!(random, [true, false, false]);
    }

    #[test]
    fn an_inline_command_is_its_line() {
        assert_eq!(Template::inline("PING").request_of(7), b"PING\r\n");
    }
}
