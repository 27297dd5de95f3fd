//! A node's start with a snapshot in its directory: what clients hear meanwhile, what is loaded and
//! what is passed by; and files that no node starts with.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use slotilla_common::rdb::{KeyInfo, ValueType, Writer};
use slotilla_tests::differential::seed;
use slotilla_tests::values::every_kind;
use slotilla_tests::{Client, Deadline, Kind, Server, one_node_cluster, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(20);
/// Long past, and far ahead.
const PAST_MS: i64 = 1_000_000_000_000;
const AHEAD_MS: i64 = 4_102_444_800_000;

type Sink = Writer<Vec<u8>>;

/// A file with what `fill` writes into it.
fn file(fill: impl FnOnce(&mut Sink)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 0);
    writer.begin().unwrap();
    fill(&mut writer);
    writer.end().unwrap();
    writer.finish().unwrap()
}

fn string(writer: &mut Sink, key: &str, value: &str, expiry_ms: Option<i64>) {
    let info = KeyInfo {
        expiry_ms,
        ..KeyInfo::default()
    };
    let key = key.as_bytes();
    writer.key(key, ValueType::String, info).unwrap();
    writer.string(value.as_bytes()).unwrap();
}

/// A key whose value is an empty list, as no server should have it.
fn empty(writer: &mut Sink, key: &str) {
    let info = KeyInfo::default();
    writer.key(key.as_bytes(), ValueType::List, info).unwrap();
    writer.length(0).unwrap();
}

fn in_dir(bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("dump.rdb"), bytes).unwrap();
    dir
}

fn start_in(dir: &Path, settings: &[(&str, &str)]) -> Server {
    let dir = dir.to_string_lossy();
    Server::start(Kind::Node, &[settings, &[("dir", &*dir)]].concat())
}

/// Through redis-server's own names of the settings.
#[test]
fn another_name_is_another_file() {
    let dir = in_dir(&file(|writer| string(writer, "default", "1", None)));
    let other = file(|writer| string(writer, "other", "1", None));
    fs::write(dir.path().join("other.rdb"), other).unwrap();
    let server = start_in(dir.path(), &[("dbfilename", "other.rdb")]);
    assert_eq!(server.client().line("keys *").to_string(), "[other]");
    drop(server);
    let server = start_in(dir.path(), &[("dbfilename", "nothing.rdb")]);
    assert_eq!(dbsize(&server, "0"), 0);
    server.client().ok(&["save"]);
    let names = fs::read_dir(dir.path()).unwrap().flatten();
    let names = names.map(|file| file.file_name().into_string().unwrap());
    assert!(names.into_iter().any(|name| name == "nothing.rdb"));
}

fn start_unready_in(dir: &Path, settings: &[(&str, &str)]) -> Server {
    let dir = dir.to_string_lossy();
    Server::start_unready(Kind::Node, &[settings, &[("dir", &*dir)]].concat())
}

/// A connection to a server that does not answer PING yet.
fn connect(server: &Server) -> Client {
    wait_for("a connection", LIMIT, || {
        Client::try_connect(server.port()).ok()
    })
}

fn dbsize(server: &Server, db: &str) -> i64 {
    let mut client = server.client();
    client.ok(&["select", db]);
    client.line("dbsize").integer()
}

