//! How much a client may send in one request.

/// Limits of one connection's requests. The defaults are those of redis-server 7.0.15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Longest argument in bytes (`proto-max-bulk-len`).
    pub max_bulk: usize,
    /// Most arguments in one request.
    pub max_args: usize,
    /// Longest inline request, and longest line with a count, in bytes.
    pub max_inline: usize,
    /// Whether the client has proven who it is (or need not). Until then it may send no more
    /// than [`Self::UNAUTHENTICATED_ARGS`] and [`Self::UNAUTHENTICATED_BULK`].
    pub authenticated: bool,
}

impl RequestLimits {
    /// Most arguments before AUTH.
    pub const UNAUTHENTICATED_ARGS: usize = 10;
    /// Longest argument before AUTH, in bytes.
    pub const UNAUTHENTICATED_BULK: usize = 16_384;
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            max_bulk: 512 * 1024 * 1024,
            max_args: i32::MAX as usize,
            max_inline: 64 * 1024,
            authenticated: true,
        }
    }
}
