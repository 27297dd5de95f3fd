//! Streams.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("xack",       -4, WRITE | FAST,           STREAM, Slot,                &XACK_DOCS,       &[key(1, RW | UPDATE)]),
    row("xadd",       -5, WRITE | DENYOOM | FAST, STREAM, Slot,                &XADD_DOCS,       &[key(1, RW | UPDATE).note("Not only an insertion: trimming may remove entries.")])
        .tips(&[UNSTABLE]),
    row("xautoclaim", -6, WRITE | FAST,           STREAM, Slot,                &XAUTOCLAIM_DOCS, &[key(1, RW | DELETE)]).tips(&[UNSTABLE]),
    row("xclaim",     -6, WRITE | FAST,           STREAM, Slot,                &XCLAIM_DOCS,     &[key(1, RW | UPDATE)]).tips(&[UNSTABLE]),
    row("xdel",       -3, WRITE | FAST,           STREAM, Slot,                &XDEL_DOCS,       &[key(1, RW | DELETE)]),
    row("xgroup",     -2, 0,                      0,      AnyNode,             &XGROUP_DOCS,     &[]).with(XGROUP_SUBCOMMANDS),
    row("xinfo",      -2, 0,                      0,      AnyNode,             &XINFO_DOCS,      &[]).with(XINFO_SUBCOMMANDS),
    row("xlen",        2, READONLY | FAST,        STREAM, Slot,                &XLEN_DOCS,       &[key(1, RO)]),
    row("xpending",   -3, READONLY,               STREAM, Slot,                &XPENDING_DOCS,   &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("xrange",     -4, READONLY,               STREAM, Slot,                &XRANGE_DOCS,     &[key(1, RO | ACCESS)]),
    row("xread",      -4, READONLY | BLOCKING,    STREAM, BlockingIf("BLOCK"), &XREAD_DOCS,      &[after("STREAMS", 1, -1, 2, RO | ACCESS)]),
    row("xreadgroup", -7, WRITE | BLOCKING,       STREAM, BlockingIf("BLOCK"), &XREADGROUP_DOCS, &[after("STREAMS", 4, -1, 2, RO | ACCESS)]),
    row("xrevrange",  -4, READONLY,               STREAM, Slot,                &XREVRANGE_DOCS,  &[key(1, RO | ACCESS)]),
    row("xsetid",     -3, WRITE | DENYOOM | FAST, STREAM, Slot,                &XSETID_DOCS,     &[key(1, RW | UPDATE)]),
    row("xtrim",      -4, WRITE,                  STREAM, Slot,                &XTRIM_DOCS,      &[key(1, RW | DELETE)]).tips(&[UNSTABLE]),
];

const XGROUP_SUBCOMMANDS: &[Row] = &[
    row("xgroup|create",         -5, WRITE | DENYOOM, STREAM, Slot,    &XGROUP_CREATE_DOCS,         &[key(2, RW | INSERT)]),
    row("xgroup|createconsumer",  5, WRITE | DENYOOM, STREAM, Slot,    &XGROUP_CREATECONSUMER_DOCS, &[key(2, RW | INSERT)]),
    row("xgroup|delconsumer",     5, WRITE,           STREAM, Slot,    &XGROUP_DELCONSUMER_DOCS,    &[key(2, RW | DELETE)]),
    row("xgroup|destroy",         4, WRITE,           STREAM, Slot,    &XGROUP_DESTROY_DOCS,        &[key(2, RW | DELETE)]),
    row("xgroup|help",            2, LOADING | STALE, STREAM, AnyNode, &XGROUP_HELP_DOCS,           &[]),
    row("xgroup|setid",          -5, WRITE,           STREAM, Slot,    &XGROUP_SETID_DOCS,          &[key(2, RW | UPDATE)]),
];

const XINFO_SUBCOMMANDS: &[Row] = &[
    row("xinfo|consumers",  4, READONLY,        STREAM, Slot,    &XINFO_CONSUMERS_DOCS, &[key(2, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("xinfo|groups",     3, READONLY,        STREAM, Slot,    &XINFO_GROUPS_DOCS,    &[key(2, RO | ACCESS)]),
    row("xinfo|help",       2, LOADING | STALE, STREAM, AnyNode, &XINFO_HELP_DOCS,      &[]),
    row("xinfo|stream",    -3, READONLY,        STREAM, Slot,    &XINFO_STREAM_DOCS,    &[key(2, RO | ACCESS)]),
];

const XACK_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("group"), string("id").multiple()],
    ..Docs::EMPTY
};

const XADD_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
        ("7.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0), token("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
        block("trim", &[
            one_of("strategy", &[token("maxlen", "MAXLEN"), token("minid", "MINID").since("6.2.0")]),
            one_of("operator", &[token("equal", "="), token("approximately", "~")]).optional(),
            string("threshold"), integer("count").after("LIMIT").optional().since("6.2.0"),
        ]).optional(),
        one_of("id_or_auto", &[token("auto_id", "*"), string("id")]),
        block("field_value", &[string("field"), string("value")]).multiple(),
    ],
    ..Docs::EMPTY
};

