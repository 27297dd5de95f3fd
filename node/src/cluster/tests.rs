//! The core, one node at a time: what commands answer and what messages do. How many nodes come
//! to agree is the simulation's business (`tests/tests/sim`).

use super::nodes_conf::NodesConf;
use super::*;
use crate::cluster::routing::{Condition, Serving};
use slotilla_common::bus::{Body, Gossip, GossipEntry, Header, IpText, Message, NodeFlags};
use slotilla_common::bus::{Extension, MessageFlags};
use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_common::slot_set::SlotSet;

const NOW_MS: i64 = 1_700_000_000_000;

fn id(seed: u8) -> NodeId {
    NodeId::from_random([seed; 20])
}

fn slot(number: u64) -> Slot {
    Slot::from_wire(number).unwrap()
}

fn ip(text: &str) -> IpText {
    IpText::new(text).unwrap()
}

fn core() -> Core {
    let mut core = Core::new(Options::default(), id(0x55), 1, NOW_MS);
    core.start(NOW_MS);
    core
}

fn reply(core: &mut Core, command: Command) -> CommandReply {
    let actions = core.on_command(Ticket(1), command, NOW_MS);
    let reply = actions.into_iter().find_map(|action| match action {
        Action::Reply { reply, .. } => Some(reply),
        _ => None,
    });
    reply.unwrap()
}

fn header(sender: NodeId, config_epoch: u64, slots: &[u64]) -> Header {
    Header {
        sender,
        port: 7000,
        other_port: 0,
        cport: 17_000,
        ip: IpText::EMPTY,
        flags: NodeFlags::MYSELF.with(NodeFlags::PRIMARY),
        current_epoch: config_epoch,
        config_epoch,
        offset: 0,
        slots: slots.iter().map(|n| slot(*n)).collect(),
        replica_of: None,
        is_down: false,
        message_flags: MessageFlags::EXT_DATA,
    }
}

fn ping(header: Header) -> Message<'static> {
    let body = Body::Ping(Gossip::default());
    Message { header, body }
}

/// Makes `other` known to the core, as a PONG to our MEET does, and gives the link to it.
fn met(core: &mut Core, other: Header) -> LinkId {
    let command = Command::Meet {
        ip: "10.0.0.2".to_owned(),
        port: 7000,
        cport: None,
    };
    reply(core, command).unwrap();
    let link = core
        .tick(NOW_MS)
        .into_iter()
        .find_map(|action| match action {
            Action::Dial { link, .. } => Some(link),
            _ => None,
        })
        .unwrap();
    let local = ip("10.0.0.1");
    core.on_link_event(link, LinkEvent::Connected { local }, NOW_MS);
    let pong = Message {
        header: other,
        body: Body::Pong(Gossip::default()),
    };
    core.on_message(link, &pong, NOW_MS);
    link
}

fn owner(core: &Core, number: u64) -> Option<NodeId> {
    core.view.owner(slot(number)).map(|node| node.id)
}

#[test]
fn slots_whose_keys_were_found_are_kept() {
    let mut core = core();
    let other = id(0x77);
    met(&mut core, header(other, 3, &[7]));
    reply(&mut core, Command::AddSlots(vec![(slot(1), slot(1))])).unwrap();
    let found = vec![slot(1), slot(5), slot(7)];
    let actions = core.on_command(Ticket(1), Command::KeepFound(found), NOW_MS);
    let serving = actions.iter().find_map(|action| match action {
        Action::SetServing(changes) => Some(changes.clone()),
        _ => None,
    });
    let expected = vec![(slot(5), Serving::Ours), (slot(7), Serving::Importing)];
    assert_eq!(serving, Some(expected));
    let must_be_durable = true;
    let save = Action::Save { must_be_durable };
    assert!(format!("{actions:?}").contains(&format!("{save:?}")));
    assert_eq!(owner(&core, 5), Some(id(0x55)));
    assert_eq!(owner(&core, 7), Some(other));
}

