//! What commands are written down as: the same commands for our node and for a redis-server 7.0.15,
//! whose append-only files must have the same commands in them.
//!
//! Ours says which database a command is for each time, and goes back to database 0; so SELECT is
//! taken out, and each command compared with its database.
#![cfg(test)]

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::differential::{Command, pick, seed};
use slotilla_tests::{Client, Deadline, Kind, Server, read_value, wait_for};

const TIME: Duration = Duration::from_secs(6);
const LIMIT: Duration = Duration::from_secs(20);
/// Times that differ by less are the same.
const SAME_MS: i64 = 60_000;

const SETTINGS: &[(&str, &str)] = &[
    ("appendonly", "yes"),
    ("enable-debug-command", "yes"),
    // A file once a second would do as well, but this one is there when the reply is.
    ("appendfsync", "always"),
];

/// A server whose append-only file is read as it grows.
struct Told {
    server: Server,
    client: Client,
    /// A second client, which waits for keys.
    waiting: Client,
    read: u64,
    marks: u32,
    db: Vec<u8>,
}

impl Told {
    fn start(kind: Kind) -> Self {
        let server = Server::start(kind, SETTINGS);
        let mut client = server.client();
        client.ok(&["debug", "set-active-expire", "0"]);
        Self {
            waiting: server.client(),
            client,
            server,
            read: 0,
            marks: 0,
            db: b"0".to_vec(),
        }
    }

    /// What was written down since this was asked, each behind its database.
    fn written(&mut self) -> Vec<String> {
        self.marks += 1;
        let mark = self.marks.to_string();
        self.client.ok(&["select", "0"]);
        self.client.ok(&["set", "the mark", &mark]);
        let name = "appendonlydir/appendonly.aof.1.incr.aof";
        let path = self.server.dir().join(name);
        let end = format!("$8\r\nthe mark\r\n${}\r\n{mark}\r\n", mark.len());
        let bytes = wait_for("the mark in the file", LIMIT, || {
            let mut file = File::open(&path).ok()?;
            file.seek(SeekFrom::Start(self.read)).ok()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).ok()?;
            let at = bytes
                .windows(end.len())
                .position(|part| part == end.as_bytes())?;
            bytes.truncate(at + end.len());
            Some(bytes)
        });
        self.read += bytes.len() as u64;
        self.commands(&bytes)
    }

    fn commands(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut input = BufReader::new(bytes);
        let mut commands = Vec::new();
        while let Ok(value) = read_value(&mut input) {
            let words: Vec<&[u8]> = value.items().iter().map(|word| word.bytes()).collect();
            match words.as_slice() {
                [name, db] if name.eq_ignore_ascii_case(b"select") => self.db = db.to_vec(),
                [_, b"the mark", _] => {}
                words => {
                    // MULTI and EXEC are of no database.
                    let is_frame = words.len() == 1 && matches!(words[0], b"MULTI" | b"EXEC");
                    let db: &[u8] = if is_frame { b"" } else { &self.db };
                    let words: Vec<String> = words.iter().map(|word| shown(word)).collect();
                    commands.push(format!("{} {}", db.escape_ascii(), words.join(" ")));
                }
            }
        }
        commands
    }
}

/// A word as it is compared: a time of about now is that.
fn shown(word: &[u8]) -> String {
    let text = word.escape_ascii().to_string();
    let now = slotilla_common::clock::unix_ms();
    match text.parse::<i64>() {
        Ok(at) if (at - now).abs() < SAME_MS => "NOW".to_owned(),
        Ok(at) if (at - now - 100_000).abs() < SAME_MS => "SOON".to_owned(),
        _ => text,
    }
}

/// Runs a script: commands between semicolons, `!` by the one who waits, and `^` reads its reply.
fn run(told: &mut Told, script: &str) {
    for line in script.split(';').map(str::trim) {
        if let Some(line) = line.strip_prefix('!') {
            let words: Vec<&str> = line.split(' ').collect();
            let mut bytes = Vec::new();
            slotilla_tests::encode(&mut bytes, &words);
            told.waiting.send(&bytes);
            let client = &mut told.client;
            wait_for("the client to wait", LIMIT, || {
                let clients = client.line("info clients").text();
                clients.contains("blocked_clients:1").then_some(())
            });
        } else if line == "^" {
            told.waiting.read();
        } else {
            told.client.line(line);
        }
    }
}

