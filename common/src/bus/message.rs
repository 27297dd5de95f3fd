//! A whole message: its header and what its type adds.

use super::header::Shape;
use super::wire::{Reader, Write};
use super::{DecodeError, Extension, GossipEntry, HEADER, Header, MessageFlags};
use crate::ids::NodeId;
use crate::slot_set::SlotSet;

/// One message. It borrows what can be long from the frame that it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// What it says of its sender.
    pub header: Header,
    /// What it is about.
    pub body: Body<'a>,
}

/// What a message is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// Are you there?
    Ping(Gossip<'a>),
    /// I am. Also sent unasked, to tell all of a change.
    Pong(Gossip<'a>),
    /// As [`Body::Ping`], and take me into your cluster.
    Meet(Gossip<'a>),
    /// A majority holds this node for failing.
    Fail(NodeId),
    /// A message on a channel, for every node's subscribers.
    Publish {
        /// The channel.
        channel: &'a [u8],
        /// The message.
        message: &'a [u8],
    },
    /// A message on a shard channel, for the subscribers of one shard's nodes.
    PublishShard {
        /// The channel.
        channel: &'a [u8],
        /// The message.
        message: &'a [u8],
    },
    /// A replica asks for a vote.
    AuthRequest,
    /// A primary gives its vote.
    AuthAck,
    /// Your idea of these slots is out of date: this node has them, in this epoch.
    Update {
        /// The epoch of the claim.
        config_epoch: u64,
        /// The owner.
        node: NodeId,
        /// All its slots.
        slots: SlotSet,
    },
    /// A replica asks its primary to pause its clients, for a manual failover.
    MfStart,
    /// A module's message. Nodes without that module ignore it.
    Module {
        /// Which module; in host order on the wire.
        id: u64,
        /// The module's own type of message.
        kind: u8,
        /// The module's data.
        data: &'a [u8],
    },
}

/// What PING, PONG and MEET carry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Gossip<'a> {
    /// What the sender knows of some other nodes.
    pub entries: Vec<GossipEntry>,
    /// What the sender tells of itself beyond the header.
    pub extensions: Vec<Extension<'a>>,
}

/// The type of a message, as a number on the wire and a name in CLUSTER INFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u16)]
#[expect(missing_docs, reason = "as the variants of Body")]
pub enum Kind {
    Ping = 0,
    Pong = 1,
    Meet = 2,
    Fail = 3,
    Publish = 4,
    AuthRequest = 5,
    AuthAck = 6,
    Update = 7,
    MfStart = 8,
    Module = 9,
    PublishShard = 10,
}

impl Kind {
    /// All types, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Ping,
        Self::Pong,
        Self::Meet,
        Self::Fail,
        Self::Publish,
        Self::AuthRequest,
        Self::AuthAck,
        Self::Update,
        Self::MfStart,
        Self::Module,
        Self::PublishShard,
    ];

    /// The name that CLUSTER INFO counts it under.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Meet => "meet",
            Self::Fail => "fail",
            Self::Publish => "publish",
            Self::AuthRequest => "auth-req",
            Self::AuthAck => "auth-ack",
            Self::Update => "update",
            Self::MfStart => "mfstart",
            Self::Module => "module",
            Self::PublishShard => "publishshard",
        }
    }

    fn from_wire(raw: u16) -> Result<Self, DecodeError> {
        Self::ALL
            .get(usize::from(raw))
            .copied()
            .ok_or(DecodeError::Type(raw))
    }
}

/// The message is longer than the wire's length fields can say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message is too long for the cluster bus")]
pub struct TooLong;

impl<'a> Message<'a> {
    /// Reads one whole frame, whose length [`super::frame_len`] gave.
    ///
    /// # Errors
    /// The frame is to be dropped; the link may go on.
    pub fn decode(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame);
        let (header, shape) = Header::decode(&mut reader, frame.len())?;
        let body = Body::decode(&mut reader, &shape, header.message_flags)?;
        if reader.remaining() > 0 {
            return Err(DecodeError::Length);
        }
        Ok(Self { header, body })
    }

    /// The frame.
    ///
    /// # Errors
    /// A count or length does not fit its field.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let narrow = |len: usize| u16::try_from(len).map_err(|_| TooLong);
        let mut shape = Shape {
            kind: self.body.kind() as u16,
            count: 0,
            extensions: 0,
        };
        if let Some(gossip) = self.body.gossip() {
            shape.count = narrow(gossip.entries.len())?;
            shape.extensions = narrow(gossip.extensions.len())?;
        }
        let mut out = Vec::with_capacity(HEADER.saturating_add(self.body.len_hint()));
        self.header.encode(&shape, &mut out);
        self.body.encode(&mut out)?;
        let len = u32::try_from(out.len()).map_err(|_| TooLong)?;
        if let Some(place) = out.get_mut(4..).and_then(<[u8]>::first_chunk_mut) {
            *place = len.to_be_bytes();
        }
        Ok(out)
    }
}

