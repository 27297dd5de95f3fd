//! What happens ten times a second, on the main thread.

use slotilla_common::{alloc, clock};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Server;
use crate::replication::primary;
use crate::{aof, persistence};

const PERIOD: Duration = Duration::from_millis(100);
/// Idle clients are looked for once in so many periods.
const PERIODS_PER_SECOND: u64 = 10;

/// What a node has left that was killed shortly before this one began is looked for once more.
const PERIODS_TO_LEFTOVERS: u64 = 700;

/// Runs until the server shuts down.
pub async fn run(server: Arc<Server>) {
    let mut timer = tokio::time::interval(PERIOD);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut periods: u64 = 0;
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = server.shutdown.cancelled() => return,
        }
        sample_rates(&server);
        aof::rewrite_if_due(&server);
        alloc::note_peak();
        persistence::begin_if_due(&server);
        periods = periods.wrapping_add(1);
        if periods == PERIODS_TO_LEFTOVERS {
            let server = Arc::clone(&server);
            tokio::task::spawn_blocking(move || persistence::clear_leftovers(&server.config));
        }
        if periods.is_multiple_of(PERIODS_PER_SECOND) {
            close_idle_clients(&server);
            primary::tend(&server, periods / PERIODS_PER_SECOND);
            server.targets.close_idle();
            aof::settle(&server);
        }
    }
}

fn sample_rates(server: &Server) {
    let now_ms = clock::unix_ms();
    let stats = &server.stats;
    let (commands, input, output) = (
        stats.sum(|worker| &worker.executed),
        stats.sum(|worker| &worker.input_bytes),
        stats.sum(|worker| &worker.output_bytes),
    );
    let mut rates = stats.rates.lock();
    rates.commands.sample(now_ms, commands);
    rates.input.sample(now_ms, input);
    rates.output.sample(now_ms, output);
}

/// Closes clients that have sent nothing for `timeout` seconds, unless they wait or watch, or one is
/// the primary.
fn close_idle_clients(server: &Server) {
    use super::client::flag;
    let Some(most_ms) = server.config.timeout_ms() else {
        return;
    };
    let now_ms = clock::unix_ms();
    for client in server.clients.all() {
        let idle_ms = now_ms - client.active_ms.load(Ordering::Relaxed);
        let spared = flag::MONITOR | flag::BLOCKED | flag::PUBSUB | flag::PRIMARY;
        if idle_ms > most_ms && client.flags() & spared == 0 {
            tracing::debug!("Closing idle client id={} addr={}", client.id, client.addr);
            client.kill();
        }
    }
}
