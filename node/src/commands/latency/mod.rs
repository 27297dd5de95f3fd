//! LATENCY: slow moments, and how long commands take.

mod doctor;
mod graph;

use hdrhistogram::Histogram;
use slotilla_common::clock;
use slotilla_common::command::{self, Spec};

use super::command_info::help;
use super::{Args, CommandError, Ctx, Handler};
use crate::server::Server;
use crate::server::latency::Spikes;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("latency|doctor", doctor),
    ("latency|graph", graph),
    ("latency|help", help),
    ("latency|histogram", histogram),
    ("latency|history", history),
    ("latency|latest", latest),
    ("latency|reset", reset),
];

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn latest(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let events = ctx.server.latency.events();
    let latest = events
        .iter()
        .filter_map(|(event, spikes)| Some((event, spikes.recent.back()?, spikes.longest_ms)));
    let reply = &mut ctx.reply;
    reply.array(latest.clone().count());
    for (event, spike, longest_ms) in latest {
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(spike.time_s);
        reply.integer(number(spike.latency_ms));
        reply.integer(number(longest_ms));
    }
    Ok(())
}

/// The spikes of an event, whose name is taken letter for letter.
fn event(server: &Server, name: &[u8]) -> Option<(&'static str, Spikes)> {
    let found = server.latency.event(name)?;
    (found.0.as_bytes() == name).then_some(found)
}

fn history(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let spikes = event(ctx.server, args.get(2)).map(|(_, spikes)| spikes.recent);
    let spikes = spikes.unwrap_or_default();
    ctx.reply.array(spikes.len());
    for spike in &spikes {
        ctx.reply.array(2);
        ctx.reply.integer(spike.time_s);
        ctx.reply.integer(number(spike.latency_ms));
    }
    Ok(())
}

fn graph(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let Some((name, spikes)) = event(ctx.server, args.get(2)) else {
        let before = "No samples available for event '";
        return Err(CommandError::quoting(before, args.get(2), "'"));
    };
    let text = graph::draw(name, &spikes, clock::unix_ms() / 1000);
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn doctor(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let threshold_ms = ctx.server.latency.threshold_ms();
    let text = doctor::report(threshold_ms, &ctx.server.latency.events());
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let monitor = &ctx.server.latency;
    let forgotten: usize = if args.len() == 2 {
        monitor.reset(None)
    } else {
        let names = args.iter_from(2);
        names.map(|name| monitor.reset(Some(name))).sum()
    };
    ctx.reply
        .integer(i64::try_from(forgotten).unwrap_or(i64::MAX));
    Ok(())
}

/// LATENCY HISTOGRAM [command …]: of each command that has run, how many calls took at most so
/// many microseconds. A container stands for its subcommands.
fn histogram(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let asked: Vec<&Spec> = if args.len() == 2 {
        command::COMMANDS.iter().collect()
    } else {
        let named = args.iter_from(2).filter_map(command::find);
        named
            .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands()))
            .collect()
    };
    let stats = &ctx.server.stats;
    let measured: Vec<_> = asked
        .into_iter()
        .filter_map(|spec| Some((spec.name, stats.latency(spec.id)?)))
        .collect();
    let reply = &mut ctx.reply;
    reply.map(measured.len());
    for (name, histogram) in &measured {
        reply.bulk(name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(number(histogram.len()));
        reply.bulk(b"histogram_usec");
        let buckets = cumulative(histogram);
        reply.map(buckets.len());
        for (micros, calls) in buckets {
            reply.integer(number(micros));
            reply.integer(number(calls));
        }
    }
    Ok(())
}

/// Upper bounds in microseconds, each about twice the one before, and how many calls took no
/// longer; bounds that add none are left out. The bounds are Redis's: powers of two of
/// nanoseconds from 1024 on, as far as the histogram can tell them from what follows.
fn cumulative(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut buckets = Vec::new();
    let (mut bound, mut counted) = (1024, 0);
    while counted < histogram.len() {
        let up_to = histogram.highest_equivalent(bound);
        let calls = histogram.count_between(0, up_to);
        if calls > counted {
            buckets.push((up_to / 1000, calls));
            counted = calls;
        }
        bound *= 2;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::durations::NANOS_MAX;

    #[test]
    fn calls_are_counted_up_to_doubling_bounds() {
        let mut histogram = Histogram::new_with_bounds(1, NANOS_MAX, 2).unwrap();
        assert!(cumulative(&histogram).is_empty());
        for nanos in [1, 900, 1_500, 30_000, 32_900, NANOS_MAX] {
            histogram.record(nanos).unwrap();
        }
        assert_eq!(
            cumulative(&histogram),
            [(1, 2), (2, 3), (33, 5), (1_082_130, 6)]
        );
    }
}
