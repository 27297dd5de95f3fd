//! Random places and searches, sent to our node and to a real redis-server 7.0.15: scores, texts,
//! distances and the order of what is found must be the same to the last digit.
//!
//! A run is given by its seed, which a failure prints: `SLOTILLA_SEED=… cargo test` repeats it.
#![cfg(test)]

use std::time::Duration;

use fastrand::Rng;
use slotilla_tests::{Client, Deadline, Kind, Server};

const TIME: Duration = Duration::from_secs(4);
const PER_BATCH: usize = 50;
const BATCHES_OF_A_KIND: usize = 20;

/// Commands, each argument a kind: `k` a key, `m` a member, `p` a longitude and a latitude, `P`
/// some places with their members, `d` a distance, `u` a unit, `n` a count, `O` up to four options,
/// `F` what is searched around, `B` how far.
const SHAPES: &[&str] = &[
    "geoadd k P",
    "geoadd k P",
    "geoadd k P",
    "geoadd k nx P",
    "geoadd k xx ch P",
    "geoadd k ch P",
    "geoadd k nx xx p m",
    "geoadd k p",
    "geoadd k p m p",
    "geodist k m m",
    "geodist k m m u",
    "geodist k m m u u",
    "geohash k m m m",
    "geohash k",
    "geopos k m m",
    "geosearch k F B",
    "geosearch k F B asc",
    "geosearch k F B desc withdist",
    "geosearch k F B asc withdist withhash withcoord",
    "geosearch k F B count n",
    "geosearch k F B count n any",
    "geosearch k F B O",
    "geosearch k F B O",
    "geosearch k B F O",
    "geosearch k F O",
    "geosearch k B O",
    "geosearchstore k k F B",
    "geosearchstore k k F B storedist",
    "geosearchstore k k F B count n asc",
    "geosearchstore k k F B O",
    "georadius k p d u",
    "georadius k p d u O",
    "georadius k p d u withcoord withdist count n",
    "georadius k p d u store k",
    "georadius k p d u storedist k",
    "georadius k p d u store k O",
    "georadius k p d u store k storedist k",
    "georadiusbymember k m d u storedist k store k count n store k",
    "command getkeys georadius k p d u store k O storedist k store k",
    "georadius_ro k p d u O",
    "georadius_ro k p d u store k",
    "georadiusbymember k m d u O",
    "georadiusbymember k m d u withdist",
    "georadiusbymember k m d u storedist k desc",
    "georadiusbymember_ro k m d u O",
    "zrange k 0 -1 withscores",
    "zscore k m",
    "zrem k m",
    "del k",
    "set k m",
    "object encoding k",
];

const OPTIONS: &[&str] = &[
    "asc",
    "DESC",
    "withdist",
    "WITHHASH",
    "withcoord",
    "any",
    "count",
    "3",
    "0",
    "-1",
    "store",
    "storedist",
    "bogus",
    "frommember",
    "bybox",
    "byradius",
    "fromlonlat",
];

struct Generator {
    random: Rng,
    /// Whether places may be at equal distances. Which of those COUNT takes is open, so nothing is
    /// counted then.
    has_ties: bool,
}

impl Generator {
    fn one_of(&mut self, from: &[&str]) -> String {
        from[self.random.usize(..from.len())].to_owned()
    }

    fn degrees(&mut self, max: f64) -> String {
        match self.random.u8(0..40) {
            0 | 2 | 3 if !self.has_ties => (self.random.f64() * 2.0 * max - max).to_string(),
            0 => self.one_of(&["0", "-0", "179.9", "-179.9", "85", "-85"]),
            // The map's edge, where scores have a bit too many.
            2 | 3 => {
                let sign = if self.random.bool() { "-" } else { "" };
                let edge = if max > 90.0 { "180" } else { "85.05112878" };
                format!("{sign}{edge}")
            }
            1 => self.one_of(&["200", "-90", "abc", "", "nan", "1e2", "inf", "86"]),
            4 => (self.random.f64() * 2.0 * max - max).to_string(),
            // Near each other.
            _ => (self.random.f64() * 4.0 + 10.0).to_string(),
        }
    }

    fn distance(&mut self) -> String {
        match self.random.u8(0..20) {
            0 => self.one_of(&["0", "-1", "abc", "", "1e400", "inf"]),
            1 => (self.random.f64() * 3e7).to_string(),
            2 => (self.random.f64() * 10.0).to_string(),
            _ => (self.random.f64() * 400.0).to_string(),
        }
    }

