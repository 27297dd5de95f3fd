//! The commands of redis-benchmark 7.0.15, in its order, with its keys and values.

use super::line::Line;
use crate::compare::Bench;
use crate::compare::measure::Comparison;
use crate::compare::subject::Subject;
use crate::failure::Outcome;
use crate::note;
use crate::workload::Template;

/// With random keys, how many there are.
const RANDOM_KEYS: u64 = 1_000_000;

/// Which keys and elements: redis-benchmark puts random numbers into them only if told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// The same each time.
    Fixed,
    /// Any of [`RANDOM_KEYS`].
    Random,
}

impl Keys {
    /// The option of redis-benchmark.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Fixed => "as it is".to_owned(),
            Self::Random => format!("-r {RANDOM_KEYS}"),
        }
    }
}

/// Measures every line once a round; each round begins with empty subjects.
pub(super) fn run(bench: &Bench, subjects: &mut [Subject], keys: Keys) -> Outcome<Vec<Comparison>> {
    let mut lines = lines(keys, bench.options.requests);
    for round in 0..bench.options.rounds * super::ROUNDS {
        note(&format!("redis-benchmark's list, round {}", round + 1));
        for subject in subjects.iter() {
            subject.client()?.text("FLUSHALL SYNC")?;
        }
        for line in &mut lines {
            if line.is_constant {
                line.check(subjects)?;
            }
            line.measure(subjects, round)?;
        }
    }
    let finish = lines.into_iter().map(|line| line.finish(subjects));
    Ok(finish.collect())
}

/// The list. What takes long is sent fewer times than `requests`.
fn lines(keys: Keys, requests: u64) -> Vec<Line> {
    let line = |name, text: &str, weight| {
        let number = match keys {
            Keys::Fixed => "__rand_int__",
            Keys::Random => "0000{r}",
        };
        let template = Template::new(&text.replace("#", number), RANDOM_KEYS);
        Line::new(name, template, requests / weight)
    };
    let score = if keys == Keys::Random { "#" } else { "0" };
    let mset = format!("MSET{}", " key:# xxx".repeat(10));
    vec![
        Line::new("PING_INLINE", Template::inline("PING"), requests).constant(),
        line("PING_MBULK", "PING", 1).constant(),
        line("SET", "SET key:# xxx", 1).constant(),
        line("GET", "GET key:#", 1),
        line("INCR", "INCR counter:#", 1),
        line("LPUSH", "LPUSH mylist xxx", 1),
        line("RPUSH", "RPUSH mylist xxx", 1),
        line("LPOP", "LPOP mylist", 1),
        line("RPOP", "RPOP mylist", 1),
        line("SADD", "SADD myset element:#", 1),
        line("HSET", "HSET myhash element:# xxx", 1),
        line("SPOP", "SPOP myset", 1),
        line("ZADD", &format!("ZADD myzset {score} element:#"), 1),
        line("ZPOPMIN", "ZPOPMIN myzset", 1),
        line("LPUSH (for LRANGE)", "LPUSH mylist xxx", 1),
        line("LRANGE_100", "LRANGE mylist 0 99", 5).constant(),
        line("LRANGE_300", "LRANGE mylist 0 299", 10).constant(),
        line("LRANGE_500", "LRANGE mylist 0 499", 15).constant(),
        line("LRANGE_600", "LRANGE mylist 0 599", 20).constant(),
        line("MSET", &mset, 5).constant(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_redis_benchmarks() {
        for keys in [Keys::Fixed, Keys::Random] {
            let lines = lines(keys, 100);
            assert_eq!(lines.len(), 20);
            let request =
                |at: usize| String::from_utf8(lines[at].template.request_of(12_345)).unwrap();
            let zadd = request(12);
            let (score, member) = match keys {
                Keys::Fixed => ("$1\r\n0\r\n", "$20\r\nelement:__rand_int__\r\n"),
                Keys::Random => ("$12\r\n000000012345\r\n", "$20\r\nelement:000000012345\r\n"),
            };
            assert_eq!(
                zadd,
                format!("*4\r\n$4\r\nZADD\r\n$6\r\nmyzset\r\n{score}{member}")
            );
            assert!(request(19).starts_with("*21\r\n$4\r\nMSET\r\n$16\r\nkey:"));
        }
    }
}
