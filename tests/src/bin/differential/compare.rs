//! Whether two replies say the same: to the letter, but where Redis promises no order, and where
//! a time is told that two servers read off two clocks.

use slotilla_tests::Value;
use slotilla_tests::differential::Command;

/// Two servers are not asked at the same moment.
const SLACK_SECONDS: i64 = 3;

const NO_NUMBER: &str = "ERR One or more scores can't be converted into double";

/// What a command asks for.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// A reply that is the same to the letter.
    Plain,
    /// Elements in any order.
    Elements,
    /// Names and values, flat or not, the pairs in any order.
    Pairs,
    /// A cursor, then elements in any order.
    Scan,
    /// A cursor, then pairs in any order, flat.
    ScanPairs,
    /// A time in seconds.
    Seconds,
    /// A time in milliseconds.
    Millis,
    /// How many refer to a value: a transaction of Redis's counts as well.
    References,
    /// Elements by their numbers. Redis reads those with a call that leaves an old error number as
    /// it is, and so may refuse what it takes at other times.
    Numbers,
    /// What HELLO tells, but for the number of the client.
    Hello,
    /// The replies of a transaction.
    Exec(Vec<Question>),
}

impl Question {
    /// What a command asks for. `queued` has the questions of the connection's transaction, if it
    /// is in one as far as the real server's reply tells.
    pub(crate) fn of(command: &Command, queued: &mut Option<Vec<Self>>, reply: &Value) -> Self {
        let name = command
            .first()
            .map_or("", |name| std::str::from_utf8(name).unwrap_or_default());
        match name {
            "multi" if reply.error().is_none() => *queued = Some(Vec::new()),
            "discard" | "reset" => *queued = None,
            "exec" => return Self::Exec(queued.take().unwrap_or_default()),
            _ => {}
        }
        let own = Self::of_plain(name, command);
        match queued {
            Some(queued) if *reply == Value::Simple("QUEUED".into()) => {
                queued.push(own);
                Self::Plain
            }
            _ => own,
        }
    }

    fn of_plain(name: &str, command: &Command) -> Self {
        let has = |option: &[u8]| command.iter().any(|word| word == option);
        match name {
            "hello" => Self::Hello,
            "config" if has(b"get") => Self::Pairs,
            "object" if has(b"refcount") => Self::References,
            "object" if has(b"idletime") => Self::Seconds,
            "pubsub" if has(b"channels") || has(b"shardchannels") => Self::Elements,
            "cluster" if has(b"getkeysinslot") => Self::Elements,
            "keys" | "hkeys" | "hvals" | "smembers" | "spop" | "srandmember" | "sinter"
            | "sunion" | "sdiff" => Self::Elements,
            "hgetall" => Self::Pairs,
            "hrandfield" if has(b"withvalues") => Self::Pairs,
            "hrandfield" => Self::Elements,
            "zrandmember" if has(b"withscores") => Self::Pairs,
            "zrandmember" => Self::Elements,
            "scan" | "sscan" => Self::Scan,
            "hscan" | "zscan" => Self::ScanPairs,
            // Those of the same weight, or without one.
            "sort" if has(b"alpha") && has(b"by") => Self::Elements,
            "sort" if !has(b"alpha") && !has(b"nosort") => Self::Numbers,
            // Those at the same distance.
            "georadius"
            | "georadiusbymember"
            | "geosearch"
            | "georadius_ro"
            | "georadiusbymember_ro"
                if !has(b"asc") && !has(b"desc") =>
            {
                Self::Elements
            }
            "ttl" | "expiretime" => Self::Seconds,
            "pttl" | "pexpiretime" => Self::Millis,
            _ => Self::Plain,
        }
    }
}

/// Whether both replies answer a question in the same way.
pub(crate) fn same(question: &Question, theirs: &Value, ours: &Value) -> bool {
    if theirs == ours {
        return true;
    }
    match question {
        Question::Plain => false,
        Question::Numbers => theirs.error() == Some(NO_NUMBER),
        Question::Elements => canonical(theirs, 1) == canonical(ours, 1),
        Question::Pairs => canonical(theirs, 2) == canonical(ours, 2),
        Question::Scan => same_scan(theirs, ours, 1),
        Question::ScanPairs => same_scan(theirs, ours, 2),
        Question::References => is_near(theirs, ours, 1),
        Question::Seconds => is_near(theirs, ours, SLACK_SECONDS),
        Question::Millis => is_near(theirs, ours, SLACK_SECONDS * 1000),
        Question::Hello => without_id(theirs) == without_id(ours),
        Question::Exec(questions) => {
            let (Value::Array(theirs), Value::Array(ours)) = (theirs, ours) else {
                return false;
            };
            let are_as_many = theirs.len() == ours.len() && theirs.len() == questions.len();
            let mut replies = questions.iter().zip(theirs.iter().zip(ours));
            are_as_many && replies.all(|(question, (theirs, ours))| same(question, theirs, ours))
        }
    }
}

/// HELLO's reply without the number of the client, which follows its name.
pub(crate) fn without_id(hello: &Value) -> Value {
    let mut hello = hello.clone();
    match &mut hello {
        Value::Array(items) if items.len() > 7 => items[7] = Value::Null,
        Value::Map(pairs) if pairs.len() > 3 => pairs[3].1 = Value::Null,
        _ => {}
    }
    hello
}

/// A reply's type, and its elements, so many at a time, in an order of their own. `None` for one
/// that has no elements: it is as it is.
fn canonical(reply: &Value, at_a_time: usize) -> Option<(u8, Vec<String>)> {
    let (kind, shown): (u8, Vec<String>) = match reply {
        Value::Array(items) => (b'*', shown(items, at_a_time)),
        Value::Set(items) => (b'~', shown(items, at_a_time)),
        Value::Map(pairs) => (b'%', pairs.iter().map(|pair| format!("{pair:?}")).collect()),
        _ => return None,
    };
    let mut sorted = shown;
    sorted.sort_unstable();
    Some((kind, sorted))
}

fn shown(items: &[Value], at_a_time: usize) -> Vec<String> {
    // Pairs that are arrays of their own are one element each.
    let is_nested = items.iter().all(|item| matches!(item, Value::Array(_)));
    let at_a_time = if is_nested { 1 } else { at_a_time };
    let parts = items.chunks(at_a_time);
    parts.map(|part| format!("{part:?}")).collect()
}

fn same_scan(theirs: &Value, ours: &Value, at_a_time: usize) -> bool {
    match (theirs, ours) {
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == 2 && ours.len() == 2 => {
            theirs[0] == ours[0]
                && canonical(&theirs[1], at_a_time) == canonical(&ours[1], at_a_time)
        }
        _ => false,
    }
}

fn is_near(theirs: &Value, ours: &Value, slack: i64) -> bool {
    match (theirs, ours) {
        // What is below zero is no time.
        (Value::Integer(theirs @ 0..), Value::Integer(ours @ 0..)) => {
            theirs.abs_diff(*ours) <= slack.unsigned_abs()
        }
        _ => false,
    }
}
