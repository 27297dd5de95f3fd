//! The server: configuration, persistence, replication, introspection.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("acl",            -2, 0,                                   0,                          Refused(ONE_NODE),       &ACL_DOCS,            &[]).with(ACL_SUBCOMMANDS),
    row("bgrewriteaof",    1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, 0,                          Primaries(AllSucceeded), &BGREWRITEAOF_DOCS,   &[]),
    row("bgsave",         -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, 0,                          Primaries(AllSucceeded), &BGSAVE_DOCS,         &[]),
    row("command",        -1, LOADING | STALE,                     CONNECTION,                 Local,                   &COMMAND_DOCS,        &[])
        .tips(&[UNORDERED]).with(COMMAND_SUBCOMMANDS),
    row("config",         -2, 0,                                   0,                          Local,                   &CONFIG_DOCS,         &[]).with(CONFIG_SUBCOMMANDS),
    row("dbsize",          1, READONLY | FAST,                     KEYSPACE,                   Primaries(Sum),          &DBSIZE_DOCS,         &[])
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    row("debug",          -2, ADMIN | NOSCRIPT | LOADING | STALE | PROTECTED, 0,                          Refused(ONE_NODE),       &DEBUG_DOCS,          &[]),
    row("failover",       -1, ADMIN | NOSCRIPT | STALE,            0,                          Refused(REPLICATION),    &FAILOVER_DOCS,       &[]),
    row("flushall",       -1, WRITE,                               KEYSPACE | DANGEROUS,       Primaries(AllSucceeded), &FLUSHALL_DOCS,       &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("flushdb",        -1, WRITE,                               KEYSPACE | DANGEROUS,       Primaries(AllSucceeded), &FLUSHDB_DOCS,        &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("info",           -1, LOADING | STALE,                     DANGEROUS,                  Local,                   &INFO_DOCS,           &[])
        .tips(&[UNSTABLE, "request_policy:all_shards", "response_policy:special"]),
    row("lastsave",        1, LOADING | STALE | FAST,              ADMINISTRATION | DANGEROUS, Primaries(Min),          &LASTSAVE_DOCS,       &[]).tips(&[UNSTABLE]),
    row("latency",        -2, 0,                                   0,                          Refused(ONE_NODE),       &LATENCY_DOCS,        &[]).with(LATENCY_SUBCOMMANDS),
    row("lolwut",         -1, READONLY | FAST,                     0,                          AnyNode,                 &LOLWUT_DOCS,         &[]),
    row("memory",         -2, 0,                                   0,                          Refused(ONE_NODE),       &MEMORY_DOCS,         &[]).with(MEMORY_SUBCOMMANDS),
    row("module",         -2, PROTECTED,                           0,                          Refused(ONE_NODE),       &MODULE_DOCS,         &[]).with(MODULE_SUBCOMMANDS),
    row("monitor",         1, ADMIN | NOSCRIPT | LOADING | STALE,  0,                          Connection(Monitor),     &MONITOR_DOCS,        &[]),
    row("psync",          -3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, 0,                          Refused(REPLICATION),    &PSYNC_DOCS,          &[]),
    row("replconf",       -1, ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, 0,                          Refused(REPLICATION),    &REPLCONF_DOCS,       &[]),
    row("replicaof",       3, ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING, 0,                          Refused(REPLICATION),    &REPLICAOF_DOCS,      &[]),
    row("restore-asking", -4, WRITE | DENYOOM | ASKING,            KEYSPACE | DANGEROUS,       Refused(REPLICATION),    &RESTORE_ASKING_DOCS, &[key(1, OW | UPDATE)]),
    row("role",            1, NOSCRIPT | LOADING | STALE | FAST,   ADMINISTRATION | DANGEROUS, Refused(ONE_NODE),       &ROLE_DOCS,           &[]),
    row("save",            1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, 0,                          Primaries(AllSucceeded), &SAVE_DOCS,           &[]),
    row("shutdown",       -1, ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY, 0,                          Refused(ONE_NODE),       &SHUTDOWN_DOCS,       &[]),
    row("slaveof",         3, ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING, 0,                          Refused(REPLICATION),    &SLAVEOF_DOCS,        &[]),
    row("slowlog",        -2, 0,                                   0,                          Refused(ONE_NODE),       &SLOWLOG_DOCS,        &[]).with(SLOWLOG_SUBCOMMANDS),
    row("swapdb",          3, WRITE | FAST,                        KEYSPACE | DANGEROUS,       Refused(ONE_DATABASE),   &SWAPDB_DOCS,         &[]),
    row("sync",            1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, 0,                          Refused(REPLICATION),    &SYNC_DOCS,           &[]),
    row("time",            1, LOADING | STALE | FAST,              0,                          Local,                   &TIME_DOCS,           &[]).tips(&[UNSTABLE]),
];

const ACL_SUBCOMMANDS: &[Row] = &[
    row("acl|cat",     -2, NOSCRIPT | LOADING | STALE,         0, Local,             &ACL_CAT_DOCS,     &[]),
    row("acl|deluser", -3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_DELUSER_DOCS, &[]),
    row("acl|dryrun",  -4, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_DRYRUN_DOCS,  &[]),
    row("acl|genpass", -2, NOSCRIPT | LOADING | STALE,         0, Local,             &ACL_GENPASS_DOCS, &[]),
    row("acl|getuser",  3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_GETUSER_DOCS, &[]),
    row("acl|help",     2, LOADING | STALE,                    0, AnyNode,           &ACL_HELP_DOCS,    &[]),
    row("acl|list",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_LIST_DOCS,    &[]),
    row("acl|load",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_LOAD_DOCS,    &[]),
    row("acl|log",     -2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_LOG_DOCS,     &[]),
    row("acl|save",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_SAVE_DOCS,    &[]),
    row("acl|setuser", -3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_SETUSER_DOCS, &[]),
    row("acl|users",    2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_USERS_DOCS,   &[]),
    row("acl|whoami",   2, NOSCRIPT | LOADING | STALE,         0, Local,             &ACL_WHOAMI_DOCS,  &[]),
];

const COMMAND_SUBCOMMANDS: &[Row] = &[
    row("command|count",            2, LOADING | STALE, CONNECTION, Local, &COMMAND_COUNT_DOCS,           &[]),
    row("command|docs",            -2, LOADING | STALE, CONNECTION, Local, &COMMAND_DOCS_DOCS,            &[]).tips(&[UNORDERED]),
    row("command|getkeys",         -4, LOADING | STALE, CONNECTION, Local, &COMMAND_GETKEYS_DOCS,         &[]),
    row("command|getkeysandflags", -4, LOADING | STALE, CONNECTION, Local, &COMMAND_GETKEYSANDFLAGS_DOCS, &[]),
    row("command|help",             2, LOADING | STALE, CONNECTION, Local, &COMMAND_HELP_DOCS,            &[]),
    row("command|info",            -2, LOADING | STALE, CONNECTION, Local, &COMMAND_INFO_DOCS,            &[]).tips(&[UNORDERED]),
    row("command|list",            -2, LOADING | STALE, CONNECTION, Local, &COMMAND_LIST_DOCS,            &[]).tips(&[UNORDERED]),
];

const CONFIG_SUBCOMMANDS: &[Row] = &[
    row("config|get",       -3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Local, &CONFIG_GET_DOCS,       &[]),
    row("config|help",       2, LOADING | STALE,                    0, Local, &CONFIG_HELP_DOCS,      &[]),
    row("config|resetstat",  2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Local, &CONFIG_RESETSTAT_DOCS, &[]),
    row("config|rewrite",    2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Local, &CONFIG_REWRITE_DOCS,   &[]),
    row("config|set",       -4, ADMIN | NOSCRIPT | LOADING | STALE, 0, Local, &CONFIG_SET_DOCS,       &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const LATENCY_SUBCOMMANDS: &[Row] = &[
    row("latency|doctor",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &LATENCY_DOCTOR_DOCS,    &[])
        .tips(&[UNSTABLE, "request_policy:all_nodes", "response_policy:special"]),
    row("latency|graph",      3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &LATENCY_GRAPH_DOCS,     &[])
        .tips(&[UNSTABLE, "request_policy:all_nodes", "response_policy:special"]),
    row("latency|help",       2, LOADING | STALE,                    0, AnyNode,           &LATENCY_HELP_DOCS,      &[]),
    row("latency|histogram", -2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &LATENCY_HISTOGRAM_DOCS, &[])
        .tips(&[UNSTABLE, "request_policy:all_nodes", "response_policy:special"]),
    row("latency|history",    3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &LATENCY_HISTORY_DOCS,   &[])
        .tips(&[UNSTABLE, "request_policy:all_nodes", "response_policy:special"]),
    row("latency|latest",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &LATENCY_LATEST_DOCS,    &[])
        .tips(&[UNSTABLE, "request_policy:all_nodes", "response_policy:special"]),
    row("latency|reset",     -2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Primaries(Sum),    &LATENCY_RESET_DOCS,     &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const MEMORY_SUBCOMMANDS: &[Row] = &[
    row("memory|doctor",        2, 0,               0, Refused(ONE_NODE),       &MEMORY_DOCTOR_DOCS,       &[])
        .tips(&[UNSTABLE, "request_policy:all_shards", "response_policy:special"]),
    row("memory|help",          2, LOADING | STALE, 0, AnyNode,                 &MEMORY_HELP_DOCS,         &[]),
    row("memory|malloc-stats",  2, 0,               0, Refused(ONE_NODE),       &MEMORY_MALLOC_STATS_DOCS, &[])
        .tips(&[UNSTABLE, "request_policy:all_shards", "response_policy:special"]),
    row("memory|purge",         2, 0,               0, Primaries(AllSucceeded), &MEMORY_PURGE_DOCS,        &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("memory|stats",         2, 0,               0, Refused(ONE_NODE),       &MEMORY_STATS_DOCS,        &[])
        .tips(&[UNSTABLE, "request_policy:all_shards", "response_policy:special"]),
    row("memory|usage",        -3, READONLY,        0, Slot,                    &MEMORY_USAGE_DOCS,        &[key(2, RO)]),
];

const MODULE_SUBCOMMANDS: &[Row] = &[
    row("module|help",    2, LOADING | STALE,                     0, AnyNode,           &MODULE_HELP_DOCS,   &[]),
    row("module|list",    2, ADMIN | NOSCRIPT,                    0, AnyNode,           &MODULE_LIST_DOCS,   &[]).tips(&[UNORDERED]),
    row("module|load",   -3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, 0, Refused(ONE_NODE), &MODULE_LOAD_DOCS,   &[]),
    row("module|loadex", -3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, 0, Refused(ONE_NODE), &MODULE_LOADEX_DOCS, &[]),
    row("module|unload",  3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING, 0, Refused(ONE_NODE), &MODULE_UNLOAD_DOCS, &[]),
];

const SLOWLOG_SUBCOMMANDS: &[Row] = &[
    row("slowlog|get",   -2, ADMIN | LOADING | STALE, 0, Primaries(Concat),       &SLOWLOG_GET_DOCS,   &[]).tips(&["request_policy:all_nodes", UNSTABLE]),
    row("slowlog|help",   2, LOADING | STALE,         0, AnyNode,                 &SLOWLOG_HELP_DOCS,  &[]),
    row("slowlog|len",    2, ADMIN | LOADING | STALE, 0, Primaries(Sum),          &SLOWLOG_LEN_DOCS,   &[])
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", UNSTABLE]),
    row("slowlog|reset",  2, ADMIN | LOADING | STALE, 0, Primaries(AllSucceeded), &SLOWLOG_RESET_DOCS, &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const ACL_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const ACL_CAT_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    arguments: &[string("categoryname").optional()],
    ..Docs::EMPTY
};

const ACL_DELUSER_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    arguments: &[string("username").multiple()],
    ..Docs::EMPTY
};

const ACL_DRYRUN_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[string("username"), string("command"), string("arg").optional().multiple()],
    ..Docs::EMPTY
};

const ACL_GENPASS_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[integer("bits").optional()],
    ..Docs::EMPTY
};

const ACL_GETUSER_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
        ("7.0.0", ""),
    ],
    arguments: &[string("username")],
    ..Docs::EMPTY
};

const ACL_HELP_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const ACL_LIST_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const ACL_LOAD_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const ACL_LOG_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    arguments: &[one_of("operation", &[integer("count"), token("reset", "RESET")]).optional()],
    ..Docs::EMPTY
};

const ACL_SAVE_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const ACL_SETUSER_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
        ("7.0.0", ""),
    ],
    arguments: &[string("username"), string("rule").optional().multiple()],
    ..Docs::EMPTY
};

