//! What the kernel counts of processes and processors.

use std::fs;

use crate::failure::{Failure, Outcome};

/// Ticks per second of the times in `/proc/PID/stat`: fixed by the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Nanoseconds on a processor, all threads together.
    pub(crate) cpu_ns: u64,
    /// Nanoseconds in which a thread could run, but another one had its processor.
    pub(crate) waited_ns: u64,
    /// Ticks in its own code.
    pub(crate) user_ticks: u64,
    /// Ticks in the kernel on its behalf.
    pub(crate) system_ticks: u64,
}

impl Usage {
    /// Reads what process `pid` has used.
    pub(crate) fn of(pid: u32) -> Outcome<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).map_err(Failure::io(&path))?;
        let (user_ticks, system_ticks) = ticks(&stat).unwrap_or_default();
        let tasks = format!("/proc/{pid}/task");
        let mut usage = Self {
            user_ticks,
            system_ticks,
            ..Self::default()
        };
        for task in fs::read_dir(&tasks).map_err(Failure::io(&tasks))?.flatten() {
            // A thread may end between the listing and this.
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let (cpu_ns, waited_ns) = schedstat(&text).unwrap_or_default();
            usage.cpu_ns += cpu_ns;
            usage.waited_ns += waited_ns;
        }
        Ok(usage)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }

    /// The part of its time that it spent in its own code. The kernel samples this at its
    /// timer's pace, so short runs tell it roughly.
    pub(crate) fn user_share(self) -> f64 {
        let total = self.user_ticks + self.system_ticks;
        self.user_ticks as f64 / (total.max(1)) as f64
    }
}

/// User and system ticks in the text of `/proc/PID/stat`. The program's name, in parentheses,
/// may hold anything, so fields are counted from the last parenthesis.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    // The state is field 3 of the manual page; utime and stime are 14 and 15.
    let mut fields = after_name.split_whitespace().skip(11);
    let user = fields.next()?.parse().ok()?;
    let system = fields.next()?.parse().ok()?;
    Some((user, system))
}

/// Nanoseconds running and waiting in the text of `/proc/PID/task/TID/schedstat`.
fn schedstat(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_whitespace();
    let running = fields.next()?.parse().ok()?;
    let waiting = fields.next()?.parse().ok()?;
    Some((running, waiting))
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Outcome<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(Failure::io(&path))?;
    status_kilobytes(&status, "VmRSS:")
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| Failure::Subject(format!("process {pid} has ended")))
}

fn status_kilobytes(status: &str, field: &str) -> Option<u64> {
    let mut lines = status.lines();
    let rest = lines.find_map(|line| line.strip_prefix(field))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Processor time of a process and of its children that have ended and were waited for, in seconds,
/// to a hundredth.
pub(crate) fn cpu_seconds_with_children(pid: u32) -> Outcome<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(Failure::io(&path))?;
    // utime, stime, cutime and cstime stand side by side.
    let fields = stat
        .rsplit_once(')')
        .map_or("", |(_, after_name)| after_name);
    let fields = fields.split_whitespace().skip(11).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Memory of a process and of all its descendants in bytes. What several of them share is counted
/// once, so a page that a forked child shares with its parent is one until either writes to it.
pub(crate) fn family_bytes(pid: u32) -> Outcome<u64> {
    let mut sum = proportional_bytes(pid)
        .ok_or_else(|| Failure::Subject(format!("process {pid} has ended")))?;
    for child in descendants(pid) {
        // One that has just ended has nothing any more.
        sum += proportional_bytes(child).unwrap_or(0);
    }
    Ok(sum)
}

/// A process's own pages, and its share of those that others have as well.
fn proportional_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    status_kilobytes(&text, "Pss:").map(|kilobytes| kilobytes * 1024)
}

/// The children of a process, and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pairs = entries.filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        let parent: u32 = after_name.split_whitespace().nth(1)?.parse().ok()?;
        Some((parent, child))
    });
    let pairs: Vec<(u32, u32)> = pairs.collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = pairs.iter().filter(|(of, _)| *of == parent);
        found.extend(children.map(|(_, child)| *child));
        at += 1;
    }
    found.split_off(1)
}

