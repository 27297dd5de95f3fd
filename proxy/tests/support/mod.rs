//! Nodes that answer what a test tells them to, a proxy in front, a plain client.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slotilla_common::clock::Monotonic;
use slotilla_common::resp::{Value, decode, encode_command};
use slotilla_proxy::config::Config;
use slotilla_proxy::server::Server;
use slotilla_proxy::slotmap::Address;

/// What a node does with a request.
pub(crate) enum Act {
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Says nothing, and goes on.
    Ignore,
    /// Closes the connection.
    Hang,
}

/// A reply.
pub(crate) fn say(reply: impl AsRef<[u8]>) -> Act {
    Act::Say(reply.as_ref().to_vec())
}

pub(crate) type Words = Vec<String>;
type Handler = Box<dyn FnMut(usize, &Words) -> Act + Send>;

/// A node that a test plays.
pub(crate) struct FakeNode {
    pub(crate) port: u16,
    state: Arc<NodeState>,
}

struct NodeState {
    handler: Mutex<Handler>,
    /// (connection, words) of each request but CLUSTER SLOTS and NODES.
    seen: Mutex<Vec<(usize, Words)>>,
    looks: Mutex<usize>,
    map: Arc<Mutex<Vec<(u16, u16, u16)>>>,
    /// What CLUSTER NODES tells of slots on the move.
    open: Mutex<String>,
    connections: Mutex<HashMap<usize, TcpStream>>,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl FakeNode {
    /// Starts on `port` (0: any), answering CLUSTER SLOTS by the map of `fakes`.
    pub(crate) fn start_on(
        port: u16,
        map: Arc<Mutex<Vec<(u16, u16, u16)>>>,
        handler: impl FnMut(usize, &Words) -> Act + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(NodeState {
            handler: Mutex::new(Box::new(handler)),
            seen: Mutex::default(),
            looks: Mutex::default(),
            map,
            open: Mutex::default(),
            connections: Mutex::default(),
        });
        let its = Arc::clone(&state);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let its = Arc::clone(&its);
                its.connections
                    .lock()
                    .unwrap()
                    .insert(number, stream.try_clone().unwrap());
                std::thread::spawn(move || its.serve(number, stream));
            }
        });
        Self { port, state }
    }

    /// Changes how it answers.
    pub(crate) fn answer(&self, handler: impl FnMut(usize, &Words) -> Act + Send + 'static) {
        *self.state.handler.lock().unwrap() = Box::new(handler);
    }

    /// Has it tell of slots on the move, as in ` [93-<-id]`.
    pub(crate) fn opens(&self, slots: &str) {
        *self.state.open.lock().unwrap() = slots.to_owned();
    }

    /// The requests so far, as lines.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.state.seen.lock().unwrap();
        seen.iter().map(|(_, words)| words.join(" ")).collect()
    }

    /// How often it was asked for the map.
    pub(crate) fn looks(&self) -> usize {
        *self.state.looks.lock().unwrap()
    }

    /// Sends bytes on every connection that had a request.
    pub(crate) fn shout(&self, bytes: &[u8]) {
        let with_requests: Vec<usize> = {
            let seen = self.state.seen.lock().unwrap();
            seen.iter().map(|(connection, _)| *connection).collect()
        };
        for (number, stream) in self.state.connections.lock().unwrap().iter_mut() {
            if with_requests.contains(number) {
                stream.write_all(bytes).unwrap();
            }
        }
    }
}

