//! nutcracker, Envoy and our proxy, each with one thread in front of the same primaries.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Bench;
use super::check;
use super::cluster::{Primaries, WEIGHTS};
use super::layout::Layout;
use super::process::{Process, Start, free_address, wait_for};
use super::programs;
use super::subject::{Subject, words};
use crate::failure::{Failure, Outcome};
use crate::load::{drive, sequential};
use crate::note;
use crate::workload::{Answers, Kind, Shape};

/// nutcracker's unit of memory. Its default of 16 KiB is made for large values: with these
/// small ones every request in flight drags that much through the caches.
const NUTCRACKER_BUFFER_BYTES: u32 = 2048;

/// Envoy sends to a primary when it has this many bytes, or after [`ENVOY_FLUSH_AFTER`]: that
/// is the better for clients that pipeline, and much the worse for those that do not.
const ENVOY_BUFFER_BYTES: u32 = 4096;

const ENVOY_FLUSH_AFTER: &str = "0.001s";

/// Proxies, and the primaries that they need.
#[derive(Debug)]
pub(super) struct Proxies {
    pub(super) subjects: Vec<Subject>,
    primaries: Vec<Primaries>,
}

/// Starts proxies, those that need the same primaries in front of the same, and sets every key
/// of `shape`. All proxies must find what the first one wrote.
pub(super) fn start(bench: &Bench, names: &[&str], shape: &Shape) -> Outcome<Proxies> {
    let mut started = Proxies {
        subjects: Vec::new(),
        primaries: Vec::new(),
    };
    for cluster in [false, true] {
        let group = names.iter().filter(|name| follows_slots(name) == cluster);
        let group: Vec<&&str> = group.collect();
        if group.is_empty() {
            continue;
        }
        let kind = &bench.options.primaries;
        let cores = &bench.layout.primaries;
        let mut primaries = Primaries::start(kind, cluster, cores, bench.dir())?;
        for (place, name) in group.into_iter().enumerate() {
            note(&format!("starting {name}"));
            let subject = start_proxy(name, &mut primaries, &bench.layout, bench.dir())?;
            let address = subject.pipelined_address;
            if place == 0 {
                drive(sequential(address, Kind::Set, shape.clone()))?;
            }
            drive(sequential(address, Kind::Get, shape.clone()))?;
            started.subjects.push(subject);
        }
        let (keys, expected) = (primaries.keys()?, shape.keys);
        if u64::try_from(keys) != Ok(expected) {
            let text = format!("the primaries hold {keys} keys after {expected} were set");
            return Err(Failure::WrongAnswer(text));
        }
        started.primaries.push(primaries);
    }
    Ok(started)
}

/// Whether a proxy works with a cluster.
fn follows_slots(name: &str) -> bool {
    name != "nutcracker"
}

/// Starts a proxy and waits until it reaches every primary and answers rightly.
fn start_proxy(
    name: &str,
    primaries: &mut Primaries,
    layout: &Layout,
    dir: &Path,
) -> Outcome<Subject> {
    let address = free_address()?;
    let dir = dir.join(format!("{name}-{}", address.port()));
    fs::create_dir_all(&dir).map_err(Failure::io(format!("create {}", dir.display())))?;
    let upstream = primaries.addresses();
    let mut pipelined_address = address;
    let (program, arguments) = match name {
        "nutcracker" => {
            let file = write(&dir, "nutcracker.yml", &nutcracker(address, &upstream))?;
            let stats = free_address()?.port();
            let arguments = format!(
                "-c {} -m {NUTCRACKER_BUFFER_BYTES} -s {stats} -a 127.0.0.1 -v 4",
                file.display()
            );
            (programs::system("nutcracker")?, words(&arguments))
        }
        "envoy" => {
            pipelined_address = free_address()?;
            let config = envoy(address, pipelined_address, &upstream);
            let file = write(&dir, "envoy.json", &config.to_string())?;
            let arguments = "--concurrency 1 --disable-hot-restart --log-level error -c";
            let arguments = format!("{arguments} {}", file.display());
            (programs::envoy()?, words(&arguments))
        }
        "proxy" => (programs::ours("slotilla-proxy")?, ours(address, &upstream)),
        other => return Err(Failure::Usage(format!("{other} is no proxy"))),
    };
    let process = Process::start(Start {
        name,
        program: &program,
        arguments,
        environment: Vec::new(),
        cores: &layout.subject,
        dir: &dir,
    })?;
    let mut subject = Subject {
        name: name.to_owned(),
        address,
        pipelined_address,
        answers: Answers::Values,
        process,
        dir,
        upstream: primaries.pids(),
    };
    await_answers(&mut subject, primaries)?;
    Ok(subject)
}

