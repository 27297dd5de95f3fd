//! Commands that the proxy answers by itself.

use std::cell::RefCell;
use std::rc::Rc;

use slotilla_common::clock;
use slotilla_common::command::{self, Args, FanOut, Flags, Spec};
use slotilla_common::glob;
use slotilla_common::resp::{Protocol, ReplyWriter, decode, parse_i64};
use slotilla_common::slot::Slot;
use tokio::sync::oneshot;

use super::client::{Client, ReplyMode};
use super::clients::{self, ClientFilter};
use super::info;
use super::pipeline::{Sequence, Whereabouts};
use super::session::{Handled, refuse_with};
use crate::config::KEYS;
use crate::router::{Owner, Request, RequestArgs};
use crate::shared::Message;
use crate::worker::Worker;

/// Whether a command may come before AUTH.
pub(super) fn needs_no_auth(spec: &Spec) -> bool {
    spec.flags.contains(Flags::NO_AUTH)
}

/// Whether clients of the proxy can use a command: what COMMAND lists.
fn is_offered(spec: &Spec) -> bool {
    match spec.fan_out {
        FanOut::Refused(_) | FanOut::Connection(_) => {
            // A container is as good as its best subcommand.
            spec.subcommands().iter().any(is_offered)
        }
        _ => true,
    }
}

/// Answers a command that needs no node.
pub(super) fn local(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
) -> Handled {
    let answer = |write: &dyn Fn(&mut ReplyWriter<'_>)| {
        client.answer(worker, |out| write(out));
        Handled::Done
    };
    match spec.name {
        "ping" => match args.len() {
            1 => answer(&|out| out.simple("PONG")),
            2 => answer(&|out| out.bulk(args.get(1))),
            _ => refuse_with(
                worker,
                client,
                "ERR wrong number of arguments for 'ping' command",
            ),
        },
        "echo" => answer(&|out| out.bulk(args.get(1))),
        "time" => {
            let now = clock::unix_us();
            answer(&|out| {
                out.array(2);
                out.bulk((now / 1_000_000).to_string().as_bytes());
                out.bulk((now % 1_000_000).to_string().as_bytes());
            })
        }
        "quit" => {
            client.answer(worker, |out| out.ok());
            Handled::Leaving
        }
        "reset" => reset(worker, client),
        "select" => select(worker, client, args),
        "auth" => auth(worker, client, args),
        "hello" => hello(worker, client, args),
        "info" => {
            let asked: Vec<String> = args
                .iter()
                .skip(1)
                .map(|a| String::from_utf8_lossy(a).to_lowercase())
                .collect();
            let text = info::text(&worker.shared, &asked);
            answer(&|out| out.verbatim(b"txt", text.as_bytes()))
        }
        "config|get" => config_get(worker, client, args),
        "cluster|keyslot" => answer(&|out| out.integer(Slot::of_key(args.get(2)).number().into())),
        name => match name.split_once('|') {
            Some(("client", which)) if which != "help" => {
                client_command(worker, client, args, which)
            }
            _ if name.starts_with("command") => command_command(worker, client, args, spec),
            _ => help(worker, client, args, spec),
        },
    }
}

fn reset(worker: &Rc<Worker>, client: &Rc<Client>) -> Handled {
    if client.in_flight() > 0 {
        // It changes the protocol, and with it the connections to the nodes.
        return Handled::Stalled;
    }
    client.speak(Protocol::Resp2);
    client.reply_mode.set(ReplyMode::On);
    client.no_evict.set(false);
    *client.name.borrow_mut() = "".into();
    let has_password = !worker.shared.config.requirepass.is_empty();
    client.is_authenticated.set(!has_password);
    client.answer(worker, |out| out.simple("RESET"));
    Handled::Done
}

fn select(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    match parse_i64(args.get(1)) {
        Some(0) => {
            client.answer(worker, |out| out.ok());
            Handled::Done
        }
        Some(_) => refuse_with(worker, client, "ERR DB index is out of range"),
        None => refuse_with(
            worker,
            client,
            "ERR value is not an integer or out of range",
        ),
    }
}

/// Whether this is the password, compared in a time that does not tell how much of it is right.
fn is_password(worker: &Worker, user: &[u8], password: &[u8]) -> bool {
    let wanted = worker.shared.config.requirepass.as_bytes();
    let differences = wanted
        .iter()
        .zip(password.iter().chain(std::iter::repeat(&0)))
        .fold(wanted.len() ^ password.len(), |sum, (a, b)| {
            sum | usize::from(a ^ b)
        });
    // Without a password the default user takes any.
    user == b"default" && (wanted.is_empty() || differences == 0)
}

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

