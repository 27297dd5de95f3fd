//! Sorted sets.

mod tree;
