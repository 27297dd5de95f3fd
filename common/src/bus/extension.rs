//! What PING, PONG and MEET carry after their gossip, since Redis 7.0.

use super::DecodeError;
use super::text::until_nul;
use super::wire::{Reader, Write};
use crate::ids::NodeId;

/// Characters of the longest host name that Redis takes.
pub const HOSTNAME_BYTES_MAX: usize = 255;

const HEAD: usize = 8;
const HOSTNAME: u16 = 0;
const HUMAN_NAME: u16 = 1;
const FORGOTTEN_NODE: u16 = 2;
const SHARD_ID: u16 = 3;

/// One extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension<'a> {
    /// The sender's host name (`cluster-announce-hostname`).
    Hostname(&'a str),
    /// A name for people (Redis 7.2, Valkey).
    HumanName(&'a str),
    /// The sender was told to forget this node, and the receiver shall too (Redis 7.2, Valkey).
    ForgottenNode {
        /// The node.
        node: NodeId,
        /// For how many seconds gossip may not bring it back.
        ttl_s: u64,
    },
    /// The shard of the sender (Redis 7.2, Valkey).
    ShardId(NodeId),
    /// A type that this version does not know; it is skipped.
    Unknown {
        /// Its type.
        kind: u16,
        /// Its data, a multiple of 8 bytes.
        data: &'a [u8],
    },
}

impl<'a> Extension<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let len = reader.len()?;
        let kind = reader.u16()?;
        let _unused = reader.u16()?;
        if len % HEAD != 0 {
            return Err(DecodeError::ExtensionLength);
        }
        let data = len
            .checked_sub(HEAD)
            .and_then(|len| reader.bytes(len).ok())
            .ok_or(DecodeError::ExtensionLength)?;
        let mut fields = Reader::new(data);
        let short = |_| DecodeError::ExtensionLength;
        let extension = match kind {
            HOSTNAME => Self::Hostname(name(data)?),
            HUMAN_NAME => Self::HumanName(name(data)?),
            FORGOTTEN_NODE => {
                let node = fields.array::<{ NodeId::LEN }>().map_err(short)?;
                Self::ForgottenNode {
                    node: NodeId::parse(node).ok_or(DecodeError::Name)?,
                    ttl_s: fields.u64().map_err(short)?,
                }
            }
            SHARD_ID => {
                let id = fields.array::<{ NodeId::LEN }>().map_err(short)?;
                Self::ShardId(NodeId::parse(id).ok_or(DecodeError::Name)?)
            }
            kind => return Ok(Self::Unknown { kind, data }),
        };
        let names = matches!(kind, HOSTNAME | HUMAN_NAME);
        if !names && fields.remaining() > 0 {
            return Err(DecodeError::ExtensionLength);
        }
        Ok(extension)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.u32(0);
        match self {
            Self::Hostname(text) | Self::HumanName(text) => {
                let is_host = matches!(self, Self::Hostname(_));
                out.u16(if is_host { HOSTNAME } else { HUMAN_NAME });
                out.u16(0);
                let nul = text.len().saturating_add(1);
                out.padded(text.as_bytes(), nul.next_multiple_of(HEAD));
            }
            Self::ForgottenNode { node, ttl_s } => {
                out.u16(FORGOTTEN_NODE);
                out.u16(0);
                out.bytes(node.as_bytes());
                out.u64(*ttl_s);
            }
            Self::ShardId(id) => {
                out.u16(SHARD_ID);
                out.u16(0);
                out.bytes(id.as_bytes());
            }
            Self::Unknown { kind, data } => {
                out.u16(*kind);
                out.u16(0);
                out.padded(data, data.len().next_multiple_of(HEAD));
            }
        }
        let len = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
        let place = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            *place = len.to_be_bytes();
        }
    }
}

/// Text that ends in NUL and has nothing in it that would forge a field where it is printed.
fn name(data: &[u8]) -> Result<&str, DecodeError> {
    let text = until_nul(data).ok_or(DecodeError::ExtensionLength)?;
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
    if text.len() > HOSTNAME_BYTES_MAX || !text.iter().all(allowed) {
        return Err(DecodeError::Text);
    }
    std::str::from_utf8(text).map_err(|_| DecodeError::Text)
}
