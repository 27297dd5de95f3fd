//! What every message says of its sender.

use super::wire::{Reader, Write};
use super::{DecodeError, HEADER, IpText, MessageFlags, NodeFlags, SIGNATURE};
use crate::ids::NodeId;
use crate::slot_set::SlotSet;

/// What every message says of its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The sender's name.
    pub sender: NodeId,
    /// The client port.
    pub port: u16,
    /// The plaintext port, where `port` is the TLS port; else 0. (Valkey 8: the other of both.)
    pub other_port: u16,
    /// The bus port.
    pub cport: u16,
    /// The address to reach it by; empty: the one that the message came from.
    pub ip: IpText,
    /// What the sender is.
    pub flags: NodeFlags,
    /// The greatest epoch that the sender has seen.
    pub current_epoch: u64,
    /// The epoch of the sender's slots; a replica sends its primary's.
    pub config_epoch: u64,
    /// A primary's replication offset, or how far a replica has come.
    pub offset: u64,
    /// The sender's slots; a replica sends its primary's.
    pub slots: SlotSet,
    /// The sender's primary; `None` if it is a primary.
    pub replica_of: Option<NodeId>,
    /// Whether the sender takes the cluster for down.
    pub is_down: bool,
    /// What the message says of itself.
    pub message_flags: MessageFlags,
}

/// The header's fields that say how the rest of the frame is to be read.
pub(super) struct Shape {
    pub(super) kind: u16,
    pub(super) count: u16,
    pub(super) extensions: u16,
}

const VERSION: u16 = 1;
const RESERVED: usize = 30;
const NO_NAME: [u8; NodeId::LEN] = [0; NodeId::LEN];

impl Header {
    /// Reads the header of a whole frame of `frame_len` bytes.
    pub(super) fn decode(
        reader: &mut Reader<'_>,
        frame_len: usize,
    ) -> Result<(Self, Shape), DecodeError> {
        let signature = reader.array::<4>()?;
        if *signature != SIGNATURE || reader.len()? != frame_len || frame_len < HEADER {
            return Err(DecodeError::Length);
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let port = reader.u16()?;
        let kind = reader.u16()?;
        let count = reader.u16()?;
        let current_epoch = reader.u64()?;
        let config_epoch = reader.u64()?;
        let offset = reader.u64()?;
        let sender = reader.name()?;
        let slots = SlotSet::from_bitmap(reader.array()?);
        let replica_of = match reader.array()? {
            &NO_NAME => None,
            name => Some(NodeId::parse(name).ok_or(DecodeError::Name)?),
        };
        let ip = IpText::from_field(reader.array()?)?;
        let extensions = reader.u16()?;
        let _reserved = reader.bytes(RESERVED)?;
        let other_port = reader.u16()?;
        let cport = reader.u16()?;
        let flags = NodeFlags(reader.u16()?);
        let is_down = reader.u8()? != 0;
        let [first, _, _] = *reader.array()?;
        let header = Self {
            sender,
            port,
            other_port,
            cport,
            ip,
            flags,
            current_epoch,
            config_epoch,
            offset,
            slots,
            replica_of,
            is_down,
            message_flags: MessageFlags(first),
        };
        let shape = Shape {
            kind,
            count,
            extensions,
        };
        Ok((header, shape))
    }

    /// Writes the header with a total length of 0, which [`super::Message::encode`] fills in.
    pub(super) fn encode(&self, shape: &Shape, out: &mut Vec<u8>) {
        out.bytes(&SIGNATURE);
        out.u32(0);
        out.u16(VERSION);
        out.u16(self.port);
        out.u16(shape.kind);
        out.u16(shape.count);
        out.u64(self.current_epoch);
        out.u64(self.config_epoch);
        out.u64(self.offset);
        out.bytes(self.sender.as_bytes());
        out.bytes(self.slots.bitmap());
        out.bytes(match &self.replica_of {
            Some(primary) => primary.as_bytes(),
            None => &NO_NAME,
        });
        out.bytes(self.ip.field());
        out.u16(shape.extensions);
        out.padded(&[], RESERVED);
        out.u16(self.other_port);
        out.u16(self.cport);
        out.u16(self.flags.0);
        out.push(u8::from(self.is_down));
        out.bytes(&[self.message_flags.0, 0, 0]);
    }
}
