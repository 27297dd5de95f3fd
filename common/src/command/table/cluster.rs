//! The cluster: its state, its slots, and what a connection may do with them.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("asking",     1, FAST,                   CONNECTION, Refused(CLUSTER), &ASKING_DOCS,    &[]),
    row("cluster",   -2, 0,                      0,          Local,            &CLUSTER_DOCS,   &[]).with(CLUSTER_SUBCOMMANDS),
    row("readonly",   1, LOADING | STALE | FAST, CONNECTION, Refused(CLUSTER), &READONLY_DOCS,  &[]),
    row("readwrite",  1, LOADING | STALE | FAST, CONNECTION, Refused(CLUSTER), &READWRITE_DOCS, &[]),
];

const CLUSTER_SUBCOMMANDS: &[Row] = &[
    row("cluster|addslots",              -3, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_ADDSLOTS_DOCS,        &[]),
    row("cluster|addslotsrange",         -4, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_ADDSLOTSRANGE_DOCS,   &[]),
    row("cluster|bumpepoch",              2, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_BUMPEPOCH_DOCS,       &[]).tips(&[UNSTABLE]),
    row("cluster|count-failure-reports",  3, ADMIN | STALE,                    0, Refused(CLUSTER), &CLUSTER_COUNT_FAILURE_REPORTS_DOCS, &[]).tips(&[UNSTABLE]),
    row("cluster|countkeysinslot",        3, STALE,                            0, Refused(CLUSTER), &CLUSTER_COUNTKEYSINSLOT_DOCS, &[]),
    row("cluster|delslots",              -3, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_DELSLOTS_DOCS,        &[]),
    row("cluster|delslotsrange",         -4, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_DELSLOTSRANGE_DOCS,   &[]),
    row("cluster|failover",              -2, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_FAILOVER_DOCS,        &[]),
    row("cluster|flushslots",             2, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_FLUSHSLOTS_DOCS,      &[]),
    row("cluster|forget",                 3, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_FORGET_DOCS,          &[]),
    row("cluster|getkeysinslot",          4, STALE,                            0, Refused(CLUSTER), &CLUSTER_GETKEYSINSLOT_DOCS,   &[]).tips(&[UNSTABLE]),
    row("cluster|help",                   2, LOADING | STALE,                  0, AnyNode,          &CLUSTER_HELP_DOCS,            &[]),
    row("cluster|info",                   2, STALE,                            0, Refused(CLUSTER), &CLUSTER_INFO_DOCS,            &[]).tips(&[UNSTABLE]),
    row("cluster|keyslot",                3, STALE,                            0, Local,            &CLUSTER_KEYSLOT_DOCS,         &[]),
    row("cluster|links",                  2, STALE,                            0, Refused(CLUSTER), &CLUSTER_LINKS_DOCS,           &[]).tips(&[UNSTABLE]),
    row("cluster|meet",                  -4, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_MEET_DOCS,            &[]),
    row("cluster|myid",                   2, STALE,                            0, Refused(CLUSTER), &CLUSTER_MYID_DOCS,            &[]),
    row("cluster|nodes",                  2, STALE,                            0, Refused(CLUSTER), &CLUSTER_NODES_DOCS,           &[]).tips(&[UNSTABLE]),
    row("cluster|replicas",               3, ADMIN | STALE,                    0, Refused(CLUSTER), &CLUSTER_REPLICAS_DOCS,        &[]).tips(&[UNSTABLE]),
    row("cluster|replicate",              3, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_REPLICATE_DOCS,       &[]),
    row("cluster|reset",                 -2, ADMIN | NOSCRIPT | STALE,         0, Refused(CLUSTER), &CLUSTER_RESET_DOCS,           &[]),
    row("cluster|saveconfig",             2, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_SAVECONFIG_DOCS,      &[]),
    row("cluster|set-config-epoch",       3, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_SET_CONFIG_EPOCH_DOCS, &[]),
    row("cluster|setslot",               -4, ADMIN | STALE | NO_ASYNC_LOADING, 0, Refused(CLUSTER), &CLUSTER_SETSLOT_DOCS,         &[]),
    row("cluster|shards",                 2, STALE,                            0, Refused(CLUSTER), &CLUSTER_SHARDS_DOCS,          &[]).tips(&[UNSTABLE]),
    row("cluster|slaves",                 3, ADMIN | STALE,                    0, Refused(CLUSTER), &CLUSTER_SLAVES_DOCS,          &[]).tips(&[UNSTABLE]),
    row("cluster|slots",                  2, STALE,                            0, Refused(CLUSTER), &CLUSTER_SLOTS_DOCS,           &[]).tips(&[UNSTABLE]),
];

const ASKING_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Lets the next command into a slot that this node is importing",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Commands about the cluster and its slots",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

const CLUSTER_ADDSLOTS_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Makes this node the owner of slots that nobody owns",
    complexity: "O(N), N being the slots named",
    arguments: &[integer("slot").multiple()],
    ..Docs::EMPTY
};

const CLUSTER_ADDSLOTSRANGE_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Makes this node the owner of ranges of slots that nobody owns",
    complexity: "O(N), N being the slots in the ranges",
    arguments: &[
        block("start-slot_end-slot", &[integer("start-slot"), integer("end-slot")]).multiple(),
    ],
    ..Docs::EMPTY
};

