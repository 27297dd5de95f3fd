//! The subcommands of the server's containers: ACL, COMMAND, CONFIG, LATENCY, MEMORY, MODULE,
//! SLOWLOG.

use super::prelude::*;

pub(super) const ACL_SUBCOMMANDS: &[Row] = &[
    row("acl|cat",     -2, NOSCRIPT | LOADING | STALE,         0, AnyNode,           &ACL_CAT_DOCS,     &[]),
    row("acl|deluser", -3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_DELUSER_DOCS, &[]),
    row("acl|dryrun",  -4, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_DRYRUN_DOCS,  &[]),
    row("acl|genpass", -2, NOSCRIPT | LOADING | STALE,         0, AnyNode,           &ACL_GENPASS_DOCS, &[]),
    row("acl|getuser",  3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_GETUSER_DOCS, &[]),
    row("acl|help",     2, LOADING | STALE,                    0, AnyNode,           &ACL_HELP_DOCS,    &[]),
    row("acl|list",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_LIST_DOCS,    &[]),
    row("acl|load",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_LOAD_DOCS,    &[]),
    row("acl|log",     -2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_LOG_DOCS,     &[]),
    row("acl|save",     2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_SAVE_DOCS,    &[]),
    row("acl|setuser", -3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_SETUSER_DOCS, &[]),
    row("acl|users",    2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(ONE_NODE), &ACL_USERS_DOCS,   &[]),
    row("acl|whoami",   2, NOSCRIPT | LOADING | STALE,         0, AnyNode,           &ACL_WHOAMI_DOCS,  &[]),
];

pub(super) const COMMAND_SUBCOMMANDS: &[Row] = &[
    row("command|count",            2, LOADING | STALE, CONNECTION, Local, &COMMAND_COUNT_DOCS,           &[]),
    row("command|docs",            -2, LOADING | STALE, CONNECTION, Local, &COMMAND_DOCS_DOCS,            &[]).tips(&[UNORDERED]),
    row("command|getkeys",         -4, LOADING | STALE, CONNECTION, Local, &COMMAND_GETKEYS_DOCS,         &[]),
    row("command|getkeysandflags", -4, LOADING | STALE, CONNECTION, Local, &COMMAND_GETKEYSANDFLAGS_DOCS, &[]),
    row("command|help",             2, LOADING | STALE, CONNECTION, Local, &COMMAND_HELP_DOCS,            &[]),
    row("command|info",            -2, LOADING | STALE, CONNECTION, Local, &COMMAND_INFO_DOCS,            &[]).tips(&[UNORDERED]),
    row("command|list",            -2, LOADING | STALE, CONNECTION, Local, &COMMAND_LIST_DOCS,            &[]).tips(&[UNORDERED]),
];

