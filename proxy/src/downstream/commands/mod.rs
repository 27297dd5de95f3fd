//! Commands that the proxy answers by itself.

mod client;
mod later;
mod login;

use slotilla_common::clock;
use slotilla_common::command::{self, Args as _, FanOut, Flags, Spec};
use slotilla_common::glob;
use slotilla_common::resp::ReplyWriter;
use slotilla_common::slot::Slot;

use super::info;
use super::refusal::Refusal;
use super::session::{Call, Handled, Outcome};
use crate::config::KEYS;

pub(crate) use later::random_key;
pub(super) use later::{ask_node, begin_anew, finish};

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

impl Call<'_> {
    /// Answers by itself.
    fn answer(self, write: impl FnOnce(&mut ReplyWriter<'_>)) -> Outcome {
        self.client.answer(self.worker, write);
        Ok(Handled::Done)
    }

    fn ok(self) -> Outcome {
        self.answer(|out| out.ok())
    }
}

/// Answers a command that needs no node.
pub(super) fn local(call: Call<'_>) -> Outcome {
    let args = call.args;
    match call.spec.name {
        "ping" => match args.len() {
            1 => call.answer(|out| out.simple("PONG")),
            2 => call.answer(|out| out.bulk(args.get(1))),
            _ => Err(Refusal::Arity),
        },
        "echo" => call.answer(|out| out.bulk(args.get(1))),
        "time" => {
            let now = clock::unix_us();
            call.answer(|out| {
                out.array(2);
                out.bulk((now / 1_000_000).to_string().as_bytes());
                out.bulk((now % 1_000_000).to_string().as_bytes());
            })
        }
        "quit" => {
            call.ok()?;
            Ok(Handled::Leaving)
        }
        "reset" => login::reset(call),
        "select" => login::select(call),
        "auth" => login::auth(call),
        "hello" => login::hello(call),
        "info" => {
            let asked: Vec<String> = args
                .iter()
                .skip(1)
                .map(|a| String::from_utf8_lossy(a).to_lowercase())
                .collect();
            let text = info::text(&call.worker.shared, &asked);
            call.answer(|out| out.verbatim(b"txt", text.as_bytes()))
        }
        "config|get" => config_get(call),
        "cluster|keyslot" => {
            call.answer(|out| out.integer(Slot::of_key(args.get(2)).number().into()))
        }
        name => match name.split_once('|') {
            Some((_, "help")) => help(call),
            Some(("client", which)) => client::handle(call, which),
            _ => command_command(call),
        },
    }
}

fn config_get(call: Call<'_>) -> Outcome {
    let config = &call.worker.shared.config;
    let is_asked = |name: &str| {
        call.args
            .iter()
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
    call.answer(|out| {
        out.map(found.len());
        for (name, value) in &found {
            out.bulk(name.as_bytes());
            out.bulk(value.as_bytes());
        }
    })
}

/// COMMAND and its subcommands, of what clients of the proxy can use.
fn command_command(call: Call<'_>) -> Outcome {
    let mut refused = false;
    call.answer(|out| {
        if let Err(error) = command::answer(out, call.spec, call.args, &is_offered) {
            out.error(&format!("ERR {error}"));
            refused = true;
        }
    })?;
    if refused {
        call.worker.counters.refused_requests.add(1);
    }
    Ok(Handled::Done)
}

/// HELP of a container: its subcommands.
fn help(call: Call<'_>) -> Outcome {
    let container = call.spec.parent().unwrap_or(call.spec);
    call.answer(|out| command::help(out, container, &is_offered))
}
