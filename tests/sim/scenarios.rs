//! What must hold, each in a world of its own.

use std::time::Duration;

use udpnode::command::{CastChoice, Command};
use udpnode::event::{Event, Outcome};
use udpnode::node::{Input, Output};
use udpnode::rng::Rng;

use crate::check::{all_hold_the_same, all_met, count, owed, said, screen};
use crate::net::Faults;
use crate::world::{World, seed_or};

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Nodes speak in turn at random, `lines` lines in all, `gap` apart on average.
pub(crate) fn talk(world: &mut World, speakers: &[usize], lines: usize, gap: Duration, seed: u64) {
    let mut rng = Rng::new(seed);
    for line in 0..lines {
        let speaker = speakers[rng.below(speakers.len() as u64) as usize];
        world.say(speaker, &format!("line {line} of n{speaker}"));
        world.run_for(rng.within(gap * 2));
    }
}

#[test]
fn three_nodes_meet_within_a_second_and_talk() {
    for seed in 0..20 {
        let mut world = World::of(3, seed_or(seed), Faults::NONE);
        let met = world.run_until(secs(1), all_met);
        assert!(met.is_some(), "seed {seed}");
        world.say(0, "hello");
        world.run_for(millis(200));
        for host in [1, 2] {
            assert_eq!(screen(&world, host)["n0"], [(1, "hello".to_owned())], "seed {seed}");
        }
        let delivered = |event: &Event| matches!(event, Event::Delivered { seq: 1, confirmed: 2, online: 2 });
        assert_eq!(count(&world, 0, delivered), 1, "seed {seed}");
    }
}

#[test]
fn a_lost_first_hello_does_not_matter() {
    let mut world = World::of(2, seed_or(1), Faults { blocked: 7, ..Faults::NONE });
    world.run_for(secs(3));
    assert!(!all_met(&world));
    world.nets[0].heal();
    assert!(world.run_until(secs(4), all_met).is_some());
}

#[test]
fn fifty_nodes_at_thirty_percent_loss_lose_nothing() {
    let seed = seed_or(11);
    let mut world = World::of(50, seed, Faults::rough(0.3, 0.05, 3));
    assert!(world.run_until(secs(20), all_met).is_some(), "all meet");
    let hosts: Vec<_> = (0..50).collect();
    talk(&mut world, &hosts, 200, millis(10), seed);
    let took = world.run_until(secs(20), |world| owed(world, &hosts) == 0);
    assert!(took.is_some(), "{} lines are missing", owed(&world, &hosts));
    all_hold_the_same(&world, &hosts);
}

#[test]
fn many_seeds_small_groups_rough_networks() {
    for seed in seeds(40) {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(5) as usize;
        let faults = Faults::rough(rng.unit() * 0.3, rng.unit() * 0.2, 1 + rng.below(20));
        let mut world = World::of(count, seed, faults);
        assert!(world.run_until(secs(30), all_met).is_some(), "seed {seed}: all meet");
        let hosts: Vec<_> = (0..count).collect();
        talk(&mut world, &hosts, 60, millis(8), seed);
        let took = world.run_until(secs(20), |world| owed(world, &hosts) == 0);
        assert!(took.is_some(), "seed {seed}: {} lines are missing", owed(&world, &hosts));
        all_hold_the_same(&world, &hosts);
    }
}

/// The seeds of a sweep: one if it is given from outside.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("UDPNODE_SEED") {
        Ok(_) => vec![seed_or(0)],
        Err(_) => (0..count).collect(),
    }
}

#[test]
fn a_pipe_is_paced_to_the_slowest_and_its_lines_arrive_in_order() {
    let mut world = World::of(3, seed_or(5), Faults::NONE);
    let piped = world.add_host(&[0], |config| config.piped = true);
    world.start(piped);
    world.input(1, Input::Reader { ready: false });
    let mut left: Vec<_> = (0..2000).map(|n| format!("line {n} {}", "x".repeat(400))).rev().collect();
    world.input(piped, Input::Command(Command::LineWaiting));
    let mut said_when_blocked = None;
    for step in 0..2000 {
        while !left.is_empty() && world.hosts[piped].node.as_ref().is_some_and(|node| node.wants_line()) {
            world.say(piped, &left.pop().expect("not empty"));
        }
        if step == 1000 {
            said_when_blocked = Some(2000 - left.len());
            world.input(1, Input::Reader { ready: true });
        }
        world.run_for(millis(2));
    }
    let blocked_at = said_when_blocked.expect("the run is long enough");
    assert!((8..=512).contains(&blocked_at), "{blocked_at} lines went to one who does not read");
    assert!(left.is_empty(), "{} lines were never taken", left.len());
    world.input(piped, Input::Command(Command::EndOfInput));
    world.run_for(secs(6));
    assert_eq!(count(&world, piped, |event| *event == Event::Done(Outcome::Complete)), 1);
    let expected = said(&world, piped);
    for host in 0..3 {
        assert_eq!(screen(&world, host)["n3"], expected);
    }
}

