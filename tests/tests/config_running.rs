//! Configuration and process matters of a running node: CONFIG SET that moves sockets and makes
//! room, CONFIG REWRITE, daemons, service managers, logs, and starts that fail.
#![cfg(test)]

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use slotilla_tests::{Client, Kind, Server, binaries, http_get, reserve_ports, wait_until};

fn refusal(client: &mut Client, name: &str, value: &str) -> String {
    let reply = client.call(&["CONFIG", "SET", name, value]);
    reply.error().map_or_else(String::new, str::to_owned)
}

#[test]
fn the_port_moves_and_connected_clients_stay() {
    let server = Server::start(Kind::Node, &[]);
    let mut client = server.client();
    let ports = reserve_ports(2);
    let new = ports.first();
    client.ok(&["CONFIG", "SET", "port", &new.to_string()]);
    Client::connect(new).ok(&["SET", "a", "b"]);
    assert!(
        TcpStream::connect(("127.0.0.1", server.port())).is_err(),
        "the old port is closed"
    );
    assert_eq!(client.call(&["GET", "a"]).bytes(), b"b");

    let holder = TcpListener::bind(("127.0.0.1", new + 1)).unwrap();
    let taken = holder.local_addr().unwrap().port().to_string();
    assert_eq!(
        refusal(&mut client, "port", &taken),
        "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
    );
    assert_eq!(
        client.call(&["CONFIG", "GET", "port"]).pairs()[0].1.text(),
        new.to_string()
    );
    Client::connect(new).ok(&["SET", "a", "c"]);
    client.ok(&["CONFIG", "SET", "port", "0"]);
    assert!(TcpStream::connect(("127.0.0.1", new)).is_err());
    client.ok(&["CONFIG", "SET", "port", &server.port().to_string()]);
    Client::connect(server.port()).ok(&["SET", "a", "d"]);
}

#[test]
fn the_admin_port_moves_goes_and_comes() {
    let server = Server::start(Kind::Node, &[]);
    let mut client = server.client();
    let (old, block) = (server.admin_port(), reserve_ports(2));
    let new = block.first();
    let ready = |port: u16| http_get(port, "/readyz").0 == 200;
    let closed = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_err();
    assert!(ready(old));
    client.ok(&["CONFIG", "SET", "admin-port", &new.to_string()]);
    assert!(ready(new) && closed(old));

    let holder = TcpListener::bind(("127.0.0.1", new + 1)).unwrap();
    let taken = holder.local_addr().unwrap().port().to_string();
    assert_eq!(
        refusal(&mut client, "admin-port", &taken),
        "ERR CONFIG SET failed (possibly related to argument 'admin-port') - Unable to listen on this port. Check server logs."
    );
    assert!(ready(new));
    client.ok(&["CONFIG", "SET", "admin-bind", "127.0.0.2"]);
    TcpStream::connect(("127.0.0.2", new)).unwrap();
    assert!(closed(new));
    client.ok(&["CONFIG", "SET", "admin-port", "0"]);
    assert!(TcpStream::connect(("127.0.0.2", new)).is_err());
    let port = old.to_string();
    client.ok(&[
        "CONFIG",
        "SET",
        "admin-bind",
        "127.0.0.1",
        "admin-port",
        &port,
    ]);
    assert!(ready(old));
}

