//! The slot of a key, against a real redis-server.
#![cfg(test)]

use slotilla_common::slot::Slot;
use slotilla_tests::{Client, Kind, Server};

const KEYS: usize = 100_000;
const BATCH: usize = 1_000;

/// A key of up to 40 bytes, of which many have braces in awkward places.
fn random_key(random: &mut fastrand::Rng) -> Vec<u8> {
    let len = random.usize(..40);
    let braces = random.bool();
    (0..len)
        .map(|_| match random.u8(..) {
            0..=30 if braces => b'{',
            31..=60 if braces => b'}',
            _ => random.u8(..),
        })
        .collect()
}

fn compare(client: &mut Client, keys: &[Vec<u8>]) {
    let questions: Vec<Vec<&[u8]>> = keys
        .iter()
        .map(|key| vec![b"CLUSTER".as_slice(), b"KEYSLOT", key])
        .collect();
    for (key, answer) in keys.iter().zip(client.pipeline(&questions)) {
        assert_eq!(
            i64::from(Slot::of_key(key).number()),
            answer.integer(),
            "{key:?}"
        );
    }
}

#[test]
fn every_key_has_the_slot_that_redis_gives_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let redis = Server::start(Kind::Redis, &[("cluster-enabled", "yes")]);
    let node = Server::start(Kind::Node, &[("cluster-enabled", "yes")]);
    let (mut theirs, mut ours) = (redis.client(), node.client());
    for _ in 0..KEYS / BATCH {
        let keys: Vec<_> = (0..BATCH).map(|_| random_key(&mut random)).collect();
        compare(&mut theirs, &keys);
        compare(&mut ours, &keys);
    }
}
