//! One peer: its name, its presence, and the paths on which it is heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Origin;
use super::quality::{Budget, Quality};
use crate::address::{Cast, SegmentId};
use crate::text::{Line, Nick};
use crate::time::Time;

/// What is heard within this many hello periods is heard now.
const FRESH_PERIODS: u32 = 3;

/// Whether a peer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Heard within its time.
    Online,
    /// Silent for too long.
    Lost,
    /// It said bye.
    Left,
}

/// Somebody else.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it calls itself.
    pub nick: Nick,
    /// What it says about being away, if it is.
    pub away: Option<Line>,
    /// Its run.
    pub boot: u64,
    /// Its key is for this run only.
    pub ephemeral: bool,
    /// It accepts streams on the port of its unicast socket.
    pub listens: bool,
    /// Whether it is there.
    pub presence: Presence,
    /// When its first hello of this run came.
    pub met_at: Time,
    /// When it joined or came back.
    pub joined_at: Time,
    /// When it was heard last.
    pub heard_at: Time,
    /// How often it says hello, as it says.
    pub every: Duration,
    /// What probes tell of the way to it and back.
    pub quality: Quality,
    pub(super) accusations: Budget,
    /// Where it is heard, by segment.
    pub paths: BTreeMap<SegmentId, Path>,
    pub(super) window: Window,
    last_address: SocketAddr,
}

/// How a peer is heard on one segment.
#[derive(Clone, Debug)]
pub struct Path {
    /// The source of its last datagram there; never something it says.
    pub address: SocketAddr,
    /// When it was first heard there.
    pub(super) since: Time,
    heard: [Option<Time>; 3],
    hears_us: Option<u8>,
}

impl Peer {
    pub(super) fn new(nick: Nick, origin: &Origin, now: Time, every: Duration) -> Self {
        Self {
            nick,
            away: None,
            boot: origin.boot,
            ephemeral: false,
            listens: false,
            presence: Presence::Online,
            met_at: now,
            joined_at: now,
            heard_at: now,
            every,
            quality: Quality::default(),
            accusations: Budget::default(),
            paths: BTreeMap::new(),
            window: Window::default(),
            last_address: origin.address,
        }
    }

    /// Where it was heard last, even if that segment is gone.
    #[must_use]
    pub const fn last_address(&self) -> SocketAddr {
        self.last_address
    }

    pub(super) fn note_path(&mut self, origin: &Origin, now: Time) {
        (self.heard_at, self.last_address) = (now, origin.address);
        let fresh = Path { address: origin.address, since: now, heard: [None; 3], hears_us: None };
        let path = self.paths.entry(origin.segment).or_insert(fresh);
        path.address = origin.address;
        path.heard[slot(origin.cast)] = Some(now);
    }

    pub(super) fn note_hears_us(&mut self, segment: SegmentId, casts: u8) {
        if let Some(path) = self.paths.get_mut(&segment) {
            path.hears_us = Some(casts);
        }
    }

    /// Whether no cast of ours is known to reach it on any path.
    pub(super) fn is_afar(&self, now: Time) -> bool {
        self.paths.values().all(|path| path.only_unicast(now, self.every))
    }

    /// The segments where it is heard now, and its address there.
    pub fn fresh_paths(&self) -> impl Iterator<Item = (SegmentId, &Path)> {
        let fresh = self.paths.iter().filter(|(_, path)| path.heard_casts(self.heard_at, self.every) != 0);
        fresh.map(|(&segment, path)| (segment, path))
    }

    /// The segment and address to reach it by: the lowest segment where it is heard now and does not
    /// say that it hears nothing of us, else the lowest where it is heard now, else the one where it
    /// was heard last.
    #[must_use]
    pub fn best_path(&self) -> Option<(SegmentId, SocketAddr)> {
        let both_ways = self.fresh_paths().find(|(_, path)| path.hears_us != Some(0));
        if let Some((segment, path)) = both_ways.or_else(|| self.fresh_paths().next()) {
            return Some((segment, path.address));
        }
        let best = self.paths.iter().max_by_key(|(_, path)| path.heard_last());
        best.map(|(&segment, path)| (segment, path.address))
    }
}

impl Path {
    /// The casts by which the peer is heard now, as bits.
    #[must_use]
    pub fn heard_casts(&self, now: Time, every: Duration) -> u8 {
        let casts = [Cast::Unicast, Cast::Broadcast, Cast::Multicast];
        let fresh = |at: Option<Time>| at.is_some_and(|at| now.since(at) <= every * FRESH_PERIODS);
        casts.into_iter().filter(|&cast| fresh(self.heard[slot(cast)])).map(Cast::bit).sum()
    }

    /// The casts of ours that it says it hears, as bits; `None` while it has not said.
    #[must_use]
    pub const fn hears_us(&self) -> Option<u8> {
        self.hears_us
    }

    /// Whether it is heard by unicast alone: then our casts may not get there either.
    pub(super) fn only_unicast(&self, now: Time, every: Duration) -> bool {
        let casts = Cast::Broadcast.bit() | Cast::Multicast.bit();
        self.heard_casts(now, every) == Cast::Unicast.bit() || self.hears_us.is_some_and(|hears| hears & casts == 0)
    }

    fn heard_last(&self) -> Option<Time> {
        self.heard.iter().copied().max().flatten()
    }
}

const fn slot(cast: Cast) -> usize {
    match cast {
        Cast::Unicast => 0,
        Cast::Broadcast => 1,
        Cast::Multicast => 2,
    }
}

/// Which datagrams of a run were taken: a sliding window of 128 counters (RFC 4303, 3.4.3).
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The greatest counter taken.
    top: u64,
    /// Bit n: `top - n` was taken.
    seen: u128,
}

impl Window {
    /// Takes a counter. False if it was taken before, or is too old to tell.
    pub(super) fn take(&mut self, counter: u64) -> bool {
        if self.seen == 0 || counter > self.top {
            let ahead = counter.saturating_sub(self.top);
            self.seen = if ahead < 128 { self.seen << ahead } else { 0 } | 1;
            self.top = counter;
            return true;
        }
        let behind = self.top - counter;
        if behind >= 128 || self.seen >> behind & 1 == 1 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(counters in prop::collection::vec(0u64..400, 0..300)) {
            let (mut window, mut taken, mut top) = (Window::default(), BTreeSet::new(), 0);
            for counter in counters {
                let old = !taken.is_empty() && counter + 128 <= top;
                let expected = !old && taken.insert(counter);
                top = top.max(counter);
                prop_assert_eq!(window.take(counter), expected, "{}", counter);
            }
        }
    }
}
