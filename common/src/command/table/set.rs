//! Sets.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("sadd",        -3, WRITE | DENYOOM | FAST, SET, Slot, &SADD_DOCS,        &[key(1, RW | INSERT)]),
    row("scard",        2, READONLY | FAST,        SET, Slot, &SCARD_DOCS,       &[key(1, RO)]),
    row("sdiff",       -2, READONLY,               SET, Slot, &SDIFF_DOCS,       &[range(1, -1, 1, RO | ACCESS)]).tips(&[UNORDERED]),
    row("sdiffstore",  -3, WRITE | DENYOOM,        SET, Slot, &SDIFFSTORE_DOCS,  &[key(1, OW | UPDATE), range(2, -1, 1, RO | ACCESS)]),
    row("sinter",      -2, READONLY,               SET, Slot, &SINTER_DOCS,      &[range(1, -1, 1, RO | ACCESS)]).tips(&[UNORDERED]),
    row("sintercard",  -3, READONLY,               SET, Slot, &SINTERCARD_DOCS,  &[counted(1, RO | ACCESS)]),
    row("sinterstore", -3, WRITE | DENYOOM,        SET, Slot, &SINTERSTORE_DOCS, &[key(1, RW | UPDATE), range(2, -1, 1, RO | ACCESS)]),
    row("sismember",    3, READONLY | FAST,        SET, Slot, &SISMEMBER_DOCS,   &[key(1, RO)]),
    row("smembers",     2, READONLY,               SET, Slot, &SMEMBERS_DOCS,    &[key(1, RO | ACCESS)]).tips(&[UNORDERED]),
    row("smismember",  -3, READONLY | FAST,        SET, Slot, &SMISMEMBER_DOCS,  &[key(1, RO | ACCESS)]),
    row("smove",        4, WRITE | FAST,           SET, Slot, &SMOVE_DOCS,       &[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)]),
    row("spop",        -2, WRITE | FAST,           SET, Slot, &SPOP_DOCS,        &[key(1, RW | ACCESS | DELETE)]).tips(&[UNSTABLE]),
    row("srandmember", -2, READONLY,               SET, Slot, &SRANDMEMBER_DOCS, &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("srem",        -3, WRITE | FAST,           SET, Slot, &SREM_DOCS,        &[key(1, RW | DELETE)]),
    row("sscan",       -3, READONLY,               SET, Slot, &SSCAN_DOCS,       &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("sunion",      -2, READONLY,               SET, Slot, &SUNION_DOCS,      &[range(1, -1, 1, RO | ACCESS)]).tips(&[UNORDERED]),
    row("sunionstore", -3, WRITE | DENYOOM,        SET, Slot, &SUNIONSTORE_DOCS, &[key(1, OW | UPDATE), range(2, -1, 1, RO | ACCESS)]),
];

const SADD_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("2.4.0", ""),
    ],
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const SCARD_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const SDIFF_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const SDIFFSTORE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("destination", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const SINTER_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const SINTERCARD_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(), integer("limit").after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const SINTERSTORE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("destination", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const SISMEMBER_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const SMEMBERS_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const SMISMEMBER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const SMOVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("source", 0), key_at("destination", 1), string("member")],
    ..Docs::EMPTY
};

const SPOP_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("3.2.0", ""),
    ],
    arguments: &[key_at("key", 0), integer("count").optional().since("3.2.0")],
    ..Docs::EMPTY
};

const SRANDMEMBER_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("2.6.0", ""),
    ],
    arguments: &[key_at("key", 0), integer("count").optional().since("2.6.0")],
    ..Docs::EMPTY
};

const SREM_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("2.4.0", ""),
    ],
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const SSCAN_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("key", 0), integer("cursor"), pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const SUNION_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const SUNIONSTORE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("destination", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};
