//! Runs one worker: its event loop and its tasks.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc;

use crate::downstream;
use crate::metrics::Counters;
use crate::node_metrics;
use crate::shared::{Figures, Message, Shared};
use crate::worker::Worker;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(50);
const TICKS_PER_SECOND: u64 = 20;
/// Tasks that run before sockets are looked at again: all that one look can wake, so that a turn
/// takes in whatever was ready and what it makes due leaves in as few writes as can be.
const POLLS_PER_LOOK: u32 = 1024;

/// Serves clients until the way to it is gone.
pub fn run(
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    messages: mpsc::Receiver<Message>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS_PER_LOOK)
        .build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Worker::new(shared, counters);
        tokio::task::spawn_local(Rc::clone(&worker).write_at_end_of_turns());
        tokio::task::spawn_local(Rc::clone(&worker).send_retries());
        tokio::task::spawn_local(follow_map(Rc::clone(&worker)));
        tokio::task::spawn_local(tick(Rc::clone(&worker)));
        obey(worker, messages).await;
    });
    Ok(())
}

async fn follow_map(worker: Rc<Worker>) {
    let mut changed = worker.shared.map_changed.subscribe();
    loop {
        if *changed.borrow_and_update() > 0 {
            worker.take_over_map();
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 1u64.. {
        interval.tick().await;
        worker.tick();
        if count.is_multiple_of(TICKS_PER_SECOND) {
            worker.close_silent_clients();
        }
        let bytes = worker.retries.bytes() as u64;
        worker.counters.retry_queue_bytes.set(bytes);
    }
}

/// Does what other threads ask for.
async fn obey(worker: Rc<Worker>, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        match message {
            Message::Serve(stream, address) => match TcpStream::from_std(stream) {
                Ok(stream) => {
                    let client = downstream::serve(Rc::clone(&worker), stream, address);
                    tokio::task::spawn_local(client);
                }
                Err(error) => {
                    tracing::warn!(client = %address, "cannot be served: {error}");
                    worker.counters.left.add(1);
                    worker.shared.client_left();
                }
            },
            Message::Figures(reply) => {
                let figures = Figures {
                    latencies: worker.latencies.borrow().clone(),
                    nodes: node_metrics::of(&worker),
                };
                // Whoever asked may have given up.
                let _ = reply.try_send(figures);
            }
            Message::List(filter, reply) => {
                let _ = reply.send(downstream::describe(&worker, &filter));
            }
            Message::Kill(filter, reply) => {
                let _ = reply.send(filter.kill(&worker));
            }
            Message::End => return,
            Message::Drain => {
                for client in worker.clients.borrow().values() {
                    client.leave();
                }
            }
        }
    }
}
