//! Commands whose replies each server chooses by itself: members at random, and iterations. Their
//! replies must have the same form, and each must be one that the collection allows.

use std::collections::BTreeSet;

use slotilla_tests::differential::{Command, show};
use slotilla_tests::{Client, Value};

use crate::compare::Question;
use crate::sequence::{Difference, PLAIN, Pair, check, words};

/// More calls than an iteration over what a sequence has made takes.
const CALLS_MAX: usize = 100_000;

/// Sends the command to both, and judges what they say.
///
/// # Errors
/// What differs, or what one of them must not say.
pub(crate) fn run(pair: &mut Pair, command: &Command) -> Result<(), Difference> {
    if command[0].ends_with(b"scan") {
        return iterate(pair, command);
    }
    let (line, question, at_a_time) = match command[0].as_slice() {
        b"randomkey" => ("keys *", Question::Elements, 1),
        b"hrandfield" => ("hgetall KEY", Question::Pairs, 2),
        b"zrandmember" => ("zrange KEY 0 -1 withscores", Question::Plain, 2),
        _ => ("smembers KEY", Question::Elements, 1),
    };
    let whole = of_key(line, command);
    let (theirs, ours) = pair.both(PLAIN, &[whole.clone(), command.clone()]);
    check(&whole, &question, &theirs[0], &ours[0])?;
    let whole = elements(&theirs[0], at_a_time);
    let replies = [&theirs[1], &ours[1]];
    if outline(replies[0]) != outline(replies[1])
        || !replies
            .iter()
            .all(|reply| is_allowed(command, &whole, reply))
    {
        return Err(Difference {
            command: format!("{}, of {whole:?}", show(command)),
            theirs: replies[0].clone(),
            ours: replies[1].clone(),
        });
    }
    if command[0] == b"spop" && !whole.is_empty() {
        level(pair, command, &whole, replies)?;
    }
    Ok(())
}

/// A line for the key of a command, whose place is `KEY`.
fn of_key(line: &str, command: &Command) -> Command {
    let words = words(line).into_iter();
    words
        .map(|word| match word.as_slice() {
            b"KEY" => command[1].clone(),
            _ => word,
        })
        .collect()
}

/// A reply's form: all but what its strings and numbers are.
fn outline(reply: &Value) -> String {
    match reply {
        Value::Bulk(_) => "$".into(),
        Value::Double(_) => ",".into(),
        Value::Array(items) => format!("*{:?}", items.iter().map(outline).collect::<Vec<_>>()),
        Value::Set(items) => format!("~{:?}", items.iter().map(outline).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}

/// What is in a reply: names, or each with its value, whether they come in pairs or flat.
fn elements(reply: &Value, at_a_time: usize) -> Vec<Vec<Value>> {
    match reply {
        Value::Bulk(_) => vec![vec![reply.clone()]],
        Value::Map(pairs) => pairs
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()])
            .collect(),
        Value::Array(items) | Value::Set(items) => {
            let is_nested = items.iter().all(|item| matches!(item, Value::Array(_)));
            if is_nested {
                items.iter().map(|item| item.items().to_vec()).collect()
            } else {
                items.chunks(at_a_time).map(<[Value]>::to_vec).collect()
            }
        }
        _ => Vec::new(),
    }
}

/// Whether a random command may say this: it has only what is there, each with its own value, and
/// nothing twice unless it is asked for that.
fn is_allowed(command: &Command, whole: &[Vec<Value>], reply: &Value) -> bool {
    let parts = if command[0] != b"randomkey" && command.len() > 3 {
        2
    } else {
        1
    };
    let there: BTreeSet<String> = whole
        .iter()
        .map(|one| format!("{:?}", &one[..parts]))
        .collect();
    let given = elements(reply, parts);
    let distinct: BTreeSet<String> = given.iter().map(|one| format!("{one:?}")).collect();
    let may_repeat = command.get(2).is_some_and(|count| count.starts_with(b"-"));
    distinct.is_subset(&there) && (may_repeat || distinct.len() == given.len())
}

