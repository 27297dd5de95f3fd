//! Keys of any type: expiry, names, existence, iteration.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("copy",        -3, WRITE | DENYOOM, KEYSPACE,                      Slot,                  &COPY_DOCS,        &[key(1, RO | ACCESS), key(2, OW | UPDATE)]),
    row("del",         -2, WRITE,           KEYSPACE,                      Split(Sum),            &DEL_DOCS,         &[range(1, -1, 1, RM | DELETE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    row("dump",         2, READONLY,        KEYSPACE,                      Slot,                  &DUMP_DOCS,        &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("exists",      -2, READONLY | FAST, KEYSPACE,                      Split(Sum),            &EXISTS_DOCS,      &[range(1, -1, 1, RO)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    row("expire",      -3, WRITE | FAST,    KEYSPACE,                      Slot,                  &EXPIRE_DOCS,      &[key(1, RW | UPDATE)]),
    row("expireat",    -3, WRITE | FAST,    KEYSPACE,                      Slot,                  &EXPIREAT_DOCS,    &[key(1, RW | UPDATE)]),
    row("expiretime",   2, READONLY | FAST, KEYSPACE,                      Slot,                  &EXPIRETIME_DOCS,  &[key(1, RO | ACCESS)]),
    row("keys",         2, READONLY,        KEYSPACE | DANGEROUS,          Primaries(Concat),     &KEYS_DOCS,        &[]).tips(&["request_policy:all_shards", UNORDERED]),
    row("migrate",     -6, WRITE,           KEYSPACE | DANGEROUS,          Refused(CLUSTER),      &MIGRATE_DOCS,     &[key(3, RW | ACCESS | DELETE), after("KEYS", -2, -1, 0, RW | ACCESS | DELETE | INCOMPLETE)])
        .tips(&[UNSTABLE]).found_by(Finder::Migrate),
    row("move",         3, WRITE | FAST,    KEYSPACE,                      Refused(ONE_DATABASE), &MOVE_DOCS,        &[key(1, RW | ACCESS | UPDATE)]),
    row("object",      -2, 0,               0,                             AnyNode,               &OBJECT_DOCS,      &[]).with(OBJECT_SUBCOMMANDS),
    row("persist",      2, WRITE | FAST,    KEYSPACE,                      Slot,                  &PERSIST_DOCS,     &[key(1, RW | UPDATE)]),
    row("pexpire",     -3, WRITE | FAST,    KEYSPACE,                      Slot,                  &PEXPIRE_DOCS,     &[key(1, RW | UPDATE)]),
    row("pexpireat",   -3, WRITE | FAST,    KEYSPACE,                      Slot,                  &PEXPIREAT_DOCS,   &[key(1, RW | UPDATE)]),
    row("pexpiretime",  2, READONLY | FAST, KEYSPACE,                      Slot,                  &PEXPIRETIME_DOCS, &[key(1, RO | ACCESS)]),
    row("pttl",         2, READONLY | FAST, KEYSPACE,                      Slot,                  &PTTL_DOCS,        &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("randomkey",    1, READONLY,        KEYSPACE,                      RandomKey,             &RANDOMKEY_DOCS,   &[]).tips(&["request_policy:all_shards", UNSTABLE]),
    row("rename",       3, WRITE,           KEYSPACE,                      Slot,                  &RENAME_DOCS,      &[key(1, RW | ACCESS | DELETE), key(2, OW | UPDATE)]),
    row("renamenx",     3, WRITE | FAST,    KEYSPACE,                      Slot,                  &RENAMENX_DOCS,    &[key(1, RW | ACCESS | DELETE), key(2, OW | INSERT)]),
    row("restore",     -4, WRITE | DENYOOM, KEYSPACE | DANGEROUS,          Slot,                  &RESTORE_DOCS,     &[key(1, OW | UPDATE)]),
    row("scan",        -2, READONLY,        KEYSPACE,                      Scan,                  &SCAN_DOCS,        &[]).tips(&[UNSTABLE, "request_policy:special"]),
    row("sort",        -2, WRITE | DENYOOM, SET | SORTED_SET | LIST | DANGEROUS, Slot,                  &SORT_DOCS,        &[key(1, RO | ACCESS), unknown(RO | ACCESS).note(SORT_NOTE_BY), unknown(OW | UPDATE).note(SORT_NOTE_STORE)])
        .found_by(Finder::Sort),
    row("sort_ro",     -2, READONLY,        SET | SORTED_SET | LIST | DANGEROUS, Slot,                  &SORT_RO_DOCS,     &[key(1, RO | ACCESS), unknown(RO | ACCESS).note(SORT_NOTE_BY)])
        .found_by(Finder::Sort),
    row("touch",       -2, READONLY | FAST, KEYSPACE,                      Split(Sum),            &TOUCH_DOCS,       &[range(1, -1, 1, RO)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    row("ttl",          2, READONLY | FAST, KEYSPACE,                      Slot,                  &TTL_DOCS,         &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("type",         2, READONLY | FAST, KEYSPACE,                      Slot,                  &TYPE_DOCS,        &[key(1, RO)]),
    row("unlink",      -2, WRITE | FAST,    KEYSPACE,                      Split(Sum),            &UNLINK_DOCS,      &[range(1, -1, 1, RM | DELETE)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    row("wait",         3, NOSCRIPT,        CONNECTION,                    Connection(Blocking),  &WAIT_DOCS,        &[])
        .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
];

const SORT_NOTE_BY: &str = "BY and GET: these keys are made from what the sorted key holds, so no rule finds them.";
const SORT_NOTE_STORE: &str = "STORE may stand anywhere among the options, so no rule finds its key.";

const OBJECT_SUBCOMMANDS: &[Row] = &[
    row("object|encoding", 3, READONLY,        KEYSPACE, Slot,    &OBJECT_ENCODING_DOCS, &[key(2, RO)]).tips(&[UNSTABLE]),
    row("object|freq",     3, READONLY,        KEYSPACE, Slot,    &OBJECT_FREQ_DOCS,     &[key(2, RO)]).tips(&[UNSTABLE]),
    row("object|help",     2, LOADING | STALE, KEYSPACE, AnyNode, &OBJECT_HELP_DOCS,     &[]),
    row("object|idletime", 3, READONLY,        KEYSPACE, Slot,    &OBJECT_IDLETIME_DOCS, &[key(2, RO)]).tips(&[UNSTABLE]),
    row("object|refcount", 3, READONLY,        KEYSPACE, Slot,    &OBJECT_REFCOUNT_DOCS, &[key(2, RO)]).tips(&[UNSTABLE]),
];

const COPY_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Copies a value to another key",
    complexity: "O(N), N being the elements; O(1) for a string",
    arguments: &[
        key_at("source", 0), key_at("destination", 1),
        integer("destination-db").after("DB").optional(), token("replace", "REPLACE").optional(),
    ],
    ..Docs::EMPTY
};

const DEL_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Removes keys",
    complexity: "O(N), N being the keys; a collection adds O(M), M being its elements",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const DUMP_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Serialises a value in the form that RESTORE reads",
    complexity: "O(N), N being the bytes of the value",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const EXISTS_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Counts how many of the keys exist",
    complexity: "O(N), N being the keys given",
    history: &[
        ("3.0.3", "Takes several keys."),
    ],
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const EXPIRE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lets a key live for a number of seconds",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `NX`, `XX`, `GT` and `LT`."),
    ],
    arguments: &[
        key_at("key", 0), integer("seconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")]).optional().since("7.0.0"),
    ],
    ..Docs::EMPTY
};

const EXPIREAT_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Lets a key live until a moment, in Unix seconds",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `NX`, `XX`, `GT` and `LT`."),
    ],
    arguments: &[
        key_at("key", 0), unix_time("unix-time-seconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")]).optional().since("7.0.0"),
    ],
    ..Docs::EMPTY
};

