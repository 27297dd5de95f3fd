//! Publish and subscribe.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("psubscribe",   -2, PUBSUB | NOSCRIPT | LOADING | STALE,             0, Connection(Subscription), &PSUBSCRIBE_DOCS,   &[]),
    row("publish",       3, PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE, 0, AnyNode,                 &PUBLISH_DOCS,      &[]),
    row("pubsub",       -2, 0,                                               0, AnyNode,                 &PUBSUB_DOCS,       &[]).with(PUBSUB_SUBCOMMANDS),
    row("punsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE,             0, Connection(Subscription), &PUNSUBSCRIBE_DOCS, &[]),
    row("spublish",      3, PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE, 0, Slot,                    &SPUBLISH_DOCS,     &[key(1, NOT_KEY)]),
    row("ssubscribe",   -2, PUBSUB | NOSCRIPT | LOADING | STALE,             0, Connection(Subscription), &SSUBSCRIBE_DOCS,   &[range(1, -1, 1, NOT_KEY)]),
    row("subscribe",    -2, PUBSUB | NOSCRIPT | LOADING | STALE,             0, Connection(Subscription), &SUBSCRIBE_DOCS,    &[]),
    row("sunsubscribe", -1, PUBSUB | NOSCRIPT | LOADING | STALE,             0, Connection(Subscription), &SUNSUBSCRIBE_DOCS, &[range(1, -1, 1, NOT_KEY)]),
    row("unsubscribe",  -1, PUBSUB | NOSCRIPT | LOADING | STALE,             0, Connection(Subscription), &UNSUBSCRIBE_DOCS,  &[]),
];

const PUBSUB_SUBCOMMANDS: &[Row] = &[
    row("pubsub|channels",      -2, PUBSUB | LOADING | STALE, 0, Primaries(Union),    &PUBSUB_CHANNELS_DOCS,      &[]),
    row("pubsub|help",           2, LOADING | STALE,          0, AnyNode,             &PUBSUB_HELP_DOCS,          &[]),
    row("pubsub|numpat",         2, PUBSUB | LOADING | STALE, 0, Primaries(Sum),      &PUBSUB_NUMPAT_DOCS,        &[]),
    row("pubsub|numsub",        -2, PUBSUB | LOADING | STALE, 0, Primaries(SumPairs), &PUBSUB_NUMSUB_DOCS,        &[]),
    row("pubsub|shardchannels", -2, PUBSUB | LOADING | STALE, 0, Primaries(Union),    &PUBSUB_SHARDCHANNELS_DOCS, &[]),
    row("pubsub|shardnumsub",   -2, PUBSUB | LOADING | STALE, 0, Primaries(SumPairs), &PUBSUB_SHARDNUMSUB_DOCS,   &[]),
];

const PSUBSCRIBE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Listens to the channels that match patterns",
    complexity: "O(N), N being the client's patterns",
    arguments: &[block("pattern", &[pattern("pattern")]).multiple()],
    ..Docs::EMPTY
};

const PUBLISH_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Sends a message to a channel",
    complexity: "O(N+M), N being the channel's listeners, M all patterns",
    arguments: &[string("channel"), string("message")],
    ..Docs::EMPTY
};

const PUBSUB_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Commands that tell about channels",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const PUBSUB_CHANNELS_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Lists the channels that somebody listens to",
    complexity: "O(N), N being the channels in use",
    arguments: &[pattern("pattern").optional()],
    ..Docs::EMPTY
};

const PUBSUB_HELP_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const PUBSUB_NUMPAT_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Counts the patterns that somebody listens to",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const PUBSUB_NUMSUB_DOCS: Docs = Docs {
    since: "2.8.0",
    summary: "Counts the listeners of channels",
    complexity: "O(N), N being the channels given",
    arguments: &[string("channel").optional().multiple()],
    ..Docs::EMPTY
};

const PUBSUB_SHARDCHANNELS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Lists the shard channels that somebody listens to",
    complexity: "O(N), N being the shard channels in use",
    arguments: &[pattern("pattern").optional()],
    ..Docs::EMPTY
};

const PUBSUB_SHARDNUMSUB_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Counts the listeners of shard channels",
    complexity: "O(N), N being the shard channels given",
    arguments: &[string("shardchannel").optional().multiple()],
    ..Docs::EMPTY
};

const PUNSUBSCRIBE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Stops listening to patterns",
    complexity: "O(N+M), N being the client's patterns, M all patterns",
    arguments: &[pattern("pattern").optional().multiple()],
    ..Docs::EMPTY
};

const SPUBLISH_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Sends a message to a shard channel",
    complexity: "O(N), N being the channel's listeners",
    arguments: &[string("shardchannel"), string("message")],
    ..Docs::EMPTY
};

const SSUBSCRIBE_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Listens to shard channels",
    complexity: "O(N), N being the channels given",
    arguments: &[string("shardchannel").multiple()],
    ..Docs::EMPTY
};

const SUBSCRIBE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Listens to channels",
    complexity: "O(N), N being the channels given",
    arguments: &[string("channel").multiple()],
    ..Docs::EMPTY
};

const SUNSUBSCRIBE_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Stops listening to shard channels",
    complexity: "O(N), N being the channels' listeners",
    arguments: &[string("shardchannel").optional().multiple()],
    ..Docs::EMPTY
};

const UNSUBSCRIBE_DOCS: Docs = Docs {
    since: "2.0.0",
    summary: "Stops listening to channels",
    complexity: "O(N), N being the channels' listeners",
    arguments: &[string("channel").optional().multiple()],
    ..Docs::EMPTY
};
