//! Integers of any size: just enough arithmetic to read and write numbers exactly.

use std::fmt;

/// 32-bit digits, the lowest first, without zeros at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(number: u64) -> Self {
        let mut big = Self(vec![number as u32, (number >> 32) as u32]);
        big.trim();
        big
    }
}

impl Big {
    pub(super) fn from_decimal(digits: &[u8]) -> Self {
        digits.iter().fold(Self(Vec::new()), |mut big, digit| {
            big.scale(10, u32::from(digit - b'0'));
            big
        })
    }

    pub(super) fn from_hexadecimal(digits: &[u8]) -> Self {
        digits.iter().fold(Self(Vec::new()), |mut big, digit| {
            big.scale(16, char::from(*digit).to_digit(16).unwrap_or(0));
            big
        })
    }

    pub(super) fn power_of_ten(power: u64) -> Self {
        let mut big = Self::from(1);
        for _ in 0..power / 9 {
            big.scale(1_000_000_000, 0);
        }
        big.scale(10u32.pow((power % 9) as u32), 0);
        big
    }

    /// How many bits it has.
    pub(super) fn bits(&self) -> u32 {
        let Some(top) = self.0.last() else {
            return 0;
        };
        (self.0.len() as u32) * 32 - top.leading_zeros()
    }

    /// × `factor` + `more`.
    fn scale(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for digit in &mut self.0 {
            let product = u64::from(*digit) * u64::from(factor) + carry;
            *digit = product as u32;
            carry = product >> 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = Self(Vec::new());
        for digit in other.0.iter().rev() {
            product.0.insert(0, 0);
            let mut row = self.clone();
            row.scale(*digit, 0);
            product.add(&row);
        }
        product.trim();
        product
    }

    fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        let mut carry = 0;
        let others = other.0.iter().chain(std::iter::repeat(&0));
        for (digit, other) in self.0.iter_mut().zip(others) {
            let sum = u64::from(*digit) + u64::from(*other) + carry;
            *digit = sum as u32;
            carry = sum >> 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    /// × 2^`places`.
    pub(super) fn shifted(&self, places: u32) -> Self {
        let mut big = self.clone();
        big.scale(1 << (places % 32), 0);
        if !big.0.is_empty() {
            let zeros = std::iter::repeat_n(0, (places / 32) as usize);
            big.0.splice(0..0, zeros);
        }
        big
    }

    fn at_least(&self, other: &Self) -> bool {
        let order = self.0.len().cmp(&other.0.len());
        order
            .then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
            .is_ge()
    }

    /// Takes away `other`, which is no larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0;
        let others = other.0.iter().chain(std::iter::repeat(&0));
        for (digit, other) in self.0.iter_mut().zip(others) {
            let difference = i64::from(*digit) - i64::from(*other) - borrow;
            // Modulo 2^32: the borrow is what it wraps by.
            *digit = difference as u32;
            borrow = i64::from(difference < 0);
        }
        self.trim();
    }

    /// The quotient, which must have at most 128 bits, and whether nothing is left.
    pub(super) fn divided(&self, divisor: &Self) -> (u128, bool) {
        let mut rest = self.clone();
        let mut quotient = 0;
        let places = (self.bits() + 1).saturating_sub(divisor.bits());
        for place in (0..=places).rev() {
            let part = divisor.shifted(place);
            quotient <<= 1;
            if rest.at_least(&part) {
                rest.subtract(&part);
                quotient |= 1;
            }
        }
        (quotient, rest.0.is_empty())
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 1_000_000_000;
        let mut big = self.clone();
        let mut chunks = Vec::new();
        while !big.0.is_empty() {
            let mut rest = 0;
            for digit in big.0.iter_mut().rev() {
                let number = rest << 32 | u64::from(*digit);
                *digit = (number / CHUNK) as u32;
                rest = number % CHUNK;
            }
            big.trim();
            chunks.push(rest);
        }
        write!(f, "{}", chunks.pop().unwrap_or(0))?;
        chunks
            .iter()
            .rev()
            .try_for_each(|chunk| write!(f, "{chunk:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(number: u128) -> Big {
        Big::from_decimal(number.to_string().trim_start_matches('0').as_bytes())
    }

    proptest! {
        #[test]
        fn it_agrees_with_128_bits(a in any::<u64>(), b in 1u64.., places in 0u32..60) {
            let (wide_a, wide_b) = (u128::from(a), u128::from(b));
            prop_assert_eq!(big(wide_a).times(&big(wide_b)), big(wide_a * wide_b));
            prop_assert_eq!(Big::from(a).shifted(places).to_string(), (wide_a << places).to_string());
            let product = big(wide_a * wide_b);
            prop_assert_eq!(product.divided(&Big::from(b)), (wide_a, true));
            prop_assert_eq!(Big::from(a).divided(&Big::from(b)), (wide_a / wide_b, a % b == 0));
            prop_assert_eq!(product.bits(), 128 - (wide_a * wide_b).leading_zeros());
        }
    }

    #[test]
    fn powers_and_bases() {
        assert_eq!(
            Big::power_of_ten(30).to_string(),
            format!("1{}", "0".repeat(30))
        );
        assert_eq!(
            Big::from_hexadecimal(b"deadbeefdeadbeef"),
            Big::from(0xdead_beef_dead_beef)
        );
        assert_eq!(Big::from(0).to_string(), "0");
    }
}