#[test]
fn clients_hear_of_a_load_and_then_have_the_data() {
    let bytes = file(|writer| {
        writer.aux(b"used-mem", b"1048576").unwrap();
        writer.select_db(0).unwrap();
        for n in 0..3000 {
            string(writer, &format!("key:{n}"), "value", None);
        }
    });
    let dir = in_dir(&bytes);
    let mut server = start_unready_in(dir.path(), &[("key-load-delay", "1000")]);
    let mut client = connect(&server);
    let refused = Some("LOADING Redis is loading the dataset in memory");
    for line in [
        "get key:1",
        "set a b",
        "ping",
        "save",
        "debug reload",
        "dbsize",
    ] {
        assert_eq!(client.line(line).error(), refused, "{line}");
    }
    assert_eq!(
        client.line("shutdown abort").error(),
        Some("ERR No shutdown in progress.")
    );
    let number = |field: &str| -> f64 { server.info(field).unwrap().parse().unwrap() };
    assert_eq!(number("loading"), 1.0);
    assert_eq!(number("async_loading"), 0.0);
    assert_eq!(number("loading_total_bytes"), bytes.len() as f64);
    assert_eq!(number("loading_rdb_used_mem"), 1_048_576.0);
    assert!(number("loading_start_time") > 1_700_000_000.0);
    let (early, early_percent) = (
        number("loading_loaded_bytes"),
        number("loading_loaded_perc"),
    );
    assert!(early_percent < 100.0, "{early_percent}");
    wait_until("the load to go on", || {
        number("loading_loaded_bytes") > early
    });
    assert!(number("loading_loaded_perc") > early_percent);
    assert!(number("loading_eta_seconds") < 60.0);
    let (status, text) = server.admin("/readyz");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("the snapshot is being loaded: "), "{text}");
    assert_eq!(server.admin("/healthz").0, 200);
    wait_until("the end of the load", || server.answers());
    assert_eq!(server.admin("/readyz").0, 200);
    assert_eq!(dbsize(&server, "0"), 3000);
    assert_eq!(client.line("get key:2999").text(), "value");
    assert_eq!(server.info("loading").unwrap(), "0");
    assert_eq!(server.info("loading_total_bytes"), None);
    assert_eq!(server.info("rdb_last_load_keys_loaded").unwrap(), "3000");
    assert_eq!(server.info("rdb_changes_since_last_save").unwrap(), "0");
    let log = server.log();
    let at = |text: &str| {
        log.find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {log}"))
    };
    assert!(at("keys loaded: 3000, keys expired: 0.") < at("DB loaded from disk: "));
    assert!(at("DB loaded from disk: ") < at("Ready to accept connections"));
    // Redis's suite waits for these.
    let pid = format!(" PID: {}. Server initialized", server.process().pid());
    assert!(at(&pid) < at("Ready to accept connections"));
}

#[test]
fn a_node_that_loads_can_be_stopped() {
    let bytes = file(|writer| {
        for n in 0..100_000 {
            string(writer, &format!("key:{n}"), "value", None);
        }
    });
    let dir = in_dir(&bytes);
    let mut server = start_unready_in(dir.path(), &[("key-load-delay", "1000")]);
    let mut client = connect(&server);
    wait_until("the load to begin", || {
        client.line("ping").error().is_some()
    });
    let begun = Deadline::after(LIMIT);
    assert!(server.process().terminate().success());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it went on loading"
    );
    let log = server.log();
    assert!(log.contains("the node was told to stop"), "{log}");
    assert!(!log.contains("Ready to accept connections"), "{log}");
    assert_eq!(fs::read(dir.path().join("dump.rdb")).unwrap(), bytes);
}

#[test]
fn what_a_primary_would_not_have_is_passed_by() {
    let bytes = file(|writer| {
        writer.aux(b"redis-ver", b"7.0.15").unwrap();
        writer.aux(b"something-new", b"1").unwrap();
        writer.select_db(3).unwrap();
        string(writer, "expired", "1", Some(PAST_MS));
        string(writer, "expires", "1", Some(AHEAD_MS));
        empty(writer, "nothing");
        writer.select_db(15).unwrap();
        string(writer, "stays", "1", None);
    });
    let dir = in_dir(&bytes);
    let server = start_in(dir.path(), &[]);
    assert_eq!((dbsize(&server, "3"), dbsize(&server, "15")), (1, 1));
    let mut client = server.client();
    client.ok(&["select", "3"]);
    assert_eq!(client.line("pexpiretime expires").integer(), AHEAD_MS);
    assert_eq!(server.info("rdb_last_load_keys_loaded").unwrap(), "2");
    assert_eq!(server.info("rdb_last_load_keys_expired").unwrap(), "1");
    assert_eq!(server.info("expired_keys").unwrap(), "0");
    let log = server.log();
    assert!(log.contains("skipping empty key: nothing"), "{log}");
    assert!(log.contains("empty keys skipped: 1."), "{log}");
    assert!(
        log.contains("Loading RDB produced by version 7.0.15"),
        "{log}"
    );
}

