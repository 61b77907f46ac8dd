//! Whose a name is, over joins, renames, restarts and recordings.

use udpnode::address::SegmentId;
use udpnode::command::Command;
use udpnode::event::{Event, PeerName};
use udpnode::id::PeerId;
use udpnode::node::Input;
use udpnode::protocol::names::Trust;
use udpnode::text::{Line, Nick};

use crate::check::count;
use crate::net::Faults;
use crate::scenarios::secs;
use crate::world::{Sent, World, seed_or};

/// The host that looks on, the one that is bob, and one that calls itself so.
const ANN: usize = 0;
const BOB: usize = 1;
const EVE: usize = 2;

/// The three, not started yet, the last two under these nicks.
fn three(faults: Faults, bob: &str, eve: &str) -> World {
    let mut world = World::new(seed_or(71), faults);
    for nick in ["ann", bob, eve] {
        world.add_host(&[0], |config| config.nick = Nick::new(nick).expect("a nick"));
    }
    world.start(ANN);
    world
}

fn start(world: &mut World, hosts: &[usize]) {
    for &host in hosts {
        world.start(host);
        world.run_for(secs(2));
    }
}

fn id(world: &World, host: usize) -> PeerId {
    world.hosts[host].node.as_ref().expect("it runs").identity().id()
}

/// How ann sees a host that is or was here: its name, and what she knows of it.
fn seen(world: &World, who: PeerId) -> (String, Trust) {
    let ann = world.hosts[ANN].node.as_ref().expect("it runs");
    let peer = ann.peers().find(|peer| peer.name.id == who).expect("known");
    (peer.name.label(), peer.trust)
}

fn bare(nick: &str, trust: Trust) -> (String, Trust) {
    (nick.into(), trust)
}

fn suffixed(nick: &str, who: PeerId, trust: Trust) -> (String, Trust) {
    (format!("{nick}~{}", who.suffix()), trust)
}

fn alarms(world: &World) -> usize {
    count(world, ANN, |event| matches!(event, Event::Warning(text) if text.contains("is NOT the")))
}

fn type_in(world: &mut World, host: usize, command: fn(Line) -> Command, name: &str) {
    world.input(host, Input::Command(command(Line::new(name).expect("short"))));
}

/// What ann was shown of those called so, lines included: who it was, by what was shown.
fn shown(world: &World, nick: &str) -> Vec<(String, PeerId)> {
    let name = |event: &Event| -> Option<PeerName> {
        match event {
            Event::Joined(name, _) | Event::Left(name, _) | Event::Lost(name, _) | Event::Back(name, _) => {
                Some(name.clone())
            }
            Event::Message(message) => Some(message.from.clone()),
            _ => None,
        }
    };
    let names = world.hosts[ANN].events.iter().filter_map(|(_, event)| name(event));
    names.filter(|name| name.nick.as_str() == nick).map(|name| (name.label(), name.id)).collect()
}

#[test]
fn an_impostor_never_gets_the_name_whether_bob_is_here_or_away() {
    for faults in [Faults::NONE, Faults::rough(0.2, 0.1, 5)] {
        let mut world = three(faults, "bob", "bob");
        start(&mut world, &[BOB, EVE]);
        let (bob, eve) = (id(&world, BOB), id(&world, EVE));
        assert_eq!(seen(&world, bob), bare("bob", Trust::Pinned));
        assert_eq!(seen(&world, eve), suffixed("bob", eve, Trust::Impostor));
        world.input(BOB, Input::Command(Command::Quit));
        world.run_for(secs(2));
        world.crash(BOB);
        world.say(EVE, "it is me, bob");
        world.run_for(secs(2));
        for _ in 0..3 {
            world.crash(EVE);
            start(&mut world, &[EVE]);
            world.say(EVE, "bob again");
            world.run_for(secs(2));
        }
        start(&mut world, &[BOB]);
        assert_eq!(seen(&world, bob), bare("bob", Trust::Pinned));
        let names = shown(&world, "bob");
        assert!(names.len() > 8, "{names:?}");
        assert!(names.iter().all(|(label, who)| (label == "bob") == (*who == bob)), "{names:?}");
        assert_eq!(alarms(&world), 1, "told once, however often it comes");
    }
}

