//! Logs: `tracing` events as lines of text in Redis's layout, or as JSON.
//!
//! ```text
//! 4711:M 22 Nov 2026 17:21:14.123 * Ready to accept connections port=7000
//! PID:ROLE time (UTC)           level message                     fields
//! ```
//!
//! The levels are Redis's four: debug `.`, verbose `-`, notice `*`, warning `#`, on tracing's TRACE,
//! DEBUG, INFO, and WARN or ERROR. Level, format and file change while the process runs; a level
//! that is off costs nothing at the place that would log. A log file that was moved away or removed
//! is reopened within a second, so `logrotate` needs neither a signal nor `copytruncate`.
//!
//! Events of libraries are shown from WARN up only. A message never spans lines, whatever a
//! client put into it.

mod format;
mod output;

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use output::Output;

/// How much is logged: each level includes those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Everything, for finding bugs.
    Debug,
    /// Much, seldom useful.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// Only what is wrong.
    Warning,
}

impl Level {
    /// Redis's name of the level.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Verbose => "verbose",
            Self::Notice => "notice",
            Self::Warning => "warning",
        }
    }

    /// The level of this name, in any letter case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Debug, Self::Verbose, Self::Notice, Self::Warning]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }

    fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Debug,
            tracing::Level::DEBUG => Self::Verbose,
            tracing::Level::INFO => Self::Notice,
            tracing::Level::WARN | tracing::Level::ERROR => Self::Warning,
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::TRACE,
            Self::Verbose => LevelFilter::DEBUG,
            Self::Notice => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
        }
    }

    fn from_u8(raw: u8) -> Self {
        match raw {
            0 => Self::Debug,
            1 => Self::Verbose,
            2 => Self::Notice,
            _ => Self::Warning,
        }
    }
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// Redis's layout.
    Text,
    /// One JSON object to a line.
    Json,
}

/// What the process is, as the letter in a line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// A node that is a primary.
    Primary = b'M',
    /// A node that is a replica.
    Replica = b'S',
    /// A proxy.
    Proxy = b'P',
}

impl Role {
    fn name(letter: u8) -> &'static str {
        match letter {
            b'S' => "replica",
            b'P' => "proxy",
            _ => "primary",
        }
    }
}

/// Where and how to log.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The least level shown.
    pub level: Level,
    /// Text or JSON.
    pub format: Format,
    /// The file, or standard output.
    pub file: Option<&'a Path>,
    /// What the process is at its start.
    pub role: Role,
}

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot open the log file {path}: {source}; check the directory and its permissions, or log to standard output with logfile \"\""
)]
pub struct LogError {
    /// The file as given.
    pub path: String,
    /// The system's answer.
    pub source: std::io::Error,
}

/// The process's log: changes what is written from now on.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    level: AtomicU8,
    format: AtomicU8,
    role: AtomicU8,
    output: Output,
}

static INSTALLED: OnceLock<Log> = OnceLock::new();

impl Log {
    /// Opens the log and sends the process's events to it. The first call decides where they
    /// go; later ones (servers started inside one test) change its settings instead.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn install(settings: &Settings<'_>) -> Result<Self, LogError> {
        if let Some(log) = INSTALLED.get() {
            log.apply(settings)?;
            return Ok(log.clone());
        }
        let log = Self::open(settings)?;
        let installed = INSTALLED.get_or_init(|| log);
        let subscriber = tracing_subscriber::registry().with(Lines(Arc::clone(&installed.0)));
        // Fails only if somebody else has set a subscriber, who then gets the events.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(installed.clone())
    }

    /// A log that no event goes to yet.
    fn open(settings: &Settings<'_>) -> Result<Self, LogError> {
        Ok(Self(Arc::new(Shared {
            level: AtomicU8::new(settings.level as u8),
            format: AtomicU8::new(settings.format as u8),
            role: AtomicU8::new(settings.role as u8),
            output: Output::open(settings.file)?,
        })))
    }

    fn apply(&self, settings: &Settings<'_>) -> Result<(), LogError> {
        self.0.output.change(settings.file)?;
        self.set_format(settings.format);
        self.set_role(settings.role);
        self.set_level(settings.level);
        Ok(())
    }

    /// The least level shown.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::from_u8(self.0.level.load(Ordering::Relaxed))
    }

    /// Shows events from this level up, from now on.
    pub fn set_level(&self, level: Level) {
        self.0.level.store(level as u8, Ordering::Relaxed);
        // Places that log have remembered whether anybody listens.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Writes lines of this format from now on.
    pub fn set_format(&self, format: Format) {
        self.0.format.store(format as u8, Ordering::Relaxed);
    }

    /// Marks lines with this role from now on.
    pub fn set_role(&self, role: Role) {
        self.0.role.store(role as u8, Ordering::Relaxed);
    }

    /// Opens the file again by its name, at once.
    ///
    /// # Errors
    /// When it cannot be opened; the old file stays in use.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.0.output.reopen()
    }
}

