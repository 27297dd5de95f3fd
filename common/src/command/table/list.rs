//! Lists.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("blmove",      6, WRITE | DENYOOM | NOSCRIPT | BLOCKING, LIST, Connection(Blocking), &BLMOVE_DOCS,     &[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)]),
    row("blmpop",     -5, WRITE | BLOCKING,                      LIST, Connection(Blocking), &BLMPOP_DOCS,     &[counted(2, RW | ACCESS | DELETE)]),
    row("blpop",      -3, WRITE | NOSCRIPT | BLOCKING,           LIST, Connection(Blocking), &BLPOP_DOCS,      &[range(1, -2, 1, RW | ACCESS | DELETE)]),
    row("brpop",      -3, WRITE | NOSCRIPT | BLOCKING,           LIST, Connection(Blocking), &BRPOP_DOCS,      &[range(1, -2, 1, RW | ACCESS | DELETE)]),
    row("brpoplpush",  4, WRITE | DENYOOM | NOSCRIPT | BLOCKING, LIST, Connection(Blocking), &BRPOPLPUSH_DOCS, &[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)]),
    row("lindex",      3, READONLY,                              LIST, Slot,                 &LINDEX_DOCS,     &[key(1, RO | ACCESS)]),
    row("linsert",     5, WRITE | DENYOOM,                       LIST, Slot,                 &LINSERT_DOCS,    &[key(1, RW | INSERT)]),
    row("llen",        2, READONLY | FAST,                       LIST, Slot,                 &LLEN_DOCS,       &[key(1, RO)]),
    row("lmove",       5, WRITE | DENYOOM,                       LIST, Slot,                 &LMOVE_DOCS,      &[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)]),
    row("lmpop",      -4, WRITE,                                 LIST, Slot,                 &LMPOP_DOCS,      &[counted(1, RW | ACCESS | DELETE)]),
    row("lpop",       -2, WRITE | FAST,                          LIST, Slot,                 &LPOP_DOCS,       &[key(1, RW | ACCESS | DELETE)]),
    row("lpos",       -3, READONLY,                              LIST, Slot,                 &LPOS_DOCS,       &[key(1, RO | ACCESS)]),
    row("lpush",      -3, WRITE | DENYOOM | FAST,                LIST, Slot,                 &LPUSH_DOCS,      &[key(1, RW | INSERT)]),
    row("lpushx",     -3, WRITE | DENYOOM | FAST,                LIST, Slot,                 &LPUSHX_DOCS,     &[key(1, RW | INSERT)]),
    row("lrange",      4, READONLY,                              LIST, Slot,                 &LRANGE_DOCS,     &[key(1, RO | ACCESS)]),
    row("lrem",        4, WRITE,                                 LIST, Slot,                 &LREM_DOCS,       &[key(1, RW | DELETE)]),
    row("lset",        4, WRITE | DENYOOM,                       LIST, Slot,                 &LSET_DOCS,       &[key(1, RW | UPDATE)]),
    row("ltrim",       4, WRITE,                                 LIST, Slot,                 &LTRIM_DOCS,      &[key(1, RW | DELETE)]),
    row("rpop",       -2, WRITE | FAST,                          LIST, Slot,                 &RPOP_DOCS,       &[key(1, RW | ACCESS | DELETE)]),
    row("rpoplpush",   3, WRITE | DENYOOM,                       LIST, Slot,                 &RPOPLPUSH_DOCS,  &[key(1, RW | ACCESS | DELETE), key(2, RW | INSERT)]),
    row("rpush",      -3, WRITE | DENYOOM | FAST,                LIST, Slot,                 &RPUSH_DOCS,      &[key(1, RW | INSERT)]),
    row("rpushx",     -3, WRITE | DENYOOM | FAST,                LIST, Slot,                 &RPUSHX_DOCS,     &[key(1, RW | INSERT)]),
];

const BLMOVE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Moves an element from one end of a list to one end of another, waiting for one if need be",
    complexity: "O(1)",
    arguments: &[
        key_at("source", 0), key_at("destination", 1),
        one_of("wherefrom", &[token("left", "LEFT"), token("right", "RIGHT")]),
        one_of("whereto", &[token("left", "LEFT"), token("right", "RIGHT")]), double("timeout"),
    ],
    ..Docs::EMPTY
};

const BLMPOP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Takes elements off the first list that has any, waiting for one if need be",
    complexity: "O(N+M), N being the keys given, M the elements returned",
    arguments: &[
        double("timeout"), integer("numkeys"), key_at("key", 0).multiple(),
        one_of("where", &[token("left", "LEFT"), token("right", "RIGHT")]),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const BLPOP_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Takes the first element off the first list that has any, waiting for one if need be",
    complexity: "O(N), N being the keys given",
    history: &[
        ("6.0.0", "Takes fractions of a second."),
    ],
    arguments: &[key_at("key", 0).multiple(), double("timeout")],
    ..Docs::EMPTY
};

