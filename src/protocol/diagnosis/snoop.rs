//! Notices that the group went silent on a segment while broadcasts go on, and has it joined anew.
//!
//! A switch that snoops forgets who is in a group unless somebody asks; then the group dies after
//! the membership interval although broadcasts arrive. Joining anew makes it work for a while:
//! that is the remedy, and the sign by which the fault is known.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::{Cast, SegmentId};
use crate::time::Time;

/// Hellos heard by broadcast since the last multicast: with fewer, loss looks like silence.
const SILENT_MIN: u32 = 8;

/// Those that come closer to each other count as one: many who say hello at once are heard in any order.
const SILENT_APART: Duration = Duration::from_millis(40);

/// Between two joinings, while it helps.
const REJOIN_AFTER: Duration = Duration::from_secs(5);

/// Between two joinings, at most: each that does not help doubles the time.
const REJOIN_MAX: Duration = Duration::from_secs(300);

/// Between two joinings while the network is examined.
const TRY_AFTER: Duration = Duration::from_millis(1200);

/// What is heard within this time of joining is heard because of it.
const HELPS_WITHIN: Duration = Duration::from_secs(1);

/// How long it is told that joining anew helped: longer than the usual membership interval of 260 s.
const TOLD_FOR: Duration = Duration::from_secs(300);

/// One segment.
#[derive(Debug, Default)]
struct Segment {
    misses: u32,
    /// The last of them.
    missed_at: Option<Time>,
    rejoined_at: Option<Time>,
    /// The last joining was part of an examination.
    tried: bool,
    /// Joinings in a row that did not help.
    futile: u32,
    helped_at: Option<Time>,
    /// Once may be chance; in an examination nothing else changes.
    proofs: u32,
}

/// Whether the group must be joined anew, by segment.
#[derive(Debug, Default)]
pub struct Snoop {
    segments: BTreeMap<SegmentId, Segment>,
}

impl Snoop {
    /// A segment is gone.
    pub fn on_segment_down(&mut self, segment: SegmentId) {
        self.segments.remove(&segment);
    }

    /// A hello of a peer of our network came by this cast; `examining`: while the network is examined. True
    /// if the group is to be joined anew.
    pub fn on_hello(&mut self, segment: SegmentId, cast: Cast, examining: bool, now: Time) -> bool {
        let known = self.segments.entry(segment).or_default();
        match cast {
            Cast::Unicast => false,
            Cast::Multicast => {
                known.on_multicast(now);
                false
            }
            Cast::Broadcast => known.on_broadcast(examining, now),
        }
    }

    /// Whether joining anew helped lately, and not by chance.
    #[must_use]
    pub fn helped(&self, segment: SegmentId, now: Time) -> bool {
        let helped = |s: &Segment| s.proofs > 1 && s.helped_at.is_some_and(|at| now.since(at) <= TOLD_FOR);
        self.segments.get(&segment).is_some_and(helped)
    }

    /// Whether a group is silent, and an examination that goes on since then has not tried yet what helps.
    #[must_use]
    pub fn is_open(&self, since: Time, now: Time) -> bool {
        self.segments.values().any(|known| {
            let tried = known.tried && known.rejoined_at.is_some_and(|at| at >= since && now.since(at) > HELPS_WITHIN);
            known.misses >= SILENT_MIN / 2 && !tried
        })
    }
}

impl Segment {
    fn on_multicast(&mut self, now: Time) {
        let soon = self.rejoined_at.is_some_and(|at| now.since(at) <= HELPS_WITHIN);
        if self.misses >= SILENT_MIN && soon {
            let lately = self.helped_at.is_some_and(|at| now.since(at) <= TOLD_FOR);
            self.proofs = if lately { self.proofs } else { 0 } + if self.tried { 2 } else { 1 };
            (self.helped_at, self.futile) = (Some(now), 0);
        }
        self.misses = 0;
    }

