//! Threads, connections, sessions.
