//! How the link to the primary is: written by who keeps it up, told by INFO and ROLE.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use slotilla_common::clock;

/// How far the link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// Not connected.
    Down,
    /// The connection is being made.
    Connecting,
    /// The two come to an agreement on what to send.
    Handshake,
    /// All data comes in.
    Sync,
    /// The primary's commands come in.
    Connected,
}

impl LinkState {
    const ALL: [Self; 5] = [
        Self::Down,
        Self::Connecting,
        Self::Handshake,
        Self::Sync,
        Self::Connected,
    ];

    /// What ROLE calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "connect",
            Self::Connecting => "connecting",
            Self::Handshake => "handshake",
            Self::Sync => "sync",
            Self::Connected => "connected",
        }
    }
}

/// Data that comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// How many bytes there will be, if the primary has said so.
    pub total_bytes: Option<u64>,
    /// How many have come.
    pub read_bytes: u64,
    /// How long ago the last of them came.
    pub idle_seconds: i64,
}

/// The link to the primary.
#[derive(Debug)]
pub struct Link {
    state: AtomicU8,
    last_io_ms: AtomicI64,
    /// Since when it is down; 0: it has never been up.
    down_since_ms: AtomicI64,
    /// Of the data that comes in; [`UNKNOWN`] if the primary has not said it.
    total_bytes: AtomicU64,
    read_bytes: AtomicU64,
    /// The offset up to which the stream has come in.
    received: AtomicI64,
    /// Bytes that came in through all links.
    input_bytes: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Default for Link {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(LinkState::Down as u8),
            last_io_ms: AtomicI64::new(0),
            down_since_ms: AtomicI64::new(0),
            total_bytes: AtomicU64::new(UNKNOWN),
            read_bytes: AtomicU64::new(0),
            received: AtomicI64::new(0),
            input_bytes: AtomicU64::new(0),
        }
    }
}

impl Link {
    /// How far it is.
    #[must_use]
    pub fn state(&self) -> LinkState {
        let state = usize::from(self.state.load(Ordering::Acquire));
        LinkState::ALL
            .get(state)
            .copied()
            .unwrap_or(LinkState::Down)
    }

    /// Whether the primary's commands come in.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state() == LinkState::Connected
    }

    /// Seconds since the primary was last heard of, while the link is up.
    #[must_use]
    pub fn idle_seconds(&self) -> Option<i64> {
        self.is_up().then(|| seconds_since(&self.last_io_ms))
    }

    /// Seconds since the link went down; none if it is up, or never was.
    #[must_use]
    pub fn down_seconds(&self) -> Option<i64> {
        let has_been = self.down_since_ms.load(Ordering::Relaxed) != 0;
        (has_been && !self.is_up()).then(|| seconds_since(&self.down_since_ms))
    }

    /// The offset up to which the stream has come in.
    #[must_use]
    pub fn received(&self) -> i64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that came in through all links.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.input_bytes.load(Ordering::Relaxed)
    }

    /// The data that comes in, if any does.
    #[must_use]
    pub fn transfer(&self) -> Option<Transfer> {
        if self.state() != LinkState::Sync {
            return None;
        }
        let total = self.total_bytes.load(Ordering::Relaxed);
        Some(Transfer {
            total_bytes: (total != UNKNOWN).then_some(total),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            idle_seconds: seconds_since(&self.last_io_ms),
        })
    }

    /// It is so far now.
    pub fn set_state(&self, state: LinkState) {
        let before = self.state.swap(state as u8, Ordering::AcqRel);
        if before == LinkState::Connected as u8 && state != LinkState::Connected {
            self.down_since_ms
                .store(clock::unix_ms(), Ordering::Relaxed);
        }
    }

    /// Something has come in.
    pub fn heard(&self, bytes: usize) {
        self.last_io_ms.store(clock::unix_ms(), Ordering::Relaxed);
        self.input_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The data begins to come in: so many bytes, if that is known.
    pub fn begin_transfer(&self, total_bytes: Option<u64>) {
        self.total_bytes
            .store(total_bytes.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.read_bytes.store(0, Ordering::Relaxed);
    }

    /// So much of the data has come in.
    pub fn set_read_bytes(&self, read_bytes: u64) {
        self.read_bytes.store(read_bytes, Ordering::Relaxed);
    }

    /// So many bytes more of the stream have come in.
    pub fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as i64, Ordering::Relaxed);
    }

    /// The stream has come in up to this offset.
    pub fn set_received(&self, offset: i64) {
        self.received.store(offset, Ordering::Relaxed);
    }
}

fn seconds_since(moment_ms: &AtomicI64) -> i64 {
    let passed_ms = clock::unix_ms().saturating_sub(moment_ms.load(Ordering::Relaxed));
    passed_ms.max(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_how_it_is() {
        let link = Link::default();
        assert_eq!((link.idle_seconds(), link.down_seconds()), (None, None));
        for state in LinkState::ALL {
            link.set_state(state);
            assert_eq!(link.state(), state);
        }
        link.heard(7);
        assert_eq!((link.idle_seconds(), link.input_bytes()), (Some(0), 7));
        link.set_state(LinkState::Down);
        assert_eq!((link.idle_seconds(), link.down_seconds()), (None, Some(0)));
    }

    #[test]
    fn a_transfer_is_told_while_there_is_one() {
        let link = Link::default();
        link.begin_transfer(Some(9));
        link.set_read_bytes(4);
        assert_eq!(link.transfer(), None);
        link.set_state(LinkState::Sync);
        link.heard(4);
        let transfer = link.transfer().unwrap();
        assert_eq!((transfer.total_bytes, transfer.read_bytes), (Some(9), 4));
        link.begin_transfer(None);
        assert_eq!(link.transfer().unwrap().total_bytes, None);
    }
}