impl NodeState {
    fn serve(&self, number: usize, mut stream: TcpStream) {
        let mut input = Vec::new();
        let mut chunk = vec![0; 65_536];
        loop {
            while let Ok(Some((value, consumed))) = decode(&input) {
                input.drain(..consumed);
                let words: Words = value
                    .as_elements()
                    .unwrap()
                    .iter()
                    .map(|word| String::from_utf8_lossy(word.as_bytes().unwrap()).into_owned())
                    .collect();
                if words.join(" ").eq_ignore_ascii_case("cluster slots") {
                    *self.looks.lock().unwrap() += 1;
                    if stream.write_all(&self.slots()).is_err() {
                        return;
                    }
                    continue;
                }
                if words.join(" ").eq_ignore_ascii_case("cluster nodes") {
                    if stream.write_all(&self.nodes(&stream)).is_err() {
                        return;
                    }
                    continue;
                }
                self.seen.lock().unwrap().push((number, words.clone()));
                let act = (self.handler.lock().unwrap())(number, &words);
                match act {
                    Act::Say(bytes) => {
                        if stream.write_all(&bytes).is_err() {
                            return;
                        }
                    }
                    Act::Ignore => {}
                    Act::Hang => {
                        let _ = stream.shutdown(Shutdown::Both);
                        return;
                    }
                }
            }
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(count) => input.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// CLUSTER NODES: its own line, which is all that anybody asks for.
    fn nodes(&self, stream: &TcpStream) -> Vec<u8> {
        let port = stream.local_addr().unwrap().port();
        let map = self.map.lock().unwrap();
        let own = map.iter().filter(|(_, _, owner)| *owner == port);
        let mut line = format!("x 127.0.0.1:{port}@1 myself,master - 0 0 1 connected");
        for (first, last, _) in own {
            line += &format!(" {first}-{last}");
        }
        line += &self.open.lock().unwrap();
        format!("${}\r\n{line}\n\r\n", line.len() + 1).into_bytes()
    }

    fn slots(&self) -> Vec<u8> {
        let map = self.map.lock().unwrap();
        let mut reply = format!("*{}\r\n", map.len());
        for (first, last, port) in map.iter() {
            reply += &format!("*3\r\n:{first}\r\n:{last}\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}\r\n");
        }
        reply.into_bytes()
    }
}

/// Some nodes, the map that they all tell, and a proxy.
pub(crate) struct Setup {
    pub(crate) nodes: Vec<FakeNode>,
    pub(crate) map: Arc<Mutex<Vec<(u16, u16, u16)>>>,
    pub(crate) proxy: Server,
}

/// Settings that keep tests short.
pub(crate) fn quick() -> Config {
    Config {
        port: 0,
        bind: vec!["127.0.0.1".into()],
        io_threads: 1,
        refresh_interval_min: Duration::from_millis(20),
        request_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_millis(500),
        shutdown_timeout: Duration::from_millis(100),
        ..Config::default()
    }
}

impl Setup {
    /// `count` nodes that share the slots evenly and answer +OK.
    pub(crate) fn new(count: usize, config: Config) -> Self {
        let map = Arc::new(Mutex::new(Vec::new()));
        let nodes: Vec<FakeNode> = (0..count)
            .map(|_| FakeNode::start_on(0, Arc::clone(&map), |_, _| say("+OK\r\n")))
            .collect();
        let share = 16_384 / count;
        for (place, node) in nodes.iter().enumerate() {
            let first = place * share;
            let last = if place + 1 == count {
                16_383
            } else {
                first + share - 1
            };
            let range = (
                u16::try_from(first).unwrap(),
                u16::try_from(last).unwrap(),
                node.port,
            );
            map.lock().unwrap().push(range);
        }
        let proxy = start_proxy(config, &[nodes[0].port]);
        wait_for("a whole map", || proxy.shared().map.load().is_complete());
        Self { nodes, map, proxy }
    }

    /// A new connection to the proxy.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.proxy)
    }

    /// All nodes now say that `port` owns everything.
    pub(crate) fn all_to(&self, port: u16) {
        *self.map.lock().unwrap() = vec![(0, 16_383, port)];
    }
}

/// A proxy with these seeds.
pub(crate) fn start_proxy(config: Config, seeds: &[u16]) -> Server {
    let seeds = seeds
        .iter()
        .map(|port| Address {
            host: "127.0.0.1".into(),
            port: *port,
        })
        .collect();
    Server::start(Config { seeds, ..config }).unwrap()
}

/// Looks until the condition holds; a test fails if it does not in time.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = Monotonic::new();
    let start = clock.now();
    while !condition() {
        let waited = clock.nanos_between(start, clock.now());
        assert!(waited < 10_000_000_000, "waited 10 s for {what}");
        std::thread::yield_now();
    }
}

/// A client that knows RESP and nothing of clusters.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(proxy: &Server) -> Self {
        let stream = TcpStream::connect(proxy.addresses()[0]).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            stream,
            input: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, line: &str) {
        self.send_all(&[line]);
    }

    /// Sends all lines at once.
    pub(crate) fn send_all<S: AsRef<str>>(&mut self, lines: &[S]) {
        let mut requests = Vec::new();
        for line in lines {
            let words: Vec<&[u8]> = line.as_ref().split(' ').map(str::as_bytes).collect();
            encode_command(&mut requests, &words);
        }
        self.send_bytes(&requests);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn stream(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// The next reply; `None` at the end of the stream.
    pub(crate) fn try_receive(&mut self) -> Option<Value> {
        let mut chunk = vec![0; 65_536];
        loop {
            if let Some((value, consumed)) = decode(&self.input).unwrap() {
                self.input.drain(..consumed);
                return Some(value);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// The next reply, if it comes soon.
    pub(crate) fn receive_within(&mut self, time: Duration) -> Option<Value> {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let is_there = !self.input.is_empty() || self.stream.peek(&mut byte).is_ok();
        let patience = Some(Duration::from_secs(20));
        self.stream.set_read_timeout(patience).unwrap();
        is_there.then(|| self.receive())
    }

    pub(crate) fn receive(&mut self) -> Value {
        self.try_receive().expect("the proxy closed the connection")
    }

    pub(crate) fn call(&mut self, line: &str) -> Value {
        self.send(line);
        self.receive()
    }
}

/// A value as a short text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Simple(text) | Value::Bulk(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Value::Integer(number) => number.to_string(),
        Value::Null => "nil".to_owned(),
        Value::Array(values) | Value::Set(values) => {
            let texts: Vec<String> = values.iter().map(text_of).collect();
            format!("[{}]", texts.join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn text_of(value: &Value) -> String {
    text(value)
}
