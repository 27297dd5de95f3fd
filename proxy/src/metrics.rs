//! What the proxy counts. Each thread has its own counters, which only it writes; whoever shows
//! them adds them up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use slotilla_common::command::{COMMANDS, Spec};
use slotilla_common::net::metrics::Scrape;
use slotilla_common::redirect::Redirect;

use crate::router::Class;
use crate::worker::Worker;

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds, without the cost of an atomic addition: there is one writer.
    #[inline]
    pub fn add(&self, count: u64) {
        self.set(self.read().wrapping_add(count));
    }

    /// Takes away.
    #[inline]
    pub fn sub(&self, count: u64) {
        self.set(self.read().wrapping_sub(count));
    }

    /// Replaces.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a figure only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

macro_rules! counters {
    ($($field:ident, $kind:ident, $name:literal, $help:literal;)*) => {
        /// What one thread counts.
        #[derive(Debug)]
        pub struct Counters {
            $(#[doc = $help] pub $field: Counter,)*
            /// Clients that the accepting thread has given to this one.
            pub assigned: AtomicU64,
            /// Clients of those that have gone.
            pub left: Counter,
            /// Requests by command.
            commands: Vec<Counter>,
            /// Error replies by command, of nodes and of the proxy in a node's place.
            command_errors: Vec<Counter>,
        }

        impl Default for Counters {
            fn default() -> Self {
                let each = || COMMANDS.iter().map(|_| Counter::default()).collect();
                Self {
                    $($field: Counter::default(),)*
                    assigned: AtomicU64::new(0),
                    left: Counter::default(),
                    commands: each(),
                    command_errors: each(),
                }
            }
        }

        impl Counters {
            fn rows(&self) -> Vec<(Kind, &'static str, &'static str, u64)> {
                vec![$((Kind::$kind, $name, $help, self.$field.read()),)*]
            }
        }
    };
}

counters! {
    downstream_cx_total, Counter, "downstream_cx_total", "Client connections accepted.";
    downstream_cx_active, Gauge, "downstream_cx_active", "Client connections open.";
    downstream_rx_bytes, Counter, "downstream_cx_rx_bytes_total", "Bytes received from clients.";
    downstream_tx_bytes, Counter, "downstream_cx_tx_bytes_total", "Bytes sent to clients.";
    downstream_protocol_errors, Counter, "downstream_cx_protocol_error_total", "Clients closed because what they sent is no request.";
    output_overflows, Counter, "downstream_output_overflow_total", "Clients closed because they left more than client-output-max unread.";
    evicted_clients, Counter, "downstream_evicted_total", "Clients closed because all clients together left more than maxmemory-clients unread.";
    query_overflows, Counter, "downstream_query_overflow_total", "Clients closed because of a request longer than client-query-buffer-limit.";
    in_flight_full, Counter, "downstream_in_flight_full_total", "Times a client was not read because client-in-flight-max of its requests were on their way.";
    refused_requests, Counter, "splitter_invalid_request_total", "Requests that the proxy refused by itself: unknown, malformed, unsupported.";
    fanout_requests, Counter, "fanout_requests_total", "Requests sent in several parts.";
    merged_overflows, Counter, "merged_reply_overflow_total", "Requests answered with an error because the merged reply would exceed merged-reply-max.";
    upstream_cx_total, Counter, "upstream_cx_total", "Connections to nodes made.";
    upstream_cx_active, Gauge, "upstream_cx_active", "Connections to nodes open.";
    upstream_cx_connect_fail, Counter, "upstream_cx_connect_fail_total", "Connections to nodes that could not be made.";
    upstream_cx_lost, Counter, "upstream_cx_lost_total", "Connections to nodes that ended.";
    upstream_rx_bytes, Counter, "upstream_cx_rx_bytes_total", "Bytes received from nodes.";
    upstream_tx_bytes, Counter, "upstream_cx_tx_bytes_total", "Bytes sent to nodes.";
    upstream_rq_total, Counter, "upstream_rq_total", "Requests sent to nodes, parts and repetitions included.";
    upstream_rq_timeout, Counter, "upstream_rq_timeout_total", "Requests without a reply within request-timeout.";
    upstream_queue_full, Counter, "upstream_queue_full_total", "Times a client was not read because a node's queue held more than upstream-queue-max.";
    upstream_reply_overflows, Counter, "upstream_reply_overflow_total", "Connections to nodes closed because of a reply longer than upstream-reply-max.";
    upstream_pushes, Counter, "upstream_pushes_total", "RESP3 pushes from nodes, which belong to no client.";
    retries, Counter, "retries_total", "Requests put back to be sent again.";
    retry_queue_overflows, Counter, "retry_queue_overflow_total", "Requests not sent again because retry-queue-max was reached.";
    retry_queue_bytes, Gauge, "retry_queue_bytes", "Bytes of requests that wait to be sent again.";
    writes_in_doubt, Counter, "writes_in_doubt_total", "Writes answered with an error because their reply was lost; never repeated.";
    moved, Counter, "redirects_moved", "MOVED answers.";
    asked, Counter, "redirects_ask", "ASK answers.";
    tried_again, Counter, "redirects_tryagain", "TRYAGAIN answers.";
    cluster_down, Counter, "redirects_clusterdown", "CLUSTERDOWN answers.";
    loading, Counter, "redirects_loading", "LOADING answers.";
    read_only, Counter, "redirects_readonly", "READONLY answers to commands that go to every primary.";
}

/// How long requests of each class took, in microseconds.
#[derive(Debug, Clone)]
pub struct Latencies {
    /// By class, in the order of [`Class::ALL`].
    pub by_class: Vec<Histogram<u64>>,
    /// Nanoseconds in all, by class.
    pub nanos: Vec<u64>,
}

/// Longest time told apart: an hour, in microseconds.
const LATENCY_MAX: u64 = 3_600_000_000;

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are constants that the crate accepts.
        let histogram = |_| Histogram::new_with_bounds(1, LATENCY_MAX, 2).ok();
        Self {
            by_class: Class::ALL.iter().filter_map(histogram).collect(),
            nanos: vec![0; Class::ALL.len()],
        }
    }
}

