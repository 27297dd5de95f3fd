//! System calls per request, counted in runs of their own.
//!
//! `perf` counts them without stopping the process, so it sees the process as it is. Where the
//! kernel does not let it, `strace` counts: it makes every call many times slower, so requests
//! pile up and a proxy that gathers needs fewer calls than it would. The report says which.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::Bench;
use super::measure::{Workload, explain};
use super::programs;
use super::subject::Subject;
use crate::failure::{Failure, Outcome};
use crate::load::{Extent, drive};
use crate::workload::{Kind, Shape};
use crate::{interrupt, note, procfs};

/// What was counted.
#[derive(Debug, Default, Serialize)]
pub(super) struct Calls {
    /// The program that counted; empty if there was none.
    pub(super) counter: String,
    pub(super) rows: Vec<Row>,
}

/// System calls per command.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) subject: String,
    pub(super) workload: String,
    pub(super) per_command: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    Perf,
    Strace,
}

/// Counts for every subject.
pub(super) fn count(bench: &Bench, subjects: &mut [Subject], shape: &Shape) -> Outcome<Calls> {
    let Some(counter) = Counter::find(&bench.options.counter) else {
        note("nothing works that counts system calls: they are not counted");
        return Ok(Calls::default());
    };
    let mut rows = Vec::new();
    for (pipeline, connections) in [(1, 50), (1, 500), (16, 50)] {
        let workload = Workload {
            kind: Kind::Get,
            pipeline,
            connections,
        };
        for subject in subjects.iter_mut() {
            let per_command = count_one(bench, counter, &workload, subject, shape)?;
            let (name, workload) = (subject.name.clone(), workload.name());
            note(&format!(
                "  {workload}: {name:<10} {per_command:>7.2} system calls"
            ));
            rows.push(Row {
                subject: name,
                workload,
                per_command,
            });
        }
    }
    let counter = match counter {
        Counter::Perf => "perf",
        Counter::Strace => "strace",
    };
    Ok(Calls {
        counter: counter.to_owned(),
        rows,
    })
}

/// Calls per command over a whole run, connecting included.
fn count_one(
    bench: &Bench,
    counter: Counter,
    workload: &Workload,
    subject: &mut Subject,
    shape: &Shape,
) -> Outcome<f64> {
    let file = bench.dir().join("calls");
    // So many for each connection that the ten calls for opening it do not show.
    let each = match (counter, bench.options.quick) {
        (Counter::Perf, false) => 2_000,
        (Counter::Perf, true) | (Counter::Strace, false) => 200,
        (Counter::Strace, true) => 50,
    };
    let commands = (workload.connections * workload.pipeline.min(16) * each) as u64;
    let mut tracer = counter.attach(subject.pid(), &file)?;
    let plan = workload.plan(subject, shape, Extent::Commands(commands));
    let report = drive(plan).map_err(|failure| explain(failure, subject, workload));
    tracer.finish()?;
    let text = fs::read_to_string(&file).map_err(Failure::io("read the counter's output"))?;
    let calls = match counter {
        Counter::Perf => perf_count(&text),
        Counter::Strace => strace_count(&text),
    };
    let calls = calls.ok_or_else(|| Failure::Subject(format!("no count in:\n{text}")))?;
    Ok(calls as f64 / report?.commands.max(1) as f64)
}

impl Counter {
    /// The one that is wished for, or the better one, if it works here.
    fn find(wish: &str) -> Option<Self> {
        let works = |program: &str, arguments: &[&str]| {
            let program = programs::system(program).ok()?;
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.status().ok()?.success().then_some(())
        };
        let perf = ["stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"];
        if wish != "strace" && works("perf", &perf).is_some() {
            return Some(Self::Perf);
        }
        let strace = ["-c", "-o", "/dev/null", "true"];
        if wish == "perf" {
            return None;
        }
        works("strace", &strace).map(|()| Self::Strace)
    }

    /// Starts to count the calls of a process.
    fn attach(self, pid: u32, output: &Path) -> Outcome<Tracer> {
        // What the last count left must not be read as this one's.
        let _ = fs::remove_file(output);
        let pid_text = pid.to_string();
        let mut command = match self {
            Self::Perf => {
                let mut command = Command::new(programs::system("perf")?);
                command.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter"]);
                command
            }
            Self::Strace => {
                let mut command = Command::new(programs::system("strace")?);
                command.args(["-c", "-f"]);
                command
            }
        };
        command.args(["-p", &pid_text]).arg("-o").arg(output);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn();
        let mut tracer = Tracer(child.map_err(Failure::io("start the counter"))?);
        tracer.await_attached(self, pid)?;
        Ok(tracer)
    }
}

/// A counter at work. Letting it go ends it.
#[derive(Debug)]
struct Tracer(Child);

impl Tracer {
    fn await_attached(&mut self, counter: Counter, pid: u32) -> Outcome<()> {
        let own = self.0.id();
        for _ in 0..500 {
            interrupt::check()?;
            let attached = match counter {
                // perf has opened its counters when it waits for the end.
                Counter::Perf => has_perf_events(own) && is_asleep(own),
                Counter::Strace => {
                    let tracers = procfs::tracers(pid);
                    !tracers.is_empty() && tracers.iter().all(|&tracer| tracer == u64::from(own))
                }
            };
            if attached {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(Failure::Subject("the counter did not attach".to_owned()))
    }

    /// Asks it for its count.
    fn finish(&mut self) -> Outcome<()> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::INT)
            .map_err(|error| Failure::io("stop the counter")(error.into()))?;
        self.0.wait().map_err(Failure::io("await the counter"))?;
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Has it ended already, this does nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has_perf_events(pid: u32) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        target.to_string_lossy().contains("perf_event")
    })
}

fn is_asleep(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|rest| rest.starts_with('S'))
}

/// The count in what `perf stat -x,` prints.
fn perf_count(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.trim().parse().ok()
}

/// The number of calls in the last line of `strace -c`.
fn strace_count(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .rev()
        .find(|line| line.trim_end().ends_with("total"))?;
    // Share of time, seconds, microseconds per call, calls, errors if any, "total".
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perf_prints_the_count_first() {
        let text = "# started\n\n3203,,raw_syscalls:sys_enter,208,100.00,,\n";
        assert_eq!(perf_count(text), Some(3203));
        assert_eq!(perf_count("<not counted>,,raw_syscalls:sys_enter,0"), None);
    }

    #[test]
    fn strace_sums_up_in_its_last_line() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                     90.00    0.004500           1      4000        12 recvfrom\n\
                     10.00    0.000500           0       600           sendto\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.005000           1      4600        12 total\n";
        assert_eq!(strace_count(text), Some(4600));
        assert_eq!(
            strace_count("strace: attach: Operation not permitted"),
            None
        );
    }
}
