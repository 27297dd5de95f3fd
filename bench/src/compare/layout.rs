//! Which processor does what.

use serde::Serialize;

use crate::affinity;
use crate::failure::{Failure, Outcome};

/// Processors and their work.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Layout {
    /// The subject's.
    pub(super) subject: Vec<usize>,
    /// Those of a subject with two threads: the generator's is among them if there is no other.
    pub(super) subject_two_threads: Vec<usize>,
    /// The generator's.
    pub(super) generator: usize,
    /// The primaries' behind a proxy, and a replica's: the generator's if there is no other.
    pub(super) primaries: Vec<usize>,
    /// All of them.
    pub(super) all: Vec<usize>,
}

impl Layout {
    /// Deals out the processors that this process may use.
    pub(super) fn new() -> Outcome<Self> {
        Self::of(&affinity::allowed()?)
    }

    fn of(allowed: &[usize]) -> Outcome<Self> {
        match allowed {
            [subject, generator] => Ok(Self {
                subject: vec![*subject],
                subject_two_threads: vec![*subject, *generator],
                generator: *generator,
                primaries: vec![*generator],
                all: allowed.to_vec(),
            }),
            [subject, generator, third, rest @ ..] => Ok(Self {
                subject: vec![*subject],
                subject_two_threads: vec![*subject, *third],
                generator: *generator,
                primaries: if rest.is_empty() {
                    vec![*third]
                } else {
                    rest.to_vec()
                },
                all: allowed.to_vec(),
            }),
            _ => {
                let text = "a subject and a generator need a processor each: two at least";
                Err(Failure::Missing(text.to_owned()))
            }
        }
    }

    /// In words, for the report.
    pub(super) fn describe(&self) -> String {
        let list = |cores: &[usize]| {
            let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
            cores.join(" and ")
        };
        let shares = |cores: &[usize]| {
            if cores.contains(&self.generator) {
                " (the generator's too)"
            } else {
                ""
            }
        };
        format!(
            "subject on processor {}, generator on {}; primaries behind a proxy on {}{}; a \
             subject with two threads on {}{}",
            list(&self.subject),
            self.generator,
            list(&self.primaries),
            shares(&self.primaries),
            list(&self.subject_two_threads),
            shares(&self.subject_two_threads),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processors_are_shared_and_more_are_not() {
        let two = Layout::of(&[0, 1]).unwrap();
        assert_eq!((two.subject.as_slice(), two.generator), (&[0][..], 1));
        assert_eq!(two.primaries, [1]);
        assert!(
            two.describe()
                .contains("two threads on 0 and 1 (the generator's too)")
        );
        let many = Layout::of(&[2, 3, 4, 6, 7]).unwrap();
        assert_eq!(many.subject_two_threads, [2, 4]);
        assert_eq!(many.primaries, [6, 7]);
        assert!(!many.describe().contains("too"));
        assert!(Layout::of(&[0]).is_err());
    }
}
