//! The floor: a server that receives requests and answers `+OK` to each, and does nothing else.
//!
//! What it costs is what sockets cost, so no server that stores anything can cost less. It
//! runs on the runtime that the storage node uses, on one thread or on more.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::args::{Args, Flag};
use crate::failure::{Failure, Outcome};
use crate::say;

pub(crate) const FLAGS: &[Flag] = &[
    Flag {
        name: "port",
        value: "PORT",
        help: "where to listen on 127.0.0.1, 0 for any (6379)",
    },
    Flag {
        name: "threads",
        value: "COUNT",
        help: "connections are dealt out to so many threads (1)",
    },
];

/// Connections that may wait to be accepted, as many as Redis lets wait.
const BACKLOG: i32 = 511;

/// Connections on their way to a thread that has not taken them yet.
const HANDOVER_MAX: usize = 1024;

/// Takes connections to a thread.
type Way = mpsc::Sender<std::net::TcpStream>;

/// Answers on a port of loopback until the process is killed.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let port = args.value("port", 6379)?;
    let threads: usize = args.value("threads", 1)?;
    let others: Vec<Way> = (1..threads)
        .map(|_| start_thread())
        .collect::<Outcome<_>>()?;
    runtime()?.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listening = listen(address).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let what = format!("listen on {address}");
        let (listener, address) = listening.map_err(Failure::io(what))?;
        say(&format!("listening on {address}"))?;
        serve(listener, &others).await
    })
}

fn runtime() -> Outcome<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(Failure::io("start the runtime"))
}

/// Starts a thread that answers the connections it is sent.
fn start_thread() -> Outcome<Way> {
    let runtime = runtime()?;
    let (sender, mut receiver) = mpsc::channel::<std::net::TcpStream>(HANDOVER_MAX);
    let work = async move {
        while let Some(stream) = receiver.recv().await {
            if let Ok(stream) = TcpStream::from_std(stream) {
                tokio::spawn(answer(stream));
            }
        }
    };
    std::thread::Builder::new()
        .spawn(move || runtime.block_on(work))
        .map_err(Failure::io("start a thread"))?;
    Ok(sender)
}

/// Listens on an address. Must be called inside a runtime.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Answers every connection here or, in turns, on the `others`. Ends only if no more can be
/// accepted.
pub(crate) async fn serve(listener: TcpListener, others: &[Way]) -> Outcome<()> {
    loop {
        for place in std::iter::once(None).chain(others.iter().map(Some)) {
            let (stream, _) = listener.accept().await.map_err(Failure::io("accept"))?;
            stream.set_nodelay(true).map_err(Failure::io("nodelay"))?;
            // A client that hangs up in the middle of a request is none of our business.
            match place {
                None => drop(tokio::spawn(answer(stream))),
                Some(way) => {
                    let stream = stream.into_std().map_err(Failure::io("hand over"))?;
                    // It fails if the thread is gone, and then nobody is left to be answered.
                    let _ = way.send(stream).await;
                }
            }
        }
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut input = Vec::with_capacity(16 * 1024);
    let mut output = Vec::new();
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let (requests, used) = count_requests(&input);
        input.drain(..used);
        input.reserve(4 * 1024);
        output.resize(requests * OK.len(), 0);
        for reply in output.chunks_exact_mut(OK.len()) {
            reply.copy_from_slice(OK);
        }
        stream.write_all(&output).await?;
    }
}

const OK: &[u8] = b"+OK\r\n";

/// How many whole requests `input` begins with, and how many bytes they take.
fn count_requests(input: &[u8]) -> (usize, usize) {
    let mut rest = input;
    let mut requests = 0;
    while let Some(after) = skip_request(rest) {
        rest = after;
        requests += 1;
    }
    (requests, input.len() - rest.len())
}

/// What follows the request at the start of `input`, if all of it is there.
fn skip_request(input: &[u8]) -> Option<&[u8]> {
    let (arguments, mut rest) = number_line(input.strip_prefix(b"*")?)?;
    for _ in 0..arguments {
        let (length, body) = number_line(rest.strip_prefix(b"$")?)?;
        rest = body.get(length + 2..)?;
    }
    Some(rest)
}

/// The number at the start of `input`, and what follows its line.
fn number_line(input: &[u8]) -> Option<(usize, &[u8])> {
    let mut number: usize = 0;
    let mut rest = input;
    loop {
        match rest {
            [digit @ b'0'..=b'9', after @ ..] => {
                number = number.wrapping_mul(10) + usize::from(digit - b'0');
                rest = after;
            }
            [b'\r', b'\n', after @ ..] => return Some((number, after)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_at_every_split_of_the_input() {
        let one = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
        let three = one.repeat(3);
        for split in 0..=three.len() {
            let whole = split / one.len();
            let (requests, used) = count_requests(&three[..split]);
            assert_eq!((requests, used), (whole, whole * one.len()), "{split}");
        }
    }
}