const ACL_USERS_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const ACL_WHOAMI_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const BGREWRITEAOF_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const BGSAVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    history: &[
        ("3.2.2", ""),
    ],
    arguments: &[token("schedule", "SCHEDULE").optional().since("3.2.2")],
    ..Docs::EMPTY
};

const COMMAND_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const COMMAND_COUNT_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const COMMAND_DOCS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[string("command-name").optional().multiple()],
    ..Docs::EMPTY
};

const COMMAND_GETKEYS_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const COMMAND_GETKEYSANDFLAGS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const COMMAND_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const COMMAND_INFO_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[string("command-name").optional().multiple()],
    ..Docs::EMPTY
};

const COMMAND_LIST_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        one_of("filterby", &[
            string("module-name").after("MODULE"), string("category").after("ACLCAT"),
            pattern("pattern").after("PATTERN"),
        ]).after("FILTERBY").optional(),
    ],
    ..Docs::EMPTY
};

const CONFIG_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const CONFIG_GET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[block("parameter", &[string("parameter")]).multiple()],
    ..Docs::EMPTY
};

const CONFIG_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CONFIG_RESETSTAT_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CONFIG_REWRITE_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CONFIG_SET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[block("parameter_value", &[string("parameter"), string("value")]).multiple()],
    ..Docs::EMPTY
};

