//! When a request is sent again, and how long it waits before.

mod retry;

pub use retry::{Retry, RetryQueue, backoff};
