//! The node's metrics as others read them: promtool, Prometheus itself, the dashboard and the
//! alerts that we ship.
#![cfg(test)]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use slotilla_tests::{
    Cluster, Kind, Process, Server, binaries, http_get, one_node_cluster, promtool_check,
    reserve_ports, wait_for,
};

/// A node that has served something of everything.
fn used_node() -> Server {
    let server = one_node_cluster(Kind::Node, &[]);
    let mut client = server.client();
    client.ok(&["SET", "key", "value"]);
    client.ok(&["SET", "brief", "value", "PX", "600000"]);
    client.call(&["GET", "key"]);
    client.call(&["GET", "none"]);
    assert!(client.call(&["INCR", "key"]).error().is_some());
    assert!(client.call(&["NOSUCHCOMMAND"]).error().is_some());
    server
}

/// Lines of samples whose value is not 0, as (name, value), labels left out.
fn samples(text: &str) -> Vec<(String, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap().to_owned();
        (name, value.parse().unwrap())
    };
    lines.map(sample).collect()
}

#[test]
fn promtool_has_nothing_to_say_of_our_own_names() {
    let server = used_node();
    let (status, text) = server.admin("/metrics");
    assert_eq!(status, 200);
    let output = promtool_check(&text);
    let said = format!("{}\n{}", output.out, output.err);
    assert!(!said.contains("parsing"), "not the text format: {said}");
    let of_ours: Vec<&str> = said
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("redis_"))
        .collect();
    assert!(of_ours.is_empty(), "{of_ours:#?}");
}

#[test]
fn figures_follow_what_happens() {
    let server = used_node();
    let (_, text) = server.admin("/metrics");
    let samples = samples(&text);
    let value = |name: &str| {
        let found: Vec<f64> = samples
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| *v)
            .collect();
        assert!(!found.is_empty(), "{name} is not there");
        found.iter().sum::<f64>()
    };
    for (name, expected) in [
        ("redis_up", 1.0),
        ("redis_cluster_enabled", 1.0),
        ("redis_cluster_state", 1.0),
        ("redis_cluster_slots_assigned", 16_384.0),
        ("redis_cluster_slots_fail", 0.0),
        ("redis_cluster_known_nodes", 1.0),
        ("redis_db_keys", 2.0),
        ("redis_db_keys_expiring", 1.0),
        ("redis_keyspace_hits_total", 1.0),
        ("redis_keyspace_misses_total", 1.0),
        ("redis_errors_total", 2.0),
        ("redis_config_maxclients", 10_000.0),
    ] {
        assert!(
            (value(name) - expected).abs() < 1e-9,
            "{name} is {}",
            value(name)
        );
    }
    for name in [
        "redis_memory_used_bytes",
        "redis_memory_used_rss_bytes",
        "redis_total_system_memory_bytes",
        "redis_net_input_bytes_total",
        "redis_net_output_bytes_total",
        "redis_commands_processed_total",
        "redis_connections_received_total",
        "redis_cpu_user_seconds_total",
        "redis_commands_latencies_usec_count",
        "slotilla_node_command_duration_seconds_count",
        "slotilla_node_worker_commands_total",
    ] {
        assert!(value(name) > 0.0, "{name} is {}", value(name));
    }
    // What INFO says and what is scraped is one figure.
    let keys = text
        .lines()
        .find(|line| line.starts_with("redis_commands_total{cmd=\"set\"}"));
    assert_eq!(keys, Some("redis_commands_total{cmd=\"set\"} 2"));
}

#[test]
fn every_name_on_the_dashboard_and_in_the_alerts_is_there() {
    let server = used_node();
    let (_, text) = server.admin("/metrics");
    let names: BTreeSet<String> = samples(&text).into_iter().map(|(name, _)| name).collect();
    let config = binaries::root().join("config");
    for file in ["grafana/nodes.json", "alerts.yml"] {
        let content = std::fs::read_to_string(config.join(file)).unwrap();
        let words = content.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let asked: BTreeSet<&str> = words
            .filter(|w| w.starts_with("redis_") || w.starts_with("slotilla_node_"))
            .collect();
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let missing: Vec<&&str> = asked
            .iter()
            .filter(|name| !names.contains(**name))
            .collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
    serde_json::from_str::<serde_json::Value>(
        &std::fs::read_to_string(config.join("grafana/nodes.json")).unwrap(),
    )
    .expect("the dashboard is JSON");
}

#[test]
fn the_shipped_prometheus_files_are_valid() {
    let config = binaries::root().join("config");
    let output = Command::new(binaries::system("promtool"))
        .args(["check", "config", "prometheus.yml"])
        .current_dir(config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn prometheus_scrapes_a_node_and_a_proxy() {
    let server = used_node();
    let cluster = Cluster::start(Kind::Node, 2);
    let proxy = cluster.proxy(&[]);
    proxy.client().ok(&["MSET", "a", "1", "b", "2", "c", "3"]);
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
         scrape_configs:\n  - job_name: slotilla-node\n    static_configs:\n      \
         - targets: ['127.0.0.1:{}']\n  - job_name: slotilla-proxy\n    static_configs:\n      \
         - targets: ['127.0.0.1:{}']\n",
        server.admin_port(),
        proxy.admin_port()
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let ports = reserve_ports(1);
    let args = [
        format!(
            "--config.file={}",
            dir.path().join("prometheus.yml").display()
        ),
        format!("--storage.tsdb.path={}", dir.path().join("data").display()),
        format!("--web.listen-address=127.0.0.1:{}", ports.first()),
    ];
    let log = dir.path().join("log");
    let mut prometheus = Process::start(
        "Prometheus",
        &binaries::system("prometheus"),
        &args,
        dir.path(),
        &log,
    );
    let scraped = |query: &str| {
        let path = format!("/api/v1/query?query={query}");
        wait_for("Prometheus to scrape", Duration::from_secs(60), || {
            // Its port opens a moment after its start.
            if std::net::TcpStream::connect(("127.0.0.1", ports.first())).is_err() {
                return None;
            }
            let (status, body) = http_get(ports.first(), &path);
            let answer: serde_json::Value = serde_json::from_str(&body).ok()?;
            let value = answer.pointer("/data/result/0/value/1")?.as_str()?;
            (status == 200).then(|| value.to_owned())
        })
    };
    assert_eq!(scraped("redis_db_keys%7Bjob%3D%22slotilla-node%22%7D"), "2");
    assert_eq!(
        scraped("slotilla_proxy_command_total%7Bcommand%3D%22mset%22%7D"),
        "1"
    );
    assert_eq!(scraped("sum(slotilla_proxy_upstream_node_up)"), "2");
    prometheus.terminate();
}
