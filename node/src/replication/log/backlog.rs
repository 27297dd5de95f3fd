//! The merged log: a chain of blocks, of which the old ones go.
//!
//! ```text
//! start                                            end
//!   ├──── block ────┼──── block ────┼─ open ─┄┄┄┤
//!            ▲ a reader                ▲ another
//! ```
//!
//! A block stays while a reader has not read it, and while it is among the last bytes that are kept
//! for readers to come. Who limits how far readers may lag is whoever reads for them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bytes of a block. What a reader gets is at most that.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;
/// What is open is copied for a reader that wants less than this; more becomes a block, so that it
/// need not be.
const COPIED_MAX: usize = 4 * 1024;

/// Bytes for a reader.
pub(super) type Chunk = Bytes;

#[derive(Debug)]
pub(super) struct Backlog {
    /// Whole blocks, of any length, oldest first, and where each ends.
    blocks: VecDeque<(u64, Bytes)>,
    /// The first byte of the first block.
    start: u64,
    /// What comes next is added here, until it is a block.
    open: BytesMut,
    /// The byte that comes next.
    end: u64,
    /// So many are kept for readers to come.
    kept: u64,
    /// Where each reader is.
    readers: Vec<Option<u64>>,
}

impl Backlog {
    pub(super) fn new(start: u64) -> Self {
        Self {
            blocks: VecDeque::new(),
            start,
            open: BytesMut::new(),
            end: start,
            kept: 0,
            readers: Vec::new(),
        }
    }

    /// Forgets all, and goes on at `start`. Who reads is let go.
    pub(super) fn restart(&mut self, start: u64) {
        let (kept, readers) = (self.kept, self.readers.len());
        *self = Self::new(start);
        self.kept = kept;
        self.readers = vec![None; readers];
    }

    pub(super) fn keep(&mut self, bytes: u64) {
        self.kept = bytes;
        self.trim();
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.open.capacity() == self.open.len() {
                self.close_block();
                self.open = BytesMut::with_capacity(BLOCK_BYTES);
            }
            let room = self.open.capacity().saturating_sub(self.open.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.extend_from_slice(now);
            self.end = self.end.wrapping_add(now.len() as u64);
            bytes = later;
        }
    }

    /// What is open is a block; what comes next uses the memory behind it.
    fn close_block(&mut self) {
        if !self.open.is_empty() {
            let block = self.open.split().freeze();
            self.blocks.push_back((self.end, block));
        }
    }

