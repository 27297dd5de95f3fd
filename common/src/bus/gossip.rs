//! What one node tells of another: an entry of a PING, PONG or MEET.

use super::wire::{Reader, Write};
use super::{DecodeError, IpText, NodeFlags};
use crate::ids::NodeId;

/// What the sender knows of one other node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GossipEntry {
    /// The node told of.
    pub node: NodeId,
    /// When the sender sent it the ping that is still unanswered, in Unix seconds; else 0.
    pub ping_sent_s: u32,
    /// When the sender last had a pong from it, in Unix seconds.
    pub pong_received_s: u32,
    /// Its address.
    pub ip: IpText,
    /// Its client port.
    pub port: u16,
    /// Its bus port.
    pub cport: u16,
    /// What the sender takes it for.
    pub flags: NodeFlags,
    /// Its plaintext port, where `port` is its TLS port; else 0. (Valkey 8: the other of both.)
    pub other_port: u16,
}

impl GossipEntry {
    /// Bytes on the wire.
    pub const BYTES: usize = 104;

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let entry = Self {
            node: reader.name()?,
            ping_sent_s: reader.u32()?,
            pong_received_s: reader.u32()?,
            ip: IpText::from_field(reader.array()?)?,
            port: reader.u16()?,
            cport: reader.u16()?,
            flags: NodeFlags(reader.u16()?),
            other_port: reader.u16()?,
        };
        let _unused = reader.u16()?;
        Ok(entry)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.bytes(self.node.as_bytes());
        out.u32(self.ping_sent_s);
        out.u32(self.pong_received_s);
        out.bytes(self.ip.field());
        out.u16(self.port);
        out.u16(self.cport);
        out.u16(self.flags.0);
        out.u16(self.other_port);
        out.u16(0);
    }
}
