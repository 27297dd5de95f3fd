//! The elements that SORT sorts, and what it sorts them by.

use std::cmp::Ordering;
use std::ops::Range;

use super::super::CommandError;
use super::super::double::parse_weight;
use super::pattern::Pattern;
use crate::store::{Db, Digits, Item};

/// Copies of elements, with their weights once there are some: what they are copied from may be
/// looked up and changed meanwhile.
#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// Where a text lies among the bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    element: Span,
    weight: Weight,
}

/// What an element is sorted by.
#[derive(Clone, Copy, Debug)]
enum Weight {
    Number(f64),
    /// What its key has, if anything.
    Text(Option<Span>),
}

impl Rows {
    /// Adds an element.
    pub(super) fn push(&mut self, element: &[u8]) {
        let element = self.keep(element);
        let weight = Weight::Text(Some(element));
        self.rows.push(Row { element, weight });
    }

    /// Adds an element.
    pub(super) fn push_item(&mut self, element: Item<'_>) {
        self.push(element.text(&mut Digits::default()));
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The elements, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.iter().map(|row| self.text(row.element))
    }

    /// Weighs all elements by what a pattern leads to; if not as texts, then as numbers.
    pub(super) fn weigh(
        &mut self,
        db: &mut Db<'_>,
        by: &Pattern,
        is_alpha: bool,
    ) -> Result<(), CommandError> {
        if is_alpha && *by == Pattern::Element {
            // As they are pushed.
            return Ok(());
        }
        let mut key = Vec::new();
        for at in 0..self.rows.len() {
            let Some(element) = self.rows.get(at).map(|row| row.element) else {
                break;
            };
            let mut text = None;
            let mut number = Some(0.0);
            by.look_up(db, self.text(element), &mut key, |found| {
                if is_alpha {
                    text = found.map(<[u8]>::to_vec);
                } else if let Some(found) = found {
                    number = parse_weight(found);
                }
            });
            let weight = if is_alpha {
                Weight::Text(text.map(|text| self.keep(&text)))
            } else {
                let number = number.ok_or(CommandError::fixed(
                    "ERR One or more scores can't be converted into double",
                ))?;
                Weight::Number(number)
            };
            if let Some(row) = self.rows.get_mut(at) {
                row.weight = weight;
            }
        }
        Ok(())
    }

    /// Sorts by the weights, and keeps what is then in a window.
    pub(super) fn sort(&mut self, window: &Range<usize>, is_descending: bool) {
        let mut rows = std::mem::take(&mut self.rows);
        let order = |a: &Row, b: &Row| {
            let order = self.compare(a, b);
            if is_descending {
                order.reverse()
            } else {
                order
            }
        };
        if window.is_empty() {
            rows.clear();
        }
        // What is outside of the window need not be in order.
        if window.end < rows.len() {
            rows.select_nth_unstable_by(window.end, order);
            rows.truncate(window.end);
        }
        if window.start > 0 && window.start < rows.len() {
            rows.select_nth_unstable_by(window.start, order);
            rows.drain(..window.start);
        }
        rows.sort_unstable_by(order);
        self.rows = rows;
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let text = |span: Option<Span>| span.map(|span| self.text(span));
        let by_weight = match (a.weight, b.weight) {
            // None is not a number.
            (Weight::Number(a), Weight::Number(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Weight::Text(a), Weight::Text(b)) => text(a).cmp(&text(b)),
            _ => Ordering::Equal,
        };
        by_weight.then_with(|| self.text(a.element).cmp(self.text(b.element)))
    }

    fn keep(&mut self, text: &[u8]) -> Span {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(text);
        let to = self.bytes.len();
        Span { from, to }
    }

    fn text(&self, span: Span) -> &[u8] {
        self.bytes.get(span.from..span.to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Sorting a window alone gives what sorting all and cutting gives.
        #[test]
        fn a_window_is_a_part_of_the_whole(
            elements in proptest::collection::vec("[a-c]{0,3}", 0..40),
            start in 0usize..45,
            count in 0usize..45,
            is_descending in any::<bool>(),
        ) {
            let mut rows = Rows::default();
            elements.iter().for_each(|element| rows.push(element.as_bytes()));
            let start = start.min(elements.len());
            let window = start..(start + count).min(elements.len());
            rows.sort(&window, is_descending);
            let mut expected = elements;
            expected.sort();
            if is_descending {
                expected.reverse();
            }
            let got: Vec<&[u8]> = rows.iter().collect();
            let expected: Vec<&[u8]> = expected[window].iter().map(String::as_bytes).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
