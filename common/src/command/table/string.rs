//! Strings.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("append",       3, WRITE | DENYOOM | FAST, STRING, Slot,                &APPEND_DOCS,      &[key(1, RW | INSERT)]),
    row("decr",         2, WRITE | DENYOOM | FAST, STRING, Slot,                &DECR_DOCS,        &[key(1, RW | ACCESS | UPDATE)]),
    row("decrby",       3, WRITE | DENYOOM | FAST, STRING, Slot,                &DECRBY_DOCS,      &[key(1, RW | ACCESS | UPDATE)]),
    row("get",          2, READONLY | FAST,        STRING, Slot,                &GET_DOCS,         &[key(1, RO | ACCESS)]),
    row("getdel",       2, WRITE | FAST,           STRING, Slot,                &GETDEL_DOCS,      &[key(1, RW | ACCESS | DELETE)]),
    row("getex",       -2, WRITE | FAST,           STRING, Slot,                &GETEX_DOCS,       &[key(1, RW | ACCESS | UPDATE).note(GETEX_NOTE)]),
    row("getrange",     4, READONLY,               STRING, Slot,                &GETRANGE_DOCS,    &[key(1, RO | ACCESS)]),
    row("getset",       3, WRITE | DENYOOM | FAST, STRING, Slot,                &GETSET_DOCS,      &[key(1, RW | ACCESS | UPDATE)]),
    row("incr",         2, WRITE | DENYOOM | FAST, STRING, Slot,                &INCR_DOCS,        &[key(1, RW | ACCESS | UPDATE)]),
    row("incrby",       3, WRITE | DENYOOM | FAST, STRING, Slot,                &INCRBY_DOCS,      &[key(1, RW | ACCESS | UPDATE)]),
    row("incrbyfloat",  3, WRITE | DENYOOM | FAST, STRING, Slot,                &INCRBYFLOAT_DOCS, &[key(1, RW | ACCESS | UPDATE)]),
    row("lcs",         -3, READONLY,               STRING, Slot,                &LCS_DOCS,         &[range(1, 1, 1, RO | ACCESS)]),
    row("mget",        -2, READONLY | FAST,        STRING, Split(Values),       &MGET_DOCS,        &[range(1, -1, 1, RO | ACCESS)]).tips(&["request_policy:multi_shard"]),
    row("mset",        -3, WRITE | DENYOOM,        STRING, Split(AllSucceeded), &MSET_DOCS,        &[range(1, -1, 2, OW | UPDATE)])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    row("msetnx",      -3, WRITE | DENYOOM,        STRING, Slot,                &MSETNX_DOCS,      &[range(1, -1, 2, OW | INSERT)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    row("psetex",       4, WRITE | DENYOOM,        STRING, Slot,                &PSETEX_DOCS,      &[key(1, OW | UPDATE)]),
    row("set",         -3, WRITE | DENYOOM,        STRING, Slot,                &SET_DOCS,         &[key(1, RW | ACCESS | UPDATE | VARIABLE_FLAGS).note(SET_NOTE)])
        .found_by(Finder::Set),
    row("setex",        4, WRITE | DENYOOM,        STRING, Slot,                &SETEX_DOCS,       &[key(1, OW | UPDATE)]),
    row("setnx",        3, WRITE | DENYOOM | FAST, STRING, Slot,                &SETNX_DOCS,       &[key(1, OW | INSERT)]),
    row("setrange",     4, WRITE | DENYOOM,        STRING, Slot,                &SETRANGE_DOCS,    &[key(1, RW | UPDATE)]),
    row("strlen",       2, READONLY | FAST,        STRING, Slot,                &STRLEN_DOCS,      &[key(1, RO)]),
    row("substr",       4, READONLY,               STRING, Slot,                &SUBSTR_DOCS,      &[key(1, RO | ACCESS)]),
];

const GETEX_NOTE: &str = "A write, as it may change the expiry.";
const SET_NOTE: &str = "Reads only if GET is given.";

const APPEND_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Adds bytes to the end of a string, and makes it if there is none",
    complexity: "O(1) on average, for few bytes",
    arguments: &[key_at("key", 0), string("value")],
    ..Docs::EMPTY
};

const DECR_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Takes one off an integer",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const DECRBY_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Takes a number off an integer",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("decrement")],
    ..Docs::EMPTY
};

