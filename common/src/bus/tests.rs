//! The bus format against packets of a real redis-server, random messages and damaged ones.

#![expect(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]
use super::*;
use crate::ids::NodeId;
use crate::slot::Slot;
use crate::slot_set::SlotSet;
use proptest::prelude::*;

/// Sent by redis-server 7.0.15: a MEET and a PING with one gossip entry and a host name, and
/// the PONG that it answered to a stranger.
const MEET: &[u8] = include_bytes!("testdata/redis-7.0.15-meet.bin");
const PING: &[u8] = include_bytes!("testdata/redis-7.0.15-ping.bin");
const PONG: &[u8] = include_bytes!("testdata/redis-7.0.15-pong.bin");

fn id(text: &str) -> NodeId {
    NodeId::parse(text.as_bytes()).unwrap()
}

fn slots(ranges: &[(u16, u16)]) -> SlotSet {
    let numbers = ranges.iter().flat_map(|(start, end)| *start..=*end);
    numbers
        .filter_map(|n| Slot::from_wire(u64::from(n)))
        .collect()
}

#[test]
fn a_meet_of_redis_is_read_field_by_field() {
    let message = Message::decode(MEET).unwrap();
    let header = &message.header;
    assert_eq!(
        header.sender,
        id("8972da669d1a22a68bf7896d0644a329d3859b2e")
    );
    assert_eq!(
        (header.port, header.cport, header.other_port),
        (21_001, 31_001, 0)
    );
    assert_eq!((header.current_epoch, header.config_epoch), (7, 7));
    assert_eq!((header.offset, header.replica_of), (0, None));
    assert_eq!(header.slots, slots(&[(0, 99), (16_383, 16_383)]));
    assert_eq!(
        header.flags,
        NodeFlags::PRIMARY.with(NodeFlags::MYSELF),
        "a primary, by itself"
    );
    assert!(header.ip.is_empty() && header.is_down);
    assert_eq!(header.message_flags, MessageFlags::EXT_DATA);
    let Body::Meet(gossip) = &message.body else {
        panic!("not a MEET: {:?}", message.body);
    };
    assert_eq!(
        gossip.entries,
        [GossipEntry {
            node: id("2f7d91a177dab26ffee5755c6f745a4d2ed02d21"),
            ping_sent_s: 0,
            pong_received_s: 0x6b03_2747,
            ip: IpText::new("127.0.0.1").unwrap(),
            port: 21_003,
            cport: 31_003,
            flags: NodeFlags::PRIMARY,
            other_port: 0,
        }]
    );
    assert_eq!(gossip.extensions, [Extension::Hostname("one.example")]);
}

#[test]
fn packets_of_redis_are_written_as_they_came() {
    for (packet, kind) in [(MEET, Kind::Meet), (PING, Kind::Ping), (PONG, Kind::Pong)] {
        let head = *packet.first_chunk::<FRAME_HEAD>().unwrap();
        assert_eq!(frame_len(head, FRAME_MAX_UNKNOWN), Ok(packet.len()));
        let message = Message::decode(packet).unwrap();
        assert_eq!(message.body.kind(), kind);
        assert_eq!(message.encode().unwrap(), packet, "{kind:?}");
    }
}

#[test]
fn every_cut_of_a_packet_is_refused() {
    for packet in [MEET, PING, PONG] {
        for len in 0..packet.len() {
            assert!(Message::decode(&packet[..len]).is_err());
            // Also when the head agrees with the cut.
            let mut cut = packet[..len].to_vec();
            if len >= FRAME_HEAD {
                cut[4..8].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
            }
            assert!(Message::decode(&cut).is_err(), "cut at {len}");
        }
    }
}

#[test]
fn a_stream_that_is_not_the_bus_ends_the_link() {
    let head = |signature: &[u8; 4], len: u32| {
        let mut head = [0; FRAME_HEAD];
        head[..4].copy_from_slice(signature);
        head[4..].copy_from_slice(&len.to_be_bytes());
        head
    };
    assert_eq!(
        frame_len(*b"GET / HT", FRAME_MAX),
        Err(FrameError::Signature)
    );
    assert_eq!(
        frame_len(head(b"RCmb", 2255), FRAME_MAX),
        Err(FrameError::Short(2255))
    );
    assert_eq!(frame_len(head(b"RCmb", 2256), FRAME_MAX), Ok(2256));
    let limit = FRAME_MAX_UNKNOWN;
    let at = u32::try_from(limit).unwrap();
    assert_eq!(frame_len(head(b"RCmb", at), limit), Ok(limit));
    assert_eq!(
        frame_len(head(b"RCmb", at + 1), limit),
        Err(FrameError::Long(at + 1, limit))
    );
}

