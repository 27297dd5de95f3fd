//! Holds back what may not be told before nodes.conf is on disk.
//!
//! A vote, an epoch or a slot claim that others have heard must survive a crash. So after an
//! [`Action::Save`] that must be durable, messages and replies wait, in order, until a writer
//! reports that save; the core itself goes on. Pure, so that the shell and the simulation hold
//! back in the same way.

use super::action::{Action, CommandReply};
use std::collections::VecDeque;

/// How many messages wait at most. What comes then is dropped as by a network that loses it:
/// gossip is repeated, and a node whose disk has stood still that long is taken for failing,
/// rightly.
const WAITING_MAX: usize = 4096;

/// Numbers the saves of a node, from 1.
pub type SaveNumber = u64;

/// What is held back.
#[derive(Debug, Default)]
pub struct Outbox {
    asked: SaveNumber,
    saved: SaveNumber,
    barrier: SaveNumber,
    waiting: VecDeque<(SaveNumber, Action)>,
    dropped: u64,
}

/// What is to be done with a batch of actions.
#[derive(Debug, Default)]
pub struct Batch {
    /// To be carried out now, in order.
    pub now: Vec<Action>,
    /// If anything is to be saved: the number to report once nodes.conf, as it is after this
    /// batch, is on disk.
    pub save: Option<SaveNumber>,
}

impl Outbox {
    /// Sorts what may be done at once from what must wait.
    pub fn push(&mut self, actions: Vec<Action>) -> Batch {
        let mut batch = Batch::default();
        for action in actions {
            match action {
                Action::Save { must_be_durable } => {
                    let number = *batch.save.get_or_insert_with(|| {
                        self.asked = self.asked.saturating_add(1);
                        self.asked
                    });
                    if must_be_durable {
                        self.barrier = number;
                    }
                }
                Action::Send { .. } | Action::Relay { .. } if self.barrier > self.saved => {
                    if self.waiting.len() < WAITING_MAX {
                        self.waiting.push_back((self.barrier, action));
                    } else {
                        self.dropped = self.dropped.saturating_add(1);
                    }
                }
                // Commands are bounded by the channel that they come through.
                Action::Reply { .. } if self.barrier > self.saved => {
                    self.waiting.push_back((self.barrier, action));
                }
                Action::Send { .. }
                | Action::Relay { .. }
                | Action::Deliver(_)
                | Action::Reply { .. }
                | Action::Dial { .. }
                | Action::Close { .. }
                | Action::SetServing(_)
                | Action::DropKeys(_)
                | Action::SetCondition(_)
                | Action::Publish(_) => batch.now.push(action),
            }
        }
        batch
    }

    /// Save `number`, and with it all before, is on disk: what may be done now.
    pub fn saved(&mut self, number: SaveNumber) -> Vec<Action> {
        self.saved = self.saved.max(number);
        let ready = self
            .waiting
            .iter()
            .take_while(|(barrier, _)| *barrier <= self.saved)
            .count();
        self.waiting
            .drain(..ready)
            .map(|(_, action)| action)
            .collect()
    }

    /// Nodes.conf could not be written; it will be tried again. Messages go on waiting, and
    /// those who wait for a reply are told.
    pub fn failed(&mut self, error: &str) -> Vec<Action> {
        let reply = || -> CommandReply {
            Err(format!("ERR error saving the cluster node config: {error}"))
        };
        let mut told = Vec::new();
        self.waiting.retain(|(_, action)| match action {
            Action::Reply { ticket, .. } => {
                told.push(Action::Reply {
                    ticket: *ticket,
                    reply: reply(),
                });
                false
            }
            _ => true,
        });
        told
    }

    /// Messages dropped because too many were waiting.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::Ticket;
    use super::super::link::LinkId;
    use super::*;
    use bytes::Bytes;

    fn send(link: u64) -> Action {
        Action::Send {
            link: LinkId(link),
            frame: Bytes::new(),
        }
    }

    fn save(must_be_durable: bool) -> Action {
        Action::Save { must_be_durable }
    }

    fn reply() -> Action {
        Action::Reply {
            ticket: Ticket(1),
            reply: Ok("OK".to_owned()),
        }
    }

    fn links(actions: &[Action]) -> Vec<u64> {
        let links = actions.iter().filter_map(|action| match action {
            Action::Send { link, .. } => Some(link.0),
            _ => None,
        });
        links.collect()
    }

    #[test]
    fn what_follows_a_durable_save_waits_for_it() {
        let mut outbox = Outbox::default();
        let batch = outbox.push(vec![send(1), save(true), send(2), reply()]);
        assert_eq!((links(&batch.now), batch.save), (vec![1], Some(1)));
        // Of a later batch too; what saves for its own sake does not let it through.
        let batch = outbox.push(vec![save(false), send(3)]);
        assert_eq!((batch.now.len(), batch.save), (0, Some(2)));
        let ready = outbox.saved(1);
        assert_eq!((links(&ready), ready.len()), (vec![2, 3], 3));
        assert_eq!(links(&outbox.push(vec![send(4)]).now), [4]);
    }

    #[test]
    fn a_later_save_is_worth_the_earlier_ones() {
        let mut outbox = Outbox::default();
        outbox.push(vec![save(true), send(1)]);
        outbox.push(vec![save(true), send(2)]);
        assert_eq!(links(&outbox.saved(2)), [1, 2]);
        assert!(outbox.saved(1).is_empty());
    }

    #[test]
    fn a_full_disk_is_told_to_who_waits_and_to_nobody_else() {
        let mut outbox = Outbox::default();
        outbox.push(vec![save(true), send(1), reply()]);
        let told = outbox.failed("No space left on device");
        assert!(matches!(&told[..], [Action::Reply { reply: Err(text), .. }]
            if text == "ERR error saving the cluster node config: No space left on device"));
        assert_eq!(links(&outbox.saved(1)), [1]);
    }

    #[test]
    fn messages_beyond_the_limit_are_dropped() {
        let mut outbox = Outbox::default();
        outbox.push(vec![save(true)]);
        for _ in 0..=WAITING_MAX {
            outbox.push(vec![send(1)]);
        }
        assert_eq!(outbox.dropped(), 1);
        assert_eq!(outbox.saved(1).len(), WAITING_MAX);
    }
}