const CLUSTER_BUMPEPOCH_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Gives this node the newest config epoch",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_COUNT_FAILURE_REPORTS_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Counts the nodes that hold another node to be down",
    complexity: "O(N), N being the reports",
    arguments: &[string("node-id")],
    ..Docs::EMPTY
};

const CLUSTER_COUNTKEYSINSLOT_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Counts this node's keys in a slot",
    complexity: "O(1)",
    arguments: &[integer("slot")],
    ..Docs::EMPTY
};

const CLUSTER_DELSLOTS_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Makes this node forget who owns some slots",
    complexity: "O(N), N being the slots named",
    arguments: &[integer("slot").multiple()],
    ..Docs::EMPTY
};

const CLUSTER_DELSLOTSRANGE_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Makes this node forget who owns ranges of slots",
    complexity: "O(N), N being the slots in the ranges",
    arguments: &[
        block("start-slot_end-slot", &[integer("start-slot"), integer("end-slot")]).multiple(),
    ],
    ..Docs::EMPTY
};

const CLUSTER_FAILOVER_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Puts this replica in its primary's place",
    complexity: "O(1)",
    arguments: &[
        one_of("options", &[token("force", "FORCE"), token("takeover", "TAKEOVER")]).optional(),
    ],
    ..Docs::EMPTY
};

const CLUSTER_FLUSHSLOTS_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Gives up all of this node's slots",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_FORGET_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Drops a node from this node's table, and keeps it out for a minute",
    complexity: "O(1)",
    arguments: &[string("node-id")],
    ..Docs::EMPTY
};

const CLUSTER_GETKEYSINSLOT_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Names some of this node's keys in a slot",
    complexity: "O(N), N being the keys asked for",
    arguments: &[integer("slot"), integer("count")],
    ..Docs::EMPTY
};

const CLUSTER_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_INFO_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Tells how the cluster fares, as this node sees it",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_KEYSLOT_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Tells the slot of a key",
    complexity: "O(N), N being the bytes of the key",
    arguments: &[string("key")],
    ..Docs::EMPTY
};

const CLUSTER_LINKS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Lists the bus connections to and from other nodes",
    complexity: "O(N), N being the nodes",
    ..Docs::EMPTY
};

const CLUSTER_MEET_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Introduces this node to another, and so to its cluster",
    complexity: "O(1)",
    history: &[
        ("4.0.0", "Takes the bus port."),
    ],
    arguments: &[
        string("ip"), integer("port"), integer("cluster_bus_port").optional().since("4.0.0"),
    ],
    ..Docs::EMPTY
};

const CLUSTER_MYID_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Tells this node's name",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_NODES_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Lists the nodes as nodes.conf does",
    complexity: "O(N), N being the nodes",
    ..Docs::EMPTY
};

const CLUSTER_REPLICAS_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists a primary's replicas",
    complexity: "O(1)",
    arguments: &[string("node-id")],
    ..Docs::EMPTY
};

const CLUSTER_REPLICATE_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Makes this node a replica of a primary",
    complexity: "O(1)",
    arguments: &[string("node-id")],
    ..Docs::EMPTY
};

const CLUSTER_RESET_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Makes this node forget its cluster",
    complexity: "O(N), N being the nodes known; a replica's keys go, too",
    arguments: &[one_of("hard_soft", &[token("hard", "HARD"), token("soft", "SOFT")]).optional()],
    ..Docs::EMPTY
};

const CLUSTER_SAVECONFIG_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Writes nodes.conf now",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLUSTER_SET_CONFIG_EPOCH_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Sets a fresh node's config epoch",
    complexity: "O(1)",
    arguments: &[integer("config-epoch")],
    ..Docs::EMPTY
};

const CLUSTER_SETSLOT_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Says who owns a slot, or that it is on its way from one node to another",
    complexity: "O(1)",
    arguments: &[
        integer("slot"),
        one_of("subcommand", &[
            string("node-id").after("IMPORTING"), string("node-id").after("MIGRATING"),
            string("node-id").after("NODE"), token("stable", "STABLE"),
        ]),
    ],
    ..Docs::EMPTY
};

const CLUSTER_SHARDS_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Lists shards: their slots and their nodes",
    complexity: "O(N), N being the nodes",
    ..Docs::EMPTY
};

const CLUSTER_SLAVES_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Lists a primary's replicas",
    complexity: "O(1)",
    deprecated: Some(Deprecated { since: "5.0.0", replaced_by: "`CLUSTER REPLICAS`" }),
    arguments: &[string("node-id")],
    ..Docs::EMPTY
};

const CLUSTER_SLOTS_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Lists ranges of slots and the nodes that serve them",
    complexity: "O(N), N being the nodes",
    deprecated: Some(Deprecated { since: "7.0.0", replaced_by: "`CLUSTER SHARDS`" }),
    history: &[
        ("4.0.0", "Shows node IDs."),
        ("7.0.0", "Shows further ways to reach a node."),
    ],
    ..Docs::EMPTY
};

const READONLY_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Lets this connection read from a replica",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const READWRITE_DOCS: Docs = Docs {
    since: "3.0.0",
    summary: "Ends what READONLY began",
    complexity: "O(1)",
    ..Docs::EMPTY
};
