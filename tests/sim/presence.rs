//! Who is there: crashes, byes, returns and pauses, told soon and told rightly (promises P6, P7).

use std::time::{Duration, Instant};

use udpnode::address::{Cast, SegmentId};
use udpnode::command::Command;
use udpnode::event::{Event, PeerName};
use udpnode::node::{Input, WhyState};
use udpnode::rng::Rng;
use udpnode::stats::Stats;
use udpnode::text::Line;
use udpnode::time::Time;

use crate::check::{all_hold_the_same, all_met, count, owed};
use crate::net::Faults;
use crate::scenarios::{millis, secs};
use crate::world::{World, seed_or};

/// A group that has met, probed each other and said all its greetings; events before are forgotten.
fn group(nodes: usize, seed: u64, loss: f64) -> World {
    let mut world = World::trusting(nodes, seed, Faults::rough(loss, 0.0, 2));
    assert!(world.run_until(secs(120), all_met).is_some(), "seed {seed}: {nodes} nodes meet");
    world.run_for(secs(3));
    forget(&mut world);
    world
}

pub(crate) fn forget(world: &mut World) {
    for host in &mut world.hosts {
        host.events.clear();
    }
}

pub(crate) fn stats(world: &World, counter: fn(&Stats) -> u64) -> u64 {
    world.hosts.iter().filter_map(|host| host.node.as_ref()).map(|node| counter(node.stats())).sum()
}

/// When each of these was told this of `whom`, first.
pub(crate) fn told(world: &World, by: &[usize], whom: usize, is: fn(&Event) -> Option<&PeerName>) -> Vec<Option<Time>> {
    let nick = format!("n{whom}");
    let first = |&host: &usize| {
        let mut events = world.hosts[host].events.iter();
        events.find(|(_, event)| is(event).is_some_and(|name| name.nick.as_str() == nick)).map(|(at, _)| *at)
    };
    by.iter().map(first).collect()
}

pub(crate) fn lost(event: &Event) -> Option<&PeerName> {
    if let Event::Lost(name, _) = event { Some(name) } else { None }
}

fn left(event: &Event) -> Option<&PeerName> {
    if let Event::Left(name, _) = event { Some(name) } else { None }
}

fn back(event: &Event) -> Option<&PeerName> {
    if let Event::Back(name, _) = event { Some(name) } else { None }
}

/// How long it took until all of them were told; `None` if some were not.
fn slowest(times: &[Option<Time>], since: Time) -> Option<Duration> {
    times.iter().map(|at| at.map(|at| at.since(since))).try_fold(Duration::ZERO, |most, took| Some(most.max(took?)))
}

/// Nobody was told that anybody but `gone` is lost, nor that it is disconnected.
#[track_caller]
pub(crate) fn no_false_alarm(world: &World, gone: &[usize], what: &str) {
    for (host, entry) in world.hosts.iter().enumerate() {
        for (at, event) in &entry.events {
            let of = lost(event).map(|name| name.nick.to_string());
            let false_loss = of.as_ref().is_some_and(|of| gone.iter().all(|gone| *of != format!("n{gone}")));
            let cut_off = matches!(event, Event::Disconnected(_)) && !gone.contains(&host);
            assert!(!false_loss && !cut_off, "{what}: n{host} is told {event:?} at {at}");
        }
    }
}

/// Sizes and losses, and how many seeds each is worth.
///
/// With the sweep of invariants after each step, large groups take minutes: they are for `make sim`.
fn cases() -> Vec<(usize, f64, u64)> {
    let full = [(2, 300), (3, 300), (8, 100), (32, 30), (100, 8), (256, 3)];
    let brief = [(2, 20), (3, 20), (8, 8), (32, 1)];
    let sizes = if cfg!(debug_assertions) { &brief[..] } else { &full };
    sizes.iter().flat_map(|&(nodes, seeds)| [0.0, 0.2].map(|loss| (nodes, loss, seeds))).collect()
}