    fn argument(&mut self, kind: &str, out: &mut Vec<String>) {
        let words = match kind {
            "k" => vec![format!("k{}", self.random.u8(0..3))],
            "m" => vec![format!("m{}", self.random.u8(0..60))],
            "p" => vec![self.degrees(180.0), self.degrees(85.0)],
            "P" => {
                for _ in 0..self.random.u8(1..8) {
                    self.argument("p", out);
                    self.argument("m", out);
                }
                return;
            }
            "d" => vec![self.distance()],
            "u" => vec![match self.random.u8(0..15) {
                0 => self.one_of(&["yd", "", "mm"]),
                1 => self.one_of(&["M", "ft", "MI"]),
                _ => "km".to_owned(),
            }],
            "n" => vec![self.random.u8(0..6).to_string()],
            "O" => (0..self.random.u8(0..5))
                .map(|_| self.one_of(OPTIONS))
                .collect(),
            "F" if self.random.bool() => {
                out.push("frommember".to_owned());
                return self.argument("m", out);
            }
            "F" => {
                out.push("fromlonlat".to_owned());
                return self.argument("p", out);
            }
            "B" if self.random.bool() => {
                out.push("byradius".to_owned());
                self.argument("d", out);
                return self.argument("u", out);
            }
            "B" => {
                out.push("bybox".to_owned());
                self.argument("d", out);
                self.argument("d", out);
                return self.argument("u", out);
            }
            word => vec![word.to_owned()],
        };
        out.extend(words);
    }

    fn command(&mut self) -> Vec<String> {
        loop {
            let mut command = Vec::new();
            for kind in self.one_of(SHAPES).split(' ') {
                self.argument(kind, &mut command);
            }
            // Distances that are stored as scores are places that lie next to each other.
            let unwanted = if self.has_ties { "count" } else { "storedist" };
            if !command.iter().any(|word| word == unwanted) {
                return command;
            }
        }
    }
}

fn compare(protocol: &str, settings: &[(&str, &str)]) {
    let seed = slotilla_tests::differential::seed();
    let redis = Server::start(Kind::Redis, settings);
    let node = Server::start(Kind::Node, settings);
    let (mut theirs, mut ours): (Client, Client) = (redis.client(), node.client());
    for client in [&mut theirs, &mut ours] {
        assert!(client.call(&["hello", protocol]).error().is_none());
    }
    let mut generator = Generator {
        random: Rng::with_seed(seed),
        has_ties: false,
    };
    let deadline = Deadline::after(TIME);
    let mut batches = 0;
    while !deadline.is_over() {
        if batches % BATCHES_OF_A_KIND == 0 {
            generator.has_ties = !generator.has_ties;
            theirs.ok(&["flushall"]);
            ours.ok(&["flushall"]);
        }
        let commands: Vec<Vec<String>> = (0..PER_BATCH).map(|_| generator.command()).collect();
        let (a, b) = (theirs.pipeline(&commands), ours.pipeline(&commands));
        for (command, (a, b)) in commands.iter().zip(a.iter().zip(&b)) {
            assert_eq!(
                a, b,
                "seed {seed}: {command:?} of redis-server and our node"
            );
        }
        batches += 1;
    }
    assert!(batches > 5, "only {batches} batches in the time");
}

#[test]
fn random_searches_find_the_same_in_resp2() {
    compare("2", &[]);
}

#[test]
fn random_searches_find_the_same_in_resp3() {
    compare("3", &[("zset-max-listpack-entries", "10")]);
}

/// Where the score of a place has a bit too many, and around it; searched with shapes of all sizes
/// that reach over the edge, or around the globe.
#[test]
fn the_edge_of_the_map_is_searched_alike() {
    const LONGITUDES: [&str; 6] = ["-180", "-179.99999", "0", "90", "179.99999", "180"];
    const LATITUDES: [&str; 5] = ["-85.05112878", "-85", "0", "85.05", "85.05112878"];
    const SIZES: [&str; 8] = ["0", "0.001", "1", "50", "3000", "9000", "20016", "50000"];
    let redis = Server::start(Kind::Redis, &[]);
    let node = Server::start(Kind::Node, &[]);
    let (mut theirs, mut ours): (Client, Client) = (redis.client(), node.client());
    let places = LONGITUDES.iter().flat_map(|x| LATITUDES.map(|y| (*x, y)));
    let mut commands: Vec<Vec<String>> = Vec::new();
    let mut add = |line: String| commands.push(line.split(' ').map(str::to_owned).collect());
    for (x, y) in places.clone() {
        add(format!("geoadd map {x} {y} {x},{y}"));
        add(format!("geohash map {x},{y}"));
        add(format!("geopos map {x},{y}"));
    }
    add("zrange map 0 -1 withscores".to_owned());
    for (x, y) in places {
        for from in [format!("frommember {x},{y}"), format!("fromlonlat {x} {y}")] {
            for (at, size) in SIZES.iter().enumerate() {
                let other = SIZES[(at + 3) % SIZES.len()];
                for shape in [
                    format!("byradius {size}"),
                    format!("bybox {size} {size}"),
                    format!("bybox {size} {other}"),
                ] {
                    add(format!("geosearch map {from} {shape} km withdist withhash"));
                    add(format!("geosearch map {from} {shape} km count 3 any"));
                }
            }
        }
    }
    let (a, b) = (theirs.pipeline(&commands), ours.pipeline(&commands));
    for (command, (a, b)) in commands.iter().zip(a.iter().zip(&b)) {
        assert_eq!(a, b, "{command:?} of redis-server and our node");
    }
}
