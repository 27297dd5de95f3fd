//! Rubbish on the cluster bus: the link is closed or ignored, and the cluster stays whole.
#![cfg(test)]

use std::fs;
use std::io::Write;
use std::net::TcpStream;

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
fn rubbish_on_the_bus_harms_nobody() {
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
