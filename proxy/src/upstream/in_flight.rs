//! Requests on one connection to a node: sent or not, none answered yet.
//!
//! ```text
//! log      | answered (to be dropped) | sent, unanswered | not sent |
//! entries                             [ a, b, c, d, … ]  in the same order
//! ```
//! A node answers in order, so the reply that comes next belongs to the first entry, and the
//! bytes of that request are still at the front of the log: a redirected request is sent again
//! from there, and no request is ever copied just in case. No socket in here.

use std::collections::VecDeque;

/// The requests in flight, with a `T` for each that says whose it is.
#[derive(Debug)]
pub struct InFlight<T> {
    log: Vec<u8>,
    /// Start of the first entry's bytes in the log.
    answered: usize,
    /// End of what was sent.
    sent: usize,
    entries: VecDeque<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    len: usize,
    whose: T,
}

/// A request whose connection was lost.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost<T> {
    /// Its bytes.
    pub request: Vec<u8>,
    /// Whose it is.
    pub whose: T,
    /// Whether all of it had left: only then can it have run.
    pub was_sent: bool,
}

/// Answered bytes are dropped once there are so many of them and they are half of the log.
const DROP_BYTES_MIN: usize = 64 * 1024;
/// An empty log keeps at most this much memory.
const IDLE_CAPACITY_MAX: usize = 256 * 1024;

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            answered: 0,
            sent: 0,
            entries: VecDeque::new(),
        }
    }
}

impl<T> InFlight<T> {
    /// Queues a request made of `parts`.
    #[inline]
    pub fn push(&mut self, parts: &[&[u8]], whose: T) {
        let before = self.log.len();
        for part in parts {
            self.log.extend_from_slice(part);
        }
        let len = self.log.len() - before;
        self.entries.push_back(Entry { len, whose });
    }

    /// Requests not answered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all are answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of requests not answered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.log.len() - self.answered
    }

    /// What is still to be sent.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.log.get(self.sent..).unwrap_or_default()
    }

    /// Takes note that `count` bytes of [`Self::unsent`] were sent.
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
    }

    /// The request that is answered next.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.entries.front().map(|entry| &entry.whose)
    }

    /// All, oldest first, to change whose they are.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|entry| &mut entry.whose)
    }

    /// The bytes of the request that is answered next.
    #[must_use]
    pub fn first_request(&self) -> &[u8] {
        let len = self.entries.front().map_or(0, |entry| entry.len);
        self.log
            .get(self.answered..self.answered + len)
            .unwrap_or_default()
    }

    /// Takes the request whose answer has come. `None` if the node answered what nobody asked.
    #[inline]
    pub fn answered(&mut self) -> Option<T> {
        // A reply to what was not sent yet answers nothing.
        let len = self.entries.front()?.len;
        if self.answered + len > self.sent {
            return None;
        }
        self.answered += len;
        let entry = self.entries.pop_front()?;
        if self.answered == self.log.len() {
            self.reset();
        } else if self.answered > DROP_BYTES_MIN && self.answered > self.log.len() / 2 {
            self.log.drain(..self.answered);
            self.sent -= self.answered;
            self.answered = 0;
        }
        Some(entry.whose)
    }

    /// The connection is lost: takes everything, oldest first.
    pub fn lose(&mut self) -> Vec<Lost<T>> {
        let mut start = self.answered;
        let mut lost = Vec::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            let end = start + entry.len;
            lost.push(Lost {
                request: self.log.get(start..end).unwrap_or_default().to_vec(),
                whose: entry.whose,
                was_sent: end <= self.sent,
            });
            start = end;
        }
        self.reset();
        lost
    }

    fn reset(&mut self) {
        self.log.clear();
        self.answered = 0;
        self.sent = 0;
        if self.log.capacity() > IDLE_CAPACITY_MAX {
            self.log = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_wholly_sent_may_have_run_and_nothing_else() {
        let mut queue = InFlight::default();
        for (request, whose) in [(&b"aaaa"[..], 1), (b"bbbb", 2), (b"cccc", 3)] {
            queue.push(&[request], whose);
        }
        queue.sent(6);
        let lost: Vec<_> = queue
            .lose()
            .into_iter()
            .map(|lost| (lost.request, lost.whose, lost.was_sent))
            .collect();
        assert_eq!(
            lost,
            [
                (b"aaaa".to_vec(), 1, true),
                (b"bbbb".to_vec(), 2, false),
                (b"cccc".to_vec(), 3, false)
            ]
        );
        assert!(queue.is_empty() && queue.unsent().is_empty() && queue.bytes() == 0);
    }

    #[test]
    fn an_answer_to_what_was_not_sent_is_nobodys() {
        let mut queue = InFlight::default();
        assert_eq!(queue.answered(), None);
        queue.push(&[b"aaaa"], ());
        queue.sent(3);
        assert_eq!(queue.answered(), None);
        queue.sent(1);
        assert_eq!(queue.answered(), Some(()));
    }

    #[test]
    fn a_big_log_is_given_back_when_idle() {
        let mut queue = InFlight::default();
        queue.push(&[&[b'x'; 1 << 20]], ());
        queue.sent(1 << 20);
        queue.answered();
        assert_eq!(queue.log.capacity(), 0);
    }

    proptest! {
        #[test]
        fn requests_keep_their_bytes_until_answered(
            steps in proptest::collection::vec((0usize..4, 1usize..30_000), 1..200),
        ) {
            let mut queue = InFlight::default();
            let mut model: VecDeque<(u8, usize)> = VecDeque::new();
            let mut next = 0u8;
            let mut wire = Vec::new();
            for (step, amount) in steps {
                match step {
                    0 | 1 => {
                        next = next.wrapping_add(1);
                        let bytes = vec![next; amount];
                        let (head, tail) = bytes.split_at(amount / 2);
                        queue.push(&[head, tail], next);
                        model.push_back((next, amount));
                    }
                    2 => {
                        let part = queue.unsent().len().min(amount * 2);
                        wire.extend_from_slice(&queue.unsent()[..part]);
                        queue.sent(part);
                    }
                    _ => {
                        let expected = model.front().copied();
                        let request = queue.first_request().to_vec();
                        if let Some(whose) = queue.answered() {
                            let (byte, len) = expected.unwrap();
                            prop_assert_eq!(whose, byte);
                            prop_assert_eq!(request, vec![byte; len]);
                            model.pop_front();
                        }
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            let total: usize = model.iter().map(|(_, len)| len).sum();
            prop_assert_eq!(queue.bytes(), total);
            prop_assert_eq!(queue.lose().len(), model.len());
        }
    }
}