#[test]
fn a_restart_keeps_the_pin_and_one_without_state_does_not() {
    let mut world = three(Faults::NONE, "bob", "bob");
    start(&mut world, &[BOB]);
    let bob = id(&world, BOB);
    world.crash(BOB);
    world.crash(ANN);
    let kept = world.hosts[ANN].pins.clone();
    assert_eq!(
        kept.iter().map(|pin| (pin.id, pin.nick.as_str(), pin.trusted)).collect::<Vec<_>>(),
        [(bob, "bob", false)]
    );
    start(&mut world, &[ANN, EVE]);
    let eve = id(&world, EVE);
    assert_eq!((seen(&world, eve), alarms(&world)), (suffixed("bob", eve, Trust::Impostor), 1));
    start(&mut world, &[BOB]);
    assert_eq!(seen(&world, bob), bare("bob", Trust::Pinned));
    for host in [ANN, BOB, EVE] {
        world.crash(host);
    }
    world.hosts[ANN].pins.clear();
    start(&mut world, &[ANN, EVE]);
    assert_eq!(seen(&world, eve), bare("bob", Trust::Pinned), "who keeps nothing begins anew");
}

#[test]
fn a_person_gives_the_name_to_another_and_that_lasts() {
    let mut world = three(Faults::NONE, "bob", "bob");
    start(&mut world, &[BOB, EVE]);
    let (bob, eve) = (id(&world, BOB), id(&world, EVE));
    type_in(&mut world, ANN, Command::Trust, "bob");
    assert_eq!(seen(&world, bob), bare("bob", Trust::Trusted));
    type_in(&mut world, ANN, Command::Trust, &format!("bob~{}", eve.suffix()));
    assert_eq!(seen(&world, eve), bare("bob", Trust::Trusted));
    assert_eq!(seen(&world, bob), suffixed("bob", bob, Trust::Impostor));
    world.crash(ANN);
    start(&mut world, &[ANN]);
    assert_eq!(seen(&world, eve), bare("bob", Trust::Trusted));
    assert_eq!(seen(&world, bob), suffixed("bob", bob, Trust::Impostor));
    type_in(&mut world, ANN, Command::Trust, "nobody");
    assert_eq!(count(&world, ANN, |event| matches!(event, Event::Refused(_))), 1);
}

#[test]
fn keys_for_one_run_are_not_pinned() {
    let mut world = three(Faults::NONE, "ci", "ci");
    world.hosts[BOB].config.ephemeral = true;
    start(&mut world, &[BOB]);
    let bob = id(&world, BOB);
    assert_eq!(seen(&world, bob), bare("ci", Trust::New));
    type_in(&mut world, ANN, Command::Trust, "ci");
    assert_eq!(count(&world, ANN, |event| matches!(event, Event::Refused(_))), 1, "there is nothing to trust");
    start(&mut world, &[EVE]);
    let eve = id(&world, EVE);
    assert_eq!(seen(&world, bob), suffixed("ci", bob, Trust::New), "two claim it and nobody owns it");
    assert_eq!(seen(&world, eve), suffixed("ci", eve, Trust::New));
    assert_eq!(alarms(&world), 0);
    world.crash(ANN);
    assert_eq!(world.hosts[ANN].pins, []);
}