#[test]
fn a_message_longer_than_a_datagram_arrives_whole() {
    let mut world = World::of(2, seed_or(3), Faults::rough(0.2, 0.1, 2));
    assert!(world.run_until(secs(10), all_met).is_some());
    let long: String = ('a'..='z').cycle().take(65_536).collect();
    world.say(0, &long);
    world.say(0, "after");
    assert!(world.run_until(secs(10), |world| owed(world, &[0, 1]) == 0).is_some());
    assert_eq!(screen(&world, 1)["n0"], [(1, long), (2, "after".to_owned())]);
}

#[test]
fn left_lost_and_back_are_three_different_events() {
    let mut world = World::of(3, seed_or(9), Faults::NONE);
    world.run_for(secs(1));
    world.input(1, Input::Command(Command::Quit));
    world.crash(2);
    world.run_for(secs(15));
    let events = |world: &World| {
        let of = |is: fn(&Event) -> bool| count(world, 0, is);
        (
            of(|e| matches!(e, Event::Left(..))),
            of(|e| matches!(e, Event::Lost(..))),
            of(|e| matches!(e, Event::Back(..))),
        )
    };
    assert_eq!(events(&world), (1, 1, 0));
    world.start(2);
    world.run_for(secs(1));
    assert_eq!(events(&world), (1, 1, 1));
}

#[test]
fn a_newcomer_is_shown_what_was_said_before_as_history() {
    let mut world = World::of(2, seed_or(21), Faults::rough(0.1, 0.0, 2));
    assert!(world.run_until(secs(10), all_met).is_some());
    for line in 0..80 {
        world.say(line % 2, &format!("old {line}"));
        world.run_for(millis(20));
    }
    world.run_for(secs(2));
    let late = world.add_host(&[0], |_| {});
    world.start(late);
    world.run_for(secs(6));
    world.say(0, "new");
    world.run_for(secs(2));
    let messages: Vec<_> = world.hosts[late]
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Message(message) => Some((message.history, message.text.to_string())),
            _ => None,
        })
        .collect();
    let expected: Vec<_> =
        (30..80).map(|line| (true, format!("old {line}"))).chain([(false, "new".to_owned())]).collect();
    assert_eq!(messages, expected);
}

#[test]
fn multicast_that_is_eaten_does_not_stop_the_talk() {
    for (blocked, name) in [(4, "multicast"), (6, "multicast and broadcast, from one to another")] {
        let mut world = World::of(3, seed_or(2), Faults::NONE);
        if blocked == 4 {
            world.nets[0].default.blocked = blocked;
        } else {
            world.nets[0].links.insert((0, 1), Faults { blocked, ..Faults::NONE });
        }
        assert!(world.run_until(secs(5), all_met).is_some(), "{name}");
        world.run_for(secs(3));
        let before = world.hosts[1].node.as_ref().map(|node| node.stats().nacks);
        talk(&mut world, &[0, 1, 2], 30, millis(20), 1);
        world.run_for(secs(1));
        all_hold_the_same(&world, &[0, 1, 2]);
        let after = world.hosts[1].node.as_ref().map(|node| node.stats().nacks);
        assert_eq!(before, after, "{name}: a cast that works was chosen, nothing had to be repaired");
    }
}

#[test]
fn every_cast_can_be_pinned() {
    for cast in [CastChoice::Multicast, CastChoice::Broadcast, CastChoice::Unicast] {
        let mut world = World::of(3, seed_or(2), Faults::NONE);
        for host in 0..3 {
            world.input(host, Input::Command(Command::Cast(cast)));
        }
        world.run_for(secs(1));
        talk(&mut world, &[0, 1, 2], 10, millis(20), 1);
        world.run_for(secs(1));
        all_hold_the_same(&world, &[0, 1, 2]);
    }
}

