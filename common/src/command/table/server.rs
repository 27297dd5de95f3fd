//! The server: configuration, persistence, replication, introspection. What its containers contain
//! is in [`super::server_containers`].

use super::prelude::*;
use super::server_containers::{
    ACL_SUBCOMMANDS, COMMAND_SUBCOMMANDS, CONFIG_SUBCOMMANDS, LATENCY_SUBCOMMANDS, MEMORY_SUBCOMMANDS,
    MODULE_SUBCOMMANDS, SLOWLOG_SUBCOMMANDS,
};

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("acl",            -2, 0,                                                         0,                          Refused(ONE_NODE),       &ACL_DOCS,            &[])
        .with(ACL_SUBCOMMANDS),
    row("bgrewriteaof",    1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING,                       0,                          Primaries(AllSucceeded), &BGREWRITEAOF_DOCS,   &[]),
    row("bgsave",         -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING,                       0,                          Primaries(AllSucceeded), &BGSAVE_DOCS,         &[]),
    row("command",        -1, LOADING | STALE,                                           CONNECTION,                 Local,                   &COMMAND_DOCS,        &[])
        .tips(&[UNORDERED]).with(COMMAND_SUBCOMMANDS),
    row("config",         -2, 0,                                                         0,                          Local,                   &CONFIG_DOCS,         &[])
        .with(CONFIG_SUBCOMMANDS),
    row("dbsize",          1, READONLY | FAST,                                           KEYSPACE,                   Primaries(Sum),          &DBSIZE_DOCS,         &[])
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    row("debug",          -2, ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED,            0,                          Refused(ONE_NODE),       &DEBUG_DOCS,          &[]),
    row("failover",       -1, ADMIN | NOSCRIPT | STALE,                                  0,                          Refused(REPLICATION),    &FAILOVER_DOCS,       &[]),
    row("flushall",       -1, WRITE,                                                     KEYSPACE | DANGEROUS,       Primaries(AllSucceeded), &FLUSHALL_DOCS,       &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("flushdb",        -1, WRITE,                                                     KEYSPACE | DANGEROUS,       Primaries(AllSucceeded), &FLUSHDB_DOCS,        &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("info",           -1, LOADING | STALE,                                           DANGEROUS,                  Local,                   &INFO_DOCS,           &[])
        .tips(&[UNSTABLE, "request_policy:all_shards", "response_policy:special"]),
    row("lastsave",        1, LOADING | STALE | FAST,                                    ADMINISTRATION | DANGEROUS, Primaries(Min),          &LASTSAVE_DOCS,       &[])
        .tips(&[UNSTABLE]),
    row("latency",        -2, 0,                                                         0,                          Refused(ONE_NODE),       &LATENCY_DOCS,        &[])
        .with(LATENCY_SUBCOMMANDS),
    row("lolwut",         -1, READONLY | FAST,                                           0,                          AnyNode,                 &LOLWUT_DOCS,         &[]),
    row("memory",         -2, 0,                                                         0,                          Refused(ONE_NODE),       &MEMORY_DOCS,         &[])
        .with(MEMORY_SUBCOMMANDS),
    row("module",         -2, 0,                                                         0,                          Refused(ONE_NODE),       &MODULE_DOCS,         &[])
        .with(MODULE_SUBCOMMANDS),
    row("monitor",         1, ADMIN | NOSCRIPT | LOADING | STALE,                        0,                          Connection(Monitor),     &MONITOR_DOCS,        &[]),
    row("psync",          -3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,            0,                          Refused(REPLICATION),    &PSYNC_DOCS,          &[]),
    row("replconf",       -1, ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY,           0,                          Refused(REPLICATION),    &REPLCONF_DOCS,       &[]),
    row("replicaof",       3, ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,               0,                          Refused(REPLICATION),    &REPLICAOF_DOCS,      &[]),
    row("restore-asking", -4, WRITE | DENYOOM | ASKING,                                  KEYSPACE | DANGEROUS,       Refused(REPLICATION),    &RESTORE_ASKING_DOCS, &[key(1, OW | UPDATE)]),
    row("role",            1, NOSCRIPT | LOADING | STALE | FAST,                         ADMINISTRATION | DANGEROUS, Refused(ONE_NODE),       &ROLE_DOCS,           &[]),
    row("save",            1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,            0,                          Primaries(AllSucceeded), &SAVE_DOCS,           &[]),
    row("shutdown",       -1, ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY, 0,                          Refused(ONE_NODE),       &SHUTDOWN_DOCS,       &[]),
    row("slaveof",         3, ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,               0,                          Refused(REPLICATION),    &SLAVEOF_DOCS,        &[]),
    row("slowlog",        -2, 0,                                                         0,                          Refused(ONE_NODE),       &SLOWLOG_DOCS,        &[])
        .with(SLOWLOG_SUBCOMMANDS),
    row("swapdb",          3, WRITE | FAST,                                              KEYSPACE | DANGEROUS,       Refused(ONE_DATABASE),   &SWAPDB_DOCS,         &[]),
    row("sync",            1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,            0,                          Refused(REPLICATION),    &SYNC_DOCS,           &[]),
    row("time",            1, LOADING | STALE | FAST,                                    0,                          Local,                   &TIME_DOCS,           &[])
        .tips(&[UNSTABLE]),
];

const ACL_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Commands about users and what they may do",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const BGREWRITEAOF_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Rewrites the append-only file in the background",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const BGSAVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Writes a snapshot in the background",
    complexity: "O(1)",
    history: &[
        ("3.2.2", "Takes `SCHEDULE`."),
    ],
    arguments: &[token("schedule", "SCHEDULE").optional().since("3.2.2")],
    ..Docs::EMPTY
};

