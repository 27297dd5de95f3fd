//! Listeners, the admin port, metrics.
