//! What a primary keeps on disk of the replicas that have confirmed writes: `replica-acks.state` in
//! `dir`.
//!
//! ```text
//! slotilla-replica-acks 1
//! replid 0123…             the history that they have confirmed writes of
//! previous 0000…           what that was called before
//! wanted 1                 how many of them each write had
//! flushed dir/file.aof     these files, too, had each on disk before it was answered
//! taken 10.0.0.2:6379 10.0.0.1 6379    the one that was told to take over, and whom it is to copy again
//! replica 10.0.0.2:6379    each that could be one of those
//! checksum 89abcdef01234567
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use slotilla_common::rdb::crc64;

use super::KNOWN_MAX;
use crate::replication::{Address, ReplId};

const NAME: &str = "replica-acks.state";
const TEMPORARY: &str = "temp-replica-acks.state";
const HEAD: &str = "slotilla-replica-acks 1";
/// No record is longer: a replica's name has 255 bytes of address at most, and there may be those of an
/// earlier rule besides. Files have names of two parts, which the system bounds.
const BYTES_MAX: usize = (2 * KNOWN_MAX + 6) * 300 + 8192;

/// Who has confirmed writes, and how many of them each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) replid: ReplId,
    /// What that was called before.
    pub(super) previous: Option<ReplId>,
    pub(super) wanted: usize,
    pub(super) replicas: BTreeSet<String>,
    /// The append-only files that have all that was answered, and had it on disk before.
    pub(super) flushed: Option<String>,
    /// One that was told to take over, if this is not undone.
    pub(super) taken: Option<Taken>,
}

/// A replica that has taken over for as long as it takes to copy it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) address: Address,
    /// How it calls the primary that it has copied before.
    pub(super) host: String,
    pub(super) port: String,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("reading {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf },
}

impl Taken {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (name, host, port) = (words.next()?, words.next()?, words.next()?);
        let is_all = words.next().is_none() && !host.is_empty() && !port.is_empty();
        Some(Self {
            address: Address::parse(name)?,
            host: host.to_owned(),
            port: port.to_owned(),
        })
        .filter(|_| is_all)
    }
}

impl Record {
    fn text(&self) -> String {
        let previous = self.previous.unwrap_or(ReplId::NONE);
        let mut text = format!(
            "{HEAD}\nreplid {}\nprevious {previous}\nwanted {}\n",
            self.replid, self.wanted
        );
        if let Some(files) = &self.flushed {
            text += &format!("flushed {files}\n");
        }
        if let Some(taken) = &self.taken {
            text += &format!("taken {} {} {}\n", taken.address, taken.host, taken.port);
        }
        for replica in &self.replicas {
            // Writing to a string cannot fail.
            let _: Result<(), std::fmt::Error> = writeln!(text, "replica {replica}");
        }
        let checksum = crc64(text.as_bytes());
        text + &format!("checksum {checksum:016x}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let at = text.rfind("checksum ")?;
        let (body, checksum) = text.split_at_checked(at)?;
        if checksum != format!("checksum {:016x}\n", crc64(body.as_bytes())) {
            return None;
        }
        let mut lines = body.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let replid = ReplId::parse(lines.next()?.strip_prefix("replid ")?.as_bytes())?;
        let previous = ReplId::parse(lines.next()?.strip_prefix("previous ")?.as_bytes())?;
        let wanted = lines.next()?.strip_prefix("wanted ")?.parse().ok()?;
        let mut lines = lines.peekable();
        let flushed = lines.next_if(|line| line.starts_with("flushed "));
        let taken = match lines.next_if(|line| line.starts_with("taken ")) {
            Some(line) => Some(Taken::parse(line.strip_prefix("taken ")?)?),
            None => None,
        };
        let names = lines.map(|line| Some(line.strip_prefix("replica ")?.to_owned()));
        let replicas: BTreeSet<String> = names.collect::<Option<_>>()?;
        let is_sound = wanted > 0 && !replicas.is_empty();
        is_sound.then_some(Self {
            replid,
            previous: Some(previous).filter(|previous| *previous != ReplId::NONE),
            wanted,
            replicas,
            flushed: flushed
                .and_then(|line| line.strip_prefix("flushed "))
                .map(str::to_owned),
            taken,
        })
    }

    /// Whether this is a name of the history.
    pub(super) fn knows(&self, replid: ReplId) -> bool {
        replid == self.replid || Some(replid) == self.previous
    }

    /// How many of the replicas have to be heard, so that one of them has each confirmed write.
    pub(super) fn needed(&self) -> usize {
        let spare = self.wanted.min(self.replicas.len());
        self.replicas.len() - spare + 1
    }

    /// Where it is.
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    /// Puts it in the place of the one before, durably.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let (path, temporary) = (dir.join(NAME), dir.join(TEMPORARY));
        let text = self.text();
        if text.len() > BYTES_MAX {
            // Nobody would believe it.
            return Err(io::Error::other("too many replicas have confirmed writes"));
        }
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    }

    /// The one that is there; None if there is none.
    pub(super) fn load(dir: &Path) -> Result<Option<Self>, RecordError> {
        let path = dir.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RecordError::Read { path, error }),
        };
        let text = std::str::from_utf8(&bytes).ok();
        let text = text.filter(|text| text.len() <= BYTES_MAX);
        match text.and_then(Self::parse) {
            Some(record) => Ok(Some(record)),
            None => Err(RecordError::Damaged { path }),
        }
    }

    /// Nothing is confirmed any more.
    pub(super) fn remove(dir: &Path) {
        let removed = fs::remove_file(dir.join(NAME));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("Removing {}: {error}", dir.join(NAME).display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(wanted: usize, replicas: usize) -> Record {
        Record {
            replid: ReplId::random(),
            previous: (wanted > 1).then(ReplId::random),
            wanted,
            replicas: (0..replicas).map(|n| format!("10.0.0.{n}:6379")).collect(),
            flushed: (wanted > 1).then(|| "appendonlydir/my file.aof".into()),
            taken: (replicas > 1).then(|| Taken {
                address: Address::parse("10.0.0.1:6379").unwrap(),
                host: "::1".into(),
                port: "6379".into(),
            }),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(dir.path()).unwrap(), None);
        let longest = Record {
            replicas: (0..KNOWN_MAX)
                .map(|n| format!("{}:{n:05}", "h".repeat(255)))
                .collect(),
            ..record(KNOWN_MAX, 1)
        };
        for record in [record(1, 1), record(2, 3), longest] {
            record.save(dir.path()).unwrap();
            assert_eq!(Record::load(dir.path()).unwrap(), Some(record));
        }
        Record::remove(dir.path());
        Record::remove(dir.path());
        assert_eq!(Record::load(dir.path()).unwrap(), None);
    }

    #[test]
    fn nothing_that_is_torn_or_damaged_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let whole = record(1, 2).text().into_bytes();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            matches!(Record::load(dir.path()), Err(RecordError::Damaged { .. }))
        };
        for len in 0..whole.len() {
            assert!(refused(&whole[..len]), "the first {len} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(refused(&damaged), "byte {at}");
        }
        assert!(refused(&[whole.clone(), whole.clone()].concat()));
        assert!(refused(&[0xff; 100]));
        assert!(refused(&vec![b'a'; BYTES_MAX + 1]));
        assert!(!refused(&whole));
    }

    #[test]
    fn so_many_are_heard_that_one_has_each_write() {
        for (wanted, replicas, needed) in [(1, 1, 1), (1, 3, 3), (2, 3, 2), (3, 3, 1), (4, 3, 1)] {
            assert_eq!(record(wanted, replicas).needed(), needed);
        }
    }
}