impl Latencies {
    #[inline]
    fn record(&mut self, class: Class, nanos: u64) {
        let class = class as usize;
        if let (Some(histogram), Some(sum)) =
            (self.by_class.get_mut(class), self.nanos.get_mut(class))
        {
            histogram.saturating_record((nanos / 1000).max(1));
            *sum = sum.wrapping_add(nanos);
        }
    }

    /// Adds what another thread recorded.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.by_class.iter_mut().zip(&other.by_class) {
            // Both have the same bounds.
            let _ = mine.add(theirs);
        }
        for (mine, theirs) in self.nanos.iter_mut().zip(&other.nanos) {
            *mine = mine.wrapping_add(*theirs);
        }
    }
}

impl Counters {
    /// Counts a request that was taken.
    #[inline]
    pub fn count_command(&self, spec: &Spec) {
        if let Some(counter) = self.commands.get(spec.id.index()) {
            counter.add(1);
        }
    }

    /// Counts an answer of a node.
    pub fn count_redirect(&self, redirect: &Redirect) {
        match redirect {
            Redirect::Moved(..) => self.moved.add(1),
            Redirect::Ask(..) => self.asked.add(1),
            Redirect::TryAgain => self.tried_again.add(1),
            Redirect::ClusterDown | Redirect::PrimaryDown => self.cluster_down.add(1),
            Redirect::Loading => self.loading.add(1),
            Redirect::ReadOnly => self.read_only.add(1),
        }
    }
}

impl Worker {
    /// Records how a request went.
    #[inline]
    pub fn record(&self, spec: &'static Spec, nanos: u64, reply: &[u8]) {
        let class = self.routes.of(spec.id).class;
        self.latencies.borrow_mut().record(class, nanos);
        if matches!(reply.first(), Some(b'-' | b'!'))
            && let Some(counter) = self.counters.command_errors.get(spec.id.index())
        {
            counter.add(1);
        }
    }
}