#[test]
fn a_crash_is_told_by_all_within_three_point_one_seconds() {
    for (nodes, loss, seeds) in cases() {
        let mut worst = Duration::ZERO;
        for seed in 0..seeds {
            let mut world = group(nodes, seed_or(seed), loss);
            let mut rng = Rng::new(seed);
            world.run_for(rng.within(secs(1)));
            let victim = rng.below(nodes as u64) as usize;
            let crashed = world.now;
            world.crash(victim);
            world.run_for(millis(3500));
            let others: Vec<_> = (0..nodes).filter(|&host| host != victim).collect();
            let took = slowest(&told(&world, &others, victim, lost), crashed);
            let took = took.unwrap_or_else(|| panic!("{nodes} nodes, loss {loss}, seed {seed}: not told by all"));
            worst = worst.max(took);
            no_false_alarm(&world, &[victim], "a crash");
        }
        eprintln!("crash: {nodes} nodes, loss {loss}, {seeds} seeds: told by all within {worst:?}");
        assert!(worst <= millis(3100), "{nodes} nodes, loss {loss}: {worst:?}");
    }
}

#[test]
fn a_bye_is_told_within_two_tenths_of_a_second() {
    for (nodes, loss, seeds) in cases() {
        for seed in 0..seeds {
            let mut world = group(nodes, seed_or(seed), loss);
            let said = world.now;
            world.input(0, Input::Command(Command::Quit));
            world.run_for(millis(300));
            let others: Vec<_> = (1..nodes).collect();
            let took = slowest(&told(&world, &others, 0, left), said);
            assert!(took.is_some_and(|took| took <= millis(200)), "{nodes} nodes, loss {loss}, seed {seed}: {took:?}");
            no_false_alarm(&world, &[], "a bye");
        }
    }
}

#[test]
fn who_is_cut_off_asks_those_it_heard_now_and_then() {
    let mut world = group(8, seed_or(0), 0.0);
    let others: Vec<_> = (1..8).collect();
    world.nets[0].partition(&[0], &others);
    world.run_for(secs(10));
    let probes = |world: &World| world.hosts[0].node.as_ref().expect("runs").stats().probes;
    let before = probes(&world);
    world.run_for(secs(60));
    let sent = probes(&world) - before;
    assert!((120..=300).contains(&sent), "{sent} probes in a minute");
}

#[test]
fn a_link_that_is_back_is_told_within_half_a_second() {
    for (nodes, loss, seeds) in cases() {
        let mut worst = Duration::ZERO;
        for seed in 0..seeds {
            let mut world = group(nodes, seed_or(seed), loss);
            let others: Vec<_> = (1..nodes).collect();
            world.nets[0].partition(&[0], &others);
            let pulled = world.now;
            world.run_for(secs(4) + Rng::new(seed).within(secs(20)));
            let gone = slowest(&told(&world, &others, 0, lost), pulled);
            assert!(gone.is_some_and(|took| took <= millis(3100)), "{nodes} nodes, {loss}, seed {seed}: {gone:?}");
            let (cut, own) = (count(&world, 0, |e| matches!(e, Event::Disconnected(_))), told(&world, &[0], 1, lost));
            // Of two, neither can know which one it is.
            assert_eq!((cut, own[0].is_some()), if nodes == 2 { (0, true) } else { (1, false) }, "{nodes} nodes");
            world.nets[0].links.clear();
            forget(&mut world);
            let mended = world.now;
            world.run_for(secs(2));
            let took = slowest(&told(&world, &others, 0, back), mended);
            assert!(took.is_some(), "{nodes} nodes, loss {loss}, seed {seed}: not back everywhere");
            worst = worst.max(took.unwrap_or_default());
            if nodes > 2 {
                let again = world.hosts[0].events.iter().find(|(_, event)| *event == Event::Connected);
                worst = worst.max(again.map_or(secs(9), |(at, _)| at.since(mended)));
            }
            no_false_alarm(&world, &[], "a link that is back");
        }
        eprintln!("link back: {nodes} nodes, loss {loss}, {seeds} seeds: told by all within {worst:?}");
        assert!(worst <= millis(500), "{nodes} nodes, loss {loss}: {worst:?}");
    }
}

