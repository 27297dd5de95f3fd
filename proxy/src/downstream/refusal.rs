//! Why a request is refused, and in which words: Redis's where Redis has them.

use std::borrow::Cow;

use slotilla_common::command::{Args as _, Need, Spec, Unresolved};

use crate::router::RequestArgs;

/// A request that the proxy does not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such command or subcommand; the whole text.
    Unknown(Vec<u8>),
    /// The number of arguments is wrong.
    Arity,
    /// The client has not given the password.
    NoAuth,
    /// The keys lie in several slots.
    CrossSlot,
    /// It needs a connection to a node of its own.
    Connection(Need),
    /// It does not go through a proxy, for this reason.
    NotThroughProxy(&'static str),
    /// Its arguments are wrong; the whole text.
    Wrong(Cow<'static, str>),
}

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Self {
        Self::Wrong(text.into())
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Wrong(text.into())
    }
}

const NO_AUTH: &str = "NOAUTH Authentication required.";
const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";
/// Redis takes an EXEC that it does not even look at for the end of the transaction.
const ABORTED: &str = "EXECABORT Transaction discarded because of: ";

impl Refusal {
    /// Of a request that names no command.
    pub(super) fn unknown(unresolved: Unresolved, args: &RequestArgs<'_>) -> Self {
        Self::Unknown(match unresolved {
            Unresolved::Command => unknown_command(args),
            Unresolved::Subcommand(container) => {
                let tried = limited(args.get(1), QUOTED_MAX);
                let remedy = format!("'. Try {} HELP.", container.name.to_uppercase());
                [b"ERR unknown subcommand '", tried, remedy.as_bytes()].concat()
            }
        })
    }

    /// The error that `spec`'s client gets.
    pub(super) fn text(&self, spec: Option<&Spec>) -> Vec<u8> {
        let name = spec.map_or("", |spec| spec.name);
        let shown = || name.replace('|', " ").to_uppercase();
        let text = match self {
            Self::Unknown(text) => return text.clone(),
            Self::Arity => {
                let start = if name == "exec" { ABORTED } else { "ERR " };
                format!("{start}wrong number of arguments for '{name}' command")
            }
            Self::NoAuth if name == "exec" => format!("{ABORTED}{NO_AUTH}"),
            Self::NoAuth => NO_AUTH.to_owned(),
            Self::CrossSlot => CROSS_SLOT.to_owned(),
            Self::Connection(need) => {
                let why = reason(*need);
                format!("ERR {} is not supported by the proxy yet: {why}", shown())
            }
            Self::NotThroughProxy(why) => {
                format!("ERR {} does not go through the proxy: {why}", shown())
            }
            Self::Wrong(text) => text.clone().into_owned(),
        };
        text.into_bytes()
    }
}

fn reason(need: Need) -> &'static str {
    match need {
        Need::Transaction => "transactions need a connection of their own",
        Need::Blocking => "a command that waits needs a connection of its own",
        Need::Subscription => "subscriptions need a connection of their own",
        Need::Monitor => "MONITOR needs a connection of its own",
        Need::Tracking => "client-side caching needs a connection of its own",
    }
}

/// How much Redis repeats of a name, and of all arguments together.
const QUOTED_MAX: usize = 128;

fn limited(text: &[u8], max: usize) -> &[u8] {
    text.get(..max).unwrap_or(text)
}

fn unknown_command(args: &RequestArgs<'_>) -> Vec<u8> {
    let mut quoted = Vec::new();
    for index in 1..args.len() {
        let room = QUOTED_MAX.saturating_sub(quoted.len());
        if room == 0 {
            break;
        }
        quoted.push(b'\'');
        quoted.extend_from_slice(limited(args.get(index), room));
        quoted.extend_from_slice(b"' ");
    }
    let name = limited(args.get(0), QUOTED_MAX);
    let middle = b"', with args beginning with: ";
    [b"ERR unknown command '", name, middle, &quoted].concat()
}
