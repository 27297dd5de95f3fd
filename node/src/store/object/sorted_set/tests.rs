//! Sorted sets against a sorted vector, small and big.

use super::*;
use proptest::prelude::*;

type Model = Vec<(f64, Vec<u8>)>;

const SMALL: PackedLimits = PackedLimits {
    entries: 12,
    bytes: 10,
};

fn encoding(set: &SortedSet) -> &'static str {
    if set.is_packed() {
        "listpack"
    } else {
        "skiplist"
    }
}

fn place(model: &Model, member: &[u8]) -> Option<usize> {
    model.iter().position(|(_, other)| other == member)
}

fn put(model: &mut Model, member: &[u8], score: f64) -> Option<f64> {
    let old = place(model, member).map(|at| model.remove(at).0);
    model.push((score, member.to_vec()));
    model.sort_by(|a, b| a.partial_cmp(b).unwrap());
    old
}

fn all(walk: Walk<'_>) -> Model {
    walk.map(|(member, score)| (score, member.to_vec()))
        .collect()
}

fn check(set: &SortedSet, model: &Model) {
    assert_eq!(set.len(), model.len());
    assert_eq!(set.is_empty(), model.is_empty());
    assert_eq!(&all(set.iter()), model);
    let mut backwards = all(set.range(0..set.len(), true));
    backwards.reverse();
    assert_eq!(&backwards, model);
    for (rank, (score, member)) in model.iter().enumerate() {
        assert_eq!(set.rank(member), Some(rank));
        assert_eq!(set.score(member), Some(*score));
    }
    let mut seen = Model::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 3, |member, score| {
            seen.push((score, member.to_vec()));
        });
        if cursor == 0 {
            break;
        }
    }
    seen.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(&seen, model);
}

fn within(model: &Model, bounds: &Bounds<'_>) -> Range<usize> {
    let fits = |(score, member): &(f64, Vec<u8>)| match *bounds {
        Bounds::Scores {
            min,
            without_min,
            max,
            without_max,
        } => {
            (*score > min || (!without_min && *score == min))
                && (*score < max || (!without_max && *score == max))
        }
        Bounds::Bytes { min, max } => {
            (match min {
                LexEnd::First => true,
                LexEnd::Last => false,
                LexEnd::With(end) => member.as_slice() >= end,
                LexEnd::Without(end) => member.as_slice() > end,
            }) && match max {
                LexEnd::First => false,
                LexEnd::Last => true,
                LexEnd::With(end) => member.as_slice() <= end,
                LexEnd::Without(end) => member.as_slice() < end,
            }
        }
    };
    match model.iter().position(fits) {
        Some(start) => start..start + model.iter().filter(|item| fits(item)).count(),
        None => 0..0,
    }
}

fn same_ranks(set: &SortedSet, model: &Model, bounds: &Bounds<'_>) {
    let (ours, theirs) = (set.ranks_within(bounds), within(model, bounds));
    assert_eq!(ours.len(), theirs.len(), "{bounds:?}");
    if !theirs.is_empty() {
        assert_eq!(ours, theirs, "{bounds:?}");
    }
}

fn member(n: u8) -> Vec<u8> {
    match n % 7 {
        0 => format!("{}", n / 7).into_bytes(),
        1 => format!("-{}", u32::from(n) * 1000).into_bytes(),
        2 if n > 200 => format!("{n:011}").into_bytes(),
        _ => format!("m{n}").into_bytes(),
    }
}