#[test]
fn a_link_that_comes_and_goes_is_told_each_time() {
    for seed in 0..10 {
        let loss = if seed % 2 == 0 { 0.0 } else { 0.1 };
        let mut world = group(8, seed_or(seed), loss);
        let others: Vec<_> = (1..8).collect();
        for up in [0, 50, 150, 400, 1500] {
            world.run_for(millis(500 + up));
            world.nets[0].partition(&[0], &others);
            forget(&mut world);
            let pulled = world.now;
            world.run_for(millis(3500));
            let gone = slowest(&told(&world, &others, 0, lost), pulled);
            assert!(gone.is_some_and(|took| took <= millis(3100)), "seed {seed}, {up} ms: {gone:?}");
            world.nets[0].links.clear();
        }
        no_false_alarm(&world, &[0], "a link that comes and goes");
    }
}

#[test]
fn a_node_that_stands_still_for_a_second_and_a_half_is_not_missed() {
    for (nodes, loss, seeds) in cases() {
        for seed in 0..seeds {
            let mut world = group(nodes, seed_or(seed), loss);
            let mut rng = Rng::new(seed);
            for _ in 0..4 {
                world.run_for(rng.within(secs(1)));
                world.freeze(rng.below(nodes as u64) as usize, millis(1500));
                world.run_for(secs(4));
            }
            no_false_alarm(&world, &[], &format!("{nodes} nodes, loss {loss}, seed {seed}"));
        }
    }
}

#[test]
fn who_stood_still_for_long_does_not_take_others_for_lost() {
    for (nodes, seed) in [(2, 1), (3, 2), (3, 3), (16, 4), (64, 5)] {
        let mut world = group(nodes, seed_or(seed), 0.1);
        world.freeze(0, secs(30));
        world.run_for(secs(40));
        let others: Vec<_> = (1..nodes).collect();
        let told = |is| slowest(&told(&world, &others, 0, is), Time::ZERO);
        assert!(told(lost).is_some() && told(back).is_some(), "{nodes} nodes: others see it go and come");
        assert_eq!(count(&world, 0, |event| lost(event).is_some()), 0, "{nodes} nodes");
        assert_eq!(count(&world, 0, |e| matches!(e, Event::Disconnected(_))), 0, "{nodes} nodes: it was only asleep");
        no_false_alarm(&world, &[0], "a long pause");
    }
}

#[test]
fn two_who_do_not_hear_each_other_and_a_third_who_hears_both() {
    for seed in 0..10 {
        let mut world = group(3, seed_or(seed), 0.0);
        world.nets[0].partition(&[0], &[1]);
        world.run_for(secs(12));
        for (host, of) in [(0, 1), (1, 0)] {
            assert!(told(&world, &[host], of, lost)[0].is_some(), "seed {seed}: n{host} does not miss n{of}");
            assert_eq!(count(&world, host, |e| matches!(e, Event::Disconnected(_))), 0, "seed {seed}");
        }
        assert_eq!(count(&world, 2, |event| lost(event).is_some()), 0, "seed {seed}: n2 hears both");
        // What they say reaches each other through the third, lost or not.
        world.say(0, "can you hear me?");
        world.say(1, "and me?");
        let took = world.run_until(secs(5), |world| owed(world, &[0, 1, 2]) == 0);
        assert!(took.is_some_and(|took| took < secs(2)), "seed {seed}: {took:?}");
        world.nets[0].links.clear();
        let mended = world.now;
        world.run_for(secs(3));
        for (host, of) in [(0, 1), (1, 0)] {
            let took = slowest(&told(&world, &[host], of, back), mended);
            assert!(took.is_some_and(|took| took <= millis(500)), "seed {seed}: n{host} sees n{of} after {took:?}");
        }
        all_hold_the_same(&world, &[0, 1, 2]);
    }
}

