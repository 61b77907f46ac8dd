//! What a part of the protocol is there for, told by a bound: datagrams, requests and time.
//!
//! Lines arrive even when half of the protocol is broken, for the other half repairs it: what is
//! broken shows in what it costs. The bounds stand above what is measured, but not far. Run by
//! `cargo test --test sim bounds`; `make mutants` proves that they bind.

use std::time::Duration;

use udpnode::address::SegmentId;
use udpnode::command::{CastChoice, Command};
use udpnode::event::{Event, Outcome};
use udpnode::node::Input;
use udpnode::rng::Rng;
use udpnode::stats::Stats;

use crate::check::{all_hold_the_same, all_met, count, owed, screen};
use crate::net::Faults;
use crate::watch::Watch;
use crate::world::{World, seed_or};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn stats(world: &World, host: usize) -> &Stats {
    world.hosts[host].node.as_ref().expect("runs").stats()
}

fn sum(world: &World, counter: fn(&Stats) -> u64) -> u64 {
    world.hosts.iter().filter_map(|host| host.node.as_ref()).map(|node| counter(node.stats())).sum()
}

/// What a conversation cost, for each line, and how it went.
struct Cost {
    lines: u64,
    casts: f64,
    unicasts: f64,
    nacks: f64,
    repairs: f64,
    repeats: f64,
    frontiers: f64,
    watch: Watch,
}

impl Cost {
    fn millis(&self, part: f64) -> f64 {
        self.watch.within(part).as_secs_f64() * 1000.0
    }

    /// All arrived, all was marked, and nothing is above its bound.
    #[track_caller]
    fn is_within(&self, name: &str, bounds: &[(&str, f64, f64)]) {
        let told: Vec<_> = bounds.iter().map(|(what, is, _)| format!("{what} {is:.2}")).collect();
        eprintln!("{name}: {}", told.join(", "));
        self.watch.all_is_well();
        assert_eq!(self.watch.full_marks, self.lines, "{name}: every line is marked as held by all");
        let over: Vec<_> = bounds.iter().filter(|(_, is, most)| is > most).collect();
        assert!(over.is_empty(), "{name}: over their bounds: {over:?}");
    }
}

fn converse(nodes: usize, faults: Faults, lines: u64, gap: Duration) -> Cost {
    let seed = seed_or(77);
    let mut world = World::of(nodes, seed, faults);
    assert!(world.run_until(secs(60), all_met).is_some());
    world.run_for(secs(2));
    world.watch = Some(Watch::of(nodes));
    let counters: [fn(&Stats) -> u64; 4] = [|s| s.nacks, |s| s.repairs, |s| s.repeats, |s| s.frontiers];
    let all = |world: &World| counters.map(|counter| sum(world, counter));
    // Watching over each other goes on whatever is said: it has figures of its own.
    let unicast = |world: &World| world.unicasts - sum(world, |s| s.probes + s.answers);
    let (before, casts, unicasts) = (all(&world), world.casts, unicast(&world));
    let mut rng = Rng::new(seed);
    for line in 0..lines {
        world.say(rng.below(nodes as u64) as usize, &format!("line {line}"));
        world.run_for(gap);
    }
    world.run_for(secs(5));
    let each = |sent: u64| sent as f64 / lines as f64;
    let after = all(&world);
    let [nacks, repairs, repeats, frontiers] = [0, 1, 2, 3].map(|at| each(after[at] - before[at]));
    let (casts, unicasts) = (each(world.casts - casts), each(unicast(&world) - unicasts));
    let watch = world.watch.take().expect("put there above");
    Cost { lines, casts, unicasts, nacks, repairs, repeats, frontiers, watch }
}

#[test]
fn bounds_of_a_busy_talk() {
    let cost = converse(16, Faults::rough(0.2, 0.05, 1), 300, millis(10));
    let bounds = [
        ("casts", cost.casts, 5.5),
        ("unicasts", cost.unicasts, 25.0),
        ("nacks", cost.nacks, 1.2),
        ("repairs", cost.repairs, 1.0),
        ("repeats", cost.repeats, 2.0),
        ("frontiers", cost.frontiers, 25.0),
        ("p99 ms", cost.millis(0.99), 320.0),
    ];
    cost.is_within("busy", &bounds);
}

#[test]
fn bounds_of_lone_lines() {
    let cost = converse(8, Faults::rough(0.2, 0.05, 1), 60, secs(2));
    let bounds = [
        ("casts", cost.casts, 18.5),
        ("unicasts", cost.unicasts, 22.0),
        ("nacks", cost.nacks, 0.3),
        ("repeats", cost.repeats, 3.0),
        ("frontiers", cost.frontiers, 24.0),
        ("p99 ms", cost.millis(0.99), 250.0),
        ("longest ms", cost.millis(1.0), 800.0),
    ];
    cost.is_within("lone", &bounds);
}