/// A proxy that listens may not have found its primaries yet.
fn await_answers(subject: &mut Subject, primaries: &mut Primaries) -> Outcome<()> {
    let what = format!("{} answers rightly", subject.name);
    let mut nodes: Vec<_> = primaries
        .nodes
        .iter_mut()
        .map(|node| &mut node.process)
        .collect();
    // What was checked half may be left behind: each try starts on empty primaries.
    wait_for(&what, &mut nodes, || {
        subject.process.check()?;
        check::clear(subject)?;
        check::right_answers(subject)
    })
}

fn write(dir: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let file = dir.join(name);
    fs::write(&file, text).map_err(Failure::io(format!("write {}", file.display())))?;
    Ok(file)
}

/// One pool whose servers get the keys of their slots; see [`super::cluster`].
fn nutcracker(address: SocketAddr, upstream: &[SocketAddr]) -> String {
    let mut text = format!(
        "bench:\n  listen: {address}\n  redis: true\n  hash: crc16\n  distribution: modula\n  \
         preconnect: true\n  auto_eject_hosts: false\n  backlog: 1024\n  server_connections: 1\n  \
         servers:\n"
    );
    for (place, (server, weight)) in upstream.iter().zip(WEIGHTS).enumerate() {
        text.push_str(&format!("    - {server}:{weight} primary{place}\n"));
    }
    text
}

fn ours(address: SocketAddr, upstream: &[SocketAddr]) -> Vec<String> {
    let seeds: Vec<String> = upstream.iter().map(ToString::to_string).collect();
    let (port, seeds) = (address.port(), seeds.join(","));
    words(&format!(
        "--port {port} --bind 127.0.0.1 --io-threads 1 --maxclients 15000 --seeds {seeds}"
    ))
}

/// Two listeners in one process: one sends every request on at once, one gathers first.
fn envoy(address: SocketAddr, pipelined: SocketAddr, upstream: &[SocketAddr]) -> Value {
    let socket = |address: &SocketAddr| {
        json!({ "socket_address": {
            "address": address.ip().to_string(), "port_value": address.port() } })
    };
    let endpoints: Vec<Value> = upstream
        .iter()
        .map(|address| json!({ "endpoint": { "address": socket(address) } }))
        .collect();
    let at_once = json!({ "op_timeout": "10s", "enable_redirection": true });
    let gather = json!({
        "op_timeout": "10s",
        "enable_redirection": true,
        "max_buffer_size_before_flush": ENVOY_BUFFER_BYTES,
        "buffer_flush_timeout": ENVOY_FLUSH_AFTER,
    });
    let cluster_type = "type.googleapis.com/google.protobuf.Struct";
    json!({ "static_resources": {
        "listeners": [
            envoy_listener("at_once", &socket(&address), &at_once),
            envoy_listener("gather", &socket(&pipelined), &gather),
        ],
        "clusters": [{
            "name": "primaries",
            "connect_timeout": "1s",
            "lb_policy": "CLUSTER_PROVIDED",
            "load_assignment": {
                "cluster_name": "primaries",
                "endpoints": [{ "lb_endpoints": endpoints }],
            },
            "cluster_type": {
                "name": "envoy.clusters.redis",
                "typed_config": {
                    "@type": cluster_type,
                    "value": { "cluster_refresh_rate": "60s", "cluster_refresh_timeout": "5s" },
                },
            },
        }],
    } })
}

fn envoy_listener(name: &str, address: &Value, settings: &Value) -> Value {
    let redis_proxy =
        "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy";
    json!({
        "name": name,
        "address": address,
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.redis_proxy",
            "typed_config": {
                "@type": redis_proxy,
                "stat_prefix": name,
                "settings": settings,
                "prefix_routes": { "catch_all_route": { "cluster": "primaries" } },
            },
        }] }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nutcracker_gets_every_primary_with_its_weight() {
        let upstream = [7000, 7001, 7002].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = nutcracker(([127, 0, 0, 1], 6379).into(), &upstream);
        assert!(text.starts_with("bench:\n  listen: 127.0.0.1:6379\n  redis: true\n"));
        assert!(text.ends_with(
            "  servers:\n    - 127.0.0.1:7000:22 primary0\n    - 127.0.0.1:7001:21 primary1\n    \
             - 127.0.0.1:7002:21 primary2\n"
        ));
    }

    #[test]
    fn both_of_envoys_listeners_lead_to_the_primaries() {
        let upstream = [SocketAddr::from(([127, 0, 0, 1], 7000))];
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let config = envoy(address(1), address(2), &upstream);
        let port = |pointer: &str| config.pointer(pointer).and_then(Value::as_u64);
        let listener = "/static_resources/listeners";
        let socket = "address/socket_address/port_value";
        assert_eq!(port(&format!("{listener}/0/{socket}")), Some(1));
        assert_eq!(port(&format!("{listener}/1/{socket}")), Some(2));
        let endpoint = "load_assignment/endpoints/0/lb_endpoints/0/endpoint";
        let path = format!("/static_resources/clusters/0/{endpoint}/{socket}");
        assert_eq!(port(&path), Some(7000));
    }
}
