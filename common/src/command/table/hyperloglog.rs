//! HyperLogLogs: how many distinct elements, roughly.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("pfadd",      -2, WRITE | DENYOOM | FAST,   HYPERLOGLOG, Slot,    &PFADD_DOCS,      &[key(1, RW | INSERT)]),
    row("pfcount",    -2, READONLY | MAY_REPLICATE, HYPERLOGLOG, Slot,    &PFCOUNT_DOCS,    &[range(1, -1, 1, RW | ACCESS).note(PFCOUNT_NOTE)]),
    row("pfdebug",     3, WRITE | DENYOOM | ADMIN,  HYPERLOGLOG, Slot,    &PFDEBUG_DOCS,    &[key(2, RW | ACCESS)]),
    row("pfmerge",    -2, WRITE | DENYOOM,          HYPERLOGLOG, Slot,    &PFMERGE_DOCS,    &[key(1, RW | ACCESS | INSERT), range(2, -1, 1, RO | ACCESS)]),
    row("pfselftest",  1, ADMIN,                    HYPERLOGLOG, AnyNode, &PFSELFTEST_DOCS, &[]),
];

const PFCOUNT_NOTE: &str = "Counted as a write, since it may store the cardinality that it worked out.";

const PFADD_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Adds elements, and tells whether the estimate may have changed",
    complexity: "O(1) for each element",
    arguments: &[key_at("key", 0), string("element").optional().multiple()],
    ..Docs::EMPTY
};

const PFCOUNT_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Estimates how many distinct elements one or several HyperLogLogs have seen",
    complexity: "O(1) for one key; O(N), and slower, for N keys",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};

const PFDEBUG_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Looks into a HyperLogLog, for those who test it",
    complexity: "Not stated",
    syscmd: true,
    arguments: &[string("subcommand"), key_at("key", 0)],
    ..Docs::EMPTY
};

const PFMERGE_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Merges HyperLogLogs into one",
    complexity: "O(N), N being the keys given",
    arguments: &[key_at("destkey", 0), key_at("sourcekey", 1).multiple()],
    ..Docs::EMPTY
};

const PFSELFTEST_DOCS: Docs = Docs {
    since: "2.8.9",
    summary: "Checks the implementation of HyperLogLogs",
    complexity: "Not stated",
    syscmd: true,
    ..Docs::EMPTY
};