    fn on_broadcast(&mut self, examining: bool, now: Time) -> bool {
        if self.missed_at.is_some_and(|at| now.since(at) < SILENT_APART) {
            return false;
        }
        self.missed_at = Some(now);
        self.misses = self.misses.saturating_add(1);
        let doubled = REJOIN_AFTER * 2u32.saturating_pow(self.futile.min(10));
        let pause = if examining { TRY_AFTER } else { doubled.min(REJOIN_MAX) };
        if self.misses < SILENT_MIN || self.rejoined_at.is_some_and(|at| now.since(at) < pause) {
            return false;
        }
        if !examining {
            self.futile = if self.rejoined_at.is_some() { self.futile.saturating_add(1) } else { 0 };
        }
        (self.rejoined_at, self.tried) = (Some(now), examining);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: SegmentId = SegmentId(1);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// Broadcasts alone, twice a second, until the group is joined anew; then a multicast.
    fn revive(snoop: &mut Snoop, from: u64, examining: bool, after: u64) -> u64 {
        let joined = (0..1000).map(|n| from + n * 500);
        let mut joined = joined.skip_while(|&ms| !snoop.on_hello(ON, Cast::Broadcast, examining, at(ms)));
        let joined = joined.next().expect("joined anew");
        snoop.on_hello(ON, Cast::Multicast, examining, at(joined + after));
        joined + after
    }

    #[test]
    fn a_silent_group_is_joined_anew_ever_less_if_that_does_not_help() {
        let mut snoop = Snoop::default();
        let joins: Vec<u64> = (0..200).filter(|n| snoop.on_hello(ON, Cast::Broadcast, false, at(n * 500))).collect();
        assert_eq!(joins[0] + 1, u64::from(SILENT_MIN));
        let pauses: Vec<u64> = joins.windows(2).map(|w| (w[1] - w[0]) * 500).collect();
        assert_eq!(pauses, [5000, 10_000, 20_000, 40_000]);
        assert!(!snoop.helped(ON, at(100_000)));
    }

    #[test]
    fn what_helps_in_an_examination_or_twice_is_no_chance() {
        let mut snoop = Snoop::default();
        let end = revive(&mut snoop, 0, true, 100);
        assert!(snoop.helped(ON, at(end)) && !snoop.helped(ON, at(end + 400_000)));

        let mut snoop = Snoop::default();
        let end = revive(&mut snoop, 0, false, 100);
        assert!(!snoop.helped(ON, at(end)), "once may be chance");
        let end = revive(&mut snoop, end + 1000, false, 100);
        assert!(snoop.helped(ON, at(end)));

        let mut snoop = Snoop::default();
        let end = revive(&mut snoop, 0, true, 2000);
        assert!(!snoop.helped(ON, at(end)), "too late to be because of it");
    }

    #[test]
    fn an_examination_is_not_over_before_that_was_tried() {
        let mut snoop = Snoop::default();
        assert!(!snoop.is_open(at(0), at(0)));
        let joined: Vec<u64> = (0..9).filter(|n| snoop.on_hello(ON, Cast::Broadcast, true, at(n * 100))).collect();
        assert_eq!(joined, [7]);
        assert!(snoop.is_open(at(0), at(800)) && !snoop.is_open(at(0), at(1800)));
        assert!(snoop.is_open(at(1900), at(1900)), "another one tries again");
    }

    #[test]
    fn many_at_once_are_no_silence() {
        let mut snoop = Snoop::default();
        for round in [0, 100, 400, 4000] {
            snoop.on_hello(ON, Cast::Multicast, true, at(round));
            assert!((0..30).all(|n| !snoop.on_hello(ON, Cast::Broadcast, true, at(round + n / 10))));
            snoop.on_hello(ON, Cast::Multicast, true, at(round + 4));
            assert!((0..9).all(|n| !snoop.on_hello(ON, Cast::Broadcast, true, at(round + n / 10))));
        }
        assert!(!snoop.helped(ON, at(2100)));
    }

    #[test]
    fn loss_is_no_silence() {
        let mut snoop = Snoop::default();
        for n in 0..200 {
            let cast = if n % 8 == 7 { Cast::Multicast } else { Cast::Broadcast };
            assert!(!snoop.on_hello(ON, cast, false, at(n * 500)));
        }
    }
}
