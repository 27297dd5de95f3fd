//! A blocking client of one connection, for tests that want to see every byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::value::{Value, read_value};

/// How long a reply may take before a test calls it missing. What waits for the disk (CLUSTER
/// commands do, for nodes.conf) has taken twenty seconds on machines that wrote gigabytes beside.
const REPLY_LIMIT: Duration = Duration::from_secs(60);

/// One connection. Every method panics if the server does not answer.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port on loopback.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|error| panic!("connect to port {port}: {error}"))
    }

    /// Connects to a port on loopback, if something listens there.
    ///
    /// # Errors
    /// What the system says of the connection.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::new(stream),
        })
    }

    /// Sends one command and reads its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        let shown = || {
            let args: Vec<_> = args
                .iter()
                .map(|arg| String::from_utf8_lossy(arg.as_ref()))
                .collect();
            args.join(" ")
        };
        self.try_call(args)
            .unwrap_or_else(|error| panic!("{}: {error}", shown()))
    }

    /// Sends one command and reads its reply, or says why there is none.
    ///
    /// # Errors
    /// When the connection breaks, times out, or carries no RESP.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Value> {
        let mut request = Vec::new();
        encode(&mut request, args);
        self.reader.get_mut().write_all(&request)?;
        read_value(&mut self.reader)
    }

    /// Sends one command, given as words between spaces, and reads its reply.
    pub fn line(&mut self, line: &str) -> Value {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.call(&words)
    }

    /// Sends one command that must answer OK.
    pub fn ok<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let reply = self.call(args);
        assert_eq!(reply, Value::Simple("OK".into()));
    }

    /// Iterates with SCAN and these options to the end, and gives every key as often as it was
    /// told. A cursor has to fit into a double, as many clients keep it in one.
    pub fn scan(&mut self, options: &[&str]) -> Vec<String> {
        const CALLS_MAX: usize = 10_000;
        let mut cursor = "0".to_owned();
        let mut found = Vec::new();
        for _ in 0..CALLS_MAX {
            let reply = self.call(&[&["SCAN", cursor.as_str()], options].concat());
            let [next, keys] = reply.items() else {
                panic!("SCAN {cursor}: {reply}");
            };
            found.extend(keys.items().iter().map(Value::text));
            cursor = next.text();
            match cursor.parse::<u64>() {
                Ok(0) => return found,
                Ok(number) => assert!(number < 1 << 53, "SCAN gave the cursor {number}"),
                Err(error) => panic!("SCAN gave the cursor {cursor}: {error}"),
            }
        }
        panic!("SCAN did not end in {CALLS_MAX} calls");
    }

    /// Sends all commands in one write, then reads as many replies.
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, commands: &[Vec<A>]) -> Vec<Value> {
        let mut request = Vec::new();
        for args in commands {
            encode(&mut request, args);
        }
        self.send(&request);
        commands.iter().map(|_| self.read()).collect()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes)
            .unwrap_or_else(|error| panic!("send {} bytes: {error}", bytes.len()));
    }

    /// Sends bytes as they are, to a server that may have hung up.
    ///
    /// # Errors
    /// What the system says of the connection.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads one reply.
    pub fn read(&mut self) -> Value {
        read_value(&mut self.reader).unwrap_or_else(|error| panic!("read a reply: {error}"))
    }

    /// Reads one reply, or says why there is none.
    ///
    /// # Errors
    /// When the connection breaks, times out, or carries no RESP.
    pub fn try_read(&mut self) -> io::Result<Value> {
        read_value(&mut self.reader)
    }

    /// Reads one line without its end.
    pub fn read_text_line(&mut self) -> String {
        let mut line = String::new();
        self.reader
            .read_line(&mut line)
            .unwrap_or_else(|error| panic!("read a line: {error}"));
        line.trim_end().to_owned()
    }

    /// Reads so many bytes, whatever they are.
    ///
    /// # Panics
    /// If they do not come.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("read {count} bytes: {error}"));
        bytes
    }

    /// Reads until the server closes the connection, and gives what came before that.
    /// A reset counts as closing.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Ok(_) => bytes,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => bytes,
            Err(error) => panic!("the server did not close the connection: {error}"),
        }
    }

    /// Ends this side's half of the connection.
    pub fn close_write(&mut self) {
        self.reader
            .get_ref()
            .shutdown(Shutdown::Write)
            .unwrap_or_else(|error| panic!("shut down the write half: {error}"));
    }

    /// Changes how long a reply may take.
    pub fn set_reply_limit(&mut self, limit: Duration) {
        self.reader
            .get_ref()
            .set_read_timeout(Some(limit))
            .unwrap_or_else(|error| panic!("set a read timeout: {error}"));
    }

    /// The socket, for tests that set its options.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

/// Appends a command as RESP arrays of strings.
pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
