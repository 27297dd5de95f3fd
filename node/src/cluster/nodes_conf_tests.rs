//! nodes.conf files of real servers, and damaged ones.

use super::*;

/// Written by redis-server 7.0.15.
const REDIS: &str = "\
756a7a3f79fe9c1048c515a517d0bcbe8dc2cc3c 127.0.0.1:7001@17001,one.example myself,master - 0 1795360602000 1 connected 0-5460 [93->-24f4a4cd288f825d3f2971788dee37871e578e78] [5461-<-24f4a4cd288f825d3f2971788dee37871e578e78]
24f4a4cd288f825d3f2971788dee37871e578e78 127.0.0.1:7007@17007 master,fail - 1795360602000 1795360602046 7 disconnected 5461-5462 16383
4832d1190e11c799ff05899a2a0d821b40246ddc 127.0.0.1:7005@17005 slave,nofailover 24f4a4cd288f825d3f2971788dee37871e578e78 0 1795360602543 7 connected
vars currentEpoch 7 lastVoteEpoch 3
";

/// Written by Valkey 8.1, with a host name's empty place and auxiliary fields.
const VALKEY: &str = "\
4832d1190e11c799ff05899a2a0d821b40246ddc ::1:7005@17005,,tls-port=0,shard-id=d2b30d0d31e2a7d9a0b6d9a5b0f4a2c0a6b0e5d1 myself,master - 0 0 0 connected
vars currentEpoch 0 lastVoteEpoch 0
";

fn fault(file: &str) -> (usize, Fault) {
    let error = NodesConf::parse(file.as_bytes()).unwrap_err();
    (error.line, error.fault)
}

#[test]
fn a_file_of_redis_is_read_and_written_back() {
    let conf = NodesConf::parse(REDIS.as_bytes()).unwrap();
    assert_eq!((conf.current_epoch, conf.last_vote_epoch), (7, 3));
    let [me, other, replica] = &conf.nodes[..] else {
        panic!("three nodes");
    };
    assert_eq!(
        (me.hostname.as_str(), me.slots.len()),
        ("one.example", 5461)
    );
    assert_eq!((me.migrating.len(), me.importing.len()), (1, 1));
    assert!(other.flags.any(NodeFlags::FAIL) && other.slots.len() == 3);
    assert_eq!(replica.primary, Some(other.id));
    let options = Options {
        port: 7001,
        cport: 17_001,
        announce_hostname: "one.example".to_owned(),
        ..Options::default()
    };
    let mut core = Core::restore(options, &conf, 1, 1_795_360_700_000);
    core.start(1_795_360_700_000);
    let written = core.nodes_conf();
    let again = NodesConf::parse(written.as_bytes()).unwrap();
    assert_eq!(again, conf, "{written}");
}

#[test]
fn a_file_of_valkey_is_read() {
    let conf = NodesConf::parse(VALKEY.as_bytes()).unwrap();
    let node = &conf.nodes[0];
    assert_eq!(
        (node.address.ip.as_str(), node.address.cport),
        ("::1", 17_005)
    );
    assert_eq!(node.hostname, "");
}

#[test]
fn blank_lines_are_padding() {
    let padded = format!("{REDIS}\n\n\n\n");
    assert!(NodesConf::parse(padded.as_bytes()).is_ok());
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    for len in 0..REDIS.len() {
        let error = NodesConf::parse(&REDIS.as_bytes()[..len]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("line ") && text.contains("Restore the file"),
            "{text}"
        );
    }
    assert_eq!(fault(""), (0, Fault::CutShort));
}

#[test]
fn damage_is_named_with_its_line() {
    let replaced = |from: &str, to: &str| fault(&REDIS.replacen(from, to, 1));
    assert_eq!(
        replaced("master,fail", "master,broken"),
        (2, bad("a node's flag", "broken"))
    );
    assert_eq!(replaced("16383", "16384"), (2, bad("a slot", "16384")));
    assert_eq!(
        replaced("5461-5462", "5462-5461"),
        (2, bad("a range of slots", "5462-5461"))
    );
    assert_eq!(
        replaced("5461-5462", "5460-5462"),
        (2, Fault::SlotTwice(Slot::from_wire(5460).unwrap()))
    );
    assert_eq!(
        replaced("[93->-", "[93->>"),
        (
            1,
            bad(
                "an open slot",
                "[93->>24f4a4cd288f825d3f2971788dee37871e578e78]"
            )
        )
    );
    assert_eq!(replaced("myself,", ""), (4, Fault::Myself(0)));
    assert_eq!(
        replaced("7007@17007 master", "7007@17007 myself,master"),
        (4, Fault::Myself(2))
    );
    assert_eq!(
        replaced(" 7 disconnected", " seven disconnected"),
        (2, bad("an epoch", "seven"))
    );
    assert_eq!(
        replaced("127.0.0.1:7007@17007", "127.0.0.1:99999@17007"),
        (
            2,
            bad(
                "an address such as 10.0.0.1:6379@16379",
                "127.0.0.1:99999@17007"
            )
        )
    );
    let id = "756a7a3f79fe9c1048c515a517d0bcbe8dc2cc3c";
    let twice = REDIS.replacen(
        "24f4a4cd288f825d3f2971788dee37871e578e78 127",
        &format!("{id} 127"),
        1,
    );
    assert_eq!(fault(&twice), (2, Fault::Twice(name(id).unwrap())));
    assert_eq!(fault(&format!("{REDIS}{id}")), (5, Fault::AfterVars));
    assert_eq!(fault("\u{fffd}"), (1, Fault::Fields(1)));
    let error = NodesConf::parse(b"\xff\n").unwrap_err();
    assert_eq!((error.line, error.fault), (1, Fault::NotText));
}

#[test]
fn random_damage_never_panics() {
    let mut rng = fastrand::Rng::with_seed(9);
    for round in 0..3000 {
        let mut file = if round % 2 == 0 { REDIS } else { VALKEY }
            .as_bytes()
            .to_vec();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..file.len());
            match rng.u8(..4) {
                0 => file[at] = rng.u8(..),
                1 => file.truncate(at.max(1)),
                2 => {
                    file.remove(at);
                    file.push(b' ');
                }
                _ => file.insert(at, b" \n0-9[]><"[rng.usize(..9)]),
            }
        }
        fuzz_nodes_conf(&file);
    }
}