/// `packet` with `bytes` at `offset`.
fn patched(packet: &[u8], patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for (offset, bytes) in patches {
        packet[*offset..*offset + bytes.len()].copy_from_slice(bytes);
    }
    packet
}

/// A name, what is written where in [`MEET`], and the fault that it makes.
type Damage = (&'static str, &'static [(usize, &'static [u8])], DecodeError);

/// Where [`MEET`]'s extension begins.
const EXT: usize = 2360;

#[rustfmt::skip] // One case, one line.
const DAMAGES: &[Damage] = &[
    ("version", &[(8, &[0, 2])], DecodeError::Version(2)),
    ("type", &[(12, &[0, 11])], DecodeError::Type(11)),
    ("light", &[(12, &[0x80, 4])], DecodeError::Type(0x8004)),
    ("sender", &[(40, b"Z")], DecodeError::Name),
    ("primary", &[(2128, b"a")], DecodeError::Name),
    ("too many entries", &[(14, &[0, 2])], DecodeError::Length),
    ("far too many", &[(14, &[255, 255])], DecodeError::Length),
    ("too few entries", &[(14, &[0, 0])], DecodeError::ExtensionLength),
    ("extensions unannounced", &[(2253, &[0])], DecodeError::ExtensionFlag),
    ("an extension too many", &[(2214, &[0, 2])], DecodeError::Length),
    ("an extension too few", &[(2214, &[0, 0])], DecodeError::Length),
    ("extension of 0", &[(EXT, &[0, 0, 0, 0])], DecodeError::ExtensionLength),
    ("extension of 4", &[(EXT, &[0, 0, 0, 4])], DecodeError::ExtensionLength),
    ("odd extension", &[(EXT, &[0, 0, 0, 23])], DecodeError::ExtensionLength),
    ("extension wraps", &[(EXT, &[255, 255, 255, 248])], DecodeError::ExtensionLength),
    ("host name without end", &[(EXT + 8, &[b'a'; 16])], DecodeError::ExtensionLength),
    ("host name of two lines", &[(EXT + 9, b"\n")], DecodeError::Text),
    ("short shard id", &[(EXT + 4, &[0, 3])], DecodeError::ExtensionLength),
    ("short forgotten node", &[(EXT + 4, &[0, 2])], DecodeError::ExtensionLength),
    ("address with a space", &[(HEADER + 50, b" ")], DecodeError::Text),
    ("address without end", &[(HEADER + 48, &[b'1'; 46])], DecodeError::Text),
    ("node told of", &[(HEADER, &[0; 40])], DecodeError::Name),
    ("PING as FAIL", &[(12, &[0, 3])], DecodeError::Length),
    ("PING as vote", &[(12, &[0, 6])], DecodeError::Length),
    ("PING as PUBLISH", &[(12, &[0, 4])], DecodeError::Length),
    ("PING as MODULE", &[(12, &[0, 9])], DecodeError::Length),
];

#[test]
fn damaged_packets_are_refused_by_name() {
    assert_eq!(EXT, HEADER + GossipEntry::BYTES);
    for (name, patches, error) in DAMAGES {
        let packet = patched(MEET, patches);
        assert_eq!(Message::decode(&packet).unwrap_err(), *error, "{name}");
    }
    // What this version does not know is skipped.
    let packet = patched(MEET, &[(EXT + 4, &[0, 9])]);
    let message = Message::decode(&packet).unwrap();
    let extensions = &message.body.gossip().unwrap().extensions;
    assert!(matches!(
        extensions[..],
        [Extension::Unknown { kind: 9, .. }]
    ));
}

#[test]
fn lengths_of_a_publish_that_wrap_are_refused() {
    let body = Body::Publish {
        channel: b"c",
        message: b"seven b",
    };
    let header = Message::decode(PONG).unwrap().header;
    let good = Message { header, body }.encode().unwrap();
    assert_eq!(good.len(), HEADER + 8 + 8);
    assert!(Message::decode(&good).is_ok());
    // 0xffff_fff8 + 16 is 8 in 32 bits: the sum that a careless reader would compare.
    for lengths in [[0xffff_fff8_u32, 16], [16, 0xffff_fff8], [8, 1], [7, 0]] {
        let mut bad = good.clone();
        bad[HEADER..HEADER + 4].copy_from_slice(&lengths[0].to_be_bytes());
        bad[HEADER + 4..HEADER + 8].copy_from_slice(&lengths[1].to_be_bytes());
        assert_eq!(Message::decode(&bad), Err(DecodeError::Length));
    }
}

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::from_random)
}

fn ip() -> impl Strategy<Value = IpText> {
    "[0-9a-f.:]{0,45}".prop_map(|text| IpText::new(&text).unwrap())
}

fn slot_set() -> impl Strategy<Value = SlotSet> {
    proptest::collection::vec(0u64..16_384, 0..40)
        .prop_map(|numbers| numbers.into_iter().filter_map(Slot::from_wire).collect())
}

prop_compose! {
    fn header()(
        sender in node_id(),
        ports in any::<(u16, u16, u16)>(),
        ip in ip(),
        epochs in any::<(u64, u64, u64)>(),
        slots in slot_set(),
        replica_of in proptest::option::of(node_id()),
        flags in any::<(u16, bool, u8)>(),
    ) -> Header {
        Header {
            sender,
            port: ports.0,
            other_port: ports.1,
            cport: ports.2,
            ip,
            flags: NodeFlags(flags.0),
            current_epoch: epochs.0,
            config_epoch: epochs.1,
            offset: epochs.2,
            slots,
            replica_of,
            is_down: flags.1,
            message_flags: MessageFlags(flags.2).with(MessageFlags::EXT_DATA),
        }
    }
}

prop_compose! {
    fn entry()(
        node in node_id(),
        times in any::<(u32, u32)>(),
        ip in ip(),
        ports in any::<(u16, u16, u16, u16)>(),
    ) -> GossipEntry {
        GossipEntry {
            node,
            ping_sent_s: times.0,
            pong_received_s: times.1,
            ip,
            port: ports.0,
            cport: ports.1,
            flags: NodeFlags(ports.2),
            other_port: ports.3,
        }
    }
}

/// Texts and data that messages can borrow for as long as a test runs.
fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just("a"),
        Just("host-7.example"),
        Just("abcdefg"),
        Just("abcdefgh")
    ]
}

