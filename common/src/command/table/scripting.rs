//! Scripts and functions.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("eval",       -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MAY_REPLICATE, SCRIPTING, Slot,    &EVAL_DOCS,       &[counted(2, RW | ACCESS | UPDATE).note(EVAL_NOTE)]),
    row("eval_ro",    -3, READONLY | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS, SCRIPTING, Slot,    &EVAL_RO_DOCS,    &[counted(2, RO | ACCESS).note(EVAL_RO_NOTE)]),
    row("evalsha",    -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MAY_REPLICATE, SCRIPTING, Slot,    &EVALSHA_DOCS,    &[counted(2, RW | ACCESS | UPDATE)]),
    row("evalsha_ro", -3, READONLY | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS, SCRIPTING, Slot,    &EVALSHA_RO_DOCS, &[counted(2, RO | ACCESS)]),
    row("fcall",      -3, NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS | MAY_REPLICATE, SCRIPTING, Slot,    &FCALL_DOCS,      &[counted(2, RW | ACCESS | UPDATE).note(EVAL_NOTE)]),
    row("fcall_ro",   -3, READONLY | NOSCRIPT | STALE | SKIP_MONITOR | NO_MANDATORY_KEYS, SCRIPTING, Slot,    &FCALL_RO_DOCS,   &[counted(2, RO | ACCESS).note(EVAL_RO_NOTE)]),
    row("function",   -2, 0,                                                         0,         AnyNode, &FUNCTION_DOCS,   &[]).with(FUNCTION_SUBCOMMANDS),
    row("script",     -2, 0,                                                         0,         AnyNode, &SCRIPT_DOCS,     &[]).with(SCRIPT_SUBCOMMANDS),
];

const EVAL_NOTE: &str = "What the script does to its keys is not known, so take it for reading and writing.";
const EVAL_RO_NOTE: &str = "What the script does to its keys is not known, so take it for reading.";