#[test]
fn bounds_of_a_clean_network() {
    let cost = converse(16, Faults::NONE, 300, millis(10));
    let bounds = [
        ("casts", cost.casts, 1.3),
        ("unicasts", cost.unicasts, 16.0),
        ("nacks", cost.nacks, 0.0),
        ("repairs", cost.repairs, 0.0),
        ("repeats", cost.repeats, 0.0),
        ("p99 ms", cost.millis(0.99), 1.0),
    ];
    cost.is_within("clean", &bounds);
}

#[test]
fn who_does_not_read_is_not_waited_for_for_ever() {
    let mut world = World::of(3, seed_or(71), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(2));
    world.input(1, Input::Reader { ready: false });
    world.say(0, "one of you does not read");
    let marks = |world: &World| count(world, 0, |event| matches!(event, Event::Delivered { .. }));
    world.run_for(secs(25));
    assert_eq!(marks(&world), 0, "it may still read");
    world.run_for(secs(10));
    let mark = |event: &Event| matches!(event, Event::Delivered { seq: 1, confirmed: 1, online: 2 });
    assert_eq!(count(&world, 0, mark), 1);
    // What it cannot take it does not ask for.
    for line in 0..1100 {
        world.say(0, &format!("line {line} {}", "x".repeat(900)));
        world.run_for(millis(10));
    }
    let before = (stats(&world, 0).repairs, stats(&world, 2).repairs);
    for line in 0..30 {
        world.say(0, &format!("line {line} of those at the end"));
        world.run_for(secs(1));
    }
    assert!(stats(&world, 1).too_far_ahead > 0, "there is more than it takes");
    let repairs = stats(&world, 0).repairs + stats(&world, 2).repairs - before.0 - before.1;
    assert!(repairs < 100, "{repairs} entries in half a minute");
    world.input(1, Input::Reader { ready: true });
    world.run_for(secs(5));
    all_hold_the_same(&world, &[0, 1, 2]);
}

#[test]
fn what_is_said_again_by_others_keeps_nobody_alive() {
    let mut world = World::of(3, seed_or(72), Faults::NONE);
    world.tap = Some(Vec::new());
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(5));
    let heard: Vec<_> = world.tap.take().expect("tapped").into_iter().filter(|sent| sent.host == 1).collect();
    world.crash(1);
    for _ in 0..20 {
        for sent in &heard {
            let (segment, cast, from) = (SegmentId(0), sent.cast, sent.from);
            world.input(0, Input::Datagram { segment, cast, from, ttl: None, bytes: &sent.bytes });
        }
        world.run_for(secs(1));
    }
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Lost(..))), 1);
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Back(..))), 0);
    assert!(stats(&world, 0).replayed > 0);
}

#[test]
fn who_cannot_hear_the_author_is_given_its_lines_by_others() {
    let mut world = World::of(4, seed_or(73), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(3));
    world.nets[0].links.insert((0, 1), Faults { blocked: 7, ..Faults::NONE });
    world.say(0, "pass it on");
    let took = world.run_until(secs(5), |world| owed(world, &[0, 1, 2, 3]) == 0);
    eprintln!("given by others within {took:?}");
    assert!(took.is_some_and(|took| took < secs(2)), "{took:?}");
}

#[test]
fn what_nobody_has_is_not_asked_for_for_ever() {
    let mut world = World::of(3, seed_or(74), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(2));
    // Hellos come by broadcast and tell that there is a line; entries go by multicast.
    for other in [1, 2] {
        world.nets[0].links.insert((0, other), Faults { blocked: 5, ..Faults::NONE });
    }
    world.say(0, "heard by nobody");
    let known = world.run_until(secs(5), |world| stats(world, 1).nacks + stats(world, 2).nacks > 0);
    assert!(known.is_some(), "nobody asked");
    world.crash(0);
    assert!(!screen(&world, 1).contains_key("n0") && !screen(&world, 2).contains_key("n0"));
    world.run_for(secs(90));
    let before = sum(&world, |stats| stats.nacks);
    world.run_for(secs(20));
    assert_eq!(sum(&world, |stats| stats.nacks), before, "still asking");
}

