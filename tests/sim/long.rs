//! The big figures. Not run by `cargo test`: they take minutes. `make sim` runs them in release
//! mode; one alone by `cargo test --release --test sim -- --ignored --nocapture long_lone`.
//!
//! The environment sets sizes: of `long_million` `NODES`, `LINES`, `LOSS` (percent) and `GAP_US`
//! (between two lines), of `long_lone` `LONE_LINES`, of `long_quiet` `QUIET_NODES` and `SECONDS`.

use std::time::{Duration, Instant};

use udpnode::rng::Rng;
use udpnode::stats::Stats;

use crate::check::all_met;
use crate::net::Faults;
use crate::watch::Watch;
use crate::world::{World, seed_or};

/// A size from the environment, or this one.
fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A group that has met and said all its greetings, its events judged as they come.
fn group(nodes: usize, seed: u64, faults: Faults) -> World {
    let mut world = World::trusting(nodes, seed, faults);
    assert!(world.run_until(Duration::from_secs(120), all_met).is_some(), "{nodes} nodes meet");
    world.run_for(Duration::from_secs(3));
    for host in &mut world.hosts {
        host.events.clear();
    }
    world.watch = Some(Watch::of(nodes));
    world
}

fn watch(world: &World) -> &Watch {
    world.watch.as_ref().expect("put there by `group`")
}

/// The counters of all nodes together, those that are not zero.
fn counters(world: &World) -> String {
    let nodes = || world.hosts.iter().filter_map(|host| host.node.as_ref());
    let names: Vec<_> = Stats::default().iter().map(|(name, _)| name).collect();
    let sums = names.into_iter().enumerate().map(|(at, name)| {
        let sum: u64 = nodes().filter_map(|node| node.stats().iter().nth(at)).map(|(_, count)| count).sum();
        (name, sum)
    });
    let told: Vec<_> = sums.filter(|(_, sum)| *sum > 0).map(|(name, sum)| format!("{name} {sum}")).collect();
    told.join(", ")
}

/// When everybody has everything, or nearly: the casts and the unicasts that each of so many lines took since then.
fn cost(world: &mut World, (casts, unicasts): (u64, u64), lines: u64) -> (f64, f64) {
    world.run_until(Duration::from_secs(30), |world| watch(world).owed() == 0);
    let each = |sent: u64| sent as f64 / lines as f64;
    (each(world.casts - casts), each(world.unicasts - unicasts))
}

/// A million lines: none lost, none twice, in order, soon, and cheap.
#[test]
#[ignore = "takes an hour in release mode: make sim"]
fn long_million() {
    let (nodes, lines) = (size("NODES", 16) as usize, size("LINES", 1_000_000));
    let (loss, gap) = (size("LOSS", 30) as f64 / 100.0, Duration::from_micros(size("GAP_US", 10_000)));
    let seed = seed_or(1);
    let mut world = group(nodes, seed, Faults::rough(loss, 0.05, 2));
    let (before, began) = ((world.casts, world.unicasts), Instant::now());
    let mut rng = Rng::new(seed);
    for line in 0..lines {
        world.say(rng.below(nodes as u64) as usize, &format!("line {line}"));
        world.run_for(rng.within(gap * 2));
        if line > 0 && line % 100_000 == 0 {
            eprintln!("{line} lines said after {:?}, {} owed", began.elapsed(), watch(&world).owed());
        }
    }
    let (casts, unicasts) = cost(&mut world, before, lines);
    let judged = watch(&world);
    let (p50, p99, max) = (judged.within(0.5), judged.within(0.99), judged.longest());
    eprintln!(
        "long_million: {nodes} nodes, {lines} lines, {loss} loss: {} owed, {} twice, {} out of order, \
         {} false marks, {} alarms; p50 {p50:?}, p99 {p99:?}, max {max:?}; {casts:.2} casts and {unicasts:.2} \
         unicasts a line; {:?} of real time",
        judged.owed(),
        judged.twice,
        judged.disordered,
        judged.false_marks,
        judged.alarms,
        began.elapsed(),
    );
    eprintln!("  {}", counters(&world));
    judged.all_is_well();
    assert!(p99 <= Duration::from_millis(350), "p99 {p99:?}");
    assert!(casts <= 7.0, "{casts} casts a line");
}

/// Lines with nothing before or behind them: no later one tells that one is lacking.
#[test]
#[ignore = "takes minutes: make sim"]
fn long_lone() {
    let (least, gap, loss) = (size("LONE_LINES", 100), Duration::from_secs(3), 0.3);
    let mut missed = Vec::new();
    for nodes in [2, 3, 4, 8, 16, 32, 64] {
        let seed = seed_or(nodes as u64);
        // A percentile needs as many arrivals in a small group as in a large one.
        let lines = least.max(15 * least / (nodes as u64 - 1));
        let mut world = group(nodes, seed, Faults::rough(loss, 0.05, 2));
        let before = (world.casts, world.unicasts);
        let mut rng = Rng::new(seed);
        for line in 0..lines {
            world.say(rng.below(nodes as u64) as usize, &format!("line {line}"));
            world.run_for(gap);
        }
        let (casts, unicasts) = cost(&mut world, before, lines);
        let judged = watch(&world);
        let (p50, p99, max) = (judged.within(0.5), judged.within(0.99), judged.longest());
        eprintln!(
            "long_lone: {nodes} nodes: {} owed, p50 {p50:?}, p99 {p99:?}, max {max:?}; {casts:.2} casts and \
             {unicasts:.2} unicasts a line, with hellos and all; {} alarms",
            judged.owed(),
            judged.alarms
        );
        eprintln!("  {}", counters(&world));
        judged.all_is_well();
        if p99 > Duration::from_millis(300) || max > Duration::from_secs(5) {
            missed.push(format!("{nodes} nodes: p99 {p99:?}, max {max:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// A group that says nothing is quiet, whatever its size.
#[test]
#[ignore = "takes minutes: make sim"]
fn long_quiet() {
    let (nodes, seconds) = (size("QUIET_NODES", 256) as usize, size("SECONDS", 600));
    for loss in [0.0, 0.05] {
        let mut world = group(nodes, seed_or(6), Faults::rough(loss, 0.0, 1));
        world.run_for(Duration::from_secs(60));
        let (casts, unicasts) = (world.casts, world.unicasts);
        world.run_for(Duration::from_secs(seconds));
        let each = |sent: u64| sent as f64 / seconds as f64;
        let (casts, unicasts) = (each(world.casts - casts), each(world.unicasts - unicasts) / nodes as f64);
        let alarms = watch(&world).alarms;
        eprintln!(
            "long_quiet: {nodes} nodes, {loss} loss: {casts:.2} casts a second in all, {unicasts:.3} unicasts a \
             second and node, {alarms} false alarms in {seconds} s"
        );
        eprintln!("  {}", counters(&world));
        assert!(casts <= 8.0, "{casts} casts a second");
        assert!(unicasts <= 5.0, "{unicasts} unicasts a second and node");
        assert_eq!(alarms, 0, "nobody was away");
    }
}
