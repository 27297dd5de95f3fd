//! The command table: every command and subcommand of Redis 7.0.15, as data.
//!
//! COMMAND, key extraction, ACL checks and the proxy's routing all read it. A new command is one
//! row in `table/<group>.rs`, and one function in the node.
//!
//! What the table does not know: which commands the node implements, and the texts of "unknown
//! command" errors.

mod answer;
mod flags;
mod help;
mod keys;
mod lookup;
pub mod reply;
mod spec;
mod table;

pub use answer::{CommandReplyError, answer, find};
pub use flags::{AclCategories, Flags, KeyFlags};
pub use help::{help, syntax};
pub use keys::{
    Args, KeyError, KeyPosition, KeyPositions, RequestArgs, first_key, keys, reported_keys,
};
pub use lookup::{LastCommand, Unresolved, lookup, resolve};
pub use spec::{
    Argument, ArgumentKind, BeginSearch, CommandId, Deprecated, Docs, FanOut, FindKeys, Group,
    KeyRange, KeySpec, Merge, Need, Spec,
};

/// All commands and subcommands, by their ids: a container, then its subcommands.
pub static COMMANDS: [Spec; table::COUNT] = table::assemble();

/// The commands that are no subcommands.
pub fn top_level() -> impl Iterator<Item = &'static Spec> + Clone {
    COMMANDS.iter().filter(|spec| !spec.is_subcommand())
}

impl Spec {
    /// The subcommands, by name.
    #[must_use]
    pub fn subcommands(&self) -> &'static [Spec] {
        let (start, end) = self.subcommands;
        COMMANDS
            .get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }

    /// The container of a subcommand.
    #[must_use]
    pub fn parent(&self) -> Option<&'static Spec> {
        COMMANDS.get(self.parent?.index())
    }
}

impl CommandId {
    /// The command.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        #[expect(
            clippy::indexing_slicing,
            reason = "only the table makes ids, and it makes one for each of its places"
        )]
        &COMMANDS[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_rows_as_redis_has_commands() {
        assert_eq!(top_level().count(), 240);
        // One of them is our own: CLIENT ACK-WRITES.
        assert_eq!(COMMANDS.len(), 240 + 126 + 1);
    }

    #[test]
    fn ids_are_places_and_subcommands_know_their_container() {
        for (place, spec) in COMMANDS.iter().enumerate() {
            assert_eq!(spec.id.index(), place);
            assert!(std::ptr::eq(spec.id.spec(), spec));
            for sub in spec.subcommands() {
                assert_eq!(sub.parent().unwrap().id, spec.id);
                assert_eq!(sub.name, format!("{}|{}", spec.name, sub.short_name()));
            }
            assert_eq!(spec.is_subcommand(), spec.name.contains('|'));
        }
    }

    #[test]
    fn rows_of_a_group_stand_in_order_of_their_names() {
        let rows: Vec<_> = top_level().collect();
        for pair in rows.windows(2) {
            assert!((pair[0].group, pair[0].name) < (pair[1].group, pair[1].name));
        }
    }

    #[test]
    fn arity_counts_the_name() {
        let arity = |name: &[u8]| lookup(name).unwrap();
        assert!(arity(b"get").arity_allows(2) && !arity(b"get").arity_allows(3));
        assert!(arity(b"mget").arity_allows(9) && !arity(b"mget").arity_allows(1));
    }
}
