//! Primaries that lie, break off, say nothing, or say too much: a node keeps the data that it had,
//! says why, and tries again.
#![cfg(test)]

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use slotilla_common::rdb::{KeyInfo, ValueType, Writer};
use slotilla_tests::replication::{await_link, replicate, stop_replicating};
use slotilla_tests::{Kind, Server, Value, read_value, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A primary that a test plays. It agrees to all that comes before PSYNC.
struct Fake {
    port: u16,
    /// What each connection has asked for.
    asked: Receiver<String>,
}

impl Fake {
    /// Answers the request of each connection, by its number, with `play`.
    fn start(play: impl Fn(usize, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut input = BufReader::new(stream.try_clone().unwrap());
                let request = loop {
                    let Ok(Value::Array(words)) = read_value(&mut input) else {
                        break None;
                    };
                    let words: Vec<String> = words.iter().map(Value::text).collect();
                    let reply: &[u8] = match words[0].as_str() {
                        "PSYNC" => break Some(words.join(" ")),
                        "PING" => b"+PONG\r\n",
                        _ => b"+OK\r\n",
                    };
                    stream.write_all(reply).unwrap();
                };
                let Some(request) = request else { continue };
                if sender.send(request).is_err() {
                    return;
                }
                play(number, &mut stream);
            }
        });
        Self { port, asked }
    }

    /// What the next connection asks for.
    fn asked(&self) -> String {
        self.asked.recv_timeout(LIMIT).unwrap()
    }
}

/// Says something, to somebody who may have gone.
fn say(stream: &mut TcpStream, what: impl AsRef<[u8]>) {
    let _heard = stream.write_all(what.as_ref());
}

/// Waits until the other has closed the connection.
fn await_close(stream: &mut TcpStream) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    input.get_ref().set_read_timeout(Some(LIMIT)).unwrap();
    let _all = std::io::copy(&mut input, &mut std::io::sink());
}

/// A snapshot with what `fill` writes into it.
fn snapshot(fill: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 0);
    writer.begin().unwrap();
    fill(&mut writer);
    writer.end().unwrap();
    writer.finish().unwrap()
}

fn string(writer: &mut Writer<Vec<u8>>, key: &str) {
    let info = KeyInfo::default();
    writer.key(key.as_bytes(), ValueType::String, info).unwrap();
    writer.string(b"new").unwrap();
}

fn full(offset: i64) -> String {
    format!("+FULLRESYNC {ID} {offset}\r\n")
}

fn sized(length: usize, bytes: &[u8]) -> Vec<u8> {
    [
        full(5).into_bytes(),
        format!("${length}\r\n").into_bytes(),
        bytes.to_vec(),
    ]
    .concat()
}

fn node(load: &str) -> Server {
    let settings = [("repl-diskless-load", load), ("repl-timeout", "1")];
    let node = Server::start(Kind::Node, &settings);
    node.client().ok(&["set", "old", "1"]);
    node
}

fn assert_kept(node: &Server, what: &str) {
    // But while it is being tried anew.
    let ask = |request: &[&str]| {
        wait_for("an answer", LIMIT, || {
            let answer = node.client().call(request);
            answer.error().is_none().then_some(answer)
        })
    };
    assert_eq!(ask(&["GET", "old"]).text(), "1", "{what}");
    assert_eq!(ask(&["DBSIZE"]).integer(), 1, "{what}");
}

/// What it is, the bytes, and what the log says of them.
type Case = (&'static str, Vec<u8>, &'static str);