fn data() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![
        Just(&b""[..]),
        Just(&b"8 bytes!"[..]),
        Just(&b"\x00\xff sixteen bytes"[..]),
    ]
}

fn extension() -> impl Strategy<Value = Extension<'static>> {
    prop_oneof![
        text().prop_map(Extension::Hostname),
        text().prop_map(Extension::HumanName),
        (node_id(), any::<u64>())
            .prop_map(|(node, ttl_s)| Extension::ForgottenNode { node, ttl_s }),
        node_id().prop_map(Extension::ShardId),
        (4u16.., prop_oneof![Just(&b""[..]), Just(&b"12345678"[..])])
            .prop_map(|(kind, data)| Extension::Unknown { kind, data }),
    ]
}

fn gossip() -> impl Strategy<Value = Gossip<'static>> {
    let entries = proptest::collection::vec(entry(), 0..12);
    let extensions = proptest::collection::vec(extension(), 0..5);
    (entries, extensions).prop_map(|(entries, extensions)| Gossip {
        entries,
        extensions,
    })
}

fn body() -> impl Strategy<Value = Body<'static>> {
    prop_oneof![
        gossip().prop_map(Body::Ping),
        gossip().prop_map(Body::Pong),
        gossip().prop_map(Body::Meet),
        node_id().prop_map(Body::Fail),
        (data(), data()).prop_map(|(channel, message)| Body::Publish { channel, message }),
        (data(), data()).prop_map(|(channel, message)| Body::PublishShard { channel, message }),
        Just(Body::AuthRequest),
        Just(Body::AuthAck),
        Just(Body::MfStart),
        (any::<u64>(), node_id(), slot_set()).prop_map(|(config_epoch, node, slots)| {
            Body::Update {
                config_epoch,
                node,
                slots,
            }
        }),
        (any::<u64>(), any::<u8>(), data()).prop_map(|(id, kind, data)| Body::Module {
            id,
            kind,
            data
        }),
    ]
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(header in header(), body in body()) {
        let message = Message { header, body };
        let frame = message.encode().unwrap();
        let head = *frame.first_chunk::<FRAME_HEAD>().unwrap();
        prop_assert_eq!(frame_len(head, FRAME_MAX), Ok(frame.len()));
        prop_assert_eq!(Message::decode(&frame), Ok(message));
    }

    #[test]
    fn damage_never_panics(
        header in header(),
        body in body(),
        damage in proptest::collection::vec((0usize..4096, any::<u8>()), 1..8),
        cut in 0usize..4096,
    ) {
        let mut frame = Message { header, body }.encode().unwrap();
        for (at, byte) in damage {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        fuzz_message(&frame);
        frame.truncate(cut);
        fuzz_message(&frame);
    }
}
