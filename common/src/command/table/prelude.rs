//! The words that rows are written in.

pub(super) use super::Row;
use super::{AclCategories, BeginSearch, FindKeys, Flags, KeyFlags, KeySpec};
use crate::command::spec::{Argument, ArgumentKind};

pub(super) use crate::command::spec::FanOut::{
    self, AnyNode, BlockingIf, Connection, Local, Primaries, RandomKey, Refused, Scan, Slot, Split,
};
pub(super) use crate::command::spec::Merge::{
    AllSucceeded, And, Concat, Min, OneSucceeded, Sum, SumPairs, Union, Values,
};
pub(super) use crate::command::spec::Need::{
    Blocking, Monitor, Subscription, Tracking, Transaction,
};
pub(super) use crate::command::spec::{Deprecated, Docs, Finder};

/// Why a proxy refuses what shows or changes the cluster behind it.
pub(super) const CLUSTER: &str = "the proxy hides the cluster; send it to a node";
/// Why a proxy refuses what has a meaning on one node only.
pub(super) const ONE_NODE: &str = "it concerns one node; send it to that node";
/// Why a proxy refuses what changes settings or counters.
pub(super) const SETTINGS: &str =
    "its own settings are read when it starts; a node's are changed at that node";
/// Why a proxy refuses what has to do with other databases.
pub(super) const ONE_DATABASE: &str = "a cluster has database 0 only";
/// Why a proxy refuses what nodes say to each other.
pub(super) const REPLICATION: &str = "replication is between nodes; send it to a node";

/// Tip: the reply may differ from one time to the next.
pub(super) const UNSTABLE: &str = "nondeterministic_output";
/// Tip: the order of the reply's elements may differ from one time to the next.
pub(super) const UNORDERED: &str = "nondeterministic_output_order";

/// Makes short names of associated constants.
macro_rules! short_names {
    ($kind:ident, $int:ty: $($name:ident)*) => {
        $(pub(super) const $name: $int = $kind::$name.0;)*
    };
}

short_names!(Flags, u32:
    WRITE READONLY DENYOOM ADMIN PUBSUB NOSCRIPT BLOCKING LOADING STALE SKIP_MONITOR SKIP_SLOWLOG
    ASKING FAST NO_AUTH MAY_REPLICATE NO_MANDATORY_KEYS PROTECTED NO_ASYNC_LOADING NO_MULTI
    ALLOW_BUSY);

short_names!(AclCategories, u32:
    KEYSPACE SET SORTED_SET LIST HASH STRING BITMAP HYPERLOGLOG GEO STREAM DANGEROUS CONNECTION
    TRANSACTION SCRIPTING);
/// The category of what administers the server without the flag that says so.
pub(super) const ADMINISTRATION: u32 = AclCategories::ADMIN.0;

short_names!(KeyFlags, u16:
    RO RW OW RM ACCESS UPDATE INSERT DELETE NOT_KEY INCOMPLETE VARIABLE_FLAGS);

/// A row without tips and subcommands, whose keys its specs find.
pub(super) const fn row(
    name: &'static str,
    arity: i8,
    flags: u32,
    acl: u32,
    fan_out: FanOut,
    docs: &'static Docs,
    keys: &'static [KeySpec],
) -> Row {
    Row {
        name,
        arity,
        flags,
        acl,
        fan_out,
        docs,
        keys,
        tips: &[],
        finder: Finder::Specs,
        subcommands: &[],
    }
}

impl Row {
    pub(super) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub(super) const fn found_by(mut self, finder: Finder) -> Self {
        self.finder = finder;
        self
    }

    pub(super) const fn with(mut self, subcommands: &'static [Row]) -> Self {
        self.subcommands = subcommands;
        self
    }
}

/// The key at `index`.
pub(super) const fn key(index: i8, flags: u16) -> KeySpec {
    range(index, 0, 1, flags)
}

