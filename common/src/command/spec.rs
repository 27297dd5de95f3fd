//! What a row of the command table says. Data only: how keys are found is in [`super::keys`].

use super::flags::{AclCategories, Flags, KeyFlags};
use std::fmt;

/// One command or subcommand.
#[derive(Clone, Copy)]
pub struct Spec {
    /// The name as COMMAND gives it, in lower case; `config|get` for a subcommand.
    pub name: &'static str,
    /// The row's place in [`super::COMMANDS`].
    pub id: CommandId,
    /// How many arguments, the name and the subcommand's included; `-n` means n or more.
    pub arity: i8,
    /// The group that the documentation files it under.
    pub group: Group,
    /// Redis's flags.
    pub flags: Flags,
    /// Redis's ACL categories.
    pub acl: AclCategories,
    /// First and last key and the step between them, as the plainest of clients understands
    /// them; all zero if there is no key at a fixed place.
    pub range: KeyRange,
    /// What finds the keys where the specs cannot.
    pub(super) finder: Finder,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// Hints for clients and proxies, as COMMAND INFO gives them.
    pub tips: &'static [&'static str],
    /// How a proxy sends it and makes one reply of several.
    pub fan_out: FanOut,
    /// What COMMAND DOCS tells.
    pub docs: &'static Docs,
    /// The container of a subcommand.
    pub(super) parent: Option<CommandId>,
    pub(super) subcommands: (u16, u16),
}

/// A dense index over all commands and subcommands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(pub(super) u16);

impl CommandId {
    /// The index, below the length of [`super::COMMANDS`].
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// First key, last key (negative: from the end) and step, as in the old form of COMMAND.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeyRange {
    /// Index of the first key, 0 if there is none.
    pub first: i8,
    /// Index of the last key; `-1` is the last argument.
    pub last: i8,
    /// Distance from one key to the next.
    pub step: i8,
}

/// The groups of the documentation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// Strings seen as arrays of bits.
    Bitmap,
    /// The cluster.
    Cluster,
    /// The connection.
    Connection,
    /// Keys of any type.
    Generic,
    /// Places on the globe.
    Geo,
    /// Hashes.
    Hash,
    /// HyperLogLogs.
    Hyperloglog,
    /// Lists.
    List,
    /// Publish and subscribe.
    Pubsub,
    /// Scripts and functions.
    Scripting,
    /// The server.
    Server,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// Strings.
    String,
    /// Transactions.
    Transactions,
}

impl Group {
    /// All groups, in the order of their names.
    pub const ALL: [Self; 16] = [
        Self::Bitmap,
        Self::Cluster,
        Self::Connection,
        Self::Generic,
        Self::Geo,
        Self::Hash,
        Self::Hyperloglog,
        Self::List,
        Self::Pubsub,
        Self::Scripting,
        Self::Server,
        Self::Set,
        Self::SortedSet,
        Self::Stream,
        Self::String,
        Self::Transactions,
    ];

    /// The name that COMMAND DOCS gives.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::Hyperloglog => "hyperloglog",
            Self::List => "list",
            Self::Pubsub => "pubsub",
            Self::Scripting => "scripting",
            Self::Server => "server",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::String => "string",
            Self::Transactions => "transactions",
        }
    }
}

/// Where some of a command's keys are, and what is done to them.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// A remark for readers of COMMAND INFO; empty if there is none.
    pub notes: &'static str,
    /// What is done to the keys.
    pub flags: KeyFlags,
    /// Where to begin.
    pub begin: BeginSearch,
    /// How to go on from there.
    pub find: FindKeys,
}

/// Where the search for keys begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BeginSearch {
    /// No rule can tell.
    Unknown,
    /// At this argument.
    Index(i8),
    /// After this word.
    Keyword {
        /// The word, in any letter case.
        keyword: &'static str,
        /// Where to start looking for it; negative: from the end, towards the beginning.
        start_from: i8,
    },
}

/// How keys are found from where the search begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FindKeys {
    /// No rule can tell.
    Unknown,
    /// A run of keys.
    Range {
        /// The last key, counted from the first; negative: from the last argument.
        last_key: i8,
        /// Distance from one key to the next.
        step: i8,
        /// With `last_key` -1: the keys take up one `limit`th of what is left; 0 and 1 mean all.
        limit: i8,
    },
    /// A run of keys whose length is an argument.
    KeyNum {
        /// Where the number is.
        key_num_index: i8,
        /// Where the first key is.
        first_key: i8,
        /// Distance from one key to the next.
        step: i8,
    },
}