/// Each script, run by a redis-server 7.0.15 as well, is written down alike.
const SCRIPTS: &[&str] = &[
    "set a 1;set a 1 ex 100;set a 1 nx;set a 1 px 100000 xx get;set a 1 get;set a 1 keepttl get",
    "set a 1 exat 9999999999;set a 1 pxat 9999999999000;getset a 2;getdel a;getdel a",
    "setex a 100 v;psetex a 100000 v;setnx b v;setnx b v",
    "getex a persist;getex a persist;getex a ex 100;getex a pxat 1;set a v;getex a",
    "incr n;incrby n 0;decr n;incrbyfloat f 1.5;incrbyfloat f -1.5;append a x;append a ",
    "setrange b 0 ;setrange b 0 abc;setrange nokey 0 ;setbit bits 3 0;setbit bits 3 0",
    "bitfield bits get u8 0;bitfield bits set u8 0 5 get u8 0;bitop and d bits nokey;bitop and d x y",
    "mset a 1 b 2;msetnx a 1 c 2;msetnx c 1 d 2",
    "set a 1;expire a 100;expire a 100 nx;pexpire a 100000;expireat a 9999999999",
    "set a 1;pexpireat a 9999999999000 xx;expire a 100 gt;expire a 100 lt;expire a -1;persist a",
    "set a 1;expire a 100;persist a;persist a;del nokey;del a nokey b;set a 1;unlink a nokey",
    "set a 1;rename a b;renamenx b c;copy c d;copy c d;copy c d replace;rename c c;copy d e db 3",
    "select 1;set x 1;move x 0;move nokey 0;select 0;touch x;object encoding x",
    "rpush l 1 2 3 4 5 6;lpop l;lpop l 2;rpop l 0;lmpop 1 l left count 2;lmpop 2 nokey l right",
    "lpush l a b c;linsert l before b x;linsert l before nope x;lset l 0 z;lrem l 0 no;lrem l 0 x",
    "lpush l a b c;ltrim l 0 -1;ltrim l 1 -1;ltrim l 5 6;lpushx nokey 1;lpushx l 1",
    "del l;rpush l 1 2;rpoplpush l l;lmove l m left right;rpoplpush nokey l;lmove l l left left",
    "del l m;!blpop l 0;rpush l a b;^;del l;!brpop l 0;rpush l c d;^",
    "del l m;!blmove l m left right 0;rpush l a b;^;del l m;!brpoplpush l m 0;rpush l a;^",
    "del l m z;!blmpop 0 2 nokey l left count 5;rpush l a b;^;!bzpopmin z 0;zadd z 1 a 2 b;^",
    "del z;!bzmpop 0 1 z min count 3;zadd z 1 a 2 b;^;del l;!blpop l 0;multi;rpush l a;set q 5;exec;^",
    "del l m;multi;rpush l a;rpush l b;exec;multi;rpush l a;get a;exec;multi;get a;exec;multi;exec",
    "multi;select 1;set q 1;select 0;set r 1;exec;select 2;multi;set a 1;set b 1;exec",
    "del l m;rpush l a b c d e;blpop l 0;brpop l 0;blmove l m left left 0;brpoplpush l m 0",
    "del z;zadd z 1 a 2 b 3 c 4 d 5 e;zpopmin z;zpopmax z 2;bzpopmin z 0;bzmpop 0 1 z max count 9",
    "del l;rpush l a;blmpop 0 1 l left count 9;sadd s 1;spop s;sadd s 1;spop s 5;spop s;sadd s 1;spop s 0",
    "del s t;sadd s a b;sadd s a;srem s z;smove s t z;smove s s a;smove s t a;srem s b",
    "sadd s a b;sinterstore d s t;sunionstore d s t;sdiffstore d nokey;sdiffstore d nokey",
    "hset h a 1;hset h a 1;hsetnx h a 2;hincrby h n 1;hincrbyfloat h f 1.5;hdel h zz;hdel h a n f",
    "del z;zadd z 1 a;zadd z 1 a;zadd z nx 2 a;zadd z ch 2 a;zadd z incr 1 a;zincrby z 1 a",
    "zadd z xx incr 1 nope;zadd z gt 0 a;zadd z gt 100 a;zremrangebyrank z 9 10;zrem z nope;zrem z a",
    "zadd z 1 a 2 b 3 c;zrangestore zd z 0 -1;zrangestore zd z 9 10;zrangestore zd z 9 10",
    "zadd z 1 a 2 b;zremrangebyscore z 2 2;zunionstore zd 1 z;zinterstore zd 2 z nokey;zdiffstore zd 1 nokey",
    "geoadd g 13.361389 38.115556 Palermo;geoadd g nx 15.087269 37.502669 Catania",
    "geoadd g ch 13.361389 38.115556 Palermo;georadius g 15 37 200 km store gd;georadius g 1 1 1 m store gd",
    "geosearchstore gd g fromlonlat 15 37 byradius 200 km;geosearchstore gd g fromlonlat 1 1 byradius 1 m",
    "pfadd p a b;pfadd p a;pfcount p;pfcount p;pfadd p zz;pfcount p p2;pfmerge p2 p;pfcount p2;pfmerge p3",
    "del l;rpush l 3 1 2;sort l store ls;sort l by w_* get # store ls;sort nokey store ls;sort nokey store ls",
    "flushdb;flushall async;flushall;select 1;flushdb;select 0;swapdb 0 0;swapdb 0 1;swapdb 0 1",
    "multi;flushall;set a 1;exec;multi;swapdb 0 1;set a 1;exec;publish ch x",
    "multi;set a 1;flushdb;lpush l x;exec;del l;!blpop l 0;multi;swapdb 0 1;swapdb 0 1;lpush l x;exec;^",
    "del l;!blpop l 0;multi;rpush l a;pexpire l 20;debug sleep 0.1;exec;rpush l b;^",
    "set a 1;restore a 0 x replace;migrate 127.0.0.1 1 a 0 10;migrate 127.0.0.1 1 nokey 0 10",
    "set a w pxat 1;get a;set a w pxat 1;set a x;set a w pxat 1;append a x;set a w pxat 1;getset a 1",
    "set a w pxat 1;multi;get a;set b 1;exec;set a w pxat 1;set b w pxat 1;mget a b",
    "set a w pxat 1;set b w pxat 1;del a b;set b 1;set a w pxat 1;rename b a",
    "set b 1;set a w pxat 1;copy b a;set a w pxat 1;lpush a 1;sadd s 1 2;set a w pxat 1;sunionstore a s",
    "set a w pxat 1;mset a 100 b 1;set a w pxat 1;expire a 100;set a w pxat 1;bitop and a b b",
    "set a w pxat 1;exists a;set a w pxat 1;spop a;set a w pxat 1;restore a 0 xx;set a w pxat 1;touch a",
    "config set lazyfree-lazy-expire yes;set a w pxat 1;get a;set a v;expire a -1;set a v;getex a pxat 1",
    "config set lazyfree-lazy-server-del yes;sadd s 1 2;spop s 10;set b 1;set a 1;rename b a",
];

