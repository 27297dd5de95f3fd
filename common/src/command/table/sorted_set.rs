//! Sorted sets.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("bzmpop",           -5, WRITE | BLOCKING,                   SORTED_SET, Connection(Blocking), &BZMPOP_DOCS,           &[counted(2, RW | ACCESS | DELETE)]),
    row("bzpopmax",         -3, WRITE | NOSCRIPT | BLOCKING | FAST, SORTED_SET, Connection(Blocking), &BZPOPMAX_DOCS,         &[range(1, -2, 1, RW | ACCESS | DELETE)]),
    row("bzpopmin",         -3, WRITE | NOSCRIPT | BLOCKING | FAST, SORTED_SET, Connection(Blocking), &BZPOPMIN_DOCS,         &[range(1, -2, 1, RW | ACCESS | DELETE)]),
    row("zadd",             -4, WRITE | DENYOOM | FAST,             SORTED_SET, Slot,                 &ZADD_DOCS,             &[key(1, RW | UPDATE)]),
    row("zcard",             2, READONLY | FAST,                    SORTED_SET, Slot,                 &ZCARD_DOCS,            &[key(1, RO)]),
    row("zcount",            4, READONLY | FAST,                    SORTED_SET, Slot,                 &ZCOUNT_DOCS,           &[key(1, RO | ACCESS)]),
    row("zdiff",            -3, READONLY,                           SORTED_SET, Slot,                 &ZDIFF_DOCS,            &[counted(1, RO | ACCESS)]),
    row("zdiffstore",       -4, WRITE | DENYOOM,                    SORTED_SET, Slot,                 &ZDIFFSTORE_DOCS,       &[key(1, OW | UPDATE), counted(2, RO | ACCESS)]),
    row("zincrby",           4, WRITE | DENYOOM | FAST,             SORTED_SET, Slot,                 &ZINCRBY_DOCS,          &[key(1, RW | ACCESS | UPDATE)]),
    row("zinter",           -3, READONLY,                           SORTED_SET, Slot,                 &ZINTER_DOCS,           &[counted(1, RO | ACCESS)]),
    row("zintercard",       -3, READONLY,                           SORTED_SET, Slot,                 &ZINTERCARD_DOCS,       &[counted(1, RO | ACCESS)]),
    row("zinterstore",      -4, WRITE | DENYOOM,                    SORTED_SET, Slot,                 &ZINTERSTORE_DOCS,      &[key(1, OW | UPDATE), counted(2, RO | ACCESS)]),
    row("zlexcount",         4, READONLY | FAST,                    SORTED_SET, Slot,                 &ZLEXCOUNT_DOCS,        &[key(1, RO | ACCESS)]),
    row("zmpop",            -4, WRITE,                              SORTED_SET, Slot,                 &ZMPOP_DOCS,            &[counted(1, RW | ACCESS | DELETE)]),
    row("zmscore",          -3, READONLY | FAST,                    SORTED_SET, Slot,                 &ZMSCORE_DOCS,          &[key(1, RO | ACCESS)]),
    row("zpopmax",          -2, WRITE | FAST,                       SORTED_SET, Slot,                 &ZPOPMAX_DOCS,          &[key(1, RW | ACCESS | DELETE)]),
    row("zpopmin",          -2, WRITE | FAST,                       SORTED_SET, Slot,                 &ZPOPMIN_DOCS,          &[key(1, RW | ACCESS | DELETE)]),
    row("zrandmember",      -2, READONLY,                           SORTED_SET, Slot,                 &ZRANDMEMBER_DOCS,      &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("zrange",           -4, READONLY,                           SORTED_SET, Slot,                 &ZRANGE_DOCS,           &[key(1, RO | ACCESS)]),
    row("zrangebylex",      -4, READONLY,                           SORTED_SET, Slot,                 &ZRANGEBYLEX_DOCS,      &[key(1, RO | ACCESS)]),
    row("zrangebyscore",    -4, READONLY,                           SORTED_SET, Slot,                 &ZRANGEBYSCORE_DOCS,    &[key(1, RO | ACCESS)]),
    row("zrangestore",      -5, WRITE | DENYOOM,                    SORTED_SET, Slot,                 &ZRANGESTORE_DOCS,      &[key(1, OW | UPDATE), key(2, RO | ACCESS)]),
    row("zrank",             3, READONLY | FAST,                    SORTED_SET, Slot,                 &ZRANK_DOCS,            &[key(1, RO | ACCESS)]),
    row("zrem",             -3, WRITE | FAST,                       SORTED_SET, Slot,                 &ZREM_DOCS,             &[key(1, RW | DELETE)]),
    row("zremrangebylex",    4, WRITE,                              SORTED_SET, Slot,                 &ZREMRANGEBYLEX_DOCS,   &[key(1, RW | DELETE)]),
    row("zremrangebyrank",   4, WRITE,                              SORTED_SET, Slot,                 &ZREMRANGEBYRANK_DOCS,  &[key(1, RW | DELETE)]),
    row("zremrangebyscore",  4, WRITE,                              SORTED_SET, Slot,                 &ZREMRANGEBYSCORE_DOCS, &[key(1, RW | DELETE)]),
    row("zrevrange",        -4, READONLY,                           SORTED_SET, Slot,                 &ZREVRANGE_DOCS,        &[key(1, RO | ACCESS)]),
    row("zrevrangebylex",   -4, READONLY,                           SORTED_SET, Slot,                 &ZREVRANGEBYLEX_DOCS,   &[key(1, RO | ACCESS)]),
    row("zrevrangebyscore", -4, READONLY,                           SORTED_SET, Slot,                 &ZREVRANGEBYSCORE_DOCS, &[key(1, RO | ACCESS)]),
    row("zrevrank",          3, READONLY | FAST,                    SORTED_SET, Slot,                 &ZREVRANK_DOCS,         &[key(1, RO | ACCESS)]),
    row("zscan",            -3, READONLY,                           SORTED_SET, Slot,                 &ZSCAN_DOCS,            &[key(1, RO | ACCESS)]).tips(&[UNSTABLE]),
    row("zscore",            3, READONLY | FAST,                    SORTED_SET, Slot,                 &ZSCORE_DOCS,           &[key(1, RO | ACCESS)]),
    row("zunion",           -3, READONLY,                           SORTED_SET, Slot,                 &ZUNION_DOCS,           &[counted(1, RO | ACCESS)]),
    row("zunionstore",      -4, WRITE | DENYOOM,                    SORTED_SET, Slot,                 &ZUNIONSTORE_DOCS,      &[key(1, OW | UPDATE), counted(2, RO | ACCESS)]),
];