#[test]
fn a_node_with_a_foot_in_two_networks_is_heard_in_both_once() {
    let mut world = World::new(seed_or(4), Faults::NONE);
    world.add_net(Faults::NONE);
    for nets in [&[0][..], &[1], &[0, 1]] {
        let host = world.add_host(nets, |_| {});
        world.start(host);
    }
    world.run_for(secs(1));
    world.say(2, "to both sides");
    world.run_for(secs(1));
    for host in [0, 1] {
        assert_eq!(screen(&world, host)["n2"].len(), 1);
    }
}

#[test]
fn a_healed_partition_holds_the_same_everywhere() {
    let mut world = World::of(6, seed_or(8), Faults::NONE);
    world.run_for(secs(2));
    world.nets[0].partition(&[0, 1, 2], &[3, 4, 5]);
    let hosts: Vec<_> = (0..6).collect();
    for round in 0..40 {
        world.say(round % 6, &format!("apart {round}"));
        world.run_for(millis(500));
    }
    world.nets[0].heal();
    let took = world.run_until(secs(10), |world| owed(world, &hosts) == 0);
    assert!(took.is_some(), "{} lines are missing", owed(&world, &hosts));
    all_hold_the_same(&world, &hosts);
}

#[test]
fn a_quiet_group_is_quiet() {
    for count in [2, 32] {
        let mut world = World::of(count, seed_or(6), Faults::NONE);
        world.run_for(secs(20));
        let (casts, unicasts) = (world.casts, world.unicasts);
        world.run_for(secs(60));
        let per_second = (world.casts - casts) as f64 / 60.0;
        assert!(per_second <= 8.0, "{count} nodes cast {per_second} datagrams a second");
        assert!(world.unicasts - unicasts <= 60 * 5 * count as u64);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::of(8, seed, Faults::rough(0.2, 0.1, 10));
        world.run_for(secs(3));
        talk(&mut world, &[0, 3, 5], 30, millis(10), seed);
        world.run_for(secs(3));
        (world.trace_hash, world.casts, world.unicasts)
    };
    assert_eq!(run(42), run(42));
    assert_ne!(run(42).0, run(43).0);
}

#[test]
fn garbage_and_mutated_datagrams_change_nothing() {
    let mut world = World::of(2, seed_or(7), Faults::NONE);
    world.run_for(secs(1));
    world.say(1, "something to mutate");
    let mut rng = Rng::new(7);
    let mut samples: Vec<Vec<u8>> = vec![Vec::new(), vec![0xFF], b"plain text".to_vec()];
    let mut stranger = World::of(2, 99, Faults::NONE);
    stranger.run_for(millis(1));
    let mut buf = Vec::new();
    let node = stranger.hosts[0].node.as_mut().expect("runs");
    for second in 1..40u64 {
        node.handle_timeout(udpnode::time::Time::from_micros(second * 1_000_000));
        while let Some(output) = node.poll_output(&mut buf) {
            if matches!(output, Output::Send { .. }) {
                samples.push(buf.clone());
            }
        }
    }
    let before = world.hosts[0].events.len();
    for _ in 0..50_000 {
        let mut bytes = samples[rng.below(samples.len() as u64) as usize].clone();
        for _ in 0..=rng.below(4) {
            match rng.below(4) {
                0 if !bytes.is_empty() => bytes.truncate(rng.below(bytes.len() as u64) as usize),
                1 => bytes.push(rng.next_u64() as u8),
                _ if !bytes.is_empty() => {
                    let at = rng.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << rng.below(8);
                }
                _ => {}
            }
        }
        if samples.contains(&bytes) {
            continue;
        }
        let (segment, cast) = (udpnode::address::SegmentId(0), udpnode::address::Cast::Multicast);
        let from = "10.0.9.9:5009".parse().expect("an address");
        world.input(0, Input::Datagram { segment, cast, from, ttl: None, bytes: &bytes });
    }
    let told = &world.hosts[0].events[before..];
    let plain = told.iter().filter(|(_, event)| matches!(event, Event::Plain { .. })).count();
    let warned = told.iter().filter(|(_, event)| matches!(event, Event::Warning(_))).count();
    assert_eq!(told.len(), plain + warned, "{told:?}");
    assert!(plain <= 60 && warned <= 2, "what is shown of garbage is bounded: {plain} and {warned}");
    world.run_for(secs(2));
    world.say(0, "still here");
    world.run_for(secs(1));
    assert_eq!(screen(&world, 1)["n0"].len(), 1);
}
