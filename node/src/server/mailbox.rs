//! What other threads want a client to be sent: lines of MONITOR, messages of channels.
//!
//! A message is encoded once and shared by all who get it. It stays shared while it waits here:
//! a connection takes over little more than its socket takes, so a thousand slow subscribers cost
//! a thousand references, not a thousand copies. What waits is bounded by the client's output
//! limit; at the bound the client is closed and its mail forgotten.

use bytes::Bytes;
use std::collections::VecDeque;

/// Messages in the order in which they were posted.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// How many messages come before the reply that the client waits for, once there is one.
    before_reply: Option<usize>,
}

/// What a message counts beside its bytes, or many tiny ones would take more than their limit.
const MESSAGE_OVERHEAD: usize = size_of::<Bytes>();

impl Mailbox {
    /// Adds a message.
    pub(super) fn push(&mut self, message: Bytes) {
        self.bytes += message.len() + MESSAGE_OVERHEAD;
        self.messages.push_back(message);
    }

    /// A command that has waited is answered now: what comes from now on comes after its reply.
    pub(super) fn hold_for_reply(&mut self) {
        self.before_reply.get_or_insert(self.messages.len());
    }

    /// The reply has taken its place. Whether there are messages behind it.
    pub(super) fn release(&mut self) -> bool {
        self.before_reply = None;
        !self.messages.is_empty()
    }

    /// Moves messages to the end of `out`, at most `most` bytes and one message more, none that
    /// comes after a reply which has not taken its place. Whether those were all for now.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, most: usize) -> bool {
        let limit = out.len().saturating_add(most);
        while out.len() < limit && self.before_reply != Some(0) {
            let Some(message) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= message.len() + MESSAGE_OVERHEAD;
            out.extend_from_slice(&message);
            if let Some(before) = &mut self.before_reply {
                *before -= 1;
            }
        }
        if self.messages.is_empty() {
            self.messages.shrink_to(0);
        }
        self.messages.is_empty() || self.before_reply == Some(0)
    }

    /// What waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_whole_and_in_order() {
        let mut mailbox = Mailbox::default();
        for message in ["aaa", "bbb", "ccc"] {
            mailbox.push(Bytes::from_static(message.as_bytes()));
        }
        assert_eq!(mailbox.bytes(), 9 + 3 * MESSAGE_OVERHEAD);
        let mut out = b"x".to_vec();
        assert!(!mailbox.take(&mut out, 4));
        assert_eq!(out, b"xaaabbb");
        assert!(mailbox.take(&mut out, usize::MAX));
        assert_eq!(out, b"xaaabbbccc");
        assert_eq!(mailbox.bytes(), 0);
    }

    #[test]
    fn a_reply_keeps_its_place_among_messages() {
        let mut mailbox = Mailbox::default();
        mailbox.push(Bytes::from_static(b"a"));
        mailbox.push(Bytes::from_static(b"b"));
        mailbox.hold_for_reply();
        mailbox.push(Bytes::from_static(b"d"));
        mailbox.hold_for_reply();
        let mut out = Vec::new();
        assert!(!mailbox.take(&mut out, 1));
        assert!(mailbox.take(&mut out, usize::MAX));
        assert!(mailbox.take(&mut out, usize::MAX));
        assert_eq!(out, b"ab");
        assert!(mailbox.release());
        assert!(mailbox.take(&mut out, usize::MAX));
        assert_eq!(out, b"abd");
        assert!(!mailbox.release());
    }
}