const XAUTOCLAIM_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("group"), string("consumer"), string("min-idle-time"),
        string("start"), integer("count").after("COUNT").optional(),
        token("justid", "JUSTID").optional(),
    ],
    ..Docs::EMPTY
};

const XCLAIM_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("key", 0), string("group"), string("consumer"), string("min-idle-time"),
        string("id").multiple(), integer("ms").after("IDLE").optional(),
        unix_time("unix-time-milliseconds").after("TIME").optional(),
        integer("count").after("RETRYCOUNT").optional(), token("force", "FORCE").optional(),
        token("justid", "JUSTID").optional(), string("id").after("LASTID").optional(),
    ],
    ..Docs::EMPTY
};

const XDEL_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("id").multiple()],
    ..Docs::EMPTY
};

const XGROUP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const XGROUP_CREATE_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("groupname"), one_of("id", &[string("id"), token("new_id", "$")]),
        token("mkstream", "MKSTREAM").optional(),
        integer("entries_read").after("ENTRIESREAD").optional(),
    ],
    ..Docs::EMPTY
};

const XGROUP_CREATECONSUMER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("groupname"), string("consumername")],
    ..Docs::EMPTY
};

const XGROUP_DELCONSUMER_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("groupname"), string("consumername")],
    ..Docs::EMPTY
};

const XGROUP_DESTROY_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("groupname")],
    ..Docs::EMPTY
};

const XGROUP_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const XGROUP_SETID_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("groupname"), one_of("id", &[string("id"), token("new_id", "$")]),
        integer("entries_read").after("ENTRIESREAD").optional(),
    ],
    ..Docs::EMPTY
};

const XINFO_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    ..Docs::EMPTY
};

const XINFO_CONSUMERS_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("groupname")],
    ..Docs::EMPTY
};

const XINFO_GROUPS_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const XINFO_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const XINFO_STREAM_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    history: &[
        ("6.0.0", ""),
        ("7.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0),
        block("full", &[integer("count").after("COUNT").optional()]).after("FULL").optional(),
    ],
    ..Docs::EMPTY
};

const XLEN_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const XPENDING_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("group"),
        block("filters", &[
            integer("min-idle-time").after("IDLE").optional().since("6.2.0"), string("start"),
            string("end"), integer("count"), string("consumer").optional(),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const XRANGE_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("start"), string("end"),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const XREAD_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("count").after("COUNT").optional(),
        integer("milliseconds").after("BLOCK").optional(),
        block("streams", &[key_at("key", 0).multiple(), string("id").multiple()]).after("STREAMS"),
    ],
    ..Docs::EMPTY
};

const XREADGROUP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        block("group_consumer", &[string("group"), string("consumer")]).after("GROUP"),
        integer("count").after("COUNT").optional(),
        integer("milliseconds").after("BLOCK").optional(), token("noack", "NOACK").optional(),
        block("streams", &[key_at("key", 0).multiple(), string("id").multiple()]).after("STREAMS"),
    ],
    ..Docs::EMPTY
};

const XREVRANGE_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("end"), string("start"),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const XSETID_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "O(1)",
    history: &[
        ("7.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("last-id"),
        integer("entries_added").after("ENTRIESADDED").optional().since("7.0.0"),
        string("max_deleted_entry_id").after("MAXDELETEDID").optional().since("7.0.0"),
    ],
    ..Docs::EMPTY
};

const XTRIM_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
    ],
    arguments: &[
        key_at("key", 0),
        block("trim", &[
            one_of("strategy", &[token("maxlen", "MAXLEN"), token("minid", "MINID").since("6.2.0")]),
            one_of("operator", &[token("equal", "="), token("approximately", "~")]).optional(),
            string("threshold"), integer("count").after("LIMIT").optional().since("6.2.0"),
        ]),
    ],
    ..Docs::EMPTY
};