#[test]
fn what_was_said_while_a_link_was_down_comes_as_soon_as_it_is_back() {
    for (nodes, seed) in [(2, 1), (3, 2), (3, 3), (8, 4), (32, 5)] {
        let mut world = group(nodes, seed_or(seed), 0.0);
        let others: Vec<_> = (1..nodes).collect();
        world.nets[0].partition(&[0], &others);
        world.run_for(secs(5));
        for line in 0..10 {
            world.say(line % nodes, &format!("apart {line}"));
            world.run_for(millis(700));
        }
        world.nets[0].links.clear();
        let hosts: Vec<_> = (0..nodes).collect();
        let took = world.run_until(secs(10), |world| owed(world, &hosts) == 0);
        eprintln!("heal: {nodes} nodes hold the same {took:?} after the link is back");
        assert!(took.is_some_and(|took| took <= millis(1000)), "{nodes} nodes: {took:?}");
        all_hold_the_same(&world, &hosts);
    }
}

#[test]
fn neighbours_that_crash_together_are_all_told() {
    for seed in 0..6 {
        let mut world = group(32, seed_or(seed), 0.1);
        let crashed = world.now;
        for victim in 0..12 {
            world.crash(victim);
        }
        world.run_for(secs(12));
        let others: Vec<_> = (12..32).collect();
        let took: Vec<_> = (0..12).map(|victim| slowest(&told(&world, &others, victim, lost), crashed)).collect();
        let worst = took.iter().copied().try_fold(Duration::ZERO, |most, took| Some(most.max(took?)));
        assert!(worst.is_some_and(|worst| worst < secs(7)), "seed {seed}: {took:?}");
        no_false_alarm(&world, &(0..12).collect::<Vec<_>>(), "twelve crashes");
    }
}

#[test]
fn whom_probes_do_not_reach_is_not_taken_for_lost() {
    // From n1 to n0 unicast is eaten, or from n0 to n1, or all unicast is.
    let all = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    let cases = [5, 8, 20, 59].into_iter().flat_map(|seed| [&all[1..2], &all[..1], &all[..2], &all].map(|l| (seed, l)));
    for (seed, links) in cases {
        for before in [false, true] {
            let mut world = World::of(3, seed_or(seed), Faults::NONE);
            if !before {
                world.run_for(secs(5));
            }
            for &link in links {
                world.nets[0].links.insert(link, Faults { blocked: Cast::Unicast.bit(), ..Faults::NONE });
            }
            world.run_for(secs(60));
            no_false_alarm(&world, &[], &format!("{links:?}"));
            let suspicions = stats(&world, |stats| stats.suspicions);
            assert!(suspicions <= 8, "{links:?}: suspected {suspicions} times");
            world.crash(2);
            world.run_for(secs(12));
            assert!(told(&world, &[0, 1], 2, lost).iter().all(Option::is_some), "{links:?}: silence tells in the end");
            // Who hears the other by its hellos alone does not take itself for gone.
            no_false_alarm(&world, &[2], &format!("n2 crashed, {links:?}"));
        }
    }
}

#[test]
fn who_is_heard_but_hears_nothing_is_missed_once_at_most() {
    for seed in 0..5 {
        let mut world = group(2, seed_or(seed), 0.0);
        world.nets[0].links.insert((0, 1), Faults { blocked: 7, ..Faults::NONE });
        world.run_for(secs(120));
        let missed = count(&world, 0, |event| lost(event).is_some());
        assert!(missed <= 1, "seed {seed}: n0 hears n1 all the time and misses it {missed} times");
    }
}

#[test]
fn a_newcomer_sees_all_of_a_large_group_soon_where_hellos_are_rare() {
    for n in 0..4 {
        let mut world = group(32, seed_or(80) + n, 0.0);
        world.nets[0].default = Faults::rough(0.3, 0.0, 2);
        let late = world.add_host(&[0], |_| {});
        world.start(late);
        let sees = |world: &World| count(world, late, |event| matches!(event, Event::Joined(..)));
        // One of them may have heard none of its hellos, and waits for the next.
        let most = world.run_until(secs(60), |world| sees(world) >= 31);
        let all = world.run_until(secs(60), |world| sees(world) == 32);
        eprintln!("met: a newcomer sees 31 of 32 at 0.3 loss after {most:?}, and the last {all:?} later");
        assert!(most.is_some_and(|took| took <= secs(2)) && all.is_some(), "{most:?}, {all:?}");
    }
}

