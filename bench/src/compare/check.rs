//! Whether a subject answers rightly, before it is measured.

use slotilla_common::resp::Value;

use super::subject::Subject;
use crate::client::{Client, shown};
use crate::failure::{Failure, Outcome};
use crate::workload::{Answers, Shape};

/// Keys that are written, read, written again and deleted: enough to reach every primary.
const KEYS: u64 = 200;

/// Checks GET, SET, MGET, MSET and DEL on keys that the measurements do not use. Keys that do
/// not exist must be missing; a second value must replace the first; bytes must stay as sent.
pub(super) fn right_answers(subject: &Subject) -> Outcome<()> {
    if subject.answers == Answers::AlwaysOk {
        return Ok(());
    }
    let mut addresses = vec![subject.address, subject.pipelined_address];
    addresses.dedup();
    for address in addresses {
        let mut check = Check {
            client: Client::connect(address)?,
            name: &subject.name,
        };
        check.one_key_commands()?;
        check.many_key_commands()?;
        check.deletion()?;
    }
    Ok(())
}

struct Check<'a> {
    client: Client,
    name: &'a str,
}

fn shape(generation: u8) -> Shape {
    Shape {
        prefix: "chk:",
        keys: KEYS,
        generation,
        ..Shape::default()
    }
}

impl Check<'_> {
    fn one_key_commands(&mut self) -> Outcome<()> {
        for number in 0..KEYS {
            let key = shape(b'a').key(number);
            self.expect(&[b"GET", &key], &Value::Null)?;
            for generation in [b'a', b'b'] {
                let value = shape(generation).value(number);
                self.expect(&[b"SET", &key, &value], &ok())?;
                self.expect(&[b"GET", &key], &Value::Bulk(value))?;
            }
        }
        for bytes in [&b""[..], b"\r\n$-1\r\n", b"\0\xff+OK"] {
            let key = shape(b'a').key(0);
            self.expect(&[b"SET", &key, bytes], &ok())?;
            self.expect(&[b"GET", &key], &Value::Bulk(bytes.to_vec()))?;
        }
        Ok(())
    }

    fn many_key_commands(&mut self) -> Outcome<()> {
        let shape = shape(b'c');
        for first in (0..KEYS).step_by(10) {
            let keys: Vec<Vec<u8>> = (first..first + 10).map(|n| shape.key(n)).collect();
            let values: Vec<Vec<u8>> = (first..first + 10).map(|n| shape.value(n)).collect();
            let mut mset: Vec<&[u8]> = vec![b"MSET"];
            let mut mget: Vec<&[u8]> = vec![b"MGET"];
            for (key, value) in keys.iter().zip(&values) {
                mset.extend([key.as_slice(), value.as_slice()]);
                mget.push(key);
            }
            mget.push(b"chk:missing");
            let mut found: Vec<Value> = values.iter().cloned().map(Value::Bulk).collect();
            found.push(Value::Null);
            self.expect(&mset, &ok())?;
            self.expect(&mget, &Value::Array(found))?;
        }
        Ok(())
    }

    fn deletion(&mut self) -> Outcome<()> {
        for number in 0..KEYS {
            let key = shape(b'a').key(number);
            self.expect(&[b"DEL", &key], &Value::Integer(1))?;
            self.expect(&[b"GET", &key], &Value::Null)?;
        }
        Ok(())
    }

    fn expect(&mut self, command: &[&[u8]], expected: &Value) -> Outcome<()> {
        let reply = self.client.call(command)?;
        if reply == *expected {
            return Ok(());
        }
        let words = command.iter().map(|word| word.escape_ascii().to_string());
        let mut words: Vec<String> = words.take(4).collect();
        if command.len() > words.len() {
            words.push("…".to_owned());
        }
        let text = format!(
            "{} answered {} to {}, not {}",
            self.name,
            shown(&reply),
            words.join(" "),
            shown(expected)
        );
        Err(Failure::WrongAnswer(text))
    }
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

/// Deletes what an earlier check that did not end may have left.
pub(super) fn clear(subject: &Subject) -> Outcome<()> {
    let mut client = subject.client()?;
    for number in 0..KEYS {
        client.call(&[&b"DEL"[..], &shape(b'a').key(number)])?;
    }
    Ok(())
}
