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
    summary: "Takes the members with the lowest or highest scores off the first sorted set that has any, waiting for one if need be",
    complexity: "O(K)+O(M*log(N)), K being the keys given, M the members returned, N the members there",
    arguments: &[
        double("timeout"), integer("numkeys"), key_at("key", 0).multiple(),
        one_of("where", &[token("min", "MIN"), token("max", "MAX")]),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const BZPOPMAX_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Takes the member with the highest score off the first sorted set that has any, waiting for one if need be",
    complexity: "O(log(N)), N being the members",
    history: &[
        ("6.0.0", "Takes fractions of a second."),
    ],
    arguments: &[key_at("key", 0).multiple(), double("timeout")],
    ..Docs::EMPTY
};

const BZPOPMIN_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Takes the member with the lowest score off the first sorted set that has any, waiting for one if need be",
    complexity: "O(log(N)), N being the members",
    history: &[
        ("6.0.0", "Takes fractions of a second."),
    ],
    arguments: &[key_at("key", 0).multiple(), double("timeout")],
    ..Docs::EMPTY
};

const ZADD_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Adds members or changes their scores, and makes the sorted set if there is none",
    complexity: "O(log(N)) for each member, N being the members there",
    history: &[
        ("2.4.0", "Takes several members."),
        ("3.0.2", "Takes `NX`, `XX`, `CH` and `INCR`."),
        ("6.2.0", "Takes `GT` and `LT`."),
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
    summary: "Counts the members",
    complexity: "O(1)",
    arguments: &[key_at("key", 0)],
    ..Docs::EMPTY
};

const ZCOUNT_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Counts the members with scores in a range",
    complexity: "O(log(N)), N being the members",
    arguments: &[key_at("key", 0), double("min"), double("max")],
    ..Docs::EMPTY
};

const ZDIFF_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Lists the members of the first sorted set that no other has",
    complexity: "O(L+(N-K)*log(N)) at worst, L being all members, N the first set's, K those returned",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZDIFFSTORE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Stores the members of the first sorted set that no other has",
    complexity: "O(L+(N-K)*log(N)) at worst, L being all members, N the first set's, K those stored",
    arguments: &[key_at("destination", 0), integer("numkeys"), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const ZINCRBY_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Adds to a member's score",
    complexity: "O(log(N)), N being the members",
    arguments: &[key_at("key", 0), integer("increment"), string("member")],
    ..Docs::EMPTY
};

const ZINTER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Lists the members that all sorted sets have, with their scores combined",
    complexity: "O(N*K)+O(M*log(M)) at worst, N being the smallest set's members, K the sets, M the outcome",
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
    summary: "Counts the members that all sorted sets have, up to a limit",
    complexity: "O(N*K) at worst, N being the smallest set's members, K the sets",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(), integer("limit").after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZINTERSTORE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Stores the members that all sorted sets have, with their scores combined",
    complexity: "O(N*K)+O(M*log(M)) at worst, N being the smallest set's members, K the sets, M the outcome",
    arguments: &[
        key_at("destination", 0), integer("numkeys"), key_at("key", 1).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")]).after("AGGREGATE").optional(),
    ],
    ..Docs::EMPTY
};

const ZLEXCOUNT_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Counts the members between two, in order of their bytes",
    complexity: "O(log(N)), N being the members",
    arguments: &[key_at("key", 0), string("min"), string("max")],
    ..Docs::EMPTY
};

const ZMPOP_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Takes the members with the lowest or highest scores off the first sorted set that has any",
    complexity: "O(K)+O(M*log(N)), K being the keys given, M the members returned, N the members there",
    arguments: &[
        integer("numkeys"), key_at("key", 0).multiple(),
        one_of("where", &[token("min", "MIN"), token("max", "MAX")]),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const ZMSCORE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Tells the scores of several members",
    complexity: "O(N), N being the members given",
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const ZPOPMAX_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Takes off the members with the highest scores",
    complexity: "O(M*log(N)), N being the members there, M those returned",
    arguments: &[key_at("key", 0), integer("count").optional()],
    ..Docs::EMPTY
};

const ZPOPMIN_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Takes off the members with the lowest scores",
    complexity: "O(M*log(N)), N being the members there, M those returned",
    arguments: &[key_at("key", 0), integer("count").optional()],
    ..Docs::EMPTY
};