const EXPIRETIME_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Tells when a key will expire, in Unix seconds",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const KEYS_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lists the keys that match a pattern",
    complexity: "O(N), N being the keys in the database",
    arguments: &[pattern("pattern")],
    ..Docs::EMPTY
};

const MIGRATE_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Moves keys to another server in one step",
    complexity: "O(N) for the bytes of the values, here, there and on the way",
    history: &[
        ("3.0.0", "Takes `COPY` and `REPLACE`."),
        ("3.0.6", "Takes `KEYS`."),
        ("4.0.7", "Takes `AUTH`."),
        ("6.0.0", "Takes `AUTH2`."),
    ],
    arguments: &[
        string("host"), integer("port"),
        one_of("key_or_empty_string", &[key_at("key", 0), token("empty_string", "")]),
        integer("destination-db"), integer("timeout"),
        token("copy", "COPY").optional().since("3.0.0"),
        token("replace", "REPLACE").optional().since("3.0.0"),
        one_of("authentication", &[
            string("password").after("AUTH").optional().since("4.0.7"),
            block("username_password", &[string("username"), string("password")]).after("AUTH2").optional().since("6.0.0"),
        ]).optional(),
        key_at("key", 1).after("KEYS").optional().multiple().since("3.0.6"),
    ],
    ..Docs::EMPTY
};

const MOVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Moves a key to another database",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("db")],
    ..Docs::EMPTY
};

const OBJECT_DOCS: Docs = Docs {
    since: "2.2.3",
    summary: "Commands that look at how a value is kept",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const OBJECT_ENCODING_DOCS: Docs = Docs {
    since: "2.2.3",
    summary: "Names the encoding of a value",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const OBJECT_FREQ_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Tells the access counter of the LFU policies",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const OBJECT_HELP_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const OBJECT_IDLETIME_DOCS: Docs = Docs {
    since: "2.2.3",
    summary: "Tells for how many seconds nobody has used a value",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const OBJECT_REFCOUNT_DOCS: Docs = Docs {
    since: "2.2.3",
    summary: "Tells how many hold a value",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const PERSIST_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Makes a key live for ever",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const PEXPIRE_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Lets a key live for a number of milliseconds",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `NX`, `XX`, `GT` and `LT`."),
    ],
    arguments: &[
        key_at("key", 0), integer("milliseconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")]).optional().since("7.0.0"),
    ],
    ..Docs::EMPTY
};

const PEXPIREAT_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Lets a key live until a moment, in Unix milliseconds",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `NX`, `XX`, `GT` and `LT`."),
    ],
    arguments: &[
        key_at("key", 0), unix_time("unix-time-milliseconds"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX"), token("gt", "GT"), token("lt", "LT")]).optional().since("7.0.0"),
    ],
    ..Docs::EMPTY
};

const PEXPIRETIME_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Tells when a key will expire, in Unix milliseconds",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const PTTL_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Tells how many milliseconds a key has left",
    complexity: "O(1)",
    history: &[
        ("2.8.0", "Answers -2 for a key that does not exist."),
    ],
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const RANDOMKEY_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Draws a key by lot",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const RENAME_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Gives a value another key, whatever that held",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), key_at("newkey", 1)],
    ..Docs::EMPTY
};

const RENAMENX_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Gives a value another key, unless that exists",
    complexity: "O(1)",
    history: &[
        ("3.2.0", "Both names may be the same."),
    ],
    arguments: &[key_at("key", 0), key_at("newkey", 1)],
    ..Docs::EMPTY
};

const RESTORE_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Makes a value of what DUMP gave",
    complexity: "O(N), N being the bytes; a sorted set's elements take O(log(N)) each",
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

const SCAN_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Walks through the keys, some at a time",
    complexity: "O(1) for a call, O(N) for all calls of a walk, N being the keys",
    history: &[
        ("6.0.0", "Takes `TYPE`."),
    ],
    arguments: &[
        integer("cursor"), pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
        string("type").after("TYPE").optional().since("6.0.0"),
    ],
    ..Docs::EMPTY
};

const SORT_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Sorts a list, a set or a sorted set, and may store the outcome",
    complexity: "O(N+M*log(M)), N being the elements and M those returned; O(N) unsorted",
    arguments: &[
        key_at("key", 0), pattern("pattern").of_key(1).after("BY").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
        pattern("pattern").of_key(1).after("GET").optional().multiple().multiple_token(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        token("sorting", "ALPHA").optional(), key_at("destination", 2).after("STORE").optional(),
    ],
    ..Docs::EMPTY
};

const SORT_RO_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Sorts a list, a set or a sorted set",
    complexity: "O(N+M*log(M)), N being the elements and M those returned; O(N) unsorted",
    arguments: &[
        key_at("key", 0), pattern("pattern").of_key(1).after("BY").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
        pattern("pattern").of_key(1).after("GET").optional().multiple().multiple_token(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        token("sorting", "ALPHA").optional(),
    ],
    ..Docs::EMPTY
};

const TOUCH_DOCS: Docs = Docs {
    since: "3.2.1",
    summary: "Counts how many of the keys exist, and marks them as just used",
    complexity: "O(N), N being the keys given",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const TTL_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells how many seconds a key has left",
    complexity: "O(1)",
    history: &[
        ("2.8.0", "Answers -2 for a key that does not exist."),
    ],
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const TYPE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Names the type of a value",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const UNLINK_DOCS: Docs = Docs {
    since: "4.0.0",
    summary: "Removes keys, and frees their memory on another thread",
    complexity: "O(1) for each key; the other thread takes O(M), M being the elements",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const WAIT_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Waits until this connection's writes have reached so many replicas",
    complexity: "O(1)",
    arguments: &[integer("numreplicas"), integer("timeout")],
    ..Docs::EMPTY
};
