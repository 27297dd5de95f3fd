//! Loading the append-only files: the base, then every increment in turn.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use slotilla_common::clock;

use super::files::{AofError, Directory};
use super::manifest::{Manifest, Part};
use super::{begin_following, follow};
use crate::config::Key;
use crate::persistence::{self, Base, Phase};
use crate::replication::apply::{Applier, ApplyError};
use crate::server::Server;

/// Read at once.
const PIECE: usize = 256 * 1024;
/// How a snapshot begins.
const SNAPSHOTS: [&[u8]; 2] = [b"REDIS", b"VALKE"];

/// Loads the data of the files, if there are any, and begins to write. Clients are served then.
///
/// # Errors
/// The files cannot be loaded, and the node is to stop; or it was told to, meanwhile.
pub fn load(server: &Arc<Server>) -> Result<(), AofError> {
    let directory = Directory::of(&server.config);
    let manifest = load_files(server, &directory)?;
    if let Err(text) = persistence::claim_slots(server) {
        // The data is there, and its slots are as the cluster has them.
        tracing::error!("Claiming the slots of what was loaded: {text}");
    }
    let restart = &server.replication.as_primary.restart;
    if manifest.is_none()
        && let Err(error) = restart.note_missing(server)
    {
        // Or the file that is made now would be believed to be the one of before.
        server.stop_because(&format!(
            "The record of confirmed writes cannot be written: {error}"
        ));
        return Err(AofError::Stopped);
    }
    begin(server, &directory, manifest.unwrap_or_default())?;
    restart.note_loaded(server);
    server.persistence.set_phase(Phase::Serving);
    Ok(())
}

/// Loads what there is; the manifest, if there is one.
pub(super) fn load_files(
    server: &Arc<Server>,
    directory: &Directory,
) -> Result<Option<Manifest>, AofError> {
    let begun_ms = clock::unix_ms();
    let manifest = directory.open()?;
    if let Some(manifest) = &manifest {
        load_all(server, directory, manifest)?;
        let seconds = (clock::unix_ms() - begun_ms) as f64 / 1000.0;
        tracing::info!("DB loaded from append only file: {seconds:.3} seconds");
    }
    Ok(manifest)
}

/// Loads all files that a manifest names.
fn load_all(
    server: &Arc<Server>,
    directory: &Directory,
    manifest: &Manifest,
) -> Result<(), AofError> {
    let files: Vec<(&Part, File)> = manifest
        .loaded()
        .map(|part| Ok((part, directory.read(part)?)))
        .collect::<Result<_, AofError>>()?;
    let progress = &server.persistence.progress;
    let lengths: Vec<u64> = files
        .iter()
        .map(|(part, _)| directory.len_of(part))
        .collect();
    progress.begin(lengths.iter().sum());
    let before = server.store.counters().changes;
    for (number, (part, file)) in files.into_iter().enumerate() {
        // The next one is named before the last word is written to this one.
        let is_last = lengths.iter().skip(number + 1).all(|length| *length == 0);
        let begun_ms = clock::unix_ms();
        let loaded = load_one(server, directory, part, file, is_last);
        if loaded.is_err() {
            progress.end();
        }
        loaded?;
        let is_base = manifest.base.as_ref() == Some(part);
        let kind = if is_base { "base" } else { "incr" };
        let seconds = (clock::unix_ms() - begun_ms) as f64 / 1000.0;
        tracing::info!(
            "DB loaded from {kind} file {}: {seconds:.3} seconds",
            part.name
        );
    }
    progress.end();
    // What was loaded is no change.
    let changes = server.store.counters().changes;
    server.persistence.forgive(changes.saturating_sub(before));
    Ok(())
}