/// What a node says that does not start with this file.
fn refusal(bytes: &[u8], settings: &[(&str, &str)]) -> String {
    let dir = in_dir(bytes);
    let mut server = start_unready_in(dir.path(), settings);
    let status = server.process().wait_exit(LIMIT);
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("Ready to accept connections"), "{log}");
    let path = dir.path().join("dump.rdb");
    assert_eq!(fs::read(&path).unwrap(), bytes, "it is as it was");
    let begin = format!(
        "Fatal error loading the DB: Loading the snapshot {}: ",
        path.display()
    );
    // The last line is that on standard error, which names no time.
    let said = log.lines().rev().find_map(|line| line.strip_prefix(&begin));
    said.unwrap_or_else(|| panic!("{log}")).to_owned()
}

const CHECK: &str = "redis-check-rdb";

fn assert_said(said: &str, expected: &[&str]) {
    for text in expected {
        assert!(said.contains(text), "{text:?} in {said:?}");
    }
}

#[test]
fn a_file_that_cannot_be_loaded_is_refused_with_what_to_do() {
    let whole = file(|writer| {
        writer.select_db(0).unwrap();
        string(writer, "a", "one value", None);
        string(writer, "b", "another one", None);
    });
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    let mut later = whole.clone();
    later[5..9].copy_from_slice(b"0099");
    let twice = file(|writer| {
        string(writer, "a", "1", None);
        string(writer, "a", "2", None);
    });
    let stream = file(|writer| {
        writer
            .key(b"my stream", ValueType::Stream2, KeyInfo::default())
            .unwrap();
    });
    let cases: [(&[u8], &[&str]); 9] = [
        (b"", &["byte 0: ", "the data ends", CHECK]),
        (b"REDIS", &["the data ends", CHECK]),
        (b"# redis.conf\n", &["it is no snapshot", "move it away"]),
        (&later, &["it has the version 99", "move the file away"]),
        (&whole[..30], &["byte 2", "bytes are left", CHECK]),
        (
            &whole[..whole.len() - 1],
            &["the checksum was expected, and the data ends"],
        ),
        (&damaged, &["the checksum is ", "it is damaged", CHECK]),
        (&twice, &["in database 0, key 'a' is there twice", CHECK]),
        (
            &stream,
            &[
                "key 'my stream': a stream cannot be kept",
                "delete the key on the server",
            ],
        ),
    ];
    for (bytes, expected) in cases {
        assert_said(&refusal(bytes, &[]), expected);
    }
    // Whoever wants no checksums gets what is there.
    let dir = in_dir(&damaged);
    let server = start_in(dir.path(), &[("rdbchecksum", "no")]);
    assert_eq!(dbsize(&server, "0"), 2);
}

#[test]
fn a_directory_in_the_files_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("dump.rdb")).unwrap();
    let mut server = start_unready_in(dir.path(), &[]);
    assert_eq!(server.process().wait_exit(LIMIT).code(), Some(1));
    let log = server.log();
    assert!(log.contains("is a directory"), "{log}");
}

#[test]
fn a_database_that_is_not_there_is_refused() {
    let ninth = file(|writer| {
        writer.select_db(9).unwrap();
        string(writer, "a", "1", None);
    });
    let said = refusal(&ninth, &[("databases", "9")]);
    assert_said(
        &said,
        &[
            "it has database 9, and there are 9",
            "set databases to as many",
        ],
    );
}

/// What redis-server saved with a library of functions.
#[test]
fn a_library_of_functions_is_refused_by_name() {
    let redis = Server::start(Kind::Redis, &[]);
    let mut client = redis.client();
    let code = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)";
    client.call(&["function", "load", code]);
    client.ok(&["set", "a", "1"]);
    client.ok(&["save"]);
    let said = refusal(&fs::read(redis.dir().join("dump.rdb")).unwrap(), &[]);
    assert!(said.contains("'mylib'"), "{said}");
    assert!(said.contains("FUNCTION DELETE"), "{said}");
}