pub(super) const CONFIG_SUBCOMMANDS: &[Row] = &[
    row("config|get",       -3, ADMIN | NOSCRIPT | LOADING | STALE, 0, Local,             &CONFIG_GET_DOCS,       &[]),
    row("config|help",       2, LOADING | STALE,                    0, Local,             &CONFIG_HELP_DOCS,      &[]),
    row("config|resetstat",  2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(SETTINGS), &CONFIG_RESETSTAT_DOCS, &[]),
    row("config|rewrite",    2, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(SETTINGS), &CONFIG_REWRITE_DOCS,   &[]),
    row("config|set",       -4, ADMIN | NOSCRIPT | LOADING | STALE, 0, Refused(SETTINGS), &CONFIG_SET_DOCS,       &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

pub(super) const LATENCY_SUBCOMMANDS: &[Row] = &[
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

pub(super) const MEMORY_SUBCOMMANDS: &[Row] = &[
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

pub(super) const MODULE_SUBCOMMANDS: &[Row] = &[
    row("module|help",    2, LOADING | STALE,                                 0, AnyNode,           &MODULE_HELP_DOCS,   &[]),
    row("module|list",    2, ADMIN | NOSCRIPT,                                0, AnyNode,           &MODULE_LIST_DOCS,   &[]).tips(&[UNORDERED]),
    row("module|load",   -3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED, 0, Refused(ONE_NODE), &MODULE_LOAD_DOCS,   &[]),
    row("module|loadex", -3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED, 0, Refused(ONE_NODE), &MODULE_LOADEX_DOCS, &[]),
    row("module|unload",  3, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED, 0, Refused(ONE_NODE), &MODULE_UNLOAD_DOCS, &[]),
];

pub(super) const SLOWLOG_SUBCOMMANDS: &[Row] = &[
    row("slowlog|get",   -2, ADMIN | LOADING | STALE, 0, Primaries(Concat),       &SLOWLOG_GET_DOCS,   &[]).tips(&["request_policy:all_nodes", UNSTABLE]),
    row("slowlog|help",   2, LOADING | STALE,         0, AnyNode,                 &SLOWLOG_HELP_DOCS,  &[]),
    row("slowlog|len",    2, ADMIN | LOADING | STALE, 0, Primaries(Sum),          &SLOWLOG_LEN_DOCS,   &[])
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", UNSTABLE]),
    row("slowlog|reset",  2, ADMIN | LOADING | STALE, 0, Primaries(AllSucceeded), &SLOWLOG_RESET_DOCS, &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const ACL_CAT_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Lists the categories, or the commands of one",
    complexity: "O(1), since their number is fixed",
    arguments: &[string("categoryname").optional()],
    ..Docs::EMPTY
};

const ACL_DELUSER_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Removes users, and closes their connections",
    complexity: "O(1) for the usual user",
    arguments: &[string("username").multiple()],
    ..Docs::EMPTY
};

const ACL_DRYRUN_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Tells whether a user might run a command",
    complexity: "O(1)",
    arguments: &[string("username"), string("command"), string("arg").optional().multiple()],
    ..Docs::EMPTY
};

const ACL_GENPASS_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Makes up a password",
    complexity: "O(1)",
    arguments: &[integer("bits").optional()],
    ..Docs::EMPTY
};

const ACL_GETUSER_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Tells the rules of a user",
    complexity: "O(N), N being the user's rules",
    history: &[
        ("6.2.0", "Shows channel patterns."),
        ("7.0.0", "Shows selectors, and key and channel patterns as the rules that set them."),
    ],
    arguments: &[string("username")],
    ..Docs::EMPTY
};

const ACL_HELP_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const ACL_LIST_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Lists the users as an ACL file does",
    complexity: "O(N), N being the users",
    ..Docs::EMPTY
};

const ACL_LOAD_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Reads the ACL file again",
    complexity: "O(N), N being the users",
    ..Docs::EMPTY
};

const ACL_LOG_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Lists what was denied lately, or forgets it",
    complexity: "O(N), N being the entries returned",
    arguments: &[one_of("operation", &[integer("count"), token("reset", "RESET")]).optional()],
    ..Docs::EMPTY
};

const ACL_SAVE_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Writes the ACL file",
    complexity: "O(N), N being the users",
    ..Docs::EMPTY
};

const ACL_SETUSER_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Makes a user or changes its rules",
    complexity: "O(N), N being the rules given",
    history: &[
        ("6.2.0", "Takes channel patterns."),
        ("7.0.0", "Takes selectors, and separate permissions to read and to write keys."),
    ],
    arguments: &[string("username"), string("rule").optional().multiple()],
    ..Docs::EMPTY
};

const ACL_USERS_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Names the users",
    complexity: "O(N), N being the users",
    ..Docs::EMPTY
};

const ACL_WHOAMI_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Names the user of this connection",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const COMMAND_COUNT_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Counts the commands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const COMMAND_DOCS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Documents commands",
    complexity: "O(N), N being the commands asked for",
    arguments: &[string("command-name").optional().multiple()],
    ..Docs::EMPTY
};

const COMMAND_GETKEYS_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Tells which arguments of a command are keys",
    complexity: "O(N), N being the arguments",
    ..Docs::EMPTY
};

const COMMAND_GETKEYSANDFLAGS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Tells which arguments of a command are keys, and what it does to them",
    complexity: "O(N), N being the arguments",
    ..Docs::EMPTY
};

