//! What the comparison ran on, and with which versions.

use std::fs;

use serde::Serialize;

use super::options::Options;
use super::programs;

/// The machine and the programs.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) processors: usize,
    pub(super) kernel: String,
    pub(super) memory_gib: f64,
    /// A line for each program that takes part.
    pub(super) programs: Vec<String>,
}

impl Machine {
    pub(super) fn describe(options: &Options) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kilobytes = field(&meminfo, "MemTotal").unwrap_or_default();
        let kilobytes: f64 = kilobytes.trim_end_matches(" kB").parse().unwrap_or(0.0);
        Self {
            processor: field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            processors: cpuinfo.matches("processor\t").count(),
            kernel: kernel.trim().to_owned(),
            memory_gib: kilobytes / 1024.0 / 1024.0,
            programs: versions(options),
        }
    }
}

fn versions(options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    if options.wants("redis")
        && let Ok(program) = programs::system("redis-server")
    {
        let version = programs::version(&program, "--version");
        lines.push(format!("redis-server {version} (jemalloc)"));
    }
    if options.wants("valkey")
        && let Ok(program) = programs::valkey()
    {
        let version = programs::version(&program, "--version");
        let allocator = match programs::jemalloc() {
            Some(_) => "Debian's jemalloc, preloaded",
            None => "the C library's allocator",
        };
        lines.push(format!("valkey-server {version} ({allocator})"));
    }
    if options.wants("nutcracker")
        && let Ok(program) = programs::system("nutcracker")
    {
        lines.push(format!("nutcracker {}", programs::version(&program, "-V")));
    }
    if options.wants("envoy")
        && let Ok(program) = programs::envoy()
    {
        lines.push(format!(
            "Envoy {}",
            programs::version(&program, "--version")
        ));
    }
    if ["node", "node-2", "proxy"]
        .iter()
        .any(|name| options.wants(name))
    {
        lines.push(format!("Slotilla {}", env!("CARGO_PKG_VERSION")));
    }
    lines
}

/// The first line `name : value` of a file in /proc.
fn field(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_spaces() {
        let text = "processor\t: 0\nmodel name\t: Some CPU: fast\nMemTotal:   24000 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU: fast"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24000 kB"));
        assert_eq!(field(text, "cores"), None);
    }
}
