//! A push, encoded once for each protocol that somebody speaks.

use bytes::Bytes;
use slotilla_common::resp::{Protocol, ReplyWriter};
use std::cell::OnceCell;

use super::Topic;

/// A message on its way to many.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    words: &'a [&'a [u8]],
    /// Comes after the words, if there is one.
    count: Option<usize>,
    resp2: OnceCell<Bytes>,
    resp3: OnceCell<Bytes>,
}

impl<'a> Frame<'a> {
    /// A push of these words.
    pub(super) fn new(words: &'a [&'a [u8]]) -> Self {
        Self {
            words,
            count: None,
            resp2: OnceCell::new(),
            resp3: OnceCell::new(),
        }
    }

    /// The bytes for who speaks `protocol`.
    pub(super) fn bytes(&self, protocol: Protocol) -> Bytes {
        let place = match protocol {
            Protocol::Resp2 => &self.resp2,
            Protocol::Resp3 => &self.resp3,
        };
        place.get_or_init(|| self.encode(protocol)).clone()
    }

    fn encode(&self, protocol: Protocol) -> Bytes {
        let len: usize = self.words.iter().map(|word| word.len() + 16).sum();
        let mut out = Vec::with_capacity(len + 32);
        let mut writer = ReplyWriter::new(&mut out, protocol);
        writer.push(self.words.len() + usize::from(self.count.is_some()));
        for word in self.words {
            writer.bulk(word);
        }
        if let Some(count) = self.count {
            writer.integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
        out.into()
    }
}

/// The push that tells a client that it listens to a channel no longer, `left` being how many it
/// still listens to.
pub(super) fn unsubscribed(topic: Topic, channel: &[u8], left: usize, protocol: Protocol) -> Bytes {
    let words = [topic.unsubscribed().as_bytes(), channel];
    let frame = Frame {
        count: Some(left),
        ..Frame::new(&words)
    };
    frame.encode(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_form_and_shares_it() {
        let frame = Frame::new(&[b"message", b"c", b"x\r\n"]);
        let resp2 = frame.bytes(Protocol::Resp2);
        assert_eq!(resp2, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\nx\r\n\r\n");
        assert_eq!(resp2.as_ptr(), frame.bytes(Protocol::Resp2).as_ptr());
        assert!(frame.bytes(Protocol::Resp3).starts_with(b">3\r\n"));
        assert_eq!(
            unsubscribed(Topic::ShardChannel, b"c", 0, Protocol::Resp3),
            ">3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n"
        );
    }
}