const COMMAND_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const COMMAND_INFO_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Describes commands",
    complexity: "O(N), N being the commands asked for",
    history: &[
        ("7.0.0", "Without a name it describes all commands."),
    ],
    arguments: &[string("command-name").optional().multiple()],
    ..Docs::EMPTY
};

const COMMAND_LIST_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Names the commands, or those that a filter lets through",
    complexity: "O(N), N being the commands",
    arguments: &[
        one_of("filterby", &[
            string("module-name").after("MODULE"), string("category").after("ACLCAT"),
            pattern("pattern").after("PATTERN"),
        ]).after("FILTERBY").optional(),
    ],
    ..Docs::EMPTY
};

const CONFIG_GET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Tells the settings whose names match patterns",
    complexity: "O(N), N being the settings returned",
    history: &[
        ("7.0.0", "Takes several patterns."),
    ],
    arguments: &[block("parameter", &[string("parameter")]).multiple()],
    ..Docs::EMPTY
};

const CONFIG_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CONFIG_RESETSTAT_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Sets the counters that INFO shows to zero",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CONFIG_REWRITE_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Writes the settings that changed into the configuration file",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CONFIG_SET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Changes settings, all or none of them",
    complexity: "O(N), N being the settings given",
    history: &[
        ("7.0.0", "Takes several settings."),
    ],
    arguments: &[block("parameter_value", &[string("parameter"), string("value")]).multiple()],
    ..Docs::EMPTY
};

const LATENCY_DOCTOR_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Explains the slow moments seen, in sentences",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_GRAPH_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Draws the slow moments of an event",
    complexity: "O(1)",
    arguments: &[string("event")],
    ..Docs::EMPTY
};

const LATENCY_HELP_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_HISTOGRAM_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Gives the distribution of how long commands took",
    complexity: "O(N), N being the commands returned",
    arguments: &[string("command").optional().multiple()],
    ..Docs::EMPTY
};

const LATENCY_HISTORY_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Lists the slow moments of an event",
    complexity: "O(1)",
    arguments: &[string("event")],
    ..Docs::EMPTY
};

const LATENCY_LATEST_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Lists the latest slow moment of each event",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const LATENCY_RESET_DOCS: Docs = Docs {
    since: "2.8.13",
    summary: "Forgets the slow moments of events",
    complexity: "O(1)",
    arguments: &[string("event").optional().multiple()],
    ..Docs::EMPTY
};

const MEMORY_DOCTOR_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Judges how memory is used, in sentences",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MEMORY_HELP_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MEMORY_MALLOC_STATS_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Prints the allocator's statistics",
    complexity: "As slow as the allocator makes it",
    ..Docs::EMPTY
};

const MEMORY_PURGE_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Gives unused memory back to the system",
    complexity: "As slow as the allocator makes it",
    ..Docs::EMPTY
};

const MEMORY_STATS_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Tells what memory is used for",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MEMORY_USAGE_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Estimates the bytes that a key and its value take",
    complexity: "O(N), N being the elements sampled",
    arguments: &[key_at("key", 0), integer("count").after("SAMPLES").optional()],
    ..Docs::EMPTY
};

const MODULE_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const MODULE_LIST_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Lists the modules",
    complexity: "O(N), N being the modules",
    ..Docs::EMPTY
};

const MODULE_LOAD_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Loads a module",
    complexity: "O(1)",
    arguments: &[string("path"), string("arg").optional().multiple()],
    ..Docs::EMPTY
};

const MODULE_LOADEX_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Loads a module with settings",
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
    summary: "Unloads a module",
    complexity: "O(1)",
    arguments: &[string("name")],
    ..Docs::EMPTY
};

const SLOWLOG_GET_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "Lists the latest entries",
    complexity: "O(N), N being the entries returned",
    history: &[
        ("4.0.0", "Shows the client's address and name."),
    ],
    arguments: &[integer("count").optional()],
    ..Docs::EMPTY
};

const SLOWLOG_HELP_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SLOWLOG_LEN_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "Counts the entries",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SLOWLOG_RESET_DOCS: Docs = Docs {
    since: "2.2.12",
    summary: "Forgets the entries",
    complexity: "O(N), N being the entries",
    ..Docs::EMPTY
};
