//! Direct messages, by datagram and by stream.

use udpnode::address::StreamId;
use udpnode::command::Command;
use udpnode::event::Event;
use udpnode::node::{Input, StreamInput};

use crate::check::{all_met, count};
use crate::net::Faults;
use crate::scenarios::{millis, secs};
use crate::world::{World, seed_or};

fn tell(world: &mut World, from: usize, to: &str, text: &str) {
    let line = |text: &str| udpnode::text::Line::new(text).expect("short");
    let command = Command::Tell { to: line(to), text: line(text), wall: udpnode::time::WallTime(0) };
    world.input(from, Input::Command(command));
}

fn whispers(world: &World, host: usize) -> Vec<String> {
    let heard = world.hosts[host].events.iter().filter_map(|(_, event)| match event {
        Event::Whisper(whisper) => Some(whisper.text.to_string()),
        _ => None,
    });
    heard.collect()
}

/// Two nodes; the second accepts streams if it `listens`.
fn two(listens: bool, faults: Faults) -> World {
    let mut world = World::new(seed_or(31), faults);
    for _ in 0..2 {
        let host = world.add_host(&[0], |config| config.listens = listens);
        world.start(host);
    }
    assert!(world.run_until(secs(10), all_met).is_some());
    world
}

#[test]
fn direct_messages_arrive_once_and_in_order_by_either_way() {
    for (listens, works) in [(false, true), (true, true), (true, false)] {
        let mut world = two(listens, Faults::rough(0.2, 0.1, 5));
        world.streams_work = works;
        for n in 0..1000 {
            tell(&mut world, 0, "n1", &format!("for you alone {n}"));
            world.run_for(millis(1));
        }
        let delivered = |world: &World| count(world, 0, |event| matches!(event, Event::TellDelivered { .. }));
        let took = world.run_until(secs(30), |world| delivered(world) == 1000);
        assert!(took.is_some(), "{} of 1000 delivered, listens {listens}, works {works}", delivered(&world));
        let expected: Vec<_> = (0..1000).map(|n| format!("for you alone {n}")).collect();
        assert_eq!(whispers(&world, 1), expected, "listens {listens}, works {works}");
    }
}

#[test]
fn a_direct_message_waits_for_a_peer_that_is_away() {
    let mut world = two(true, Faults::NONE);
    world.crash(1);
    world.run_for(secs(12));
    tell(&mut world, 0, "n1", &"long ".repeat(2000));
    tell(&mut world, 0, "n1", "short");
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Told { queued: true, .. })), 2);
    world.start(1);
    world.run_for(secs(1));
    assert_eq!(whispers(&world, 1), ["long ".repeat(2000), "short".to_owned()]);
    assert_eq!(count(&world, 0, |event| matches!(event, Event::TellDelivered { .. })), 2);
}

#[test]
fn a_private_line_to_nobody_is_refused_aloud() {
    let mut world = two(false, Faults::NONE);
    tell(&mut world, 0, "n7", "hello?");
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Refused(_))), 1);
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Told { .. })), 0);
}

#[test]
fn silent_streams_do_not_keep_out_who_has_something_to_say() {
    let mut world = two(true, Faults::NONE);
    for n in 0..1000 {
        let (stream, from) = (StreamId(1_000_000 + n * 2), "10.0.9.9:999".parse().expect("an address"));
        world.input(1, Input::Stream { stream, what: StreamInput::Accepted(from) });
    }
    tell(&mut world, 0, "n1", "through the crowd");
    world.run_for(millis(10));
    assert_eq!(whispers(&world, 1), ["through the crowd"]);
    world.run_for(secs(10));
    let refused = world.hosts[1].node.as_ref().map(|node| node.stats().streams_refused);
    assert_eq!(refused, Some(1000), "each was closed in the end");
}