#[test]
fn look_alikes_are_impostors_and_a_rename_makes_one() {
    let mut world = three(Faults::NONE, "paypal", "раураl");
    start(&mut world, &[BOB, EVE]);
    let eve = id(&world, EVE);
    assert_eq!(seen(&world, eve), suffixed("раураl", eve, Trust::Impostor));
    assert_eq!(alarms(&world), 1);
    world.input(EVE, Input::Command(Command::Nick(Nick::new("eve").expect("a nick"))));
    world.run_for(secs(1));
    assert_eq!(seen(&world, eve), bare("eve", Trust::Pinned));
    world.input(EVE, Input::Command(Command::Nick(Nick::new("PayPa1").expect("a nick"))));
    world.run_for(secs(1));
    assert_eq!(seen(&world, eve), suffixed("PayPa1", eve, Trust::Impostor));
    let label = format!("PayPa1~{}", eve.suffix());
    let renamed =
        |event: &Event| matches!(event, Event::Renamed(name, was) if name.label() == label && was.label() == "eve");
    assert_eq!(count(&world, ANN, renamed), 1);
    assert_eq!(alarms(&world), 1, "told of once for that name");
}

#[test]
fn a_private_line_to_bob_never_goes_to_another() {
    let mut world = three(Faults::NONE, "bob", "bob");
    start(&mut world, &[BOB]);
    world.crash(BOB);
    world.crash(ANN);
    start(&mut world, &[ANN, EVE]);
    let tell = |world: &mut World, to: &str| {
        let line = |text: &str| Line::new(text).expect("short");
        let command = Command::Tell { to: line(to), text: line("secret"), wall: udpnode::time::WallTime(0) };
        world.input(ANN, Input::Command(command));
        world.run_for(secs(1));
    };
    let heard = |world: &World, host| count(world, host, |event| matches!(event, Event::Whisper(_)));
    tell(&mut world, "bob");
    assert_eq!(heard(&world, EVE), 0);
    assert_eq!(
        count(&world, ANN, |event| matches!(event, Event::Refused(text) if text.contains("the bob you know"))),
        1
    );
    start(&mut world, &[BOB]);
    tell(&mut world, "bob");
    assert_eq!((heard(&world, BOB), heard(&world, EVE)), (1, 0));
    let eve = format!("bob~{}", id(&world, EVE).suffix());
    tell(&mut world, &eve);
    assert_eq!((heard(&world, BOB), heard(&world, EVE)), (1, 1));
}

#[test]
fn where_nobody_owns_a_name_a_private_line_goes_to_nobody_until_it_is_said_to_whom() {
    let mut world = three(Faults::NONE, "ci", "ci");
    world.hosts[BOB].config.ephemeral = true;
    world.hosts[EVE].config.ephemeral = true;
    start(&mut world, &[BOB]);
    world.input(BOB, Input::Command(Command::Quit));
    world.run_for(secs(2));
    start(&mut world, &[EVE]);
    let line = |text: &str| Line::new(text).expect("short");
    let wall = udpnode::time::WallTime(0);
    let label = format!("ci~{}", id(&world, EVE).suffix());
    for (to, heard) in [("ci", 0), (label.as_str(), 1)] {
        world.input(ANN, Input::Command(Command::Tell { to: line(to), text: line("secret"), wall }));
        world.run_for(secs(1));
        assert_eq!(count(&world, EVE, |event| matches!(event, Event::Whisper(_))), heard, "{to}");
    }
    assert_eq!(count(&world, ANN, |event| matches!(event, Event::Refused(text) if text.contains(&label))), 1);
}

#[test]
fn history_of_those_never_met_goes_by_keys_too() {
    let mut world = three(Faults::NONE, "bob", "bob");
    let cat = world.add_host(&[0], |_| {});
    start(&mut world, &[BOB, cat]);
    let bob = id(&world, BOB);
    world.crash(ANN);
    world.say(BOB, "of bob");
    world.run_for(secs(1));
    world.crash(BOB);
    start(&mut world, &[EVE]);
    let eve = id(&world, EVE);
    world.say(EVE, "of eve");
    world.run_for(secs(1));
    world.crash(EVE);
    world.run_for(secs(20));
    world.hosts[ANN].events.clear();
    start(&mut world, &[ANN]);
    world.run_for(secs(5));
    let lines = |world: &World, text: &str| {
        let of = |event: &Event| match event {
            Event::Message(message) if message.text.as_str() == text => Some(message.from.label()),
            _ => None,
        };
        world.hosts[ANN].events.iter().find_map(|(_, event)| of(event))
    };
    assert_eq!(lines(&world, "of bob").as_deref(), Some("bob"), "pinned by an earlier run");
    assert_eq!(lines(&world, "of eve"), Some(format!("bob~{}", eve.suffix())));
    assert_ne!(bob, eve);
    assert_eq!(alarms(&world), 1);
}