/// Requests handled by all threads.
#[must_use]
pub fn commands_processed(all: &[impl AsRef<Counters>]) -> u64 {
    all.iter()
        .flat_map(|counters| &counters.as_ref().commands)
        .map(Counter::read)
        .sum()
}

/// The sum of one figure over all threads.
pub fn sum<'a, C: AsRef<Counters> + 'a>(
    all: &'a [C],
    figure: impl Fn(&Counters) -> &Counter,
) -> u64 {
    all.iter()
        .map(|counters| figure(counters.as_ref()).read())
        .fold(0, u64::wrapping_add)
}

const PREFIX: &str = "slotilla_proxy_";

/// Bounds of the latency buckets in seconds.
const BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0,
];

/// Shows the sums of all threads' counters.
pub fn show_counters(scrape: &mut Scrape, all: &[impl AsRef<Counters>]) {
    let mut sums: Vec<(Kind, &str, &str, u64)> = Vec::new();
    for counters in all {
        let rows = counters.as_ref().rows();
        if sums.is_empty() {
            sums = rows;
        } else {
            for (sum, row) in sums.iter_mut().zip(rows) {
                sum.3 = sum.3.wrapping_add(row.3);
            }
        }
    }
    for (kind, name, help, value) in sums {
        let value = value as f64;
        if let Some(redirect) = name.strip_prefix("redirects_") {
            let help = "Answers of nodes that sent a request elsewhere or asked it to come later.";
            let name = format!("{PREFIX}redirects_total");
            scrape.counter(&name, help, &[("type", redirect)], value);
            continue;
        }
        let name = format!("{PREFIX}{name}");
        match kind {
            Kind::Counter => scrape.counter(&name, help, &[], value),
            Kind::Gauge => scrape.gauge(&name, help, &[], value),
        }
    }
    let requests = commands_processed(all) as f64;
    scrape.counter(
        &format!("{PREFIX}downstream_rq_total"),
        "Requests of clients.",
        &[],
        requests,
    );
    show_commands(scrape, all);
}

fn show_commands(scrape: &mut Scrape, all: &[impl AsRef<Counters>]) {
    for spec in &COMMANDS {
        let total = |of: fn(&Counters) -> &Vec<Counter>| -> u64 {
            let each = all
                .iter()
                .filter_map(|c| of(c.as_ref()).get(spec.id.index()));
            each.map(Counter::read).sum()
        };
        let (requests, errors) = (total(|c| &c.commands), total(|c| &c.command_errors));
        if requests == 0 {
            continue;
        }
        let labels = [("command", spec.name)];
        scrape.counter(
            &format!("{PREFIX}command_total"),
            "Requests by command.",
            &labels,
            requests as f64,
        );
        scrape.counter(
            &format!("{PREFIX}command_error_total"),
            "Error replies by command, of nodes or, where one failed, of the proxy in its place.",
            &labels,
            errors as f64,
        );
    }
}

/// Shows how long requests took.
pub fn show_latencies(scrape: &mut Scrape, latencies: &Latencies) {
    let classes = Class::ALL.iter().zip(&latencies.by_class);
    for ((class, histogram), nanos) in classes.zip(&latencies.nanos) {
        let buckets: Vec<(f64, u64)> = BUCKETS
            .iter()
            .map(|bound| {
                let micros = Duration::from_secs_f64(*bound).as_micros();
                let micros = u64::try_from(micros).unwrap_or(LATENCY_MAX);
                (*bound, histogram.count_between(0, micros))
            })
            .collect();
        scrape.histogram(
            &format!("{PREFIX}request_duration_seconds"),
            "Time from a request's arrival to its reply, by class of command.",
            &[("class", class.name())],
            &buckets,
            (histogram.len(), *nanos as f64 / 1e9),
        );
    }
}
