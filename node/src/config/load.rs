//! The configuration at the start: file, standard input, command line, in that order; the last
//! word counts. All faults come out at once.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use slotilla_common::config::{
    Arguments, ConfigError, Entry, Origin, arguments, lines, nearest, tables,
};
use slotilla_common::glob;

use super::directive::{Directive, Effect, Kind};
use super::structured::OutputLimit;
use super::table::{AUTO, COUNT};
use super::value::{Value, system_text};
use super::{Config, ConfigFile, Form, Key, TABLE, Values};

/// Files that include files that include files: one more is a loop.
const INCLUDE_DEPTH_MAX: usize = 16;
/// No configuration is longer; a wrong file name may lead anywhere.
const FILE_BYTES_MAX: u64 = 16 << 20;

impl Config {
    /// Reads the configuration that a command line (without the program's name) asks for.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(args: impl IntoIterator<Item = String>) -> Result<Self, Vec<ConfigError>> {
        Self::of(arguments(args))
    }

    /// The configuration of a file alone, whatever its name looks like.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_file(path: &Path) -> Result<Self, Vec<ConfigError>> {
        Self::of(Arguments {
            file: Some(path.to_owned()),
            ..Arguments::default()
        })
    }

    fn of(arguments: Arguments) -> Result<Self, Vec<ConfigError>> {
        let Arguments {
            file,
            stdin,
            entries,
        } = arguments;
        let mut loader = Loader::new();
        let file = file.and_then(|path| loader.main_file(&path));
        if stdin {
            loader.standard_input();
        }
        // A redis.conf means what it means to Redis; all else is for a cluster.
        let is_conf = stdin
            || file
                .as_ref()
                .is_some_and(|(file, _)| file.form == Form::Conf);
        if !is_conf {
            loader.default_to_cluster();
        }
        let (file, text) = file.unzip();
        if let (Some(file), Some(text)) = (&file, &text) {
            loader.text(&file.path.display().to_string(), text, file.form, 0);
        }
        let stdin_entries = std::mem::take(&mut loader.stdin_entries);
        for entry in stdin_entries.iter().chain(&entries) {
            loader.entry(entry, 0);
        }
        loader.finish(file)
    }

    /// A configuration of a text in redis.conf's form, as `load` would read it from a file. For
    /// tests, and for feeding the parser rubbish.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_conf(text: &[u8]) -> Result<Self, Vec<ConfigError>> {
        Self::from_text(text, Form::Conf)
    }

    /// A configuration of a TOML text, as `load` would read it from a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_toml(text: &[u8]) -> Result<Self, Vec<ConfigError>> {
        Self::from_text(text, Form::Toml)
    }

    fn from_text(text: &[u8], form: Form) -> Result<Self, Vec<ConfigError>> {
        let mut loader = Loader::new();
        if form == Form::Toml {
            loader.default_to_cluster();
        }
        // Rubbish may name any file of the machine.
        loader.text("text", text, form, INCLUDE_DEPTH_MAX);
        loader.finish(None)
    }
}

struct Loader {
    values: Values,
    defaults: Values,
    /// Where each key was last set.
    set_by: [Option<Origin>; COUNT],
    stdin_entries: Vec<Entry>,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

/// The value of a row's default.
pub(super) fn default_value(directive: &Directive) -> Value {
    if directive.default == AUTO {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        return Value::Number(i64::try_from(cores).unwrap_or(1).clamp(1, 128));
    }
    let blank = match directive.kind {
        Kind::OutputLimits => Value::OutputLimits([OutputLimit::default(); 3]),
        Kind::ReplicaOf => return Value::ReplicaOf(None),
        _ => Value::Number(0),
    };
    // A default is valid, as a test checks; only `dir` can fail, when the directory is gone.
    Value::parse(directive, &blank, &[directive.default.as_bytes()])
        .unwrap_or_else(|_| Value::Text(directive.default.as_bytes().into()))
}

impl Loader {
    fn new() -> Self {
        let defaults: Values = TABLE.iter().map(default_value).collect();
        Self {
            values: defaults.clone(),
            defaults,
            set_by: [const { None }; COUNT],
            stdin_entries: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn default_to_cluster(&mut self) {
        for values in [&mut self.values, &mut self.defaults] {
            if let Some(value) = values.get_mut(Key::ClusterEnabled as usize) {
                *value = Value::Number(1);
            }
        }
    }

    /// Reads the file of the command line and says which form it has.
    fn main_file(&mut self, path: &Path) -> Option<(ConfigFile, Vec<u8>)> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match read(path) {
            Ok(text) => {
                let form = form_of(path, &text);
                Some((
                    ConfigFile {
                        path: absolute,
                        form,
                    },
                    text,
                ))
            }
            Err(problem) => {
                self.errors.push(ConfigError {
                    origin: Origin::WholeFile {
                        path: path.to_string_lossy().into(),
                    },
                    key: String::new(),
                    shown: path.display().to_string(),
                    problem: format!("cannot be read: {problem}"),
                    remedy: "name a node.toml or a redis.conf that exists".to_owned(),
                });
                None
            }
        }
    }

    fn standard_input(&mut self) {
        let mut text = Vec::new();
        // What could be read before a fault is what there is.
        let _ = std::io::stdin()
            .lock()
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut text);
        let (entries, errors) = lines(&text, |line| Origin::Stdin { line });
        self.stdin_entries = entries;
        self.errors.extend(errors);
    }

