//! Direct messages, by datagram and by stream.

use std::rc::Rc;
use std::time::Instant;

use udpnode::address::{Cast, SegmentId, StreamId};
use udpnode::command::Command;
use udpnode::config::{Config, GroupSecret};
use udpnode::crypto::{Courier, Identity, Party, open_group_tag};
use udpnode::event::Event;
use udpnode::node::{Input, StreamInput};
use udpnode::wire::header::{HEADER_LEN, Header, Sender};
use udpnode::wire::stream::{HANDSHAKE_MAX, PREAMBLE, write_frame};
use udpnode::wire::{DATAGRAM_DOMAIN, Datagram, Message, encode, kind};

use crate::check::{all_met, count};
use crate::net::Faults;
use crate::scenarios::{millis, secs};
use crate::world::Sent;
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

/// Two nodes that accept streams if they `listens`.
fn two(listens: bool, faults: Faults) -> World {
    some(2, faults, |config| config.listens = listens)
}

fn some(count: usize, faults: Faults, adjust: impl Fn(&mut Config)) -> World {
    let mut world = World::new(seed_or(31), faults);
    for _ in 0..count {
        let host = world.add_host(&[0], &adjust);
        world.start(host);
    }
    assert!(world.run_until(secs(10), all_met).is_some());
    world
}