const ZRANDMEMBER_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Draws members by lot",
    complexity: "O(N), N being the members returned",
    arguments: &[
        key_at("key", 0),
        block("options", &[integer("count"), token("withscores", "WITHSCORES").optional()]).optional(),
    ],
    ..Docs::EMPTY
};

const ZRANGE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Lists the members in a range of ranks, scores or bytes",
    complexity: "O(log(N)+M), N being the members, M those returned",
    history: &[
        ("6.2.0", "Takes `REV`, `BYSCORE`, `BYLEX` and `LIMIT`."),
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
    summary: "Lists the members between two, in order of their bytes",
    complexity: "O(log(N)+M), N being the members, M those returned or skipped",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with `BYLEX`" }),
    arguments: &[
        key_at("key", 0), string("min"), string("max"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZRANGEBYSCORE_DOCS: Docs = Docs {
    since: "1.0.5",
    summary: "Lists the members with scores in a range",
    complexity: "O(log(N)+M), N being the members, M those returned or skipped",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with `BYSCORE`" }),
    history: &[
        ("2.0.0", "Takes `WITHSCORES`."),
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
    summary: "Stores the members in a range of ranks, scores or bytes",
    complexity: "O(log(N)+M), N being the members, M those stored",
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
    summary: "Tells how many members have a lower score",
    complexity: "O(log(N)), N being the members",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const ZREM_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Removes members, and the sorted set with its last one",
    complexity: "O(M*log(N)), N being the members, M those given",
    history: &[
        ("2.4.0", "Takes several members."),
    ],
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const ZREMRANGEBYLEX_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Removes the members between two, in order of their bytes",
    complexity: "O(log(N)+M), N being the members, M those removed",
    arguments: &[key_at("key", 0), string("min"), string("max")],
    ..Docs::EMPTY
};

const ZREMRANGEBYRANK_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Removes the members in a range of ranks",
    complexity: "O(log(N)+M), N being the members, M those removed",
    arguments: &[key_at("key", 0), integer("start"), integer("stop")],
    ..Docs::EMPTY
};

const ZREMRANGEBYSCORE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Removes the members with scores in a range",
    complexity: "O(log(N)+M), N being the members, M those removed",
    arguments: &[key_at("key", 0), double("min"), double("max")],
    ..Docs::EMPTY
};

const ZREVRANGE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Lists the members in a range of ranks, the highest score first",
    complexity: "O(log(N)+M), N being the members, M those returned",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with `REV`" }),
    arguments: &[
        key_at("key", 0), integer("start"), integer("stop"),
        token("withscores", "WITHSCORES").optional(),
    ],
    ..Docs::EMPTY
};

const ZREVRANGEBYLEX_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Lists the members between two, in the reverse order of their bytes",
    complexity: "O(log(N)+M), N being the members, M those returned or skipped",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with `REV` and `BYLEX`" }),
    arguments: &[
        key_at("key", 0), string("max"), string("min"),
        block("offset_count", &[integer("offset"), integer("count")]).after("LIMIT").optional(),
    ],
    ..Docs::EMPTY
};

const ZREVRANGEBYSCORE_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Lists the members with scores in a range, the highest first",
    complexity: "O(log(N)+M), N being the members, M those returned or skipped",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with `REV` and `BYSCORE`" }),
    history: &[
        ("2.1.6", "Takes intervals without their ends."),
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
    summary: "Tells how many members have a higher score",
    complexity: "O(log(N)), N being the members",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const ZSCAN_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Walks through the members and their scores, some at a time",
    complexity: "O(1) for a call, O(N) for all calls of a walk, N being the members",
    arguments: &[
        key_at("key", 0), integer("cursor"), pattern("pattern").after("MATCH").optional(),
        integer("count").after("COUNT").optional(),
    ],
    ..Docs::EMPTY
};

const ZSCORE_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Tells the score of a member",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), string("member")],
    ..Docs::EMPTY
};

const ZUNION_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Lists the members that any sorted set has, with their scores combined",
    complexity: "O(N)+O(M*log(M)), N being the members of all sets, M the outcome",
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
    summary: "Stores the members that any sorted set has, with their scores combined",
    complexity: "O(N)+O(M*log(M)), N being the members of all sets, M the outcome",
    arguments: &[
        key_at("destination", 0), integer("numkeys"), key_at("key", 1).multiple(),
        integer("weight").after("WEIGHTS").optional().multiple(),
        one_of("aggregate", &[token("sum", "SUM"), token("min", "MIN"), token("max", "MAX")]).after("AGGREGATE").optional(),
    ],
    ..Docs::EMPTY
};
