//! Rubbish on the cluster bus: the link is closed or ignored, nothing is kept of it, and the
//! cluster stays whole.
#![cfg(test)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::{Cluster, Kind, binaries, wait_until};

/// Frames of a real cluster, whole, cut, with wrong lengths and with flipped bits.
fn bad_frames(random: &mut Rng) -> Vec<Vec<u8>> {
    let folder = binaries::root().join("tests/fuzz/corpus/bus");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let mut frames = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        b"RCmb\xff\xff\xff\xff".to_vec(),
        b"RCmb\0\0\0\0".to_vec(),
        b"RCmb\0\0\0\x08".to_vec(),
        vec![0; 5000],
    ];
    for file in files {
        let frame = fs::read(file).unwrap();
        frames.push(frame[..random.usize(..frame.len())].to_vec());
        for _ in 0..10 {
            let mut bent = frame.clone();
            for _ in 0..random.usize(1..20) {
                let at = random.usize(..bent.len());
                bent[at] ^= 1 << random.u8(..8);
            }
            frames.push(bent);
        }
        // From a stranger: heard, and not believed.
        frames.push(frame);
    }
    frames
}

#[test]
fn frames_cut_bent_or_from_strangers_harm_nobody() {
    let mut cluster = Cluster::start(Kind::Node, 3);
    let mut random = Rng::with_seed(1);
    let frames = bad_frames(&mut random);
    let before = cluster.nodes[0].process().open_files();
    for node in &cluster.nodes {
        for frame in &frames {
            let mut link = TcpStream::connect(("127.0.0.1", node.port() + 10_000)).unwrap();
            // The node may hang up at the first wrong byte.
            let _ = link.write_all(frame);
        }
    }
    cluster.wait_ok();
    for number in 0..100 {
        let key = format!("key:{number}");
        cluster.client_of(&key).ok(&["SET", &key, "value"]);
    }
    wait_until("the links to be closed", || {
        cluster.nodes[0].process().open_files() <= before + 4
    });
}

/// A PING of redis-server 7.0.15.
const PING: &[u8] = include_bytes!("../../common/src/bus/testdata/redis-7.0.15-ping.bin");

/// What a node answers before it closes the connection, or stays silent for a while.
fn answer(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // It may be closed before all is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn rubbish_leaves_no_node_memory_or_file_behind() {
    let mut cluster = Cluster::start(Kind::Node, 2);
    let bus = cluster.nodes[0].port() + 10_000;
    let nodes_before = cluster.nodes[0].client().call(&["CLUSTER", "NODES"]).text();
    let memory_before = cluster.nodes[0].process().resident_bytes();
    let mut rng = Rng::with_seed(7);
    for round in 0..500 {
        let mut bytes = PING.to_vec();
        match round % 5 {
            // Noise, with and without the head of a message.
            0 => {
                bytes = std::iter::repeat_with(|| rng.u8(..))
                    .take(round * 8)
                    .collect()
            }
            1 => bytes[8..].iter_mut().for_each(|byte| *byte = rng.u8(..)),
            // A message with some bytes wrong, of any type and count.
            2 => (0..8).for_each(|_| bytes[rng.usize(..2384)] = rng.u8(..)),
            3 => bytes[12..16].iter_mut().for_each(|byte| *byte = rng.u8(..)),
            // A length that is never delivered.
            _ => bytes[4..8].copy_from_slice(&rng.u32(..).to_be_bytes()),
        }
        answer(bus, &bytes);
    }
    assert_eq!(answer(bus, b"GET / HTTP/1.1\r\n\r\n"), b"");
    // A stranger that says PING is answered by PONG, and not taken in.
    let mut stranger = TcpStream::connect(("127.0.0.1", bus)).unwrap();
    stranger.write_all(PING).unwrap();
    let mut pong = [0; 14];
    stranger.read_exact(&mut pong).unwrap();
    assert_eq!((&pong[..4], pong[13]), (&b"RCmb"[..], 1));
    let count = |text: &str| text.lines().count();
    let nodes = cluster.nodes[0].client().call(&["CLUSTER", "NODES"]).text();
    assert_eq!(count(&nodes), count(&nodes_before));
    cluster.wait_ok();
    let grown = cluster.nodes[0]
        .process()
        .resident_bytes()
        .saturating_sub(memory_before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    wait_until("no file is left open", || {
        cluster.nodes[0].process().open_files() < 100
    });
}

#[test]
fn half_open_and_reset_connections_are_given_back() {
    let mut cluster = Cluster::start(Kind::Node, 1);
    let bus = cluster.nodes[0].port() + 10_000;
    let before = cluster.nodes[0].process().open_files();
    for _ in 0..5 {
        let crowd: Vec<TcpStream> = (0..100)
            .map(|_| TcpStream::connect(("127.0.0.1", bus)).unwrap())
            .collect();
        for (place, stream) in crowd.iter().enumerate() {
            let mut stream = stream;
            let _ = stream.write_all(&PING[..place * 20]);
        }
        drop(crowd);
    }
    wait_until("all files are given back", || {
        cluster.nodes[0].process().open_files() <= before
    });
    assert_eq!(cluster.nodes[0].client().call(&["PING"]).text(), "PONG");
}
