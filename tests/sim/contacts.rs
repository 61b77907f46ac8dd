//! Networks that no cast connects: one greeting by unicast makes one room of them.

use std::net::SocketAddr;
use std::time::Duration;

use udpnode::address::{Cast, SegmentId};
use udpnode::event::Event;
use udpnode::node::{Input, SegmentChange};

use crate::check::{all_hold_the_same, all_met, count, owed};
use crate::net::Faults;
use crate::scenarios::{millis, secs, talk};
use crate::world::{World, seed_or};

/// Two networks behind a router that lets no cast pass: the hosts up to `left`, and the others.
fn divided(left: usize, hosts: usize, seed: u64, loss: f64) -> World {
    let mut world = World::new(seed_or(seed), Faults::rough(loss, 0.0, 1));
    for _ in 0..hosts {
        world.add_host(&[0], |_| {});
    }
    for (a, b) in (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b))) {
        if (a < left) != (b < left) {
            let blocked = Cast::Broadcast.bit() | Cast::Multicast.bit();
            world.nets[0].links.insert((a, b), Faults { blocked, ..Faults::rough(loss, 0.0, 1) });
        }
    }
    world
}

fn address(world: &World, host: usize) -> SocketAddr {
    world.hosts[host].places[0].1
}

fn start_all(world: &mut World) {
    for host in 0..world.hosts.len() {
        world.start(host);
    }
}

fn counted(world: &World, name: &str) -> u64 {
    let nodes = world.hosts.iter().filter_map(|host| host.node.as_ref());
    nodes.flat_map(|node| node.stats().iter()).filter(|(counter, _)| *counter == name).map(|(_, n)| n).sum()
}

#[test]
fn beyond_a_router_nobody_passes_on_what_all_hear_themselves() {
    let mut world = divided(6, 12, 62, 0.0);
    // Nobody knows by an address who is on its link.
    world.prefix_len = 32;
    let beyond = address(&world, 11);
    world.hosts[0].config.static_peers = vec![beyond];
    start_all(&mut world);
    assert!(world.run_until(secs(30), all_met).is_some());
    world.run_for(secs(5));
    let all: Vec<_> = (0..12).collect();
    let before = counted(&world, "relayed");
    talk(&mut world, &all, 24, millis(50), 1);
    world.run_for(secs(3));
    assert_eq!((owed(&world, &all), counted(&world, "relayed") - before), (0, 0));
}

#[test]
fn one_peer_that_is_named_joins_two_networks() {
    for (hosts, loss, limit) in [(6, 0.0, 12), (6, 0.2, 25), (24, 0.0, 60)] {
        let mut world = divided(hosts / 2, hosts, 61, loss);
        let beyond = address(&world, hosts - 1);
        world.hosts[0].config.static_peers = vec![beyond];
        start_all(&mut world);
        let took = world.run_until(secs(limit), all_met);
        assert!(took.is_some(), "{hosts} hosts, loss {loss}: not all met within {limit} s");
        let all: Vec<_> = (0..hosts).collect();
        talk(&mut world, &all, 10, millis(50), 1);
        world.run_until(secs(20), |world| owed(world, &all) == 0);
        assert_eq!(owed(&world, &all), 0);
        all_hold_the_same(&world, &all);
        assert_eq!((0..hosts).map(|host| count(&world, host, |e| matches!(e, Event::Lost(..)))).sum::<usize>(), 0);
    }
}

#[test]
fn when_the_one_that_joined_them_is_gone_the_others_stay_together() {
    let mut world = divided(3, 6, 62, 0.0);
    let beyond = address(&world, 5);
    world.hosts[0].config.static_peers = vec![beyond];
    start_all(&mut world);
    assert!(world.run_until(secs(12), all_met).is_some());
    world.crash(0);
    world.run_for(secs(30));
    let rest = [1, 2, 3, 4, 5];
    talk(&mut world, &rest, 10, millis(50), 1);
    world.run_until(secs(10), |world| owed(world, &rest) == 0);
    for host in rest {
        assert_eq!(count(&world, host, |e| matches!(e, Event::Lost(..))), 1, "n{host} lost but the one");
    }
}

#[test]
fn when_the_router_is_back_both_sides_find_each_other_again() {
    for away in [60, 900] {
        let mut world = divided(3, 6, 67, 0.0);
        let beyond = address(&world, 5);
        world.hosts[0].config.static_peers = vec![beyond];
        start_all(&mut world);
        assert!(world.run_until(secs(12), all_met).is_some());
        // Nobody who named anybody is left.
        world.crash(0);
        let before = world.nets[0].links.clone();
        world.nets[0].partition(&[0, 1, 2], &[3, 4, 5]);
        world.run_for(secs(away));
        world.nets[0].links = before;
        let together = |world: &World| {
            let met =
                |host: usize| world.hosts[host].node.as_ref().map_or(0, |n| n.peers().filter(|p| p.online).count());
            (1..6).all(|host| met(host) == 4)
        };
        assert!(world.run_until(secs(away.min(300) + 15), together).is_some(), "after {away} s");
    }
}