const DBSIZE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const DEBUG_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    syscmd: true,
    ..Docs::EMPTY
};

const FAILOVER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[
        block("target", &[string("host"), integer("port"), token("force", "FORCE").optional()]).after("TO").optional(),
        token("abort", "ABORT").optional(), integer("milliseconds").after("TIMEOUT").optional(),
    ],
    ..Docs::EMPTY
};

const FLUSHALL_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("4.0.0", ""),
        ("6.2.0", ""),
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
    summary: "",
    complexity: "",
    history: &[
        ("4.0.0", ""),
        ("6.2.0", ""),
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
    summary: "",
    complexity: "O(1)",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[string("section").optional().multiple()],
    ..Docs::EMPTY
};

const LASTSAVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const LATENCY_DOCTOR_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_GRAPH_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    arguments: &[string("event")],
    ..Docs::EMPTY
};

const LATENCY_HELP_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_HISTOGRAM_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[string("command").optional().multiple()],
    ..Docs::EMPTY
};

const LATENCY_HISTORY_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    arguments: &[string("event")],
    ..Docs::EMPTY
};

const LATENCY_LATEST_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_RESET_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "",
    complexity: "O(1)",
    arguments: &[string("event").optional().multiple()],
    ..Docs::EMPTY
};

const LOLWUT_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    arguments: &[integer("version").after("VERSION").optional()],
    ..Docs::EMPTY
};

