//! Streams.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("xack",       -4, WRITE | FAST,           STREAM, Slot,                &XACK_DOCS,       &[key(1, RW | UPDATE)]),
    row("xadd",       -5, WRITE | DENYOOM | FAST, STREAM, Slot,                &XADD_DOCS,       &[key(1, RW | UPDATE).note(XADD_NOTE)]).tips(&[UNSTABLE]),
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

const XADD_NOTE: &str = "Not only an insertion: trimming may remove entries.";

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
    summary: "Marks entries as done, so the group no longer waits for them",
    complexity: "O(1) for each ID",
    arguments: &[key_at("key", 0), string("group"), string("id").multiple()],
    ..Docs::EMPTY
};

const XADD_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Adds an entry to a stream, and may trim it",
    complexity: "O(1); trimming adds O(N), N being the entries removed",
    history: &[
        ("6.2.0", "Takes `NOMKSTREAM`, `MINID` and `LIMIT`."),
        ("7.0.0", "Takes IDs like `<ms>-*`."),
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
    summary: "Takes over entries that others have left pending for long, as a walk through all of them",
    complexity: "O(1) while COUNT is small",
    history: &[
        ("7.0.0", "Shows the pending entries that it dropped because they were deleted."),
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
    summary: "Takes over pending entries",
    complexity: "O(log N) for each, N being the entries pending in the group",
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
    summary: "Removes entries",
    complexity: "O(1) for each entry",
    arguments: &[key_at("key", 0), string("id").multiple()],
    ..Docs::EMPTY
};

const XGROUP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Commands about consumer groups",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const XGROUP_CREATE_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Makes a consumer group",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `ENTRIESREAD`."),
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
    summary: "Makes a consumer in a group",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("groupname"), string("consumername")],
    ..Docs::EMPTY
};

const XGROUP_DELCONSUMER_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Removes a consumer from a group",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("groupname"), string("consumername")],
    ..Docs::EMPTY
};

const XGROUP_DESTROY_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Removes a consumer group",
    complexity: "O(N), N being the entries pending in it",
    arguments: &[key_at("key", 0), string("groupname")],
    ..Docs::EMPTY
};

const XGROUP_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const XGROUP_SETID_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Sets the last entry that a group counts as delivered",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `ENTRIESREAD`."),
    ],
    arguments: &[
        key_at("key", 0), string("groupname"), one_of("id", &[string("id"), token("new_id", "$")]),
        integer("entries_read").after("ENTRIESREAD").optional(),
    ],
    ..Docs::EMPTY
};

const XINFO_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Commands that describe streams",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const XINFO_CONSUMERS_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Describes the consumers of a group",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("groupname")],
    ..Docs::EMPTY
};

const XINFO_GROUPS_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Describes the groups of a stream",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Shows `entries-read` and `lag`."),
    ],
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const XINFO_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const XINFO_STREAM_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Describes a stream",
    complexity: "O(1)",
    history: &[
        ("6.0.0", "Takes `FULL`."),
        ("7.0.0", "Shows `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`."),
    ],
    arguments: &[
        key_at("key", 0),
        block("full", &[integer("count").after("COUNT").optional()]).after("FULL").optional(),
    ],
    ..Docs::EMPTY
};

const XLEN_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Counts the entries",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const XPENDING_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Tells which entries were delivered and not acknowledged",
    complexity: "O(N), N being the entries returned; O(M) with IDLE, M being the entries looked at",
    history: &[
        ("6.2.0", "Takes `IDLE`, and intervals without their ends."),
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
    summary: "Lists the entries between two IDs",
    complexity: "O(N), N being the entries returned",
    history: &[
        ("6.2.0", "Takes intervals without their ends."),
    ],
    arguments: &[
        key_at("key", 0), string("start"), string("end"),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const XREAD_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the entries of streams after given IDs, and may wait for some",
    complexity: "O(N) for each stream, N being the entries returned",
    arguments: &[
        integer("count").after("COUNT").optional(),
        integer("milliseconds").after("BLOCK").optional(),
        block("streams", &[key_at("key", 0).multiple(), string("id").multiple()]).after("STREAMS"),
    ],
    ..Docs::EMPTY
};

const XREADGROUP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Delivers entries of streams to a consumer of a group, or what was delivered to it before, and may wait for some",
    complexity: "O(M) for each stream, M being the entries returned",
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
    summary: "Lists the entries between two IDs, the last one first",
    complexity: "O(N), N being the entries returned",
    history: &[
        ("6.2.0", "Takes intervals without their ends."),
    ],
    arguments: &[
        key_at("key", 0), string("end"), string("start"),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const XSETID_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Sets a stream's last ID, for replicas",
    complexity: "O(1)",
    history: &[
        ("7.0.0", "Takes `ENTRIESADDED` and `MAXDELETEDID`."),
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
    summary: "Removes the oldest entries",
    complexity: "O(N), N being the entries removed",
    history: &[
        ("6.2.0", "Takes `MINID` and `LIMIT`."),
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