fn load_one(
    server: &Arc<Server>,
    directory: &Directory,
    part: &Part,
    mut file: File,
    is_last: bool,
) -> Result<(), AofError> {
    let unreadable = |error| directory.unreadable(part, error);
    let len = file.metadata().map_err(unreadable)?.len();
    let mut start = 0;
    if is_snapshot(&mut file).map_err(unreadable)? {
        tracing::info!("Reading RDB base file on AOF loading...");
        let path = directory.path_of(&part.name);
        let snapshot = persistence::open_at(&server.config, path)?;
        start = persistence::load_part(server, snapshot)?;
        if start < len {
            tracing::info!("Reading the remaining AOF tail...");
        }
    }
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let Some(mut applier) = Applier::of_file(server, usize::MAX) else {
        return Err(AofError::Thread(io::Error::other(
            "there is no seat for it",
        )));
    };
    let mut done = 0;
    let mut piece = vec![0; PIECE];
    loop {
        if server.shutdown.is_cancelled() {
            return Err(AofError::Stopped);
        }
        let read = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        applier.push(piece.get(..read).unwrap_or_default());
        let applied = applier.run(&mut done);
        applied.map_err(|error| bad_format(part, error))?;
        let progress = &server.persistence.progress;
        progress.advance(start.saturating_add(done), 0);
    }
    if applier.pending() == 0 {
        return Ok(());
    }
    if applier.is_in_transaction() {
        tracing::warn!(
            "Revert incomplete MULTI/EXEC transaction from AOF file {}",
            part.name
        );
    }
    cut_off(server, directory, part, start.saturating_add(done), is_last)
}

fn bad_format(part: &Part, error: ApplyError) -> AofError {
    let name = part.name.clone();
    match error {
        ApplyError::Unsupported(command) => AofError::Unknown { name, command },
        error => AofError::Format { name, error },
    }
}

fn is_snapshot(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; 5];
    match file.read_exact(&mut magic) {
        Ok(()) => Ok(SNAPSHOTS.contains(&magic.as_slice())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file ends in the middle of a command, as it does if the node was killed while it wrote: what is
/// not whole is cut off, if that may be.
fn cut_off(
    server: &Server,
    directory: &Directory,
    part: &Part,
    whole: u64,
    is_last: bool,
) -> Result<(), AofError> {
    let name = part.name.clone();
    if !server.config.flag(Key::AofLoadTruncated) {
        return Err(AofError::Truncated(name));
    }
    if !is_last {
        return Err(AofError::TruncatedWithin(name));
    }
    tracing::warn!("!!! Warning: short read while loading the AOF file {name}!!!");
    tracing::warn!("AOF {name} loaded anyway because aof-load-truncated is enabled");
    tracing::warn!("Truncating the AOF {name} at offset {whole}");
    directory.truncate(part, whole)
}

/// Begins to write behind what was loaded.
pub(super) fn begin(
    server: &Arc<Server>,
    directory: &Directory,
    mut manifest: Manifest,
) -> Result<(), AofError> {
    directory.create()?;
    let before = manifest.clone();
    let is_new = manifest.loaded().next().is_none();
    if is_new {
        let is_snapshot = server.config.flag(Key::AofUseRdbPreamble);
        let base = manifest.next_base(&directory.file_name, is_snapshot);
        tracing::info!("Creating AOF base file {} on server start", base.name);
        let path = directory.path_of(&base.name);
        // Nothing is in it, as in the data.
        let begun = server
            .gate
            .exclusive(None, |gate| Base::begin(server, gate, &path))?;
        // No other snapshot is under way: the node does not serve yet.
        begun.ok_or(AofError::Stopped)?.finish(|| false)?;
        manifest.base = Some(base);
    }
    let last = manifest.increments.last().cloned();
    let increment = last.unwrap_or_else(|| {
        let increment = manifest.next_increment(&directory.file_name);
        tracing::info!("Creating AOF incr file {} on server start", increment.name);
        manifest.increments.push(increment.clone());
        increment
    });
    let file = directory.append_to(&increment)?;
    // A full disk takes no manifest, and needs none that says what the old one does.
    if manifest != before {
        directory.save(&manifest)?;
    }
    if !server.config.flag(Key::AofDisableAutoGc) {
        directory.forget_history(&mut manifest)?;
    }
    let aof = &server.aof;
    aof.note_sizes(directory, &manifest);
    let bytes = aof.current_bytes();
    aof.base_bytes
        .store(bytes, std::sync::atomic::Ordering::Relaxed);
    *aof.manifest.lock() = manifest;
    aof.note_whole(aof.replaced());
    let reader = server.gate.exclusive(None, |_| begin_following(server));
    match reader {
        Some(reader) => follow(server, reader, file),
        None => Err(AofError::Stopped),
    }
}
