//! Whoever recorded the network and says it all again, to whom it likes and from forged addresses, changes nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use udpnode::address::{Cast, SegmentId};
use udpnode::event::Event;
use udpnode::node::Input;
use udpnode::wire::{Datagram, Message};

use crate::check::all_met;
use crate::net::Faults;
use crate::scenarios::{millis, secs, talk};
use crate::world::{Sent, World, seed_or};

/// A group in which much has happened, all of it recorded: the last host crashed, the one before it left.
fn recorded(nodes: usize, seed: u64, loss: f64) -> (World, Vec<Sent>) {
    let mut world = World::new(seed, Faults::rough(loss, 0.0, 1));
    world.tap = Some(Vec::new());
    for _ in 0..nodes {
        let host = world.add_host(&[0], |_| {});
        world.start(host);
    }
    assert!(world.run_until(secs(20), all_met).is_some());
    let all: Vec<_> = (0..nodes).collect();
    talk(&mut world, &all, 40, millis(20), seed);
    world.input(nodes - 2, Input::Command(udpnode::command::Command::Quit));
    world.run_for(secs(5));
    world.crash(nodes - 1);
    world.run_for(secs(30));
    let tape = world.tap.replace(Vec::new()).expect("put there above");
    (world, tape)
}

/// Says everything again to these hosts, each datagram to all of them, at the pace of a line.
fn replay(world: &mut World, tape: &[Sent], hosts: &[usize]) {
    for sent in tape {
        say_again(world, sent, hosts);
        world.run_for(millis(1));
    }
    world.run_for(secs(5));
}

/// Says a datagram again to these hosts.
fn say_again(world: &mut World, sent: &Sent, hosts: &[usize]) {
    let Sent { from, cast, bytes, .. } = sent;
    for &host in hosts {
        let input = Input::Datagram { segment: SegmentId(0), cast: *cast, from: *from, ttl: Some(1), bytes };
        world.input(host, input);
    }
}

fn told(world: &World) -> Vec<(usize, &Event)> {
    let all = world.hosts.iter().enumerate();
    all.flat_map(|(host, entry)| entry.events.iter().map(move |(_, event)| (host, event))).collect()
}

fn forget(world: &mut World) {
    world.hosts.iter_mut().for_each(|host| host.events.clear());
}

#[test]
fn a_recording_tells_nothing_to_those_who_were_there() {
    for (seed, loss) in [(1, 0.0), (2, 0.3)] {
        let (mut world, tape) = recorded(5, seed_or(seed), loss);
        forget(&mut world);
        assert!(tape.len() > 500, "{} datagrams", tape.len());
        replay(&mut world, &tape, &[0, 1, 2]);
        assert_eq!(told(&world), [], "loss {loss}");
    }
}

#[test]
fn a_recording_tells_nothing_to_those_who_started_anew() {
    let (mut world, tape) = recorded(5, seed_or(3), 0.0);
    (0..3).for_each(|host| world.crash(host));
    (0..3).for_each(|host| world.start(host));
    world.run_for(secs(5));
    forget(&mut world);
    replay(&mut world, &tape, &[0, 1, 2]);
    assert_eq!(told(&world), []);
}

#[test]
fn a_recording_tells_nothing_to_one_alone_and_draws_no_more_than_it_brings() {
    let (mut world, tape) = recorded(5, seed_or(4), 0.0);
    (0..5).for_each(|host| world.crash(host));
    let late = world.add_host(&[0], |_| {});
    world.start(late);
    world.run_for(secs(1));
    forget(&mut world);
    world.tap = Some(Vec::new());
    replay(&mut world, &tape, &[late]);
    assert_eq!(told(&world), []);
    let node = world.hosts[late].node.as_ref().expect("it runs");
    assert!(node.peers().next().is_none() && node.kept() == (0, 0), "nothing of it is kept");
    let mut drawn: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    for sent in world.tap.iter().flatten().filter(|sent| sent.host == late && sent.cast == Cast::Unicast) {
        *drawn.entry(sent.to).or_default() += sent.bytes.len();
    }
    assert!(!drawn.is_empty(), "they are challenged");
    for (victim, bytes) in drawn {
        let brought: usize = tape.iter().filter(|sent| sent.from == victim).map(|sent| sent.bytes.len()).sum();
        assert!(bytes <= brought, "{bytes} bytes to {victim} for {brought}");
    }
}

/// A copy of an entry is nobody's word: its author is told a few times how far everybody is, and then no more.
#[test]
fn entries_that_are_replayed_draw_few_confirmations() {
    let mut world = World::of(6, seed_or(6), Faults::NONE);
    world.tap = Some(Vec::new());
    assert!(world.run_until(secs(5), all_met).is_some());
    let all: Vec<_> = (0..6).collect();
    talk(&mut world, &all, 60, millis(20), seed_or(6));
    world.run_for(secs(5));
    let entries = |sent: &Sent| {
        let read = Datagram::parse(&sent.bytes);
        read.is_ok_and(|datagram| matches!(datagram.message(), Ok(Message::Entries(..))))
    };
    let tape: Vec<_> = world.tap.take().expect("put there above").into_iter().filter(entries).collect();
    let frontiers = |world: &World| -> u64 {
        all.iter().filter_map(|&host| world.hosts[host].node.as_ref()).map(|node| node.stats().frontiers).sum()
    };
    let before = frontiers(&world);
    for _ in 0..100 {
        tape.iter().for_each(|sent| say_again(&mut world, sent, &all));
        world.run_for(millis(50));
    }
    let drawn = frontiers(&world) - before;
    eprintln!("{} replays drew {drawn} confirmations", 100 * tape.len());
    assert!(drawn < 6 * 5 * 12 + 100, "{drawn}");
}

#[test]
fn where_no_unicast_gets_through_nodes_meet_by_cast_and_talk() {
    for nodes in [2, 5] {
        let faults = Faults { blocked: Cast::Unicast.bit(), ..Faults::NONE };
        let mut world = World::of(nodes, seed_or(5), faults);
        assert!(world.run_until(secs(10), all_met).is_some(), "{nodes} nodes");
        world.say(0, "said to all");
        world.run_for(secs(2));
        for host in 1..nodes {
            let heard =
                |event: &&Event| matches!(event, Event::Message(message) if message.text.as_str() == "said to all");
            assert_eq!(world.hosts[host].events.iter().map(|(_, event)| event).filter(heard).count(), 1, "n{host}");
        }
        world.run_for(secs(60));
        assert!(!told(&world).iter().any(|(_, event)| matches!(event, Event::Lost(..))), "{nodes} nodes");
    }
}
