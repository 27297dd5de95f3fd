//! The admin port, spoken to over real sockets.

use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
struct Fake {
    loading: AtomicBool,
}

impl Endpoints for Fake {
    fn metrics(&self) -> String {
        "x 1\n".to_owned()
    }

    fn live(&self) -> Health {
        Health::well()
    }

    fn ready(&self) -> Health {
        if self.loading.load(Ordering::Relaxed) {
            Health::because("loading \"dump.rdb\"")
        } else {
            Health::well()
        }
    }

    fn page(&self, path: &str) -> Option<String> {
        (path == "/slots").then(|| "{}".to_owned())
    }
}

fn start() -> (AdminServer, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let server = serve(&["127.0.0.1"], 0, Arc::clone(&fake) as Arc<dyn Endpoints>).unwrap();
    (server, fake)
}

fn ask(server: &AdminServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(server: &AdminServer, path: &str) -> (u16, String) {
    let answer = ask(
        server,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    );
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

#[test]
fn each_path_answers() {
    let (server, fake) = start();
    assert_eq!(get(&server, "/metrics"), (200, "x 1\n".to_owned()));
    assert_eq!(
        get(&server, "/metrics?format=text"),
        (200, "x 1\n".to_owned())
    );
    for path in ["/healthz", "/livez", "/readyz"] {
        let (status, body) = get(&server, path);
        assert_eq!(
            (status, body.as_str()),
            (200, "{\"reasons\":[],\"status\":\"ok\"}\n")
        );
    }
    assert_eq!(get(&server, "/slots"), (200, "{}".to_owned()));
    fake.loading.store(true, Ordering::Relaxed);
    let (status, body) = get(&server, "/readyz");
    assert_eq!(status, 503);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["reasons"][0], "loading \"dump.rdb\"");
    assert_eq!(
        get(&server, "/healthz").0,
        200,
        "liveness does not depend on readiness"
    );
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let (server, _) = start();
    assert_eq!(get(&server, "/").0, 404);
    assert_eq!(get(&server, "/metrics/").0, 404);
    let answer = ask(
        &server,
        "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nallow: get, head\r\n"),
        "{answer}"
    );
    let answer = ask(
        &server,
        "HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[test]
fn rubbish_and_endless_headers_end_the_connection() {
    let (server, _) = start();
    let answer = ask(&server, "*1\r\n$4\r\nPING\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(),
        "{answer}"
    );
    let long = format!(
        "GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n",
        "y".repeat(3 * HEADER_BYTES_MAX)
    );
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The server may close while we still write: both are right.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "));
    assert_eq!(get(&server, "/livez").0, 200);
}

#[test]
fn a_silent_connection_is_closed() {
    let deadlines = Deadlines {
        header: Duration::from_millis(50),
        ..DEADLINES
    };
    let fake = Arc::new(Fake::default());
    let server = serve_within(&["127.0.0.1"], 0, fake, deadlines).unwrap();
    let mut silent = TcpStream::connect(server.addresses()[0]).unwrap();
    let mut half = TcpStream::connect(server.addresses()[0]).unwrap();
    half.write_all(b"GET /metrics HT").unwrap();
    for stream in [&mut silent, &mut half] {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut rest = Vec::new();
        // End of stream (or a reset), not our own timeout.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_connection_that_takes_its_time_is_closed() {
    let deadlines = Deadlines {
        connection: Duration::from_millis(50),
        ..DEADLINES
    };
    let fake = Arc::new(Fake::default());
    let server = serve_within(&["127.0.0.1"], 0, fake, deadlines).unwrap();
    let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // Keeps the connection open after the answer.
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn dropping_it_frees_the_port() {
    let (server, _) = start();
    let address = server.addresses()[0];
    let _idle = TcpStream::connect(address).unwrap();
    drop(server);
    TcpListener::bind(address).unwrap();
}

#[test]
fn a_taken_port_names_its_key() {
    let (server, fake) = start();
    let port = server.addresses()[0].port();
    let error = serve(&["127.0.0.1"], port, fake as Arc<dyn Endpoints>)
        .unwrap_err()
        .to_string();
    assert!(error.contains("--admin-port"), "{error}");
}
