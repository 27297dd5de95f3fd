//! The log with threads that append to it.

use super::*;

const MANY: Duration = Duration::from_secs(60);

fn one(log: &Log, thread: usize, words: &[&[u8]]) {
    log.append_command(thread, ANY_DB, words);
}

/// What a reader finds up to the log's end.
fn rest(reader: &mut Reader) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let chunk = reader.peek().unwrap();
        if chunk.is_empty() {
            return all;
        }
        all.extend_from_slice(&chunk);
        reader.advance(chunk.len());
    }
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len())
        .filter(|found| *found == part)
        .count()
}

#[test]
fn threads_append_and_each_slots_order_is_the_logs() {
    const THREADS: usize = 4;
    const TURNS: usize = if cfg!(miri) { 20 } else { 5_000 };
    let log = Arc::new(Log::new());
    log.set_follower(Follower::Replicas, true);
    let mut reader = log.reader(0).unwrap();
    // Each is a slot: what it holds is written under its lock, and so is the log.
    let slots: Vec<Mutex<usize>> = (0..8).map(|_| Mutex::new(0)).collect();
    let (slots, log) = (&slots, &log);
    let mut read = std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread as u64);
                for _ in 0..TURNS {
                    let number = random.usize(..slots.len());
                    let mut slot = slots[number].lock();
                    *slot += 1;
                    let text = format!("{number}:{}", *slot);
                    one(log, thread, &[text.as_bytes()]);
                    drop(slot);
                    log.nudge(thread);
                }
            });
        }
        let mut read = Vec::new();
        while count(&read, b"*1\r\n") < THREADS * TURNS {
            assert!(reader.wait(MANY), "nothing comes any more");
            read.extend(rest(&mut reader));
        }
        read
    });
    read.extend(rest(&mut reader));
    assert_eq!(read.len() as u64, log.end());
    let text = String::from_utf8(read).unwrap();
    let mut seen = vec![0; slots.len()];
    for word in text.split("\r\n").filter(|word| word.contains(':')) {
        let (slot, turn) = word.split_once(':').unwrap();
        let slot: usize = slot.parse().unwrap();
        seen[slot] += 1;
        assert_eq!(turn.parse::<usize>().unwrap(), seen[slot]);
    }
    assert_eq!(seen.iter().sum::<usize>(), THREADS * TURNS);
}

#[test]
fn what_nobody_reads_takes_no_memory_that_grows() {
    let log = Log::new();
    log.set_follower(Follower::Replicas, true);
    log.keep(100_000);
    let value = [b'v'; 1000];
    for _ in 0..10_000 {
        one(&log, 3, &[b"SET", b"key", &value]);
        log.nudge(3);
    }
    assert!(log.stage(3).batch.lock().len() <= STAGE_BYTES_MAX + 1100);
    let range = log.range();
    assert_eq!(range.end, log.end());
    assert!(range.end - range.start >= 100_000);
    assert!(range.end - range.start <= 100_000 + 2 * backlog::BLOCK_BYTES as u64);
}

#[test]
fn what_is_gathered_is_one_transaction() {
    let log = Arc::new(Log::new());
    log.set_follower(Follower::Replicas, true);
    let mut reader = log.reader(0).unwrap();
    log.gather(0, || {
        one(&log, 0, &[b"FLUSHALL"]);
        one(&log, 1, &[b"SET", b"a", b"1"]);
        log.gather(0, || one(&log, 0, &[b"SET", b"b", b"2"]));
        assert_eq!(log.end(), 0);
        log.begin_part();
        one(&log, 0, &[b"LPOP", b"l"]);
    });
    let text = String::from_utf8(rest(&mut reader)).unwrap();
    let exec = text.find("EXEC").unwrap();
    assert!(
        text.starts_with("*1\r\n$5\r\nMULTI\r\n*1\r\n$8\r\nFLUSHALL"),
        "{text}"
    );
    assert!(text.find("$1\r\nb").unwrap() < exec && text.find("LPOP").unwrap() > exec);
    one(&log, 0, &[b"PING"]);
    assert_eq!(rest(&mut reader), b"*1\r\n$4\r\nPING\r\n");
}

#[test]
fn a_fed_log_has_what_it_was_fed_from_its_offset_on() {
    let log = Arc::new(Log::new());
    let old = log.reader(0).unwrap();
    one(&log, 0, &[b"SET", b"old", b"1"]);
    log.adopt(1_000);
    assert_eq!(old.peek(), None);
    assert!(!old.wait(Duration::from_millis(1)));
    let mut reader = log.reader(1_000).unwrap();
    log.feed(b"*1\r\n$4\r\nPI");
    log.feed(b"NG\r\n");
    assert_eq!(
        (rest(&mut reader), log.end()),
        (b"*1\r\n$4\r\nPING\r\n".to_vec(), 1_014)
    );
    assert!(log.reader(999).is_none());
}

#[test]
fn who_waits_is_woken_or_gives_up() {
    let log = Arc::new(Log::new());
    log.set_follower(Follower::Replicas, true);
    let mut reader = log.reader(0).unwrap();
    assert!(!reader.wait(Duration::from_millis(1)));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            assert!(reader.wait(MANY));
            rest(&mut reader)
        });
        one(&log, 0, &[b"PING"]);
        log.nudge(0);
        assert_eq!(waits.join().unwrap(), b"*1\r\n$4\r\nPING\r\n");
    });
}
