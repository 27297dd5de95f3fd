//! Medians and spreads.

/// The middle of some figures; of an even number, between the two in the middle. 0 of none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let sorted = sorted(figures);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = sorted.get(middle.saturating_sub(1)).copied();
    f64::midpoint(lower.unwrap_or(upper), upper)
}

/// How far apart the smallest and the largest lie, as a part of the median. 0 of none.
pub(crate) fn spread(figures: &[f64]) -> f64 {
    let sorted = sorted(figures);
    match (sorted.first(), sorted.last()) {
        (Some(first), Some(last)) if median(figures) > 0.0 => (last - first) / median(figures),
        _ => 0.0,
    }
}

fn sorted(figures: &[f64]) -> Vec<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert!(same(median(&[3.0, 1.0, 2.0]), 2.0));
        assert!(same(median(&[4.0, 1.0, 2.0, 3.0]), 2.5));
        assert!(same(median(&[7.0]), 7.0));
        assert!(same(median(&[]), 0.0));
    }

    #[test]
    fn the_spread_is_relative_to_the_median() {
        assert!(same(spread(&[9.0, 10.0, 12.0]), 0.3));
        assert!(same(spread(&[5.0]), 0.0));
        assert!(same(spread(&[]), 0.0));
    }
}