fn auth(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    let (user, password) = match args.len() {
        2 if worker.shared.config.requirepass.is_empty() => {
            return refuse_with(
                worker,
                client,
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            );
        }
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return refuse_with(worker, client, "ERR syntax error"),
    };
    if !is_password(worker, user, password) {
        return refuse_with(worker, client, WRONG_PASSWORD);
    }
    client.is_authenticated.set(true);
    client.answer(worker, |out| out.ok());
    Handled::Done
}

/// What HELLO asks for.
#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<Box<str>>,
}

fn parse_hello<'a>(args: &RequestArgs<'a>) -> Result<Hello<'a>, String> {
    let mut hello = Hello::default();
    if args.len() > 1 {
        hello.protocol = Some(match parse_i64(args.get(1)) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err("NOPROTO unsupported protocol version".into()),
            None => return Err("ERR Protocol version is not an integer or out of range".into()),
        });
    }
    let mut index = 2;
    while index < args.len() {
        let option = args.get(index);
        let more = args.len() - index - 1;
        if option.eq_ignore_ascii_case(b"AUTH") && more >= 2 {
            hello.login = Some((args.get(index + 1), args.get(index + 2)));
            index += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && more >= 1 {
            hello.name = Some(client_name(args.get(index + 1))?);
            index += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(format!("ERR Syntax error in HELLO option '{option}'"));
        }
    }
    Ok(hello)
}

