//! Reading configuration: files, arguments, sizes, durations.
