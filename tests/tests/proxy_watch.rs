//! The proxy's command line, its admin port, and what Prometheus thinks of its metrics.
#![cfg(test)]

use std::process::Command;

use slotilla_tests::{Cluster, Kind, Server, binaries, promtool_check, wait_until};

#[test]
fn metrics_count_what_happened_and_promtool_has_nothing_to_say() {
    let cluster = Cluster::start(Kind::Redis, 2);
    let proxy = cluster.proxy(&[]);
    let mut client = proxy.client();
    for n in 0..10 {
        client.ok(&["SET", &format!("k{n}"), "v"]);
    }
    client.line("MGET k0 k1 k2 k3");
    client.line("LPUSH k0 x");
    let (status, metrics) = proxy.admin("/metrics");
    assert_eq!(status, 200);
    for line in [
        "slotilla_proxy_command_total{command=\"set\"} 10",
        "slotilla_proxy_command_error_total{command=\"lpush\"} 1",
        "slotilla_proxy_request_duration_seconds_count{class=\"split\"} 1",
        "slotilla_proxy_request_duration_seconds_count{class=\"write\"} 11",
        "slotilla_proxy_map_version 1",
        "slotilla_proxy_map_slots_covered 16384",
        "slotilla_proxy_upstream_cx_active 2",
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "no {line} in\n{metrics}"
        );
    }
    let figure = |name: &str, node: &Server| -> f64 {
        let series = format!(
            "slotilla_proxy_upstream_node_{name}{{node=\"{}\"}} ",
            node.address()
        );
        let found = metrics.lines().find_map(|line| line.strip_prefix(&series));
        let value = found.unwrap_or_else(|| panic!("no {series}in\n{metrics}"));
        value.parse().expect("a number")
    };
    let sum = |name: &str| -> f64 { cluster.nodes.iter().map(|node| figure(name, node)).sum() };
    assert_eq!(sum("up"), 2.0);
    assert_eq!(sum("cx_active"), 2.0);
    assert_eq!(sum("cx_total"), 2.0);
    assert_eq!(sum("rq_error_total"), 1.0);
    assert_eq!(sum("rq_timeout_total"), 0.0);
    assert_eq!(sum("rq_pending_active"), 0.0);
    // SET ten times, LPUSH once, MGET in as many parts as there are slots.
    assert!((12.0..=15.0).contains(&sum("rq_total")));
    let promtool = promtool_check(&metrics);
    assert!(promtool.success, "{promtool:?}");
    assert_eq!((promtool.out, promtool.err), (String::new(), String::new()));
}

#[test]
fn a_node_that_is_gone_is_told_to_be_down() {
    let mut cluster = Cluster::start(Kind::Redis, 2);
    let proxy = cluster.proxy(&[("request-timeout", "300ms")]);
    let mut client = proxy.client();
    client.line("MGET a b c d e f");
    let address = cluster.nodes[0].address();
    cluster.nodes[0].kill();
    let is_told = |name: &str, value: &str| {
        let line = format!("slotilla_proxy_upstream_node_{name}{{node=\"{address}\"}} {value}");
        proxy.admin("/metrics").1.lines().any(|l| l == line)
    };
    wait_until("the node to be down", || {
        client.line("MGET a b c d e f");
        is_told("up", "0") && is_told("cx_active", "0") && is_told("cx_lost_total", "1")
    });
}

