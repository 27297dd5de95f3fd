//! The cluster's state machine, many nodes in virtual time, from seeds that replay exactly.
//!
//! `SIM_SEED=n` runs one seed, `SIM_SEEDS=n` runs that many.
#![cfg(test)]

mod world;

use slotilla_common::ids::NodeId;
use slotilla_common::slot::Slot;
use slotilla_node::cluster::Command;
use slotilla_node::cluster::nodes_conf::NodesConf;
use slotilla_node::cluster::routing::{Condition, Serving};
use std::collections::BTreeMap;
use std::sync::Arc;
use world::{Machine, Weather, World};

/// The seeds to run: as many as the caller asks for, else a few.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..3,
    }
}

fn range(start: u64, end: u64) -> (Slot, Slot) {
    let slot = |n| Slot::from_wire(n).unwrap();
    (slot(start), slot(end))
}

/// Shares all slots out among the first `primaries` machines.
fn share_slots(world: &mut World, primaries: usize) {
    let count = u64::from(Slot::COUNT);
    for index in 0..primaries {
        let bound = |i: usize| count * i as u64 / primaries as u64;
        let slots = range(bound(index), bound(index + 1) - 1);
        world.command(index, Command::AddSlots(vec![slots]));
        world.command(index, Command::SetConfigEpoch(index as i64 + 1));
    }
}

fn running(world: &World) -> impl Iterator<Item = &Machine> {
    world.machines.iter().filter(|m| m.core.is_some())
}

/// Every running machine knows all, takes the cluster for up, and agrees on every owner.
fn all_agree(world: &World) -> bool {
    let owners = |machine: &Machine| {
        let nodes = machine.view.nodes.iter();
        let owners = nodes.map(|node| (node.id, Arc::clone(&node.slots)));
        owners.collect::<BTreeMap<_, _>>()
    };
    let is_whole = |machine: &Machine| {
        machine.condition == Condition::Up
            && machine.view.nodes.len() == world.machines.len()
            && machine.view.nodes.iter().all(|node| node.is_linked)
            && machine.view.slot_health()[0] == usize::from(Slot::COUNT)
    };
    running(world).all(is_whole) && {
        let first = owners(running(world).next().unwrap());
        running(world).all(|machine| owners(machine) == first)
    }
}

/// Each slot is served by exactly one machine.
fn each_slot_has_one_server(world: &World) -> bool {
    let mut servers = vec![0; usize::from(Slot::COUNT)];
    for machine in running(world) {
        for (count, serving) in servers.iter_mut().zip(&machine.serving) {
            *count += i32::from(*serving == Serving::Ours);
        }
    }
    servers.iter().all(|count| *count == 1)
}

fn form(world: &mut World, primaries: usize) {
    share_slots(world, primaries);
    for index in 1..world.machines.len() {
        world.meet(index, 0);
    }
    world.wait_ms(60_000, "one cluster", all_agree);
    assert!(each_slot_has_one_server(world), "seed {}", world.seed);
}

#[test]
fn all_meet_and_agree() {
    for seed in seeds() {
        for (machines, primaries) in [(2, 1), (3, 3), (7, 5), (20, 8)] {
            let mut world = World::new(seed, machines, Weather::FINE);
            form(&mut world, primaries);
        }
    }
}

#[test]
fn a_new_cluster_of_fine_weather_is_up_within_seconds() {
    let mut world = World::new(1, 3, Weather::FINE);
    share_slots(&mut world, 3);
    world.meet(1, 0);
    world.meet(2, 0);
    world.wait_ms(4000, "one cluster", all_agree);
}

#[test]
fn foul_weather_only_delays() {
    for seed in seeds() {
        let mut world = World::new(seed, 8, Weather::FOUL);
        form(&mut world, 4);
    }
}

#[test]
fn a_run_replays_from_its_seed() {
    let trace = |seed| {
        let mut world = World::new(seed, 6, Weather::FOUL);
        share_slots(&mut world, 3);
        for index in 1..6 {
            world.meet(index, 0);
        }
        world.run_ms(20_000);
        let confs = world.machines.iter().map(|m| m.disk.clone().unwrap());
        confs.collect::<Vec<_>>()
    };
    assert_eq!(trace(42), trace(42));
    assert_ne!(trace(42), trace(43));
}