impl<'a> Body<'a> {
    /// The type.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ping(_) => Kind::Ping,
            Self::Pong(_) => Kind::Pong,
            Self::Meet(_) => Kind::Meet,
            Self::Fail(_) => Kind::Fail,
            Self::Publish { .. } => Kind::Publish,
            Self::PublishShard { .. } => Kind::PublishShard,
            Self::AuthRequest => Kind::AuthRequest,
            Self::AuthAck => Kind::AuthAck,
            Self::Update { .. } => Kind::Update,
            Self::MfStart => Kind::MfStart,
            Self::Module { .. } => Kind::Module,
        }
    }

    /// The gossip of a PING, PONG or MEET.
    #[must_use]
    pub const fn gossip(&self) -> Option<&Gossip<'a>> {
        match self {
            Self::Ping(gossip) | Self::Pong(gossip) | Self::Meet(gossip) => Some(gossip),
            Self::Fail(_)
            | Self::Publish { .. }
            | Self::PublishShard { .. }
            | Self::AuthRequest
            | Self::AuthAck
            | Self::Update { .. }
            | Self::MfStart
            | Self::Module { .. } => None,
        }
    }

    fn decode(
        reader: &mut Reader<'a>,
        shape: &Shape,
        flags: MessageFlags,
    ) -> Result<Self, DecodeError> {
        Ok(match Kind::from_wire(shape.kind)? {
            Kind::Ping => Self::Ping(Gossip::decode(reader, shape, flags)?),
            Kind::Pong => Self::Pong(Gossip::decode(reader, shape, flags)?),
            Kind::Meet => Self::Meet(Gossip::decode(reader, shape, flags)?),
            Kind::Fail => Self::Fail(reader.name()?),
            Kind::Publish => {
                let (channel, message) = publication(reader)?;
                Self::Publish { channel, message }
            }
            Kind::PublishShard => {
                let (channel, message) = publication(reader)?;
                Self::PublishShard { channel, message }
            }
            Kind::AuthRequest => Self::AuthRequest,
            Kind::AuthAck => Self::AuthAck,
            Kind::Update => Self::Update {
                config_epoch: reader.u64()?,
                node: reader.name()?,
                slots: SlotSet::from_bitmap(reader.array()?),
            },
            Kind::MfStart => Self::MfStart,
            Kind::Module => {
                let id = u64::from_le_bytes(*reader.array()?);
                let len = reader.len()?;
                Self::Module {
                    id,
                    kind: reader.u8()?,
                    data: reader.bytes(len)?,
                }
            }
        })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let wide = |len: usize| u32::try_from(len).map_err(|_| TooLong);
        match self {
            Self::Ping(gossip) | Self::Pong(gossip) | Self::Meet(gossip) => gossip.encode(out),
            Self::Fail(node) => out.bytes(node.as_bytes()),
            Self::Publish { channel, message } | Self::PublishShard { channel, message } => {
                out.u32(wide(channel.len())?);
                out.u32(wide(message.len())?);
                out.bytes(channel);
                out.bytes(message);
            }
            Self::AuthRequest | Self::AuthAck | Self::MfStart => {}
            Self::Update {
                config_epoch,
                node,
                slots,
            } => {
                out.u64(*config_epoch);
                out.bytes(node.as_bytes());
                out.bytes(slots.bitmap());
            }
            Self::Module { id, kind, data } => {
                out.bytes(&id.to_le_bytes());
                out.u32(wide(data.len())?);
                out.push(*kind);
                out.bytes(data);
            }
        }
        Ok(())
    }

    /// About how many bytes the body takes, so that one allocation does.
    fn len_hint(&self) -> usize {
        match self {
            Self::Ping(gossip) | Self::Pong(gossip) | Self::Meet(gossip) => {
                let entries = gossip.entries.len().saturating_mul(GossipEntry::BYTES);
                entries.saturating_add(gossip.extensions.len().saturating_mul(64))
            }
            Self::Publish { channel, message } | Self::PublishShard { channel, message } => channel
                .len()
                .saturating_add(message.len())
                .saturating_add(8),
            Self::Update { .. } => 2096,
            Self::Fail(_) => NodeId::LEN,
            Self::Module { data, .. } => data.len().saturating_add(13),
            Self::AuthRequest | Self::AuthAck | Self::MfStart => 0,
        }
    }
}

impl<'a> Gossip<'a> {
    fn decode(
        reader: &mut Reader<'a>,
        shape: &Shape,
        flags: MessageFlags,
    ) -> Result<Self, DecodeError> {
        let count = usize::from(shape.count);
        // Before anything is allocated: the entries must be there.
        if count.saturating_mul(GossipEntry::BYTES) > reader.remaining() {
            return Err(DecodeError::Length);
        }
        if shape.extensions > 0 && !flags.any(MessageFlags::EXT_DATA) {
            return Err(DecodeError::ExtensionFlag);
        }
        let entries = (0..count)
            .map(|_| GossipEntry::decode(reader))
            .collect::<Result<_, _>>()?;
        let extensions = (0..shape.extensions)
            .map(|_| Extension::decode(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            entries,
            extensions,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for entry in &self.entries {
            entry.encode(out);
        }
        for extension in &self.extensions {
            extension.encode(out);
        }
    }
}

/// Both lengths are 32 bits wide, and so is a frame's: each is checked against the bytes that
/// are there, so no sum can wrap.
fn publication<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
    let channel = reader.len()?;
    let message = reader.len()?;
    Ok((reader.bytes(channel)?, reader.bytes(message)?))
}
