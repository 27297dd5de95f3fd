//! Which node owns which slot, and how the proxy learns it.