/// Records from now on.
fn tap(world: &mut World) {
    (world.tap, world.streamed) = (Some(Vec::new()), Some(Vec::new()));
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Hands a datagram to a node, as if it came by unicast from the address of host `from`.
fn hand(world: &mut World, to: usize, from: usize, bytes: &[u8]) {
    let (segment, from) = (SegmentId(0), world.hosts[from].places[0].1);
    world.input(to, Input::Datagram { segment, cast: Cast::Unicast, from, ttl: None, bytes });
}

fn stats(world: &World, host: usize) -> udpnode::stats::Stats {
    world.hosts[host].node.as_ref().expect("it runs").stats().clone()
}

/// The letters that a host sent of late.
fn letters(world: &mut World, host: usize) -> Vec<Message> {
    let sent = world.tap.take().expect("tapped").into_iter().filter(|sent| sent.host == host);
    let messages = sent.filter_map(|sent| Datagram::parse(&sent.bytes).ok()?.message().ok());
    messages.filter(|message| matches!(message, Message::Direct(_) | Message::Receipt(_))).collect()
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

/// Whom a cast alone proved to be there is asked where it is, before its next hello: in a group of 32 that is
/// sixteen seconds away.
#[test]
fn a_direct_message_gets_to_everybody_soon_after_they_met() {
    for seed in 0..3 {
        let mut world = World::of(32, seed_or(seed), Faults::rough(0.2, 0.0, 2));
        assert!(world.run_until(secs(60), all_met).is_some());
        world.run_for(secs(3));
        for from in 0..8 {
            for to in (0..32).filter(|&to| to != from) {
                tell(&mut world, from, &format!("n{to}"), "to you alone");
            }
        }
        let heard = |world: &World| (0..32).map(|host| whispers(world, host).len()).sum::<usize>();
        let took = world.run_until(secs(4), |world| heard(world) == 8 * 31);
        assert!(took.is_some(), "seed {seed}: {} of {} heard", heard(&world), 8 * 31);
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
fn a_long_direct_message_comes_whole_to_one_that_is_started_anew_in_the_midst_of_it() {
    for n in 1..=12 {
        let mut world = two(false, Faults::rough(0.2, 0.0, 2));
        let text = "long ".repeat(2000);
        tell(&mut world, 0, "n1", &text);
        world.run_for(std::time::Duration::from_micros(n * 1500));
        world.crash(1);
        let before = whispers(&world, 1).len();
        world.start(1);
        world.run_for(secs(30));
        let delivered = count(&world, 0, |event| matches!(event, Event::TellDelivered { .. }));
        assert_eq!(delivered, 1, "after {n} steps");
        assert!(whispers(&world, 1).iter().skip(before).all(|said| *said == text));
        assert!(!whispers(&world, 1).is_empty(), "it is delivered, as was told: after {n} steps");
    }
}

#[test]
fn what_is_for_one_alone_waits_outside_as_long_as_others_take_what_waits_inside() {
    fn wants(world: &World, to: &str) -> bool {
        let to = udpnode::text::Line::new(to).expect("short");
        world.hosts[0].node.as_ref().is_some_and(|node| node.wants_tell(&to))
    }
    let mut world = some(3, Faults::NONE, |_| {});
    let long = "x".repeat(60_000);
    let told = (0..100).take_while(|_| wants(&world, "n1").then(|| tell(&mut world, 0, "n1", &long)).is_some()).count();
    assert!((1..10).contains(&told) && wants(&world, "n2"), "{told}");
    assert!(world.run_until(secs(5), |world| wants(world, "n1")).is_some(), "it takes more");
    (0..3).for_each(|_| tell(&mut world, 0, "n1", &long));
    world.crash(1);
    assert!(!wants(&world, "n1"), "who is silent may answer yet");
    assert!(world.run_until(secs(30), |world| wants(world, "n1")).is_some(), "nobody waits for who is away");
    (0..100).for_each(|_| tell(&mut world, 0, "n1", &long));
    assert!(wants(&world, "n1") && count(&world, 0, |event| matches!(event, Event::Refused(_))) > 0, "it is full");
    assert!(wants(&world, "n2"), "it does not get emptier");
    tell(&mut world, 0, "n2", "short");
    assert!(!wants(&world, "n2"), "it will");
    assert!(world.run_until(secs(5), |world| wants(world, "n2")).is_some());
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

#[test]
fn what_is_for_one_alone_is_nowhere_to_be_read() {
    for (listens, keyed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = some(3, Faults::NONE, |config| {
            config.listens = listens;
            config.secrets.extend(keyed.then(|| GroupSecret::new([5; 32])));
        });
        tap(&mut world);
        tell(&mut world, 0, "n1", "the word is swordfish");
        tell(&mut world, 1, "n0", "swordfish it is");
        world.run_for(secs(2));
        let (ways, case) = ((listens, keyed), format!("listens {listens}, keyed {keyed}"));
        assert_eq!(
            (whispers(&world, 1), whispers(&world, 0)),
            (vec!["the word is swordfish".into()], vec!["swordfish it is".into()]),
            "{case}"
        );
        assert_eq!(count(&world, 2, |event| matches!(event, Event::Whisper(_))), 0, "{case}");
        let sent: Vec<Sent> = world.tap.take().expect("tapped");
        let streamed = world.streamed.take().expect("tapped");
        assert!(sent.iter().all(|sent| !holds(&sent.bytes, "swordfish")), "{case}");
        assert!(streamed.iter().all(|(_, bytes)| !holds(bytes, "swordfish")), "{case}");
        let is_letter = |sent: &Sent| [kind::DIRECT, kind::RECEIPT].contains(&sent.bytes[5]);
        assert_eq!(sent.iter().any(is_letter), ways == (false, false), "{case}");
        assert_eq!(!streamed.is_empty(), listens, "{case}");
        for host in 0..3 {
            assert_eq!((stats(&world, host).unopened, stats(&world, host).handshakes_refused), (0, 0), "{case}");
        }
    }
}

#[test]
fn a_member_makes_nothing_of_a_letter_for_another() {
    let mut world = some(3, Faults::NONE, |_| {});
    tap(&mut world);
    tell(&mut world, 0, "n1", "for n1 alone");
    world.run_for(millis(50));
    let stolen = letters(&mut world, 0);
    assert!(!stolen.is_empty());
    let before = (stats(&world, 1), whispers(&world, 1));
    // n2 says it again as its own: signed by n2, addressed to n1, and to n2 itself.
    let thief = world.identity(2, 1);
    for (counter, message) in (1 << 40..).zip(&stolen) {
        let sender = Sender { key: *thief.public(), boot: 1, counter };
        let mut bytes = Vec::new();
        let tag = open_group_tag("239.192.7.7:5007".parse().expect("an address"));
        encode(&mut bytes, tag, &sender, message, |bytes| thief.sign(DATAGRAM_DOMAIN, bytes));
        tap(&mut world);
        hand(&mut world, 1, 2, &bytes);
        assert!(letters(&mut world, 1).is_empty(), "it is not answered");
    }
    assert_eq!(stats(&world, 1).unopened, before.0.unopened + stolen.len() as u64, "it is counted");
    assert_eq!(whispers(&world, 1), before.1, "and not shown");
}

#[test]
fn what_was_recorded_opens_in_no_later_run() {
    for listens in [false, true] {
        let mut world = two(listens, Faults::NONE);
        tap(&mut world);
        tell(&mut world, 0, "n1", "once and never again");
        tell(&mut world, 1, "n0", "so be it");
        world.run_for(secs(2));
        let sent = world.tap.take().expect("tapped");
        let streamed = world.streamed.take().expect("tapped");
        let replay = |world: &mut World, stream: StreamId| {
            for sent in sent.iter().filter(|sent| sent.host == 0) {
                hand(world, 1, 0, &sent.bytes);
            }
            let from = world.hosts[0].places[0].1;
            world.input(1, Input::Stream { stream, what: StreamInput::Accepted(from) });
            for (_, bytes) in streamed.iter().filter(|(host, _)| *host == 0) {
                world.input(1, Input::Stream { stream, what: StreamInput::Bytes(bytes) });
            }
            world.run_for(secs(1));
        };
        replay(&mut world, StreamId(1 << 40));
        assert_eq!(whispers(&world, 1), ["once and never again"], "in the same run, listens {listens}");
        // Who wrote it is there and proves it: only the run of who is to read it is another.
        world.crash(1);
        world.start(1);
        world.run_for(secs(1));
        let shown = whispers(&world, 1).len();
        replay(&mut world, StreamId(2 << 40));
        assert_eq!(whispers(&world, 1).len(), shown, "in a later run, listens {listens}");
        let after = stats(&world, 1);
        assert_eq!(after.unopened > 0, !listens, "letters are counted");
        assert_eq!(after.handshakes_refused, u64::from(listens), "and so is a handshake");
    }
}

#[test]
fn where_casts_alone_get_through_what_is_for_one_goes_by_cast() {
    let mut world = World::new(seed_or(33), Faults::NONE);
    for _ in 0..3 {
        let host = world.add_host(&[0], |_| {});
        world.start(host);
    }
    world.nets[0].default = Faults { blocked: Cast::Unicast.bit(), ..Faults::NONE };
    assert!(world.run_until(secs(20), all_met).is_some());
    tap(&mut world);
    tell(&mut world, 0, "n1", "for you alone");
    world.run_for(secs(3));
    assert_eq!((whispers(&world, 1), whispers(&world, 2)), (vec!["for you alone".to_owned()], vec![]));
    assert_eq!(count(&world, 0, |event| matches!(event, Event::TellDelivered { .. })), 1);
    let told = world.tap.take().expect("tapped");
    assert!(!told.iter().any(|sent| holds(&sent.bytes, "for you alone")), "it is sealed");
}

#[test]
fn a_recorded_handshake_is_not_answered_and_a_new_one_is() {
    let mut world = two(true, Faults::NONE);
    tap(&mut world);
    tell(&mut world, 0, "n1", "by a stream");
    world.run_for(secs(2));
    let first = world.streamed.take().expect("tapped").into_iter().find(|(host, _)| *host == 0).expect("a handshake").1;
    for n in 0..3 {
        tap(&mut world);
        let (stream, from) = (StreamId((1 << 40) + n * 2), world.hosts[0].places[0].1);
        world.input(1, Input::Stream { stream, what: StreamInput::Accepted(from) });
        world.input(1, Input::Stream { stream, what: StreamInput::Bytes(&first) });
        world.run_for(secs(1));
        assert!(world.streamed.take().expect("tapped").is_empty(), "who plays it learns nothing");
        assert_eq!(stats(&world, 1).handshakes_refused, n + 1);
    }
    // The other one begins anew.
    world.crash(0);
    world.start(0);
    world.run_for(secs(2));
    tell(&mut world, 0, "n1", "by another one");
    world.run_for(secs(2));
    assert_eq!(whispers(&world, 1), ["by a stream", "by another one"]);
}

/// What somebody writes who knows the form of a handshake and no key: another one each time.
fn forged_handshake(n: u64) -> Vec<u8> {
    let mut datagram = Vec::new();
    let group_tag = open_group_tag("239.192.7.7:5007".parse().expect("an address"));
    Header { kind: kind::LINK, errand: 0, group_tag }.write(&mut datagram);
    datagram.resize(HEADER_LEN + HANDSHAKE_MAX, 7);
    datagram[HEADER_LEN..HEADER_LEN + 8].copy_from_slice(&n.to_be_bytes());
    let mut bytes = PREAMBLE.to_vec();
    write_frame(&mut bytes, &datagram);
    bytes
}

#[test]
fn forged_handshakes_are_closed_counted_told_once_and_keep_nobody_out() {
    let mut world = two(true, Faults::NONE);
    let before = count(&world, 1, |event| matches!(event, Event::Warning(_)));
    for n in 0..1000 {
        let (stream, from) = (StreamId(1_000_000 + n * 2), "10.0.9.9:999".parse().expect("an address"));
        world.input(1, Input::Stream { stream, what: StreamInput::Accepted(from) });
        world.input(1, Input::Stream { stream, what: StreamInput::Bytes(&forged_handshake(n)) });
    }
    let after = stats(&world, 1);
    assert_eq!((after.handshakes_refused, after.streams_refused), (1000, 1000));
    assert_eq!(count(&world, 1, |event| matches!(event, Event::Warning(_))), before + 1, "told once");
    tap(&mut world);
    tell(&mut world, 0, "n1", "through the crowd");
    world.run_for(millis(10));
    assert_eq!(whispers(&world, 1), ["through the crowd"]);
    assert!(letters(&mut world, 0).is_empty(), "by stream");
}

/// A handshake that `from` makes for `to`, as it goes in a group that has no key.
fn handshake(from: &Identity, to: &Identity) -> Vec<u8> {
    let party = Party { key: *to.public(), boot: to.boot() };
    let (_, message) = Courier::new(from, &[3; 32]).greet(&party).expect("greets");
    let mut datagram = Vec::new();
    let group_tag = open_group_tag("239.192.7.7:5007".parse().expect("an address"));
    Header { kind: kind::LINK, errand: 0, group_tag }.write(&mut datagram);
    datagram.extend_from_slice(&message);
    let mut bytes = PREAMBLE.to_vec();
    write_frame(&mut bytes, &datagram);
    bytes
}

#[test]
fn a_stranger_who_knows_our_key_is_answered_where_the_group_is_open_only() {
    for keyed in [false, true] {
        let mut world = some(2, Faults::NONE, |config| {
            config.listens = true;
            config.secrets.extend(keyed.then(|| GroupSecret::new([5; 32])));
        });
        tap(&mut world);
        let bytes = handshake(&Identity::new(&[77; 32], 1), &world.identity(1, 1));
        let (stream, from) = (StreamId(1_000_000), "10.0.9.9:999".parse().expect("an address"));
        world.input(1, Input::Stream { stream, what: StreamInput::Accepted(from) });
        world.input(1, Input::Stream { stream, what: StreamInput::Bytes(&bytes) });
        let answered: Vec<_> = world.streamed.take().expect("tapped").iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(answered, if keyed { vec![] } else { vec![8 + 2 + 16 + 48] });
        assert!(answered.iter().all(|&len| len < bytes.len()), "never with more than was sent");
        assert_eq!((stats(&world, 1).outsiders, stats(&world, 1).streams_refused), if keyed { (1, 1) } else { (0, 0) });
        world.run_for(secs(4));
        assert_eq!(stats(&world, 1).streams_refused, 1, "who says nothing then is closed");
    }
}

#[test]
fn before_anybody_is_known_few_bytes_are_taken() {
    let mut world = two(true, Faults::NONE);
    let stream = StreamId(1_000_000);
    let from = "10.0.9.9:999".parse().expect("an address");
    world.input(1, Input::Stream { stream, what: StreamInput::Accepted(from) });
    let mut bytes = PREAMBLE.to_vec();
    bytes.extend_from_slice(&1200u16.to_be_bytes());
    world.input(1, Input::Stream { stream, what: StreamInput::Bytes(&bytes) });
    assert_eq!(stats(&world, 1).streams_refused, 1, "refused by its length, before anything of it came");
}

#[test]
fn one_seed_makes_one_handshake() {
    let run = || {
        let mut world = two(true, Faults::rough(0.1, 0.1, 5));
        tap(&mut world);
        tell(&mut world, 0, "n1", "the same again");
        world.run_for(secs(1));
        let streamed = world.streamed.take().expect("tapped");
        let sent: Vec<Rc<[u8]>> = world.tap.take().expect("tapped").into_iter().map(|sent| sent.bytes).collect();
        (streamed, sent)
    };
    let (first, again) = (run(), run());
    assert!(!first.0.is_empty());
    assert!(first == again);
}

/// What a frame costs, all told: sealed, signed, verified, opened, and its receipt the same way back.
#[test]
#[ignore = "long: measures"]
fn long_frames_a_second() {
    for listens in [false, true] {
        let mut world = two(listens, Faults::NONE);
        let (began, count_of) = (Instant::now(), 20_000);
        for n in 0..count_of {
            tell(&mut world, 0, "n1", &format!("a direct message of a usual length, number {n}"));
            world.run_for(millis(1));
        }
        world.run_for(secs(2));
        assert_eq!(whispers(&world, 1).len(), count_of);
        let took = began.elapsed();
        let each = took / u32::try_from(count_of).expect("few");
        let rate = f64::from(u32::try_from(count_of).expect("few")) / took.as_secs_f64();
        eprintln!("listens {listens}: {count_of} frames and receipts in {took:?}, {each:?} each, {rate:.0} a second");
    }
}
