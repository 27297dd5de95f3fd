//! Sorted sets: ZADD and its kin, by subject.
//!
//! ```text
//! add.rs      ZADD, ZINCRBY             range.rs    ZRANGE and its elder forms, ZRANGESTORE
//! member.rs   of one member, and counts remove.rs   ZREM, ZREMRANGEBY…
//! pop.rs      ZPOPMIN, ZPOPMAX, ZMPOP   combine.rs  ZUNION, ZINTER, ZDIFF and what stores them
//! random.rs   ZRANDMEMBER               scan.rs     ZSCAN
//! ```

pub(super) mod add;
mod bounds;
pub(super) mod combine;
pub(super) mod member;
pub(super) mod pop;
pub(super) mod random;
pub(super) mod range;
pub(super) mod remove;
pub(super) mod scan;

use slotilla_common::resp::{Protocol, ReplyWriter};

use super::{Args, CommandError, Ctx, Handler};
use crate::server::Server;
use crate::store::{Db, EventClass, PackedLimits, SortedSet};

/// How large a sorted set may be while it is packed.
pub(super) fn limits(server: &Server) -> PackedLimits {
    PackedLimits {
        entries: server.config.zset_max_listpack_entries(),
        bytes: server.config.zset_max_listpack_value(),
    }
}

/// Begins a reply of members, with their scores or without: RESP3 pairs them.
fn begin_members(reply: &mut ReplyWriter<'_>, count: usize, with_scores: bool) {
    let is_flat = with_scores && reply.protocol == Protocol::Resp2;
    reply.array(if is_flat { count * 2 } else { count });
}

/// One member of such a reply.
fn write_member(reply: &mut ReplyWriter<'_>, member: &[u8], score: f64, with_scores: bool) {
    if with_scores && reply.protocol == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(member);
    if with_scores {
        reply.double(score);
    }
}

/// Puts a sorted set in the place of whatever a key has; an empty one deletes the key. How many
/// members it has.
pub(super) fn store(db: &mut Db<'_>, key: &[u8], set: SortedSet, event: &'static str) -> usize {
    let len = set.len();
    db.store_collection(key, set, EventClass::SortedSet, event);
    len
}