const BZMPOP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        double("timeout"), integer("numkeys"), key_at("key", 0).multiple(),
        one_of("where", &[token("min", "MIN"), token("max", "MAX")]),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const BZPOPMAX_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.0.0", ""),
    ],
    arguments: &[key_at("key", 0).multiple(), double("timeout")],
    ..Docs::EMPTY
};

const BZPOPMIN_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.0.0", ""),
    ],
    arguments: &[key_at("key", 0).multiple(), double("timeout")],
    ..Docs::EMPTY
};

const ZADD_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "",
    history: &[
        ("2.4.0", ""),
        ("3.0.2", ""),
        ("6.2.0", ""),
    ],
    arguments: &[
        key_at("key", 0),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional().since("3.0.2"),
        one_of("comparison", &[token("gt", "GT"), token("lt", "LT")]).optional().since("6.2.0"),
        token("change", "CH").optional().since("3.0.2"),
        token("increment", "INCR").optional().since("3.0.2"),
        block("score_member", &[double("score"), string("member")]).multiple(),
    ],
    ..Docs::EMPTY
};

const ZCARD_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const ZCOUNT_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), double("min"), double("max")],
    ..Docs::EMPTY
};

const ZDIFF_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZDIFFSTORE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("destination", 0), integer("numkeys"), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const ZINCRBY_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), integer("increment"), string("member")],
    ..Docs::EMPTY
};

const ZINTER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")]).after("AGGREGATE").optional(),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZINTERCARD_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(), integer("limit").after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZINTERSTORE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("destination", 0), integer("numkeys"), key_at("key", 1).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")]).after("AGGREGATE").optional(),
    ],
    ..Docs::EMPTY
};

const ZLEXCOUNT_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("min"), string("max")],
    ..Docs::EMPTY
};

const ZMPOP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        one_of("where", &[token("min", "MIN"), token("max", "MAX")]),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const ZMSCORE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const ZPOPMAX_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), integer("count").optional()],
    ..Docs::EMPTY
};

const ZPOPMIN_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), integer("count").optional()],
    ..Docs::EMPTY
};

const ZRANDMEMBER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("key", 0),
        block("options", &[integer("count"), token("withscores", "WITHSCORES").optional()]).optional(),
    ],
    ..Docs::EMPTY
};

const ZRANGE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "",
    history: &[
        ("6.2.0", ""),
    ],
    arguments: &[
        key_at("key", 0), string("start"), string("stop"),
        one_of("sortby", &[token("byscore", "BYSCORE"), token("bylex", "BYLEX")]).optional().since("6.2.0"),
        token("rev", "REV").optional().since("6.2.0"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional().since("6.2.0"),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZRANGEBYLEX_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "",
    complexity: "",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "" }),
    arguments: &[
        key_at("key", 0), string("min"), string("max"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZRANGEBYSCORE_DOCS: Docs = Docs {
    since: "1.0.5",
    summary: "",
    complexity: "",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "" }),
    history: &[
        ("2.0.0", ""),
    ],
    arguments: &[
        key_at("key", 0), double("min"), double("max"),
        token("withscores", "WITHSCORES").optional().since("2.0.0"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZRANGESTORE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("dst", 0), key_at("src", 1), string("min"), string("max"),
        one_of("sortby", &[token("byscore", "BYSCORE"), token("bylex", "BYLEX")]).optional(),
        token("rev", "REV").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZRANK_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "O(log(N))",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const ZREM_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "",
    history: &[
        ("2.4.0", ""),
    ],
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const ZREMRANGEBYLEX_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), string("min"), string("max")],
    ..Docs::EMPTY
};

const ZREMRANGEBYRANK_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), integer("start"), integer("stop")],
    ..Docs::EMPTY
};

const ZREMRANGEBYSCORE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "",
    arguments: &[key_at("key", 0), double("min"), double("max")],
    ..Docs::EMPTY
};

const ZREVRANGE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "" }),
    arguments: &[
        key_at("key", 0), integer("start"), integer("stop"),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZREVRANGEBYLEX_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "",
    complexity: "",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "" }),
    arguments: &[
        key_at("key", 0), string("max"), string("min"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZREVRANGEBYSCORE_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "",
    complexity: "",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "" }),
    history: &[
        ("2.1.6", ""),
    ],
    arguments: &[
        key_at("key", 0), double("max"), double("min"),
        token("withscores", "WITHSCORES").optional(),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZREVRANK_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "O(log(N))",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const ZSCAN_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("key", 0), integer("cursor"), pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const ZSCORE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const ZUNION_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "",
    complexity: "",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")]).after("AGGREGATE").optional(),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZUNIONSTORE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "",
    complexity: "",
    arguments: &[
        key_at("destination", 0), integer("numkeys"), key_at("key", 1).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")]).after("AGGREGATE").optional(),
    ],
    ..Docs::EMPTY
};
