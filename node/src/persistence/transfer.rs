//! Loading what a primary sends: a snapshot whose end follows from what it says, and what stands
//! behind it.

use std::io::{self, Read};

use slotilla_common::rdb::{Problem, ReadError, Reader};

use super::load::{Cause, Goal, Loading, Tally};
use crate::rdb::LoadError;
use crate::server::Server;

/// Where a primary's data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Into the databases that are served; nothing may be there.
    Served,
    /// The same, of data that has been seen to be good: a key that it has twice, which does not show
    /// while nothing is kept, is what it is the second time.
    Checked,
    /// Into those beside them.
    Aside,
    /// Nowhere: it is only to be seen whether it could be loaded.
    Nowhere,
}

/// A primary's data has been loaded.
#[derive(Debug)]
pub struct Transferred<R> {
    /// The source, behind what belongs to the data.
    pub source: R,
    /// What it gave and does not belong to the data.
    pub unread: Vec<u8>,
    /// How long the data was, without a mark.
    pub bytes: u64,
    /// The database that is selected in the stream behind it.
    pub db: u16,
}

/// A primary's data cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("Loading what the primary sends: {cause}; {}", cause.remedy_of_primary())]
pub struct TransferError {
    cause: Cause,
}

impl<E: Into<Cause>> From<E> for TransferError {
    fn from(cause: E) -> Self {
        Self {
            cause: cause.into(),
        }
    }
}

impl TransferError {
    /// The file that is to keep the data cannot be had.
    #[must_use]
    pub fn of_file(error: io::Error) -> Self {
        Cause::Open(error).into()
    }

    /// Whether nobody wanted it any longer, and nothing is wrong.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self.cause, Cause::Stopped)
    }

    /// Whether the connection has ended before the data.
    #[must_use]
    pub fn is_end(&self) -> bool {
        let problem = match &self.cause {
            Cause::Read(ReadError { problem, .. }) => Some(problem),
            Cause::Key { error, .. } => match &error.error {
                LoadError::Read(ReadError { problem, .. }) => Some(problem),
                _ => None,
            },
            _ => None,
        };
        matches!(problem, Some(Problem::Ended { .. }))
    }
}

/// Loads data that has so many bytes, or ends with this mark.
///
/// # Errors
/// It cannot be loaded, or is not as long as it was said to be; or `is_off`.
pub fn load_transfer<R: Read>(
    server: &Server,
    source: R,
    (length, mark): (Option<u64>, Option<&[u8; 40]>),
    target: Target,
    is_off: &dyn Fn() -> bool,
) -> Result<Transferred<R>, TransferError> {
    let goal = match target {
        Target::Served | Target::Checked => Goal::Databases(0),
        Target::Aside => Goal::Databases(server.store.aside().unwrap_or(0)),
        Target::Nowhere => Goal::Nowhere,
    };
    let progress = &server.persistence.progress;
    if target != Target::Nowhere {
        progress.begin(length.unwrap_or(0));
    }
    let mut reader = Reader::new(source, length);
    let mut loading = Loading::new(server, goal, target == Target::Checked, is_off);
    let loaded = read_all(&mut reader, &mut loading, (length, mark));
    let bytes = loaded.inspect_err(|_| progress.end())?;
    progress.end();
    if target != Target::Nowhere {
        loading.tally.tell();
        let Tally { keys, expired, .. } = loading.tally;
        server.persistence.note_loaded(keys, expired);
    }
    let (source, unread) = reader.into_parts();
    Ok(Transferred {
        source,
        unread,
        bytes,
        db: loading.stream_db(),
    })
}

/// How long the data is.
fn read_all<R: Read>(
    reader: &mut Reader<R>,
    loading: &mut Loading<'_>,
    (length, mark): (Option<u64>, Option<&[u8; 40]>),
) -> Result<u64, TransferError> {
    let version = reader.begin()?;
    loading.run(reader, version)?;
    let bytes = reader.offset();
    if length.is_some_and(|length| length != bytes) {
        let what = "the data ends before the length that was announced";
        return Err(reader.fault(Problem::Invalid(what)).into());
    }
    if let Some(mark) = mark {
        let found: [u8; 40] = reader.array("the mark at the end")?;
        if found != *mark {
            let what = "the mark at the end is another than was announced";
            return Err(reader.fault(Problem::Invalid(what)).into());
        }
    }
    Ok(bytes)
}