#[test]
fn the_addresses_change_or_stay_as_they_were() {
    let server = Server::start(Kind::Node, &[]);
    let mut client = server.client();
    client.ok(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2 -198.51.100.1"]);
    TcpStream::connect(("127.0.0.2", server.port())).unwrap();
    assert_eq!(
        refusal(&mut client, "bind", "198.51.100.1"),
        "ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
    );
    TcpStream::connect(("127.0.0.2", server.port())).unwrap();
    client.ok(&["CONFIG", "SET", "bind", "127.0.0.1"]);
    assert!(TcpStream::connect(("127.0.0.2", server.port())).is_err());
    server.client().ok(&["SET", "a", "b"]);
}

#[test]
fn a_lower_maxmemory_evicts() {
    let server = Server::start(Kind::Node, &[]);
    let mut client = server.client();
    let value = "x".repeat(10_000);
    for number in 0..2000 {
        client.ok(&["SET", &format!("key:{number}"), &value]);
    }
    let before = client.call(&["DBSIZE"]).integer();
    let used: u64 = server.info("used_memory").unwrap().parse().unwrap();
    let limit = used - 8_000_000;
    client.ok(&[
        "CONFIG",
        "SET",
        "maxmemory-policy",
        "allkeys-random",
        "maxmemory",
        &limit.to_string(),
    ]);
    // The limit was too far away for one go; each write goes on with it.
    client.ok(&["SET", "more", "x"]);
    // Whoever asks has a connection and a reply, which come on top.
    let asking = 100_000;
    wait_until("used memory is within maxmemory", || {
        client.ok(&["SET", "more", "x"]);
        server.info("used_memory").unwrap().parse::<u64>().unwrap() <= limit + asking
    });
    assert!(client.call(&["DBSIZE"]).integer() < before - 500);
    assert_ne!(server.info("evicted_keys").unwrap(), "0");
    client.ok(&["CONFIG", "RESETSTAT"]);
    assert_eq!(server.info("evicted_keys").unwrap(), "0");
}

#[test]
fn config_get_answers_as_redis_does_in_both_protocols() {
    for kind in [Kind::Redis, Kind::Node] {
        let server = Server::start(kind, &[]);
        let mut client = server.client();
        let two = client.call(&[
            "CONFIG",
            "GET",
            "maxmemory",
            "MAXMEM*y",
            "maxmemory",
            "none",
        ]);
        let mut names: Vec<_> = two
            .pairs()
            .into_iter()
            .map(|(name, _)| name.text())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "maxmemory",
                "maxmemory-eviction-tenacity",
                "maxmemory-policy"
            ]
        );
        client.call(&["HELLO", "3"]);
        assert_eq!(
            client
                .call(&["CONFIG", "GET", "time[o]ut"])
                .entry("timeout")
                .unwrap()
                .text(),
            "0"
        );
        for (wrong, text) in [
            (
                &["CONFIG", "SET", "timeout", "1", "x"][..],
                "ERR syntax error",
            ),
            (
                &["CONFIG", "SET", "timeout"],
                "ERR wrong number of arguments for 'config|set' command",
            ),
            (
                &["CONFIG", "GET"],
                "ERR wrong number of arguments for 'config|get' command",
            ),
            (
                &["CONFIG", "REWRITE"],
                "ERR The server is running without a config file",
            ),
            (
                &["CONFIG", "NOPE"],
                "ERR unknown subcommand 'NOPE'. Try CONFIG HELP.",
            ),
            (
                &["CONFIG"],
                "ERR wrong number of arguments for 'config' command",
            ),
        ] {
            assert_eq!(client.call(wrong).error(), Some(text), "{kind:?} {wrong:?}");
        }
    }
}

fn run(args: &[&str], dir: &Path) -> Output {
    Command::new(binaries::node())
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap()
}

#[test]
fn a_start_that_fails_says_where_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("node.toml"), "port = 70000\nmaxmemry = 1\n").unwrap();
    let output = run(&["node.toml", "--loglevel"], dir.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for part in [
        "*** FATAL CONFIG FILE ERROR",
        "node.toml, at line 1\n>>> 'port = 70000'",
        "did you mean maxmemory?",
        ">>> 'loglevel'\nwrong number of arguments",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let output = run(
        &[
            "--port",
            &port,
            "--cluster-enabled",
            "no",
            "--bind",
            "127.0.0.1",
        ],
        dir.path(),
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains(&format!("127.0.0.1:{port}")) && said.contains("--port"),
        "{said}"
    );
}

#[test]
fn version_and_help_are_no_settings() {
    let dir = tempfile::tempdir().unwrap();
    for (flag, part) in [
        ("-v", "v="),
        ("--version", "v="),
        ("-h", "--KEY"),
        ("--help", "--KEY"),
    ] {
        let output = run(&[flag], dir.path());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && said.contains(part),
            "{flag}: {said}"
        );
    }
}

/// A daemon, gone when this is dropped.
struct Daemon(Pid);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Gone already, most likely.
        let _ = kill_process(self.0, Signal::KILL);
    }
}

