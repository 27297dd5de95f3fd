//! Bytes that no client should send: the answer is the one that a real redis-server gives, and
//! nobody else notices.
#![cfg(test)]

use std::net::TcpStream;
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::{Client, Cluster, Kind, Server, Value, wait_for, wait_until};

/// Whatever the server sends until it has closed the connection, which it does at the latest
/// after this side has said that nothing more comes.
fn answer(port: u16, input: &[u8]) -> String {
    let mut client = Client::connect(port);
    client.set_reply_limit(Duration::from_secs(10));
    // A server may hang up before it has read all of a bad request.
    let _ = client.try_send(input);
    let _ = client.socket().shutdown(std::net::Shutdown::Write);
    String::from_utf8_lossy(&client.read_to_close()).into_owned()
}

/// Sends each input to both, and shows all answers that differ.
fn same_answers(redis: &Server, ours: &Server, inputs: &[Vec<u8>]) {
    let mut faults = Vec::new();
    for input in inputs {
        let (expected, got) = (answer(redis.port(), input), answer(ours.port(), input));
        if expected != got {
            let shown: String = String::from_utf8_lossy(input).chars().take(200).collect();
            faults.push(format!(
                "{shown:?}\n    redis: {expected:?}\n    ours:  {got:?}"
            ));
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {} differ:\n{}",
        faults.len(),
        inputs.len(),
        faults.join("\n")
    );
}

fn broken_frames() -> Vec<Vec<u8>> {
    let long = |head: &str, byte: &str| format!("{head}{}", byte.repeat(70_000)).into_bytes();
    let mut frames: Vec<Vec<u8>> = [
        "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfoo\r\n",
        "*-10\r\nPING\r\n",
        "*-1\r\n*0\r\nPING\r\n",
        "*3000000000\r\n",
        "*1048577\r\n",
        "*99999999999999999999\r\n",
        "*x\r\n",
        "*\r\n",
        "*+1\r\n$4\r\nPING\r\n",
        "*01\r\n$4\r\nPING\r\n",
        "*1\r\n$04\r\nPING\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$\r\n",
        "*1\r\n:4\r\nPING\r\n",
        "*1\r\n*1\r\n$4\r\nPING\r\n",
        "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
        "*2\r\n$4\r\nPING\r\n",
        "*1\n$4\nPING\n",
        "PING\n",
        "PING\r\nPING\r\n",
        "\r\n\r\n\n\nPING\r\n",
        "ping \"quoted text\"\r\n",
        "SET x \"open\r\n",
        "SET x 'open\r\n",
        "PING \"a\"b\r\n",
        "GET \"\\x41\\n\"\r\n",
        "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
        "+OK\r\n",
        "$4\r\nPING\r\n",
        ">1\r\n+x\r\n",
        "\0\0\0\0\r\n",
        "*1\r\n$0\r\n\r\n",
        "*2\r\n$0\r\n\r\n$1\r\nx\r\n",
        "NOSUCH\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nPING\r\n",
        "Host: localhost\r\nPING\r\n",
        "*1\r\n$4\r\npost\r\n",
        "*1\r\n$5\r\nhOST:\r\n",
        "PING\r\nPOST\r\nPING\r\n",
        "POSTS\r\nHost\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "*2\r\n$6\r\nNO\r\nSU\r\n$3\r\na\r\n\r\n",
        // What is not to be heard: errors of the protocol too, and an empty request counts.
        "CLIENT REPLY OFF\r\n*1\r\n$-5\r\n",
        "CLIENT REPLY SKIP\r\n*1\r\n$-5\r\n",
        "CLIENT REPLY SKIP\r\nPING\r\n*1\r\n$-5\r\n",
        "CLIENT REPLY SKIP\r\n\r\nPING a\r\nPING b\r\n",
        "CLIENT REPLY SKIP\r\n*0\r\nPING a\r\nPING b\r\n",
        "CLIENT REPLY SKIP\r\n*-1\r\nPING a\r\nPING b\r\n",
        "CLIENT REPLY SKIP\r\nRESET\r\nPING\r\n",
        "CLIENT REPLY OFF\r\nRESET\r\nPING\r\n",
        "CLIENT REPLY SKIP\r\nQUIT\r\nPING\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    frames.push(long("", "a"));
    frames.push(long("*", "1"));
    frames.push(long("*1\r\n$", "1"));
    frames.push(long("GET ", "k "));
    frames.push("*1\r\n".repeat(10_000).into_bytes());
    frames
}

/// One good pipeline, ended after each of its bytes.
fn truncated_requests() -> Vec<Vec<u8>> {
    let good =
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n";
    (0..=good.len()).map(|end| good[..end].to_vec()).collect()
}

/// Random bytes, half of them such as the protocol is made of.
fn rubbish(count: usize) -> Vec<Vec<u8>> {
    let mut random = Rng::with_seed(42);
    let alphabet = b"*$:+-\r\n\r\n0123456789 \"'PINGet\\x";
    let mut one = |_| {
        let len = random.usize(1..400);
        let byte = |random: &mut Rng| {
            if random.bool() {
                alphabet[random.usize(..alphabet.len())]
            } else {
                random.u8(..)
            }
        };
        (0..len).map(|_| byte(&mut random)).collect()
    };
    (0..count).map(&mut one).collect()
}

#[test]
fn a_node_answers_broken_frames_as_redis_does() {
    let (redis, node) = (
        Server::start(Kind::Redis, &[]),
        Server::start(Kind::Node, &[]),
    );
    same_answers(&redis, &node, &broken_frames());
    same_answers(&redis, &node, &truncated_requests());
    same_answers(&redis, &node, &rubbish(300));
    assert_eq!(node.client().line("PING").text(), "PONG");
}

#[test]
fn a_proxy_answers_broken_frames_as_redis_does() {
    let cluster = Cluster::start(Kind::Redis, 3);
    let (redis, proxy) = (Server::start(Kind::Redis, &[]), cluster.proxy(&[]));
    same_answers(&redis, &proxy, &broken_frames());
    same_answers(&redis, &proxy, &truncated_requests());
    same_answers(&redis, &proxy, &rubbish(300));
    assert_eq!(proxy.client().line("PING").text(), "PONG");
}

/// What comes after the POST does not run; the log tells of the first only.
fn a_post_ends_the_connection(server: &Server, may_be: &[Value]) {
    for key in ["a", "b", "c"] {
        let input = format!("SET {key} 1\r\nPOST / HTTP/1.1\r\nSET {key} 2\r\n");
        assert_eq!(answer(server.port(), input.as_bytes()), "");
        let value = server.client().call(&["GET", key]);
        assert!(may_be.contains(&value), "{value:?}");
    }
    let log = server.log();
    let told = log.matches("ossible security attack").count();
    assert_eq!(told, 1, "{log}");
}

#[test]
fn a_post_ends_a_nodes_connection() {
    let ran = [Value::Bulk(b"1".into())];
    a_post_ends_the_connection(&Server::start(Kind::Node, &[]), &ran);
}

/// A proxy hangs up without waiting for what it has sent to a node, and drops what it has not.
#[test]
fn a_post_ends_a_proxys_connection() {
    let cluster = Cluster::start(Kind::Node, 3);
    let ran_or_not = [Value::Bulk(b"1".into()), Value::NullBulk];
    a_post_ends_the_connection(&cluster.proxy(&[]), &ran_or_not);
}

/// Closes with a reset instead of a goodbye.
fn reset(stream: &TcpStream) {
    let linger = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    linger.expect("set SO_LINGER");
}

/// Connections end in every rude way at once, while one client goes on; afterwards the server
/// has as many descriptors open as before.
fn rude_ends_leave_nothing_behind(server: &mut Server) {
    let mut steady = server.client();
    steady.ok(&["SET", "steady", "0"]);
    let before = server.process().open_files();
    for round in 0..20 {
        let clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
        for (number, mut client) in clients.into_iter().enumerate() {
            let halves: [&[u8]; 5] = [
                b"",
                b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$100000\r\nabc",
                b"GET stea",
                b"*2\r\n$3\r\nGET\r\n$6\r\nsteady\r\n",
                b"*1\r\n$-5\r\n",
            ];
            let _ = client.try_send(halves[number % halves.len()]);
            match number % 3 {
                0 => reset(client.socket()),
                1 => client.close_write(),
                _ => {}
            }
        }
        steady.ok(&["SET", "steady", &round.to_string()]);
        assert_eq!(steady.call(&["GET", "steady"]).text(), round.to_string());
    }
    // A server may open a file or two of its own meanwhile; a thousand connections have come.
    wait_until("all connections to be closed", || {
        server.process().open_files() <= before + 8
    });
}

#[test]
fn rude_clients_of_a_node_leave_nothing_behind() {
    rude_ends_leave_nothing_behind(&mut Server::start(Kind::Node, &[]));
}

#[test]
fn rude_clients_of_a_proxy_leave_nothing_behind() {
    let cluster = Cluster::start(Kind::Redis, 3);
    let mut proxy = cluster.proxy(&[]);
    rude_ends_leave_nothing_behind(&mut proxy);
}

/// Ten thousand that come when all places are taken are told so, and those that sit stay.
fn a_full_house_turns_the_rest_away(server: &Server) {
    const PLACES: usize = 50;
    // The connection that waited for the start may take a moment to leave.
    let seat = || {
        let mut client = server.client();
        let reply = client.try_call(&["PING"]).ok()?;
        reply.error().is_none().then_some(client)
    };
    let mut seated: Vec<Client> = (0..PLACES)
        .map(|_| wait_for("a place", Duration::from_secs(10), seat))
        .collect();
    for number in 0..10_000 {
        let mut late = server.client();
        let told = late.read_to_close();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(
            told, "-ERR max number of clients reached\r\n",
            "client {number}"
        );
    }
    for client in &mut seated {
        assert_eq!(client.line("PING"), Value::Simple("PONG".into()));
    }
    seated.pop();
    wait_until("a free place to be given", || {
        let mut client = server.client();
        client
            .try_call(&["PING"])
            .is_ok_and(|reply| reply.error().is_none())
    });
}

/// As many places as the test takes; the connection that waited for the start has left.
const FULL_HOUSE: [(&str, &str); 1] = [("maxclients", "50")];

#[test]
fn a_full_node_turns_clients_away() {
    let node = Server::start(Kind::Node, &FULL_HOUSE);
    a_full_house_turns_the_rest_away(&node);
}

#[test]
fn a_full_proxy_turns_clients_away() {
    let cluster = Cluster::start(Kind::Redis, 3);
    a_full_house_turns_the_rest_away(&cluster.proxy(&FULL_HOUSE));
}

#[test]
fn redis_itself_turns_clients_away_like_that() {
    a_full_house_turns_the_rest_away(&Server::start(Kind::Redis, &FULL_HOUSE));
}
