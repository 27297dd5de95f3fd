//! Transactions.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("discard",  1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, TRANSACTION, Connection(Transaction), &DISCARD_DOCS, &[]),
    row("exec",     1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG,      TRANSACTION, Connection(Transaction), &EXEC_DOCS,    &[]),
    row("multi",    1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, TRANSACTION, Connection(Transaction), &MULTI_DOCS,   &[]),
    row("unwatch",  1, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, TRANSACTION, Connection(Transaction), &UNWATCH_DOCS, &[]),
    row("watch",   -2, NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY, TRANSACTION, Connection(Transaction), &WATCH_DOCS,   &[range(1, -1, 1, RO)]),
];

const DISCARD_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Forgets the transaction",
    complexity: "O(N), N being the commands queued",
    ..Docs::EMPTY
};

const EXEC_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Runs the transaction",
    complexity: "That of its commands",
    ..Docs::EMPTY
};

const MULTI_DOCS: Docs = Docs {
    since: "1.2.0",
    summary: "Begins a transaction",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const UNWATCH_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Forgets all watched keys",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const WATCH_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Makes the next transaction fail if one of these keys changes before",
    complexity: "O(1) for each key",
    arguments: &[key_at("key", 0).multiple()],
    ..Docs::EMPTY
};
