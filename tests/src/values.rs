//! Keys of every type, encoding and size worth trying, made by commands.

use fastrand::Rng;

use crate::differential::Command;

/// Sizes of collections and strings: around the limits up to which they are packed, embedded,
/// numbers, compressed.
const COUNTS: &[usize] = &[1, 2, 3, 127, 128, 129, 511, 512, 513, 2000];
const LENGTHS: &[usize] = &[
    0, 1, 11, 20, 21, 44, 45, 63, 64, 65, 252, 300, 4095, 4096, 70_000,
];

/// A command, given as words between spaces.
#[must_use]
pub fn words(line: &str) -> Command {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// A command with so many arguments of one kind after its key.
#[must_use]
pub fn with(line: &str, arguments: impl IntoIterator<Item = String>) -> Command {
    let mut command = words(line);
    command.extend(arguments.into_iter().map(String::into_bytes));
    command
}

/// A text of so many bytes that is hard to compress.
fn noise(len: usize, random: &mut Rng) -> Vec<u8> {
    (0..len).map(|_| random.u8(..)).collect()
}

/// Commands that make a key of every type, encoding and size worth trying.
#[must_use]
pub fn every_kind(random: &mut Rng) -> Vec<Command> {
    let mut all = strings(random);
    for count in COUNTS {
        let numbers = || (0..*count).map(|n| (n * 7 % 1000).to_string());
        let names = || (0..*count).map(|n| format!("name:{n}"));
        all.push(with(&format!("rpush list:names:{count}"), names()));
        all.push(with(&format!("rpush list:numbers:{count}"), numbers()));
        all.push(with(&format!("sadd set:names:{count}"), names()));
        all.push(with(&format!("sadd set:numbers:{count}"), numbers()));
        let pairs = names()
            .zip(numbers())
            .flat_map(|(name, number)| [name, number]);
        all.push(with(&format!("hset hash:{count}"), pairs));
        let scores = numbers()
            .zip(names())
            .flat_map(|(number, name)| [number, name]);
        all.push(with(&format!("zadd zset:{count}"), scores));
    }
    for len in LENGTHS {
        let text = || vec!["x".repeat(*len), "y".to_owned(), "x".repeat(len / 2)];
        all.push(with(&format!("rpush list:long:{len}"), text()));
        all.push(with(&format!("sadd set:long:{len}"), text()));
        all.push(with(&format!("hset hash:value:{len} f"), text()));
        let member = "x".repeat((*len).max(1));
        all.push(words(&format!("zadd zset:long:{len} 1 {member}")));
    }
    let odd = "-inf a inf b -0 c 0 d 1e300 e -1e-300 f 0.1 g 3 h 4611686018427387904 i \
               9007199254740993 j 1.5 k -7 l";
    all.push(words(&format!("zadd zset:odd {odd}")));
    // A zero has its sign or not, as the set was big from the start or became so.
    let odd = odd.replace("-0 c ", "");
    all.push(words(&format!(
        "zadd zset:odd:big {odd} 1 {}",
        "m".repeat(65)
    )));
    for (width, numbers) in [
        (16, "-32768 32767 0 5"),
        (32, "-32769 32768 2147483647 -2147483648"),
        (64, "-2147483649 9223372036854775807 -9223372036854775808"),
    ] {
        all.push(words(&format!("sadd set:width:{width} {numbers}")));
        all.push(words(&format!(
            "rpush list:width:{width} {numbers} 127 128 -1 4095 -4096 4096 8388607"
        )));
    }
    all
}

fn strings(random: &mut Rng) -> Vec<Command> {
    let mut all = Vec::new();
    let mut set = |name: String, value: Vec<u8>| {
        all.push(vec![b"set".to_vec(), name.into_bytes(), value]);
    };
    for number in [
        "0",
        "-1",
        "127",
        "128",
        "-128",
        "-129",
        "32767",
        "32768",
        "-32769",
        "2147483647",
        "2147483648",
        "-2147483648",
        "-2147483649",
        "9223372036854775807",
        "00",
        "-0",
        "+1",
        "1 ",
        "3.0",
    ] {
        set(format!("string:number:{number}"), number.into());
    }
    for len in LENGTHS {
        set(format!("string:same:{len}"), vec![b'z'; *len]);
        set(format!("string:noise:{len}"), noise(*len, random));
        let text = (0..*len).map(|n| b"the quick brown fox, {\"json\":"[n % 29]);
        set(format!("string:text:{len}"), text.collect());
    }
    all.push(words("setrange string:raw 3 x"));
    all.push(words("pfadd string:hll a b c d"));
    all
}
