//! The value of a directive: reading it from words, showing it, writing it into a file.
//!
//! The texts of refusals are Redis's, byte for byte: tools match on them.

use std::path::{Path, PathBuf};

use slotilla_common::config::{format_size, parse_bool, parse_size, quote};
use slotilla_common::resp::parse_i64;

use super::ack_writes::AckWrites;
use super::directive::{Directive, Kind};
use super::structured::{
    self, OutputLimit, SavePoint, notify_flags, output_limits, percentiles, save_points,
    shutdown_flags,
};
use super::table::Key;

/// The value of one directive.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, a boolean (0 or 1), the place of a choice, a set of flags, a percentage (negative).
    Number(i64),
    /// Bytes.
    Size(u64),
    /// Text.
    Text(Box<[u8]>),
    /// Addresses to listen on.
    Addresses(Vec<String>),
    /// Limits of unread replies: normal clients, replicas, subscribers.
    OutputLimits([OutputLimit; 3]),
    /// When to save.
    SavePoints(Vec<SavePoint>),
    /// Percentiles.
    Percentiles(Vec<f64>),
    /// Adjustments for a primary, a replica and a child.
    OomScores([i32; 3]),
    /// The primary to copy.
    ReplicaOf(Option<(String, u16)>),
}

impl Value {
    /// What the hot path reads of it: the number, the bytes, or how long the text is.
    pub(super) fn hot(&self) -> u64 {
        match self {
            Self::Number(number) => number.cast_unsigned(),
            Self::Size(bytes) => *bytes,
            Self::Text(text) => text.len() as u64,
            Self::OutputLimits(_)
            | Self::Addresses(_)
            | Self::SavePoints(_)
            | Self::Percentiles(_)
            | Self::OomScores(_)
            | Self::ReplicaOf(_) => 0,
        }
    }

    /// Reads the words after a directive's name. `old` is the value so far, which some directives
    /// change in parts.
    ///
    /// # Errors
    /// Redis's text of what is wrong.
    pub(super) fn parse(
        directive: &Directive,
        old: &Self,
        words: &[&[u8]],
    ) -> Result<Self, String> {
        if directive.kind.takes_words() {
            // One word may hold several, as CONFIG SET gives them.
            let split: Vec<&[u8]> = match words {
                [[]] => Vec::new(),
                [one] => one.split(|byte| *byte == b' ').collect(),
                several => several.to_vec(),
            };
            return Self::parse_words(directive.kind, old, &split);
        }
        match words {
            [word] => Self::parse_word(directive, word),
            _ => Err("wrong number of arguments".to_owned()),
        }
    }

    fn parse_word(directive: &Directive, word: &[u8]) -> Result<Self, String> {
        let text = || String::from_utf8_lossy(word);
        match directive.kind {
            Kind::Bool => parse_bool(&text())
                .map(|yes| Self::Number(yes.into()))
                .ok_or_else(|| "argument must be 'yes' or 'no'".to_owned()),
            Kind::Int { min, max, .. } => {
                let number =
                    parse_i64(word).ok_or("argument couldn't be parsed into an integer")?;
                let number = within(number, min, max)?;
                // Redis accepts any, and uses and shows what is in range.
                let bent = if directive.key == Key::Hz {
                    number.clamp(1, 500)
                } else {
                    number
                };
                Ok(Self::Number(bent))
            }
            Kind::Octal { max } => octal(&text(), max).map(Self::Number),
            Kind::Size { min, max } => {
                let bytes = parse_size(&text()).ok_or("argument must be a memory value")?;
                if bytes < min || bytes > max {
                    return Err(format!(
                        "argument must be between {min} and {max} inclusive"
                    ));
                }
                // A backlog below this is of no use to anybody, and Redis makes it this large.
                let least = if directive.key == Key::ReplBacklogSize {
                    16 * 1024
                } else {
                    0
                };
                Ok(Self::Size(bytes.max(least)))
            }
            Kind::SizeOrPercent => size_or_percent(&text()).map(Self::Number),
            Kind::Choice(choices) => choices
                .iter()
                .position(|choice| choice.as_bytes().eq_ignore_ascii_case(word))
                .and_then(|place| i64::try_from(place).ok())
                .map(Self::Number)
                .ok_or_else(|| one_of(choices)),
            Kind::NotifyFlags => notify_flags::parse(word).map(Self::Number),
            Kind::AckWrites => AckWrites::parse(word)
                .map(|acks| Self::Number(acks.stored()))
                .ok_or_else(|| AckWrites::EXPECTED.to_owned()),
            Kind::Dir => directory(&text()).map(Self::from_path),
            kind => {
                structured::check_text(kind, directive.name, &text())?;
                Ok(Self::Text(word.into()))
            }
        }
    }

    fn parse_words(kind: Kind, old: &Self, words: &[&[u8]]) -> Result<Self, String> {
        let texts: Vec<_> = words
            .iter()
            .map(|word| String::from_utf8_lossy(word))
            .collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        match (kind, old) {
            (Kind::OutputLimits, Self::OutputLimits(old)) => {
                output_limits::parse(&texts, *old).map(Self::OutputLimits)
            }
            (Kind::SavePoints, _) => save_points::parse(&texts).map(Self::SavePoints),
            (Kind::Percentiles, _) => percentiles::parse(&texts).map(Self::Percentiles),
            (Kind::ShutdownFlags, _) => shutdown_flags::parse(&texts).map(Self::Number),
            (Kind::OomScores, _) => structured::oom_scores(&texts).map(Self::OomScores),
            (Kind::ReplicaOf, _) => structured::replica_of(&texts).map(Self::ReplicaOf),
            _ if texts.len() > structured::ADDRESSES_MAX => {
                Err("Too many bind addresses specified.".to_owned())
            }
            _ => Ok(Self::Addresses(
                texts.into_iter().map(str::to_owned).collect(),
            )),
        }
    }

