//! The generator against servers in this process: the floor, and ones that do wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use super::*;
use crate::floor;
use crate::load::sequential;
use crate::workload::{Answers, Kind, Mix, Shape, Template, Work};

fn start_floor() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = floor::listen(([127, 0, 0, 1], 0).into()).unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            floor::serve(listener, &[]).await.unwrap();
        });
    });
    receiver.recv().unwrap()
}

/// A server that answers every read with the same bytes, then hangs up.
fn start_fixed(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let count = stream.read(&mut [0; 1024]).unwrap();
        assert!(count > 0);
        stream.write_all(answer).unwrap();
    });
    address
}

fn work(mix: &str, shape: Shape) -> Work {
    Work::Keys {
        mix: Mix::parse(mix).unwrap(),
        shape,
        answers: Answers::AlwaysOk,
    }
}

fn plan(target: SocketAddr, extent: Extent) -> Plan {
    Plan {
        connections: 3,
        pipeline: 16,
        work: work("set:2,mget", Shape::default()),
        extent,
        watch: vec![std::process::id()],
        ..sequential(target, Kind::Set, Shape::default())
    }
}

#[test]
fn a_number_of_commands_is_sent_and_answered() {
    let report = drive(plan(start_floor(), Extent::Commands(1000))).unwrap();
    // Whole batches on every connection: never fewer, and less than a batch each more.
    assert!(
        (1000..1000 + 3 * 16).contains(&report.commands),
        "{report:?}"
    );
    assert!(report.latency.p50_us > 0.0);
}

#[test]
fn a_pipeline_larger_than_the_sockets_hold_is_sent_in_parts() {
    let shape = Shape {
        value_size: 100_000,
        ..Shape::default()
    };
    let plan = Plan {
        pipeline: 200,
        work: work("set", shape),
        ..plan(start_floor(), Extent::Commands(600))
    };
    assert_eq!(drive(plan).unwrap().commands, 600);
}

#[test]
fn a_measured_time_is_measured() {
    let extent = Extent::Time {
        warm_up: Duration::from_millis(50),
        measured: Duration::from_millis(200),
    };
    let report = drive(plan(start_floor(), extent)).unwrap();
    assert!(report.seconds >= 0.2, "{report:?}");
    let rate = report.commands as f64 / report.seconds;
    assert!(
        (rate - report.commands_per_second).abs() < 1.0,
        "{report:?}"
    );
    assert!(report.commands > 0, "{report:?}");
    let watched = &report.watched[0];
    assert!(watched.cpu_seconds > 0.0, "{report:?}");
    let both = watched.user_us + watched.system_us;
    assert!((both - watched.cpu_us).abs() < 1e-6, "{report:?}");
}

fn said_of(answer: &'static [u8]) -> String {
    let plan = Plan {
        connections: 1,
        pipeline: 1,
        ..sequential(start_fixed(answer), Kind::Get, Shape::default())
    };
    drive(plan).unwrap_err().to_string()
}

#[test]
fn replies_that_nobody_knows_are_counted_and_must_be_no_errors() {
    let any = |target| Plan {
        connections: 1,
        pipeline: 2,
        work: Work::Template(Template::new("SPOP s", 1)),
        ..sequential(target, Kind::Get, Shape::default())
    };
    let said = |answer| drive(any(start_fixed(answer))).unwrap_err().to_string();
    assert_eq!(
        said(b"$1\r\na\r\n-ERR no\r\n"),
        "wrong answer: got \"-ERR no\\r\\n\""
    );
    assert_eq!(
        said(b"*1\r\n$1\r\n"),
        "the subject hung up; 2 replies were due"
    );
    assert_eq!(
        said(b":1\r\n:2\r\n:3\r\n"),
        "wrong answer: got \":3\\r\\n\", which nobody asked for"
    );
    let plan = Plan {
        extent: Extent::Commands(100),
        ..any(start_floor())
    };
    assert_eq!(drive(plan).unwrap().commands, 100);
}

#[test]
fn a_value_of_another_key_is_a_wrong_answer() {
    let said =
        said_of(b"$64\r\n00000001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa00000001\r\n");
    let expected = "wrong answer: expected \"00000000aaa";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn an_error_is_a_wrong_answer() {
    let said = said_of(b"-ERR no\r\n");
    assert!(said.ends_with(r#"got "-ERR no\r\n""#), "{said}");
}

#[test]
fn a_missing_value_is_a_wrong_answer() {
    let said = said_of(b"$-1\r\n");
    assert!(said.ends_with(r#"got "$-1\r\n""#), "{said}");
}

#[test]
fn a_subject_that_hangs_up_is_told_so() {
    let said = said_of(b"$64\r\n00000000");
    assert_eq!(said, "the subject hung up; 58 bytes were due");
}
