//! The keyspace: 16384 slots, each with its own lock and tables.