fn hello(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    let hello = match parse_hello(args) {
        Ok(hello) => hello,
        Err(text) => return refuse_with(worker, client, &text),
    };
    let protocol = hello.protocol.unwrap_or(client.protocol());
    if protocol != client.protocol() && client.in_flight() > 0 {
        // What is out in one protocol comes before what goes out in the other.
        return Handled::Stalled;
    }
    if let Some((user, password)) = hello.login {
        if !is_password(worker, user, password) {
            return refuse_with(worker, client, WRONG_PASSWORD);
        }
        client.is_authenticated.set(true);
    }
    if !client.is_authenticated.get() {
        return refuse_with(
            worker,
            client,
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = hello.name {
        *client.name.borrow_mut() = name;
    }
    client.speak(protocol);
    let id = i64::try_from(client.id).unwrap_or(i64::MAX);
    client.answer(worker, |out| {
        out.map(7);
        for (field, value) in [("server", "redis"), ("version", "7.0.15")] {
            out.bulk(field.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"proto");
        out.integer(protocol.version().into());
        out.bulk(b"id");
        out.integer(id);
        for (field, value) in [("mode", "standalone"), ("role", "master")] {
            out.bulk(field.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"modules");
        out.array(0);
    });
    Handled::Done
}

fn client_name(name: &[u8]) -> Result<Box<str>, String> {
    let is_fine = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
    match std::str::from_utf8(name) {
        Ok(name) if is_fine => Ok(name.into()),
        _ => Err(
            "ERR Client names cannot contain spaces, newlines or special characters.".to_owned(),
        ),
    }
}

fn config_get(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    let config = &worker.shared.config;
    let is_asked = |name: &str| {
        args.iter()
            .skip(2)
            .any(|pattern| glob::matches_nocase(pattern, name.as_bytes()))
    };
    // What redis-benchmark and others ask of any server, and the proxy never has.
    const OF_NODES: [(&str, &str); 4] = [
        ("save", ""),
        ("appendonly", "no"),
        ("databases", "1"),
        ("maxmemory", "0"),
    ];
    let own = KEYS
        .iter()
        .filter(|key| !key.is_secret && is_asked(key.name))
        .map(|key| (key.name, key.show(config)));
    let of_nodes = OF_NODES
        .iter()
        .filter(|(name, _)| is_asked(name))
        .map(|(name, value)| (*name, (*value).to_owned()));
    let found: Vec<(&str, String)> = own.chain(of_nodes).collect();
    client.answer(worker, |out| {
        out.map(found.len());
        for (name, value) in &found {
            out.bulk(name.as_bytes());
            out.bulk(value.as_bytes());
        }
    });
    Handled::Done
}

fn client_command(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    which: &str,
) -> Handled {
    let refuse = |text: &str| refuse_with(worker, client, text);
    let ok = || {
        client.answer(worker, |out| out.ok());
        Handled::Done
    };
    let option = args.get(2);
    match which {
        "id" => {
            let id = i64::try_from(client.id).unwrap_or(i64::MAX);
            client.answer(worker, |out| out.integer(id));
        }
        "getname" => {
            let name = client.name.borrow().clone();
            client.answer(worker, |out| match name.as_bytes() {
                b"" => out.null(),
                name => out.bulk(name),
            });
        }
        "setname" => match client_name(option) {
            Ok(name) => {
                *client.name.borrow_mut() = name;
                return ok();
            }
            Err(text) => return refuse(&text),
        },
        "info" => {
            let line = clients::line(worker, client);
            client.answer(worker, |out| out.verbatim(b"txt", line.as_bytes()));
        }
        "no-evict" => match option.to_ascii_lowercase().as_slice() {
            b"on" | b"off" => {
                client.no_evict.set(option.eq_ignore_ascii_case(b"on"));
                return ok();
            }
            _ => return refuse("ERR syntax error"),
        },
        "reply" => return client_reply(worker, client, option),
        "list" => match ClientFilter::of_list(args) {
            Ok(filter) => list_clients(worker, client, filter),
            Err(text) => return refuse(&text),
        },
        "kill" => return kill_clients(worker, client, args),
        "getredir" => client.answer(worker, |out| out.integer(-1)),
        "trackinginfo" => client.answer(worker, |out| {
            out.map(3);
            out.bulk(b"flags");
            out.set(1);
            out.bulk(b"off");
            out.bulk(b"redirect");
            out.integer(-1);
            out.bulk(b"prefixes");
            out.array(0);
        }),
        "unblock" => return unblock(worker, client, args),
        // No client of the proxy is ever paused.
        "unpause" => return ok(),
        other => {
            let name = other.to_uppercase();
            return refuse(&format!("ERR CLIENT {name} is not supported by the proxy"));
        }
    }
    Handled::Done
}

/// No client of the proxy is ever blocked.
fn unblock(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    let is_reason =
        |word: &[u8]| word.eq_ignore_ascii_case(b"timeout") || word.eq_ignore_ascii_case(b"error");
    let fault = match args.len() {
        4 if !is_reason(args.get(3)) => "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
        3 | 4 if parse_i64(args.get(2)).is_none() => "ERR value is not an integer or out of range",
        3 | 4 => {
            client.answer(worker, |out| out.integer(0));
            return Handled::Done;
        }
        _ => {
            let name = String::from_utf8_lossy(args.get(1));
            let text = format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP."
            );
            return refuse_with(worker, client, &text);
        }
    };
    refuse_with(worker, client, fault)
}

fn client_reply(worker: &Rc<Worker>, client: &Rc<Client>, mode: &[u8]) -> Handled {
    match mode.to_ascii_lowercase().as_slice() {
        b"on" => {
            client.reply_mode.set(ReplyMode::On);
            client.answer(worker, |out| out.ok());
        }
        b"off" => client.reply_mode.set(ReplyMode::Off),
        b"skip" if client.reply_mode.get() != ReplyMode::Off => {
            client.reply_mode.set(ReplyMode::SkipNext);
        }
        b"skip" => {}
        _ => return refuse_with(worker, client, "ERR syntax error"),
    }
    Handled::Done
}

fn list_clients(worker: &Rc<Worker>, client: &Rc<Client>, filter: ClientFilter) {
    later(worker, client, move |worker| async move {
        let mut lines = Vec::new();
        for told in ask_threads(&worker, |reply| Message::List(filter.clone(), reply)).await {
            lines.extend(told);
        }
        lines.sort_unstable();
        let text: String = lines.into_iter().map(|(_, line)| line).collect();
        Box::new(move |out: &mut ReplyWriter<'_>| out.verbatim(b"txt", text.as_bytes())) as Reply
    });
}

fn kill_clients(worker: &Rc<Worker>, client: &Rc<Client>, args: &RequestArgs<'_>) -> Handled {
    let is_old_form = args.len() == 3;
    let filter = if is_old_form {
        Ok(ClientFilter {
            address: Some(String::from_utf8_lossy(args.get(2)).into_owned()),
            ..ClientFilter::default()
        })
    } else {
        ClientFilter::of_kill(args, client.id)
    };
    let filter = match filter {
        Ok(filter) => filter,
        Err(text) => return refuse_with(worker, client, &text),
    };
    // A client that kills itself gets its reply first.
    let own = ClientFilter {
        ids: Some(vec![client.id]),
        ..filter.clone()
    };
    let meant = clients::describe(worker, &filter);
    let kills_itself = meant.iter().any(|(id, _)| *id == client.id) && own.skip.is_none();
    let others = ClientFilter {
        skip: Some(client.id),
        ..filter
    };
    later(worker, client, move |worker| async move {
        let killed = ask_threads(&worker, |reply| Message::Kill(others.clone(), reply)).await;
        let count = killed.into_iter().sum::<usize>() + usize::from(kills_itself);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Box::new(
            move |out: &mut ReplyWriter<'_>| match (is_old_form, count) {
                (false, count) => out.integer(count),
                (true, 0) => out.error("ERR No such client"),
                (true, _) => out.ok(),
            },
        ) as Reply
    });
    if kills_itself {
        Handled::Leaving
    } else {
        Handled::Done
    }
}

type Reply = Box<dyn FnOnce(&mut ReplyWriter<'_>)>;

/// Answers when `work` is done; the reply keeps its place in the client's order.
fn later<F>(worker: &Rc<Worker>, client: &Rc<Client>, work: impl FnOnce(Rc<Worker>) -> F + 'static)
where
    F: Future<Output = Reply>,
{
    let sequence = client.begin(worker, Whereabouts::Local, true);
    let (worker, client) = (Rc::clone(worker), Rc::clone(client));
    tokio::task::spawn_local(async move {
        let write = work(Rc::clone(&worker)).await;
        deliver(&worker, &client, sequence, write);
    });
}

fn deliver(worker: &Rc<Worker>, client: &Rc<Client>, sequence: Sequence, write: Reply) {
    let mut reply = Vec::new();
    write(&mut ReplyWriter::new(&mut reply, client.protocol()));
    worker.event();
    client.deliver(worker, sequence, &reply);
}

async fn ask_threads<T>(
    worker: &Worker,
    question: impl Fn(oneshot::Sender<T>) -> Message,
) -> Vec<T> {
    let mut answers = Vec::new();
    for thread in worker.shared.threads() {
        let (sender, receiver) = oneshot::channel();
        if thread.sender.send(question(sender)).await.is_ok()
            && let Ok(answer) = receiver.await
        {
            answers.push(answer);
        }
    }
    answers
}

/// RANDOMKEY: of a primary drawn by how many keys it has.
pub(super) fn random_key(worker: &Rc<Worker>, client: &Rc<Client>, spec: &'static Spec) {
    let primaries = worker.map.borrow().primaries().to_vec();
    let started = worker.now();
    let ask = move |worker: &Rc<Worker>, node, command: &[u8]| {
        let (sender, receiver) = oneshot::channel();
        let request = Request {
            spec,
            slot: None,
            pinned: Some(node),
            started,
            attempts: 0,
            owner: Owner::Task(RefCell::new(Some(sender))),
        };
        worker.send(command, request);
        receiver
    };
    later(worker, client, move |worker| async move {
        let sizes: Vec<_> = primaries
            .iter()
            .map(|(_, node)| (*node, ask(&worker, *node, b"*1\r\n$6\r\nDBSIZE\r\n")))
            .collect();
        let mut known = Vec::new();
        for (node, size) in sizes {
            let reply = size.await.unwrap_or_default();
            let value = decode(&reply).ok().flatten().map(|(value, _)| value);
            let size = value
                .as_ref()
                .and_then(slotilla_common::resp::Value::as_integer);
            known.push((node, u64::try_from(size.unwrap_or(0)).unwrap_or(0)));
        }
        let total: u64 = known.iter().map(|(_, size)| size).sum();
        let mut drawn = fastrand::u64(..total.max(1));
        let node = known.into_iter().find(|(_, size)| {
            let is_it = drawn < *size;
            drawn = drawn.saturating_sub(*size);
            is_it
        });
        let Some((node, _)) = node else {
            return Box::new(|out: &mut ReplyWriter<'_>| out.null()) as Reply;
        };
        let reply = ask(&worker, node, b"*1\r\n$9\r\nRANDOMKEY\r\n").await;
        let value = reply.ok().and_then(|r| decode(&r).ok().flatten());
        Box::new(move |out: &mut ReplyWriter<'_>| match value {
            Some((value, _)) => value.write(out),
            None => out.error("ERR the node gave no answer"),
        }) as Reply
    });
}

/// COMMAND and its subcommands, of what clients of the proxy can use.
fn command_command(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    args: &RequestArgs<'_>,
    spec: &'static Spec,
) -> Handled {
    let mut refused = None;
    client.answer(worker, |out| {
        if let Err(error) = command::answer(out, spec, args, &is_offered) {
            out.error(&format!("ERR {error}"));
            refused = Some(error);
        }
    });
    if refused.is_some() {
        worker.counters.refused_requests.add(1);
    }
    Handled::Done
}

/// HELP of a container: its subcommands.
fn help(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    _args: &RequestArgs<'_>,
    spec: &'static Spec,
) -> Handled {
    match spec.parent() {
        Some(parent) if spec.short_name() == "help" => {
            client.answer(worker, |out| command::help(out, parent, &is_offered));
            Handled::Done
        }
        _ => {
            let name = spec.name.replace('|', " ").to_uppercase();
            refuse_with(
                worker,
                client,
                &format!("ERR {name} is not supported by the proxy"),
            )
        }
    }
}