#[test]
fn conflicting_claims_end_with_one_owner() {
    for seed in seeds() {
        for weather in [Weather::FINE, Weather::FOUL] {
            let mut world = World::new(seed, 5, weather);
            // Two shares overlap, all epochs are equal, and nobody knows anybody.
            for (index, slots) in [range(0, 9000), range(6000, 16_383), range(100, 200)]
                .into_iter()
                .enumerate()
            {
                world.command(index, Command::AddSlots(vec![slots]));
            }
            for index in 1..5 {
                world.meet(index, 0);
            }
            world.wait_ms(120_000, "one owner of each slot", |world| {
                all_agree(world) && each_slot_has_one_server(world)
            });
            let mut epochs: Vec<u64> = (0..3)
                .map(|index| {
                    let view = &world.machines[index].view;
                    view.myself().unwrap().config_epoch
                })
                .collect();
            epochs.sort_unstable();
            epochs.dedup();
            assert_eq!(epochs.len(), 3, "seed {seed}: primaries share an epoch");
        }
    }
}

#[test]
fn a_crash_loses_nothing_that_was_told() {
    for seed in seeds() {
        let mut world = World::new(seed, 5, Weather::FOUL);
        form(&mut world, 5);
        for round in 0..10u64 {
            let victim = usize::try_from((seed + round) % 5).unwrap();
            let before = world.core(victim).slots_of(world.id(victim));
            // A claim that is answered is on disk, whenever the crash comes.
            let bump = world.command(victim, Command::BumpEpoch);
            world.run_ms(i64::try_from(round * 40).unwrap());
            let answered = world.machines[victim].replies.contains_key(&bump);
            let epoch = world.core(victim).nodes_conf();
            let epoch = NodesConf::parse(epoch.as_bytes()).unwrap().current_epoch;
            world.crash(victim);
            world.run_ms(500);
            world.start(victim);
            assert_eq!(
                world.core(victim).slots_of(world.id(victim)),
                before,
                "seed {seed}: slots survive"
            );
            if answered {
                let now = world.machines[victim].view.current_epoch;
                assert!(now >= epoch, "seed {seed}: {now} after {epoch} was told");
            }
            world.wait_ms(60_000, "whole again", all_agree);
        }
        assert!(each_slot_has_one_server(&world), "seed {seed}");
    }
}

#[test]
fn a_minority_takes_itself_down_and_comes_back() {
    for seed in seeds() {
        let mut world = World::new(seed, 5, Weather::FINE);
        form(&mut world, 5);
        world.groups = vec![0, 0, 0, 1, 1];
        world.wait_ms(10_000, "down in the minority", |world| {
            let is_down = |index: usize| world.machines[index].condition == Condition::Down;
            is_down(3) && is_down(4)
        });
        // The majority's agreement is FAIL, which it tells all; slots of failing nodes are not
        // covered, so by default it is down as well.
        world.wait_ms(10_000, "agreed by the majority", |world| {
            let info = world.machines[0].view.slot_health();
            info[3] > 0 && world.machines[0].condition == Condition::Down
        });
        world.groups = vec![0; 5];
        world.wait_ms(30_000, "whole again", all_agree);
    }
}

#[test]
fn forgotten_nodes_stay_forgotten_for_a_minute() {
    let mut world = World::new(3, 4, Weather::FINE);
    form(&mut world, 3);
    let leaver = world.id(3);
    for index in 0..3 {
        let command = Command::Forget(leaver.as_bytes().to_vec());
        world.command(index, command);
    }
    world.crash(3);
    world.run_ms(50_000);
    for index in 0..3 {
        assert!(world.machines[index].view.node(leaver).is_none());
        assert_eq!(world.machines[index].condition, Condition::Up);
    }
}

#[test]
fn a_node_that_is_reset_is_a_new_one() {
    let mut world = World::new(4, 3, Weather::FINE);
    form(&mut world, 2);
    let old = world.id(2);
    let new_id = NodeId::from_random([7; 20]);
    let command = Command::Reset {
        new_id: Some(new_id),
    };
    world.command(2, command);
    assert_eq!(world.core(2).id(), new_id);
    assert_eq!(world.machines[2].view.nodes.len(), 1);
    for index in 0..2 {
        world.command(index, Command::Forget(old.as_bytes().to_vec()));
    }
    world.meet(2, 0);
    world.wait_ms(20_000, "one cluster again", all_agree);
}

#[test]
fn rubbish_changes_nothing() {
    let mut world = World::new(5, 3, Weather::FINE);
    form(&mut world, 3);
    let before = world.core(0).nodes_conf();
    let before = NodesConf::parse(before.as_bytes()).unwrap();
    let mut rng = fastrand::Rng::with_seed(5);
    for len in 0..3000 {
        let mut frame: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        world.shout(0, &frame);
        for (place, byte) in frame.iter_mut().zip(b"RCmb") {
            *place = *byte;
        }
        if let Some(place) = frame.get_mut(4..8) {
            place.copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        }
        world.shout(0, &frame);
    }
    let after = world.core(0).nodes_conf();
    let after = NodesConf::parse(after.as_bytes()).unwrap();
    assert_eq!(before, after);
    assert!(all_agree(&world));
}