    /// What CONFIG GET prints.
    pub(super) fn show(&self, kind: Kind) -> Vec<u8> {
        match self {
            Self::Number(number) => show_number(*number, kind).into_bytes(),
            Self::Size(bytes) => bytes.to_string().into_bytes(),
            Self::Text(text) => text.to_vec(),
            Self::Addresses(addresses) => addresses.join(" ").into_bytes(),
            Self::OutputLimits(limits) => output_limits::show(limits).into_bytes(),
            Self::SavePoints(points) => save_points::show(points).into_bytes(),
            Self::Percentiles(values) => percentiles::show(values).into_bytes(),
            Self::OomScores([a, b, c]) => format!("{a} {b} {c}").into_bytes(),
            Self::ReplicaOf(None) => Vec::new(),
            Self::ReplicaOf(Some((host, port))) => format!("{host} {port}").into_bytes(),
        }
    }

    /// The lines of a redis.conf that mean this value, without the directive's name. At least
    /// one, except where none is how to say it.
    pub(super) fn conf_lines(&self, kind: Kind) -> Vec<String> {
        let shown = |value: &Self| String::from_utf8_lossy(&value.show(kind)).into_owned();
        match self {
            Self::Size(bytes) => vec![format_size(*bytes)],
            Self::Number(number) if kind == Kind::SizeOrPercent && *number > 0 => {
                vec![format_size(number.unsigned_abs())]
            }
            Self::Number(_) if kind == Kind::NotifyFlags => vec![quote(&self.show(kind))],
            Self::Text(text) => vec![quote(text)],
            Self::OutputLimits(limits) => output_limits::lines(limits),
            Self::SavePoints(points) if points.is_empty() => vec!["\"\"".to_owned()],
            Self::SavePoints(points) => points
                .iter()
                .map(|point| save_points::show(std::slice::from_ref(point)))
                .collect(),
            Self::Addresses(addresses) if addresses.is_empty() => vec!["\"\"".to_owned()],
            Self::Percentiles(values) if values.is_empty() => vec!["\"\"".to_owned()],
            Self::ReplicaOf(None) => Vec::new(),
            value => vec![shown(value)],
        }
    }

    fn from_path(path: PathBuf) -> Self {
        use std::os::unix::ffi::OsStringExt;
        Self::Text(path.into_os_string().into_vec().into())
    }
}

fn within(number: i64, min: i64, max: i64) -> Result<i64, String> {
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!(
            "argument must be between {min} and {max} inclusive"
        ))
    }
}

fn octal(text: &str, max: i64) -> Result<i64, String> {
    let number = i64::from_str_radix(text, 8)
        .map_err(|_| "argument couldn't be parsed as an octal number".to_owned())?;
    if (0..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("argument must be between 0 and {max:o} inclusive"))
    }
}

/// Bytes as they are, a percentage as a negative number.
fn size_or_percent(text: &str) -> Result<i64, String> {
    const WRONG: &str = "argument must be a memory or percent value";
    if let Some(percent) = text.strip_suffix('%') {
        let percent = parse_i64(percent.as_bytes())
            .filter(|n| *n >= 0)
            .ok_or(WRONG)?;
        return match percent {
            0..=100 => Ok(-percent),
            _ => Err("percentage argument must be less or equal to 100".to_owned()),
        };
    }
    let bytes = parse_size(text).ok_or(WRONG)?;
    i64::try_from(bytes).map_err(|_| WRONG.to_owned())
}

fn one_of(choices: &[&str]) -> String {
    format!(
        "argument(s) must be one of the following: {}",
        choices.join(", ")
    )
}

fn show_number(number: i64, kind: Kind) -> String {
    match kind {
        Kind::Bool => if number == 0 { "no" } else { "yes" }.to_owned(),
        Kind::Octal { .. } => format!("{number:o}"),
        Kind::AckWrites => AckWrites::of_stored(number).to_string(),
        Kind::SizeOrPercent if number < 0 => format!("{}%", number.unsigned_abs()),
        Kind::Choice(choices) => usize::try_from(number)
            .ok()
            .and_then(|place| choices.get(place))
            .map_or_else(String::new, |choice| (*choice).to_owned()),
        Kind::NotifyFlags => notify_flags::show(number),
        Kind::ShutdownFlags => shutdown_flags::show(number),
        _ => number.to_string(),
    }
}

/// The directory as an absolute path, if it can be entered.
fn directory(text: &str) -> Result<PathBuf, String> {
    let found = Path::new(text).canonicalize().and_then(|path| {
        // Opening "." in it fails as entering it would.
        path.join(".").metadata().map(|_| path)
    });
    found.map_err(|error| system_text(&error))
}

/// The system's words for an error, as C's `strerror` gives them.
pub(super) fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