#[test]
fn what_was_dropped_is_told_as_a_gap_and_counted() {
    let mut world = World::new(seed_or(75), Faults::NONE);
    for _ in 0..2 {
        let host = world.add_host(&[0], |config| config.entries_max = 50);
        world.start(host);
    }
    assert!(world.run_until(secs(5), all_met).is_some());
    world.say(0, "before");
    world.run_for(secs(2));
    world.nets[0].partition(&[0], &[1]);
    world.run_for(secs(20));
    for line in 0..200 {
        world.say(0, &format!("line {line}"));
        world.run_for(millis(10));
    }
    world.nets[0].heal();
    let shown = |world: &World| screen(world, 1)["n0"].len();
    let took = world.run_until(secs(10), |world| shown(world) >= 51);
    eprintln!("what is left came within {took:?}");
    assert_eq!(shown(&world), 51);
    assert!(took.is_some_and(|took| took < millis(300)), "{took:?}");
    let told = world.hosts[1].events.iter().filter_map(|(_, event)| match event {
        Event::Gap { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(told.sum::<u64>(), 150);
}

/// While somebody talks what was told of a log is soon old: who asks learns from the answer what is not there any more.
#[test]
fn who_asks_for_what_is_gone_is_told_so() {
    const SEEDS: u32 = 40;
    let mut all = Duration::ZERO;
    for seed in 0..SEEDS {
        let mut world = World::new(seed_or(84) + u64::from(seed), Faults::NONE);
        let author = world.add_host(&[0], |config| config.entries_max = 100);
        world.start(author);
        let late = world.add_host(&[0], |config| config.history = 50);
        world.nets[0].links.insert((author, late), Faults { loss: 0.5, ..Faults::NONE });
        let mut lines = (0..4000).map(|n| format!("line {n}"));
        let mut talk = |world: &mut World| lines.next().map(|line| world.say(author, &line)).is_some();
        (0..500).for_each(|_| {
            talk(&mut world);
            world.run_for(millis(5));
        });
        world.start(late);
        let joined = world.now;
        while !screen(&world, late).contains_key("n0") && talk(&mut world) {
            world.run_for(millis(5));
        }
        all += world.now.since(joined);
    }
    eprintln!("who joins while somebody talks and every second datagram is lost sees a line after {:?}", all / SEEDS);
    assert!(all / SEEDS < millis(2800), "{:?}", all / SEEDS);
}

/// What is here is not given up because its author dropped what follows it, or left with it.
#[test]
fn what_waits_for_a_reader_is_not_skipped() {
    for leaves in [false, true] {
        let mut world = World::new(seed_or(86), Faults::NONE);
        let author = world.add_host(&[0], |config| config.entries_max = 150);
        let stopped = world.add_host(&[0], |config| config.ahead_max = 32);
        (0..2).for_each(|host| world.start(host));
        assert!(world.run_until(secs(5), all_met).is_some());
        world.run_for(secs(2));
        world.input(stopped, Input::Reader { ready: false });
        let mut said = 0;
        let mut talk = |world: &mut World, count: u32| {
            for _ in 0..count {
                world.say(author, &format!("line {said}"));
                world.run_for(millis(10));
                said += 1;
            }
        };
        talk(&mut world, 30);
        world.run_for(secs(40));
        talk(&mut world, 400);
        if leaves {
            world.input(author, Input::Command(Command::Quit));
            world.input(author, Input::Command(Command::Quit));
            let other = world.add_host(&[0], |_| {});
            world.start(other);
        }
        world.run_for(secs(20));
        world.input(stopped, Input::Reader { ready: true });
        world.run_for(secs(40));
        let shown = &screen(&world, stopped)["n0"];
        let first = (0..30).map(|n| format!("line {n}"));
        assert!(shown.iter().map(|(_, text)| text.clone()).take(30).eq(first), "it left: {leaves}; {shown:?}");
        let gap = |event: &Event| matches!(event, Event::Gap { .. });
        assert!(count(&world, stopped, gap) >= 1, "what follows is told as lost");
    }
}

/// Frontiers differ all the time where two talk, and are compared nevertheless.
#[test]
fn what_one_said_who_left_is_seen_while_others_talk() {
    for seed in 0..5 {
        let mut world = World::of(5, seed_or(seed), Faults::NONE);
        assert!(world.run_until(secs(5), all_met).is_some());
        world.run_for(secs(2));
        let talk = |world: &mut World, seconds: u64| {
            for line in 0..seconds * 20 {
                world.say(0, &format!("one {line}"));
                world.run_for(millis(25));
                world.say(1, &format!("two {line}"));
                world.run_for(millis(25));
            }
        };
        let (dan, cleo) = (2, 3);
        world.nets[0].partition(&[cleo], &[0, 1, dan, 4]);
        talk(&mut world, 10);
        world.say(dan, "meet at five");
        talk(&mut world, 2);
        world.input(dan, Input::Command(Command::Quit));
        talk(&mut world, 3);
        world.nets[0].heal();
        talk(&mut world, 15);
        let shown = screen(&world, cleo);
        assert!(shown.contains_key("n2"), "seed {seed}: it is not shown while others talk");
    }
}

#[test]
fn repairs_never_take_more_than_their_budget() {
    let mut world = World::new(seed_or(76), Faults::NONE);
    let author = world.add_host(&[0], |_| {});
    world.start(author);
    let text = "x".repeat(800);
    for _ in 0..3000 {
        world.say(author, &text);
    }
    for _ in 0..6 {
        let late = world.add_host(&[0], |config| config.history = 3000);
        world.start(late);
    }
    let (mut most, casts) = (0, stats(&world, author).casts);
    for _ in 0..5 {
        let before = stats(&world, author).sent_bytes;
        world.run_for(secs(1));
        most = most.max(stats(&world, author).sent_bytes - before);
    }
    assert!(most > 1_000_000, "there was something to repair: {most}");
    assert!(most < 2_300_000, "{most} bytes in a second");
    let casts = stats(&world, author).casts - casts;
    eprintln!("repairs: {most} bytes in a second at most, {casts} casts");
    assert!(casts < 200, "{casts} casts: what one alone is asked for is for one alone");
}

#[test]
fn a_pipe_is_faster_where_it_can_be() {
    let mut world = World::of(3, seed_or(78), Faults::NONE);
    let piped = world.add_host(&[0], |config| config.piped = true);
    world.start(piped);
    world.input(piped, Input::Command(Command::LineWaiting));
    world.run_for(secs(2));
    let mut left = 3000;
    let began = world.now;
    while left > 0 && world.now.since(began) < secs(60) {
        while left > 0 && world.hosts[piped].node.as_ref().is_some_and(|node| node.wants_line()) {
            world.say(piped, &"x".repeat(600));
            left -= 1;
        }
        world.run_for(Duration::from_micros(500));
    }
    world.input(piped, Input::Command(Command::EndOfInput));
    let done = |world: &World| count(world, piped, |event| *event == Event::Done(Outcome::Complete)) == 1;
    let ended = world.run_until(secs(10), done);
    assert!(left == 0 && ended.is_some(), "{left} left, {ended:?}");
    let took = world.now.since(began);
    eprintln!("pipe: 3000 lines in {took:?}");
    assert!(took < millis(300), "3000 lines in {took:?}");
}

/// Where nothing that is sent to one alone gets through, much is said, and some is lost.
#[test]
fn what_is_lost_where_casts_alone_get_through_is_repaired() {
    for (seed, loss, within) in [(84, 0.0, secs(1)), (85, 0.05, secs(20))] {
        let faults = Faults { blocked: 1, ..Faults::rough(loss, 0.0, 1) };
        let mut world = World::of(3, seed_or(seed), faults);
        assert!(world.run_until(secs(30), all_met).is_some());
        world.run_for(secs(3));
        let (mut left, began) = (2000, world.now);
        while left > 0 && world.now.since(began) < secs(120) {
            while left > 0 && world.hosts[0].node.as_ref().is_some_and(|node| node.wants_line()) {
                world.say(0, &"x".repeat(900));
                left -= 1;
            }
            world.run_for(millis(1));
        }
        let took = world.run_until(secs(60), |world| owed(world, &[0, 1, 2]) == 0);
        let all = world.now.since(began);
        eprintln!("2000 lines by cast alone at loss {loss}: {all:?}");
        assert!(left == 0 && took.is_some(), "{left} left, {} owed", owed(&world, &[0, 1, 2]));
        assert!(all < within, "{all:?}");
    }
}

#[test]
fn what_is_only_out_of_order_is_not_asked_for() {
    let cost = converse(2, Faults::rough(0.0, 0.05, 3), 300, millis(1));
    let bounds = [("nacks", cost.nacks, 0.0), ("repairs", cost.repairs, 0.0), ("p99 ms", cost.millis(0.99), 4.0)];
    cost.is_within("reordered", &bounds);
}

/// A line that nobody heard, and one behind it that tells all: on a slow network, where the answer
/// is long under way, most must hear that somebody has asked already.
#[test]
fn what_all_lack_is_asked_for_by_few() {
    let count = 32;
    let slow = Faults { delay: (millis(20), millis(5)), ..Faults::NONE };
    let mut world = World::of(count, seed_or(79), slow);
    assert!(world.run_until(secs(60), all_met).is_some());
    world.run_for(secs(2));
    let hosts: Vec<_> = (0..count).collect();
    let before = (sum(&world, |stats| stats.nacks), sum(&world, |stats| stats.repairs));
    for line in 0..20 {
        for other in 1..count {
            world.nets[0].links.insert((0, other), Faults { blocked: 7, ..slow });
        }
        world.say(0, &format!("lost {line}"));
        world.nets[0].links.clear();
        world.say(0, &format!("heard {line}"));
        world.run_for(secs(1));
    }
    let each = |sum: u64, before: u64| (sum - before) as f64 / 20.0;
    let nacks = each(sum(&world, |stats| stats.nacks), before.0);
    let repairs = each(sum(&world, |stats| stats.repairs), before.1);
    eprintln!("all lack it: {nacks} requests and {repairs} repairs of {} who lack it", count - 1);
    all_hold_the_same(&world, &hosts);
    assert!(nacks < 8.0, "{nacks} requests");
    assert!(repairs < 3.0, "{repairs} repairs");
}

/// Marks are about those who were there when a line was said, and about nobody else.
#[test]
fn who_comes_later_does_not_matter_to_marks() {
    for hears in [false, true] {
        let mut world = World::new(seed_or(80), Faults::NONE);
        for _ in 0..2 {
            let host = world.add_host(&[0], |config| config.cast = CastChoice::Multicast);
            world.start(host);
        }
        assert!(world.run_until(secs(5), all_met).is_some());
        world.run_for(secs(2));
        world.input(1, Input::Reader { ready: false });
        world.say(0, "for one who does not read it yet");
        let late = world.add_host(&[0], |_| {});
        if !hears {
            // Hellos come by broadcast and tell that there is a line; nothing brings it.
            for from in [0, 1] {
                world.nets[0].links.insert((from, late), Faults { blocked: 5, ..Faults::NONE });
            }
        }
        world.start(late);
        let met = |world: &World| world.hosts[0].node.as_ref().is_some_and(|node| node.peers().count() == 2);
        assert!(world.run_until(secs(3), met).is_some());
        world.run_for(millis(1500));
        assert_eq!(screen(&world, late).contains_key("n0"), hears);
        world.input(1, Input::Reader { ready: true });
        // Sooner than nothing is expected any more of one who never confirmed anything.
        world.run_for(secs(1));
        let mark = |event: &Event| matches!(event, Event::Delivered { seq: 1, confirmed: 1, online: 1 });
        assert_eq!(count(&world, 0, mark), 1, "the late one hears it: {hears}");
    }
}

#[test]
fn others_answer_at_once_for_an_author_who_left() {
    let mut world = World::of(4, seed_or(81), Faults::NONE);
    assert!(world.run_until(secs(5), all_met).is_some());
    world.run_for(secs(3));
    world.nets[0].links.insert((0, 1), Faults { blocked: 7, ..Faults::NONE });
    world.say(0, "my last word");
    world.run_for(millis(20));
    // The second time ends the wait for confirmations.
    world.input(0, Input::Command(Command::Quit));
    world.input(0, Input::Command(Command::Quit));
    let nacks = stats(&world, 1).nacks;
    let asked = world.run_until(secs(8), |world| stats(world, 1).nacks > nacks);
    let came = world.run_until(secs(8), |world| screen(world, 1).contains_key("n0"));
    eprintln!("asked after {asked:?}, came {came:?} later");
    assert!(asked.is_some() && came.is_some_and(|came| came < millis(40)), "{asked:?}, {came:?}");
}

/// Of many who hold what a dead author said, one answers who asks them all.
#[test]
fn what_a_dead_author_said_is_repaired_by_one() {
    let count = 12;
    let mut world = World::of(count, seed_or(82), Faults::NONE);
    assert!(world.run_until(secs(60), all_met).is_some());
    world.run_for(secs(2));
    let others: Vec<_> = (0..count).filter(|&host| host != 1).collect();
    world.nets[0].partition(&[1], &others);
    for line in 0..5 {
        world.say(0, &format!("last word {line}"));
    }
    world.run_for(secs(5));
    world.crash(0);
    world.run_for(secs(25));
    world.nets[0].heal();
    let before = sum(&world, |stats| stats.repairs);
    let took = world.run_until(secs(30), |world| screen(world, 1).get("n0").is_some_and(|said| said.len() == 5));
    world.run_for(secs(5));
    let repairs = sum(&world, |stats| stats.repairs) - before;
    eprintln!("five lines of a dead author came after {took:?}, with {repairs} repairs");
    assert!(took.is_some_and(|took| took < secs(3)), "{took:?}");
    assert!(repairs <= 10, "{repairs} repairs of five lines");
}
