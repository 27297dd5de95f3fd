//! Values of several words, and texts with rules.

use slotilla_common::config::parse_size;

use super::directive::Kind;

/// The most addresses that `bind` takes.
pub(super) const ADDRESSES_MAX: usize = 16;

/// How much a class of clients may leave unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Bytes at which a client is closed at once; 0 never.
    pub hard_bytes: u64,
    /// Bytes at which it is closed when they last; 0 never.
    pub soft_bytes: u64,
    /// How long they may last.
    pub soft_seconds: u64,
}

/// How the node is to stop: `shutdown-on-sigterm`, and what SHUTDOWN says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownFlags {
    /// Whether the data is saved first. Not told: if there are save points.
    pub save: Option<bool>,
    /// It stops even if the data cannot be saved.
    pub force: bool,
    /// Nobody is waited for.
    pub now: bool,
}

/// Save when so many changes happened in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// The time.
    pub seconds: u64,
    /// The changes.
    pub changes: u32,
}

/// A number as C's `strtoll` reads a whole word, for which nothing is 0.
fn whole(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.starts_with(['+', ' ']) {
        None
    } else {
        digits.parse().ok()
    }
}

pub(super) mod output_limits {
    use super::{OutputLimit, parse_size, whole};

    const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

    pub(crate) fn parse(
        words: &[&str],
        mut limits: [OutputLimit; 3],
    ) -> Result<[OutputLimit; 3], String> {
        for group in words.chunks(4) {
            let [class, hard, soft, seconds] = group else {
                return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
            };
            let place = match class.to_ascii_lowercase().as_str() {
                "normal" => 0,
                "slave" | "replica" => 1,
                "pubsub" => 2,
                _ => {
                    return Err(
                        "Invalid client class specified in buffer limit configuration.".to_owned(),
                    );
                }
            };
            let wrong =
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
            let limit = OutputLimit {
                hard_bytes: parse_size(hard).ok_or(wrong)?,
                soft_bytes: parse_size(soft).ok_or(wrong)?,
                soft_seconds: whole(seconds)
                    .and_then(|n| n.try_into().ok())
                    .ok_or(wrong)?,
            };
            if let Some(slot) = limits.get_mut(place) {
                *slot = limit;
            }
        }
        Ok(limits)
    }

    fn words(class: &str, limit: OutputLimit) -> String {
        format!(
            "{class} {} {} {}",
            limit.hard_bytes, limit.soft_bytes, limit.soft_seconds
        )
    }

    pub(crate) fn show(limits: &[OutputLimit; 3]) -> String {
        let shown = CLASSES
            .iter()
            .zip(limits)
            .map(|(class, limit)| words(class, *limit));
        shown.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn lines(limits: &[OutputLimit; 3]) -> Vec<String> {
        use slotilla_common::config::format_size;
        let classes = ["normal", "replica", "pubsub"];
        let lines = classes.iter().zip(limits).map(|(class, limit)| {
            let (hard, soft) = (format_size(limit.hard_bytes), format_size(limit.soft_bytes));
            format!("{class} {hard} {soft} {}", limit.soft_seconds)
        });
        lines.collect()
    }
}

pub(super) mod save_points {
    use super::{SavePoint, whole};

    pub(crate) fn parse(words: &[&str]) -> Result<Vec<SavePoint>, String> {
        let points = words.chunks(2).map(|pair| match pair {
            [seconds, changes] => Some(SavePoint {
                seconds: whole(seconds).filter(|n| *n > 0)?.unsigned_abs(),
                changes: whole(changes)?.try_into().ok()?,
            }),
            _ => None,
        });
        points
            .collect::<Option<_>>()
            .ok_or_else(|| "Invalid save parameters".to_owned())
    }

    pub(crate) fn show(points: &[SavePoint]) -> String {
        let shown = points
            .iter()
            .map(|point| format!("{} {}", point.seconds, point.changes));
        shown.collect::<Vec<_>>().join(" ")
    }
}

pub(super) mod percentiles {
    pub(crate) fn parse(words: &[&str]) -> Result<Vec<f64>, String> {
        let one = |word: &&str| {
            let number: f64 = word
                .parse()
                .ok()
                .filter(|number: &f64| !number.is_nan())
                .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
            if (0.0..=100.0).contains(&number) {
                Ok(number)
            } else {
                Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
            }
        };
        words
            .iter()
            .map(one)
            .collect::<Result<_, &str>>()
            .map_err(str::to_owned)
    }

