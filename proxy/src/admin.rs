//! The admin port's pages: metrics and health.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use slotilla_common::clock;
use slotilla_common::net::admin::{Endpoints, Health};
use slotilla_common::net::metrics::{Scrape, Source};
use slotilla_common::slot::Slot;

use crate::downstream::resident_bytes;
use crate::metrics::{show_counters, show_latencies};
use crate::node_metrics;
use crate::shared::{Figures, Message, Shared};

/// Time that a thread has to tell its figures; a scrape goes without those of a busy one.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// What the admin port shows.
#[derive(Debug)]
pub struct ProxyEndpoints {
    shared: Arc<Shared>,
}

impl ProxyEndpoints {
    /// Of this proxy.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Why there is no slot map: what each seed that fails said or did last.
    fn without_map(&self) -> Health {
        let reasons = self.shared.config.seeds.iter().filter_map(|seed| {
            let reason = self.shared.outages.reason(seed)?;
            Some(format!("{seed}: {reason}"))
        });
        let mut health = Health::because("no node has told the slot map yet");
        health.reasons.extend(reasons);
        health
    }

    fn figures(&self) -> Figures {
        let mut all = Figures::default();
        let threads = self.shared.threads();
        let (sender, answers) = mpsc::sync_channel(threads.len().max(1));
        let mut asked = 0;
        for thread in threads {
            if thread
                .sender
                .try_send(Message::Figures(sender.clone()))
                .is_ok()
            {
                asked += 1;
            }
        }
        for _ in 0..asked {
            match answers.recv_timeout(ANSWER_LIMIT) {
                Ok(figures) => {
                    all.latencies.add(&figures.latencies);
                    node_metrics::add(&mut all.nodes, &figures.nodes);
                }
                Err(_) => break,
            }
        }
        all
    }
}

impl Endpoints for ProxyEndpoints {
    fn metrics(&self) -> String {
        Scrape::of(self).text()
    }

    fn live(&self) -> Health {
        Health::well()
    }

    fn ready(&self) -> Health {
        if self.shared.is_draining() {
            return Health::because("the proxy is about to stop");
        }
        let map = self.shared.map.load();
        if map.version == 0 {
            return self.without_map();
        }
        let missing = usize::from(Slot::COUNT) - map.covered();
        if missing > 0 {
            return Health::because(format!("{missing} slots have no owner"));
        }
        Health::well()
    }
}

impl Source for ProxyEndpoints {
    fn collect(&self, scrape: &mut Scrape) {
        show_counters(scrape, self.shared.counters());
        let figures = self.figures();
        show_latencies(scrape, &figures.latencies);
        node_metrics::show(scrape, &figures.nodes);
        self.show_process(scrape);
        self.show_map(scrape);
        self.show_limits(scrape);
    }
}

fn gauge(scrape: &mut Scrape, name: &str, help: &str, value: f64) {
    scrape.gauge(&format!("slotilla_proxy_{name}"), help, &[], value);
}

impl ProxyEndpoints {
    fn show_process(&self, scrape: &mut Scrape) {
        let shared = &self.shared;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        scrape.gauge(
            "slotilla_proxy_info",
            "The version that runs.",
            &version,
            1.0,
        );
        let uptime = shared.uptime().as_secs_f64();
        gauge(scrape, "uptime_seconds", "Time since the start.", uptime);
        let threads = shared.threads().len() as f64;
        gauge(scrape, "threads", "Threads that serve clients.", threads);
        let used = slotilla_common::alloc::used_bytes() as f64;
        gauge(scrape, "memory_used_bytes", "Bytes allocated.", used);
        let resident = resident_bytes() as f64;
        gauge(
            scrape,
            "memory_resident_bytes",
            "Bytes of memory resident.",
            resident,
        );
        let unread = shared.output_bytes.load(Ordering::Relaxed) as f64;
        let help = "Bytes of replies left unread by clients that leave more than 64 KiB.";
        gauge(scrape, "downstream_output_bytes", help, unread);
        scrape.counter(
            "slotilla_proxy_downstream_cx_rejected_total",
            "Clients refused: too many, or from elsewhere in protected mode.",
            &[],
            shared.rejected.load(Ordering::Relaxed) as f64,
        );
    }

    fn show_map(&self, scrape: &mut Scrape) {
        let map = self.shared.map.load();
        let state = self.shared.refresher.state();
        let version = map.version as f64;
        gauge(
            scrape,
            "map_version",
            "Version of the slot map; 0: none is known.",
            version,
        );
        let covered = map.covered() as f64;
        gauge(
            scrape,
            "map_slots_covered",
            "Slots that have an owner.",
            covered,
        );
        let primaries = map.primaries.len() as f64;
        gauge(
            scrape,
            "map_primaries",
            "Primaries that own slots.",
            primaries,
        );
        let seen = state.last_success_ms.load(Ordering::Relaxed);
        if seen > 0 {
            let age = (clock::unix_ms() - seen).max(0) as f64 / 1000.0;
            let help = "Time since a node last told the slot map.";
            gauge(scrape, "topology_age_seconds", help, age);
        }
        for (result, count) in [("success", &state.succeeded), ("failure", &state.failed)] {
            scrape.counter(
                "slotilla_proxy_topology_refresh_total",
                "Looks at the slot map.",
                &[("result", result)],
                count.load(Ordering::Relaxed) as f64,
            );
        }
    }

    fn show_limits(&self, scrape: &mut Scrape) {
        let config = &self.shared.config;
        for (name, value) in [
            ("maxclients", config.maxclients),
            ("client_in_flight_max", config.client_in_flight_max),
            ("client_output_max_bytes", config.client_output_max),
            ("maxmemory_clients_bytes", config.maxmemory_clients),
            (
                "client_query_buffer_limit_bytes",
                config.client_query_buffer_limit,
            ),
            ("proto_max_bulk_len_bytes", config.proto_max_bulk_len),
            ("merged_reply_max_bytes", config.merged_reply_max),
            ("upstream_reply_max_bytes", config.upstream_reply_max),
            ("upstream_queue_max_bytes", config.upstream_queue_max),
            ("retry_queue_max_bytes", config.retry_queue_max),
        ] {
            let help = "The limit of this name in the configuration.";
            gauge(scrape, name, help, value as f64);
        }
    }
}
