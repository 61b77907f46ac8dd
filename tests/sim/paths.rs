//! Casts that die while a group talks: noticed within a round of hellos, and covered until then.

use std::time::Duration;

use udpnode::address::{Cast, SegmentId};
use udpnode::event::Event;
use udpnode::node::{By, Cell};
use udpnode::time::Time;

use crate::check::{all_hold_the_same, all_met, owed};
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
    let id = |host: usize| world.hosts[host].node.as_ref().expect("runs").identity().id();
    let grid = world.hosts[of].node.as_ref().expect("runs").reach().grid(SegmentId(0));
    let at = |id| grid.nodes.iter().position(|node| node.id == id);
    match (at(id(from)), at(id(to))) {
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
        println!("{blocked}: {longest:?}");
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
