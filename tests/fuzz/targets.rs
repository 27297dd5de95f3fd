//! What is fuzzed: every parser that reads bytes from outside. `tests/random.rs` feeds it
//! mutations of the corpus for some seconds on stable Rust, cargo-fuzz hunts for longer.
//!
//! A target panics if a property does not hold. What it returns tells outcomes apart, so that
//! an input with a new one can be kept and mutated further.

use std::hash::{DefaultHasher, Hash, Hasher};

use slotilla_common::bus::{self, Message};
use slotilla_common::rdb::{Item, ReadError, Reader};
use slotilla_common::resp::{
    FrameScanner, Parsed, RequestLimits, RequestParser, Scan, Value, decode,
};
use slotilla_node::cluster::nodes_conf::{NodesConf, fuzz_nodes_conf};
use slotilla_node::config::Config;
use slotilla_node::rdb::fuzz_dump;
use slotilla_node::replication::apply::fuzz_stream;
use slotilla_node::replication::replica::handshake::fuzz_handshake;
use slotilla_node::store::fuzz::{fuzz_intset, fuzz_listpack};
use slotilla_node::store::hyperloglog::{self as hll, Form, Registers};

/// A parser under test, named as its folder in `corpus/`.
pub(crate) type Target = (&'static str, fn(&[u8]) -> u64);

/// All of them.
pub(crate) const TARGETS: [Target; 12] = [
    ("request", request),
    ("reply", reply),
    ("bus", bus),
    ("redis_conf", redis_conf),
    ("nodes_conf", nodes_conf),
    ("hyperloglog", hyperloglog),
    ("listpack", listpack),
    ("intset", intset),
    ("rdb", rdb),
    ("dump", dump),
    ("handshake", handshake),
    ("stream", stream),
];

/// What a primary says before its data means the same however it is cut up. The first byte chooses
/// the cuts.
pub(crate) fn handshake(data: &[u8]) -> u64 {
    let Some((cut, input)) = data.split_first() else {
        return 0;
    };
    let outcome = fuzz_handshake(usize::from(*cut), input);
    fingerprint([outcome.len()])
}

/// A primary's stream has the same commands and transactions however it is cut up. The first byte
/// chooses the cuts.
pub(crate) fn stream(data: &[u8]) -> u64 {
    let Some((cut, input)) = data.split_first() else {
        return 0;
    };
    let pieces = fuzz_stream(usize::from(*cut), input);
    fingerprint(pieces.iter().map(String::len))
}

/// Requests are the same however their bytes are cut up. The first byte chooses the cuts.
pub(crate) fn request(data: &[u8]) -> u64 {
    let Some((cut, input)) = data.split_first() else {
        return 0;
    };
    let whole = parse_requests(input, input.len().max(1));
    let pieces = parse_requests(input, usize::from(*cut).max(1));
    assert_eq!(whole, pieces, "cut into pieces of {cut}");
    fingerprint(whole.iter().map(String::len))
}

/// Each request's arguments, then the error if there is one, as text.
fn parse_requests(input: &[u8], piece: usize) -> Vec<String> {
    let limits = RequestLimits::default();
    let mut parser = RequestParser::default();
    let (mut found, mut args) = (Vec::new(), Vec::new());
    let (mut start, mut end) = (0, 0);
    loop {
        args.clear();
        match parser.parse(&input[start..end], &mut args, &limits) {
            Ok(Parsed::Complete { consumed } | Parsed::Words { consumed }) => {
                let here = &input[start..end];
                found.push(format!(
                    "{:?}",
                    args.iter().map(|arg| arg.of(here)).collect::<Vec<_>>()
                ));
                assert!(consumed > 0 && consumed <= here.len());
                start += consumed;
            }
            Ok(Parsed::Inline { consumed, request }) => {
                let words: Vec<_> = args.iter().map(|arg| arg.of(&request)).collect();
                found.push(format!("{words:?}"));
                assert!(consumed > 0 && start + consumed <= end);
                start += consumed;
            }
            Ok(Parsed::Incomplete { needed }) => {
                assert!(needed > 0, "an incomplete request needs something");
                if end == input.len() {
                    return found;
                }
                end = input.len().min(end + piece);
            }
            Err(error) => {
                found.push(format!("{error}"));
                return found;
            }
        }
    }
}

/// A reply ends where it ends, however its bytes are cut up, and whoever looks for its end.
pub(crate) fn reply(data: &[u8]) -> u64 {
    let Some((cut, input)) = data.split_first() else {
        return 0;
    };
    let whole = FrameScanner::default().scan(input);
    let mut scanner = FrameScanner::default();
    let mut end = 0;
    let pieces = loop {
        end = input.len().min(end + usize::from(*cut).max(1));
        match scanner.scan(&input[..end]) {
            Ok(Scan::Incomplete { .. }) if end < input.len() => {}
            outcome => break outcome,
        }
    };
    match (&whole, &pieces) {
        // How much more is needed may be known better by who has seen all at once.
        (Ok(Scan::Incomplete { .. }), Ok(Scan::Incomplete { .. })) => {}
        _ => assert_eq!(whole, pieces, "cut into pieces of {cut}"),
    }
    let decoded = decode(input);
    if let Ok(Some((value, consumed))) = &decoded {
        let Ok(Scan::Complete { len, .. }) = whole else {
            panic!("{value:?} is decoded, and scanned as {whole:?}");
        };
        assert_eq!(len, *consumed, "where {value:?} ends");
        survives_writing(value);
    }
    fingerprint([format!("{whole:?}").len(), format!("{decoded:?}").len()])
}

fn survives_writing(value: &Value) {
    let mut out = Vec::new();
    let protocol = slotilla_common::resp::Protocol::Resp3;
    value.write(&mut slotilla_common::resp::ReplyWriter::new(
        &mut out, protocol,
    ));
    let mut again = Vec::new();
    let Ok(Some((second, consumed))) = decode(&out) else {
        panic!(
            "{value:?} is written as something else: {:?}",
            String::from_utf8_lossy(&out)
        );
    };
    assert_eq!(consumed, out.len());
    second.write(&mut slotilla_common::resp::ReplyWriter::new(
        &mut again, protocol,
    ));
    // Compared as written: a NaN is not equal to itself.
    assert_eq!(out, again);
}

/// Messages of the cluster bus.
pub(crate) fn bus(data: &[u8]) -> u64 {
    bus::fuzz_message(data);
    match Message::decode(data) {
        Ok(message) => fingerprint([format!("{message:?}").len() / 8]),
        Err(error) => fingerprint(error.to_string().bytes()),
    }
}

/// A node's configuration, as redis.conf and as TOML.
pub(crate) fn redis_conf(data: &[u8]) -> u64 {
    let texts = [Config::from_conf(data).err(), Config::from_toml(data).err()];
    let told = texts.iter().flatten().flatten().map(|fault| {
        let text = fault.to_string();
        assert!(!text.is_empty(), "a fault says something");
        text.len()
    });
    fingerprint(told)
}

/// A node's memory of its cluster.
pub(crate) fn nodes_conf(data: &[u8]) -> u64 {
    fuzz_nodes_conf(data);
    match NodesConf::parse(data) {
        Ok(conf) => fingerprint([format!("{conf:?}").len() / 8]),
        Err(error) => fingerprint(error.to_string().bytes().take(24)),
    }
}

/// HyperLogLogs, which clients can write as they please. The first byte limits the sparse form, the
/// last ones are elements to add.
pub(crate) fn hyperloglog(data: &[u8]) -> u64 {
    let Some((limit, input)) = data.split_first() else {
        return 0;
    };
    let Some(form) = hll::form(input) else {
        return 1;
    };
    let limit = usize::from(*limit) * 16;
    let estimate = hll::estimate(input);
    let mut registers = Registers::default();
    let merged = registers.merge(input);
    assert_eq!(merged.is_ok(), estimate.is_ok(), "one says corrupted");
    let mut dense = input.to_vec();
    assert_eq!(hll::to_dense(&mut dense).is_ok(), merged.is_ok());
    if let Ok(estimate) = estimate {
        assert_eq!(hll::estimate(&dense), Ok(estimate), "dense");
        assert_eq!(registers.estimate(), estimate, "merged");
        let mut copy = hll::empty();
        assert!(registers.raise_in(&mut copy, limit).is_ok());
        assert_eq!(hll::estimate(&copy), Ok(estimate), "copied");
    }
    let mut changed = input.to_vec();
    let mut added = 0;
    for element in input.rchunks(3).take(20) {
        let Ok(new) = hll::add(&mut changed, element, limit) else {
            assert!(merged.is_err(), "a whole one has every register");
            break;
        };
        added += usize::from(new);
        if merged.is_ok() {
            assert_eq!(hll::add(&mut changed, element, limit), Ok(false), "twice");
        }
    }
    assert_eq!(hll::describe(input).is_some(), form == Form::Sparse);
    hll::set_cached(&mut changed, 7);
    assert_eq!(hll::cached(&changed), Some(7));
    hll::forget_cached(&mut changed);
    assert_eq!(hll::cached(&changed), None);
    let kind = usize::from(form == Form::Sparse) + 2 * usize::from(estimate.is_ok());
    fingerprint([
        kind,
        added,
        hll::describe(&changed).map_or(0, |text| text.len() / 8),
    ])
}

/// Small collections as snapshots have them; once more with the length that they should say, or
/// hardly any would be looked at.
pub(crate) fn listpack(data: &[u8]) -> u64 {
    let mut whole = data.to_vec();
    if let Some(said) = whole.first_chunk_mut() {
        *said = (data.len() as u32).to_le_bytes();
    }
    fingerprint([fuzz_listpack(data), fuzz_listpack(&whole)])
}

/// Small sets of integers as snapshots have them; once more with the count that they should say.
pub(crate) fn intset(data: &[u8]) -> u64 {
    let mut whole = data.to_vec();
    if let Some([2 | 4 | 8, _, _, _, said @ ..]) = whole.first_chunk_mut::<8>() {
        let numbers = (data.len() - 8) / usize::from(data[0]);
        *said = (numbers as u32).to_le_bytes();
    }
    fingerprint([fuzz_intset(data), fuzz_intset(&whole)])
}

/// Values as DUMP has them, without version and checksum.
pub(crate) fn dump(data: &[u8]) -> u64 {
    fingerprint([fuzz_dump(data)])
}

/// Snapshots, all of whose values are strings: the same however their bytes come. The first byte
/// chooses how.
pub(crate) fn rdb(data: &[u8]) -> u64 {
    let Some((cut, input)) = data.split_first() else {
        return 0;
    };
    let (items, fault) = rdb_items(Reader::of(input));
    let pieces = Pieces(input.chunks(usize::from(*cut).max(1)));
    let (again, fault_again) = rdb_items(Reader::new(pieces, None));
    assert_eq!(items, again, "in pieces of {cut}");
    assert_eq!(fault.is_some(), fault_again.is_some());
    let text = fault.map_or(String::new(), |fault| fault.problem.to_string());
    fingerprint([
        items.len(),
        text.split(|c: char| c.is_ascii_digit()).count(),
        text.len() / 8,
    ])
}

/// Gives its pieces one at a time.
struct Pieces<'b>(std::slice::Chunks<'b, u8>);

impl std::io::Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let piece = self.0.next().unwrap_or_default();
        out[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

fn rdb_items<R: std::io::Read>(mut reader: Reader<R>) -> (Vec<Item>, Option<ReadError>) {
    let (mut items, mut value) = (Vec::new(), Vec::new());
    let result = reader.begin().and_then(|version| {
        loop {
            let item = reader.item(version)?;
            if matches!(item, Item::Key { .. }) {
                reader.string("a value", &mut value)?;
            }
            let is_end = item == Item::End;
            items.push(item);
            if is_end {
                return Ok(());
            }
        }
    });
    (items, result.err())
}

fn fingerprint<T: Hash>(parts: impl IntoIterator<Item = T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}