/// Two beyond a router, and one alone here who names whom it is told.
fn one_and_two(names: impl Fn(&World) -> Vec<SocketAddr>, named_by: usize, seed: u64) -> World {
    let mut world = divided(1, 3, seed, 0.0);
    world.hosts[named_by].config.static_peers = names(&world);
    start_all(&mut world);
    assert!(world.run_until(secs(20), all_met).is_some());
    world
}

#[test]
fn who_lost_all_beyond_the_router_at_once_finds_them_when_they_are_back() {
    let mut world = one_and_two(|world| vec![address(world, 1), address(world, 2)], 0, 68);
    world.crash(1);
    world.crash(2);
    world.run_for(secs(60));
    assert_eq!(count(&world, 0, |e| matches!(e, Event::Disconnected(2))), 1);
    world.start(1);
    world.start(2);
    // They know nothing of the one.
    let joined = |world: &World, host| count(world, host, |e| matches!(e, Event::Joined(..))) == 4;
    let together = |world: &World| count(world, 0, |e| matches!(e, Event::Connected)) == 1 && joined(world, 1);
    assert!(world.run_until(secs(30), together).is_some());
}

#[test]
fn who_has_another_address_finds_those_beyond_the_router() {
    let mut world = one_and_two(|world| vec![address(world, 0)], 1, 69);
    world.input(0, Input::Segment(SegmentChange::Down(SegmentId(0))));
    world.move_to(0, 0, SocketAddr::from(([10, 0, 9, 9], 5009)));
    world.run_for(secs(20));
    world.segment_up(0, 0);
    let together = |world: &World| {
        let met = |host: usize| {
            let online = |node: &udpnode::node::Node| node.peers().filter(|peer| peer.online).count();
            world.hosts[host].node.as_ref().map_or(0, online)
        };
        count(world, 0, |e| matches!(e, Event::Connected)) == 1 && (0..3).all(|host| met(host) == 2)
    };
    assert!(world.run_until(secs(60), together).is_some());
}

#[test]
fn who_ends_while_we_are_unplugged_is_missed_when_we_are_not() {
    let mut world = World::of(2, seed_or(70), Faults::NONE);
    assert!(world.run_until(secs(10), all_met).is_some());
    world.run_for(secs(20));
    world.nets[0].partition(&[0], &[1]);
    world.input(0, Input::Segment(SegmentChange::Down(SegmentId(0))));
    world.run_for(secs(60));
    world.crash(1);
    world.segment_up(0, 0);
    let lost = |world: &World| count(world, 0, |e| matches!(e, Event::Lost(..))) == 1;
    assert!(world.run_until(secs(30), lost).is_some());
}

#[test]
fn a_later_run_finds_those_that_an_earlier_one_remembers() {
    let mut world = divided(3, 6, 63, 0.0);
    let beyond = address(&world, 5);
    world.hosts[0].config.static_peers = vec![beyond];
    start_all(&mut world);
    assert!(world.run_until(secs(12), all_met).is_some());
    let remembered = world.hosts[1].node.as_ref().expect("it runs").peers_to_remember();
    assert_eq!(remembered, [3, 4, 5].map(|host| address(&world, host)), "those beyond, and nobody near");
    // Everybody left of the router starts anew, and none names anybody.
    for host in 0..3 {
        world.crash(host);
        world.hosts[host].config.static_peers.clear();
    }
    world.run_for(secs(60));
    world.hosts[1].config.remembered_peers = remembered;
    for host in 0..3 {
        world.start(host);
    }
    let rejoined = |world: &World| {
        let met =
            |host: usize| world.hosts[host].node.as_ref().map_or(0, |node| node.peers().filter(|p| p.online).count());
        (0..6).all(|host| met(host) == 5)
    };
    assert!(world.run_until(secs(12), rejoined).is_some(), "one that remembers is enough");
}

#[test]
fn who_is_remembered_and_gone_costs_little() {
    let mut world = World::new(seed_or(64), Faults::NONE);
    let gone: Vec<SocketAddr> = (1..=64).map(|n| SocketAddr::from(([10, 9, 9, n], 5000))).collect();
    let host = world.add_host(&[0], |config| config.remembered_peers = gone.clone());
    world.start(host);
    let sent = |world: &World| world.hosts[0].node.as_ref().map_or(0, |node| node.stats().sent - node.stats().casts);
    world.run_for(secs(600));
    let first = sent(&world);
    assert!((64..=64 * 12).contains(&first), "{first} greetings in ten minutes");
    world.run_for(secs(3600));
    assert!(sent(&world) - first <= 64 * 13, "{} in an hour", sent(&world) - first);
}

#[test]
fn where_casts_reach_everybody_nobody_asks_for_anybody() {
    let mut world = World::of(32, seed_or(65), Faults::NONE);
    world.run_for(secs(60));
    assert!(all_met(&world));
    assert_eq!(counted(&world, "seeks"), 0);
    // And with loss hardly ever.
    let mut world = World::of(32, seed_or(66), Faults::rough(0.2, 0.0, 1));
    world.run_for(Duration::from_secs(60));
    assert!(counted(&world, "seeks") <= 64, "{} questions", counted(&world, "seeks"));
}