#[test]
fn who_says_much_at_once_is_met_as_soon_as_anybody() {
    let mut world = World::trusting(24, seed_or(33), Faults::NONE);
    let busy = world.add_host(&[0], |config| {
        config.static_peers = (0..180u16).map(|n| std::net::SocketAddr::from(([10, 9, 9, 9], 6000 + n))).collect();
    });
    // It hears nothing of the others but their challenges.
    let casts = Cast::Broadcast.bit() | Cast::Multicast.bit();
    for other in 0..24 {
        world.nets[0].links.insert((other, busy), Faults { blocked: casts, ..Faults::NONE });
    }
    world.start(busy);
    world.run_for(millis(60));
    let joined = |event: &Event| matches!(event, Event::Joined(name, _) if name.nick.as_str() == "n24");
    let met: usize = (0..24).map(|other| count(&world, other, joined)).sum();
    assert_eq!(met, 24, "a hello lies hundreds of datagrams before the proof");
}

#[test]
fn who_hears_nothing_from_the_start_is_known_and_never_wrongly() {
    let deaf = |world: &World, host: usize, name: &str| {
        let why = world.hosts[host].node.as_ref().expect("runs").why(name);
        why.is_ok_and(|why| matches!(why.state, WhyState::Deaf(_)))
    };
    let mut world = World::of(3, seed_or(30), Faults::NONE);
    for host in [0, 2] {
        world.nets[0].links.insert((host, 1), Faults { blocked: 7, ..Faults::NONE });
    }
    world.run_for(secs(6));
    assert!(deaf(&world, 0, "n1") && deaf(&world, 2, "n1"), "it is heard, and answers nothing");
    assert!(!deaf(&world, 0, "n2") && world.hosts[1].node.as_ref().expect("runs").why("n0").is_err());
    let shown = |world: &World, host: usize| world.hosts[host].node.as_ref().expect("runs").deaf().len();
    world.run_for(secs(30));
    assert_eq!([0, 1, 2].map(|host| shown(&world, host)), [1, 0, 1]);
    world.nets[0].links.clear();
    assert!(world.run_until(secs(5), all_met).is_some(), "nothing is wrong any more");
    assert!(!deaf(&world, 0, "n1"));
    // Loss is no deafness.
    for seed in 0..20 {
        let mut world = World::trusting(4, seed_or(31) + seed, Faults::rough(0.3, 0.0, 2));
        for _ in 0..100 {
            world.run_for(millis(100));
            let wrong = (0..4).find(|&host| (0..4).any(|other| deaf(&world, host, &format!("n{other}"))));
            assert_eq!(wrong, None, "seed {seed}");
        }
    }
}

#[test]
fn a_probe_is_answered_once_to_one_with_no_more_than_it_was() {
    let mut world = World::of(2, seed_or(4), Faults::NONE);
    world.run_for(secs(2));
    world.tap = Some(Vec::new());
    world.run_for(secs(10));
    let sent = world.tap.take().expect("tapped");
    let shown = |what: &str| {
        let is = |bytes: &[u8]| udpnode::wire::dump::dump(bytes).contains(what);
        let lens: Vec<_> = sent.iter().filter(|sent| is(&sent.bytes)).map(|sent| sent.bytes.len()).collect();
        (lens.len(), lens.iter().copied().max().unwrap_or_default(), lens.iter().copied().min().unwrap_or_default())
    };
    let ((probes, _, shortest), (answers, longest, _)) = (shown(" probe "), shown(" answer "));
    assert!((18..=24).contains(&probes) && answers == probes, "{probes} probes, {answers} answers");
    assert!(longest <= shortest, "an answer of {longest} bytes to a probe of {shortest}");
    // A probe to everybody, or heard twice, is answered by nobody.
    let probe = sent.iter().find(|sent| sent.host == 1 && udpnode::wire::dump::dump(&sent.bytes).contains(" probe "));
    let (probe, unicasts) = (probe.expect("there are some"), world.unicasts);
    for cast in [Cast::Multicast, Cast::Unicast] {
        let datagram =
            Input::Datagram { segment: SegmentId(0), cast, from: probe.from, ttl: None, bytes: &probe.bytes };
        world.input(0, datagram);
    }
    assert_eq!(world.unicasts, unicasts);
}