/// The layer that turns events into lines.
struct Lines(Arc<Shared>);

impl Lines {
    fn shows(&self, metadata: &Metadata<'_>) -> bool {
        let level = Level::of(*metadata.level());
        let ours = metadata.target().starts_with("slotilla");
        level >= Level::from_u8(self.0.level.load(Ordering::Relaxed))
            && (ours || level == Level::Warning)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.shows(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.shows(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(Level::from_u8(self.0.level.load(Ordering::Relaxed)).filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let shared = &self.0;
        let head = format::Head {
            pid: std::process::id(),
            role: shared.role.load(Ordering::Relaxed),
            unix_ms: crate::clock::unix_ms(),
        };
        let line = if shared.format.load(Ordering::Relaxed) == Format::Json as u8 {
            format::json(head, event)
        } else {
            format::text(head, event)
        };
        shared.output.write(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &Path) -> Settings<'_> {
        Settings {
            level: Level::Notice,
            format: Format::Text,
            file: Some(path),
            role: Role::Primary,
        }
    }

    /// Runs `work` with its events going to a log of its own.
    fn logged(level: Level, work: impl FnOnce(&Log)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(&settings(&path)).unwrap();
        log.set_level(level);
        let subscriber = tracing_subscriber::registry().with(Lines(Arc::clone(&log.0)));
        tracing::subscriber::with_default(subscriber, || work(&log));
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn lines_are_in_redis_s_layout() {
        let text = logged(Level::Debug, |log| {
            tracing::info!(port = 7000, name = "a b", "Ready to accept connections");
            log.set_role(Role::Replica);
            tracing::warn!("line one\nline two\r");
            tracing::debug!("v");
            tracing::trace!("d");
        });
        let pid = std::process::id();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].starts_with(&format!("{pid}:M ")), "{text}");
        assert!(
            lines[0].ends_with(" * Ready to accept connections port=7000 name=\"a b\""),
            "{text}"
        );
        assert!(lines[1].starts_with(&format!("{pid}:S ")), "{text}");
        assert!(lines[1].ends_with(" # line one\\nline two\\r"), "{text}");
        assert!(
            lines[2].ends_with(" - v") && lines[3].ends_with(" . d"),
            "{text}"
        );
        // PID:M, day, month, year, time, level
        let words: Vec<&str> = lines[0].split(' ').collect();
        assert_eq!(words[4].len(), "17:21:14.123".len(), "{text}");
    }

    #[test]
    fn levels_change_while_running() {
        let text = logged(Level::Warning, |log| {
            for (level, expected) in [
                (Level::Warning, "w"),
                (Level::Notice, "wn"),
                (Level::Verbose, "wnv"),
                (Level::Debug, "wnvd"),
                (Level::Notice, "wn"),
            ] {
                log.set_level(level);
                tracing::warn!("{}{expected}:w", level.name());
                tracing::info!("{}{expected}:n", level.name());
                tracing::debug!("{}{expected}:v", level.name());
                tracing::trace!("{}{expected}:d", level.name());
            }
        });
        let shown: String = text.lines().filter_map(|l| l.chars().last()).collect();
        assert_eq!(shown, "wwnwnvwnvdwn");
    }

    #[test]
    fn libraries_are_heard_from_warnings_up() {
        let text = logged(Level::Debug, |_| {
            tracing::info!(target: "hyper::proto", "chatter");
            tracing::warn!(target: "hyper::proto", "trouble");
        });
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("trouble"));
    }

    #[test]
    fn json_lines_carry_the_fields() {
        let text = logged(Level::Notice, |log| {
            log.set_format(Format::Json);
            tracing::warn!(
                port = 7000u16,
                ratio = 0.5,
                ok = true,
                who = "a\"b",
                "Odd \"thing\""
            );
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["message"], "Odd \"thing\"");
        assert_eq!(
            (&line["level"], &line["role"]),
            (&"warning".into(), &"primary".into())
        );
        assert_eq!((&line["port"], &line["ratio"]), (&7000.into(), &0.5.into()));
        assert_eq!((&line["ok"], &line["who"]), (&true.into(), &"a\"b".into()));
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_file_that_cannot_be_opened_names_path_and_remedy() {
        let error = Log::open(&settings(Path::new("/nonexistent/dir/log")))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nonexistent/dir/log") && error.contains("logfile"),
            "{error}"
        );
    }

    #[test]
    fn level_names_are_read_in_any_case() {
        for level in [Level::Debug, Level::Verbose, Level::Notice, Level::Warning] {
            assert_eq!(Level::from_name(&level.name().to_uppercase()), Some(level));
            assert_eq!(Level::from_u8(level as u8), level);
        }
        assert_eq!(Level::from_name("info"), None);
    }
}
