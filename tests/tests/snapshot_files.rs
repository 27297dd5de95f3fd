//! Snapshots of other servers, read value by value and written again by what this node reads and
//! writes them with: a real redis-server 7.0.15 takes the new file for the old one.
#![cfg(test)]

use std::fs::{self, File};
use std::path::Path;

use fastrand::Rng;
use slotilla_common::rdb::{Item, KeyInfo, Reader, Writer};
use slotilla_node::rdb::{Limits, Loader, SaveOptions, Saving, value_type};
use slotilla_node::store::{Entry, NodeLimit, PackedLimits};
use slotilla_tests::differential::seed;
use slotilla_tests::values::{every_kind, words};
use slotilla_tests::{Client, Kind, Server, binaries, run_tool};

/// The limits of redis-server's own configuration.
fn limits() -> Limits {
    let packed = |entries| PackedLimits { entries, bytes: 64 };
    Limits {
        hash: packed(512),
        sorted_set: packed(128),
        ints_max: 512,
        list: NodeLimit::from_config(-2, 1 << 30),
    }
}

/// What was copied.
#[derive(Debug, Default)]
struct Tally {
    keys: usize,
    steps: usize,
    infos: Vec<KeyInfo>,
}

/// Reads one file and writes another with the same data, compressing strings up to so many bytes.
fn copy(from: &Path, to: &Path, compressed_max: usize) -> Tally {
    let file = File::open(from).unwrap();
    let len = file.metadata().unwrap().len();
    let mut reader = Reader::new(file, Some(len));
    let mut writer = Writer::new(File::create(to).unwrap(), compressed_max);
    let mut loader = Loader::new(limits());
    let mut tally = Tally::default();
    let version = reader.begin().unwrap();
    writer.begin().unwrap();
    writer.aux(b"redis-ver", b"7.0.15").unwrap();
    loop {
        match reader.item(version).unwrap() {
            Item::SelectDb(number) => writer.select_db(number).unwrap(),
            Item::ResizeDb { keys, expires } => writer.resize_db(keys, expires).unwrap(),
            Item::Key {
                key,
                value_type: from,
                info,
            } => {
                let value = loader.value(from, &mut reader);
                let value = value.unwrap_or_else(|error| panic!("{}", error.of_key(&key)));
                let entry = Entry::new(&key, value, info.expiry_ms, 0);
                writer.key(&key, value_type(entry.value()), info).unwrap();
                let mut saving = Saving::new(SaveOptions::default());
                tally.steps += 1;
                while saving.step(entry.value(), &mut writer).unwrap() {
                    tally.steps += 1;
                }
                tally.keys += 1;
                tally.infos.push(info);
            }
            Item::End => break,
            Item::Aux { .. } | Item::SlotInfo { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    writer.end().unwrap();
    assert_eq!(writer.written(), fs::metadata(to).unwrap().len());
    assert_eq!(reader.left(), Some(0));
    tally
}

fn fill(client: &mut Client, seed: u64) {
    for db in ["0", "9"] {
        client.ok(&["select", db]);
        for command in every_kind(&mut Rng::with_seed(seed)) {
            assert_eq!(client.call(&command).error(), None);
        }
    }
    for part in 0..20 {
        let names = (0..2000).map(|n| format!("a member of a big set: {part} {n}"));
        let mut command = words("sadd big:set");
        command.extend(names.clone().map(String::into_bytes));
        client.call(&command);
        let mut command = words("zadd big:zset");
        for (n, name) in names.enumerate() {
            command.extend([(n / 3).to_string().into_bytes(), name.into_bytes()]);
        }
        client.call(&command);
    }
    client.ok(&["set", "big:string", &"0123456789".repeat(200_000)]);
    client.line("pexpireat big:string 4102444800000");
    client.line("pexpireat big:set 4102444800001");
}

/// What `redis-server` 7.0.15 makes of a file: the digest of all that it loads.
fn digest_of(file: &Path) -> String {
    let mut check = std::process::Command::new(binaries::system("redis-check-rdb"));
    let checked = run_tool(check.arg(file));
    assert!(checked.success, "{}{}", checked.out, checked.err);
    let dir = file.parent().unwrap().to_string_lossy();
    let name = file.file_name().unwrap().to_string_lossy();
    let server = Server::start(Kind::Redis, &[("dir", &dir), ("dbfilename", &name)]);
    server.client().line("debug digest").text()
}

/// Fills a server, has it save, and copies the file.
fn saved_and_copied(kind: Kind, policy: &str, seed: u64) -> (Server, Vec<Tally>) {
    let server = Server::start(kind, &[("maxmemory-policy", policy)]);
    let mut client = server.client();
    fill(&mut client, seed);
    client.ok(&["save"]);
    let from = server.dir().join("dump.rdb");
    let copies = [0, 64 * 1024, usize::MAX].map(|compressed_max| {
        let to = server.dir().join(format!("copy-{compressed_max}.rdb"));
        let tally = copy(&from, &to, compressed_max);
        let again = server.dir().join(format!("again-{compressed_max}.rdb"));
        copy(&to, &again, compressed_max);
        tally
    });
    (server, copies.into())
}

fn copies(server: &Server) -> Vec<String> {
    let names = fs::read_dir(server.dir()).unwrap().flatten();
    let names = names.map(|file| file.file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("copy") || name.starts_with("again"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_of_redis_is_read_and_written_back() {
    let (server, tallies) = saved_and_copied(Kind::Redis, "allkeys-lfu", seed());
    let keys: i64 = ["0", "9"]
        .iter()
        .map(|db| {
            let mut client = server.client();
            client.ok(&["select", db]);
            client.line("dbsize").integer()
        })
        .sum();
    let expected = server.client().line("debug digest").text();
    for tally in &tallies {
        assert_eq!(tally.keys as i64, keys);
        let more = tally.steps - tally.keys;
        assert!(more > 30, "big values take only {more} steps more");
        let expiring = tally.infos.iter().filter(|info| info.expiry_ms.is_some());
        assert_eq!(expiring.count(), 2);
        assert!(tally.infos.iter().all(|info| info.frequency.is_some()));
    }
    for name in copies(&server) {
        assert_eq!(digest_of(&server.dir().join(&name)), expected, "{name}");
    }
}

#[test]
fn a_file_of_valkey_becomes_one_of_redis() {
    let seed = seed();
    let (server, tallies) = saved_and_copied(Kind::Valkey, "allkeys-lru", seed);
    assert!(
        tallies[0]
            .infos
            .iter()
            .all(|info| info.idle_seconds.is_some())
    );
    let digests: Vec<String> = copies(&server)
        .iter()
        .map(|name| digest_of(&server.dir().join(name)))
        .collect();
    // Valkey's own digest is of other spellings of the scores.
    let theirs = Server::start(Kind::Redis, &[]);
    fill(&mut theirs.client(), seed);
    let expected = theirs.client().line("debug digest").text();
    assert_eq!(digests, vec![expected; 6]);
}
