//! Hashes.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("hdel",         -3, WRITE | FAST,           HASH, Slot, &HDEL_DOCS,         &[key(1, RW | DELETE)]),
    row("hexists",       3, READONLY | FAST,        HASH, Slot, &HEXISTS_DOCS,      &[key(1, RO)]),
    row("hget",          3, READONLY | FAST,        HASH, Slot, &HGET_DOCS,         &[key(1, RO | ACCESS)]),
    row("hgetall",       2, READONLY,               HASH, Slot, &HGETALL_DOCS,      &[key(1, RO | ACCESS)]).tips(&[UNORDERED]),
    row("hincrby",       4, WRITE | DENYOOM | FAST, HASH, Slot, &HINCRBY_DOCS,      &[key(1, RW | ACCESS | UPDATE)]),
    row("hincrbyfloat",  4, WRITE | DENYOOM | FAST, HASH, Slot, &HINCRBYFLOAT_DOCS, &[key(1, RW | ACCESS | UPDATE)]),
    row("hkeys",         2, READONLY,               HASH, Slot, &HKEYS_DOCS,        &[key(1, RO | ACCESS)]).tips(&[UNORDERED]),
    row("hlen",          2, READONLY | FAST,        HASH, Slot, &HLEN_DOCS,         &[key(1, RO)]),
    row("hmget",        -3, READONLY | FAST,        HASH, Slot, &HMGET_DOCS,        &[key(1, RO | ACCESS)]),
    row("hmset",        -4, WRITE | DENYOOM | FAST, HASH, Slot, &HMSET_DOCS,        &[key(1, RW | UPDATE)]),
    row("hrandfield",   -2, READONLY,               HASH, Slot, &HRANDFIELD_DOCS,   &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("hscan",        -3, READONLY,               HASH, Slot, &HSCAN_DOCS,        &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("hset",         -4, WRITE | DENYOOM | FAST, HASH, Slot, &HSET_DOCS,         &[key(1, RW | UPDATE)]),
    row("hsetnx",        4, WRITE | DENYOOM | FAST, HASH, Slot, &HSETNX_DOCS,       &[key(1, RW | INSERT)]),
    row("hstrlen",       3, READONLY | FAST,        HASH, Slot, &HSTRLEN_DOCS,      &[key(1, RO)]),
    row("hvals",         2, READONLY,               HASH, Slot, &HVALS_DOCS,        &[key(1, RO | ACCESS)]).tips(&[UNORDERED]),
];

const HDEL_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Removes fields, and the hash with its last one",
    complexity: "O(N), N being the fields given",
    history: &[
        ("2.4.0", "Takes several fields."),
    ],
    arguments: &[key_at("key", 0), string("field").multiple()],
    ..Docs::EMPTY
};

const HEXISTS_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Tells whether a field exists",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("field")],
    ..Docs::EMPTY
};

const HGET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Tells the value of a field",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("field")],
    ..Docs::EMPTY
};

const HGETALL_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Lists the fields and their values",
    complexity: "O(N), N being the fields",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const HINCRBY_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Adds to the integer in a field",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("field"), integer("increment")],
    ..Docs::EMPTY
};

const HINCRBYFLOAT_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Adds to the number in a field",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("field"), double("increment")],
    ..Docs::EMPTY
};

const HKEYS_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Lists the fields",
    complexity: "O(N), N being the fields",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const HLEN_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Counts the fields",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const HMGET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Tells the values of several fields",
    complexity: "O(N), N being the fields given",
    arguments: &[key_at("key", 0), string("field").multiple()],
    ..Docs::EMPTY
};

const HMSET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Sets several fields",
    complexity: "O(N), N being the fields given",
    deprecated: Some(Deprecated { since: "4.0.0", replaced_by: "`HSET`" }),
    arguments: &[
        key_at("key", 0), block("field_value", &[string("field"), string("value")]).multiple(),
    ],
    ..Docs::EMPTY
};

const HRANDFIELD_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Draws fields by lot",
    complexity: "O(N), N being the fields returned",
    arguments: &[
        key_at("key", 0),
        block("options", &[integer("count"), token("withvalues", "WITHVALUES").optional()]).optional(),
    ],
    ..Docs::EMPTY
};

const HSCAN_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Walks through the fields, some at a time",
    complexity: "O(1) for a call, O(N) for all calls of a walk, N being the fields",
    arguments: &[
        key_at("key", 0), integer("cursor"), pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const HSET_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Sets fields, and makes the hash if there is none",
    complexity: "O(1) for each field",
    history: &[
        ("4.0.0", "Takes several fields."),
    ],
    arguments: &[
        key_at("key", 0), block("field_value", &[string("field"), string("value")]).multiple(),
    ],
    ..Docs::EMPTY
};

const HSETNX_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Sets a field unless it exists",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("field"), string("value")],
    ..Docs::EMPTY
};

const HSTRLEN_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Tells the length of a field's value",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("field")],
    ..Docs::EMPTY
};

const HVALS_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Lists the values",
    complexity: "O(N), N being the fields",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};