#[test]
fn a_daemon_serves_leaves_its_pid_and_goes_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let ports = reserve_ports(1);
    let port = ports.first().to_string();
    let base = dir.path().display().to_string();
    #[rustfmt::skip]
    let args = [
        "--port", &port, "--bind", "127.0.0.1", "--cluster-enabled", "no", "--dir", &base,
        "--daemonize", "yes", "--pidfile", "node.pid", "--logfile", "node.log",
    ];
    let output = run(&args, dir.path());
    assert!(output.status.success(), "{output:?}");
    let pid_file = dir.path().join("node.pid");
    let pid: i32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let daemon = Daemon(Pid::from_raw(pid).unwrap());
    // It is ready when the first process ends.
    let mut client = Client::connect(ports.first());
    client.ok(&["SET", "a", "b"]);
    let session = rustix::process::getsid(Some(daemon.0)).unwrap();
    assert_eq!(session, daemon.0, "it leads a session of its own");

    // A second one cannot have the port, and says so before it goes into the background.
    let again = run(&args, dir.path());
    assert!(!again.status.success());
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
    assert!(pid_file.exists(), "the pid file is still the first one's");

    let log = dir.path().join("node.log");
    std::fs::rename(&log, dir.path().join("node.log.1")).unwrap();
    kill_process(daemon.0, Signal::HUP).unwrap();
    wait_until("the log is opened again", || log.exists());
    client.ok(&["CONFIG", "SET", "loglevel", "debug"]);
    kill_process(daemon.0, Signal::TERM).unwrap();
    wait_until("the daemon has ended", || {
        test_kill_process(daemon.0).is_err()
    });
    assert!(!pid_file.exists());
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(
        text.starts_with(&format!("{pid}:M ")) && text.contains("bye bye"),
        "{text}"
    );
    assert!(!text.contains("could not be told"), "{text}");
}

#[test]
fn the_service_manager_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let ports = reserve_ports(1);
    let port = ports.first().to_string();
    let base = dir.path().display().to_string();
    #[rustfmt::skip]
    let args = [
        "--port", &port, "--bind", "127.0.0.1", "--cluster-enabled", "no", "--dir", &base,
        // In the foreground for all that, as redis-server.
        "--supervised", "systemd", "--daemonize", "yes",
    ];
    let mut child = Command::new(binaries::node())
        .args(args)
        .env("NOTIFY_SOCKET", &path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut message = [0; 256];
    let mut receive = || {
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let ready = receive();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    Client::connect(ports.first()).ok(&["SET", "a", "b"]);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let stopping = receive();
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_rewritten_file_starts_the_same_node() {
    let dir = tempfile::tempdir().unwrap();
    let ports = reserve_ports(1);
    let file = dir.path().join("node.toml");
    let text = format!(
        "# mine\nport = {} # the port\nbind = \"127.0.0.1\"\n\n[cluster]\nenabled = false\n",
        ports.first()
    );
    std::fs::write(&file, text).unwrap();
    for round in 0..2 {
        let args = [
            file.display().to_string(),
            "--dir".to_owned(),
            dir.path().display().to_string(),
        ];
        let log = dir.path().join("output");
        let mut process = slotilla_tests::Process::start(
            "a node with a file",
            &binaries::node(),
            &args,
            dir.path(),
            &log,
        );
        wait_until("the node answers", || {
            Client::try_connect(ports.first()).is_ok_and(|mut c| c.try_call(&["PING"]).is_ok())
        });
        let mut client = Client::connect(ports.first());
        let shown = client.call(&["CONFIG", "GET", "maxmemory"]).pairs()[0]
            .1
            .text();
        assert_eq!(shown, if round == 0 { "0" } else { "104857600" });
        client.ok(&["CONFIG", "SET", "maxmemory", "100mb"]);
        client.ok(&["CONFIG", "REWRITE"]);
        assert!(process.terminate().success());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# mine\nport = ") && text.contains("# the port"),
            "{text}"
        );
        assert!(text.contains("maxmemory = \"100mb\"\n"), "{text}");
    }
}
