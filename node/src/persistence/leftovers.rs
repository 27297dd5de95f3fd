//! Files under temporary names, of nodes that were killed while they wrote them. Redis leaves them for
//! ever.
//!
//! ```text
//! temp-PID.rdb   temp-bgsave-PID.rdb   temp-replica-PID.rdb   temp-sync-PID-….rdb
//! temp-rewriteaof-bg-PID.aof           temp-rewriteaof-PID.aof, temp-TIME.PID.rdb: a redis-server's
//! ```
//!
//! Others may write to the directory, from another machine or container, too, where numbers of
//! processes mean something else. So what is deleted has belonged to no process of this machine for a
//! while, and nobody has it locked, as nodes have theirs.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Key};

/// Whoever is alive writes more often.
const STILL_FOR: Duration = Duration::from_secs(60);

/// Deletes what is left of nodes that are gone.
pub fn clear_leftovers(config: &Config) {
    let dir = config.dir();
    clear(&dir);
    clear(&dir.join(config.text(Key::Appenddirname)));
}

fn clear(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(writer_of) else {
            continue;
        };
        let path = entry.path();
        if !is_left(&path, pid) {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(
                "Removed {}, left by process {pid}, which is gone",
                path.display()
            ),
            Err(error) => tracing::warn!("Removing the leftover {}: {error}", path.display()),
        }
    }
}

/// The process that writes a file of this name, if it is such a name.
fn writer_of(name: &str) -> Option<u32> {
    let stem = name.strip_prefix("temp-")?;
    let pid = if let Some(stem) = stem.strip_suffix(".aof") {
        let stem = stem.strip_prefix("rewriteaof-")?;
        stem.strip_prefix("bg-").unwrap_or(stem)
    } else {
        let stem = stem.strip_suffix(".rdb")?;
        let kind = ["bgsave-", "replica-"]
            .iter()
            .find_map(|kind| stem.strip_prefix(kind));
        let sync = || stem.strip_prefix("sync-")?.split_once('-');
        let timed = || stem.split_once('.').filter(|(time, _)| is_number(time));
        kind.or_else(|| sync().map(|(pid, _)| pid))
            .or_else(|| timed().map(|(_, pid)| pid))
            .unwrap_or(stem)
    };
    pid.parse().ok().filter(|_| is_number(pid))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether nobody writes this file any more, whom this process could be.
fn is_left(path: &Path, pid: u32) -> bool {
    let (Ok(about), Ok(ours)) = (fs::symlink_metadata(path), fs::metadata("/proc/self")) else {
        return false;
    };
    let is_still = about
        .modified()
        .is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= STILL_FOR));
    // This process has begun none yet that is so old.
    let is_gone = pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists();
    about.is_file()
        && about.uid() == ours.uid()
        && is_still
        && is_gone
        && File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn now() -> SystemTime {
        let since = u64::try_from(slotilla_common::clock::unix_ms()).unwrap();
        SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(since)
    }

    /// More than any Linux gives.
    const GONE: u32 = 4_200_000;

    #[test]
    fn a_name_tells_who_writes() {
        for (name, pid) in [
            ("temp-12.rdb", Some(12)),
            ("temp-bgsave-12.rdb", Some(12)),
            ("temp-replica-12.rdb", Some(12)),
            ("temp-sync-12-0123abc.rdb", Some(12)),
            ("temp-rewriteaof-bg-12.aof", Some(12)),
            ("temp-rewriteaof-12.aof", Some(12)),
            ("temp-1700000000.12.rdb", Some(12)),
            ("temp-.rdb", None),
            ("temp-+12.rdb", None),
            ("temp-12.aof", None),
            ("temp-12", None),
            ("temp-of-mine-12.rdb", None),
            ("temp-mine.12.rdb", None),
            ("temp-bgsave-12.rdb.old", None),
            ("dump.rdb", None),
            ("temp_appendonly.aof.manifest", None),
        ] {
            assert_eq!(writer_of(name), pid, "{name}");
        }
    }

    #[test]
    fn what_is_left_goes_and_what_somebody_may_write_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let long_ago = now() - 2 * STILL_FOR;
        let make = |name: &str| {
            let file = File::create(path(name)).unwrap();
            file.set_modified(long_ago).unwrap();
            file
        };
        let parent = std::os::unix::process::parent_id();
        let left = [
            format!("temp-bgsave-{GONE}.rdb"),
            format!("temp-{}.rdb", std::process::id()),
        ];
        let alive = format!("temp-bgsave-{parent}.rdb");
        let locked = format!("temp-replica-{GONE}.rdb");
        let young = format!("temp-rewriteaof-bg-{GONE}.aof");
        let others = ["dump.rdb", "temp-notes.rdb"];
        for name in &left {
            make(name);
        }
        make(&alive);
        let _made = others.map(make);
        let lock = make(&locked);
        lock.lock().unwrap();
        make(&young).set_modified(now()).unwrap();
        fs::create_dir(path(&format!("temp-{GONE}.rdb"))).unwrap();
        clear(dir.path());
        for name in &left {
            assert!(!path(name).exists(), "{name}");
        }
        for name in others.iter().copied().chain([&*alive, &*locked, &*young]) {
            assert!(path(name).exists(), "{name}");
        }
        assert!(path(&format!("temp-{GONE}.rdb")).exists());
        drop(lock);
        clear(dir.path());
        assert!(!path(&locked).exists());
    }
}