/// After both have popped: what is left must be what neither has popped and, where what is left
/// cannot matter, be kept in the same way. Then both get what is left on the real server.
fn level(
    pair: &mut Pair,
    command: &Command,
    whole: &[Vec<Value>],
    popped: [&Value; 2],
) -> Result<(), Difference> {
    let all: BTreeSet<&[u8]> = whole.iter().map(|one| one[0].bytes()).collect();
    let look = ["smembers KEY", "pexpiretime KEY", "object encoding KEY"];
    let look = look.map(|line| of_key(line, command));
    let (theirs, ours) = pair.both(PLAIN, &look);
    for (popped, after) in popped.iter().zip([&theirs[0], &ours[0]]) {
        let popped = elements(popped, 1);
        let popped: BTreeSet<&[u8]> = popped.iter().map(|one| one[0].bytes()).collect();
        let left: BTreeSet<&[u8]> = after.items().iter().map(Value::bytes).collect();
        if left != &all - &popped {
            return Err(Difference {
                command: format!("what {} left", show(command)),
                theirs: theirs[0].clone(),
                ours: ours[0].clone(),
            });
        }
    }
    check(&look[1], &Question::Millis, &theirs[1], &ours[1])?;
    let integers = all.iter().filter(|member| is_integer(member)).count();
    if integers == 0 || integers == all.len() {
        check(&look[2], &Question::Plain, &theirs[2], &ours[2])?;
    }
    let left = theirs[0].items();
    if left.is_empty() {
        return Ok(());
    }
    let mut add = of_key("sadd KEY", command);
    add.extend(left.iter().map(|member| member.bytes().to_vec()));
    let mut fill = vec![of_key("del KEY", command), add];
    if let Value::Integer(at @ 0..) = theirs[1] {
        fill.push(of_key(&format!("pexpireat KEY {at}"), command));
    }
    let (theirs, ours) = pair.both(PLAIN, &fill);
    for (command, (theirs, ours)) in fill.iter().zip(theirs.iter().zip(&ours)) {
        check(command, &Question::Plain, theirs, ours)?;
    }
    Ok(())
}

fn is_integer(member: &[u8]) -> bool {
    let text = std::str::from_utf8(member).unwrap_or_default();
    text.parse::<i64>()
        .is_ok_and(|number| number.to_string() == text)
}

/// Iterates from the first cursor to the last, and compares what has come.
fn iterate(pair: &mut Pair, command: &Command) -> Result<(), Difference> {
    let theirs = iterated(&mut pair.theirs[PLAIN], command);
    let ours = iterated(&mut pair.ours[PLAIN], command);
    if theirs == ours {
        return Ok(());
    }
    let shown = |(elements, end): (BTreeSet<String>, Value)| {
        let elements = elements.into_iter().map(Value::Simple);
        Value::Array(elements.chain([end]).collect())
    };
    Err(Difference {
        command: format!("{}, to the end", show(command)),
        theirs: shown(theirs),
        ours: shown(ours),
    })
}

/// What an iteration gives, and its last cursor, or the error that ended it.
fn iterated(client: &mut Client, command: &Command) -> (BTreeSet<String>, Value) {
    let at_a_time = match command[0].as_slice() {
        b"hscan" | b"zscan" => 2,
        _ => 1,
    };
    let cursor_at = if command[0] == b"scan" { 1 } else { 2 };
    let mut command = command.clone();
    let mut found = BTreeSet::new();
    for _ in 0..CALLS_MAX {
        let reply = client.call(&command);
        let Value::Array(parts) = &reply else {
            return (found, reply);
        };
        let elements = parts[1].items().chunks(at_a_time);
        found.extend(elements.map(|element| format!("{element:?}")));
        if parts[0].bytes() == b"0" {
            return (found, parts[0].clone());
        }
        command[cursor_at] = parts[0].bytes().to_vec();
    }
    panic!("{} does not end in {CALLS_MAX} calls", show(&command));
}
