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
const MISSES_MIN: u32 = 8;

/// Between two joinings, while it helps.
const REJOIN_AFTER: Duration = Duration::from_secs(2);

/// Between two joinings, at most: each that does not help doubles the time.
const REJOIN_MAX: Duration = Duration::from_secs(300);

/// What is heard within this time of joining is heard because of it.
const HELPS_WITHIN: Duration = Duration::from_secs(4);

/// How long it is told that joining anew helped: longer than the usual membership interval.
const TOLD_FOR: Duration = Duration::from_secs(600);

/// One segment.
#[derive(Debug, Default)]
struct Segment {
    misses: u32,
    rejoined_at: Option<Time>,
    /// Joinings in a row that did not help.
    futile: u32,
    helped_at: Option<Time>,
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

    /// A hello of a peer of our network came by this cast. True if the group is to be joined anew.
    pub fn on_hello(&mut self, segment: SegmentId, cast: Cast, now: Time) -> bool {
        let known = self.segments.entry(segment).or_default();
        match cast {
            Cast::Unicast => false,
            Cast::Multicast => {
                let rejoined = known.rejoined_at.filter(|&at| now.since(at) <= HELPS_WITHIN);
                if known.misses >= MISSES_MIN && rejoined.is_some() {
                    (known.helped_at, known.futile) = (Some(now), 0);
                }
                known.misses = 0;
                false
            }
            Cast::Broadcast => {
                known.misses = known.misses.saturating_add(1);
                let pause = (REJOIN_AFTER * 2u32.saturating_pow(known.futile.min(10))).min(REJOIN_MAX);
                if known.misses < MISSES_MIN || known.rejoined_at.is_some_and(|at| now.since(at) < pause) {
                    return false;
                }
                known.futile = if known.rejoined_at.is_some() { known.futile.saturating_add(1) } else { 0 };
                known.rejoined_at = Some(now);
                true
            }
        }
    }

    /// Whether joining anew helped lately.
    #[must_use]
    pub fn helped(&self, segment: SegmentId, now: Time) -> bool {
        self.segments.get(&segment).and_then(|s| s.helped_at).is_some_and(|at| now.since(at) <= TOLD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: SegmentId = SegmentId(1);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn a_silent_group_is_joined_anew_and_it_is_known_whether_that_helps() {
        let mut snoop = Snoop::default();
        let joins: Vec<u64> = (0..100).filter(|n| snoop.on_hello(ON, Cast::Broadcast, at(n * 500))).collect();
        assert_eq!(joins[0] + 1, u64::from(MISSES_MIN));
        let pauses: Vec<u64> = joins.windows(2).map(|w| (w[1] - w[0]) * 500).collect();
        assert_eq!(pauses, [2000, 4000, 8000, 16_000], "each that does not help doubles the pause");
        assert!(!snoop.helped(ON, at(50_000)));
        let last = joins[joins.len() - 1] * 500;
        assert!(!snoop.on_hello(ON, Cast::Multicast, at(last + 1000)) && snoop.helped(ON, at(last + 1000)));
        assert!(!snoop.helped(ON, at(last + 1_000_000)));
    }

    #[test]
    fn loss_is_no_silence_and_what_comes_by_itself_is_no_help() {
        let mut snoop = Snoop::default();
        for n in 0..200 {
            let cast = if n % 8 == 7 { Cast::Multicast } else { Cast::Broadcast };
            assert!(!snoop.on_hello(ON, cast, at(n * 500)));
        }
        for n in 200..208 {
            let joined = snoop.on_hello(ON, Cast::Broadcast, at(n * 500));
            assert_eq!(joined, n == 207);
        }
        snoop.on_hello(ON, Cast::Multicast, at(207 * 500 + 5000));
        assert!(!snoop.helped(ON, at(207 * 500 + 5000)), "too late to be because of it");
    }
}
