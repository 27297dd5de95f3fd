//! CLIENT: what clients tell of themselves and do to each other.

use slotilla_common::command::Args as _;
use slotilla_common::resp::{ReplyWriter, parse_i64};

use super::later::{Reply, ask_threads, later};
use crate::downstream::client::ReplyMode;
use crate::downstream::clients::{self, ClientFilter};
use crate::downstream::refusal::Refusal;
use crate::downstream::session::{Call, Handled, Outcome};
use crate::shared::Message;

/// The subcommand `which`.
pub(super) fn handle(call: Call<'_>, which: &str) -> Outcome {
    let Call { worker, client, .. } = call;
    let option = call.args.get(2);
    match which {
        "id" => {
            let id = i64::try_from(client.id).unwrap_or(i64::MAX);
            call.answer(|out| out.integer(id))
        }
        "getname" => {
            let name = client.name.borrow().clone();
            call.answer(|out| match name.as_bytes() {
                b"" => out.null(),
                name => out.bulk(name),
            })
        }
        "setname" => {
            *client.name.borrow_mut() = client_name(option)?;
            call.ok()
        }
        "info" => {
            let line = clients::line(worker, client);
            call.answer(|out| out.verbatim(b"txt", line.as_bytes()))
        }
        "no-evict" => {
            let is_on = option.eq_ignore_ascii_case(b"on");
            if !is_on && !option.eq_ignore_ascii_case(b"off") {
                return Err("ERR syntax error".into());
            }
            client.no_evict.set(is_on);
            call.ok()
        }
        "reply" => reply(call, option),
        "list" => list(call),
        "kill" => kill(call),
        "unblock" => unblock(call),
        "getredir" => call.answer(|out| out.integer(-1)),
        "trackinginfo" => call.answer(|out| {
            out.map(3);
            out.bulk(b"flags");
            out.set(1);
            out.bulk(b"off");
            out.bulk(b"redirect");
            out.integer(-1);
            out.bulk(b"prefixes");
            out.array(0);
        }),
        // No client of the proxy is ever paused.
        "unpause" => call.ok(),
        other => Err(format!("ERR CLIENT {} is not for the proxy", other.to_uppercase()).into()),
    }
}

/// No client of the proxy is ever blocked.
fn unblock(call: Call<'_>) -> Outcome {
    let args = call.args;
    let is_reason =
        |word: &[u8]| word.eq_ignore_ascii_case(b"timeout") || word.eq_ignore_ascii_case(b"error");
    match args.len() {
        4 if !is_reason(args.get(3)) => {
            Err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR".into())
        }
        3 | 4 if parse_i64(args.get(2)).is_none() => {
            Err("ERR value is not an integer or out of range".into())
        }
        3 | 4 => call.answer(|out| out.integer(0)),
        _ => {
            let name = String::from_utf8_lossy(args.get(1));
            let text = format!(
                "ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP."
            );
            Err(text.into())
        }
    }
}

fn reply(call: Call<'_>, mode: &[u8]) -> Outcome {
    let current = &call.client.reply_mode;
    match mode.to_ascii_lowercase().as_slice() {
        b"on" => {
            current.set(ReplyMode::On);
            return call.ok();
        }
        b"off" => current.set(ReplyMode::Off),
        b"skip" if current.get() != ReplyMode::Off => current.set(ReplyMode::SkipNext),
        b"skip" => {}
        _ => return Err("ERR syntax error".into()),
    }
    Ok(Handled::Done)
}

fn list(call: Call<'_>) -> Outcome {
    let filter = ClientFilter::of_list(call.args)?;
    later(call, move |worker| async move {
        let mut lines = Vec::new();
        for told in ask_threads(&worker, |reply| Message::List(filter.clone(), reply)).await {
            lines.extend(told);
        }
        lines.sort_unstable();
        let text: String = lines.into_iter().map(|(_, line)| line).collect();
        Box::new(move |out: &mut ReplyWriter<'_>| out.verbatim(b"txt", text.as_bytes())) as Reply
    });
    Ok(Handled::Done)
}

fn kill(call: Call<'_>) -> Outcome {
    let Call { client, args, .. } = call;
    let is_old_form = args.len() == 3;
    let filter = if is_old_form {
        ClientFilter {
            address: Some(String::from_utf8_lossy(args.get(2)).into_owned()),
            ..ClientFilter::default()
        }
    } else {
        ClientFilter::of_kill(args, client.id)?
    };
    // A client that kills itself gets its reply first.
    let kills_itself = filter.matches(client);
    let others = ClientFilter {
        skip: Some(client.id),
        ..filter
    };
    later(call, move |worker| async move {
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
    Ok(if kills_itself {
        Handled::Leaving
    } else {
        Handled::Done
    })
}

/// A name that a client may give itself.
pub(super) fn client_name(name: &[u8]) -> Result<Box<str>, Refusal> {
    let is_fine = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
    match std::str::from_utf8(name) {
        Ok(name) if is_fine => Ok(name.into()),
        _ => Err("ERR Client names cannot contain spaces, newlines or special characters.".into()),
    }
}
