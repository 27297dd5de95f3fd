//! What a command works with.

use slotilla_common::command::{Flags, Spec};
use slotilla_common::resp::{Protocol, ReplyWriter};
use slotilla_common::slot::Slot;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::{Args, CommandError, Wait};
use crate::server::Server;
use crate::server::client::Client;
use crate::server::session::SessionState;
use crate::server::socket::Stream;
use crate::store::{Db, Scope};

/// A command's behaviour: reads its arguments, works on the keys whose slots are locked, and
/// writes one reply. An `Err` becomes the error reply; nothing may have been written before it.
pub type Handler = fn(&mut Ctx<'_>, &Args<'_>) -> Result<(), CommandError>;

/// What a command works with. The fields are borrowed apart, so that a value of `db` can go
/// straight into `reply`.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The node: configuration, store, clients, cluster.
    pub server: &'a Arc<Server>,
    /// The client's own state.
    pub session: &'a mut SessionState,
    /// The keys named by the command, in the database it has selected. Their slots are locked.
    pub db: Db<'a>,
    /// Where the reply goes.
    pub reply: ReplyWriter<'a>,
    /// The command's row of the table.
    pub spec: &'static Spec,
    /// Milliseconds since the epoch, the same for the whole batch.
    pub now_ms: i64,
    /// The database and the time of `db`, for commands that lock slots of their own.
    pub scope: Scope,
    /// Of a command with several keys: which of the locked slots each of them is in, in their order.
    /// `None` if there is but one slot, or it is not known. Boxed, for it is rare.
    pub numbers: Option<Box<[u16]>>,
    /// What is to happen once the locks are released; else the reply is written. Boxed, for it is
    /// rare, and looked at after every command.
    pub after: Option<Box<After>>,
}

/// What is to happen once a command's locks are released.
#[derive(Debug)]
pub enum After {
    /// The connection is to close once the reply is sent.
    Close,
    /// The reply comes from a background thread.
    Background(Background),
    /// The reply comes once there is something: the client waits, as of now.
    Wait(Wait),
    /// The reply comes when this is ready, unless the client goes before.
    Answer(Answer),
    /// The connection is no client's any more: it goes to whoever takes it.
    HandOver(HandOver),
    /// The reply comes from work that needs the node to itself.
    Exclusive(Deferred),
    /// The reply comes from work that locks slots of its own.
    Unlocked(Deferred),
}

