//! The connection: who is there, in which protocol, in which database.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("auth",   -2, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, CONNECTION, Local, &AUTH_DOCS,   &[]),
    row("client", -2, 0,                                                        0,          Local, &CLIENT_DOCS, &[]).with(CLIENT_SUBCOMMANDS),
    row("echo",    2, LOADING | STALE | FAST,                                   CONNECTION, Local, &ECHO_DOCS,   &[]),
    row("hello",  -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, CONNECTION, Local, &HELLO_DOCS,  &[]),
    row("ping",   -1, FAST,                                                     CONNECTION, Local, &PING_DOCS,   &[])
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("quit",   -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, CONNECTION, Local, &QUIT_DOCS,   &[]),
    row("reset",   1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY, CONNECTION, Local, &RESET_DOCS,  &[]),
    row("select",  2, LOADING | STALE | FAST,                                   CONNECTION, Local, &SELECT_DOCS, &[]),
];

const CLIENT_SUBCOMMANDS: &[Row] = &[
    row("client|ack-writes",    3, NOSCRIPT | LOADING | STALE,         CONNECTION, Refused(SHARED),      &CLIENT_ACK_WRITES_DOCS,   &[]),
    row("client|caching",       3, NOSCRIPT | LOADING | STALE,         CONNECTION, Connection(Tracking), &CLIENT_CACHING_DOCS,      &[]),
    row("client|getname",       2, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_GETNAME_DOCS,      &[]),
    row("client|getredir",      2, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_GETREDIR_DOCS,     &[]),
    row("client|help",          2, LOADING | STALE,                    CONNECTION, Local,                &CLIENT_HELP_DOCS,         &[]),
    row("client|id",            2, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_ID_DOCS,           &[]),
    row("client|info",          2, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_INFO_DOCS,         &[]).tips(&[UNSTABLE]),
    row("client|kill",         -3, ADMIN | NOSCRIPT | LOADING | STALE, CONNECTION, Local,                &CLIENT_KILL_DOCS,         &[]),
    row("client|list",         -2, ADMIN | NOSCRIPT | LOADING | STALE, CONNECTION, Local,                &CLIENT_LIST_DOCS,         &[]).tips(&[UNSTABLE]),
    row("client|no-evict",      3, ADMIN | NOSCRIPT | LOADING | STALE, CONNECTION, Local,                &CLIENT_NO_EVICT_DOCS,     &[]),
    row("client|pause",        -3, ADMIN | NOSCRIPT | LOADING | STALE, CONNECTION, Refused(ONE_NODE),   &CLIENT_PAUSE_DOCS,        &[]),
    row("client|reply",         3, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_REPLY_DOCS,        &[]),
    row("client|setname",       3, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_SETNAME_DOCS,      &[]),
    row("client|tracking",     -3, NOSCRIPT | LOADING | STALE,         CONNECTION, Connection(Tracking), &CLIENT_TRACKING_DOCS,     &[]),
    row("client|trackinginfo",  2, NOSCRIPT | LOADING | STALE,         CONNECTION, Local,                &CLIENT_TRACKINGINFO_DOCS, &[]),
    row("client|unblock",      -3, ADMIN | NOSCRIPT | LOADING | STALE, CONNECTION, Local,                &CLIENT_UNBLOCK_DOCS,      &[]),
    row("client|unpause",       2, ADMIN | NOSCRIPT | LOADING | STALE, CONNECTION, Local,                &CLIENT_UNPAUSE_DOCS,      &[]),
];

const AUTH_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Proves who the client is",
    complexity: "O(N), N being the user's passwords",
    history: &[
        ("6.0.0", "Takes a user name."),
    ],
    arguments: &[string("username").optional().since("6.0.0"), string("password")],
    ..Docs::EMPTY
};

const CLIENT_DOCS: Docs = Docs {
    since: "2.4.0",
    summary: "Commands about client connections",
    complexity: "Each subcommand has its own",
    ..Docs::EMPTY
};

/// Why the proxy cannot set it.
const SHARED: &str = "clients of the proxy share its connections to the nodes; set replica-ack-writes on the nodes";

const CLIENT_ACK_WRITES_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Says how many replicas must have this connection's writes before their replies leave",
    complexity: "O(1)",
    arguments: &[one_of("replicas", &[
        integer("number"), token("majority", "MAJORITY"), token("default", "DEFAULT"),
    ])],
    ..Docs::EMPTY
};

const CLIENT_CACHING_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Says whether the keys of the next command are tracked",
    complexity: "O(1)",
    arguments: &[one_of("mode", &[token("yes", "YES"), token("no", "NO")])],
    ..Docs::EMPTY
};

