//! jemalloc's own figures and levers: for INFO, MEMORY PURGE and the binaries' start.
//!
//! These calls merge statistics over all arenas and take microseconds to milliseconds: never
//! per command.

use tikv_jemalloc_ctl as ctl;
use tikv_jemalloc_sys as ffi;

/// What jemalloc says of itself, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Handed out to the program, jemalloc's caches of free blocks excluded.
    pub allocated: usize,
    /// In pages that hold at least one live block.
    pub active: usize,
    /// Resident in physical memory.
    pub resident: usize,
    /// Address space kept back from the system, not resident.
    pub retained: usize,
    /// jemalloc's own bookkeeping.
    pub metadata: usize,
}

/// Reads all figures of one instant.
///
/// All zero when jemalloc was built without statistics.
#[must_use]
pub fn figures() -> Figures {
    // The statistics stand still until the epoch is advanced.
    if ctl::epoch::advance().is_err() {
        return Figures::default();
    }
    Figures {
        allocated: ctl::stats::allocated::read().unwrap_or(0),
        active: ctl::stats::active::read().unwrap_or(0),
        resident: ctl::stats::resident::read().unwrap_or(0),
        retained: ctl::stats::retained::read().unwrap_or(0),
        metadata: ctl::stats::metadata::read().unwrap_or(0),
    }
}

/// jemalloc's version, `5.3.1`.
#[must_use]
pub fn version() -> String {
    let full = ctl::version::read().unwrap_or("unknown");
    full.split('-').next().unwrap_or(full).to_owned()
}

/// jemalloc refused a request to change how it works.
#[derive(Debug, thiserror::Error)]
#[error("jemalloc refused {what} (error {code})")]
pub struct Refused {
    what: &'static str,
    code: i32,
}

/// Returns the pages of freed memory to the system now (`MEMORY PURGE`).
///
/// # Errors
/// When jemalloc does not know the request, which would be a build without its usual options.
pub fn purge() -> Result<(), Refused> {
    // 4096 is MALLCTL_ARENAS_ALL: every arena at once.
    const ALL_ARENAS_PURGE: &std::ffi::CStr = c"arena.4096.purge";
    // SAFETY: the name ends in a null byte; this request takes and gives no value, so all
    // value pointers are null, which mallctl documents as allowed.
    let code = unsafe {
        ffi::mallctl(
            ALL_ARENAS_PURGE.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        )
    };
    match code {
        0 => Ok(()),
        code => Err(Refused {
            what: "to purge",
            code,
        }),
    }
}

/// Turns jemalloc's background threads on or off (`jemalloc-bg-thread`).
///
/// With them, dirty pages return to the system in time even when no thread allocates; without,
/// an idle process keeps what its last busy moment left. The binaries call it at start.
///
/// # Errors
/// When the platform has no background threads.
pub fn background_thread(on: bool) -> Result<(), Refused> {
    ctl::background_thread::write(on).map_err(|_| Refused {
        what: "to switch its background threads",
        code: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_what_is_held() {
        let _alone = crate::alloc::tests::SUM_IS_WATCHED.lock();
        let block = vec![1u8; 32 << 20];
        let with = figures();
        assert!(with.allocated >= block.len());
        assert!(with.resident >= with.allocated / 2);
    }

    #[test]
    fn purging_and_background_threads_work() {
        background_thread(true).unwrap();
        purge().unwrap();
    }

    #[test]
    fn the_version_is_a_number() {
        assert!(version().starts_with("5."), "{}", version());
    }
}