#[test]
fn round_trip_and_loss_are_measured() {
    let mut faults = Faults::rough(0.2, 0.0, 1);
    faults.delay.0 = millis(2);
    let mut world = World::of(4, seed_or(8), faults);
    // Whom it does not watch each measures twice a minute: long enough for twenty.
    world.run_for(secs(600));
    for host in &world.hosts {
        for peer in host.node.as_ref().expect("runs").peers() {
            let round_trip = peer.round_trip.expect("measured");
            assert!((millis(4)..millis(7)).contains(&round_trip), "{round_trip:?}");
            let loss = peer.loss.expect("measured");
            assert!((10..=65).contains(&loss), "of 100 round trips 36 fail, smoothed: {loss}");
        }
    }
}

#[test]
fn who_is_away_is_told_once_and_seen_by_who_comes_later() {
    let mut world = World::of(3, seed_or(9), Faults::NONE);
    world.run_for(secs(1));
    let away = Line::new("at lunch").expect("short");
    world.input(0, Input::Command(Command::Away(Some(away.clone()))));
    world.run_for(secs(10));
    let late = world.add_host(&[0], |_| {});
    world.start(late);
    world.run_for(secs(2));
    for host in [1, 2, late] {
        let told = |event: &Event| match event {
            Event::Away(name, Some(text)) => name.nick.as_str() == "n0" && *text == away,
            _ => false,
        };
        assert_eq!(count(&world, host, told), 1, "n{host}");
        let node = world.hosts[host].node.as_ref().expect("runs");
        let shown = node.peers().find(|peer| peer.name.nick.as_str() == "n0").and_then(|peer| peer.away);
        assert_eq!(shown.as_ref(), Some(&away));
    }
    world.input(0, Input::Command(Command::Away(None)));
    world.run_for(secs(10));
    for host in [1, 2, late] {
        assert_eq!(count(&world, host, |event| matches!(event, Event::Away(_, None))), 1, "n{host}");
    }
    // However long it is, a hello that tells it and many peers fits a datagram.
    let mut world = World::of(40, seed_or(10), Faults::NONE);
    for host in 0..40 {
        let long = Line::new(&"ä".repeat(10_000)).expect("a line");
        world.input(host, Input::Command(Command::Away(Some(long))));
    }
    world.run_for(secs(5));
    let long = |event: &Event| matches!(event, Event::Away(_, Some(text)) if text.as_str().len() == 80);
    assert_eq!(count(&world, 0, long), 39);
}

#[test]
fn a_quiet_group_stays_within_its_figures() {
    let largest = if cfg!(debug_assertions) { 64 } else { 256 };
    for (nodes, span) in [(2, 60), (32, 60), (largest, 20)] {
        let mut world = group(nodes, seed_or(6), 0.0);
        world.run_for(secs(15));
        let (casts, unicasts) = (world.casts, world.unicasts);
        world.run_for(secs(span));
        let each = |sent: u64| sent as f64 / span as f64;
        let (casts, unicasts) = (each(world.casts - casts), each(world.unicasts - unicasts) / nodes as f64);
        eprintln!("quiet: {nodes} nodes: {casts:.2} casts a second in all, {unicasts:.2} unicasts a second and node");
        assert!(casts <= 8.0 && unicasts <= 5.0, "{nodes} nodes: {casts} casts, {unicasts} unicasts");
        no_false_alarm(&world, &[], "quiet");
    }
}

