//! Retries and limits.
