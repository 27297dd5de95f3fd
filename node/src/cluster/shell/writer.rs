//! The thread that writes nodes.conf, so that a slow disk does not stop gossip.
//!
//! It keeps only the newest text: what was asked for while it was busy is written once. A write
//! that fails is tried again, with the newest text, until it succeeds.

use super::driver::Event;
use super::file::NodesFile;
use crate::cluster::outbox::SaveNumber;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long after a failure the next try comes.
const RETRY: Duration = Duration::from_secs(1);

/// A write that takes longer is told of.
const SLOW: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Desk {
    newest: Option<(SaveNumber, String)>,
    is_stopping: bool,
    writing_since: Option<Instant>,
    /// This write has been told of.
    is_told: bool,
}

/// The way to the writer's thread.
pub(super) struct Writer {
    desk: Arc<(Mutex<Desk>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(file: NodesFile, events: mpsc::Sender<Event>) -> io::Result<Self> {
        let desk = Arc::new((Mutex::new(Desk::default()), Condvar::new()));
        let theirs = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name("nodes.conf".to_owned())
            .spawn(move || write(file, &theirs, &events))?;
        Ok(Self {
            desk,
            thread: Some(thread),
        })
    }

    /// Has `text` written, in place of whatever is waiting.
    pub(super) fn save(&self, number: SaveNumber, text: String) {
        let (desk, bell) = &*self.desk;
        desk.lock().newest = Some((number, text));
        bell.notify_one();
    }

    /// To be called now and then: tells of a disk that is slow while it is, so that whoever waits
    /// for a reply learns why.
    pub(super) fn watch(&self) {
        let (desk, _) = &*self.desk;
        let mut desk = desk.lock();
        let is_slow = desk.writing_since.is_some_and(|at| at.elapsed() > SLOW);
        if is_slow && !std::mem::replace(&mut desk.is_told, true) {
            tracing::warn!("nodes.conf is slow to reach the disk: what depends on it waits");
        }
    }

    /// Writes what is waiting and stops. To be called when nobody receives its events any more,
    /// or it could wait for them to be taken.
    pub(super) fn stop(&mut self) {
        let (desk, bell) = &*self.desk;
        desk.lock().is_stopping = true;
        bell.notify_one();
        if let Some(thread) = self.thread.take() {
            // Had it panicked, the log has said so.
            drop(thread.join());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn write(mut file: NodesFile, desk: &(Mutex<Desk>, Condvar), events: &mpsc::Sender<Event>) {
    let (desk, bell) = desk;
    let mut is_failing = false;
    loop {
        let (number, text) = {
            let mut desk = desk.lock();
            loop {
                if let Some(newest) = desk.newest.take() {
                    desk.writing_since = Some(Instant::now());
                    break newest;
                }
                if desk.is_stopping {
                    return;
                }
                bell.wait(&mut desk);
            }
        };
        let written = file.replace(&text);
        note_written(&mut desk.lock());
        match written {
            Ok(()) => {
                is_failing = false;
                drop(events.blocking_send(Event::Saved(number)));
            }
            Err(error) => {
                if !is_failing {
                    tracing::error!(%error, "nodes.conf cannot be written; trying again");
                }
                is_failing = true;
                drop(events.blocking_send(Event::SaveFailed(error.to_string())));
                let mut desk = desk.lock();
                if desk.is_stopping {
                    return;
                }
                if desk.newest.is_none() {
                    desk.newest = Some((number, text));
                }
                bell.wait_for(&mut desk, RETRY);
            }
        }
    }
}

fn note_written(desk: &mut Desk) {
    let took = desk.writing_since.take().map(|since| since.elapsed());
    if let (true, Some(took)) = (std::mem::take(&mut desk.is_told), took) {
        tracing::warn!(
            "nodes.conf took {:.1} s to reach the disk",
            took.as_secs_f64()
        );
    }
}
