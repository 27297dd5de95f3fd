//! What a row of the directive table says.

use super::table::{Key, TABLE};

/// One directive: everything the program knows of it, but its value.
#[derive(Debug)]
pub struct Directive {
    /// Its place in the table.
    pub key: Key,
    /// Its name, in small letters.
    pub name: &'static str,
    /// Its older name, which works everywhere too.
    pub alias: Option<&'static str>,
    /// What its value is.
    pub kind: Kind,
    /// Its default, as CONFIG GET prints it.
    pub default: &'static str,
    /// Who may change it while the process runs.
    pub access: Access,
    /// Whether it does something.
    pub effect: Effect,
    /// What it means, for the reference.
    pub doc: &'static str,
    /// The part of the reference that it belongs to.
    pub group: Group,
}

/// The kinds of value, with their bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number.
    Int {
        /// The least allowed.
        min: i64,
        /// The most allowed.
        max: i64,
        /// What it counts.
        unit: Unit,
    },
    /// A file mode.
    Octal {
        /// The most allowed.
        max: i64,
    },
    /// A number of bytes, with an optional unit.
    Size {
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// A number of bytes, or a percentage (kept as a negative number).
    SizeOrPercent,
    /// One of some words; the value is its place.
    Choice(&'static [&'static str]),
    /// Any bytes.
    Text {
        /// Whether it must not be shown in logs.
        secret: bool,
    },
    /// A file's name without a path.
    FileName,
    /// A directory's name without a path; not empty.
    DirName,
    /// A directory that exists.
    Dir,
    /// A DNS name.
    HostName,
    /// The process title's layout.
    TitleTemplate,
    /// Addresses to listen on.
    Bind,
    /// Limits of unread replies per class of client.
    OutputLimits,
    /// Pairs of seconds and changes.
    SavePoints,
    /// Percentiles.
    Percentiles,
    /// Classes of keyspace events.
    NotifyFlags,
    /// How to shut down.
    ShutdownFlags,
    /// Three adjustments.
    OomScores,
    /// Host and port of a primary.
    ReplicaOf,
    /// A number of replicas, or a majority (kept as -1).
    AckWrites,
}

impl Kind {
    /// Whether the value may be several words.
    #[must_use]
    pub fn takes_words(self) -> bool {
        matches!(
            self,
            Self::Bind
                | Self::OutputLimits
                | Self::SavePoints
                | Self::Percentiles
                | Self::ShutdownFlags
                | Self::OomScores
                | Self::ReplicaOf
        )
    }
}

/// What a whole number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things, or nothing in particular.
    Count,
    /// A TCP port.
    Port,
    /// Threads.
    Threads,
    /// Minutes.
    Minutes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Hundredths.
    Percent,
    /// Times in a second.
    PerSecond,
}

/// Who may change a directive while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever may use CONFIG SET.
    Mutable,
    /// Nobody.
    Immutable,
    /// As `enable-protected-configs` says.
    Protected,
    /// As `Mutable`; and no pattern of CONFIG GET shows it.
    Hidden,
}

/// Whether a directive does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Now,
    /// It is kept and shown, and waits for the feature that it belongs to.
    Later,
    /// It is kept and shown so that files and tools work; this server has no use for it.
    Never,
}

/// A part of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The part's heading.
    pub title: &'static str,
}

impl Directive {
    /// The directive of a key.
    #[must_use]
    pub fn of(key: Key) -> &'static Self {
        #[expect(clippy::indexing_slicing, reason = "the table has a row for each key")]
        &TABLE[key as usize]
    }

    /// The directive of a name or alias, in any letter case.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|directive| {
            directive
                .names()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Its name, and its alias if it has one.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.alias)
    }

    /// What a right value looks like, for errors and the reference.
    #[must_use]
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Bool => "yes or no".to_owned(),
            Kind::Int { min, max, unit } => whole_number(min, max, unit),
            Kind::Octal { max } => format!("a file mode, octal, up to {max:o}"),
            Kind::Size { min: 0, .. } => "bytes, such as 1000, 100mb or 2gb".to_owned(),
            Kind::Size { min, .. } => format!("bytes, at least {min}, such as 100mb or 2gb"),
            Kind::SizeOrPercent => "bytes such as 100mb, or a percentage such as 5%".to_owned(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Text { .. } => "text".to_owned(),
            Kind::FileName => "a file name without a path".to_owned(),
            Kind::DirName => "a directory name without a path".to_owned(),
            Kind::Dir => "a directory that exists".to_owned(),
            Kind::AckWrites => "a number of replicas up to 32, or majority".to_owned(),
            Kind::HostName => "a host name, up to 255 letters, digits, hyphens and dots".to_owned(),
            Kind::TitleTemplate => "text; in braces title, listen-addr, server-mode, port, tls-port, unixsocket or config-file".to_owned(),
            Kind::Bind => "addresses, such as 127.0.0.1 or * -::*".to_owned(),
            Kind::OutputLimits => "groups of class (normal, replica, pubsub), hard limit, soft limit and seconds, such as normal 0 0 0".to_owned(),
            Kind::SavePoints => "pairs of seconds and changes, such as 900 1 300 10, or \"\"".to_owned(),
            Kind::Percentiles => "percentiles, such as 50 99 99.9".to_owned(),
            Kind::NotifyFlags => "letters out of Ag$lshzxeKEtmdn".to_owned(),
            Kind::ShutdownFlags => "default, or some of save, nosave, now, force".to_owned(),
            Kind::OomScores => "three numbers from -2000 to 2000".to_owned(),
            Kind::ReplicaOf => "a host and a port, such as 10.0.0.1 6379".to_owned(),
        }
    }
}

fn whole_number(min: i64, max: i64, unit: Unit) -> String {
    let what = match unit {
        Unit::Count => "a whole number",
        Unit::Port => "a port",
        Unit::Threads => "threads",
        Unit::Minutes => "minutes",
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Microseconds => "microseconds",
        Unit::Percent => "percent",
        Unit::PerSecond => "times a second",
    };
    match (min, max) {
        (i64::MIN..=-2_147_483_648, _) => what.to_owned(),
        (_, 2_147_483_647..) => format!("{what}, at least {min}"),
        _ => format!("{what}, {min} to {max}"),
    }
}