/// Keys from `index` to `last` (counted from `index`; negative: from the end), `step` apart.
pub(super) const fn range(index: i8, last_key: i8, step: i8, flags: u16) -> KeySpec {
    KeySpec {
        notes: "",
        flags: KeyFlags(flags),
        begin: BeginSearch::Index(index),
        find: FindKeys::Range {
            last_key,
            step,
            limit: 0,
        },
    }
}

/// As many keys as the argument at `index` says, after it.
pub(super) const fn counted(index: i8, flags: u16) -> KeySpec {
    KeySpec {
        find: FindKeys::KeyNum {
            key_num_index: 0,
            first_key: 1,
            step: 1,
        },
        ..range(index, 0, 1, flags)
    }
}

/// Keys after a word that is looked for from `start_from`.
pub(super) const fn after(
    keyword: &'static str,
    start_from: i8,
    last_key: i8,
    limit: i8,
    flags: u16,
) -> KeySpec {
    KeySpec {
        notes: "",
        flags: KeyFlags(flags),
        begin: BeginSearch::Keyword {
            keyword,
            start_from,
        },
        find: FindKeys::Range {
            last_key,
            step: 1,
            limit,
        },
    }
}

/// Keys that no rule finds.
pub(super) const fn unknown(flags: u16) -> KeySpec {
    KeySpec {
        notes: "",
        flags: KeyFlags(flags),
        begin: BeginSearch::Unknown,
        find: FindKeys::Unknown,
    }
}

impl KeySpec {
    pub(super) const fn note(mut self, notes: &'static str) -> Self {
        self.notes = notes;
        self
    }
}

const fn argument(name: &'static str, kind: ArgumentKind) -> Argument {
    Argument {
        name,
        kind,
        key_spec: None,
        token: None,
        since: None,
        deprecated_since: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        arguments: &[],
    }
}

/// Any bytes.
pub(super) const fn string(name: &'static str) -> Argument {
    argument(name, ArgumentKind::String)
}

/// An integer.
pub(super) const fn integer(name: &'static str) -> Argument {
    argument(name, ArgumentKind::Integer)
}

/// A number.
pub(super) const fn double(name: &'static str) -> Argument {
    argument(name, ArgumentKind::Double)
}

/// A glob pattern.
pub(super) const fn pattern(name: &'static str) -> Argument {
    argument(name, ArgumentKind::Pattern)
}

/// A moment.
pub(super) const fn unix_time(name: &'static str) -> Argument {
    argument(name, ArgumentKind::UnixTime)
}

/// A key, found by the spec of this number.
pub(super) const fn key_at(name: &'static str, key_spec: u8) -> Argument {
    argument(name, ArgumentKind::Key).of_key(key_spec)
}

/// A word.
pub(super) const fn token(name: &'static str, word: &'static str) -> Argument {
    argument(name, ArgumentKind::Token).after(word)
}

/// One of these.
pub(super) const fn one_of(name: &'static str, arguments: &'static [Argument]) -> Argument {
    let mut all = argument(name, ArgumentKind::OneOf);
    all.arguments = arguments;
    all
}

/// These, together.
pub(super) const fn block(name: &'static str, arguments: &'static [Argument]) -> Argument {
    let mut all = argument(name, ArgumentKind::Block);
    all.arguments = arguments;
    all
}

impl Argument {
    pub(super) const fn after(mut self, word: &'static str) -> Self {
        self.token = Some(word);
        self
    }

    pub(super) const fn of_key(mut self, key_spec: u8) -> Self {
        self.key_spec = Some(key_spec);
        self
    }

    pub(super) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub(super) const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    pub(super) const fn multiple_token(mut self) -> Self {
        self.multiple_token = true;
        self
    }

    pub(super) const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }

    pub(super) const fn deprecated(mut self, version: &'static str) -> Self {
        self.deprecated_since = Some(version);
        self
    }
}