/// What a primary may say instead of its data.
fn no_data() -> Vec<Case> {
    let good = snapshot(|writer| (0..50).for_each(|n| string(writer, &format!("k{n}"))));
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let twice = snapshot(|writer| (0..2).for_each(|_| string(writer, "k")));
    let unknown = snapshot(|writer| {
        let info = KeyInfo::default();
        writer.key(b"s", ValueType::Stream2, info).unwrap();
    });
    let marked = |mark: &str, behind: &str| {
        let head = format!("{}$EOF:{mark}\r\n", full(5)).into_bytes();
        [head, good.clone(), behind.as_bytes().to_vec()].concat()
    };
    let m = "m".repeat(40);
    let longer = [good.clone(), vec![0; 9]].concat();
    let endless = [b"+".repeat(1 << 20), b"\r\n".to_vec()].concat();
    let half = &good[..good.len() / 2];
    #[rustfmt::skip] // One case, one line.
    let cases = vec![
        ("an error", b"-ERR no\r\n".to_vec(), "does not support PSYNC"),
        ("later", b"-LOADING x\r\n".to_vec(), "unable to PSYNC but should be"),
        ("nonsense", b"HTTP/1.1 400 Bad\r\n".to_vec(), "Unexpected reply to PSYNC"),
        ("too long a history", full(i64::MAX).into_bytes(), "wrong +FULLRESYNC syntax"),
        ("no length", format!("{}*3\r\n", full(1)).into_bytes(), "a length was expected"),
        ("a long line", endless, "a line of more than"),
        ("no snapshot", sized(20, b"xxxxxxxxxxxxxxxxxxxx"), "Failed trying to load"),
        ("a flipped bit", sized(good.len(), &flipped), "Failed trying to load"),
        ("a length too short", sized(good.len() - 9, &good), "Failed trying to load"),
        ("a length too long", sized(longer.len(), &longer), "announced"),
        ("another mark", marked(&m, &"n".repeat(40)), "mark"),
        ("a key twice", sized(twice.len(), &twice), "Failed trying to load"),
        ("a stream", sized(unknown.len(), &unknown), "delete the key on the primary"),
        ("its end", sized(good.len(), half), "connection lost"),
    ];
    cases
}

#[test]
fn whatever_comes_instead_of_the_data_what_was_there_stays() {
    for load in ["disabled", "swapdb"] {
        let node = node(load);
        for (what, bytes, said) in &no_data() {
            if *what == "a key twice" && load == "disabled" {
                // That does not show in a file, and does no harm.
                continue;
            }
            let bytes = bytes.clone();
            let ends = *what == "its end";
            let fake = Fake::start(move |_, stream| {
                say(stream, &bytes);
                if !ends {
                    await_close(stream);
                }
            });
            replicate(&node, fake.port);
            // The second time it has seen what the first has brought.
            let requests = [fake.asked(), fake.asked()];
            assert_eq!(
                requests[0], requests[1],
                "{what}: the data is the same as before"
            );
            assert_kept(&node, &format!("{load}: {what}"));
            assert!(node.log().contains(said), "{load}: {what}: {}", node.log());
            stop_replicating(&node);
        }
    }
}

#[test]
fn a_primary_that_says_nothing_is_given_up() {
    let good = snapshot(|writer| (0..50).for_each(|n| string(writer, &format!("k{n}"))));
    let half = sized(good.len(), &good[..good.len() / 2]);
    let whole = sized(good.len(), &good);
    let fake = Fake::start(move |number, stream| {
        match number {
            0 => {}
            1 => say(stream, &half),
            2 => say(stream, full(1)),
            _ => say(stream, &whole),
        }
        await_close(stream);
    });
    let node = node("disabled");
    replicate(&node, fake.port);
    for _ in 0..3 {
        let _request = fake.asked();
        assert_kept(&node, "silence");
    }
    wait_for("the data", LIMIT, || {
        let answer = node.client().call(&["GET", "k7"]);
        (answer.error().is_none() && !answer.is_null()).then_some(())
    });
    wait_for("a reason", LIMIT, || {
        node.log()
            .contains("no data nor PING received")
            .then_some(())
    });
    let log = node.log();
    assert!(
        log.contains("Timeout receiving bulk data from MASTER"),
        "{log}"
    );
    assert!(log.contains("Timeout connecting to the MASTER"), "{log}");
    let _of_the_data = fake.asked();
    assert_eq!(fake.asked(), format!("PSYNC {ID} 6"));
}

