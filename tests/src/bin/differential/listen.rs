//! Clients that listen to channels: what has come for both must be the same, in the same order.

use slotilla_tests::differential::{Command, show};
use slotilla_tests::{Client, Value, encode};

use crate::compare::without_id;
use crate::sequence::{Difference, Pair};

/// What is answered to this is the last of what a client is to read. Nothing else says it.
const FENCE: &str = "the end of what has come";

/// So many of what differs are shown.
const SHOWN_MAX: usize = 6;

/// Lets a listener begin anew.
pub(crate) fn begin(pair: &mut Pair, listener: usize, hello: &[Command]) {
    let anew = [&[vec![b"reset".to_vec()]], hello].concat();
    for client in [&mut pair.theirs[listener], &mut pair.ours[listener]] {
        heard(client, &anew);
    }
}

/// Sends a listener's commands, and compares all that has come for it since the last time.
///
/// # Errors
/// What differs.
pub(crate) fn run(
    pair: &mut Pair,
    listener: usize,
    commands: &[Command],
) -> Result<(), Difference> {
    let theirs = heard(&mut pair.theirs[listener], commands);
    let ours = heard(&mut pair.ours[listener], commands);
    if canonical(&theirs, commands) == canonical(&ours, commands) {
        return Ok(());
    }
    let words: Vec<String> = commands.iter().map(|command| show(command)).collect();
    let at = theirs.iter().zip(&ours).take_while(|(a, b)| a == b);
    let at = at.count();
    let rest = |all: Vec<Value>| Value::Array(all.into_iter().skip(at).take(SHOWN_MAX).collect());
    Err(Difference {
        command: format!(
            "heard by {listener} from {at} on, by [{}]",
            words.join("; ")
        ),
        theirs: rest(theirs),
        ours: rest(ours),
    })
}

/// All that comes until the commands are answered.
fn heard(client: &mut Client, commands: &[Command]) -> Vec<Value> {
    let mut request = Vec::new();
    for command in commands {
        encode(&mut request, command);
    }
    encode(&mut request, &["ping", FENCE]);
    client.send(&request);
    let mut heard = Vec::new();
    loop {
        let value = client.read();
        let is_end = match &value {
            Value::Bulk(bytes) => bytes == FENCE.as_bytes(),
            // RESP2's way to answer a client that has subscribed.
            Value::Array(items) => {
                items.len() == 2 && items[1] == Value::Bulk(FENCE.as_bytes().to_vec())
            }
            _ => false,
        };
        if is_end {
            return heard;
        }
        heard.push(value);
    }
}

/// What has come, in an order of its own where Redis promises none: of patterns that match the same
/// message, of keys that SORT misses, and of channels that are left all at once, where the counts
/// keep their places. Events of keys come last: each command of Redis's has an order of its own for them and its reply, which a
/// client in RESP3 that listens to its own keys could see.
fn canonical(heard: &[Value], commands: &[Command]) -> Vec<Vec<Value>> {
    let leaves_all = commands
        .iter()
        .any(|command| command.len() == 1 && command[0].ends_with(b"unsubscribe"));
    let all = heard.iter().map(parts);
    let (events, mut all): (Vec<_>, Vec<_>) = all.partition(|parts| is_event(parts));
    all.extend(events);
    for run in all.chunk_by_mut(|a, b| is_miss_of_sort(a) && is_miss_of_sort(b)) {
        run.sort_by_key(|parts| format!("{parts:?}"));
    }
    let kind = |parts: &Vec<Value>| parts.first().map(Value::to_string).unwrap_or_default();
    for run in all.chunk_by_mut(|a, b| kind(a) == kind(b)) {
        match kind(&run[0]).as_str() {
            "pmessage" => {
                for one in run.chunk_by_mut(|a, b| a[2..] == b[2..]) {
                    one.sort_by_key(|parts| parts[1].to_string());
                }
            }
            left if left.ends_with("unsubscribe") && leaves_all => {
                let mut names: Vec<Value> = run.iter().map(|parts| parts[1].clone()).collect();
                names.sort_by_key(Value::to_string);
                for (parts, name) in run.iter_mut().zip(names) {
                    parts[1] = name;
                }
            }
            _ => {}
        }
    }
    all
}

/// Whether this is a message of a channel of keys.
fn is_event(parts: &[Value]) -> bool {
    let is_message = parts.first() == Some(&Value::Bulk(b"pmessage".to_vec()));
    is_message && matches!(&parts[2], Value::Bulk(channel) if channel.starts_with(b"__key"))
}

/// Whether a key is missed that SORT has looked for: it takes the members of a set as they lie.
fn is_miss_of_sort(parts: &[Value]) -> bool {
    const KEYS: [&str; 3] = ["w_", "h_", "s_"];
    is_event(parts) && {
        let [channel, text] = [&parts[2], &parts[3]].map(Value::text);
        let of_key = channel.split_once("__:").map_or("", |(_, key)| key);
        let (key, event) = if text == "keymiss" {
            (of_key, &*text)
        } else {
            (&*text, of_key)
        };
        event == "keymiss" && KEYS.iter().any(|prefix| key.starts_with(prefix))
    }
}

/// A message's or an acknowledgement's parts, and last whether it was pushed; any other reply as
/// it is.
fn parts(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Push(items) if (3..5).contains(&items.len()) => {
            let is_pushed = matches!(value, Value::Push(_));
            let mut parts = items.clone();
            parts.push(Value::Boolean(is_pushed));
            parts
        }
        other => vec![Value::Null, without_id(other)],
    }
}
