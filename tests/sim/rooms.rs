//! Many networks, one room: relaying, and history from whoever has it.

use udpnode::event::Event;

use crate::check::{all_hold_the_same, all_met, count, owed, screen};
use crate::net::Faults;
use crate::scenarios::{millis, secs, talk};
use crate::world::{World, seed_or};

#[test]
fn a_chain_of_networks_is_one_room() {
    for loss in [0.0, 0.2] {
        let mut world = World::new(seed_or(41), Faults::rough(loss, 0.0, 1));
        for _ in 0..2 {
            world.add_net(Faults::rough(loss, 0.0, 1));
        }
        for nets in [&[0][..], &[0, 1], &[1, 2], &[2]] {
            let host = world.add_host(nets, |_| {});
            world.start(host);
        }
        world.run_for(secs(6));
        let hosts = [0, 1, 2, 3];
        talk(&mut world, &hosts, 100, millis(20), 1);
        if loss == 0.0 {
            // Passed on at once, not found lacking later.
            world.run_for(millis(60));
            assert_eq!(owed(&world, &hosts), 0, "lines are late");
        }
        let took = world.run_until(secs(20), |world| owed(world, &hosts) == 0);
        assert!(took.is_some(), "loss {loss}: {} lines are missing", owed(&world, &hosts));
        all_hold_the_same(&world, &hosts);
    }
}

#[test]
fn what_is_said_beyond_a_relay_while_one_joins_is_news() {
    let mut world = World::new(seed_or(42), Faults::NONE);
    world.add_net(Faults::NONE);
    for nets in [&[0][..], &[0, 1], &[1]] {
        let host = world.add_host(nets, |_| {});
        world.start(host);
    }
    world.run_for(millis(5));
    talk(&mut world, &[0, 1, 2], 30, millis(20), 1);
    world.run_for(secs(5));
    all_hold_the_same(&world, &[0, 1, 2]);
    for host in 0..3 {
        let past = count(&world, host, |event| matches!(event, Event::Message(message) if message.history));
        assert_eq!(past, 0, "n{host} was there when it was said");
    }
}

#[test]
fn a_ring_of_networks_is_one_room_and_stays_one_when_it_is_cut() {
    let mut world = World::new(seed_or(43), Faults::NONE);
    for _ in 0..2 {
        world.add_net(Faults::NONE);
    }
    for nets in [&[0, 1][..], &[1, 2], &[2, 0], &[0], &[1], &[2]] {
        let host = world.add_host(nets, |_| {});
        world.start(host);
    }
    world.run_for(secs(3));
    let hosts = [0, 1, 2, 3, 4, 5];
    let casts = world.casts;
    talk(&mut world, &hosts, 60, millis(20), 2);
    world.run_for(secs(2));
    all_hold_the_same(&world, &hosts);
    let per_line = (world.casts - casts) as f64 / 60.0;
    assert!(per_line < 10.0, "{per_line} casts a line: what goes round the ring is bounded");
    for other in 0..6 {
        for link in [(0, other), (other, 0)] {
            world.nets[1].links.insert(link, Faults { blocked: 7, ..Faults::NONE });
        }
    }
    talk(&mut world, &hosts, 60, millis(20), 3);
    let took = world.run_until(secs(20), |world| owed(world, &hosts) == 0);
    assert!(took.is_some(), "{} lines are missing", owed(&world, &hosts));
    all_hold_the_same(&world, &hosts);
}

#[test]
fn without_relay_networks_stay_apart() {
    let mut world = World::new(seed_or(47), Faults::NONE);
    world.add_net(Faults::NONE);
    for nets in [&[0][..], &[0, 1], &[1]] {
        let host = world.add_host(nets, |config| config.relay = false);
        world.start(host);
    }
    world.run_for(secs(2));
    world.say(0, "for my own side");
    world.run_for(millis(80));
    assert_eq!(screen(&world, 1)["n0"].len(), 1);
    world.run_for(secs(10));
    assert_eq!(screen(&world, 2).get("n0"), None);
}

#[test]
fn the_history_of_an_author_who_crashed_comes_from_others() {
    let mut world = World::of(3, seed_or(51), Faults::rough(0.2, 0.0, 2));
    assert!(world.run_until(secs(20), all_met).is_some());
    for line in 0..200 {
        world.say(0, &format!("line {line}"));
        world.run_for(millis(5));
    }
    world.run_for(secs(2));
    world.crash(0);
    let late = world.add_host(&[0], |config| config.history = 1000);
    world.start(late);
    world.run_for(secs(8));
    assert_eq!(screen(&world, late)["n0"].len(), 200);
}