    pub(crate) fn show(values: &[f64]) -> String {
        values
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

pub(super) mod notify_flags {
    /// The classes that `A` stands for, in the order in which Redis prints them.
    const ALL: &str = "g$lshzxetd";
    /// The classes after them.
    const REST: &str = "nKEm";

    fn bit(class: char) -> Option<i64> {
        ALL.chars()
            .chain(REST.chars())
            .position(|known| known == class)
            .map(|place| 1 << place)
    }

    pub(crate) fn parse(word: &[u8]) -> Result<i64, String> {
        word.iter().try_fold(0, |flags, byte| {
            let bits = match char::from(*byte) {
                'A' => Some(ALL.chars().filter_map(bit).sum()),
                class => bit(class),
            };
            let wrong = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
            bits.map(|bits: i64| flags | bits)
                .ok_or_else(|| wrong.to_owned())
        })
    }

    pub(crate) fn show(flags: i64) -> String {
        let has = |class: &char| flags & class_bit(*class) != 0;
        let mut shown = String::new();
        if ALL.chars().all(|class| has(&class)) {
            // As Redis does, which forgets n here.
            shown.push('A');
        } else {
            shown.extend(ALL.chars().chain(['n']).filter(has));
        }
        shown.extend("KEm".chars().filter(has));
        shown
    }

    fn class_bit(class: char) -> i64 {
        bit(class).unwrap_or(0)
    }
}

pub(super) mod shutdown_flags {
    /// The words and their bits.
    const WORDS: [(&str, i64); 5] = [
        ("default", 0),
        ("save", 1),
        ("nosave", 2),
        ("now", 4),
        ("force", 8),
    ];

    pub(crate) fn parse(words: &[&str]) -> Result<i64, String> {
        if words.is_empty() {
            return Err(wrong());
        }
        let mut flags = 0;
        for word in words {
            let known = WORDS
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(word));
            flags |= known.ok_or_else(wrong)?.1;
        }
        if flags & 3 == 3 {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".to_owned());
        }
        Ok(flags)
    }

    /// What the bits say.
    pub(crate) fn of_bits(flags: i64) -> super::ShutdownFlags {
        super::ShutdownFlags {
            save: (flags & 3 != 0).then_some(flags & 1 != 0),
            force: flags & 8 != 0,
            now: flags & 4 != 0,
        }
    }

    fn wrong() -> String {
        let words = WORDS.map(|(word, _)| word).join(", ");
        format!("argument(s) must be one of the following: {words}")
    }

    pub(crate) fn show(flags: i64) -> String {
        if flags == 0 {
            return "default".to_owned();
        }
        let words = WORDS
            .iter()
            .filter(|(_, bit)| flags & bit != 0)
            .map(|(word, _)| *word);
        words.collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn oom_scores(words: &[&str]) -> Result<[i32; 3], String> {
    let [a, b, c] = words else {
        return Err("wrong number of arguments".to_owned());
    };
    let one = |word: &str| {
        let score = whole(word).and_then(|n| i32::try_from(n).ok());
        score
            .filter(|n| (-2000..=2000).contains(n))
            .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
    };
    Ok([one(a)?, one(b)?, one(c)?])
}

pub(super) fn replica_of(words: &[&str]) -> Result<Option<(String, u16)>, String> {
    let [host, port] = words else {
        return Err("wrong number of arguments".to_owned());
    };
    if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
        return Ok(None);
    }
    let port = port.parse().map_err(|_| "Invalid master port".to_owned())?;
    Ok(Some(((*host).to_owned(), port)))
}

/// The rules of texts that are not just any text.
pub(super) fn check_text(kind: Kind, name: &str, text: &str) -> Result<(), String> {
    let is_path = text.contains(['/', '\\']);
    match kind {
        Kind::FileName if is_path => Err(format!("{name} can't be a path, just a filename")),
        Kind::DirName if is_path => Err(format!("{name} can't be a path, just a dirname")),
        Kind::FileName if text.is_empty() && name == "appendfilename" => {
            Err(format!("{name} can't be empty"))
        }
        Kind::DirName if text.is_empty() => Err(format!("{name} can't be empty")),
        Kind::HostName if text.len() >= 256 => {
            Err("Hostnames must be less than 256 characters".to_owned())
        }
        Kind::HostName
            if !text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) =>
        {
            Err("Hostnames may only contain alphanumeric characters, hyphens or dots".to_owned())
        }
        Kind::TitleTemplate if !title_is_valid(text) => {
            Err("template format is invalid or contains unknown variables".to_owned())
        }
        _ => Ok(()),
    }
}

fn title_is_valid(mut text: &str) -> bool {
    const VARIABLES: [&str; 7] = [
        "title",
        "listen-addr",
        "server-mode",
        "port",
        "tls-port",
        "unixsocket",
        "config-file",
    ];
    if text.is_empty() {
        return false;
    }
    while let Some((_, after)) = text.split_once('{') {
        let Some((variable, rest)) = after.split_once('}') else {
            return false;
        };
        if !VARIABLES.contains(&variable) {
            return false;
        }
        text = rest;
    }
    true
}