const MEMORY_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const MEMORY_DOCTOR_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MEMORY_HELP_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MEMORY_MALLOC_STATS_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const MEMORY_PURGE_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const MEMORY_STATS_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MEMORY_USAGE_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), integer("count").after("SAMPLES").optional()],
    ..Docs::EMPTY
};

const MODULE_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const MODULE_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MODULE_LIST_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const MODULE_LOAD_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[string("path"), string("arg").optional().multiple()],
    ..Docs::EMPTY
};

const MODULE_LOADEX_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[
        string("path"),
        block("configs", &[string("name"), string("value")]).after("CONFIG").optional().multiple().multiple_token(),
        block("args", &[string("arg")]).after("ARGS").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const MODULE_UNLOAD_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[string("name")],
    ..Docs::EMPTY
};

const MONITOR_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    ..Docs::EMPTY
};

const PSYNC_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "",
    arguments: &[string("replicationid"), integer("offset")],
    ..Docs::EMPTY
};

const REPLCONF_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "",
    complexity: "O(1)",
    syscmd: true,
    ..Docs::EMPTY
};

const REPLICAOF_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
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
    summary: "",
    complexity: "",
    syscmd: true,
    history: &[
        ("3.0.0", ""),
        ("5.0.0", ""),
        ("5.0.0", ""),
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
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SAVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const SHUTDOWN_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("7.0.0", ""),
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
    summary: "",
    complexity: "O(1)",
    deprecated: Some(Deprecated { since: "5.0.0", replaced_by: "" }),
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
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const SLOWLOG_GET_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "",
    complexity: "",
    history: &[
        ("4.0.0", ""),
    ],
    arguments: &[integer("count").optional()],
    ..Docs::EMPTY
};

const SLOWLOG_HELP_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SLOWLOG_LEN_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SLOWLOG_RESET_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const SWAPDB_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "",
    complexity: "",
    arguments: &[integer("index1"), integer("index2")],
    ..Docs::EMPTY
};

const SYNC_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    ..Docs::EMPTY
};

const TIME_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};
