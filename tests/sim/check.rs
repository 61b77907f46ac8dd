//! The checker: compares every member's screen with what was said.

use std::collections::BTreeMap;

use udpnode::event::Event;

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

/// Everybody showed what everybody else said: all of it, once, in its author's order.
#[track_caller]
pub(crate) fn all_hold_the_same(world: &World, hosts: &[usize]) {
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
