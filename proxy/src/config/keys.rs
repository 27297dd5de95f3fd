//! The table of keys: name, where the value goes, what values are right.

use std::time::Duration;

use slotilla_common::config::{format_size, parse_bool, parse_duration, parse_size};
use slotilla_common::net::log::{Format, Level};

use super::Config;
use crate::slotmap::Address;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    field: Field,
    /// CONFIG GET does not show it.
    pub is_secret: bool,
}

/// Where a value goes, and which are right.
#[derive(Debug)]
enum Field {
    Port(fn(&mut Config) -> &mut u16),
    Small(fn(&mut Config) -> &mut u16, u16, u16),
    Seconds(fn(&mut Config) -> &mut u32, u32),
    Count(fn(&mut Config) -> &mut usize, usize, usize),
    Long(fn(&mut Config) -> &mut u64, u64),
    Size(fn(&mut Config) -> &mut usize, u64, u64),
    Time(fn(&mut Config) -> &mut Duration, Duration, Duration),
    Flag(fn(&mut Config) -> &mut bool),
    Text(fn(&mut Config) -> &mut String),
    Words(fn(&mut Config) -> &mut Vec<String>),
    Seeds,
    Level,
    Format,
}

use Field as F;

const fn key(name: &'static str, field: Field) -> Key {
    Key {
        name,
        field,
        is_secret: false,
    }
}

const fn secret(name: &'static str, field: Field) -> Key {
    Key {
        name,
        field,
        is_secret: true,
    }
}

const KB: u64 = 1024;
const MB: u64 = 1024 * KB;
const GB: u64 = 1024 * MB;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// All keys, as config/proxy.toml lists them.
#[rustfmt::skip] // One row, one line: a table is read down its columns.
pub const KEYS: &[Key] = &[
    key("port",                      F::Port(|c| &mut c.port)),
    key("bind",                      F::Words(|c| &mut c.bind)),
    key("protected-mode",            F::Flag(|c| &mut c.protected_mode)),
    key("tcp-backlog",               F::Seconds(|c| &mut c.tcp_backlog, 1 << 20)),
    key("tcp-keepalive",             F::Seconds(|c| &mut c.tcp_keepalive, 86_400)),
    key("timeout",                   F::Long(|c| &mut c.timeout, 31_536_000)),
    key("maxclients",                F::Count(|c| &mut c.maxclients, 1, 1 << 24)),
    secret("requirepass",            F::Text(|c| &mut c.requirepass)),
    key("io-threads",                F::Count(|c| &mut c.io_threads, 0, 128)),
    key("admin-bind",                F::Words(|c| &mut c.admin_bind)),
    key("admin-port",                F::Port(|c| &mut c.admin_port)),
    key("loglevel",                  F::Level),
    key("logfile",                   F::Text(|c| &mut c.logfile)),
    key("log-format",                F::Format),
    key("seeds",                     F::Seeds),
    key("upstream-username",         F::Text(|c| &mut c.upstream_username)),
    secret("upstream-password",      F::Text(|c| &mut c.upstream_password)),
    key("connect-timeout",           F::Time(|c| &mut c.connect_timeout, MS, HOUR)),
    key("request-timeout",           F::Time(|c| &mut c.request_timeout, MS, HOUR)),
    key("retry-backoff-min",         F::Time(|c| &mut c.retry_backoff_min, MS, HOUR)),
    key("retry-backoff-max",         F::Time(|c| &mut c.retry_backoff_max, MS, HOUR)),
    key("retries-max",               F::Small(|c| &mut c.retries_max, 0, 60_000)),
    key("retry-queue-max",           F::Size(|c| &mut c.retry_queue_max, 64 * KB, 64 * GB)),
    key("refresh-interval",          F::Time(|c| &mut c.refresh_interval, MS, HOUR)),
    key("refresh-interval-min",      F::Time(|c| &mut c.refresh_interval_min, MS, HOUR)),
    key("upstream-queue-max",        F::Size(|c| &mut c.upstream_queue_max, 64 * KB, 64 * GB)),
    key("upstream-reply-max",        F::Size(|c| &mut c.upstream_reply_max, 64 * KB, 64 * GB)),
    key("client-in-flight-max",      F::Count(|c| &mut c.client_in_flight_max, 1, 1 << 24)),
    key("client-output-max",         F::Size(|c| &mut c.client_output_max, 64 * KB, 64 * GB)),
    key("maxmemory-clients",         F::Size(|c| &mut c.maxmemory_clients, 0, 1 << 50)),
    key("client-query-buffer-limit", F::Size(|c| &mut c.client_query_buffer_limit, 64 * KB, 4 * GB)),
    key("proto-max-bulk-len",        F::Size(|c| &mut c.proto_max_bulk_len, KB, 4 * GB)),
    key("merged-reply-max",          F::Size(|c| &mut c.merged_reply_max, 64 * KB, 64 * GB)),
    key("shutdown-timeout",          F::Time(|c| &mut c.shutdown_timeout, Duration::ZERO, HOUR)),
];

/// The key of this name, in any letter case, with `_` for `-` if need be.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let name = name.to_ascii_lowercase().replace('_', "-");
    KEYS.iter().find(|key| key.name == name)
}

/// Why a value is wrong, and what would be right.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) remedy: String,
}

