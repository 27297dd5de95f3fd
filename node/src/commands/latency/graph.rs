//! LATENCY GRAPH: the spikes of an event as a picture of letters, one column a spike, its age
//! written below it.

use std::fmt::Write;

use crate::server::latency::Spikes;

/// Columns of one picture; more spikes make more pictures, one below the other.
const COLUMNS: usize = 80;
/// Lines of a column.
const ROWS: u64 = 4;
/// How full a line of a column's top can be.
const LEVELS: [char; 3] = ['_', 'o', '#'];

/// The picture, as Redis draws it.
pub(super) fn draw(event: &str, spikes: &Spikes, now_s: i64) -> String {
    let latencies = spikes.recent.iter().map(|spike| spike.latency_ms);
    let high = latencies.clone().max().unwrap_or(0);
    let low = latencies.min().unwrap_or(0);
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n",
        spikes.longest_ms
    );
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    let columns: Vec<(u64, String)> = spikes
        .recent
        .iter()
        .map(|spike| {
            (
                height(spike.latency_ms, low, high),
                age(now_s - spike.time_s),
            )
        })
        .collect();
    for picture in columns.chunks(COLUMNS) {
        for row in (0..ROWS).rev() {
            text.extend(picture.iter().map(|(height, _)| cell(*height, row)));
            text.push('\n');
        }
        write_ages(&mut text, picture);
    }
    text
}

/// How many levels a column has, at least one, at most [`ROWS`] lines' worth.
fn height(latency: u64, low: u64, high: u64) -> u64 {
    let levels = ROWS * LEVELS.len() as u64;
    let range = (high - low).max(1);
    ((latency - low) * levels / range).min(levels - 1)
}

fn cell(height: u64, row: u64) -> char {
    let levels = LEVELS.len() as u64;
    match height.checked_sub(row * levels) {
        None => ' ',
        Some(level) => usize::try_from(level)
            .ok()
            .and_then(|level| LEVELS.get(level))
            .copied()
            .unwrap_or('|'),
    }
}

/// A short text for an age.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The ages from top to bottom, one letter a line, below an empty line.
fn write_ages(text: &mut String, columns: &[(u64, String)]) {
    let lines = columns.iter().map(|(_, age)| age.len()).max().unwrap_or(0);
    for line in 0..=lines {
        for (_, age) in columns {
            let letter = line.checked_sub(1).and_then(|at| age.chars().nth(at));
            text.push(letter.unwrap_or(' '));
        }
        // Writing to a string cannot fail.
        let _: Result<(), std::fmt::Error> = writeln!(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::latency::Spike;

    fn spikes(samples: &[(i64, u64)]) -> Spikes {
        let recent = samples
            .iter()
            .map(|&(time_s, latency_ms)| Spike { time_s, latency_ms });
        Spikes {
            recent: recent.collect(),
            longest_ms: samples.iter().map(|sample| sample.1).max().unwrap_or(0),
        }
    }

    #[test]
    fn the_picture_is_redis_s() {
        // What redis-server 7.0.15 drew of these samples, 0.7 s after the last.
        let picture = draw("command", &spikes(&[(20, 10), (21, 50), (23, 21)]), 24);
        let (head, rest) = picture.split_once('\n').unwrap();
        assert_eq!(
            head,
            "command - high 50 ms, low 10 ms (all time high 50 ms)"
        );
        let (line, rest) = rest.split_once('\n').unwrap();
        assert_eq!(line, "-".repeat(80));
        assert_eq!(rest, " # \n | \n |_\n_||\n   \n431\nsss\n");
    }

    #[test]
    fn ages_are_short_and_pictures_narrow() {
        assert_eq!(
            [age(59), age(60), age(7_200), age(200_000)],
            ["59s", "1m", "2h", "2d"]
        );
        let many: Vec<(i64, u64)> = (0..100).map(|second| (second, 7)).collect();
        let picture = draw("fork", &spikes(&many), 100);
        assert!(picture.lines().skip(1).all(|line| line.len() <= COLUMNS));
        // The head, and twice four rows, the empty line, and ages of up to four letters.
        assert!(picture.lines().count() > 2 + 2 * 6);
    }
}
