//! How the role changes: at the gate, so that no command sees it change.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::log::Follower;
use super::{Address, LinkState, ReplId};
use crate::aof;
use crate::server::Server;
use crate::server::blocked::DEMOTED;
use crate::server::gate::Gate;
use crate::server::long::InLine;

impl Server {
    /// REPLICAOF: this node copies that primary from now on, or none. Not for a worker, as it waits
    /// for the gate; but at the gate it is fine.
    pub fn set_primary(self: &Arc<Self>, primary: Option<Address>, who: &str) {
        if !Gate::is_closed_here() {
            let _still = self.replication.hold_still(true);
            // What a long command does is either in this history, or in the next one.
            let _turn = InLine::everything(self);
            self.gate
                .exclusive(None, |_| self.change_role(primary, who));
        } else if let Some(_still) = self.replication.hold_still(false) {
            self.change_role(primary, who);
        } else {
            // A part of the stream is being applied, and ends once the gate is open.
            let (server, who) = (Arc::clone(self), who.to_owned());
            let later = move || server.set_primary(primary, &who);
            let spawned = std::thread::Builder::new().name("role".into()).spawn(later);
            if let Err(error) = spawned {
                tracing::error!("The role does not change, there is no thread for it: {error}");
            }
        }
    }

    fn change_role(self: &Arc<Self>, primary: Option<Address>, who: &str) {
        let replication = &self.replication;
        if primary.is_none() && !replication.is_replica() {
            return;
        }
        let is_new = !replication.is_replica();
        let is_replica = primary.is_some();
        // Counted in another way from here on.
        let (offset, db) = (replication.offset(), replication.db());
        replication.orders.fetch_add(1, Ordering::AcqRel);
        replication.link.set_state(LinkState::Down);
        *replication.primary.lock() = primary.clone();
        replication.is_replica.store(is_replica, Ordering::Release);
        replication.offset.store(offset, Ordering::Release);
        replication.db.store(db, Ordering::Relaxed);
        self.settle_expired();
        if is_replica {
            // Replicas of this node stay: they may go on with what comes from the new primary, and
            // are let go once it is of another history.
            replication.as_primary.end_confirming(self, true);
        } else {
            // They are to hear of the other history before they get any of it.
            replication.as_primary.let_replicas_go();
        }
        if !is_replica && !replication.is_sound.load(Ordering::Acquire) {
            // Before the append-only file goes on in it.
            replication.drop_stream();
        }
        self.turn_log_over(is_replica);
        if let Some(hook) = replication.on_role.get() {
            (hook.0)(is_replica);
        }
        match &primary {
            Some(primary) => {
                if is_new {
                    tracing::info!(
                        "Before turning into a replica, using my own master parameters to synthesize \
                         a cached master: I may be able to synchronize with the new master with just \
                         a partial transfer."
                    );
                }
                // What they wait for may never come here.
                self.store.refuse_waiters(None, DEMOTED, true);
                tracing::info!("REPLICAOF {primary} enabled ({who})");
            }
            None => {
                self.begin_history(who);
                // Those, too, who have asked since, and go on by a name that is another's from here
                // on.
                replication.as_primary.let_replicas_go();
            }
        }
        let shown = primary.map(|primary| (primary.host, primary.port));
        self.config.set_replicaof(shown);
        replication.ordered.notify_waiters();
    }

    /// The data becomes another, without a word in the stream: all replicas need all of it, and so does
    /// this node if it is one. At the gate.
    pub(crate) fn forget_replicas(&self) {
        let (replication, log) = (&self.replication, self.store.history());
        let offset = replication.offset();
        if replication.as_primary.unfollow() {
            log.set_follower(Follower::Replicas, false);
            log.keep(0);
            replication.offset.store(offset, Ordering::Release);
        }
        if replication.is_replica() {
            replication.forsake();
        }
        replication.change_replid();
        replication.as_primary.note_name(self);
        replication.as_primary.end_confirming(self, true);
        replication.as_primary.let_replicas_go();
    }

    /// What is done from here on is the history's stream, or is in the append-only file alone.
    fn turn_log_over(&self, is_replica: bool) {
        let before = Arc::clone(self.store.log());
        self.store.set_copy(is_replica);
        let (log, history) = (self.store.log(), self.store.history());
        if !Arc::ptr_eq(&before, log) {
            aof::follow_to(self, &before, log);
        }
        let is_read = !is_replica && self.replication.as_primary.follows();
        history.set_follower(Follower::Replicas, is_read);
    }

    /// A replica has become a primary: from here on its data has a history of its own.
    fn begin_history(self: &Arc<Self>, who: &str) {
        let replication = &self.replication;
        let replid = ReplId::random();
        let before = replication.history().replid;
        if !replication.is_sound.swap(true, Ordering::AcqRel) {
            replication.begin_anew(replid);
            if self.aof.is_on() {
                // The file has what was there before, and this may be what is left of a load.
                self.aof.schedule_rewrite();
            }
            tracing::warn!("The data is none of {before}. New replication ID is {replid}");
            tracing::info!("MASTER MODE enabled ({who})");
            return;
        }
        replication.rename(replid);
        replication.as_primary.note_name(self);
        replication.begin_own_stream(replication.db.load(Ordering::Relaxed));
        let second = replication.history().previous;
        let offset = second.map_or(-1, |(_, offset)| offset);
        tracing::warn!(
            "Setting secondary replication ID to {before}, valid up to offset: {offset}. New \
             replication ID is {replid}"
        );
        tracing::info!("MASTER MODE enabled ({who})");
    }

    /// Keys whose time has come are hidden on a replica, and while clients are paused.
    pub fn settle_expired(&self) {
        let hides = self.replication.is_replica() || self.pause.is_active();
        self.store.settings().set_hide_expired(hides);
    }

    /// Whether eviction is left to the primary.
    #[must_use]
    pub fn leaves_eviction(&self) -> bool {
        self.replication.is_replica() && self.config.replica_ignore_maxmemory()
    }
}