    fn text(&mut self, name: &str, text: &[u8], form: Form, depth: usize) {
        let path: Arc<str> = name.into();
        let origin = |line| Origin::File {
            path: Arc::clone(&path),
            line,
        };
        let (entries, errors) = match (form, std::str::from_utf8(text)) {
            (Form::Conf, _) => lines(text, origin),
            (Form::Toml, Ok(text)) => tables(text, origin),
            (Form::Toml, Err(error)) => {
                let before = text.get(..error.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let fault = ConfigError {
                    origin: origin(line),
                    key: String::new(),
                    shown: String::new(),
                    problem: "not UTF-8, which TOML must be".to_owned(),
                    remedy: "save the file as UTF-8".to_owned(),
                };
                (Vec::new(), vec![fault])
            }
        };
        self.errors.extend(errors);
        for entry in &entries {
            self.entry(entry, depth);
        }
    }

    fn entry(&mut self, entry: &Entry, depth: usize) {
        if let Some(directive) = Directive::named(&entry.key) {
            self.directive(directive, entry);
        } else if entry.key.eq_ignore_ascii_case("include") {
            self.include(entry, depth);
        } else {
            match not_a_directive(entry) {
                NotADirective::Ignored(warning) => self.warnings.push(warning),
                NotADirective::Fault(error) => self.errors.push(error),
            }
        }
    }

    fn directive(&mut self, directive: &'static Directive, entry: &Entry) {
        let index = directive.key as usize;
        let Some(slot) = self.values.get_mut(index) else {
            return;
        };
        let words: Vec<&[u8]> = entry.words.iter().map(Vec::as_slice).collect();
        match Value::parse(directive, slot, &words) {
            Ok(value) => {
                let again = self.set_by.get(index).is_some_and(Option::is_some);
                *slot = join(slot, value, again);
                if let Some(set_by) = self.set_by.get_mut(index) {
                    *set_by = Some(entry.origin.clone());
                }
            }
            Err(problem) => {
                let default = match directive.default {
                    "" => String::new(),
                    default => format!(" (default {default})"),
                };
                let remedy = format!("give {}{default}", directive.expects());
                self.errors.push(entry.error(problem, remedy));
            }
        }
    }

    fn include(&mut self, entry: &Entry, depth: usize) {
        if depth >= INCLUDE_DEPTH_MAX {
            self.errors
                .push(entry.error("too many files include each other", "break the circle"));
            return;
        }
        for pattern in &entry.words {
            let pattern = String::from_utf8_lossy(pattern).into_owned();
            for path in matching_files(&pattern) {
                match read(&path) {
                    Ok(text) => {
                        let form = form_of(&path, &text);
                        self.text(&path.display().to_string(), &text, form, depth + 1);
                    }
                    Err(problem) => {
                        let problem = format!("cannot read {}: {problem}", path.display());
                        self.errors.push(entry.error(problem, "correct the path"));
                    }
                }
            }
        }
        if entry.words.is_empty() {
            self.errors
                .push(entry.error("wrong number of arguments", "name a file"));
        }
    }

    fn finish(mut self, file: Option<ConfigFile>) -> Result<Config, Vec<ConfigError>> {
        self.check_together();
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        self.warn_of_what_does_nothing();
        Ok(Config::new(self.values, self.defaults, file, self.warnings))
    }

    fn number(&self, key: Key) -> i64 {
        self.values
            .get(key as usize)
            .map_or(0, |value| value.hot().cast_signed())
    }

    /// Rules that take more than a directive by itself. The first key of each is the one to blame.
    fn check_together(&mut self) {
        let cluster = self.number(Key::ClusterEnabled) != 0;
        let port = self.number(Key::Port);
        let admin = self.number(Key::AdminPort);
        let replicates = self.values.get(Key::Replicaof as usize) != Some(&Value::ReplicaOf(None));
        self.rule(
            replicates && cluster,
            &[Key::Replicaof, Key::ClusterEnabled],
            "replicaof directive not allowed in cluster mode",
            "use CLUSTER REPLICATE, or set cluster-enabled no",
        );
        self.rule(
            self.number(Key::TlsPort) != 0,
            &[Key::TlsPort],
            "TLS is not supported by this version",
            "leave it out, and put a TLS terminator in front",
        );
        self.rule(
            self.number(Key::Aclfile) != 0,
            &[Key::Aclfile],
            "users are not supported by this version",
            "leave it out, and set requirepass",
        );
        self.rule(
            port == 0 && self.number(Key::Unixsocket) == 0,
            &[Key::Port, Key::Unixsocket],
            "Configured to not listen anywhere",
            "set port or unixsocket",
        );
        self.rule(
            cluster && port > 55_535 && self.number(Key::ClusterPort) == 0,
            &[Key::Port, Key::ClusterEnabled, Key::ClusterPort],
            "the cluster bus needs port plus 10000, which exceeds 65535",
            "choose a port up to 55535, or set cluster-port",
        );
        self.rule(
            cluster && port == 0,
            &[Key::Port, Key::ClusterEnabled],
            "a cluster node needs a TCP port",
            "set port, or cluster-enabled no",
        );
        self.rule(
            admin != 0 && admin == port,
            &[Key::AdminPort, Key::Port],
            "port and admin-port are the same",
            "choose different ports",
        );
    }

    /// Tells that a rule about `keys` is broken, unless one of them is wrong by itself: its value
    /// is not what was meant.
    fn rule(&mut self, is_broken: bool, keys: &[Key], problem: &str, remedy: &str) {
        let is_wrong = |key: &Key| {
            let named = |error: &ConfigError| Directive::named(&error.key).map(|d| d.key);
            self.errors.iter().any(|error| named(error) == Some(*key))
        };
        if let (true, Some(key)) = (is_broken, keys.first())
            && !keys.iter().any(is_wrong)
        {
            self.fault(*key, problem, remedy);
        }
    }

    fn fault(&mut self, key: Key, problem: &str, remedy: &str) {
        let directive = Directive::of(key);
        let origin = self.set_by.get(key as usize).cloned().flatten();
        let value = self
            .values
            .get(key as usize)
            .map(|value| value.show(directive.kind));
        let value = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        self.errors.push(ConfigError {
            origin: origin.unwrap_or(Origin::Arguments),
            key: directive.name.to_owned(),
            shown: format!("{} {value}", directive.name),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    fn warn_of_what_does_nothing(&mut self) {
        for directive in TABLE {
            let index = directive.key as usize;
            let value = self.values.get(index);
            // Not to save is what this version does.
            let off = value == Some(&Value::SavePoints(Vec::new()));
            let changed = value != self.defaults.get(index) && !off;
            let Some(Some(origin)) = self.set_by.get(index) else {
                continue;
            };
            let what = match directive.effect {
                Effect::Later if changed => "accepted, but this version does nothing with it",
                Effect::Never if changed => "accepted, but this server has no use for it",
                Effect::Now | Effect::Later | Effect::Never => continue,
            };
            self.warnings
                .push(format!("{origin}: {}: {what}", directive.name));
        }
    }
}

/// Save points add up from line to line; everything else is what the last line says.
pub(super) fn join(old: &Value, new: Value, again: bool) -> Value {
    match (old, new) {
        (Value::SavePoints(old), Value::SavePoints(new)) if again && !new.is_empty() => {
            Value::SavePoints(old.iter().chain(&new).copied().collect())
        }
        (_, new) => new,
    }
}

enum NotADirective {
    Ignored(String),
    Fault(ConfigError),
}

/// Lines of a redis.conf that are no directives of the table, and lines that are nothing.
fn not_a_directive(entry: &Entry) -> NotADirective {
    let refused = |problem: &str, remedy: &str| NotADirective::Fault(entry.error(problem, remedy));
    match entry.key.to_ascii_lowercase().as_str() {
        "list-max-ziplist-entries" | "list-max-ziplist-value" | "lua-replicate-commands" => {
            let Entry { origin, key, .. } = entry;
            NotADirective::Ignored(format!("{origin}: {key}: no longer has a meaning"))
        }
        // To ignore these would open what the operator meant to close.
        "user" => refused(
            "users are not supported by this version",
            "leave it out, and set requirepass",
        ),
        "rename-command" => refused("commands cannot be renamed in this version", "leave it out"),
        "loadmodule" => refused("modules are not supported", "leave it out"),
        "sentinel" => refused(
            "sentinel directive while not in sentinel mode",
            "leave it out",
        ),
        key => {
            let remedy = if let Some((before, after)) = key.split_once('=') {
                format!("write --{before} {after}")
            } else {
                let names = TABLE.iter().flat_map(Directive::names);
                match nearest(key, names) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "see config/node.toml for the keys that there are".to_owned(),
                }
            };
            refused("Bad directive or wrong number of arguments", &remedy)
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        let mut text = Vec::new();
        std::fs::File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: std::io::Error| system_text(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err("it is too large for a configuration".to_owned());
    }
    Ok(text)
}

/// By its extension, else by what is in it: a line with `=` or a `[table]` is TOML.
fn form_of(path: &Path, text: &[u8]) -> Form {
    match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("toml") => return Form::Toml,
        Some("conf") => return Form::Conf,
        _ => {}
    }
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    let is_toml = first.is_some_and(|line| {
        let key_end = line
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || b"-_.\"".contains(b)));
        let rest = key_end.and_then(|end| line.get(end..)).unwrap_or_default();
        line.starts_with(b"[") || rest.trim_ascii_start().starts_with(b"=")
    });
    if is_toml { Form::Toml } else { Form::Conf }
}

/// The files that a pattern of `include` means, sorted; a plain name means itself.
fn matching_files(pattern: &str) -> Vec<std::path::PathBuf> {
    let is_wild = |part: &str| part.contains(['*', '?', '[']);
    let start = if pattern.starts_with('/') { "/" } else { "" };
    let mut found = vec![std::path::PathBuf::from(start)];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !is_wild(part) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let matching = found.iter().flat_map(|path| entries_matching(path, part));
        found = matching.collect();
        found.sort();
    }
    if is_wild(pattern) {
        found.retain(|path| path.exists());
    }
    found
}

fn entries_matching(dir: &Path, part: &str) -> Vec<std::path::PathBuf> {
    let dir_to_read = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let Ok(entries) = std::fs::read_dir(dir_to_read) else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let matching = names.filter(|name| {
        let name = name.as_encoded_bytes();
        // As in a shell, * does not match a hidden file.
        name.starts_with(b".") == part.starts_with('.') && glob::matches(part.as_bytes(), name)
    });
    matching.map(|name| dir.join(name)).collect()
}

/// What a start that failed prints: the heading that Redis's tools look for, then each fault with
/// its line as written and what to do about it.
#[must_use]
pub fn fatal_text(errors: &[ConfigError]) -> String {
    let mut text = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n".to_owned();
    for error in errors {
        let place = match &error.origin {
            Origin::File { path, line } => format!("configuration file {path}, at line {line}"),
            Origin::WholeFile { path } => format!("configuration file {path}"),
            Origin::Stdin { line } => format!("configuration from standard input, at line {line}"),
            Origin::Arguments => "command line".to_owned(),
        };
        let _ = writeln!(
            text,
            "Reading the {place}\n>>> '{}'\n{}",
            error.shown, error.problem
        );
        if !error.remedy.is_empty() {
            let key = if error.key.is_empty() {
                String::new()
            } else {
                format!("{}: ", error.key)
            };
            let _ = writeln!(text, "{key}{}", error.remedy);
        }
    }
    text
}
