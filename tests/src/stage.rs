//! Scripts of several connections, some of which wait, played beside a real redis-server: each
//! connection must get the same, in the same order.
//!
//! Each line is of one connection, which a letter names:
//!
//! - `a: COMMAND` sends it, and reads the reply;
//! - `a! COMMAND` sends it, and waits until the client is blocked;
//! - `a> COMMAND` sends it, and goes on;
//! - `a?` reads a reply, or a message;
//! - `a*` reads all messages that have come;
//! - `a-` looks at the client's flags in CLIENT LIST: `b` if it is blocked;
//! - `a.` waits until the connection is closed.
//!
//! `@a` stands for a connection's id; `;` stands between commands that are sent at once. All keys
//! are gone when a script begins.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Client, Server, Value, encode, wait_for};

/// One server and the connections of a script to it.
struct Stage<'s> {
    server: &'s Server,
    control: Client,
    protocol: &'s str,
    clients: BTreeMap<String, (Client, String)>,
}

impl<'s> Stage<'s> {
    fn new(server: &'s Server, protocol: &'s str) -> Self {
        let mut control = server.client();
        control.ok(&["flushall"]);
        Self {
            server,
            control,
            protocol,
            clients: BTreeMap::new(),
        }
    }

    fn enter(&mut self, name: &str) {
        if !self.clients.contains_key(name) {
            let mut client = self.server.client();
            assert_eq!(client.call(&["hello", self.protocol]).error(), None);
            let id = client.call(&["client", "id"]).to_string();
            self.clients.insert(name.to_owned(), (client, id));
        }
    }

    /// Its field of CLIENT LIST; empty if it has gone.
    fn flags(&mut self, name: &str) -> String {
        let id = &self.clients[name].1;
        let line = self.control.call(&["client", "list", "id", id]).text();
        let flags = line.split_whitespace().find(|f| f.starts_with("flags="));
        flags.unwrap_or_default().to_owned()
    }

    /// Plays one line; what is to be compared.
    fn play(&mut self, line: &str) -> String {
        let (name, rest) = line.split_at(1);
        self.enter(name);
        let (sign, command) = rest.split_at(1);
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        for word in &mut words {
            if let Some(of) = word.strip_prefix('@') {
                let of = of.to_owned();
                self.enter(&of);
                word.clone_from(&self.clients[&of].1);
            }
        }
        let client = &mut self.clients.get_mut(name).unwrap().0;
        if matches!(sign, ":" | "!" | ">") {
            let mut request = Vec::new();
            for words in words.split(|word| word == ";") {
                encode(&mut request, words);
            }
            client.send(&request);
        }
        match sign {
            ":" | "?" => format!("{:?}", client.read()),
            "!" => wait_for(line, Duration::from_secs(10), || {
                self.flags(name).contains('b').then_some(String::new())
            }),
            ">" => String::new(),
            "*" => format!("{:?}", messages(client)),
            "-" => self.flags(name),
            "." => format!("{:?}", client.read_to_close()),
            other => panic!("{other:?} in {line:?}"),
        }
    }
}

/// All that comes before the answer to a PING.
fn messages(client: &mut Client) -> Vec<Value> {
    const END: &str = "all messages";
    let mut request = Vec::new();
    encode(&mut request, &["ping", END]);
    client.send(&request);
    let end = Value::Bulk(END.into());
    let mut messages = Vec::new();
    loop {
        let value = client.read();
        let is_end = match &value {
            Value::Array(pong) => pong.last() == Some(&end),
            other => *other == end,
        };
        if is_end {
            return messages;
        }
        messages.push(value);
    }
}

/// Plays scripts on both servers, in each of these protocols.
pub fn compare(theirs: &Server, ours: &Server, protocols: &[&str], scripts: &[&str]) {
    for protocol in protocols {
        for script in scripts {
            let (mut theirs, mut ours) = (Stage::new(theirs, protocol), Stage::new(ours, protocol));
            let mut played = String::new();
            for line in script.lines().map(str::trim) {
                // Replies to CLIENT REPLY do not come, so there is nothing to read.
                if line.contains("client reply off") {
                    let line = line.replacen(':', ">", 1);
                    theirs.play(&line);
                    ours.play(&line);
                    continue;
                }
                played.push_str(line);
                played.push('\n');
                let (their, our) = (theirs.play(line), ours.play(line));
                assert_eq!(
                    our, their,
                    "ours and theirs, RESP{protocol}, after\n{played}"
                );
            }
        }
    }
}
