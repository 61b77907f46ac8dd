//! What the doctor finds in simulated groups: the side at fault, and nothing at all where datagrams are
//! merely lost.

use std::time::Duration;

use udpnode::address::Cast;
use udpnode::command::Command;
use udpnode::node::Input;
use udpnode::protocol::diagnosis::diagnose;

use crate::check::all_met;
use crate::net::Faults;
use crate::scenarios::{millis, secs};
use crate::world::{World, seed_or};

/// What a node finds when it examines the network, and how long that takes.
fn examined(world: &mut World, of: usize) -> (Vec<String>, Duration) {
    world.input(of, Input::Command(Command::Examine));
    let examined = |world: &World| world.hosts[of].node.as_ref().is_some_and(|node| node.is_examined());
    let took = world.run_until(secs(6), examined).expect("it comes to an end");
    let findings = diagnose(&world.hosts[of].node.as_ref().expect("runs").diagnosable());
    (findings.iter().map(|finding| format!("{}: {}", finding.code, finding.side)).collect(), took)
}

fn group(count: usize, seed: u64, faults: Faults) -> World {
    let mut world = World::of(count, seed_or(seed), faults);
    assert!(world.run_until(secs(10), all_met).is_some());
    world.run_for(secs(4));
    world
}

/// A firewall at one host, inwards or outwards.
fn firewall(world: &mut World, count: usize, at: usize, inwards: bool, cast: Cast) {
    for other in (0..count).filter(|&other| other != at) {
        let link = if inwards { (other, at) } else { (at, other) };
        world.nets[0].links.insert(link, Faults { blocked: cast.bit(), ..Faults::NONE });
    }
}

#[test]
fn each_side_is_named_by_everybody_right_after_it_fails() {
    for (cast, code) in [(Cast::Multicast, "multicast-dropped"), (Cast::Broadcast, "broadcast-dropped")] {
        for (inwards, seed) in [(true, 61), (false, 62)] {
            let mut world = group(4, seed, Faults::NONE);
            firewall(&mut world, 4, 2, inwards, cast);
            for of in 0..4 {
                let side = if of == 2 { "this machine" } else { "n2" };
                assert_eq!(examined(&mut world, of).0, [format!("{code}: {side}")], "n{of}, inwards: {inwards}");
            }
            world.nets[0].heal();
            for of in 0..4 {
                assert_eq!(examined(&mut world, of).0, [""; 0], "n{of} after it is mended");
            }
        }
    }
}

#[test]
fn of_two_the_way_is_named() {
    let mut world = group(2, 63, Faults::NONE);
    world.nets[0].links.insert((0, 1), Faults { blocked: Cast::Multicast.bit(), ..Faults::NONE });
    assert_eq!(examined(&mut world, 0).0, ["multicast-dropped: from us to n1"]);
    assert_eq!(examined(&mut world, 1).0, ["multicast-dropped: from n0 to us"]);
}

#[test]
fn whom_we_alone_miss_is_named_and_who_crashed_is_not() {
    let mut world = group(4, 66, Faults::NONE);
    world.nets[0].links.insert((1, 0), Faults { loss: 1.0, ..Faults::NONE });
    world.crash(3);
    for seconds in [4, 4, 6] {
        world.run_for(secs(seconds));
        for of in 0..3 {
            let found = examined(&mut world, of).0;
            assert!(!found.iter().any(|finding| finding.contains("n3")), "n{of} of one that crashed: {found:?}");
        }
    }
    world.run_for(secs(30));
    assert_eq!(examined(&mut world, 0).0, ["not-heard: from n1 to us"]);
    let theirs = examined(&mut world, 1).0;
    assert!(theirs.iter().any(|finding| finding.contains("to n0")), "n0 hears nothing of n1: {theirs:?}");
}

/// A firewall that is put up after the two have met.
#[test]
fn who_does_not_hear_us_any_more_is_not_healthy() {
    for count in [2, 3, 9] {
        let mut world = group(count, 67, Faults::NONE);
        for from in (0..count).filter(|&from| from != 1) {
            world.nets[0].links.insert((from, 1), Faults { loss: 1.0, ..Faults::NONE });
        }
        world.run_for(secs(40));
        let found = examined(&mut world, 0).0;
        eprintln!("n1 of {count} hears nothing any more: {found:?}");
        assert!(!found.is_empty(), "n1 of {count} hears nothing");
        assert!(found.iter().all(|finding| finding.contains("n1")), "{found:?}");
    }
}

#[test]
fn a_healthy_group_of_any_size_is_healthy_and_known_so_soon() {
    for count in [2, 3, 8, 24] {
        let mut world = group(count, 64, Faults::NONE);
        for of in [0, count - 1] {
            let (found, took) = examined(&mut world, of);
            assert_eq!(found, [""; 0], "n{of} of {count}");
            assert!(took < secs(3), "n{of} of {count} took {took:?}");
        }
    }
}

/// Loss is no fault: at 10 % nothing is found in many examinations.
#[test]
fn loss_is_not_taken_for_a_fault() {
    for seed in 0..12 {
        let mut world = group(6, 640 + seed, Faults::rough(0.10, 0.05, 5));
        for of in 0..6 {
            assert_eq!(examined(&mut world, of).0, [""; 0], "n{of}, seed {seed}");
            world.run_for(millis(700));
        }
    }
}
