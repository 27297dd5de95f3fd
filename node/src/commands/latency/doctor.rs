//! LATENCY DOCTOR: the slow moments in sentences.

use std::fmt::Write;

use crate::server::latency::Spikes;

/// What there is to say.
pub(super) fn report(threshold_ms: u64, events: &[(&'static str, Spikes)]) -> String {
    if threshold_ms == 0 {
        return "Nothing is known of slow moments, because nobody looks out for them. CONFIG SET \
                latency-monitor-threshold <milliseconds> says from which length on they count.\n"
            .to_owned();
    }
    if events.is_empty() {
        return format!("No moment of {threshold_ms} ms or more has been seen.\n");
    }
    let mut text = format!("Moments of {threshold_ms} ms or more have been seen:\n\n");
    for (place, (event, spikes)) in events.iter().enumerate() {
        describe(&mut text, place + 1, event, spikes);
    }
    text.push_str("\nWhat may help:\n\n");
    for (event, _) in events {
        text.push_str(&format!("- {}\n", advice(event)));
    }
    text
}

/// One event: how many spikes, how long, how far from each other.
fn describe(text: &mut String, number: usize, event: &str, spikes: &Spikes) {
    let count = spikes.recent.len();
    let Some((first, last)) = spikes.recent.front().zip(spikes.recent.back()) else {
        return;
    };
    let latencies = || spikes.recent.iter().map(|spike| spike.latency_ms);
    let divisor = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    let average = latencies().sum::<u64>() / divisor;
    let deviation = latencies().map(|ms| ms.abs_diff(average)).sum::<u64>() / divisor;
    // Writing to a string cannot fail.
    let _: Result<(), std::fmt::Error> = write!(
        text,
        "{number}. {event}: {count} {}, {average} ms on average (give or take {deviation} ms), \
         {} ms at worst",
        if count == 1 { "time" } else { "times" },
        spikes.longest_ms,
    );
    if count > 1 {
        let gaps = i64::try_from(count - 1).unwrap_or(i64::MAX);
        let period = (last.time_s - first.time_s) / gaps;
        let _: Result<(), std::fmt::Error> = write!(text, ", one every {period} s");
    }
    text.push_str(".\n");
}

fn advice(event: &str) -> &'static str {
    match event {
        "command" | "fast-command" => {
            "See SLOWLOG GET for the commands, and set slowlog-log-slower-than low enough that \
             they are all there. Commands on many elements, and on big values, take long."
        }
        "expire-cycle" | "eviction-cycle" | "eviction-del" => {
            "Many keys expire or are evicted at once: spread their expiry, or give maxmemory room."
        }
        _ => "See whether the machine has processor time, memory and disk to spare.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::latency::Spike;

    #[test]
    fn the_report_says_what_was_seen() {
        assert!(report(0, &[]).contains("latency-monitor-threshold"));
        assert!(report(100, &[]).contains("No moment of 100 ms"));
        let recent = [(20, 10), (21, 50), (24, 30)];
        let recent = recent.map(|(time_s, latency_ms)| Spike { time_s, latency_ms });
        let spikes = Spikes {
            recent: recent.into_iter().collect(),
            longest_ms: 50,
        };
        let text = report(10, &[("command", spikes)]);
        let line = "1. command: 3 times, 30 ms on average (give or take 13 ms), 50 ms at worst, \
                    one every 2 s.";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("SLOWLOG GET"));
    }
}
