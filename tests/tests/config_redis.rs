//! The node's configuration against a real redis-server 7.0.15: names, defaults, what CONFIG SET
//! accepts and how it refuses, what a start refuses, and files that either can read.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use slotilla_node::config::{Access, Config, Directive, Effect, Key, Kind as ValueKind, TABLE};
use slotilla_tests::{Client, Kind, Server, binaries, run_tool_input};

/// Directives that Redis does not have.
const OURS: [&str; 9] = [
    "admin-port",
    "admin-bind",
    "huge-pages",
    "log-format",
    "long-command-threads",
    "replica-ack-timeout",
    "replica-ack-writes",
    "snapshot-preimage-limit",
    "aof-unwritten-limit",
];

fn load(args: &[&str]) -> Config {
    Config::load(args.iter().map(|arg| (*arg).to_owned())).unwrap()
}

/// A configuration with what the harness gives its servers.
fn like(server: &Server) -> Config {
    like_with(server, "no")
}

fn like_with(server: &Server, protected: &str) -> Config {
    let (port, dir) = (
        server.port().to_string(),
        server.dir().display().to_string(),
    );
    #[rustfmt::skip]
    let args = [
        "--port", &port, "--bind", "127.0.0.1", "--dir", &dir, "--save", "",
        "--enable-debug-command", "yes", "--cluster-enabled", "no", "--io-threads", "1",
        "--enable-protected-configs", protected,
    ];
    load(&args)
}

fn get(client: &mut Client, pattern: &str) -> BTreeMap<String, String> {
    let reply = client.call(&["CONFIG", "GET", pattern]);
    let pairs = reply.pairs().into_iter();
    pairs
        .map(|(name, value)| (name.text(), value.text()))
        .collect()
}

fn ours(config: &Config, pattern: &str) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let found = config.get(pattern.as_bytes()).into_iter();
    found
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[test]
fn names_and_defaults_are_redis_s() {
    let server = Server::start(Kind::Redis, &[]);
    let theirs = get(&mut server.client(), "*");
    let config = like(&server);
    let mut ours = ours(&config, "*");
    for name in OURS {
        assert!(ours.remove(name).is_some(), "{name}");
    }
    let names: BTreeSet<_> = theirs.keys().collect();
    assert_eq!(ours.keys().collect::<BTreeSet<_>>(), names);
    for (name, value) in &theirs {
        assert_eq!(&ours[name], value, "{name}");
    }
}

#[test]
fn patterns_find_the_same_names() {
    let server = Server::start(Kind::Redis, &[]);
    let mut client = server.client();
    let config = like(&server);
    #[rustfmt::skip]
    let patterns = [
        "max*", "MAX*", "*max-ziplist-v*", "[m]axmemory", "maxmemor?", "slave-prio*", "MaxMemory",
        "nope", "", "*[", "key-load-delay", "key-load-d*", "watchdog-period", "rdb-key-save-delay",
        "hash-max-*-[a-e]*", "[^a-z]*", "\\*", "s?ve",
    ];
    for pattern in patterns {
        assert_eq!(
            ours(&config, pattern),
            get(&mut client, pattern),
            "{pattern}"
        );
    }
}

/// Values that are right for something and wrong for much.
#[rustfmt::skip]
const VALUES: &[&str] = &[
    "", "yes", "NO", "maybe", "0", "1", "-1", "5", "99", "100", "101", "1000", "65535", "65536",
    "1kb", "10MB", "1gb", "1.5g", "1t", "5%", "200%", "-5%", "%", "x", " 5", "5 ", "+5", "010",
    "2147483647", "2147483648", "-2147483649", "4294967296", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "99999999999999999999", "0x10", "1e3",
    "1 2", "1 2 3", "-3000 0 1", "50 99.9", "50 101", "a/b", "a.b-c", "a_b", "default save",
    "now force", "save nosave", "NOW", "AKE", "Kx", "g$lshzxetd", "KEAmn", "Elg", "Kn", "q",
    "normal 1 2 3", "normal 1mb 2mb 3 replica 1 1 1", "normal 1 2", "foo 1 2 3", "pubsub 1 2 -3",
    "900 1", "900 1 300", "900  1", "0 1", "900 0", "3600 1 60 1000", "{title} {port}", "{zz}",
    "{title", "everysec", "ALWAYS", "debug", "allkeys-lru", "VOLATILE-TTL", "hostname", "optional",
    "swapdb", "relative", "panic", "clients", "allchannels", "local",
];