#[test]
fn scores_are_packed_as_redis_packs_them() {
    // From DUMPs of a redis-server 7.0.15.
    for (score, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (1e17, "100000000000000000"),
        (4.6e18, "4600000000000000000"),
        (1e19, "1e+19"),
        (1.0, "1"),
        (-17.0, "-17"),
        (1.5, "1.5"),
        (0.1, "0.10000000000000001"),
        (1e15, "1000000000000000"),
        (1e300, "1.0000000000000001e+300"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(packed::score_text(score), text.as_bytes());
    }
}

#[test]
fn packed_scores_come_back_as_they_were() {
    let scores = [
        0.1,
        1e300,
        5e-324,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e17,
        9_007_199_254_740_993.0,
        -3.0,
        f64::MAX,
    ];
    let mut set = SortedSet::default();
    for score in scores {
        let member = score.to_string();
        assert_eq!(set.set(member.as_bytes(), score, SMALL_AND_MANY), None);
        let found = set.score(member.as_bytes()).unwrap();
        assert_eq!(found.to_bits(), score.to_bits(), "{score}");
    }
    assert!(set.is_packed());
}

const SMALL_AND_MANY: PackedLimits = PackedLimits {
    entries: 100,
    bytes: 1000,
};

#[test]
fn it_becomes_big_at_its_limits() {
    let mut set = SortedSet::default();
    for n in 0..12u8 {
        set.set(&[n], 1.0, SMALL);
    }
    assert_eq!(encoding(&set), "listpack");
    // An update does not count, whatever the limits are by now.
    let none = PackedLimits {
        entries: 0,
        bytes: 0,
    };
    set.set(&[3], 7.0, none);
    assert_eq!(encoding(&set), "listpack");
    set.set(&[12], 1.0, SMALL);
    assert_eq!(encoding(&set), "skiplist");
    assert_eq!(set.score(&[3]), Some(7.0));
    let mut long = SortedSet::default();
    long.set(b"0123456789", 1.0, SMALL);
    assert_eq!(encoding(&long), "listpack");
    long.set(b"0123456789a", 1.0, SMALL);
    assert_eq!(encoding(&long), "skiplist");
}

#[test]
fn its_memory_is_told_about_right() {
    let mut set = SortedSet::default();
    for n in 0..1000u32 {
        set.set(format!("member:{n}").as_bytes(), f64::from(n), SMALL);
    }
    let each = set.0.memory() / 1000;
    assert!((50..100).contains(&each), "{each}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 4 } else { 256 },
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_what_a_sorted_vector_does(
        steps in proptest::collection::vec((0u8..8, any::<u8>(), -4i8..4, 0usize..12), 1..160)
    ) {
        let (mut set, mut model) = (SortedSet::default(), Model::new());
        for (step, name, score, rank) in steps {
            let member = member(name);
            match step {
                0..5 => {
                    let score = f64::from(score) / 2.0;
                    prop_assert_eq!(
                        set.set(&member, score, SMALL),
                        put(&mut model, &member, score)
                    );
                }
                5 | 6 => {
                    let old = place(&model, &member).map(|at| model.remove(at).0);
                    prop_assert_eq!(set.remove(&member), old);
                }
                _ => {
                    let end = model.len().min(rank + 2);
                    if rank < end {
                        prop_assert_eq!(&all(set.range(rank..end, false)), &model[rank..end]);
                        set.remove_ranks(rank..end);
                        model.drain(rank..end);
                    }
                }
            }
            prop_assert_eq!(set.rank(b"nobody"), None);
            let min = f64::from(score) / 2.0;
            for (without_min, without_max) in [(false, false), (true, false), (true, true)] {
                let max = min + (rank as f64) / 4.0;
                let bounds = Bounds::Scores { min, without_min, max, without_max };
                same_ranks(&set, &model, &bounds);
            }
        }
        check(&set, &model);
        let copy = SortedSet(set.0.duplicate());
        prop_assert_eq!(encoding(&copy), encoding(&set));
        drop(set);
        check(&copy, &model);
    }

    #[test]
    fn members_of_one_score_are_in_the_order_of_their_bytes(
        names in proptest::collection::vec(any::<u8>(), 0..40),
        ends in (any::<u8>(), any::<u8>(), 0u8..4, 0u8..4),
    ) {
        let (mut set, mut model) = (SortedSet::default(), Model::new());
        for name in names {
            let member = member(name);
            set.set(&member, 0.0, SMALL);
            put(&mut model, &member, 0.0);
        }
        let (min, max) = (member(ends.0), member(ends.1));
        let end = |text, kind| match kind {
            0 => LexEnd::First,
            1 => LexEnd::Last,
            2 => LexEnd::With(text),
            _ => LexEnd::Without(text),
        };
        let bounds = Bounds::Bytes { min: end(&min, ends.2), max: end(&max, ends.3) };
        same_ranks(&set, &model, &bounds);
    }
}
