//! Where a request goes, and how replies are merged.