#[test]
fn commands_are_written_down_as_redis_does() {
    let mut both = [Kind::Redis, Kind::Node].map(Told::start);
    for script in SCRIPTS {
        let [theirs, ours] = both.each_mut().map(|told| {
            run(told, script);
            told.written()
        });
        assert_eq!(ours, theirs, "{script}");
    }
}

/// Kinds of arguments: `k` a key, `e` an element, `i` a small number, `n` what may be a number, `d` a
/// database, `t` a time to come, `s` a score. Anything else is itself.
const SHAPES: &[&str] = &[
    "set k e",
    "set k n",
    "set k e pxat t",
    "set k e keepttl",
    "set k e nx get",
    "setnx k e",
    "getset k e",
    "getdel k",
    "getex k pxat t",
    "getex k persist",
    "append k e",
    "setrange k i e",
    "incr k",
    "incrby k n",
    "incrbyfloat k n",
    "setbit k i 1",
    "bitop or k k k",
    "bitfield k incrby u8 i 3 get u4 1",
    "mset k e k e",
    "msetnx k e k e",
    "del k k",
    "unlink k",
    "pexpireat k t",
    "pexpireat k t nx",
    "pexpireat k 1",
    "persist k",
    "rename k k",
    "renamenx k k",
    "copy k k",
    "copy k k db d replace",
    "move k d",
    "lpush k e e e",
    "rpush k e",
    "lpushx k e",
    "lpop k",
    "rpop k i",
    "lset k i e",
    "linsert k before e e",
    "lrem k i e",
    "ltrim k i -1",
    "ltrim k 0 i",
    "lmove k k left right",
    "rpoplpush k k",
    "lmpop 2 k k left count 3",
    "blpop k k 0",
    "brpoplpush k k 0",
    "blmove k k right left 0",
    "blmpop 0 2 k k right count 2",
    "sort k store k",
    "sort k by nosort alpha store k",
    "sort k alpha get # get w_* store k",
    "sadd k e e e",
    "srem k e e",
    "smove k k e",
    "spop k 100",
    "sinterstore k k k",
    "sunionstore k k k",
    "sdiffstore k k k",
    "hset k e e e e",
    "hsetnx k e e",
    "hdel k e e",
    "hincrby k e n",
    "hincrbyfloat k e n",
    "zadd k s e s e",
    "zadd k nx s e",
    "zadd k xx ch s e",
    "zadd k gt s e",
    "zadd k incr s e",
    "zincrby k s e",
    "zrem k e e",
    "zpopmin k",
    "zpopmax k i",
    "zmpop 2 k k max count 2",
    "bzpopmin k k 0",
    "bzmpop 0 1 k min count 2",
    "zrangestore k k 0 i",
    "zremrangebyrank k i i",
    "zremrangebyscore k s s",
    "zunionstore k 2 k k",
    "zinterstore k 2 k k weights 2 s",
    "zdiffstore k 2 k k",
    "geoadd k 13.36 38.11 e 15.08 37.50 e",
    "geosearchstore k k fromlonlat 15 37 byradius 200 km",
    "pfadd k e e",
    "pfcount k",
    "pfcount k k",
    "pfmerge k k",
    "get k",
    "select d",
    "multi",
    "multi",
    "exec",
    "exec",
    "exec",
    "discard",
    "flushdb",
    "swapdb d d",
];

