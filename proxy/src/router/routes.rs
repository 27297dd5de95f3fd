//! What the command table says of each command, boiled down to what the hot path asks.

use slotilla_common::command::{BeginSearch, COMMANDS, CommandId, FanOut, FindKeys, Flags, Spec};

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the owner of its one key's slot.
    OneKey,
    /// To the owner of its keys' slot, if that is one.
    OneSlot,
    /// Anything else: see the table.
    Other,
}

/// Commands whose latencies are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads one slot.
    Read,
    /// Writes one slot.
    Write,
    /// May be split by slot.
    Split,
    /// Goes to every primary.
    AllNodes,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Split, Self::AllNodes];

    /// The name that metrics show.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Split => "split",
            Self::AllNodes => "all_nodes",
        }
    }
}

/// One command's way.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The way.
    pub way: Way,
    /// Whether it changes nothing, so may be repeated and may pass its like.
    pub is_read: bool,
    /// Its class.
    pub class: Class,
}

/// The ways of all commands.
#[derive(Debug)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Reads the command table.
    #[must_use]
    pub fn new() -> Self {
        Self(COMMANDS.iter().map(route).collect())
    }

    /// The way of one command.
    #[must_use]
    #[inline]
    pub fn of(&self, id: CommandId) -> Route {
        self.0.get(id.index()).copied().unwrap_or(Route {
            way: Way::Other,
            is_read: false,
            class: Class::Write,
        })
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a command changes nothing. What the table does not call a read counts as a write.
#[must_use]
pub fn is_read(spec: &Spec) -> bool {
    spec.flags.contains(Flags::READONLY) && !spec.flags.contains(Flags::WRITE)
}

fn route(spec: &Spec) -> Route {
    let way = match spec.fan_out {
        FanOut::Slot if has_one_key(spec) => Way::OneKey,
        FanOut::Slot => Way::OneSlot,
        _ => Way::Other,
    };
    let class = match spec.fan_out {
        FanOut::Split(_) => Class::Split,
        FanOut::Primaries(_) | FanOut::RandomKey => Class::AllNodes,
        _ if is_read(spec) => Class::Read,
        _ => Class::Write,
    };
    Route {
        way,
        is_read: is_read(spec),
        class,
    }
}

/// Whether every request has its one key at one place.
fn has_one_key(spec: &Spec) -> bool {
    let [only] = spec.keys else {
        return false;
    };
    matches!(only.begin, BeginSearch::Index(_))
        && matches!(only.find, FindKeys::Range { last_key: 0, .. })
        && spec.range.first == spec.range.last
        && spec.range.first > 0
        && !spec.flags.contains(Flags::MOVABLEKEYS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotilla_common::command::lookup;

    fn of(name: &str) -> Route {
        Routes::new().of(lookup(name.as_bytes()).unwrap().id)
    }

    #[test]
    fn commands_go_their_ways() {
        for (name, way) in [
            ("get", Way::OneKey),
            ("set", Way::OneKey),
            ("zadd", Way::OneKey),
            ("rename", Way::OneSlot),
            ("sunion", Way::OneSlot),
            ("eval", Way::OneSlot),
            ("lcs", Way::OneSlot),
            ("sort", Way::OneSlot),
            ("mget", Way::Other),
            ("ping", Way::Other),
        ] {
            assert_eq!(of(name).way, way, "{name}");
        }
    }

    #[test]
    fn only_what_the_table_calls_a_read_is_one() {
        for (name, read) in [
            ("get", true),
            ("xread", true),
            ("getex", false),
            ("eval", false),
            ("xadd", false),
            ("pfcount", true),
            ("publish", false),
        ] {
            assert_eq!(of(name).is_read, read, "{name}");
        }
    }
}
