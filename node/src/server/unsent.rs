//! Replies that a socket has not taken yet.
//!
//! Nearly always that is one buffer, lent by the worker for a turn. What a client leaves unread
//! for longer lies in a list of such buffers: to keep more, nothing is copied that is kept
//! already, and what has been sent is given back piece by piece.

use std::collections::VecDeque;

/// No more is written into a buffer that holds so much.
const FULL_BYTES: usize = 256 * 1024;

/// A buffer of at most this is not worth giving back.
const KEPT_BYTES: usize = 4 * 1024;

/// Gives back what big requests or replies took, once only little of them is left.
pub(super) fn trim(buffer: &mut Vec<u8>) {
    if buffer.is_empty() {
        *buffer = Vec::new();
    } else if buffer.capacity() > KEPT_BYTES && buffer.len() < buffer.capacity() / 4 {
        buffer.shrink_to(buffer.len() * 2);
    }
}

/// Replies in the order in which they are to be sent.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Sent up to `sent`. Empty only if there is nothing to send at all.
    first: Vec<u8>,
    sent: usize,
    /// What comes after `first`; few clients ever have it.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    /// None of them is empty.
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
    held: usize,
}

impl Rest {
    fn push(&mut self, buffer: Vec<u8>) {
        self.bytes += buffer.len();
        self.held += buffer.capacity();
        self.buffers.push_back(buffer);
    }

    fn count_out(&mut self, buffer: &Vec<u8>) {
        self.bytes -= buffer.len();
        self.held -= buffer.capacity();
    }

    fn pop_first(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop_front()?;
        self.count_out(&buffer);
        Some(buffer)
    }

    fn pop_last(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop_back()?;
        self.count_out(&buffer);
        Some(buffer)
    }
}

impl Unsent {
    /// Whether all has been sent.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Bytes that are still to be sent.
    pub(super) fn bytes(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.bytes);
        self.first.len() - self.sent + rest
    }

    /// Bytes that the buffers take.
    pub(super) fn held(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.held);
        self.first.capacity() + rest
    }

    /// What is to be sent next; empty if nothing is.
    #[inline]
    pub(super) fn next(&self) -> &[u8] {
        self.first.get(self.sent..).unwrap_or_default()
    }

    /// `count` bytes of [`next`](Self::next) have been sent. A buffer that is done with.
    #[inline]
    pub(super) fn note_sent(&mut self, count: usize) -> Option<Vec<u8>> {
        self.sent += count;
        if self.sent < self.first.len() {
            return None;
        }
        self.sent = 0;
        let next = match &mut self.rest {
            None => Vec::new(),
            Some(rest) => rest.pop_first().unwrap_or_default(),
        };
        if next.is_empty() {
            self.rest = None;
        }
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Takes the last buffer out to be written to behind what it holds, if there is one that is
    /// not full. It must come back by [`put`](Self::put) before anything else is done here.
    #[inline]
    pub(super) fn take_last(&mut self) -> Option<Vec<u8>> {
        let last = match &self.rest {
            None => &self.first,
            Some(rest) => rest.buffers.back()?,
        };
        if last.is_empty() || last.len() >= FULL_BYTES {
            return None;
        }
        match &mut self.rest {
            None => Some(std::mem::take(&mut self.first)),
            Some(rest) => rest.pop_last(),
        }
    }

    /// Changes the last buffer, of which nothing may have been sent that changes.
    #[cold]
    pub(super) fn edit_last(&mut self, edit: impl FnOnce(&[u8]) -> Vec<u8>) {
        match &mut self.rest {
            None => self.first = edit(&self.first),
            Some(rest) => {
                let last = rest.pop_last().unwrap_or_default();
                rest.push(edit(&last));
            }
        }
    }

    /// Puts a buffer behind all others.
    #[inline]
    pub(super) fn put(&mut self, buffer: Vec<u8>) {
        if self.first.is_empty() {
            self.first = buffer;
        } else if !buffer.is_empty() {
            self.put_behind(buffer);
        }
    }

    #[cold]
    fn put_behind(&mut self, mut buffer: Vec<u8>) {
        if buffer.len() >= FULL_BYTES {
            // It grew by doubling, and will not grow any more.
            buffer.shrink_to_fit();
        }
        self.rest.get_or_insert_default().push(buffer);
    }

    /// Gives memory back of a buffer of which more than half is sent, so that each byte is moved
    /// once at most. Else a client that always has more to read than its socket takes would keep
    /// all that it ever read.
    pub(super) fn forget_sent(&mut self) {
        if self.sent > self.first.len() / 2 {
            self.first.drain(..self.sent);
            self.sent = 0;
            trim(&mut self.first);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes as a turn of a connection does.
    fn write(unsent: &mut Unsent, reply: &[u8]) {
        let mut out = unsent.take_last().unwrap_or_default();
        out.extend_from_slice(reply);
        unsent.put(out);
    }

    fn held_by(unsent: &Unsent) -> usize {
        let rest = unsent.rest.iter().flat_map(|rest| &rest.buffers);
        unsent.first.capacity() + rest.map(Vec::capacity).sum::<usize>()
    }

    #[test]
    fn much_is_kept_in_hardly_more_than_it_takes() {
        let mut unsent = Unsent::default();
        for _ in 0..3000 {
            write(&mut unsent, &[7; 10_000]);
        }
        assert_eq!(unsent.bytes(), 30_000_000);
        assert!(unsent.held() < 32_000_000, "{}", unsent.held());
        assert_eq!(unsent.held(), held_by(&unsent));
        // And less as it is sent, long before all of it is.
        while unsent.bytes() > 3_000_000 {
            let most = unsent.next().len().min(100_000);
            unsent.note_sent(most);
        }
        assert!(unsent.held() < 4_000_000, "{}", unsent.held());
    }

    #[test]
    fn a_single_buffer_forgets_what_is_sent_of_it() {
        let mut unsent = Unsent::default();
        write(&mut unsent, &[7; 100_000]);
        assert!(unsent.note_sent(50_000).is_none());
        unsent.forget_sent();
        assert_eq!((unsent.held(), unsent.bytes()), (100_000, 50_000));
        assert!(unsent.note_sent(40_000).is_none());
        unsent.forget_sent();
        assert_eq!((unsent.held(), unsent.bytes()), (20_000, 10_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_written_is_sent_once_and_in_order(
            steps in proptest::collection::vec((0usize..400_000, 0usize..300_000, any::<bool>()), 1..40)
        ) {
            let mut unsent = Unsent::default();
            let (mut written, mut sent) = (Vec::new(), Vec::new());
            for (number, (len, most, forget)) in steps.into_iter().enumerate() {
                let reply = vec![number as u8; len];
                written.extend_from_slice(&reply);
                write(&mut unsent, &reply);
                let next = unsent.next();
                let taken = next.get(..most).unwrap_or(next).to_vec();
                sent.extend_from_slice(&taken);
                if !unsent.is_empty() {
                    unsent.note_sent(taken.len());
                }
                if forget {
                    unsent.forget_sent();
                }
                prop_assert_eq!(unsent.bytes(), written.len() - sent.len());
                prop_assert_eq!(unsent.is_empty(), unsent.bytes() == 0);
                prop_assert_eq!(unsent.held(), held_by(&unsent));
            }
            while !unsent.is_empty() {
                let rest = unsent.next().to_vec();
                sent.extend_from_slice(&rest);
                unsent.note_sent(rest.len());
            }
            prop_assert_eq!(sent, written);
        }
    }
}