const GET_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells the value of a key",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const GETDEL_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Tells the value of a key and removes it",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const GETEX_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Tells the value of a key and may change its expiry",
    complexity: "O(1)",
    arguments: &[
        key_at("key", 0),
        one_of("expiration", &[
            integer("seconds").after("EX"), integer("milliseconds").after("PX"),
            unix_time("unix-time-seconds").after("EXAT"),
            unix_time("unix-time-milliseconds").after("PXAT"), token("persist", "PERSIST"),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const GETRANGE_DOCS: Docs = Docs {
    since: "2.4.0",
    summary: "Tells the bytes between two offsets",
    complexity: "O(N), N being the bytes returned",
    arguments: &[key_at("key", 0), integer("start"), integer("end")],
    ..Docs::EMPTY
};

const GETSET_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Sets a value and tells the one before",
    complexity: "O(1)",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`SET` with `GET`" }),
    arguments: &[key_at("key", 0), string("value")],
    ..Docs::EMPTY
};

const INCR_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Adds one to an integer",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const INCRBY_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Adds a number to an integer",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("increment")],
    ..Docs::EMPTY
};

const INCRBYFLOAT_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Adds a number to a number",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), double("increment")],
    ..Docs::EMPTY
};

const LCS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Finds the longest sequence of bytes that two strings share, gaps allowed",
    complexity: "O(N*M), N and M being the bytes of the strings",
    arguments: &[
        key_at("key1", 0), key_at("key2", 0), token("len", "LEN").optional(),
        token("idx", "IDX").optional(), integer("len").after("MINMATCHLEN").optional(),
        token("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    ..Docs::EMPTY
};

const MGET_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells the values of several keys",
    complexity: "O(N), N being the keys given",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const MSET_DOCS: Docs = Docs {
    since: "1.0.1",
    summary: "Sets several keys",
    complexity: "O(N), N being the keys given",
    arguments: &[block("key_value", &[key_at("key", 0), string("value")]).multiple()],
    ..Docs::EMPTY
};

const MSETNX_DOCS: Docs = Docs {
    since: "1.0.1",
    summary: "Sets several keys, unless any of them exists",
    complexity: "O(N), N being the keys given",
    arguments: &[block("key_value", &[key_at("key", 0), string("value")]).multiple()],
    ..Docs::EMPTY
};

const PSETEX_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Sets a value that lives for a number of milliseconds",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("milliseconds"), string("value")],
    ..Docs::EMPTY
};

const SET_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Sets a value, and may choose its expiry, set a condition, or tell the value before",
    complexity: "O(1)",
    history: &[
        ("2.6.12", "Takes `EX`, `PX`, `NX` and `XX`."),
        ("6.0.0", "Takes `KEEPTTL`."),
        ("6.2.0", "Takes `GET`, `EXAT` and `PXAT`."),
        ("7.0.0", "Takes `NX` and `GET` at once."),
    ],
    arguments: &[
        key_at("key", 0), string("value"),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional().since("2.6.12"),
        token("get", "GET").optional().since("6.2.0"),
        one_of("expiration", &[
            integer("seconds").after("EX").since("2.6.12"),
            integer("milliseconds").after("PX").since("2.6.12"),
            unix_time("unix-time-seconds").after("EXAT").since("6.2.0"),
            unix_time("unix-time-milliseconds").after("PXAT").since("6.2.0"),
            token("keepttl", "KEEPTTL").since("6.0.0"),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const SETEX_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Sets a value that lives for a number of seconds",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("seconds"), string("value")],
    ..Docs::EMPTY
};

const SETNX_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Sets a value unless the key exists",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("value")],
    ..Docs::EMPTY
};

const SETRANGE_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Overwrites a string from an offset on",
    complexity: "O(1) for few bytes; O(M), M being the bytes given",
    arguments: &[key_at("key", 0), integer("offset"), string("value")],
    ..Docs::EMPTY
};

const STRLEN_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Tells the length of a string",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const SUBSTR_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells the bytes between two offsets",
    complexity: "O(N), N being the bytes returned",
    deprecated: Some(Deprecated { since: "2.0.0", replaced_by: "`GETRANGE`" }),
    arguments: &[key_at("key", 0), integer("start"), integer("end")],
    ..Docs::EMPTY
};