const CLIENT_GETNAME_DOCS: Docs = Docs {
    since: "2.6.9",
    summary: "Tells this connection's name",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLIENT_GETREDIR_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Tells which client gets this connection's invalidations",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLIENT_HELP_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLIENT_ID_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Tells this connection's number",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLIENT_INFO_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Describes this connection",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLIENT_KILL_DOCS: Docs = Docs {
    since: "2.4.0",
    summary: "Closes the connections that match a filter",
    complexity: "O(N), N being the connections",
    history: &[
        ("2.8.12", "Takes filters."),
        ("2.8.12", "Takes `ID`."),
        ("3.2.0", "Takes `TYPE master`."),
        ("5.0.0", "`TYPE slave` is now also called `replica`."),
        ("6.2.0", "Takes `LADDR`."),
    ],
    arguments: &[
        one_of("filter", &[
            string("ip:port").deprecated("2.8.12"),
            one_of("new-format", &[
                integer("client-id").after("ID").optional().since("2.8.12"),
                one_of("normal_master_slave_pubsub", &[
                    token("normal", "NORMAL"), token("master", "MASTER").since("3.2.0"),
                    token("slave", "SLAVE"), token("replica", "REPLICA").since("5.0.0"),
                    token("pubsub", "PUBSUB"),
                ]).after("TYPE").optional().since("2.8.12"),
                string("username").after("USER").optional(),
                string("ip:port").after("ADDR").optional(),
                string("ip:port").after("LADDR").optional().since("6.2.0"),
                string("yes/no").after("SKIPME").optional(),
            ]).multiple(),
        ]),
    ],
    ..Docs::EMPTY
};

const CLIENT_LIST_DOCS: Docs = Docs {
    since: "2.4.0",
    summary: "Describes the connections, one a line",
    complexity: "O(N), N being the connections",
    history: &[
        ("2.8.12", "Shows `id`."),
        ("5.0.0", "Takes `TYPE`."),
        ("6.0.0", "Shows `user`."),
        ("6.2.0", "Shows `argv-mem`, `tot-mem`, `laddr` and `redir`; takes `ID`."),
        ("7.0.0", "Shows `resp`, `multi-mem`, `rbs` and `rbp`."),
        ("7.0.3", "Shows `ssub`."),
    ],
    arguments: &[
        one_of("normal_master_replica_pubsub", &[
            token("normal", "NORMAL"), token("master", "MASTER"), token("replica", "REPLICA"),
            token("pubsub", "PUBSUB"),
        ]).after("TYPE").optional().since("5.0.0"),
        block("id", &[integer("client-id").multiple()]).after("ID").optional().since("6.2.0"),
    ],
    ..Docs::EMPTY
};

const CLIENT_NO_EVICT_DOCS: Docs = Docs {
    since: "7.0.0",
    summary: "Keeps this connection from being closed to save memory",
    complexity: "O(1)",
    arguments: &[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])],
    ..Docs::EMPTY
};

const CLIENT_PAUSE_DOCS: Docs = Docs {
    since: "2.9.50",
    summary: "Holds back the commands of all clients for a while",
    complexity: "O(1)",
    history: &[
        ("6.2.0", "Takes `WRITE` or `ALL`."),
    ],
    arguments: &[
        integer("timeout"),
        one_of("mode", &[token("write", "WRITE"), token("all", "ALL")]).optional().since("6.2.0"),
    ],
    ..Docs::EMPTY
};

const CLIENT_REPLY_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Turns replies to this connection on or off, or skips one",
    complexity: "O(1)",
    arguments: &[
        one_of("on_off_skip", &[token("on", "ON"), token("off", "OFF"), token("skip", "SKIP")]),
    ],
    ..Docs::EMPTY
};

const CLIENT_SETNAME_DOCS: Docs = Docs {
    since: "2.6.9",
    summary: "Names this connection",
    complexity: "O(1)",
    arguments: &[string("connection-name")],
    ..Docs::EMPTY
};

const CLIENT_TRACKING_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Turns invalidation messages for keys that this client has read on or off",
    complexity: "O(1); prefixes cost O(1) each",
    arguments: &[
        one_of("status", &[token("on", "ON"), token("off", "OFF")]),
        integer("client-id").after("REDIRECT").optional(),
        string("prefix").after("PREFIX").optional().multiple().multiple_token(),
        token("bcast", "BCAST").optional(), token("optin", "OPTIN").optional(),
        token("optout", "OPTOUT").optional(), token("noloop", "NOLOOP").optional(),
    ],
    ..Docs::EMPTY
};

const CLIENT_TRACKINGINFO_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Tells how tracking is set for this connection",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const CLIENT_UNBLOCK_DOCS: Docs = Docs {
    since: "5.0.0",
    summary: "Ends a blocking command of another connection",
    complexity: "O(log N), N being the connections",
    arguments: &[
        integer("client-id"),
        one_of("timeout_error", &[token("timeout", "TIMEOUT"), token("error", "ERROR")]).optional(),
    ],
    ..Docs::EMPTY
};

const CLIENT_UNPAUSE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Ends what CLIENT PAUSE began",
    complexity: "O(N), N being the clients held back",
    ..Docs::EMPTY
};

const ECHO_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Says what it was told",
    complexity: "O(1)",
    arguments: &[string("message")],
    ..Docs::EMPTY
};

const HELLO_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Chooses the protocol, authenticates and names the connection, all if wanted; describes the server",
    complexity: "O(1)",
    history: &[
        ("6.2.0", "The version may be left out: then it only describes the connection and the server."),
    ],
    arguments: &[
        block("arguments", &[
            integer("protover"),
            block("username_password", &[string("username"), string("password")]).after("AUTH").optional(),
            string("clientname").after("SETNAME").optional(),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const PING_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Shows that the server is there",
    complexity: "O(1)",
    arguments: &[string("message").optional()],
    ..Docs::EMPTY
};

const QUIT_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Closes the connection after the reply",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const RESET_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Makes the connection like a new one",
    complexity: "O(1)",
    ..Docs::EMPTY
};

const SELECT_DOCS: Docs = Docs {
    since: "1.0.0",
    summary: "Chooses the database that this connection works on",
    complexity: "O(1)",
    arguments: &[integer("index")],
    ..Docs::EMPTY
};
