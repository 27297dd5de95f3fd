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
}

/// What a message counts beside its bytes, or many tiny ones would take more than their limit.
const MESSAGE_OVERHEAD: usize = size_of::<Bytes>();

impl Mailbox {
    /// Adds a message.
    pub(super) fn push(&mut self, message: Bytes) {
        self.bytes += message.len() + MESSAGE_OVERHEAD;
        self.messages.push_back(message);
    }

    /// Moves messages to the end of `out`, at most `most` bytes and one message more. Whether that
    /// were all.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, most: usize) -> bool {
        let limit = out.len().saturating_add(most);
        while out.len() < limit {
            let Some(message) = self.messages.pop_front() else {
                break;
            };
            self.bytes -= message.len() + MESSAGE_OVERHEAD;
            out.extend_from_slice(&message);
        }
        if self.messages.is_empty() {
            self.messages.shrink_to(0);
        }
        self.messages.is_empty()
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
}