#[test]
fn commands_answer_as_redis_does() {
    let mut core = core();
    let unknown = id(0x77);
    let ranges = |a, b| vec![(slot(a), slot(b))];
    let meet = |ip: &str, port, cport| Command::Meet {
        ip: ip.to_owned(),
        port,
        cport,
    };
    let ok = Ok("OK");
    let cases = [
        (Command::AddSlots(ranges(0, 5)), ok),
        (
            Command::AddSlots(ranges(3, 3)),
            Err("ERR Slot 3 is already busy"),
        ),
        (
            Command::AddSlots(vec![(slot(7), slot(8)), (slot(8), slot(8))]),
            Err("ERR Slot 8 specified multiple times"),
        ),
        (
            Command::DelSlots(ranges(9, 9)),
            Err("ERR Slot 9 is already unassigned"),
        ),
        (Command::DelSlots(ranges(5, 5)), ok),
        (
            Command::Forget(unknown.as_bytes().to_vec()),
            Err("ERR Unknown node 7777777777777777777777777777777777777777"),
        ),
        (Command::Forget(b"x".to_vec()), Err("ERR Unknown node x")),
        (
            Command::Forget(id(0x55).as_bytes().to_vec()),
            Err("ERR I tried hard but I can't forget myself..."),
        ),
        (
            Command::SetConfigEpoch(-1),
            Err("ERR Invalid config epoch specified: -1"),
        ),
        (Command::SetConfigEpoch(4), ok),
        (
            Command::SetConfigEpoch(5),
            Err("ERR Node config epoch is already non-zero"),
        ),
        (Command::BumpEpoch, Ok("STILL 4")),
        (Command::SaveConfig, ok),
        (
            meet("nowhere", 1, None),
            Err("ERR Invalid node address specified: nowhere:1"),
        ),
        (
            meet("10.0.0.2", 60_000, None),
            Err("ERR Invalid node address specified: 10.0.0.2:60000"),
        ),
        (meet("10.0.0.2", 60_000, Some(1)), ok),
        (meet("10.0.0.2", 60_000, Some(1)), ok),
        (
            Command::SetConfigEpoch(5),
            Err(
                "ERR The user can assign a config epoch only when the node does not know any other node.",
            ),
        ),
        (Command::FlushSlots, ok),
        (Command::Reset { new_id: None }, ok),
    ];
    for (command, expected) in cases {
        let got = reply(&mut core, command.clone());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(got, expected, "{command:?}");
    }
    assert_eq!(core.view.nodes.len(), 1, "a reset node knows nobody");
    assert_eq!(core.view.myself().unwrap().config_epoch, 4, "SOFT keeps it");
}

#[test]
fn a_claim_is_saved_before_it_is_answered_and_served() {
    let mut core = core();
    let command = Command::AddSlots(vec![(slot(1), slot(1))]);
    let actions = core.on_command(Ticket(9), command, NOW_MS);
    let places: Vec<usize> = [
        actions.iter().position(|a| {
            matches!(
                a,
                Action::Save {
                    must_be_durable: true
                }
            )
        }),
        actions.iter().position(
            |a| matches!(a, Action::SetServing(changes) if changes == &[(slot(1), Serving::Ours)]),
        ),
        actions.iter().position(|a| {
            matches!(
                a,
                Action::Reply {
                    ticket: Ticket(9),
                    ..
                }
            )
        }),
    ]
    .into_iter()
    .map(Option::unwrap)
    .collect();
    assert!(places.is_sorted(), "{actions:?}");
}

#[test]
fn a_stranger_that_says_meet_is_met_and_one_that_says_ping_is_not() {
    let mut core = core();
    let link = core.accept(ip("10.0.0.9"), ip("10.0.0.1"), NOW_MS);
    let answers = |actions: Vec<Action>| {
        let sends = actions.iter().filter(|a| matches!(a, Action::Send { .. }));
        sends.count()
    };
    let stranger = header(id(2), 0, &[]);
    let actions = core.on_message(link, &ping(stranger.clone()), NOW_MS);
    assert_eq!((answers(actions), core.view.nodes.len()), (1, 1));
    let meet = Message {
        header: stranger,
        body: Body::Meet(Gossip::default()),
    };
    let actions = core.on_message(link, &meet, NOW_MS);
    assert_eq!((answers(actions), core.view.nodes.len()), (1, 2));
    let other = core.view.nodes.iter().find(|node| node.id != core.id());
    let other = other.unwrap();
    assert!(other.flags.any(NodeFlags::HANDSHAKE));
    assert_eq!(
        (other.address.ip, other.address.cport),
        (ip("10.0.0.9"), 17_000)
    );
    assert_eq!(core.view.myself().unwrap().address.ip, ip("10.0.0.1"));
    // Nobody answers there: after the node timeout it is given up.
    core.tick(NOW_MS + 15_001);
    assert_eq!(core.view.nodes.len(), 1);
}