#[test]
fn a_stream_that_makes_no_sense_is_asked_for_anew_from_the_beginning() {
    let empty = snapshot(|_| ());
    let begin = [
        sized(empty.len(), &empty),
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n".to_vec(),
    ]
    .concat();
    for (garbage, said) in [
        (&b"set b 1\r\n"[..], "a command was expected"),
        (b"*x\r\n", "a command is malformed"),
        (b"*2\r\n$-5\r\n", "a command is malformed"),
        (b"*1\r\n$4\r\nNOPE\r\n", "does not have the command NOPE"),
        (b"*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n", "does not have it"),
        (
            b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\n1\r\n",
            "command xadd",
        ),
    ] {
        let all = [begin.clone(), garbage.to_vec()].concat();
        let fake = Fake::start(move |_, stream| {
            say(stream, &all);
            await_close(stream);
        });
        let node = Server::start(Kind::Node, &[]);
        replicate(&node, fake.port);
        assert!(fake.asked().starts_with("PSYNC "));
        assert_eq!(fake.asked(), "PSYNC ? -1", "{said}");
        assert!(node.log().contains(said), "{said}: {}", node.log());
        let value = wait_for("an answer", LIMIT, || {
            let answer = node.client().call(&["GET", "a"]);
            (answer.error().is_none() && !answer.is_null()).then_some(answer)
        });
        assert_eq!(value.text(), "1");
    }
}

#[test]
fn a_history_may_go_back_and_have_another_name() {
    let empty = snapshot(|_| ());
    let fake = Fake::start(move |number, stream| {
        let head = format!("${}\r\n", empty.len());
        let mut all = match number {
            0 => [full(900).as_bytes(), head.as_bytes(), &empty].concat(),
            1 => format!("+CONTINUE {OTHER}\r\n").into_bytes(),
            2 => [full(3).as_bytes(), head.as_bytes(), &empty].concat(),
            _ => {
                await_close(stream);
                return;
            }
        };
        all.extend(b"*1\r\n$4\r\nPING\r\n");
        say(stream, all);
        // Until the PING is applied.
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let expected = [914, 928, 17][number].to_string();
        while let Ok(value) = read_value(&mut input) {
            if value.items().last().map(Value::text) == Some(expected.clone()) {
                return;
            }
        }
    });
    let node = Server::start(Kind::Node, &[]);
    replicate(&node, fake.port);
    let _first = fake.asked();
    assert_eq!(fake.asked(), format!("PSYNC {ID} 915"));
    assert_eq!(fake.asked(), format!("PSYNC {OTHER} 929"));
    assert_eq!(fake.asked(), format!("PSYNC {ID} 18"));
}

#[test]
fn what_is_not_whole_is_not_applied_and_comes_again() {
    let empty = snapshot(|_| ());
    let begin = sized(empty.len(), &empty);
    let whole = b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n";
    let fake = Fake::start(move |number, stream| {
        match number {
            0 => {
                say(stream, [&begin, &whole[..whole.len() - 3]].concat());
                // What it says meanwhile must not reset the connection before it has read all.
                let _ended = stream.shutdown(std::net::Shutdown::Write);
                await_close(stream);
            }
            1 => say(stream, [b"+CONTINUE\r\n", &whole[..], &whole[..9]].concat()),
            _ => await_close(stream),
        }
        if number == 1 {
            // It says that it has applied it.
            let mut input = BufReader::new(stream.try_clone().unwrap());
            let end = (5 + whole.len()).to_string();
            while let Ok(value) = read_value(&mut input) {
                if value.items().last().map(Value::text) == Some(end.clone()) {
                    return;
                }
            }
        }
    });
    let node = Server::start(Kind::Node, &[]);
    replicate(&node, fake.port);
    let _first = fake.asked();
    assert_eq!(fake.asked(), format!("PSYNC {ID} 6"));
    assert_eq!(fake.asked(), format!("PSYNC {ID} {}", 6 + whole.len()));
    assert_eq!(node.client().call(&["GET", "a"]).text(), "1");
}

#[test]
fn a_length_takes_no_memory_by_itself() {
    let mut node = Server::start(Kind::Node, &[]);
    let before = node.process().resident_bytes();
    let huge = format!("{}$9000000000000000000\r\nREDIS0010", full(1));
    let string = [
        huge.as_bytes(),
        b"\x00\x01k\x81\x00\x00\x00\xff\x00\x00\x00\x00",
    ]
    .concat();
    let fake = Fake::start(move |_, stream| {
        say(stream, &string);
        say(stream, vec![b'x'; 1 << 20]);
    });
    replicate(&node, fake.port);
    for _ in 0..3 {
        let _request = fake.asked();
    }
    let grown = node.process().resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown}");
    let redis = Server::start(Kind::Redis, &[("repl-diskless-sync-delay", "0")]);
    replicate(&node, redis.port());
    await_link(&node);
}

