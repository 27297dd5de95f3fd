//! CRC-64 as Redis uses it (the polynomial of David T. Jones, reflected, no inversion), eight
//! bytes at a time.

/// The reflected polynomial.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[n][b]` is the CRC of byte `b` followed by `n` zero bytes.
static TABLES: [[u64; 256]; 8] = tables();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, with constant bounds"
)]
const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                (crc >> 1) ^ POLYNOMIAL
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter: u64 = tables[zeros - 1][byte];
            tables[zeros][byte] = (shorter >> 8) ^ tables[0][(shorter & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// A checksum in the making, for data that comes in pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crc64(u64);

impl Crc64 {
    /// The checksum of what has been added so far.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Adds what follows.
    pub fn update(&mut self, data: &[u8]) {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let at = |table: &[u64; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0);
        let (words, rest) = data.as_chunks::<8>();
        let mut crc = self.0;
        for word in words {
            let [a, b, c, d, e, f, g, h] = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
            crc = at(t7, a)
                ^ at(t6, b)
                ^ at(t5, c)
                ^ at(t4, d)
                ^ at(t3, e)
                ^ at(t2, f)
                ^ at(t1, g)
                ^ at(t0, h);
        }
        for byte in rest {
            let [low, ..] = crc.to_le_bytes();
            crc = (crc >> 8) ^ at(t0, low ^ byte);
        }
        self.0 = crc;
    }
}

/// The checksum of `data`.
#[must_use]
pub fn crc64(data: &[u8]) -> u64 {
    let mut crc = Crc64::default();
    crc.update(data);
    crc.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_algorithm() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(b""), 0);
    }

    fn bit_by_bit(data: &[u8]) -> u64 {
        data.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                (crc >> 1) ^ (POLYNOMIAL * (crc & 1))
            })
        })
    }

    proptest! {
        #[test]
        fn the_tables_agree_with_the_definition(
            data in proptest::collection::vec(any::<u8>(), 0..100),
            cut in 0usize..100,
        ) {
            prop_assert_eq!(crc64(&data), bit_by_bit(&data));
            let (first, second) = data.split_at(cut.min(data.len()));
            let mut pieces = Crc64::default();
            pieces.update(first);
            pieces.update(second);
            prop_assert_eq!(pieces.value(), crc64(&data));
        }
    }
}