#[test]
fn the_greater_epoch_owns_the_slot_and_the_other_is_told() {
    let mut core = core();
    reply(&mut core, Command::AddSlots(vec![(slot(0), slot(9))])).unwrap();
    reply(&mut core, Command::SetConfigEpoch(5)).unwrap();
    let link = met(&mut core, header(id(2), 0, &[]));
    // An outdated claim is corrected, once, by UPDATE.
    let actions = core.on_message(link, &ping(header(id(2), 3, &[0, 1])), NOW_MS);
    let frames: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { frame, .. } => Some(Message::decode(frame).unwrap().body),
            _ => None,
        })
        .collect();
    let update = Body::Update {
        config_epoch: 5,
        node: id(0x55),
        slots: (0..10).map(slot).collect(),
    };
    assert_eq!(frames.iter().filter(|body| **body == update).count(), 1);
    assert_eq!(owner(&core, 0), Some(id(0x55)));
    // A greater epoch takes the slot, and its keys must go.
    let actions = core.on_message(link, &ping(header(id(2), 8, &[0])), NOW_MS);
    assert!(
        actions
            .iter()
            .any(|a| matches!(a, Action::DropKeys(slots) if slots == &[slot(0)]))
    );
    assert_eq!(owner(&core, 0), Some(id(2)));
    assert_eq!(owner(&core, 1), Some(id(0x55)));
    assert_eq!(core.current_epoch, 8);
}

#[test]
fn what_an_owner_no_longer_claims_anybody_may_take() {
    let mut core = core();
    let link = met(&mut core, header(id(2), 9, &[4]));
    core.on_message(link, &ping(header(id(2), 9, &[4])), NOW_MS);
    assert_eq!(owner(&core, 4), Some(id(2)));
    // Given up, but nobody has taken it yet: where its keys were is still known.
    core.on_message(link, &ping(header(id(2), 9, &[])), NOW_MS);
    assert_eq!(owner(&core, 4), Some(id(2)));
    let other = GossipEntry {
        node: id(3),
        ping_sent_s: 0,
        pong_received_s: 0,
        ip: ip("10.0.0.3"),
        port: 7000,
        cport: 17_000,
        flags: NodeFlags::PRIMARY,
        other_port: 0,
    };
    let body = Body::Ping(Gossip {
        entries: vec![other],
        extensions: vec![Extension::Hostname("two.example")],
    });
    let header_of_2 = header(id(2), 9, &[]);
    core.on_message(
        link,
        &Message {
            header: header_of_2,
            body,
        },
        NOW_MS,
    );
    assert_eq!(core.view.node(id(2)).unwrap().hostname, "two.example");
    let inbound = core.accept(ip("10.0.0.3"), ip("10.0.0.1"), NOW_MS);
    core.on_message(inbound, &ping(header(id(3), 1, &[4])), NOW_MS);
    assert_eq!(owner(&core, 4), Some(id(3)));
}

#[test]
fn of_two_equal_epochs_the_smaller_name_takes_a_new_one() {
    for (other, own_epoch) in [(id(0x99), 7), (id(0x11), 6)] {
        let mut core = core();
        reply(&mut core, Command::SetConfigEpoch(6)).unwrap();
        let link = met(&mut core, header(other, 0, &[]));
        let actions = core.on_message(link, &ping(header(other, 6, &[])), NOW_MS);
        assert_eq!(core.view.myself().unwrap().config_epoch, own_epoch);
        // On disk before anybody hears of it.
        let saved = actions.iter().position(|action| {
            matches!(
                action,
                Action::Save {
                    must_be_durable: true
                }
            )
        });
        assert_eq!(saved.is_some(), own_epoch == 7);
        let told = actions.iter().position(|action| match action {
            Action::Send { frame, .. } => Message::decode(frame).unwrap().header.config_epoch == 7,
            _ => false,
        });
        assert!(saved <= told, "{saved:?} {told:?}");
        assert_eq!(told.is_some(), own_epoch == 7);
    }
}

#[test]
fn an_update_of_a_known_node_is_believed_if_it_is_newer() {
    let mut core = core();
    reply(&mut core, Command::AddSlots(vec![(slot(0), slot(1))])).unwrap();
    let link = met(&mut core, header(id(2), 2, &[]));
    let update = |config_epoch, node| Message {
        header: header(id(2), 2, &[]),
        body: Body::Update {
            config_epoch,
            node,
            slots: [slot(1)].into_iter().collect::<SlotSet>(),
        },
    };
    for (message, winner) in [
        (update(2, id(2)), id(0x55)),
        (update(9, id(7)), id(0x55)),
        (update(9, id(2)), id(2)),
    ] {
        core.on_message(link, &message, NOW_MS);
        assert_eq!(owner(&core, 1), Some(winner));
    }
    // A stranger is not believed.
    let stranger = core.accept(ip("10.0.0.9"), ip("10.0.0.1"), NOW_MS);
    let mut message = update(50, id(2));
    message.header = header(id(9), 50, &[]);
    core.on_message(stranger, &message, NOW_MS);
    assert_eq!(core.view.node(id(2)).unwrap().config_epoch, 9);
}

