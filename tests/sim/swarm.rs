//! The swarm: each seed draws a world, its faults and its talk; then all heals and must converge.
//!
//! `UDPNODE_SEEDS=1000 cargo test --release --test sim swarm` runs more than the fixed set;
//! `UDPNODE_SEED=17` replays one.

use std::collections::BTreeMap;
use std::time::Duration;

use udpnode::config::GroupSecret;
use udpnode::event::Event;
use udpnode::rng::Rng;

use crate::check::{marks_are_true, said};
use crate::net::{Burst, Faults};
use crate::world::World;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Seeds that are run when none are asked for.
const SEEDS: u64 = 60;

/// What a seed draws.
#[derive(Debug)]
struct Plan {
    nodes: usize,
    faults: Faults,
    lines: u64,
    gap: Duration,
    /// What else goes wrong while they talk, a thing at a time.
    mishaps: u64,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Self {
        let mut faults = Faults::rough(rng.unit() * 0.3, rng.unit() * 0.3, 1 + rng.below(30));
        if rng.chance(0.3) {
            faults.burst = Some(Burst { begins: 0.005 + rng.unit() * 0.02, ends: 0.1 + rng.unit() * 0.4 });
        }
        if rng.chance(0.3) {
            faults.rate = Some(60_000 + rng.below(2_000_000));
        }
        if rng.chance(0.2) {
            faults.blocked = if rng.chance(0.5) { 4 } else { 2 };
        }
        Self {
            nodes: 2 + rng.below(9) as usize,
            faults,
            lines: 20 + rng.below(120),
            gap: Duration::from_micros(500 + rng.below(40_000)),
            mishaps: rng.below(4),
        }
    }
}

/// Something goes wrong. Returns a node that lost its screen, if that was it.
fn mishap(world: &mut World, rng: &mut Rng) -> Option<usize> {
    let count = world.hosts.len();
    let victim = rng.below(count as u64) as usize;
    match rng.below(4) {
        0 => {
            world.crash(victim);
            if rng.chance(0.7) {
                world.run_for(rng.within(millis(3000)));
                world.start(victim);
            }
            return Some(victim);
        }
        1 => {
            let (left, right): (Vec<_>, Vec<_>) = (0..count).partition(|_| rng.chance(0.5));
            world.nets[0].partition(&left, &right);
        }
        2 => {
            // One direction of one link, or only its casts.
            let other = rng.below(count as u64) as usize;
            let blocked = [7, 6, 4][rng.below(3) as usize];
            let faults = Faults { blocked, ..world.nets[0].default };
            world.nets[0].links.insert((victim, other), faults);
        }
        _ => world.nets[0].links.clear(),
    }
    None
}

/// What a node showed, by the run of its author.
type Logs = BTreeMap<(String, u64), Vec<(u64, String)>>;

fn shown(world: &World, host: usize) -> Logs {
    let mut logs = Logs::new();
    for (_, event) in &world.hosts[host].events {
        if let Event::Message(message) = event {
            let log = logs.entry((message.from.nick.to_string(), message.boot)).or_default();
            log.push((message.seq, message.text.to_string()));
        }
    }
    logs
}

/// Everybody who was there all the time shows the same of every log, and all of those who stayed.
fn converged(world: &World, stayed: &[usize]) -> Result<(), String> {
    let screens: BTreeMap<usize, Logs> = stayed.iter().map(|&host| (host, shown(world, host))).collect();
    for &author in stayed {
        let own = said(world, author);
        for (listener, screen) in screens.iter().filter(|(listener, _)| **listener != author) {
            let seen = screen.get(&(format!("n{author}"), 1)).map_or(&[][..], Vec::as_slice);
            if seen != own {
                return Err(format!("n{listener} shows {} of {} lines of n{author}", seen.len(), own.len()));
            }
        }
    }
    for (a, b) in screens.iter().zip(screens.iter().skip(1)) {
        for (log, lines) in a.1.iter().filter(|(log, _)| log.0 != format!("n{}", b.0)) {
            let other = b.1.get(log).map_or(&[][..], Vec::as_slice);
            if lines != other {
                return Err(format!("{log:?}: n{} shows {} lines, n{} {}", a.0, lines.len(), b.0, other.len()));
            }
        }
    }
    Ok(())
}