/// The processes that trace a process's threads; 0 for a thread that nobody traces.
pub(crate) fn tracers(pid: u32) -> Vec<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .map(|status| {
            let mut lines = status.lines();
            let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"));
            tracer
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0)
        })
        .collect()
}

/// What all processors have done so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MachineTime {
    busy_ticks: u64,
    stolen_ticks: u64,
}

impl MachineTime {
    /// Reads the processors' counters.
    pub(crate) fn now() -> Outcome<Self> {
        let stat = fs::read_to_string("/proc/stat").map_err(Failure::io("/proc/stat"))?;
        machine_time(&stat)
            .ok_or_else(|| Failure::Missing("/proc/stat tells no processor times".to_owned()))
    }

    /// Seconds of processor time used since `earlier`, by anybody.
    pub(crate) fn busy_seconds_since(self, earlier: Self) -> f64 {
        let ticks = self.busy_ticks.saturating_sub(earlier.busy_ticks);
        ticks as f64 / TICKS_PER_SECOND
    }

    /// Seconds that the hypervisor kept for itself since `earlier`.
    pub(crate) fn stolen_seconds_since(self, earlier: Self) -> f64 {
        let ticks = self.stolen_ticks.saturating_sub(earlier.stolen_ticks);
        ticks as f64 / TICKS_PER_SECOND
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn machine_time(stat: &str) -> Option<MachineTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|f| f.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields.as_slice() else {
        return None;
    };
    Some(MachineTime {
        busy_ticks: user + nice + system + irq + softirq,
        stolen_ticks: *steal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "12 (a ) b (c) R 1 12 12 0 -1 4194304 91 0 0 0 345 67 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some((345, 67)));
        assert_eq!(ticks("12 (x) R 1"), None);
    }

    #[test]
    fn schedstat_tells_running_and_waiting() {
        assert_eq!(schedstat("123456 789 10\n"), Some((123_456, 789)));
        assert_eq!(schedstat(""), None);
    }

    #[test]
    fn status_fields_are_kilobytes() {
        let status = "Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t    5120 kB\n";
        assert_eq!(status_kilobytes(status, "VmRSS:"), Some(5120));
        assert_eq!(status_kilobytes("Name:\tx\n", "VmRSS:"), None);
    }

    #[test]
    fn a_processor_is_busy_in_all_but_idle_iowait_and_steal() {
        let stat = "cpu  100 20 30 4000 500 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        let earlier = MachineTime::default();
        let now = machine_time(stat).unwrap();
        assert!((now.busy_seconds_since(earlier) - 1.63).abs() < 1e-9);
        assert!((now.stolen_seconds_since(earlier) - 0.80).abs() < 1e-9);
    }

    #[test]
    fn a_child_belongs_to_the_family_and_counts_what_it_has_alone() {
        let own = std::process::id();
        let before = family_bytes(own).unwrap();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(descendants(own).contains(&child.id()));
        assert!(!descendants(child.id()).contains(&own));
        assert!(proportional_bytes(own).unwrap() <= resident_bytes(own).unwrap());
        assert!(before > 100_000);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(own).contains(&child.id()));
        assert!(family_bytes(child.id()).is_err());
    }

    #[test]
    fn children_that_have_ended_count_with_their_parent() {
        let pid = std::process::id();
        let before = cpu_seconds_with_children(pid).unwrap();
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh").args(["-c", busy]).status();
        assert!(status.unwrap().success());
        assert!(cpu_seconds_with_children(pid).unwrap() > before);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let pid = std::process::id();
        let before = Usage::of(pid).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        // The kernel brings the counter up to date at its timer's pace.
        while Usage::of(pid).unwrap().since(before).cpu_ns == 0 {
            std::hint::black_box((0..1_000_000).map(|_| random.u8(..)).max());
        }
        assert!(resident_bytes(pid).unwrap() > 100_000);
    }
}