const COMMAND_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Describes all commands",
    complexity: "O(N), N being the commands",
    ..Docs::EMPTY
};

const CONFIG_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Commands about the configuration",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const DBSIZE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Counts the keys of the database",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const DEBUG_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Commands for those who test the server",
    complexity: "Each subcommand has its own",
    syscmd: true,
    ..Docs::EMPTY
};

const FAILOVER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Puts a replica in this primary's place, in good order",
    complexity: "O(1)",
    arguments: &[
        block("target", &[string("host"), integer("port"), token("force", "FORCE").optional()]).after("TO").optional(),
        token("abort", "ABORT").optional(), integer("milliseconds").after("TIMEOUT").optional(),
    ],
    ..Docs::EMPTY
};

const FLUSHALL_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Removes the keys of all databases",
    complexity: "O(N), N being the keys",
    history: &[
        ("4.0.0", "Takes `ASYNC`."),
        ("6.2.0", "Takes `SYNC`."),
    ],
    arguments: &[
        one_of("async", &[
            token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0"),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const FLUSHDB_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Removes the keys of the database",
    complexity: "O(N), N being the keys",
    history: &[
        ("4.0.0", "Takes `ASYNC`."),
        ("6.2.0", "Takes `SYNC`."),
    ],
    arguments: &[
        one_of("async", &[
            token("async", "ASYNC").since("4.0.0"), token("sync", "SYNC").since("6.2.0"),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const INFO_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells how the server fares",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes several sections."),
    ],
    arguments: &[string("section").optional().multiple()],
    ..Docs::EMPTY
};

const LASTSAVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells when the last snapshot was written, in Unix seconds",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Commands about slow moments",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const LOLWUT_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Shows a small picture and the version",
    arguments: &[integer("version").after("VERSION").optional()],
    ..Docs::EMPTY
};

const MEMORY_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Commands about memory",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const MODULE_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Commands about modules",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const MONITOR_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Shows every command that the server runs, as it runs",
    ..Docs::EMPTY
};

const PSYNC_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Asks a primary for its data and its writes, from where the replica left off",
    arguments: &[string("replicationid"), integer("offset")],
    ..Docs::EMPTY
};

const REPLCONF_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Lets a replica and its primary tell each other what they need to know",
    complexity: "O(1)",
    syscmd: true,
    ..Docs::EMPTY
};

const REPLICAOF_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Makes the server a replica of another, or a primary",
    complexity: "O(1)",
    arguments: &[
        one_of("args", &[
            block("host-port", &[string("host"), integer("port")]),
            block("no-one", &[token("no", "NO"), token("one", "ONE")]),
        ]),
    ],
    ..Docs::EMPTY
};

const RESTORE_ASKING_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "RESTORE as the source of a migration sends it, into a slot that is being imported",
    complexity: "O(N), N being the bytes; a sorted set's elements take O(log(N)) each",
    syscmd: true,
    history: &[
        ("3.0.0", "Takes `REPLACE`."),
        ("5.0.0", "Takes `ABSTTL`."),
        ("5.0.0", "Takes `IDLETIME` and `FREQ`."),
    ],
    arguments: &[
        key_at("key", 0), integer("ttl"), string("serialized-value"),
        token("replace", "REPLACE").optional().since("3.0.0"),
        token("absttl", "ABSTTL").optional().since("5.0.0"),
        integer("seconds").after("IDLETIME").optional().since("5.0.0"),
        integer("frequency").after("FREQ").optional().since("5.0.0"),
    ],
    ..Docs::EMPTY
};

const ROLE_DOCS: Docs = Docs {
    since: "2.8.12",
    summary: "Tells the part that the server plays in replication",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SAVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Writes a snapshot while everybody waits",
    complexity: "O(N), N being the keys",
    ..Docs::EMPTY
};

const SHUTDOWN_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Ends the server, in good order",
    complexity: "O(N) with a snapshot, N being the keys; else O(1)",
    history: &[
        ("7.0.0", "Takes `NOW`, `FORCE` and `ABORT`."),
    ],
    arguments: &[
        one_of("nosave_save", &[token("nosave", "NOSAVE"), token("save", "SAVE")]).optional(),
        token("now", "NOW").optional().since("7.0.0"),
        token("force", "FORCE").optional().since("7.0.0"),
        token("abort", "ABORT").optional().since("7.0.0"),
    ],
    ..Docs::EMPTY
};

const SLAVEOF_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Makes the server a replica of another, or a primary",
    complexity: "O(1)",
    deprecated: Some(Deprecated { since: "5.0.0", replaced_by: "`REPLICAOF`" }),
    arguments: &[
        one_of("args", &[
            block("host-port", &[string("host"), integer("port")]),
            block("no-one", &[token("no", "NO"), token("one", "ONE")]),
        ]),
    ],
    ..Docs::EMPTY
};

const SLOWLOG_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "Commands about the log of slow commands",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const SWAPDB_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Exchanges the contents of two databases",
    complexity: "O(N), N being the clients that watch or wait for keys of either",
    arguments: &[integer("index1"), integer("index2")],
    ..Docs::EMPTY
};

const SYNC_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Asks a primary for its data and its writes, from the start",
    ..Docs::EMPTY
};

const TIME_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Tells the time: seconds and microseconds",
    complexity: "O(1)",
    ..Docs::EMPTY
};