/// Directives that change something outside the server or cut the connection, tested by name
/// elsewhere; and those of which we say openly that we do not have them.
const NOT_TRIED: &[Key] = &[
    Key::Bind,
    Key::Port,
    Key::Dir,
    Key::Maxclients,
    Key::MaxmemoryClients,
    Key::OomScoreAdj,
    Key::TlsPort,
    Key::Activedefrag,
    Key::WatchdogPeriod,
    Key::Appendonly,
];

#[test]
fn config_set_accepts_refuses_and_keeps_the_same() {
    let server = Server::start(Kind::Redis, &[("enable-protected-configs", "yes")]);
    let mut client = server.client();
    let config = like_with(&server, "yes");
    let mut accepted = 0;
    let mut differences = Vec::new();
    for directive in TABLE {
        let known = !OURS.contains(&directive.name) && !NOT_TRIED.contains(&directive.key);
        for name in directive.names().filter(|_| known) {
            let before = config.shown(directive.key);
            client.call(&[b"CONFIG".as_slice(), b"SET", name.as_bytes(), &before]);
            // C reads hexadecimal floats; whoever writes a percentile so is not served by it.
            let percentiles = directive.kind == ValueKind::Percentiles;
            for value in VALUES
                .iter()
                .filter(|value| !(percentiles && **value == "0x10"))
            {
                let theirs = client.call(&["CONFIG", "SET", name, value]);
                let theirs = theirs
                    .error()
                    .map(|text| text.trim_start_matches("ERR ").to_owned());
                let result = config.set(&[(name.as_bytes(), value.as_bytes())], true);
                let result = result.err().map(|error| error.to_string());
                if result != theirs {
                    differences.push(format!("SET {name} {value:?}: {result:?}, not {theirs:?}"));
                }
                accepted += usize::from(result.is_none());
                let (shown, theirs) = (ours(&config, name), get(&mut client, name));
                if shown != theirs {
                    differences.push(format!("GET after {value:?}: {shown:?}, not {theirs:?}"));
                }
            }
            let default = config.set(&[(name.as_bytes(), &before)], true);
            assert!(
                default.is_ok() || directive.access == Access::Immutable,
                "{name}"
            );
            client.call(&[b"CONFIG".as_slice(), b"SET", name.as_bytes(), &before]);
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(accepted > 2000, "{accepted}");
}

#[test]
fn memory_for_clients_is_read_the_same() {
    let server = Server::start(Kind::Redis, &[]);
    let mut client = server.client();
    let config = like(&server);
    for value in [
        "1gb", "12%", "100%", "101%", "0%", "-3%", "%", "x", "1x", "0",
    ] {
        let theirs = client.call(&["CONFIG", "SET", "maxmemory-clients", value]);
        let theirs = theirs
            .error()
            .map(|text| text.trim_start_matches("ERR ").to_owned());
        let result = config.set(&[(b"maxmemory-clients", value.as_bytes())], true);
        assert_eq!(
            result.err().map(|error| error.to_string()),
            theirs,
            "{value}"
        );
        let shown = ours(&config, "maxmemory-clients");
        assert_eq!(shown, get(&mut client, "maxmemory-clients"), "{value}");
    }
}

#[test]
fn several_pairs_fail_the_same_way() {
    let server = Server::start(Kind::Redis, &[]);
    let mut client = server.client();
    let config = like(&server);
    let cases: &[&[&str]] = &[
        &["foo", "1"],
        &["maxmemory", "1", "maxmemory", "2"],
        &[
            "hash-max-ziplist-value",
            "1",
            "hash-max-listpack-value",
            "2",
        ],
        &["maxmemory", "1", "timeout", "zz"],
        &["foo", "1", "timeout", "x"],
        &["daemonize", "yes", "foo", "1"],
        &["timeout", "1", "daemonize", "yes"],
        &["timeout", "x", "daemonize", "yes"],
        &["TIMEOUT", "x"],
        &["Slave-Priority", "x"],
        &["timeout", "7", "slowlog-max-len", "8", "save", "1 1"],
        &["dir", "/tmp"],
        &["dbfilename", "x", "foo", "1"],
    ];
    for case in cases {
        let request: Vec<&str> = ["CONFIG", "SET"].iter().chain(*case).copied().collect();
        let theirs = client.call(&request);
        let theirs = theirs
            .error()
            .map(|text| text.trim_start_matches("ERR ").to_owned());
        let pairs: Vec<_> = case
            .chunks(2)
            .map(|pair| (pair[0].as_bytes(), pair[1].as_bytes()))
            .collect();
        let result = config
            .set(&pairs, true)
            .err()
            .map(|error| error.to_string());
        assert_eq!(result, theirs, "{case:?}");
    }
    let same = [
        "maxmemory",
        "timeout",
        "save",
        "hash-max-*-value",
        "slowlog-max-len",
    ];
    for pattern in same {
        assert_eq!(
            ours(&config, pattern),
            get(&mut client, pattern),
            "{pattern}"
        );
    }
}

/// What redis-server says to a file with this text, as the line as shown and the problem; or
/// nothing if it starts.
fn their_refusal(text: &str) -> Option<(String, String)> {
    // The last line stops it before it listens, if nothing else has.
    let text = format!("{text}\nthis-ends-it\n");
    let mut server = Command::new(binaries::redis_server());
    let output = run_tool_input(server.arg("-"), text.as_bytes()).err;
    let mut lines = output.lines().skip_while(|line| !line.starts_with(">>> "));
    let shown = lines
        .next()
        .unwrap_or_else(|| panic!("no refusal: {output}"));
    let shown = shown
        .trim_start_matches(">>> '")
        .trim_end_matches('\'')
        .to_owned();
    let problem = lines.next().unwrap_or_default().to_owned();
    (shown != "this-ends-it").then_some((shown, problem))
}

#[test]
fn a_start_refuses_the_same_lines_in_the_same_words() {
    #[rustfmt::skip]
    let lines = [
        "foo bar", "port", "port 1 2", "port \"1", "port 'x", "PORT 3", "io-threads 0", "io-threads 129",
        "io-threads 4", "databases 0", "databases 2147483648", "cluster-port -1", "tcp-backlog -1",
        "socket-mark-id -1", "socket-mark-id 4294967296", "unixsocketperm 1000", "unixsocketperm 888",
        "unixsocketperm 0777", "unixsocketperm abc", "syslog-facility x", "supervised x",
        "enable-debug-command x", "enable-debug-command LOCAL", "replicaof a", "replicaof a b",
        "replicaof no one", "replicaof 127.0.0.1 99999", "maxclients 0", "dir /nonexistent",
        "dir /etc/passwd", "save 1", "save 1 1 1", "save", "save \"\"", "save 900 1 300 10",
        "bind", "bind a b c d e f g h i j k l m n o p q", "requirepass", "requirepass a b",
        "requirepass 'a b'", "requirepass 'a b'x", "appendfilename a/b", "appendfilename \"\"",
        "appenddirname a/b", "appenddirname \"\"", "dbfilename a/b", "dbfilename \"\"", "maxmemory 1x",
        "maxmemory 1gb", "maxmemory-clients 101%", "maxmemory-clients 5%", "timeout 5 # c",
        "shutdown-on-sigint \"now force\"", "shutdown-on-sigint now save",
        "shutdown-on-sigint nosave save", "shutdown-on-sigint", "proc-title-template {zz}",
        "latency-tracking-info-percentiles", "oom-score-adj-values 1", "client-output-buffer-limit",
        "client-output-buffer-limit normal 1", "client-output-buffer-limit normal 1 1 1",
        "notify-keyspace-events A B", "daemonize maybe", "set-proc-title x", "io-threads-do-reads x",
        "cluster-announce-hostname _", "watchdog-period 5", "list-max-ziplist-value 1",
        "lua-replicate-commands no", "sentinel x", "loglevel loud", "logfile a b", "cluster-enabled 1",
        "# comment", "   ", "\ttimeout\t5  ", "timeout 5\r",
    ];
    for line in lines {
        let theirs = their_refusal(line);
        let errors = Config::from_conf(line.as_bytes()).err().unwrap_or_default();
        let refusal = errors
            .first()
            .map(|error| (error.shown.clone(), error.problem.clone()));
        assert_eq!(refusal, theirs, "{line}");
        assert!(
            errors.iter().all(|error| !error.remedy.is_empty()),
            "{line}: a remedy"
        );
    }
}

/// Changes of every kind of value.
const CHANGES: &[(&str, &str)] = &[
    ("maxmemory", "100mb"),
    ("maxmemory-policy", "allkeys-lfu"),
    ("timeout", "7"),
    ("save", "60 1 30 2"),
    (
        "client-output-buffer-limit",
        "normal 1gb 2 3 pubsub 1mb 2 3",
    ),
    ("notify-keyspace-events", "KEA"),
    ("latency-tracking-info-percentiles", "1.5 99"),
    ("requirepass", ""),
    ("proc-title-template", "{title} \"x\""),
    ("maxmemory-clients", "5%"),
    ("shutdown-on-sigterm", "now force"),
    ("hash-max-ziplist-value", "65"),
];

#[test]
fn redis_server_reads_what_we_rewrite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("redis.conf");

    // Ours first: redis-server starts with the file, and CONFIG GET says the same.
    std::fs::write(&path, "# ours\n").unwrap();
    let config = load(&[
        path.to_str().unwrap(),
        "--dir",
        dir.path().to_str().unwrap(),
    ]);
    let pairs: Vec<_> = CHANGES
        .iter()
        .map(|(k, v)| (k.as_bytes(), v.as_bytes()))
        .collect();
    config.set(&pairs, true).unwrap();
    config.rewrite_all().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let for_redis: String = text
        .lines()
        .filter(|line| !OURS.iter().any(|name| line.starts_with(name)))
        .filter(|line| {
            !line.starts_with("port ") && !line.starts_with("bind ") && !line.starts_with("dir ")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, for_redis).unwrap();
    let included = path.display().to_string();
    let server = Server::start(Kind::Redis, &[("include", &included)]);
    let theirs = get(&mut server.client(), "*");
    for directive in TABLE.iter().filter(|d| !OURS.contains(&d.name)) {
        let set_by_harness = matches!(
            directive.key,
            Key::Port | Key::Bind | Key::Dir | Key::EnableDebugCommand | Key::Save
        );
        if directive.access != Access::Hidden && !set_by_harness {
            let value = String::from_utf8(config.shown(directive.key)).unwrap();
            assert_eq!(theirs[directive.name], value, "{}", directive.name);
        }
    }
}

#[test]
fn what_redis_server_rewrites_we_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("theirs.conf");
    std::fs::write(&file, "# theirs\n").unwrap();
    let ports = slotilla_tests::reserve_ports(1);
    let args = vec![
        file.display().to_string(),
        "--port".to_owned(),
        ports.first().to_string(),
        "--dir".to_owned(),
        dir.path().display().to_string(),
    ];
    let log = dir.path().join("log");
    let mut process = slotilla_tests::Process::start(
        "redis-server with a file",
        &binaries::redis_server(),
        &args,
        dir.path(),
        &log,
    );
    slotilla_tests::wait_until("redis-server answers", || {
        Client::try_connect(ports.first()).is_ok_and(|mut c| c.try_call(&["PING"]).is_ok())
    });
    let mut client = Client::connect(ports.first());
    for (name, value) in CHANGES {
        client.ok(&["CONFIG", "SET", name, value]);
    }
    client.ok(&["CONFIG", "REWRITE"]);
    let theirs = get(&mut client, "*");
    process.kill();
    // What it adds of its users is not ours yet.
    let text = std::fs::read_to_string(&file).unwrap();
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("user "))
        .map(|l| format!("{l}\n"))
        .collect();
    let config = Config::from_conf(text.as_bytes()).unwrap();
    for directive in TABLE.iter().filter(|d| theirs.contains_key(d.name)) {
        let value = String::from_utf8(config.shown(directive.key)).unwrap();
        if directive.key != Key::IoThreads {
            assert_eq!(theirs[directive.name], value, "{}", directive.name);
        }
    }
}

#[test]
fn what_is_not_effective_is_marked() {
    // The documentation prints these marks; nothing that the listed commands read may carry one.
    #[rustfmt::skip]
    let effective = [
        "port", "bind", "unixsocket", "unixsocketperm", "protected-mode", "tcp-backlog", "timeout",
        "tcp-keepalive", "maxclients", "requirepass", "databases", "dir", "maxmemory",
        "maxmemory-policy", "maxmemory-samples", "lfu-log-factor", "lfu-decay-time", "daemonize",
        "pidfile", "loglevel", "logfile", "slowlog-log-slower-than", "slowlog-max-len",
        "latency-monitor-threshold", "cluster-enabled", "cluster-config-file",
        "cluster-node-timeout", "proto-max-bulk-len", "io-threads", "admin-port",
    ];
    for name in effective {
        let directive = Directive::named(name).expect(name);
        assert_eq!(directive.effect, Effect::Now, "{name}");
    }
}