#[test]
fn fifty_restarts_make_no_storm() {
    let mut world = group(32, seed_or(12), 0.0);
    world.run_for(secs(10));
    let (casts, unicasts, began) = (world.casts, world.unicasts, world.now);
    for _ in 0..50 {
        world.crash(0);
        world.run_for(millis(100));
        world.start(0);
        world.run_for(millis(300));
    }
    let seconds = world.now.since(began).as_secs_f64();
    let casts = (world.casts - casts) as f64 / 50.0;
    let unicasts = (world.unicasts - unicasts) as f64 / 50.0;
    eprintln!("restarts: {casts:.1} casts and {unicasts:.1} unicasts each, in {seconds:.0} s");
    // Each of 31 challenges whoever starts, is answered, greets it and is greeted; its three hellos go by two
    // casts. The rest goes on anyway.
    assert!(casts < 40.0 && unicasts < 31.0 * 5.0 + 64.0, "{casts} casts and {unicasts} unicasts a restart");
    no_false_alarm(&world, &[0], "restarts");
}

/// Node-hours at loss without a false alarm: 256 nodes for an hour at 20 % loss. `HOURS=240 make sim` takes more of
/// them; by itself, and of another size (`long_million` reads `NODES` and `LOSS` as well):
/// `HOURS=240 NODES=256 LOSS=20 cargo test --release --test sim -- --ignored --nocapture long_calm`.
#[test]
#[ignore = "takes as long as it is asked to: make sim"]
fn long_calm() {
    let size = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (nodes, minutes) = (size("NODES", 256) as usize, size("MINUTES", size("HOURS", 1) * 60));
    let loss = size("LOSS", 20) as f64 / 100.0;
    calm(nodes, minutes, loss);
}

#[test]
fn nobody_is_missed_who_is_there() {
    calm(32, 5, 0.2);
    calm(8, 30, 0.2);
    calm(3, 60, 0.3);
}

fn calm(nodes: usize, minutes: u64, loss: f64) {
    let began = Instant::now();
    let mut world = group(nodes, seed_or(20), loss);
    for minute in 1..=minutes {
        world.run_for(secs(60));
        let told = world.hosts.iter().flat_map(|host| &host.events);
        let alarms: Vec<_> = told.filter(|(_, event)| lost(event).is_some()).collect();
        assert!(alarms.is_empty(), "after {minute} minutes: {alarms:?}");
        no_false_alarm(&world, &[], "calm");
        forget(&mut world);
        if minute % 60 == 0 {
            eprintln!("{minute} minutes of {nodes} nodes after {:?}", began.elapsed());
        }
    }
    let of = |counter| stats(&world, counter);
    let (suspicions, probes) = (of(|stats| stats.suspicions), of(|stats| stats.probes));
    assert!(suspicions * 200 <= probes, "{suspicions} suspicions with {probes} probes");
    eprintln!(
        "calm: {nodes} nodes, {loss} loss, {:.1} node-hours in {:?}: 0 false alarms; {} probes, {} suspicions, \
         {} refuted, {} defences",
        (nodes as u64 * minutes) as f64 / 60.0,
        began.elapsed(),
        probes,
        suspicions,
        of(|stats| stats.refuted),
        of(|stats| stats.defences),
    );
}
#[test]
fn all_see_each_other_within_a_second_at_thirty_percent_loss() {
    for (nodes, loss, runs) in [(2, 0.0, 20), (2, 0.3, 200), (4, 0.3, 200), (8, 0.3, 200), (32, 0.2, 10), (32, 0.3, 10)]
    {
        let met = |seed| {
            let mut world = World::trusting(nodes, seed, Faults::rough(loss, 0.0, 2));
            world.run_until(secs(120), all_met).unwrap_or_else(|| panic!("seed {seed}: {nodes} nodes meet"))
        };
        let mut took: Vec<_> = (0..runs).map(|n| met(seed_or(70) + n)).collect();
        took.sort_unstable();
        let at = |percent: usize| took[took.len() * percent / 100];
        eprintln!(
            "met: {nodes} nodes, {loss} loss: half within {:?}, 95 % within {:?}, all {:?}",
            at(50),
            at(95),
            at(99)
        );
        let most = if nodes <= 4 { 99 } else { 95 };
        assert!(at(most) <= secs(1), "{nodes} nodes, {loss} loss: {took:?}");
    }
}
