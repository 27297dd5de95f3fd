//! What changes who a client is and what it speaks: AUTH, HELLO, RESET, SELECT.

use slotilla_common::command::Args as _;
use slotilla_common::resp::{Protocol, parse_i64};

use super::client::client_name;
use crate::downstream::client::ReplyMode;
use crate::downstream::refusal::Refusal;
use crate::downstream::session::{Call, Handled, Outcome};
use crate::router::RequestArgs;
use crate::worker::Worker;

/// RESET: a client as if it had just come.
pub(super) fn reset(call: Call<'_>) -> Outcome {
    let client = call.client;
    if client.in_flight() > 0 {
        // It changes the protocol, and with it the connections to the nodes.
        return Ok(Handled::Stalled);
    }
    client.speak(Protocol::Resp2);
    // CLIENT REPLY SKIP was for this very command: it holds.
    if client.reply_mode.get() != ReplyMode::Skip {
        client.reply_mode.set(ReplyMode::On);
    }
    client.no_evict.set(false);
    *client.name.borrow_mut() = "".into();
    let has_password = !call.worker.shared.config.requirepass.is_empty();
    client.is_authenticated.set(!has_password);
    call.answer(|out| out.simple("RESET"))
}

/// SELECT: there is one database.
pub(super) fn select(call: Call<'_>) -> Outcome {
    match parse_i64(call.args.get(1)).map(i32::try_from) {
        Some(Ok(0)) => call.ok(),
        Some(Ok(_)) => Err("ERR DB index is out of range".into()),
        Some(Err(_)) => Err(format!(
            "ERR value is out of range, value must between {} and {}",
            i32::MIN,
            i32::MAX
        )
        .into()),
        None => Err("ERR value is not an integer or out of range".into()),
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

/// AUTH.
pub(super) fn auth(call: Call<'_>) -> Outcome {
    let Call { worker, args, .. } = call;
    let (user, password) = match args.len() {
        2 if worker.shared.config.requirepass.is_empty() => {
            return Err(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?"
                    .into(),
            );
        }
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err("ERR syntax error".into()),
    };
    if !is_password(worker, user, password) {
        return Err(WRONG_PASSWORD.into());
    }
    call.client.is_authenticated.set(true);
    call.ok()
}

/// What HELLO asks for.
#[derive(Default)]
struct Hello<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<Box<str>>,
}

fn parse_hello<'a>(args: &RequestArgs<'a>) -> Result<Hello<'a>, Refusal> {
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
            return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
        }
    }
    Ok(hello)
}

/// HELLO.
pub(super) fn hello(call: Call<'_>) -> Outcome {
    let client = call.client;
    let hello = parse_hello(call.args)?;
    let protocol = hello.protocol.unwrap_or(client.protocol());
    if protocol != client.protocol() && client.in_flight() > 0 {
        // What is out in one protocol comes before what goes out in the other.
        return Ok(Handled::Stalled);
    }
    if let Some((user, password)) = hello.login {
        if !is_password(call.worker, user, password) {
            return Err(WRONG_PASSWORD.into());
        }
        client.is_authenticated.set(true);
    }
    if !client.is_authenticated.get() {
        return Err(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time"
                .into(),
        );
    }
    if let Some(name) = hello.name {
        *client.name.borrow_mut() = name;
    }
    client.speak(protocol);
    let id = i64::try_from(client.id).unwrap_or(i64::MAX);
    call.answer(|out| {
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
    })
}
