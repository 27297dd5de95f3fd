//! The counting allocator: what the process really holds, read without asking jemalloc.
