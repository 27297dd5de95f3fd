//! A blocking client of one connection, for everything that is not measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use slotilla_common::resp::{Value, decode, encode_command};

use crate::failure::{Failure, Outcome};

/// How long a reply may take. Reading the memory of a process with millions of keys is slow.
const REPLY_LIMIT: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    input: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        let attempt = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(REPLY_LIMIT))?;
            stream.set_write_timeout(Some(REPLY_LIMIT))?;
            Ok(stream)
        };
        let stream = attempt().map_err(Failure::io(format!("connect to {address}")))?;
        Ok(Self {
            stream,
            address,
            input: Vec::new(),
        })
    }

    /// Sends one command and gives its reply; an error reply is a value too.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Outcome<Value> {
        let arguments: Vec<&[u8]> = arguments.iter().map(AsRef::as_ref).collect();
        let mut request = Vec::new();
        encode_command(&mut request, &arguments);
        self.raw(&request).map(|(value, _)| value)
    }

    /// Sends the bytes of one request and gives its reply, and the bytes of that.
    pub(crate) fn raw(&mut self, request: &[u8]) -> Outcome<(Value, Vec<u8>)> {
        let address = self.address;
        let broken = || Failure::io(format!("ask {address}"));
        self.stream.write_all(request).map_err(broken())?;
        loop {
            match decode(&self.input) {
                Ok(Some((value, used))) => {
                    return Ok((value, self.input.drain(..used).collect()));
                }
                Ok(None) => self.receive().map_err(broken())?,
                Err(error) => {
                    let text = format!("{address} sent no RESP: {error}");
                    return Err(Failure::WrongAnswer(text));
                }
            }
        }
    }

    /// Sends one command, given as words, and gives the text of its reply.
    pub(crate) fn text(&mut self, line: &str) -> Outcome<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let value = self.call(&words)?;
        match value.as_bytes() {
            Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            None => Err(self.unexpected(line, &value)),
        }
    }

    /// Sends one command, given as words, and gives the number in its reply.
    pub(crate) fn integer(&mut self, line: &str) -> Outcome<i64> {
        let words: Vec<&str> = line.split(' ').collect();
        let value = self.call(&words)?;
        value
            .as_integer()
            .ok_or_else(|| self.unexpected(line, &value))
    }

    /// One field of INFO.
    pub(crate) fn info(&mut self, section: &str, field: &str) -> Outcome<String> {
        let text = self.text(&format!("INFO {section}"))?;
        info_field(&text, field).ok_or_else(|| {
            let address = self.address;
            Failure::WrongAnswer(format!("{address}: INFO {section} has no {field}"))
        })
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend(chunk.iter().take(count));
        Ok(())
    }

    fn unexpected(&self, line: &str, value: &Value) -> Failure {
        let address = self.address;
        Failure::WrongAnswer(format!("{address}: {line} answered {}", shown(value)))
    }
}

/// A reply as a person would read it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Error(text) => format!("(error) {}", String::from_utf8_lossy(text)),
        Value::Simple(text) | Value::Bulk(text) => format!("{:?}", String::from_utf8_lossy(text)),
        other => format!("{other:?}"),
    }
}

/// One field in the text of INFO or CLUSTER INFO.
pub(crate) fn info_field(text: &str, field: &str) -> Option<String> {
    let mut lines = text.lines();
    lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let text = "# Memory\r\nused_memory_rss:7\r\nused_memory:5\r\nempty:\r\n";
        assert_eq!(info_field(text, "used_memory").as_deref(), Some("5"));
        assert_eq!(info_field(text, "empty").as_deref(), Some(""));
        assert_eq!(info_field(text, "used"), None);
    }
}
