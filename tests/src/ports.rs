//! Ports that no other test has, now or while this one runs.
//!
//! A cluster node listens on its port and on that port plus 10000. Both stay below the range
//! that the system gives to outgoing connections, so no client of another test sits on them.

use std::fs::File;
use std::net::TcpListener;

use rustix::fs::{FlockOperation, flock};

const FIRST: u16 = 11_000;
const LAST: u16 = 21_900;
const BUS_OFFSET: u16 = 10_000;

/// Neighbouring free ports, kept from other tests on this machine until this is dropped.
#[derive(Debug)]
pub struct PortBlock {
    first: u16,
    _locks: Vec<File>,
}

impl PortBlock {
    /// The lowest port of the block.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }
}

/// Takes `count` neighbouring ports whose bus ports are free as well.
#[must_use]
pub fn reserve_ports(count: u16) -> PortBlock {
    for _ in 0..1000 {
        let first = fastrand::u16(FIRST..LAST - count);
        let locks: Option<Vec<File>> = (first..first + count).map(lock_port).collect();
        if let Some(locks) = locks {
            return PortBlock {
                first,
                _locks: locks,
            };
        }
    }
    panic!("no {count} neighbouring free ports between {FIRST} and {LAST}");
}

/// A lock file per port: two test processes that look at once cannot both see it free.
fn lock_port(port: u16) -> Option<File> {
    let directory = std::env::temp_dir().join("slotilla-test-ports");
    std::fs::create_dir_all(&directory).expect("a directory for port locks");
    let file = File::create(directory.join(port.to_string())).expect("a port lock");
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (is_free(port) && is_free(port + BUS_OFFSET)).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_given_once() {
        let blocks: Vec<_> = (0..20).map(|_| reserve_ports(5)).collect();
        let mut firsts: Vec<_> = blocks.iter().map(PortBlock::first).collect();
        firsts.sort_unstable();
        assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] >= 5));
    }
}
