//! Commands that cost much, or work on large values.

use super::line::{Line, fill};
use crate::compare::Bench;
use crate::compare::measure::Comparison;
use crate::compare::subject::Subject;
use crate::failure::Outcome;
use crate::note;
use crate::workload::Template;

/// Members of the big sorted set.
const MEMBERS: u64 = 1_000_000;
/// Places on the globe.
const PLACES: u64 = 100_000;
/// Fields of the hash that is read whole.
const FIELDS: u64 = 1000;
/// Members of each of two sets, half of which are the other's too.
const UNITED: u64 = 10_000;
/// Bytes whose bits are counted.
const BITMAP_BYTES: usize = 1 << 20;

/// Measures every line on subjects that hold the same.
pub(super) fn run(bench: &Bench, subjects: &mut [Subject]) -> Outcome<Vec<Comparison>> {
    let scale = if bench.options.quick { 20 } else { 1 };
    for subject in subjects.iter() {
        note(&format!("filling {}", subject.name));
        prepare(subject, scale)?;
    }
    let mut lines = lines(bench.options.requests, scale);
    for line in &lines {
        line.check(subjects)?;
    }
    for round in 0..bench.options.rounds * super::ROUNDS {
        for line in &mut lines {
            line.measure(subjects, round)?;
        }
    }
    let finish = lines.into_iter().map(|line| line.finish(subjects));
    Ok(finish.collect())
}

/// Fills a subject; `scale` divides what is large.
fn prepare(subject: &Subject, scale: u64) -> Outcome<()> {
    let all = |line, count| fill(subject, line, count, count);
    all("ZADD scores {r} element:{n}", MEMBERS / scale)?;
    // A degree each way: about 8,700 km², so a circle of 1 km holds some 36.
    fill(
        subject,
        "GEOADD places 5.{r} 45.{r} place:{n}",
        100_000_000,
        PLACES / scale,
    )?;
    all("HSET fields field:{n} {r}..", FIELDS)?;
    all("SADD left element:{n}", UNITED)?;
    all("SADD right element:{n}", UNITED / 2)?;
    all("SADD right another:{n}", UNITED / 2)?;
    all("PFADD visitors visitor:{n}", MEMBERS / scale)?;
    let mut random = fastrand::Rng::with_seed(1);
    let bytes: Vec<u8> = (0..BITMAP_BYTES).map(|_| random.u8(..)).collect();
    subject.client()?.call(&[&b"SET"[..], b"bits", &bytes])?;
    Ok(())
}

fn lines(requests: u64, scale: u64) -> Vec<Line> {
    let of = |name, text, range, weight: u64| {
        let template = Template::new(text, range);
        Line::new(name, template, (requests / weight).max(50))
    };
    let member = |name, text| of(name, text, MEMBERS / scale, 1);
    let long = |name, text, weight| of(name, text, 1, weight).constant().long();
    let anything = |name, text, weight| of(name, text, 100_000_000, weight);
    vec![
        member("ZADD, 1M members", "ZADD scores {r} element:{n}"),
        member("ZRANK, 1M members", "ZRANK scores element:{n}"),
        member(
            "ZRANGEBYSCORE of 10, 1M members",
            "ZRANGEBYSCORE scores {n} +inf LIMIT 0 10",
        ),
        long("HGETALL, 1,000 fields", "HGETALL fields", 50),
        long("SUNION, 2 × 10,000 members", "SUNION left right", 2000),
        anything("PFADD", "PFADD visitors visitor:{n}", 1),
        anything(
            "GEOSEARCH of 36 among 100,000",
            "GEOSEARCH places FROMLONLAT 5.{r} 45.{r} BYRADIUS 1 km ASC",
            10,
        ),
        long("BITCOUNT, 1 MB", "BITCOUNT bits", 100),
    ]
}