#[test]
fn a_node_s_loss_and_its_return_are_logged_once_each() {
    let mut cluster = Cluster::start_mixed(
        &[Kind::Redis; 2],
        // The other one goes on, and so do the requests.
        &[("cluster-require-full-coverage", "no")],
    );
    let proxy = cluster.proxy(&[
        ("request-timeout", "300ms"),
        ("retry-backoff-max", "50ms"),
        ("io-threads", "2"),
    ]);
    let mut clients = [proxy.client(), proxy.client()];
    clients[1].line("HELLO 3");
    for client in &mut clients {
        client.line("MGET a b c d e f");
    }
    let address = cluster.nodes[0].address();
    cluster.nodes[0].kill();
    let failures = || {
        let name = "slotilla_proxy_upstream_cx_connect_fail_total ";
        let metrics = proxy.admin("/metrics").1;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    };
    wait_until("some failed attempts", || {
        for client in &mut clients {
            client.line("MGET a b c d e f");
        }
        failures() > 5.0
    });
    let told = || -> Vec<String> {
        let log = proxy.log();
        let about = log.lines().filter(|line| line.contains(&address));
        about.map(str::to_owned).collect()
    };
    assert_eq!(told().len(), 1, "{:?}", told());
    let node = cluster.nodes.remove(0).restart();
    wait_until("the return", || {
        for client in &mut clients {
            client.line("MGET a b c d e f");
        }
        told().len() > 1
    });
    let told = told();
    assert_eq!(told.len(), 2, "{told:?}");
    let attempts = told[1]
        .split_once("the node answers again")
        .expect("its return");
    let count = attempts.1.split("failed_attempts=").nth(1);
    let count: Option<u64> = count.and_then(|text| text.trim().parse().ok());
    assert!(count >= Some(5), "{told:?}");
    drop(node);
}

#[test]
fn readiness_tells_why_the_seeds_give_no_map() {
    let node = Server::start(
        Kind::Redis,
        &[("cluster-enabled", "yes"), ("requirepass", "right")],
    );
    let address = node.address();
    let proxy = Server::start(
        Kind::Proxy,
        &[("seeds", &address), ("upstream-password", "wrong")],
    );
    wait_until("the reason", || {
        let (status, body) = proxy.admin("/readyz");
        assert_eq!(status, 503);
        body.contains(&format!("{address}: the node refused AUTH: WRONGPASS"))
    });
}

#[test]
fn it_is_ready_when_every_slot_has_an_owner() {
    let node = Server::start(Kind::Redis, &[("cluster-enabled", "yes")]);
    let address = node.address();
    let proxy = Server::start(Kind::Proxy, &[("seeds", &address)]);
    assert_eq!(proxy.admin("/healthz").0, 200);
    let (status, body) = proxy.admin("/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("slot map"), "{body}");
    node.client()
        .ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    wait_until("readiness", || proxy.admin("/readyz").0 == 200);
    proxy.client().ok(&["SET", "a", "1"]);
}

#[test]
fn a_file_is_checked_and_its_faults_told_with_lines() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("proxy.toml");
    std::fs::write(
        &file,
        "port = 6379\nseed = [\"a:1\"]\nmaxclients = \"many\"\n",
    )
    .expect("it is written");
    let check = |path: &std::path::Path| {
        let mut command = Command::new(binaries::proxy());
        command
            .arg("check-config")
            .arg(path)
            .output()
            .expect("it runs")
    };
    let output = check(&file);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("proxy.toml:2: seed: there is no such key; did you mean seeds?"),
        "{text}"
    );
    assert!(text.contains("proxy.toml:3: maxclients: "), "{text}");
    let shipped = binaries::root().join("config/proxy.toml");
    assert!(check(&shipped).status.success());
    let output = Command::new(binaries::proxy()).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--seeds"));
    assert!(!output.status.success());
}

#[test]
fn the_proxy_serves_in_front_of_our_own_nodes() {
    let cluster = Cluster::start(Kind::Node, 3);
    let proxy = cluster.proxy(&[]);
    let mut client = proxy.client();
    client.ok(&["MSET", "a", "1", "b", "2", "c", "3"]);
    client.line("HELLO 3");
    assert_eq!(
        client.line("MGET a none b c").to_string(),
        "[1, (nil), 2, 3]"
    );
    assert_eq!(client.line("DBSIZE").integer(), 3);
    let scanned = client.line("KEYS *");
    assert_eq!(scanned.items().len(), 3);
    client.ok(&["FLUSHALL"]);
    assert_eq!(client.line("DBSIZE").integer(), 0);
}