    /// A reader from `offset` on, by its number; `None` if that is gone, or has not come.
    pub(super) fn open(&mut self, offset: u64) -> Option<usize> {
        if offset < self.start || offset > self.end {
            return None;
        }
        let free = self.readers.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.readers.push(None);
            self.readers.len() - 1
        });
        *self.readers.get_mut(number)? = Some(offset);
        Some(number)
    }

    pub(super) fn close(&mut self, number: usize) {
        if let Some(reader) = self.readers.get_mut(number) {
            *reader = None;
        }
        self.trim();
    }

    /// Where a reader is; `None` if it was let go.
    pub(super) fn position(&self, number: usize) -> Option<u64> {
        *self.readers.get(number)?
    }

    /// What a reader has next, which may be nothing; `None` if it was let go.
    pub(super) fn read(&mut self, number: usize) -> Option<Chunk> {
        let position = self.position(number)?;
        let open_start = self.end.wrapping_sub(self.open.len() as u64);
        if position >= open_start {
            let skipped = usize::try_from(position.wrapping_sub(open_start)).ok()?;
            let rest = self.open.get(skipped..).unwrap_or_default();
            if rest.len() < COPIED_MAX {
                return Some(Bytes::copy_from_slice(rest));
            }
            self.close_block();
        }
        let found = self.blocks.partition_point(|(end, _)| *end <= position);
        let (end, block) = self.blocks.get(found)?;
        let left = usize::try_from(end.wrapping_sub(position)).ok()?;
        Some(block.slice(block.len().saturating_sub(left)..))
    }

    /// A reader has done with so many bytes.
    pub(super) fn advance(&mut self, number: usize, bytes: u64) {
        if let Some(Some(position)) = self.readers.get_mut(number) {
            *position = position.wrapping_add(bytes);
        }
    }

    /// Lets go what nobody needs: whole blocks, and with the last of them what is open.
    pub(super) fn trim(&mut self) {
        let kept_from = self.end.saturating_sub(self.kept);
        let needed = self.readers.iter().flatten().min();
        let needed = needed.map_or(kept_from, |first| kept_from.min(*first));
        while let Some((end, _)) = self.blocks.front() {
            if *end > needed {
                return;
            }
            self.start = *end;
            self.blocks.pop_front();
        }
        if needed == self.end {
            self.open.clear();
            self.start = self.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(backlog: &mut Backlog, number: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let chunk = backlog.read(number).unwrap();
            if chunk.is_empty() {
                return all;
            }
            all.extend_from_slice(&chunk);
            backlog.advance(number, chunk.len() as u64);
        }
    }

    #[test]
    fn what_nobody_needs_goes_and_what_is_kept_stays() {
        let mut backlog = Backlog::new(100);
        backlog.keep(BLOCK_BYTES as u64);
        for _ in 0..10 {
            backlog.push(&[7; BLOCK_BYTES / 2 + 1]);
            backlog.trim();
        }
        let Range { start, end } = backlog.range();
        assert_eq!(end, 100 + 10 * (BLOCK_BYTES as u64 / 2 + 1));
        let length = end - start;
        assert!((BLOCK_BYTES as u64..3 * BLOCK_BYTES as u64).contains(&length));
        assert_eq!(backlog.open(start - 1), None);
        assert_eq!(backlog.open(end + 1), None);
        let slow = backlog.open(start).unwrap();
        for _ in 0..10 {
            backlog.push(&[7; BLOCK_BYTES]);
            backlog.trim();
        }
        assert_eq!(backlog.range().start, start);
        assert_eq!(
            drain(&mut backlog, slow).len() as u64,
            backlog.range().end - start
        );
        backlog.close(slow);
        assert!(backlog.range().start > start);
        backlog.keep(0);
        assert!(backlog.range().is_empty());
    }

    #[test]
    fn a_restart_lets_readers_go() {
        let mut backlog = Backlog::new(0);
        backlog.push(b"abc");
        let reader = backlog.open(1).unwrap();
        backlog.restart(50);
        assert_eq!(backlog.read(reader), None);
        assert_eq!(backlog.range(), 50..50);
        let reader = backlog.open(50).unwrap();
        backlog.push(b"x");
        assert_eq!(drain(&mut backlog, reader), b"x");
    }

    proptest! {
        /// Readers that come and go at any time each read the bytes from where they began.
        #[test]
        fn readers_see_contiguous_bytes(
            steps in prop::collection::vec((0usize..3, 0usize..100_000), 1..60),
        ) {
            let mut backlog = Backlog::new(0);
            backlog.keep(1000);
            let (mut all, mut readers): (Vec<u8>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
            for (what, size) in steps {
                match what {
                    0 => {
                        let bytes: Vec<u8> = (0..size).map(|n| (n * 31 + all.len()) as u8).collect();
                        backlog.push(&bytes);
                        all.extend_from_slice(&bytes);
                    }
                    1 => {
                        let from = backlog.range().start as usize;
                        let at = from + size % (all.len() - from + 1);
                        let number = backlog.open(at as u64);
                        readers.push((number.unwrap(), at));
                    }
                    _ => {
                        if let Some((number, at)) = readers.pop() {
                            prop_assert_eq!(&drain(&mut backlog, number), &all[at..]);
                            backlog.close(number);
                        }
                    }
                }
                backlog.trim();
            }
        }
    }
}
