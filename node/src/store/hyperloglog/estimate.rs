//! From registers to a number: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches" (arXiv:1702.01284), algorithm 6, which is what Redis has used since 5.0.

use super::{RANK_BITS, REGISTERS};

/// How often each rank occurs; ranks above 51 are not made from any element.
#[derive(Debug)]
pub(super) struct Histogram([u64; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Histogram {
    #[inline]
    pub(super) fn add(&mut self, rank: u8, registers: u64) {
        if let Some(count) = self.0.get_mut(usize::from(rank)) {
            *count += registers;
        }
    }

    fn of(&self, rank: u32) -> f64 {
        let count = self.0.get(rank as usize).copied().unwrap_or(0);
        // At most 16384, which is exact.
        count as f64
    }

    pub(super) fn estimate(&self) -> u64 {
        const ALPHA: f64 = 0.5 / std::f64::consts::LN_2;
        let m = REGISTERS as f64;
        let mut z = m * tau((m - self.of(RANK_BITS + 1)) / m);
        for rank in (1..=RANK_BITS).rev() {
            z = (z + self.of(rank)) * 0.5;
        }
        z += m * sigma(self.of(0) / m);
        let estimate = (ALPHA * m * m / z).round();
        if estimate.is_finite() {
            // Below 2^63 for any histogram with a register that an element can make.
            estimate as u64
        } else {
            // No element makes such registers; this is what Redis gives.
            1 << 63
        }
    }
}

/// Corrects for registers that are still zero.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Corrects for registers that cannot grow any more.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