/// What finds the keys of commands whose specs cannot say it all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finder {
    /// The key specs do.
    Specs,
    /// GEORADIUS and GEORADIUSBYMEMBER: the last of several STOREs counts.
    GeoRadius,
    /// BITFIELD: whether it writes depends on its subcommands.
    Bitfield,
    /// MIGRATE: one key at its fixed place, or several after KEYS.
    Migrate,
    /// SET: with GET it reads, too.
    Set,
    /// SORT and SORT_RO: STORE may stand anywhere, and BY and GET name no keys by themselves.
    Sort,
}

/// How a proxy sends a command into the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FanOut {
    /// To the node of its keys' slot, which must be one; to any node if it has no keys.
    Slot,
    /// One part for each slot, the replies merged.
    Split(Merge),
    /// To every primary, the replies merged.
    Primaries(Merge),
    /// To any one node: the answer is the same everywhere.
    AnyNode,
    /// One primary after the other, the cursor telling which.
    Scan,
    /// To one primary that has keys, drawn by how many it has.
    RandomKey,
    /// The proxy answers by itself.
    Local,
    /// Like [`FanOut::Slot`]; but with this option it blocks, and needs a connection of its own.
    BlockingIf(&'static str),
    /// It leaves something behind on its connection, or waits there, so the client needs an
    /// upstream connection of its own.
    Connection(Need),
    /// Not through a proxy; the text says why.
    Refused(&'static str),
}

/// How several replies become one. An error among them is the whole's reply, unless said
/// otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merge {
    /// Integers are added.
    Sum,
    /// The least integer.
    Min,
    /// Arrays of 0 and 1, place by place: 1 if all are.
    And,
    /// Any one reply, all being alike.
    AllSucceeded,
    /// The first that is no error; an error only if all are.
    OneSucceeded,
    /// One element for each key, in the order of the request.
    Values,
    /// Arrays, one after the other.
    Concat,
    /// Arrays, one after the other, without what was there before.
    Union,
    /// Arrays of names and integers in turn: the integers of a name are added.
    SumPairs,
}

/// What a command needs a connection of its own for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// MULTI, EXEC, WATCH and their like.
    Transaction,
    /// Waiting for data, or for replicas.
    Blocking,
    /// Messages.
    Subscription,
    /// The stream of all commands.
    Monitor,
    /// Notices of changed keys.
    Tracking,
}

/// What COMMAND DOCS tells of a command.
#[derive(Clone, Copy, Debug)]
pub struct Docs {
    /// The version of Redis that first had it.
    pub since: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// How long it takes; empty where that is left open.
    pub complexity: &'static str,
    /// Whether it is for the server's own use rather than users'.
    pub syscmd: bool,
    /// Since when it is discouraged, and what to use.
    pub deprecated: Option<Deprecated>,
    /// Versions that changed it, and how.
    pub history: &'static [(&'static str, &'static str)],
    /// Its arguments.
    pub arguments: &'static [Argument],
}

/// A command's successor.
#[derive(Clone, Copy, Debug)]
pub struct Deprecated {
    /// The version of Redis that deprecated it.
    pub since: &'static str,
    /// What to use in its place.
    pub replaced_by: &'static str,
}

impl Docs {
    /// What a row's documentation starts from.
    pub(super) const EMPTY: Self = Self {
        since: "",
        summary: "",
        complexity: "",
        syscmd: false,
        deprecated: None,
        history: &[],
        arguments: &[],
    };
}

/// One argument, or several that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name in the documentation.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgumentKind,
    /// The key spec that finds it.
    pub key_spec: Option<u8>,
    /// The word before it; the word itself, of a [`ArgumentKind::Token`].
    pub token: Option<&'static str>,
    /// The version of Redis that added it, if it is younger than the command.
    pub since: Option<&'static str>,
    /// The version of Redis that deprecated it.
    pub deprecated_since: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Repeated with its word each time.
    pub multiple_token: bool,
    /// What it consists of.
    pub arguments: &'static [Argument],
}

/// Kinds of arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgumentKind {
    /// Any bytes.
    String,
    /// An integer.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// A word, taken as it is.
    Token,
    /// One of its arguments.
    OneOf,
    /// All of its arguments.
    Block,
}

impl ArgumentKind {
    /// The name that COMMAND DOCS gives.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::UnixTime => "unix-time",
            Self::Token => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

impl Spec {
    /// Whether a request of `len` arguments (the name included) has the right number of them.
    #[must_use]
    #[inline]
    pub const fn arity_allows(&self, len: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 {
            len >= wanted
        } else {
            len == wanted
        }
    }

    /// Whether its first argument names a subcommand.
    #[must_use]
    #[inline]
    pub const fn is_container(&self) -> bool {
        self.subcommands.0 < self.subcommands.1
    }

    /// Whether it is a subcommand.
    #[must_use]
    pub const fn is_subcommand(&self) -> bool {
        self.parent.is_some()
    }

    /// A subcommand's own name, without its container's: `get` of `config|get`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name
            .split_once('|')
            .map_or(self.name, |(_, name)| name)
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
