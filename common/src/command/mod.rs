//! The command table: what every command is, as data.
