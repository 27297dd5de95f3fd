//! What the operating system says of this process and this machine.

use std::time::Duration;

/// CPU time of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

/// CPU time that all threads have taken so far.
///
/// The sum is the kernel's nanosecond clock; how it divides into user and system comes from
/// `/proc`, which counts in hundredths of a second.
#[must_use]
pub fn cpu_time() -> CpuTime {
    let total = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let total = Duration::new(
        u64::try_from(total.tv_sec).unwrap_or(0),
        u32::try_from(total.tv_nsec).unwrap_or(0),
    );
    let (user, system) = ticks("/proc/self/stat").unwrap_or((1, 0));
    let share = user as f64 / (user + system).max(1) as f64;
    let user = total.mul_f64(share.clamp(0.0, 1.0));
    CpuTime {
        user,
        system: total.saturating_sub(user),
    }
}

/// CPU time of the main thread, in hundredths of a second.
#[must_use]
pub fn main_thread_cpu_time() -> CpuTime {
    let path = format!("/proc/self/task/{}/stat", std::process::id());
    let (user, system) = ticks(&path).unwrap_or_default();
    let duration = |ticks: u64| Duration::from_millis(ticks.saturating_mul(10));
    CpuTime {
        user: duration(user),
        system: duration(system),
    }
}

/// Fields 14 and 15 of a `stat` file (proc(5)).
fn ticks(path: &str) -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string(path).ok()?;
    // The command's name stands in brackets and may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Resident memory of the process in bytes; 0 if `/proc` is not there.
#[must_use]
pub fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    pages.saturating_mul(rustix::param::page_size())
}

/// Memory of the machine in bytes.
#[must_use]
pub fn total_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram
        .saturating_mul(u64::from(info.mem_unit.max(1)))
}

/// The operating system as INFO names it: `Linux 6.1.0 x86_64`.
#[must_use]
pub fn os() -> String {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    format!(
        "{} {} {}",
        text(names.sysname()),
        text(names.release()),
        text(names.machine())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let mut sum = 0u64;
        while cpu_time().user + cpu_time().system < Duration::from_millis(1) {
            sum = sum.wrapping_mul(31).wrapping_add(1);
        }
        assert!(resident_bytes() > 100_000, "{sum}");
        assert!(total_memory_bytes() > resident_bytes() as u64);
        assert!(os().starts_with("Linux "));
    }
}
