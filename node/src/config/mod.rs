//! The node's directives, from files and arguments.
