//! What goes into HyperLogLogs comes out of them, in either form, and nothing makes them panic.

use super::*;
use fastrand::Rng;

const SPARSE_MAX: usize = 3000;

fn with(elements: impl IntoIterator<Item = u64>, sparse_max: usize) -> Vec<u8> {
    let mut bytes = empty();
    for element in elements {
        add(&mut bytes, &element.to_le_bytes(), sparse_max).unwrap();
    }
    bytes
}

fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut registers = Registers::default();
    registers.merge(bytes).unwrap();
    registers.as_slice().to_vec()
}

/// What the registers should be, from the definition alone.
fn expected(elements: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut registers = vec![0; REGISTERS];
    for element in elements {
        let (index, rank) = hash::place(&element.to_le_bytes());
        registers[index] = rank.max(registers[index]);
    }
    registers
}

#[test]
fn an_empty_one_is_as_redis_writes_it() {
    assert_eq!(empty(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(estimate(&empty()), Ok(0));
    assert_eq!(describe(&empty()).as_deref(), Some("Z:16384"));
}

#[test]
fn both_forms_hold_the_same_registers() {
    for count in [0, 1, 10, 100, 1000, 2000] {
        let sparse = with(0..count, usize::MAX);
        let dense = with(0..count, 0);
        // These elements have no rank above 32, which no run can tell.
        assert_eq!(form(&sparse), Some(Form::Sparse), "{count}");
        assert_eq!(registers(&sparse), expected(0..count), "{count}");
        assert_eq!(registers(&dense), expected(0..count), "{count}");
        assert_eq!(estimate(&sparse), estimate(&dense), "{count}");
        let mut converted = sparse;
        assert_eq!(to_dense(&mut converted), Ok(true));
        assert_eq!(to_dense(&mut converted), Ok(false));
        assert_eq!(body(&converted).len(), dense::SIZE);
        assert_eq!(registers(&converted), expected(0..count), "{count}");
    }
}

#[test]
fn a_sparse_one_becomes_dense_where_it_would_grow_too_long() {
    let mut bytes = empty();
    for element in 0_u64.. {
        let before = bytes.len();
        add(&mut bytes, &element.to_le_bytes(), SPARSE_MAX).unwrap();
        if form(&bytes) == Some(Form::Dense) {
            assert!(before > SPARSE_MAX - 4, "{before}");
            assert_eq!(registers(&bytes), expected(0..=element));
            return;
        }
        assert!(bytes.len() <= SPARSE_MAX);
    }
}

#[test]
fn a_rank_above_32_needs_the_dense_form() {
    let mut bytes = empty();
    let mut start = sparse::Start::default();
    assert_eq!(raise(&mut bytes, 7, 32, &mut start, SPARSE_MAX), Ok(true));
    assert_eq!(form(&bytes), Some(Form::Sparse));
    assert_eq!(raise(&mut bytes, 7, 32, &mut start, SPARSE_MAX), Ok(false));
    assert_eq!(raise(&mut bytes, 7, 33, &mut start, SPARSE_MAX), Ok(true));
    assert_eq!(form(&bytes), Some(Form::Dense));
    assert_eq!(registers(&bytes)[7], 33);
}

#[test]
fn the_estimate_is_close() {
    let mut random = Rng::with_seed(4);
    for count in [1_u64, 10, 100, 1000, 10_000, 100_000] {
        let salt = random.u64(..);
        let bytes = with((0..count).map(|n| n ^ salt), SPARSE_MAX);
        let estimate = estimate(&bytes).unwrap();
        // Six times the standard error.
        assert!(
            estimate.abs_diff(count) <= count / 20 + 1,
            "{estimate} of {count}"
        );
    }
}

#[test]
fn the_cached_estimate_lasts_until_something_changes() {
    let mut bytes = with(0..10, SPARSE_MAX);
    assert_eq!(cached(&bytes), None);
    set_cached(&mut bytes, 10);
    assert_eq!(cached(&bytes), Some(10));
    add(&mut bytes, &3_u64.to_le_bytes(), SPARSE_MAX).unwrap();
    assert_eq!(cached(&bytes), Some(10));
    add(&mut bytes, &10_u64.to_le_bytes(), SPARSE_MAX).unwrap();
    assert_eq!(cached(&bytes), None);
}

#[test]
fn merging_raises_each_register_to_the_greatest() {
    let mut random = Rng::with_seed(5);
    for _ in 0..20 {
        let (a, b) = (random.u64(0..3000), random.u64(0..3000));
        let mut sum = Registers::default();
        sum.merge(&with(0..a, SPARSE_MAX)).unwrap();
        sum.merge(&with(1000..1000 + b, SPARSE_MAX)).unwrap();
        let all = || (0..a).chain(1000..1000 + b);
        assert_eq!(sum.as_slice(), expected(all()));
        assert_eq!(Ok(sum.estimate()), estimate(&with(all(), SPARSE_MAX)));
        let mut target = with(0..a, SPARSE_MAX);
        sum.raise_in(&mut target, SPARSE_MAX).unwrap();
        assert_eq!(registers(&target), expected(all()));
        assert_eq!(cached(&target), None);
    }
}

/// Starting a search where the one before ended must not change what comes out.
#[test]
fn registers_raised_in_order_come_out_as_raised_one_by_one() {
    let mut random = Rng::with_seed(6);
    for _ in 0..60 {
        let base = with(0..random.u64(0..300), usize::MAX);
        let mut more = Registers::default();
        let many = random.usize(1..400);
        let from = random.usize(0..REGISTERS - 2000);
        for _ in 0..many {
            more.0[from + random.usize(0..2000)] = random.u8(1..4);
        }
        let (mut quick, mut plain) = (base.clone(), base);
        more.raise_in(&mut quick, usize::MAX).unwrap();
        for (index, rank) in more.as_slice().iter().enumerate() {
            if *rank > 0 {
                let mut start = sparse::Start::default();
                raise(&mut plain, index, *rank, &mut start, usize::MAX).unwrap();
            }
        }
        forget_cached(&mut plain);
        assert_eq!(quick, plain);
    }
}

#[test]
fn what_is_no_hyperloglog_is_told_from_a_corrupted_one() {
    let dense = with(0..10, 0);
    for bytes in [
        b"".as_slice(),
        b"HYLL",
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0",
        b"hYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff",
        b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff",
        &dense[..dense.len() - 1],
    ] {
        assert_eq!(form(bytes), None, "{bytes:?}");
        assert_eq!(estimate(bytes), Err(Corrupted), "{bytes:?}");
    }
    for runs in [
        b"".as_slice(),
        b"\x7f",
        b"\x7f\xfe",
        b"\x7f\xff\x00",
        b"\x7f\xff\x80",
    ] {
        let mut bytes = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
        bytes.extend_from_slice(runs);
        assert_eq!(form(&bytes), Some(Form::Sparse));
        assert_eq!(estimate(&bytes), Err(Corrupted), "{runs:?}");
        let before = bytes.clone();
        assert_eq!(to_dense(&mut bytes), Err(Corrupted), "{runs:?}");
        assert_eq!(bytes, before);
        let merged = Registers::default().merge(&bytes);
        assert_eq!(merged, Err(Corrupted), "{runs:?}");
    }
}

#[test]
fn registers_that_no_element_makes_give_redis_s_estimate() {
    let mut bytes = with(0..1, 0);
    bytes[HEADER..].fill(0xff);
    assert_eq!(estimate(&bytes), Ok(1 << 63));
}