/// Without checksums, so that what is wrong reaches the values.
#[test]
fn a_damaged_file_is_refused_or_loaded_and_never_worse() {
    const FILES: u64 = 48;
    const THREADS: u64 = 4;
    let seed = seed();
    let redis = Server::start(Kind::Redis, &[]);
    fill(&redis, seed);
    redis.client().ok(&["save"]);
    let whole = fs::read(redis.dir().join("dump.rdb")).unwrap();
    let run = &|thread: u64| -> u64 {
        let mut random = fastrand::Rng::with_seed(seed ^ thread);
        let mut refused = 0;
        for _ in 0..FILES / THREADS {
            let mut bytes = whole.clone();
            for _ in 0..random.usize(1..20) {
                let place = random.usize(9..bytes.len());
                bytes[place] = random.u8(..);
            }
            let dir = in_dir(&bytes);
            let mut server = start_unready_in(dir.path(), &[("rdbchecksum", "no")]);
            let ended = wait_for("an end or an answer", LIMIT, || {
                let status = server.process().exit_status();
                status
                    .map(Some)
                    .or_else(|| server.answers().then_some(None))
            });
            let log = server.log();
            assert!(!log.contains("panicked"), "{log}");
            if let Some(status) = ended {
                assert_eq!(status.code(), Some(1), "{log}");
                assert!(log.contains("Loading the snapshot "), "{log}");
                refused += 1;
            }
        }
        refused
    };
    let refused: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    println!("{refused} of {FILES} were refused");
    assert!(refused > 0);
}

#[test]
fn what_redis_saved_is_loaded() {
    for policy in ["noeviction", "allkeys-lru", "allkeys-lfu"] {
        let redis = Server::start(Kind::Redis, &[("maxmemory-policy", policy)]);
        fill(&redis, seed());
        redis.client().ok(&["save"]);
        let node = start_in(redis.dir(), &[("maxmemory-policy", policy)]);
        let digest = |server: &Server| server.client().line("debug digest").text();
        assert_eq!(digest(&node), digest(&redis), "{policy}");
        if policy == "allkeys-lfu" {
            let mut client = node.client();
            let frequency = client.line("object freq often").integer();
            assert!(frequency > 5, "{frequency}");
        }
    }
}

/// Valkey's digest is of other spellings of the scores; a Redis that was filled alike has ours.
#[test]
fn what_valkey_saved_is_loaded() {
    let seed = seed();
    let valkey = Server::start(Kind::Valkey, &[]);
    fill(&valkey, seed);
    valkey.client().ok(&["save"]);
    let node = start_in(valkey.dir(), &[]);
    let redis = Server::start(Kind::Redis, &[]);
    fill(&redis, seed);
    let digest = |server: &Server| server.client().line("debug digest").text();
    assert_eq!(digest(&node), digest(&redis));
}

fn fill(server: &Server, seed: u64) {
    let mut client = server.client();
    for db in ["9", "0"] {
        client.ok(&["select", db]);
        for command in every_kind(&mut fastrand::Rng::with_seed(seed)) {
            assert_eq!(client.call(&command).error(), None);
        }
        client.line("pexpireat hash:2000 4102444800000");
    }
    client.ok(&["set", "often", "1"]);
    let reads = vec![vec!["get", "often"]; 2000];
    client.pipeline(&reads);
}

#[test]
fn a_cluster_node_keeps_the_keys_that_it_finds() {
    let node = one_node_cluster(Kind::Node, &[]);
    let mut client = node.client();
    client.ok(&["set", "a", "1"]);
    client.ok(&["save"]);
    // It forgets that the slots are its own, and finds keys in one of them.
    fs::remove_file(node.dir().join("nodes.conf")).unwrap();
    let node = node.restart();
    let log = node.log();
    assert!(
        log.contains("Keys were found in slot 15495, which is nobody's"),
        "{log}"
    );
    let slots = node.client().line("cluster slots");
    let first = &slots.items()[0];
    assert_eq!(
        (first.items()[0].integer(), first.items()[1].integer()),
        (15495, 15495)
    );
    assert_eq!(slots.items().len(), 1);
    assert_eq!(
        node.client()
            .line("cluster countkeysinslot 15495")
            .integer(),
        1
    );
}

#[test]
fn a_cluster_node_has_one_database() {
    let bytes = file(|writer| {
        writer.select_db(1).unwrap();
        string(writer, "a", "1", None);
    });
    let said = refusal(&bytes, &[("cluster-enabled", "yes")]);
    assert!(said.contains("it has keys in database 1"), "{said}");
    assert!(said.contains("cluster-enabled no"), "{said}");
}