const BRPOP_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Takes the last element off the first list that has any, waiting for one if need be",
    complexity: "O(N), N being the keys given",
    history: &[
        ("6.0.0", "Takes fractions of a second."),
    ],
    arguments: &[key_at("key", 0).multiple(), double("timeout")],
    ..Docs::EMPTY
};

const BRPOPLPUSH_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Moves the last element of a list to the front of another, waiting for one if need be",
    complexity: "O(1)",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`BLMOVE` with `RIGHT` and `LEFT`" }),
    history: &[
        ("6.0.0", "Takes fractions of a second."),
    ],
    arguments: &[key_at("source", 0), key_at("destination", 1), double("timeout")],
    ..Docs::EMPTY
};

const LINDEX_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Tells the element at an index",
    complexity: "O(N), N being the elements on the way; O(1) at the ends",
    arguments: &[key_at("key", 0), integer("index")],
    ..Docs::EMPTY
};

const LINSERT_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Puts an element before or after another",
    complexity: "O(N), N being the elements on the way to the other",
    arguments: &[
        key_at("key", 0), one_of("where", &[token("before", "BEFORE"), token("after", "AFTER")]),
        string("pivot"), string("element"),
    ],
    ..Docs::EMPTY
};

const LLEN_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Counts the elements",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const LMOVE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Moves an element from one end of a list to one end of another",
    complexity: "O(1)",
    arguments: &[
        key_at("source", 0), key_at("destination", 1),
        one_of("wherefrom", &[token("left", "LEFT"), token("right", "RIGHT")]),
        one_of("whereto", &[token("left", "LEFT"), token("right", "RIGHT")]),
    ],
    ..Docs::EMPTY
};

const LMPOP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Takes elements off the first list that has any",
    complexity: "O(N+M), N being the keys given, M the elements returned",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        one_of("where", &[token("left", "LEFT"), token("right", "RIGHT")]),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const LPOP_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Takes elements off the front",
    complexity: "O(N), N being the elements returned",
    history: &[
        ("6.2.0", "Takes a count."),
    ],
    arguments: &[key_at("key", 0), integer("count").optional().since("6.2.0")],
    ..Docs::EMPTY
};

const LPOS_DOCS: Docs = Docs {
    since: "6.0.6",
    summary: "Finds the indexes of an element",
    complexity: "O(N), N being the elements looked at",
    arguments: &[
        key_at("key", 0), string("element"), integer("rank").after("RANK").optional(),
        integer("num-matches").after("COUNT").optional(), integer("len").after("MAXLEN").optional(),
    ],
    ..Docs::EMPTY
};

const LPUSH_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Puts elements at the front, and makes the list if there is none",
    complexity: "O(1) for each element",
    history: &[
        ("2.4.0", "Takes several elements."),
    ],
    arguments: &[key_at("key", 0), string("element").multiple()],
    ..Docs::EMPTY
};

const LPUSHX_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Puts elements at the front of a list that exists",
    complexity: "O(1) for each element",
    history: &[
        ("4.0.0", "Takes several elements."),
    ],
    arguments: &[key_at("key", 0), string("element").multiple()],
    ..Docs::EMPTY
};

const LRANGE_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Lists the elements between two indexes",
    complexity: "O(S+N), S being the elements on the way from the nearer end, N those returned",
    arguments: &[key_at("key", 0), integer("start"), integer("stop")],
    ..Docs::EMPTY
};

const LREM_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Removes elements that are equal to one",
    complexity: "O(N+M), N being the elements looked at, M those removed",
    arguments: &[key_at("key", 0), integer("count"), string("element")],
    ..Docs::EMPTY
};

const LSET_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Replaces the element at an index",
    complexity: "O(N), N being the elements on the way; O(1) at the ends",
    arguments: &[key_at("key", 0), integer("index"), string("element")],
    ..Docs::EMPTY
};

const LTRIM_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Removes what is not between two indexes",
    complexity: "O(N), N being the elements removed",
    arguments: &[key_at("key", 0), integer("start"), integer("stop")],
    ..Docs::EMPTY
};

const RPOP_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Takes elements off the back",
    complexity: "O(N), N being the elements returned",
    history: &[
        ("6.2.0", "Takes a count."),
    ],
    arguments: &[key_at("key", 0), integer("count").optional().since("6.2.0")],
    ..Docs::EMPTY
};

const RPOPLPUSH_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Moves the last element of a list to the front of another",
    complexity: "O(1)",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`LMOVE` with `RIGHT` and `LEFT`" }),
    arguments: &[key_at("source", 0), key_at("destination", 1)],
    ..Docs::EMPTY
};

const RPUSH_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Puts elements at the back, and makes the list if there is none",
    complexity: "O(1) for each element",
    history: &[
        ("2.4.0", "Takes several elements."),
    ],
    arguments: &[key_at("key", 0), string("element").multiple()],
    ..Docs::EMPTY
};

const RPUSHX_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Puts elements at the back of a list that exists",
    complexity: "O(1) for each element",
    history: &[
        ("4.0.0", "Takes several elements."),
    ],
    arguments: &[key_at("key", 0), string("element").multiple()],
    ..Docs::EMPTY
};
