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
    summary: "Adds members, and makes the set if there is none",
    complexity: "O(1) for each member",
    history: &[
        ("2.4.0", "Takes several members."),
    ],
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const SCARD_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Counts the members",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const SDIFF_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lists the members of the first set that no other has",
    complexity: "O(N), N being the members of all sets",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const SDIFFSTORE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Stores the members of the first set that no other has",
    complexity: "O(N), N being the members of all sets",
    arguments: &[key_at("destination", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const SINTER_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lists the members that all sets have",
    complexity: "O(N*M) at worst, N being the members of the smallest set, M the sets",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const SINTERCARD_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Counts the members that all sets have, up to a limit",
    complexity: "O(N*M) at worst, N being the members of the smallest set, M the sets",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(), integer("limit").after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const SINTERSTORE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Stores the members that all sets have",
    complexity: "O(N*M) at worst, N being the members of the smallest set, M the sets",
    arguments: &[key_at("destination", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const SISMEMBER_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells whether the set has a member",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const SMEMBERS_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lists the members",
    complexity: "O(N), N being the members",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const SMISMEMBER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Tells which of these members the set has",
    complexity: "O(N), N being the members given",
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const SMOVE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Moves a member to another set",
    complexity: "O(1)",
    arguments: &[key_at("source", 0), key_at("destination", 1), string("member")],
    ..Docs::EMPTY
};

const SPOP_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Draws members by lot and removes them",
    complexity: "O(1) for one; O(N), N being how many are asked for",
    history: &[
        ("3.2.0", "Takes a count."),
    ],
    arguments: &[key_at("key", 0), integer("count").optional().since("3.2.0")],
    ..Docs::EMPTY
};

const SRANDMEMBER_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Draws members by lot",
    complexity: "O(1) for one; O(N), N being how many are asked for",
    history: &[
        ("2.6.0", "Takes a count."),
    ],
    arguments: &[key_at("key", 0), integer("count").optional().since("2.6.0")],
    ..Docs::EMPTY
};

const SREM_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Removes members, and the set with its last one",
    complexity: "O(N), N being the members given",
    history: &[
        ("2.4.0", "Takes several members."),
    ],
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const SSCAN_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Walks through the members, some at a time",
    complexity: "O(1) for a call, O(N) for all calls of a walk, N being the members",
    arguments: &[
        key_at("key", 0), integer("cursor"), pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const SUNION_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lists the members that any set has",
    complexity: "O(N), N being the members of all sets",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const SUNIONSTORE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Stores the members that any set has",
    complexity: "O(N), N being the members of all sets",
    arguments: &[key_at("destination", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};