type Work = dyn FnOnce(&Arc<Server>, &mut ReplyWriter<'_>) -> Result<(), CommandError> + Send;

/// Work for a background thread, whose reply the client waits for while its thread serves others.
pub struct Background(Box<Work>);

/// A reply that is still to come, and whether the connection is to close once it is sent.
pub struct Answer(pub Pin<Box<dyn Future<Output = (Vec<u8>, bool)> + Send>>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// What takes a connection over, from a session that ends with that.
pub struct HandOver(Box<dyn FnOnce(Taken) + Send>);

/// A connection that was taken over. It closes when `alive` is dropped, unless somebody has closed it
/// before; then the socket is shut down.
#[derive(Debug)]
pub struct Taken {
    /// The node.
    pub server: Arc<Server>,
    /// Who the client was, which others see still.
    pub client: Arc<Client>,
    /// The socket; both it and its duplicates block.
    pub socket: Stream,
    /// What has come behind the command.
    pub input: Vec<u8>,
    /// To be kept as long as the connection is.
    pub alive: tokio::sync::oneshot::Sender<()>,
}

impl HandOver {
    /// Gives the connection away.
    pub fn take(self, taken: Taken) {
        (self.0)(taken);
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandOver")
    }
}

/// Work for the client's own thread, once the command's locks are released.
pub struct Deferred(Box<Work>);

impl<'a> Ctx<'a> {
    /// What [`Self::numbers`] says of the keys from the one of this number on.
    pub fn numbers_from(&self, key: usize) -> &[u16] {
        let numbers = self.numbers.as_deref().unwrap_or_default();
        numbers.get(key..).unwrap_or_default()
    }

    /// Locks the slot of a key that the command table does not know to be one.
    ///
    /// # Errors
    /// The slot is out: the command comes again.
    pub fn db_of(&self, key: &[u8]) -> Result<Db<'a>, CommandError> {
        let (slot, ticket) = (Slot::of_key(key), self.session.ticket());
        let guard = self.server.store.lock_in_turn(slot, ticket)?;
        Ok(Db::one(guard, self.scope))
    }

    /// Leaves the command to a background thread: for what may take longer than a millisecond.
    /// The thread holds no slot; `work` locks what it needs, slot by slot, inside
    /// [`crate::server::gate::Gate::guest`].
    pub fn in_background(
        &mut self,
        work: impl FnOnce(&Arc<Server>, &mut ReplyWriter<'_>) -> Result<(), CommandError>
        + Send
        + 'static,
    ) {
        self.afterwards(After::Background(Background(Box::new(work))));
    }

    /// Leaves the command to the gate: `work` runs, on this thread, while no other is inside a
    /// command. It must be quick.
    pub fn exclusively(
        &mut self,
        work: impl FnOnce(&Arc<Server>, &mut ReplyWriter<'_>) -> Result<(), CommandError>
        + Send
        + 'static,
    ) {
        self.afterwards(After::Exclusive(Deferred(Box::new(work))));
    }

    /// Leaves the command to `work`, which locks what it needs: for keys that only a look at others
    /// tells. In a transaction such a command must be one that runs at the gate.
    pub fn unlocked(
        &mut self,
        work: impl FnOnce(&Arc<Server>, &mut ReplyWriter<'_>) -> Result<(), CommandError>
        + Send
        + 'static,
    ) {
        self.afterwards(After::Unlocked(Deferred(Box::new(work))));
    }

    /// Answers a container's HELP: what each subcommand is for, and HELP itself.
    pub fn help(&mut self, container: &str, lines: &[&str]) {
        self.reply.array(lines.len().saturating_add(3));
        self.reply.simple(&format!(
            "{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        ));
        for line in lines {
            self.reply.simple(line);
        }
        self.reply.simple("HELP");
        self.reply.simple("    Tell what the subcommands are.");
    }

    /// Writes down what the command has done, if it may have done anything, and somebody needs to know.
    #[inline]
    pub fn write_down(&mut self, args: &Args<'_>) {
        if self.owes_words() {
            match args.as_encoded() {
                Some(command) => self.db.write_encoded(command),
                None => self.db.write_words(args.iter_from(0)),
            }
        }
    }

    /// As [`write_down`](Self::write_down), of a command that is no part of a transaction.
    #[inline]
    pub fn write_down_alone(&mut self, args: &Args<'_>) {
        if self.owes_words() {
            match args.as_encoded() {
                Some(command) => self.db.write_encoded_alone(command),
                None => self.db.write_words(args.iter_from(0)),
            }
        }
    }

    #[inline(always)]
    fn owes_words(&mut self) -> bool {
        self.db.is_logged() && self.spec.flags.intersects(Flags::WRITES) && self.db.end_command()
    }

    /// Has the client wait for what `answer` gives: a whole reply, and whether to close then.
    pub fn answer_later(&mut self, answer: impl Future<Output = (Vec<u8>, bool)> + Send + 'static) {
        self.afterwards(After::Answer(Answer(Box::pin(answer))));
    }

    /// Gives the connection to `taker`, once what was answered is sent.
    pub fn hand_over(&mut self, taker: impl FnOnce(Taken) + Send + 'static) {
        self.afterwards(After::HandOver(HandOver(Box::new(taker))));
    }

    /// Closes the connection once the reply is sent.
    pub fn close(&mut self) {
        self.afterwards(After::Close);
    }

    /// Leaves this to be done once the command's locks are released.
    pub fn afterwards(&mut self, what: After) {
        self.after = Some(Box::new(what));
    }
}

impl Background {
    /// Does the work; gives the reply, or the error reply.
    #[must_use]
    pub fn run(self, server: &Arc<Server>, protocol: Protocol) -> Vec<u8> {
        let mut out = Vec::new();
        if let Err(error) = (self.0)(server, &mut ReplyWriter::new(&mut out, protocol)) {
            let text = error.bytes();
            server.stats.count_error(&text);
            out.clear();
            ReplyWriter::new(&mut out, protocol).error_bytes(&text);
        }
        server.store.log().nudge(0);
        out
    }
}

impl Deferred {
    /// Does the work, with no slot locked; what is exclusive, at the gate.
    ///
    /// # Errors
    /// What the client is told instead of a reply.
    pub fn run(
        self,
        server: &Arc<Server>,
        reply: &mut ReplyWriter<'_>,
    ) -> Result<(), CommandError> {
        (self.0)(server, reply)
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred")
    }
}