const FUNCTION_SUBCOMMANDS: &[Row] = &[
    row("function|delete",   3, WRITE | NOSCRIPT,           SCRIPTING, Primaries(AllSucceeded), &FUNCTION_DELETE_DOCS,  &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("function|dump",     2, NOSCRIPT,                   SCRIPTING, AnyNode,                 &FUNCTION_DUMP_DOCS,    &[]),
    row("function|flush",   -2, WRITE | NOSCRIPT,           SCRIPTING, Primaries(AllSucceeded), &FUNCTION_FLUSH_DOCS,   &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("function|help",     2, LOADING | STALE,            SCRIPTING, AnyNode,                 &FUNCTION_HELP_DOCS,    &[]),
    row("function|kill",     2, NOSCRIPT | ALLOW_BUSY,      SCRIPTING, Primaries(OneSucceeded), &FUNCTION_KILL_DOCS,    &[])
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    row("function|list",    -2, NOSCRIPT,                   SCRIPTING, AnyNode,                 &FUNCTION_LIST_DOCS,    &[]).tips(&[UNORDERED]),
    row("function|load",    -3, WRITE | DENYOOM | NOSCRIPT, SCRIPTING, Primaries(AllSucceeded), &FUNCTION_LOAD_DOCS,    &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("function|restore", -3, WRITE | DENYOOM | NOSCRIPT, SCRIPTING, Primaries(AllSucceeded), &FUNCTION_RESTORE_DOCS, &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("function|stats",    2, NOSCRIPT | ALLOW_BUSY,      SCRIPTING, Refused(ONE_NODE),       &FUNCTION_STATS_DOCS,   &[])
        .tips(&[UNSTABLE, "request_policy:all_shards", "response_policy:special"]),
];

const SCRIPT_SUBCOMMANDS: &[Row] = &[
    row("script|debug",   3, NOSCRIPT,              SCRIPTING, Refused(ONE_NODE),       &SCRIPT_DEBUG_DOCS,  &[]),
    row("script|exists", -3, NOSCRIPT,              SCRIPTING, Primaries(And),          &SCRIPT_EXISTS_DOCS, &[])
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    row("script|flush",  -2, NOSCRIPT,              SCRIPTING, Primaries(AllSucceeded), &SCRIPT_FLUSH_DOCS,  &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row("script|help",    2, LOADING | STALE,       SCRIPTING, AnyNode,                 &SCRIPT_HELP_DOCS,   &[]),
    row("script|kill",    2, NOSCRIPT | ALLOW_BUSY, SCRIPTING, Primaries(OneSucceeded), &SCRIPT_KILL_DOCS,   &[])
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    row("script|load",    3, NOSCRIPT | STALE,      SCRIPTING, Primaries(AllSucceeded), &SCRIPT_LOAD_DOCS,   &[])
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const EVAL_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Runs a script",
    complexity: "The script's own",
    arguments: &[
        string("script"), integer("numkeys"), key_at("key", 0).optional().multiple(),
        string("arg").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const EVAL_RO_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Runs a script that may only read",
    complexity: "The script's own",
    arguments: &[
        string("script"), integer("numkeys"), key_at("key", 0).optional().multiple(),
        string("arg").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const EVALSHA_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Runs a script that the server knows, named by its hash",
    complexity: "The script's own",
    arguments: &[
        string("sha1"), integer("numkeys"), key_at("key", 0).optional().multiple(),
        string("arg").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const EVALSHA_RO_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Runs a script that the server knows and that may only read, named by its hash",
    complexity: "The script's own",
    arguments: &[
        string("sha1"), integer("numkeys"), key_at("key", 0).optional().multiple(),
        string("arg").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const FCALL_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Calls a function",
    complexity: "The function's own",
    arguments: &[
        string("function"), integer("numkeys"), key_at("key", 0).optional().multiple(),
        string("arg").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const FCALL_RO_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Calls a function that may only read",
    complexity: "The function's own",
    arguments: &[
        string("function"), integer("numkeys"), key_at("key", 0).optional().multiple(),
        string("arg").optional().multiple(),
    ],
    ..Docs::EMPTY
};

const FUNCTION_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Commands about libraries of functions",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const FUNCTION_DELETE_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Removes a library",
    complexity: "O(1)",
    arguments: &[string("library-name")],
    ..Docs::EMPTY
};

const FUNCTION_DUMP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Serialises all libraries in the form that FUNCTION RESTORE reads",
    complexity: "O(N), N being the functions",
    ..Docs::EMPTY
};

const FUNCTION_FLUSH_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Removes all libraries",
    complexity: "O(N), N being the functions",
    arguments: &[one_of("async", &[token("async", "ASYNC"), token("sync", "SYNC")]).optional()],
    ..Docs::EMPTY
};

const FUNCTION_HELP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const FUNCTION_KILL_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Stops the function that is running, unless it has written",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const FUNCTION_LIST_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Lists libraries and their functions",
    complexity: "O(N), N being the functions",
    arguments: &[
        string("library-name-pattern").after("LIBRARYNAME").optional(),
        token("withcode", "WITHCODE").optional(),
    ],
    ..Docs::EMPTY
};

const FUNCTION_LOAD_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Adds a library, or replaces it",
    complexity: "O(1), not counting its compilation",
    arguments: &[token("replace", "REPLACE").optional(), string("function-code")],
    ..Docs::EMPTY
};

const FUNCTION_RESTORE_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Adds the libraries that FUNCTION DUMP gave",
    complexity: "O(N), N being the functions restored",
    arguments: &[
        string("serialized-value"),
        one_of("policy", &[
            token("flush", "FLUSH"), token("append", "APPEND"), token("replace", "REPLACE"),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const FUNCTION_STATS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Tells which function is running, and how much there is of each engine",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SCRIPT_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Commands about the scripts that the server knows",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const SCRIPT_DEBUG_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Chooses how EVAL debugs",
    complexity: "O(1)",
    arguments: &[
        one_of("mode", &[token("yes", "YES"), token("sync", "SYNC"), token("no", "NO")]),
    ],
    ..Docs::EMPTY
};

const SCRIPT_EXISTS_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Tells which of the hashes are scripts that the server knows",
    complexity: "O(N), N being the hashes given",
    arguments: &[string("sha1").multiple()],
    ..Docs::EMPTY
};

const SCRIPT_FLUSH_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Forgets all scripts",
    complexity: "O(N), N being the scripts",
    history: &[
        ("6.2.0", "Takes `ASYNC` and `SYNC`."),
    ],
    arguments: &[
        one_of("async", &[token("async", "ASYNC"), token("sync", "SYNC")]).optional().since("6.2.0"),
    ],
    ..Docs::EMPTY
};

const SCRIPT_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SCRIPT_KILL_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Stops the script that is running, unless it has written",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SCRIPT_LOAD_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Takes note of a script without running it, and tells its hash",
    complexity: "O(N), N being the bytes of the script",
    arguments: &[string("script")],
    ..Docs::EMPTY
};