struct Generator(Rng);

impl Generator {
    fn word(&mut self, kind: &str) -> String {
        let Self(random) = self;
        match kind {
            "k" => format!(
                "{}{}",
                pick(random, &["s", "l", "h", "z", "w_", "x"]),
                random.u8(..3)
            ),
            "e" => match random.u8(..4) {
                0 => "x".repeat(random.usize(..80)),
                n => format!("{}", u16::from(n) * random.u16(..3)),
            },
            "i" => random.i8(-4..9).to_string(),
            "n" => pick(
                random,
                &["1", "-3", "7", "1.5", "x", "", "9223372036854775807"],
            )
            .to_owned(),
            "d" => random.u8(..3).to_string(),
            "t" => (9_999_999_999_000u64 + u64::from(random.u8(..))).to_string(),
            "s" => pick(random, &["1", "2.5", "-1", "inf", "0", "3"]).to_owned(),
            word => word.to_owned(),
        }
    }

    fn command(&mut self) -> Command {
        let shape = pick(&mut self.0, SHAPES);
        let words = shape.split(' ').map(|kind| self.word(kind).into_bytes());
        words.collect()
    }
}

#[test]
fn random_commands_are_written_down_as_redis_does() {
    const PER_BATCH: usize = 40;
    let seed = seed();
    let mut generator = Generator(Rng::with_seed(seed));
    let mut both = [Kind::Redis, Kind::Node].map(Told::start);
    let deadline = Deadline::after(TIME);
    let (mut batches, mut count) = (0, 0);
    while !deadline.is_over() {
        let commands: Vec<Command> = std::iter::repeat_with(|| generator.command())
            // Those that find nothing would wait, but in a transaction.
            .flat_map(|command| match command[0].first() {
                Some(b'b') if command[0] != b"bitop" && command[0] != b"bitfield" => {
                    vec![line("discard"), line("multi"), command, line("exec")]
                }
                _ => vec![command],
            })
            .take(PER_BATCH)
            .collect();
        let [theirs, ours] = both.each_mut().map(|told| {
            let replies = told.client.pipeline(&commands);
            told.client.line("discard");
            let replies: Vec<String> = replies.iter().map(ToString::to_string).collect();
            (told.written(), replies)
        });
        let shown: Vec<String> = commands
            .iter()
            .map(|command| slotilla_tests::differential::show(command))
            .collect();
        assert_eq!(ours.0, theirs.0, "seed {seed}, after {}", shown.join("\n"));
        batches += 1;
        count += ours.0.len();
    }
    assert!(
        batches > 10 && count > 100,
        "{batches} batches, {count} commands"
    );
    let digests = both.each_mut().map(|told| told.client.line("debug digest"));
    assert_eq!(digests[0], digests[1], "seed {seed}");
}

fn line(text: &str) -> Command {
    text.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}