#[test]
fn both_sides_see_the_same_digits_and_the_right_ones_are_trusted() {
    let mut world = three(Faults::NONE, "bob", "bob");
    start(&mut world, &[BOB, EVE]);
    let node = |world: &World, host: usize, name: &str| {
        let node = world.hosts[host].node.as_ref().expect("it runs");
        node.verification(name).expect("known").digits
    };
    let eve = format!("bob~{}", id(&world, EVE).suffix());
    let digits = node(&world, ANN, "bob");
    assert_eq!(node(&world, BOB, "ann"), digits);
    assert_ne!(node(&world, ANN, &eve), digits);
    let verify = |world: &mut World, name: &str, digits: &str| {
        let line = |text: &str| Line::new(text).expect("short");
        world.input(ANN, Input::Command(Command::Verify { name: line(name), digits: line(digits) }));
    };
    let bob = id(&world, BOB);
    verify(&mut world, &eve, &digits);
    assert_eq!(seen(&world, bob), bare("bob", Trust::Pinned), "those are of another");
    assert_eq!(count(&world, ANN, |event| matches!(event, Event::Refused(text) if text.contains("do not trust"))), 1);
    verify(&mut world, "bob", &digits.replace(' ', "-"));
    assert_eq!(seen(&world, bob), bare("bob", Trust::Trusted));
    verify(&mut world, "bob", &digits[..11]);
    assert_eq!(count(&world, ANN, |event| matches!(event, Event::Refused(_))), 2, "all of them");
}

#[test]
fn a_recording_pins_nobody_who_is_not_here() {
    let mut world = three(Faults::NONE, "bob", "bob");
    start(&mut world, &[BOB]);
    world.tap = Some(Vec::new());
    world.run_for(secs(5));
    let tape = world.tap.take().expect("taped");
    assert!(tape.len() > 3);
    world.input(BOB, Input::Command(Command::Quit));
    world.run_for(secs(2));
    world.crash(BOB);
    type_in(&mut world, ANN, Command::Trust, "bob");
    let pins = |world: &World| world.hosts[ANN].node.as_ref().expect("it runs").pins(udpnode::time::WallTime(0));
    let (before, told) = (pins(&world), world.hosts[ANN].events.len());
    replay(&mut world, &tape);
    world.run_for(secs(5));
    let after: Vec<_> = pins(&world).into_iter().map(|pin| (pin.id, pin.nick, pin.trusted)).collect();
    assert_eq!(after, before.into_iter().map(|pin| (pin.id, pin.nick, pin.trusted)).collect::<Vec<_>>());
    assert_eq!(world.hosts[ANN].events.len(), told, "{:?}", &world.hosts[ANN].events[told..]);
    // Nor in a run that begins anew, and knows nothing.
    world.crash(ANN);
    world.hosts[ANN].pins.clear();
    world.start(ANN);
    replay(&mut world, &tape);
    assert_eq!(pins(&world), []);
}

/// Ann hears all that again.
fn replay(world: &mut World, tape: &[Sent]) {
    for sent in tape {
        let (segment, cast, from, bytes) = (SegmentId(0), sent.cast, sent.from, &sent.bytes[..]);
        world.input(ANN, Input::Datagram { segment, cast, from, ttl: Some(1), bytes });
    }
    world.run_for(secs(5));
}
