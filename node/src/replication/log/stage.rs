//! From what each thread has appended to one sequence.
//!
//! ```text
//! stage 0   [0..40)          [90..120)                    the places say where each run belongs
//! stage 1           [40..90)           [120..130)
//! merged    0────────────────────────────────────130
//! ```

use std::collections::VecDeque;

use smallvec::SmallVec;

/// Bytes of one thread, in ascending places.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    runs: VecDeque<Run>,
    /// How many of `bytes` have been merged.
    merged: usize,
}

/// Bytes that lie together in the sequence.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: u64,
    len: usize,
}

/// An emptied buffer larger than this is freed.
const KEPT_BYTES: usize = 1024 * 1024;

impl Batch {
    /// Adds bytes whose place is behind all that there are.
    pub(super) fn push(&mut self, at: u64, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        match self.runs.back_mut() {
            Some(last) if last.at.wrapping_add(last.len as u64) == at => {
                last.len = last.len.saturating_add(bytes.len());
            }
            _ => self.runs.push_back(Run {
                at,
                len: bytes.len(),
            }),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.runs.clear();
        self.merged = 0;
    }

    /// The bytes at `place`, if it has them next.
    fn take(&mut self, place: u64) -> Option<&[u8]> {
        let run = self.runs.front().filter(|run| run.at == place)?;
        let start = self.merged;
        self.merged = start.saturating_add(run.len);
        self.runs.pop_front();
        self.bytes.get(start..self.merged)
    }
}

/// Puts the batches of all stages into one sequence.
#[derive(Debug)]
pub(super) struct Merge {
    /// Of each stage, what has been taken out of it and is not merged yet.
    taken: Vec<Batch>,
    /// The stages of which there is something in `taken`.
    busy: SmallVec<[usize; 8]>,
    /// The place that is next.
    next: u64,
}

impl Merge {
    pub(super) fn new(stages: usize, next: u64) -> Self {
        Self {
            taken: (0..stages).map(|_| Batch::default()).collect(),
            busy: SmallVec::new(),
            next,
        }
    }

    /// Takes what a stage has, which is empty then.
    pub(super) fn take(&mut self, stage: usize, batch: &mut Batch) {
        let Some(taken) = self.taken.get_mut(stage) else {
            return;
        };
        if taken.is_empty() {
            taken.clear();
            std::mem::swap(taken, batch);
            self.busy.push(stage);
            return;
        }
        // What was taken before waits for what another stage had not yet, at that time.
        let mut start = batch.merged;
        for run in &batch.runs {
            let end = start.saturating_add(run.len);
            taken.push(run.at, batch.bytes.get(start..end).unwrap_or_default());
            start = end;
        }
        batch.clear();
    }

    /// Hands all that lies together from the next place on to `push`, in order.
    pub(super) fn run(&mut self, mut push: impl FnMut(&[u8])) {
        let mut is_found = true;
        while is_found {
            is_found = false;
            for stage in &self.busy {
                let Some(batch) = self.taken.get_mut(*stage) else {
                    continue;
                };
                while let Some(bytes) = batch.take(self.next) {
                    self.next = self.next.wrapping_add(bytes.len() as u64);
                    push(bytes);
                    is_found = true;
                }
            }
        }
        let taken = &self.taken;
        self.busy
            .retain(|stage| taken.get(*stage).is_some_and(|batch| !batch.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whoever appends when, and whoever is asked when: what comes out is the sequence.
        #[test]
        fn any_order_of_taking_gives_the_sequence(
            appends in prop::collection::vec((0usize..4, 1usize..20), 1..200),
            takes in prop::collection::vec(0usize..8, 200),
        ) {
            let mut merge = Merge::new(4, 7);
            let mut stages: Vec<Batch> = (0..4).map(|_| Batch::default()).collect();
            let (mut all, mut merged) = (Vec::new(), Vec::new());
            for (n, ((stage, len), asked)) in appends.iter().zip(takes).enumerate() {
                let bytes = vec![n as u8; *len];
                stages[*stage].push(7 + all.len() as u64, &bytes);
                all.extend_from_slice(&bytes);
                if let Some(batch) = stages.get_mut(asked) {
                    merge.take(asked, batch);
                    merge.run(|bytes| merged.extend_from_slice(bytes));
                    prop_assert!(all.starts_with(&merged));
                }
            }
            for (number, batch) in stages.iter_mut().enumerate() {
                merge.take(number, batch);
            }
            merge.run(|bytes| merged.extend_from_slice(bytes));
            prop_assert_eq!(merged, all);
        }
    }
}
