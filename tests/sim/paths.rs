//! Casts that die while a group talks: noticed within a round of hellos, and covered until then.

use std::time::Duration;

use udpnode::address::{Cast, Errand, SegmentId};
use udpnode::event::Event;
use udpnode::node::{By, Cell, Known, Node, Way, WhyState};
use udpnode::time::Time;

use crate::check::{all_hold_the_same, all_met, count, owed};
use crate::net::Faults;
use crate::scenarios::{millis, secs};
use crate::world::{World, seed_or};

const U: u8 = By::Unicast.bit();
const B: u8 = By::Broadcast.bit();
const M: u8 = By::Multicast.bit();

/// Blocks casts from one to another.
fn block(world: &mut World, from: usize, to: usize, casts: u8) {
    world.nets[0].links.insert((from, to), Faults { blocked: casts, ..Faults::NONE });
}

/// What `of` says there is between two, as far as it knows.
fn cell(world: &World, of: usize, from: usize, to: usize) -> Cell {
    let grid = world.hosts[of].node.as_ref().expect("runs").reach().grid(SegmentId(0));
    let at = |host| grid.nodes.iter().position(|node| node.name.nick.as_str() == format!("n{host}"));
    match (at(from), at(to)) {
        (Some(row), Some(column)) => grid.cells[row][column],
        _ => Cell::Unknown,
    }
}

fn hears(world: &World, of: usize, from: usize, to: usize) -> u8 {
    if let Cell::Heard(casts) = cell(world, of, from, to) { casts } else { 0 }
}

/// `from` says a line each 20 ms for so long.
fn talk(world: &mut World, from: usize, span: Duration) {
    for line in 0..span.as_millis() / 20 {
        world.say(from, &format!("line {line} at {}", world.now));
        world.run_for(millis(20));
    }
}

/// How long it took from saying to showing, at worst, of what `from` said since then.
fn longest(world: &World, from: usize, to: usize, since: Time) -> Duration {
    let said = world.hosts[from].events.iter().filter_map(|(at, event)| match event {
        Event::Sent { text, .. } if *at >= since => Some((*at, text.clone())),
        _ => None,
    });
    let shown = |text: &udpnode::text::Line| {
        let found = world.hosts[to].events.iter().find_map(|(at, event)| match event {
            Event::Message(message) if message.text == *text => Some(*at),
            _ => None,
        });
        found.expect("shown")
    };
    said.map(|(at, text)| shown(&text).since(at)).max().unwrap_or_default()
}

/// Copies by unicast and casts that one more line takes.
fn cost_of_a_line(world: &mut World, host: usize) -> Vec<Cast> {
    world.tap = Some(Vec::new());
    world.say(host, "what does it take?");
    let sent = world.tap.take().expect("tapped").into_iter().filter(|sent| sent.host == host);
    let casts = sent.map(|sent| sent.cast).collect();
    world.run_for(millis(300));
    casts
}

fn five() -> World {
    let mut world = World::of(5, seed_or(91), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(20));
    world
}

#[test]
fn multicast_that_dies_while_all_talk_is_left_for_broadcast_and_broadcast_for_a_copy() {
    let mut world = five();
    assert_eq!(hears(&world, 0, 0, 2) & (B | M), B | M);
    assert_eq!(cost_of_a_line(&mut world, 0), [Cast::Multicast]);
    for (blocked, left, cost) in [(M, B, vec![Cast::Broadcast]), (M | B, U, vec![Cast::Multicast, Cast::Unicast])] {
        let since = world.now;
        block(&mut world, 0, 2, blocked);
        talk(&mut world, 0, secs(4));
        assert_eq!(hears(&world, 0, 0, 2) & (B | M), left & (B | M), "{blocked}: noticed in two periods");
        assert_eq!(cost_of_a_line(&mut world, 0), cost, "{blocked}: and the others are served as before");
        world.run_for(secs(3));
        assert_eq!(owed(&world, &[0, 1, 2, 3, 4]), 0);
        let longest = longest(&world, 0, 2, since);
        assert!(longest < millis(500), "{blocked}: a line took {longest:?}");
        for of in [0, 1, 2] {
            assert_eq!(hears(&world, of, 0, 2) & left, left, "{blocked}: n{of} knows how n2 hears n0");
            assert_eq!(hears(&world, of, 2, 0) & (B | M), B | M, "{blocked}: and that n0 hears n2");
        }
    }
    world.nets[0].heal();
    world.run_for(secs(5));
    assert_eq!(cost_of_a_line(&mut world, 0), [Cast::Multicast], "and back when it is mended");
    all_hold_the_same(&world, &[0, 1, 2, 3, 4]);
}