fn wrong(problem: impl Into<String>, remedy: impl Into<String>) -> Wrong {
    Wrong {
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

impl Key {
    /// Sets the key to what `words` say.
    pub(super) fn set(&self, config: &mut Config, words: &[String]) -> Result<(), Wrong> {
        match &self.field {
            F::Words(field) => {
                let split = words.iter().flat_map(|word| word.split_whitespace());
                let words: Vec<String> = split.map(str::to_owned).collect();
                if words.is_empty() {
                    return Err(wrong("no address", "write one or more, such as 127.0.0.1"));
                }
                *field(config) = words;
                return Ok(());
            }
            F::Seeds => {
                config.seeds = seeds(words)?;
                return Ok(());
            }
            _ => {}
        }
        let [word] = words else {
            let problem = format!("takes one value, not {}", words.len());
            return Err(wrong(problem, "quote a value that holds blanks"));
        };
        self.set_one(config, word)
    }

    fn set_one(&self, config: &mut Config, word: &str) -> Result<(), Wrong> {
        match self.field {
            F::Port(field) => *field(config) = number(word, 0, 65_535)?,
            F::Small(field, min, max) => *field(config) = number(word, min, max)?,
            F::Seconds(field, max) => *field(config) = number(word, 0, max)?,
            F::Count(field, min, max) => *field(config) = number(word, min, max)?,
            F::Long(field, max) => *field(config) = number(word, 0, max)?,
            F::Size(field, min, max) => {
                let range = format!("from {} to {}", format_size(min), format_size(max));
                let size = (!word.is_empty()).then(|| parse_size(word)).flatten();
                let size = size.filter(|size| (min..=max).contains(size));
                let size = size.and_then(|size| usize::try_from(size).ok());
                *field(config) = size.ok_or_else(|| {
                    wrong(
                        format!("{word:?} is no size in range"),
                        format!("write a size {range}, such as 64mb"),
                    )
                })?;
            }
            F::Time(field, min, max) => {
                let time = parse_duration(word).filter(|time| (min..=max).contains(time));
                *field(config) = time.ok_or_else(|| {
                    wrong(
                        format!("{word:?} is no time in range"),
                        format!(
                            "write a time from {min:?} to {max:?} with its unit: 250ms, 5s, 10m"
                        ),
                    )
                })?;
            }
            F::Flag(field) => {
                *field(config) = parse_bool(word)
                    .ok_or_else(|| wrong(format!("{word:?} is neither"), "write yes or no"))?;
            }
            F::Text(field) => *field(config) = word.to_owned(),
            F::Level => {
                config.loglevel = Level::from_name(word).ok_or_else(|| {
                    wrong(
                        format!("{word:?} is no level"),
                        "write debug, verbose, notice or warning",
                    )
                })?;
            }
            F::Format => {
                config.log_format = match word.to_ascii_lowercase().as_str() {
                    "text" => Format::Text,
                    "json" => Format::Json,
                    _ => {
                        return Err(wrong(
                            format!("{word:?} is no format"),
                            "write text or json",
                        ));
                    }
                };
            }
            F::Words(_) | F::Seeds => {}
        }
        Ok(())
    }

    /// The value as CONFIG GET shows it.
    #[must_use]
    pub fn show(&self, config: &Config) -> String {
        // The fields are reached through functions that may change them.
        let mut config = config.clone();
        let config = &mut config;
        match self.field {
            F::Port(field) | F::Small(field, ..) => field(config).to_string(),
            F::Seconds(field, _) => field(config).to_string(),
            F::Count(field, ..) | F::Size(field, ..) => field(config).to_string(),
            F::Long(field, _) => field(config).to_string(),
            F::Time(field, ..) => show_time(*field(config)),
            F::Flag(field) => if *field(config) { "yes" } else { "no" }.to_owned(),
            F::Text(field) => field(config).clone(),
            F::Words(field) => field(config).join(" "),
            F::Seeds => {
                let seeds: Vec<String> = config.seeds.iter().map(ToString::to_string).collect();
                seeds.join(",")
            }
            F::Level => config.loglevel.name().to_owned(),
            F::Format => match config.log_format {
                Format::Text => "text",
                Format::Json => "json",
            }
            .to_owned(),
        }
    }
}

fn show_time(time: Duration) -> String {
    match (time.as_millis(), time.subsec_millis()) {
        (0, _) => "0".to_owned(),
        (_, 0) => format!("{}s", time.as_secs()),
        (ms, _) => format!("{ms}ms"),
    }
}

fn number<T>(word: &str, min: T, max: T) -> Result<T, Wrong>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = word.parse().ok();
    number
        .filter(|number| (&min..=&max).contains(&number))
        .ok_or_else(|| {
            wrong(
                format!("{word:?} is no number in range"),
                format!("write a whole number from {min} to {max}"),
            )
        })
}

fn seeds(words: &[String]) -> Result<Vec<Address>, Wrong> {
    let parts = words.iter().flat_map(|word| word.split([',', ' ']));
    let seeds: Result<Vec<Address>, Wrong> = parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            Address::parse(part).ok_or_else(|| {
                wrong(
                    format!("{part:?} is no address of a node"),
                    "write HOST:PORT[,HOST:PORT...], such as 10.0.0.1:7000,10.0.0.2:7000",
                )
            })
        })
        .collect();
    seeds
}
