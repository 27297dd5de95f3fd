//! Lists, by subject.
//!
//! ```text
//! ends.rs      what goes to the ends and comes from them: LPUSH … RPOPLPUSH
//! elements.rs  what is inside, by index and by value: LRANGE, LSET, LREM, …
//! position.rs  LPOS
//! ```

pub(super) mod elements;
pub(super) mod ends;
pub(super) mod position;

use super::{Args, CommandError, Ctx, Handler};
use crate::server::Server;
use crate::store::{End, NodeLimit};

/// How large a listpack of a list may be.
pub(super) fn limit(server: &Server) -> NodeLimit {
    let alone = server.store.settings().list_alone_bytes();
    NodeLimit::from_config(server.config.list_max_listpack_size(), alone)
}

/// LEFT or RIGHT.
pub(super) fn end(args: &Args<'_>, at: usize) -> Result<End, CommandError> {
    if args.is(at, "left") {
        Ok(End::Head)
    } else if args.is(at, "right") {
        Ok(End::Tail)
    } else {
        Err(CommandError::Syntax)
    }
}