#[test]
fn in_a_large_group_everybody_learns_in_turn_how_it_is_heard() {
    let mut world = World::of(40, seed_or(92), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    // Two hellos of 20 s tell all; none may be taken for the whole truth.
    for _ in 0..12 {
        world.run_for(secs(10));
        let copies = cost_of_a_line(&mut world, 3);
        assert_eq!(copies, [Cast::Multicast], "nobody is thought to be deaf");
    }
    let node = world.hosts[7].node.as_ref().expect("runs");
    let grid = node.reach().grid(SegmentId(0));
    assert_eq!((grid.nodes.len(), grid.nodes[0].known), (40, Known::Ourselves));
    let heard =
        grid.cells.iter().flatten().filter(|cell| matches!(cell, Cell::Heard(casts) if casts & (B | M) == B | M));
    assert_eq!(heard.count(), 40 * 39, "all hear all");
    assert!(node.peers().all(|peer| peer.hears.is_some_and(|hears| hears & (B | M) == B | M)));
}

#[test]
fn what_a_silent_peer_said_is_not_believed_for_ever() {
    let mut world = World::of(3, seed_or(93), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(5));
    let hears = |world: &World| {
        let node: &Node = world.hosts[0].node.as_ref().expect("runs");
        node.peers().map(|peer| peer.hears).collect::<Vec<_>>()
    };
    assert!(hears(&world).iter().all(Option::is_some));
    assert!(matches!(cell(&world, 0, 1, 2), Cell::Heard(_)));
    world.crash(1);
    world.crash(2);
    world.run_for(Duration::from_millis(7_000));
    assert_eq!(hears(&world), [None, None]);
    assert_eq!(cell(&world, 0, 1, 2), Cell::Unknown, "nor what it said of others");
}

#[test]
fn hops_are_counted_and_who_is_beyond_a_relay_is_explained() {
    let mut world = World::new(seed_or(94), Faults::NONE);
    world.nets[0].hops = 1;
    world.add_net(Faults::NONE);
    for nets in [&[0][..], &[0, 1], &[1]] {
        let host = world.add_host(nets, |_| {});
        world.start(host);
    }
    world.run_for(secs(5));
    let node = |world: &World, host: usize| world.hosts[host].node.as_ref().map(Node::reach).expect("runs");
    for host in [0, 1] {
        let reach = node(&world, host);
        let over = |cast, segment| reach.links.iter().find(move |link| link.by == cast && link.segment == segment);
        let multicast = over(By::Multicast, SegmentId(0)).expect("heard");
        assert_eq!((multicast.ttl_sent, multicast.ttl_left, multicast.hops()), (Some(2), Some(1), Some(1)), "{host}");
        assert_eq!(over(By::Broadcast, SegmentId(0)).and_then(|link| link.hops()), Some(1));
    }
    let near = node(&world, 2).links.iter().find(|link| link.by == By::Multicast).and_then(|link| link.hops());
    assert_eq!(near, Some(0), "on the other side there is no router");

    world.say(2, "from beyond");
    world.run_for(secs(1));
    let ours = world.hosts[0].node.as_ref().expect("runs");
    let said = world.hosts[0].events.iter().find(|(_, event)| matches!(event, Event::Message(_))).expect("heard");
    let route = ours.route(&said.1).expect("a message");
    assert_eq!(route.via.map(|name| name.nick.to_string()).as_deref(), Some("n1"));
    assert_eq!((route.arrival.errand, route.hops, route.arrival.ttl), (Errand::Relay, Some(1), Some(1)));
    let why = ours.why("n2").expect("known by its words");
    assert_eq!(why.state, WhyState::Beyond);
    assert!(matches!(&why.way, Way::Relay(Some(by)) if by.nick.as_str() == "n1"), "{:?}", why.way);
    let why = ours.why("n1").expect("here");
    assert!(matches!(why.way, Way::Cast(_, Cast::Multicast, _)) && why.paths[0].best, "{why:?}");
    assert!(ours.why("nobody").is_err());
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Message(_))), 1);
}

#[test]
fn multicast_that_does_not_reach_far_enough_is_not_taken() {
    let mut world = World::new(seed_or(95), Faults::NONE);
    world.nets[0].hops = 2;
    for _ in 0..3 {
        let host = world.add_host(&[0], |_| {});
        world.start(host);
    }
    assert!(world.run_until(secs(5), all_met).is_some(), "by broadcast, which goes further here");
    world.run_for(secs(5));
    assert_eq!(hears(&world, 0, 1, 0) & (B | M), B);
    assert_eq!(cost_of_a_line(&mut world, 0), [Cast::Broadcast]);
}

#[test]
fn who_sends_by_a_cast_that_is_not_heard_any_more_is_told_at_once() {
    let mut world = World::of(40, seed_or(96), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(200));
    block(&mut world, 0, 2, M);
    let noticed = world.run_until(secs(60), |world| hears(world, 2, 0, 2) & M == 0);
    assert!(noticed.is_some(), "with the next round, at most 25 s later");
    world.run_for(millis(500));
    assert_eq!(hears(&world, 0, 0, 2) & (B | M), B, "long before n2 says hello again");
}

#[test]
fn who_is_heard_by_cast_again_is_told_before_it_is_its_turn_among_all() {
    // Three hellos of each, 32 s apart, tell of all.
    const NODES: usize = 64;
    let mut world = World::trusting(NODES, seed_or(97), Faults::NONE);
    assert!(world.run_until(secs(10), all_met).is_some());
    (1..NODES).for_each(|host| block(&mut world, 0, host, B | M));
    let heard_by = |world: &World| (1..NODES).filter(|&host| hears(world, 0, 0, host) & (B | M) != 0).count();
    world.run_for(secs(200));
    assert_eq!(heard_by(&world), 0, "no cast of n0 is heard, and it knows");
    world.nets[0].links.clear();
    // One hello of n0, and a period and a half.
    world.run_for(secs(90));
    assert_eq!(heard_by(&world), NODES - 1, "nor does it take longer until it knows better");
}
