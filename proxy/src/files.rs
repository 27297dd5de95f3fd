//! How many files the process may open: each client is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no clients: listeners, nodes, logs, the admin port.
const OWN_FILES: u64 = 512;

/// Raises the limit on open files so that `clients` fit, as far as the system allows. How many
/// fit.
pub fn make_room(clients: usize) -> usize {
    let wanted = (clients as u64).saturating_add(OWN_FILES);
    let limit = getrlimit(Resource::Nofile);
    let Some(soft) = limit.current.filter(|soft| *soft < wanted) else {
        return clients;
    };
    // Who has the privilege may exceed the hard limit; others go up to it.
    let hard = limit.maximum.unwrap_or(wanted);
    for (current, maximum) in [(wanted, hard.max(wanted)), (hard.min(wanted), hard)] {
        let raised = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(current),
                maximum: limit.maximum.map(|_| maximum),
            },
        );
        if raised.is_ok() {
            return fitting(current, clients);
        }
    }
    fitting(soft, clients)
}

fn fitting(files: u64, clients: usize) -> usize {
    let room = usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX);
    room.clamp(1, clients.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_what_the_files_leave() {
        assert_eq!(fitting(10_512, 10_000), 10_000);
        assert_eq!(fitting(1024, 10_000), 512);
        assert_eq!(fitting(100, 10_000), 1);
    }

    #[test]
    fn a_limit_that_suffices_is_left_alone() {
        let before = getrlimit(Resource::Nofile).current;
        assert_eq!(make_room(1), 1);
        if before.is_none_or(|soft| soft > OWN_FILES) {
            assert_eq!(getrlimit(Resource::Nofile).current, before);
        }
    }
}