#[test]
fn who_does_not_answer_is_suspected_and_forgiven() {
    let mut core = core();
    let mut link = met(&mut core, header(id(2), 1, &[]));
    let flags = |core: &Core| core.view.node(id(2)).unwrap().flags;
    let mut now_ms = NOW_MS;
    while now_ms < NOW_MS + 40_000 && !flags(&core).any(NodeFlags::PFAIL.with(NodeFlags::FAIL)) {
        now_ms += TICK_MS;
        // The link that does not answer is dropped and dialled anew.
        let dialled = core.tick(now_ms).into_iter().find_map(|a| match a {
            Action::Dial { link, .. } => Some(link),
            _ => None,
        });
        link = dialled.unwrap_or(link);
    }
    let silent_ms = now_ms - NOW_MS;
    assert!((15_000..=30_000).contains(&silent_ms), "{silent_ms}");
    let inbound = core.accept(ip("10.0.0.2"), ip("10.0.0.1"), now_ms);
    assert!(!core.is_known(inbound));
    core.on_message(inbound, &ping(header(id(2), 1, &[])), now_ms);
    assert!(core.is_known(inbound));
    // Only a PONG on the link that we dialled clears it.
    assert!(flags(&core).any(NodeFlags::PFAIL.with(NodeFlags::FAIL)));
    let local = ip("10.0.0.1");
    core.on_link_event(link, LinkEvent::Connected { local }, now_ms);
    let pong = Message {
        header: header(id(2), 1, &[]),
        body: Body::Pong(Gossip::default()),
    };
    core.on_message(link, &pong, now_ms);
    core.tick(now_ms + 200);
    assert!(!flags(&core).any(NodeFlags::PFAIL.with(NodeFlags::FAIL)));
}

#[test]
fn another_node_at_a_known_address_is_not_taken_for_it() {
    let mut core = core();
    let link = met(&mut core, header(id(2), 1, &[]));
    let pong = Message {
        header: header(id(3), 1, &[]),
        body: Body::Pong(Gossip::default()),
    };
    let actions = core.on_message(link, &pong, NOW_MS);
    assert!(
        actions
            .iter()
            .any(|a| matches!(a, Action::Close { link: closed } if *closed == link))
    );
    assert!(core.view.node(id(2)).unwrap().flags.any(NodeFlags::NOADDR));
    assert!(core.view.node(id(3)).is_none());
}

#[test]
fn a_cluster_is_up_when_all_slots_are_owned() {
    let condition = |actions: Vec<Action>| {
        actions.into_iter().find_map(|a| match a {
            Action::SetCondition(condition) => Some(condition),
            _ => None,
        })
    };
    // A new node has nothing that the cluster could have given away.
    let mut core = core();
    let all = Command::AddSlots(vec![(slot(0), slot(16_383))]);
    let actions = core.on_command(Ticket(1), all, NOW_MS);
    assert_eq!(condition(actions), Some(Condition::Up));
    // One that comes back waits for what the others say.
    let conf = NodesConf::parse(core.nodes_conf().as_bytes()).unwrap();
    let mut core = Core::restore(Options::default(), &conf, 1, NOW_MS);
    assert_eq!(condition(core.start(NOW_MS)), Some(Condition::Down));
    let early = core.tick(NOW_MS + 1999);
    assert!(matches!(condition(early), None | Some(Condition::Down)));
    assert_eq!(condition(core.tick(NOW_MS + 2000)), Some(Condition::Up));
    let gap = Command::DelSlots(vec![(slot(3), slot(3))]);
    let actions = core.on_command(Ticket(1), gap, NOW_MS + 2000);
    assert_eq!(condition(actions), Some(Condition::Down));
    core.set_options(Options {
        allow_reads_when_down: true,
        ..Options::default()
    });
    assert_eq!(
        condition(core.tick(NOW_MS + 2100)),
        Some(Condition::ReadsOnly)
    );
    core.set_options(Options {
        require_full_coverage: false,
        ..Options::default()
    });
    assert_eq!(condition(core.tick(NOW_MS + 2200)), Some(Condition::Up));
}
