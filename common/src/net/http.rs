//! HTTP that arrives where Redis's protocol is spoken.
//!
//! A web page can make its reader's browser POST to any address that the reader reaches, this
//! server's among them, and write commands into the body. As in Redis, a request whose name is the
//! first word of such a POST, or of its `Host:` line, ends the connection before the body runs.

use std::fmt::Display;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock;

/// Whether a command of this name is a line of HTTP: `POST` or `Host:`, in any letter case. `GET`
/// is a command, and a browser's GET brings a `Host:` line next.
#[must_use]
pub fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Tells the log of clients that send HTTP, at most once a minute: an attacker chooses how often
/// it happens.
#[derive(Debug, Default)]
pub struct HttpAlarm {
    /// Milliseconds since the epoch; 0 is never.
    last_ms: AtomicI64,
}

/// At most one line of the log in so many milliseconds.
const PERIOD_MS: i64 = 60_000;

impl HttpAlarm {
    /// The client at `address` sent HTTP, and is being closed.
    #[cold]
    pub fn sound(&self, address: &dyn Display) {
        if self.is_due(clock::unix_ms()) {
            tracing::warn!(
                "Possible security attack: the client at {address} sent POST or Host: where a \
                 command belongs, as a browser does when a web page uses it to reach this server. \
                 Its connection is closed. More of these are not logged for a minute"
            );
        }
    }

    fn is_due(&self, now_ms: i64) -> bool {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let due = last_ms == 0 || !(0..PERIOD_MS).contains(&now_ms.saturating_sub(last_ms));
        // Of two threads that come here at once, one tells.
        due && self
            .last_ms
            .compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_post_and_host_are_http() {
        for name in ["POST", "post", "Post", "Host:", "HOST:"] {
            assert!(is_http(name.as_bytes()), "{name}");
        }
        for name in ["", "GET", "POSTS", "POS", "host", "Host::"] {
            assert!(!is_http(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_alarm_sounds_once_a_minute() {
        let alarm = HttpAlarm::default();
        let told: Vec<bool> = [1, 2, 60_000, 60_001, 90_000, 120_001, 5]
            .map(|now_ms| alarm.is_due(now_ms))
            .into();
        assert_eq!(told, [true, false, false, true, false, true, true]);
    }
}
