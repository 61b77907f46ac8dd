//! The checker: compares every member's screen with what was said.

use std::collections::{BTreeMap, BTreeSet};

use udpnode::event::Event;
use udpnode::time::Time;

use crate::world::World;

/// What one node showed of one author: numbers and texts in the order shown.
type Screen = BTreeMap<String, Vec<(u64, String)>>;

/// What a node showed, by author.
pub(crate) fn screen(world: &World, host: usize) -> Screen {
    let mut screen = Screen::new();
    for (_, event) in &world.hosts[host].events {
        if let Event::Message(message) = event {
            let author = screen.entry(message.from.nick.to_string()).or_default();
            author.push((message.seq, message.text.to_string()));
        }
    }
    screen
}

/// What a node itself said.
pub(crate) fn said(world: &World, host: usize) -> Vec<(u64, String)> {
    let sent = world.hosts[host].events.iter().filter_map(|(_, event)| match event {
        Event::Sent { seq, text, .. } => Some((*seq, text.to_string())),
        _ => None,
    });
    sent.collect()
}

/// Messages that a node still has to show.
pub(crate) fn owed(world: &World, hosts: &[usize]) -> usize {
    let said: usize = hosts.iter().map(|&host| world.hosts[host].said).sum();
    let shown: usize = hosts.iter().map(|&host| world.hosts[host].shown).sum();
    (said * (hosts.len() - 1)).saturating_sub(shown)
}

/// A line marked delivered was by then shown by as many as the mark counts.
#[track_caller]
pub(crate) fn marks_are_true(world: &World) {
    let mut shown: BTreeMap<(String, u64, u64), BTreeMap<usize, Time>> = BTreeMap::new();
    for (host, entry) in world.hosts.iter().enumerate() {
        for (at, event) in &entry.events {
            if let Event::Message(message) = event {
                let line = (message.from.nick.to_string(), message.boot, message.seq);
                shown.entry(line).or_default().entry(host).or_insert(*at);
            }
        }
    }
    for (author, entry) in world.hosts.iter().enumerate() {
        let (mut run, mut marked) = (0, BTreeSet::new());
        for (at, event) in &entry.events {
            match event {
                Event::Sent { boot, .. } => run = *boot,
                Event::Delivered { seq, confirmed, online } => {
                    let by = shown.get(&(format!("n{author}"), run, *seq));
                    let held = by.map_or(0, |by| by.values().filter(|shown_at| *shown_at <= at).count());
                    assert!(*confirmed <= held, "n{author}: line {seq} marked {confirmed}/{online}, shown by {held}");
                    assert!(confirmed <= online, "n{author}: line {seq} marked {confirmed}/{online}");
                    assert!(marked.insert((run, *seq)), "n{author}: line {seq} is marked twice");
                }
                _ => {}
            }
        }
    }
}

/// Everybody showed what everybody else said: all of it, once, in its author's order; and no mark
/// tells more than is so.
#[track_caller]
pub(crate) fn all_hold_the_same(world: &World, hosts: &[usize]) {
    marks_are_true(world);
    for &speaker in hosts {
        let (said, nick) = (said(world, speaker), format!("n{speaker}"));
        for &listener in hosts.iter().filter(|&&listener| listener != speaker) {
            let shown = screen(world, listener).remove(&nick).unwrap_or_default();
            if shown != said {
                let at =
                    shown.iter().zip(&said).position(|(a, b)| a != b).unwrap_or_else(|| shown.len().min(said.len()));
                panic!(
                    "n{listener} shows {} of {} lines of {nick}; they part at {at}: {:?} for {:?}",
                    shown.len(),
                    said.len(),
                    shown.get(at),
                    said.get(at),
                );
            }
        }
    }
}

/// How many events of a kind a node was told.
pub(crate) fn count(world: &World, host: usize, is: impl Fn(&Event) -> bool) -> usize {
    world.hosts[host].events.iter().filter(|(_, event)| is(event)).count()
}

/// Everybody knows everybody: each was told that each other joined.
pub(crate) fn all_met(world: &World) -> bool {
    let others = world.hosts.len() - 1;
    (0..world.hosts.len()).all(|host| count(world, host, |event| matches!(event, Event::Joined(..))) == others)
}
