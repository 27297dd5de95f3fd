//! Every error text that clients may see and that is not Redis's own.

/// The reply to a request whose time is over.
pub const TIMED_OUT: &[u8] =
    b"-ERR no reply within request-timeout; the command may or may not have been executed\r\n";

/// The reply to a write whose connection was lost.
pub const REPLY_LOST: &[u8] = b"-ERR the connection to the node was lost before its reply came; \
    the command may or may not have been executed\r\n";

/// The reply to a request that could not be sent within its time.
pub const NOT_SENT: &[u8] =
    b"-ERR the node that holds this key cannot be reached; the command was not executed\r\n";

/// The reply to a request to all primaries, if one could not be reached within its time.
pub const NOT_SENT_TO_ALL: &[u8] =
    b"-ERR a node cannot be reached; the command may have been executed on others\r\n";

/// The reply while nobody owns the slot.
pub const NO_OWNER: &[u8] = b"-CLUSTERDOWN Hash slot not served\r\n";

/// The reply while no node has told the slot map.
pub const NO_MAP: &[u8] =
    b"-CLUSTERDOWN the proxy knows no node of the cluster yet; are the seeds right and up?\r\n";

/// The reply to a request that was sent from node to node too often.
pub const TOO_MANY_REDIRECTS: &[u8] =
    b"-CLUSTERDOWN the slot keeps moving; the command was not executed\r\n";

/// The text of an error reply: without its `-`, or the line of its `!`, and without line end.
#[must_use]
pub fn text_of(reply: &[u8]) -> &[u8] {
    let text = match reply.split_first() {
        Some((b'-', text)) => text,
        Some((b'!', rest)) => {
            let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            rest.get(line..).unwrap_or_default()
        }
        _ => reply,
    };
    text.strip_suffix(b"\r\n").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_both_kinds_of_errors_is_found() {
        assert_eq!(text_of(b"-ERR no\r\n"), b"ERR no");
        assert_eq!(text_of(b"!6\r\nERR no\r\n"), b"ERR no");
        assert_eq!(text_of(b"-\r\n"), b"");
    }
}
