//! The cluster bus: Redis's binary gossip format, between nodes on their port + 10000.
//!
//! Bytes to messages and back; who answers what is `slotilla_node::cluster`'s business. All
//! integers are big-endian (but [`Body::Module`]'s id, which Redis sends in host order, and
//! every host that runs Redis is little-endian); text fields are padded with NUL.
//!
//! ```text
//! header, 2256 bytes
//!    0  4 "RCmb"           32  8 offset            2214  2 extensions    2250  2 flags
//!    4  4 total length     40 40 sender            2216 30 reserved      2252  1 state (0 up)
//!    8  2 version = 1      80 2048 slots           2246  2 other port    2253  1 PAUSED 1, FORCEACK 2,
//!   10  2 client port    2128 40 replica of        2248  2 bus port             EXT_DATA 4
//!   12  2 type           2168 46 own address                             2254  2 zero
//!   14  2 count
//!   16  8 currentEpoch
//!   24  8 configEpoch
//! then, by type
//!   PING PONG MEET        count × gossip entry, extensions × extension
//!   FAIL                  node 40
//!   PUBLISH(SHARD)        channel length 4, message length 4, channel, message
//!   AUTH_REQUEST AUTH_ACK MFSTART   nothing
//!   UPDATE                configEpoch 8, node 40, slots 2048
//!   MODULE                module id 8, length 4, type 1, data
//! gossip entry, 104 bytes
//!    0 40 node   40 4 ping sent (s)   44 4 pong received (s)   48 46 address
//!   94  2 client port   96 2 bus port   98 2 flags   100 2 other port   102 2 unused
//! extension, a multiple of 8 bytes
//!    0  4 length, this head included   4 2 type   6 2 unused   8 . data
//! ```
//!
//! A slot is bit `n & 7` of byte `n >> 3`. A replica sends its primary's slots and epoch.
//!
//! Reading is in two steps, because a peer's faults have two consequences. [`frame_len`] reads
//! the first 8 bytes: what is wrong there makes the stream useless, so the link is closed.
//! [`Message::decode`] reads one whole frame: what is wrong there costs that message only, as
//! in Redis.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing
)]

mod extension;
mod flags;
mod gossip;
mod header;
mod message;
mod text;
mod wire;

#[cfg(test)]
mod tests;

pub use extension::{Extension, HOSTNAME_BYTES_MAX};
pub use flags::{MessageFlags, NodeFlags};
pub use gossip::GossipEntry;
pub use header::Header;
pub use message::{Body, Gossip, Kind, Message, TooLong};
pub use text::IpText;

/// Every message begins with these bytes.
pub const SIGNATURE: [u8; 4] = *b"RCmb";

/// Bytes that [`frame_len`] needs.
pub const FRAME_HEAD: usize = 8;

/// Bytes of the header, and so of the shortest message.
pub const HEADER: usize = 2256;

/// How long a message may be: a PUBLISH of a channel and a message of 512 MB each.
pub const FRAME_MAX: usize = 2 * 512 * 1024 * 1024 + HEADER + 8;

/// How long a message may be from a peer that is not known to be a node of the cluster. A MEET
/// with a gossip entry about each of 10,000 failing nodes is shorter.
pub const FRAME_MAX_UNKNOWN: usize = 1024 * 1024 + HEADER;

/// Why a stream of bytes is not the cluster bus. The link is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The first bytes are not [`SIGNATURE`].
    #[error("not a cluster bus message")]
    Signature,
    /// Shorter than a header. (Valkey's 16-byte "light" header is sent only to nodes whose
    /// flags ask for it, and ours do not.)
    #[error("a message of {0} bytes is shorter than its header")]
    Short(u32),
    /// Longer than the limit.
    #[error("a message of {0} bytes is longer than the limit of {1}")]
    Long(u32, usize),
}

/// The length of the message that begins with `head`, the head included.
///
/// # Errors
/// Any error means that the link must be closed.
pub fn frame_len(head: [u8; FRAME_HEAD], longest: usize) -> Result<usize, FrameError> {
    let [s0, s1, s2, s3, l0, l1, l2, l3] = head;
    if [s0, s1, s2, s3] != SIGNATURE {
        return Err(FrameError::Signature);
    }
    let claimed = u32::from_be_bytes([l0, l1, l2, l3]);
    let len = usize::try_from(claimed).unwrap_or(usize::MAX);
    if len < HEADER {
        return Err(FrameError::Short(claimed));
    }
    if len > longest {
        return Err(FrameError::Long(claimed, longest));
    }
    Ok(len)
}

/// Why a frame is not a message. It is dropped, and the link goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The frame's length is not what its head, or its type and counts, say.
    #[error("wrong length for its type")]
    Length,
    /// A version other than 1.
    #[error("unknown bus version {0}")]
    Version(u16),
    /// A type that this version does not know.
    #[error("unknown message type {0}")]
    Type(u16),
    /// A node's name that is not 40 hexadecimal digits.
    #[error("not a node name")]
    Name,
    /// An address or a host name that is not text of the allowed characters, or has no end.
    #[error("not an address or host name")]
    Text,
    /// Extensions without the flag that announces them.
    #[error("extensions without their flag")]
    ExtensionFlag,
    /// An extension whose length is impossible, or too short for its type.
    #[error("an extension of the wrong length")]
    ExtensionLength,
}

/// Decodes arbitrary bytes as a frame and, where that succeeds, checks that the message
/// survives encoding. For the random tests and cargo-fuzz: no input may panic.
pub fn fuzz_message(data: &[u8]) {
    if let Some(head) = data.first_chunk::<FRAME_HEAD>() {
        let _ = frame_len(*head, FRAME_MAX_UNKNOWN);
    }
    let Ok(message) = Message::decode(data) else {
        return;
    };
    let Ok(encoded) = message.encode() else {
        return;
    };
    let again = Message::decode(&encoded);
    assert_eq!(again.as_ref(), Ok(&message), "a message survives encoding");
}