/// Nobody ever shows a line twice or out of order, and marks tell no more than is so.
fn safe(world: &World, seed: u64) {
    marks_are_true(world);
    for host in 0..world.hosts.len() {
        for (log, lines) in shown(world, host) {
            // A node that was started anew shows what it showed before, as history.
            let restarts = lines.windows(2).filter(|pair| pair[1].0 <= pair[0].0).count();
            let runs = world.hosts[host].boots() - 1;
            assert!(restarts as u64 <= runs, "seed {seed}: n{host} shows lines of {log:?} twice or out of order");
        }
        // Only what died with the run of its author may be gone.
        let died = |nick: &str| (0..world.hosts.len()).any(|n| nick == format!("n{n}") && world.hosts[n].boots() > 1);
        let gap = |event: &Event| matches!(event, Event::Gap { from, .. } if !died(from.nick.as_str()));
        let gaps = world.hosts[host].events.iter().filter(|(_, event)| gap(event)).count();
        assert_eq!(gaps, 0, "seed {seed}: n{host} was told of a gap though nothing was dropped");
    }
}

/// Every eighth seed speaks sealed: nothing else may be different.
const KEYED_EVERY: u64 = 8;

fn run(seed: u64) {
    let mut rng = Rng::new(seed ^ 0x5EED);
    let plan = Plan::draw(&mut rng);
    let mut world = World::new(seed, Faults::NONE);
    for _ in 0..plan.nodes {
        let host = world.add_host(&[0], |config| {
            config.secrets.extend((seed % KEYED_EVERY == 5).then(|| GroupSecret::new([5; 32])));
        });
        world.start(host);
    }
    world.run_for(millis(2000));
    world.nets[0].default = plan.faults;
    let mut stayed: Vec<_> = (0..plan.nodes).collect();
    let (mut left, step) = (plan.lines, plan.lines / (plan.mishaps + 1) + 1);
    while left > 0 {
        for _ in 0..step.min(left) {
            let speaker = rng.below(plan.nodes as u64) as usize;
            world.say(speaker, &format!("line {left} of n{speaker} in seed {seed}"));
            world.run_for(rng.within(plan.gap * 2));
            left -= 1;
        }
        if left > 0
            && let Some(victim) = mishap(&mut world, &mut rng)
        {
            stayed.retain(|&host| host != victim);
        }
    }
    world.nets[0].heal();
    let mut why = Ok(());
    for _ in 0..60 {
        world.run_for(millis(500));
        why = converged(&world, &stayed);
        if why.is_ok() {
            break;
        }
    }
    assert_eq!(why, Ok(()), "seed {seed}: no agreement 30 s after all was healed; {plan:?}");
    safe(&world, seed);
    quiet(&mut world, seed);
}

/// Once all agree nothing is repeated, asked for or repaired any more.
fn quiet(world: &mut World, seed: u64) {
    // Who crashed is asked for what only it had as long as it is thought to be there.
    let missed = |world: &World| {
        let alive = world.hosts.iter().filter(|host| host.node.is_some()).count();
        let nodes = world.hosts.iter().filter_map(|host| host.node.as_ref());
        nodes.map(|node| node.peers().filter(|peer| peer.online).count()).all(|online| online < alive)
    };
    assert!(world.run_until(millis(60_000), missed).is_some(), "seed {seed}: the dead are thought to be there");
    world.run_for(millis(5000));
    let work = |world: &World| -> u64 {
        let nodes = world.hosts.iter().filter_map(|host| host.node.as_ref());
        nodes.map(|node| node.stats().nacks + node.stats().repairs + node.stats().repeats).sum()
    };
    let (before, casts) = (work(world), world.casts);
    world.run_for(millis(10_000));
    assert_eq!(work(world), before, "seed {seed}: somebody still asks, repairs or repeats");
    let per_second = (world.casts - casts) / 10;
    assert!(per_second <= 8, "seed {seed}: {per_second} casts a second in a quiet group");
}

#[test]
fn swarm() {
    if let Ok(seed) = std::env::var("UDPNODE_SEED") {
        return run(seed.parse().expect("a number"));
    }
    let count = std::env::var("UDPNODE_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS);
    (0..count).for_each(run);
}