/// A primary as Redis was before 2.8: it knows neither REPLCONF nor PSYNC, and takes all that a replica
/// says for commands. What each connection has said, and then what it says after the data.
fn old_primary(data: Vec<u8>, stream: Vec<u8>) -> (u16, Receiver<Vec<String>>, Receiver<Vec<u8>>) {
    use std::io::{BufRead, Read};
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, said) = channel();
    let (late, said_later) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.set_read_timeout(Some(LIMIT)).unwrap();
            let mut input = BufReader::new(connection.try_clone().unwrap());
            let mut heard = Vec::new();
            while input.fill_buf().is_ok_and(|bytes| bytes.starts_with(b"*")) {
                let Ok(Value::Array(words)) = read_value(&mut input) else {
                    break;
                };
                heard.push(words[0].text());
                let reply: &[u8] = match words[0].text().as_str() {
                    "PING" => b"+PONG\r\n",
                    _ => b"-ERR unknown command\r\n",
                };
                say(&mut connection, reply);
            }
            let mut line = String::new();
            let _length = input.read_line(&mut line);
            heard.push(line);
            say(&mut connection, format!("\n\n${}\r\n", data.len()));
            say(&mut connection, &data);
            say(&mut connection, &stream);
            if sender.send(heard).is_err() {
                return;
            }
            // Longer than a replica would wait to say how far it is.
            connection
                .set_read_timeout(Some(Duration::from_millis(2500)))
                .unwrap();
            let (mut later, mut piece) = (Vec::new(), [0; 512]);
            while let Ok(read) = input.read(&mut piece) {
                if read == 0 {
                    break;
                }
                later.extend_from_slice(&piece[..read]);
            }
            if late.send(later).is_err() {
                return;
            }
        }
    });
    (port, said, said_later)
}

#[test]
fn a_primary_that_knows_only_sync_is_followed() {
    let data = snapshot(|writer| string(writer, "k"));
    let stream = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    let (port, said, said_later) = old_primary(data, stream.to_vec());
    let node = node("disabled");
    replicate(&node, port);
    for round in 0..2 {
        let heard = said.recv_timeout(LIMIT).unwrap();
        let [.., psync, sync] = heard.as_slice() else {
            panic!("{heard:?}")
        };
        assert_eq!((psync.as_str(), sync.as_str()), ("PSYNC", "SYNC\r\n"));
        // The data, and what was done since.
        for (key, value) in [("a", "1"), ("k", "new")] {
            wait_for("the data", LIMIT, || {
                let answer = node.client().call(&["GET", key]);
                (answer.error().is_none() && !answer.is_null() && answer.text() == value)
                    .then_some(())
            });
        }
        assert!(node.client().call(&["GET", "old"]).is_null());
        if round == 0 {
            let later = said_later.recv_timeout(LIMIT).unwrap();
            // That it is there, while it loads; but no commands.
            assert!(later.iter().all(|byte| *byte == b'\n'), "{later:?}");
        }
    }
    let log = node.log();
    assert!(log.contains("does not support PSYNC"), "{log}");
    assert!(log.contains("Retrying with SYNC..."), "{log}");
}

#[test]
fn an_old_snapshot_goes_when_data_comes_if_that_is_wanted_and_nothing_is_kept() {
    let data = snapshot(|writer| string(writer, "k"));
    for (delete, load, save, is_there) in [
        ("yes", "disabled", "", false),
        ("no", "disabled", "", true),
        ("yes", "disabled", "3600 1", true),
        ("yes", "swapdb", "", true),
    ] {
        let data = data.clone();
        let fake = Fake::start(move |_, stream| {
            say(stream, sized(data.len(), &data));
            await_close(stream);
        });
        let node = node(load);
        let admin = &mut node.client();
        admin.ok(&["CONFIG", "SET", "rdb-del-sync-files", delete]);
        admin.ok(&["CONFIG", "SET", "save", save]);
        admin.ok(&["SAVE"]);
        let file = node.dir().join("dump.rdb");
        assert!(file.exists());
        replicate(&node, fake.port);
        await_link(&node);
        assert_eq!(file.exists(), is_there, "{delete} {load} {save}");
    }
}
