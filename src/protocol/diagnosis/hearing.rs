//! Who hears whom, counted: one loss is no fault.
//!
//! A peer's hello goes out by multicast and by broadcast at once. Whoever hears several by the one
//! and none by the other knows that the other is dropped. What others hear they say in their
//! hellos: what is denied several times in a row is believed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Cell;
use crate::address::{Cast, SegmentId};
use crate::id::{PeerId, Row};
use crate::time::Time;

/// Hellos missed in a row that prove a cast dead: at 10 % loss one pair of 100,000 looks so.
const MISSES_MIN: u8 = 5;

/// Denials in a row that are believed.
const DENIALS_MIN: u8 = 5;

/// Statements of one peer count once within this time: a hello comes by several casts.
const SAME_WITHIN: Duration = Duration::from_millis(120);

/// Whoever was met less than this ago may not be heard yet by everybody.
const NEW_FOR: Duration = Duration::from_millis(900);

/// What was not said again for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Peers of whom it is counted how they are heard. When full, no further one is counted.
const SPEAKERS_MAX: usize = 512;

/// Pairs of which it is counted what is claimed. When full, no further one is counted.
const CLAIMS_MAX: usize = 2048;

/// A full table is looked through for those no more often than this, ...
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// ... or this, if it is of claims: in a crowd that one is always full.
const CLAIMS_EVERY: Duration = Duration::from_secs(30);

/// A cast that did not come for so many periods of one who is heard otherwise is not heard any more.
const STALE_PERIODS: u32 = 5;

/// Somebody whom others hear and we do not know is no mistake after this time: who leaves without a
/// bye is told of for a while.
const LASTING: Duration = Duration::from_secs(12);

/// How one peer is heard by us on one segment.
#[derive(Clone, Copy, Debug)]
struct Listened {
    since: Time,
    at: Time,
    /// By broadcast, by multicast: when last, and hellos missed since.
    casts: [(Option<Time>, u8); 2],
    unicast_at: Option<Time>,
}

/// What one peer says of how it hears another.
#[derive(Clone, Copy, Debug)]
struct Claim {
    since: Time,
    at: Time,
    /// By broadcast, by multicast: whether it says so, and how often in a row it did not.
    casts: [(bool, u8); 2],
    unicast: bool,
}

/// Who hears whom.
#[derive(Debug, Default)]
pub struct Hearing {
    heard: BTreeMap<(SegmentId, PeerId), Listened>,
    /// By segment and who says so, of each of whom it says something.
    claims: BTreeMap<(SegmentId, PeerId), Row<Claim>>,
    /// How many there are in all.
    claimed: usize,
    swept_at: Time,
}

impl Claim {
    /// As it is when this is said.
    fn said(mut self, casts: u8, now: Time) -> Self {
        self.at = now;
        self.unicast = casts & Cast::Unicast.bit() != 0;
        for (cast, (says, denied)) in [Cast::Broadcast, Cast::Multicast].into_iter().zip(&mut self.casts) {
            *says = casts & cast.bit() != 0;
            *denied = match *says {
                true => 0,
                // It may not have had the time.
                false if now.since(self.since) < NEW_FOR => 0,
                false => denied.saturating_add(1),
            };
        }
        self
    }
}

const fn slot(cast: Cast) -> Option<usize> {
    match cast {
        Cast::Unicast => None,
        Cast::Broadcast => Some(0),
        Cast::Multicast => Some(1),
    }
}

/// Whether the cast of a slot is among these.
const fn is_among(casts: u8, slot: usize) -> bool {
    let cast = if slot == 0 { Cast::Broadcast } else { Cast::Multicast };
    casts & cast.bit() != 0
}

impl Hearing {
    /// A hello of a peer came.
    pub fn on_hello(&mut self, segment: SegmentId, id: PeerId, cast: Cast, now: Time) {
        self.forget(now);
        let key = (segment, id);
        if self.heard.len() >= SPEAKERS_MAX && !self.heard.contains_key(&key) {
            return;
        }
        let fresh = Listened { since: now, at: now, casts: [(None, 0); 2], unicast_at: None };
        let heard = self.heard.entry(key).or_insert(fresh);
        heard.at = now;
        let Some(slot) = slot(cast) else {
            heard.unicast_at = Some(now);
            return;
        };
        heard.casts[slot] = (Some(now), 0);
        let other = &mut heard.casts[1 - slot].1;
        *other = other.saturating_add(1);
    }

    /// A peer says by which casts, as bits, it hears each of these.
    pub fn on_statements(
        &mut self,
        segment: SegmentId,
        listener: PeerId,
        said: impl Iterator<Item = (PeerId, u8)>,
        now: Time,
    ) {
        let key = (segment, listener);
        let mut room = CLAIMS_MAX - self.claimed;
        if room == 0 && !self.claims.contains_key(&key) {
            return;
        }
        let row = self.claims.entry(key).or_default();
        row.put_all(said, |casts, known| match known {
            Some(claim) => (now.since(claim.at) >= SAME_WITHIN).then(|| claim.said(casts, now)),
            None => {
                room = room.checked_sub(1)?;
                Some(Claim { since: now, at: now, casts: [(false, 0); 2], unicast: false }.said(casts, now))
            }
        });
        if row.is_empty() {
            self.claims.remove(&key);
        }
        self.claimed = CLAIMS_MAX - room;
    }

    /// Somebody runs anew, or left: what was counted is void.
    pub fn on_gone(&mut self, id: PeerId) {
        self.heard.retain(|(_, peer), _| *peer != id);
        self.keep_claims(|listener, speaker, _| listener != id && speaker != id);
    }

    /// A segment is gone.
    pub fn on_segment_down(&mut self, segment: SegmentId) {
        self.heard.retain(|(on, _), _| *on != segment);
        self.claims.retain(|(on, _), _| *on != segment);
        self.keep_claims(|_, _, _| true);
    }

    fn keep_claims(&mut self, stays: impl Fn(PeerId, PeerId, &Claim) -> bool) {
        self.claimed = 0;
        self.claims.retain(|(_, listener), row| {
            row.retain(|speaker, claim| stays(*listener, speaker, claim));
            self.claimed += row.len();
            !row.is_empty()
        });
    }

    fn claim(&self, segment: SegmentId, listener: PeerId, speaker: PeerId) -> Option<&Claim> {
        self.claims.get(&(segment, listener))?.get(speaker)
    }

    fn forget(&mut self, now: Time) {
        let since = now.since(self.swept_at);
        if self.heard.len() >= SPEAKERS_MAX && since >= SWEEP_EVERY
            || self.claimed >= CLAIMS_MAX && since >= CLAIMS_EVERY
        {
            self.swept_at = now;
            self.heard.retain(|_, heard| now.since(heard.at) <= FORGET_AFTER);
            self.keep_claims(|_, _, claim| now.since(claim.at) <= FORGET_AFTER);
        }
    }

    /// How we hear a peer. `every` is the time between its hellos.
    #[must_use]
    pub fn ours(&self, segment: SegmentId, id: PeerId, now: Time, every: Duration) -> Cell {
        let Some(heard) = self.heard.get(&(segment, id)) else { return Cell::default() };
        // Heard by unicast alone for so long that casts should have come.
        let never = heard.casts.iter().all(|(at, _)| at.is_none()) && now.since(heard.since) > every * 3;
        let fresh = now.since(heard.at) <= every * 3;
        let by = |slot: usize| match heard.casts[slot] {
            (_, missed) if missed >= MISSES_MIN || never => Some(false),
            // It is heard by unicast, and no cast came any more beside which this one would be missed.
            (Some(at), _) if fresh && now.since(at) > every * STALE_PERIODS => Some(false),
            (Some(_), _) => Some(true),
            (None, _) => None,
        };
        Cell { unicast: heard.unicast_at.map(|_| true), broadcast: by(0), multicast: by(1) }
    }

    /// How a peer says it hears another one, or us.
    #[must_use]
    pub fn claimed(&self, segment: SegmentId, listener: PeerId, speaker: PeerId) -> Cell {
        let Some(claim) = self.claim(segment, listener, speaker) else { return Cell::default() };
        let by = |slot: usize| match claim.casts[slot] {
            (true, _) => Some(true),
            (false, denied) if denied >= DENIALS_MIN => Some(false),
            (false, _) => None,
        };
        Cell { unicast: claim.unicast.then_some(true), broadcast: by(0), multicast: by(1) }
    }

    /// Those of whom something is known on a segment: peers that we hear.
    pub fn speakers(&self, segment: SegmentId) -> impl Iterator<Item = PeerId> {
        self.heard.keys().filter(move |(on, _)| *on == segment).map(|&(_, id)| id)
    }

    /// Whether it is known from what came since then how we hear a peer, by each of these casts.
    #[must_use]
    pub fn is_heard(&self, segment: SegmentId, id: PeerId, casts: u8, since: Time) -> bool {
        let known = |slot: usize, (at, missed): (Option<Time>, u8)| {
            missed >= MISSES_MIN || at.is_some_and(|at| at >= since) || !is_among(casts, slot)
        };
        self.heard
            .get(&(segment, id))
            .is_some_and(|heard| heard.at >= since && (0..).zip(heard.casts).all(|(slot, cast)| known(slot, cast)))
    }

    /// Whether a peer said since then how it hears another one, or us, and is believed.
    #[must_use]
    pub fn is_said(&self, segment: SegmentId, (listener, speaker): (PeerId, PeerId), casts: u8, since: Time) -> bool {
        let known = |slot: usize, (says, denied): (bool, u8)| says || denied >= DENIALS_MIN || !is_among(casts, slot);
        let claim = self.claim(segment, listener, speaker);
        claim.is_some_and(|claim| claim.at >= since && (0..).zip(claim.casts).all(|(slot, cast)| known(slot, cast)))
    }

    /// Those whom others hear by a cast on a segment: by whom, whom, whether for long, and when that was said.
    pub fn claims_of(&self, segment: SegmentId, now: Time) -> impl Iterator<Item = (PeerId, PeerId, bool, Time)> {
        let rows = self.claims.iter().filter(move |((on, _), _)| *on == segment);
        let here = rows.flat_map(|(&(_, listener), row)| row.iter().map(move |(id, claim)| (listener, id, claim)));
        here.filter(move |(.., claim)| claim.casts.iter().any(|(says, _)| *says) && now.since(claim.at) <= LASTING / 2)
            .map(|(listener, speaker, claim)| (listener, speaker, claim.at.since(claim.since) >= LASTING, claim.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: SegmentId = SegmentId(1);
    const EVERY: Duration = Duration::from_secs(2);
    const ANN: PeerId = PeerId([1; 16]);
    const BOB: PeerId = PeerId([2; 16]);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn several_hellos_missed_by_one_cast_and_none_by_the_other() {
        let mut hearing = Hearing::default();
        for round in 0..u64::from(MISSES_MIN) {
            assert_eq!(hearing.ours(ON, ANN, at(round), EVERY).multicast, None);
            hearing.on_hello(ON, ANN, Cast::Broadcast, at(round * 500));
        }
        let cell = hearing.ours(ON, ANN, at(2500), EVERY);
        assert_eq!((cell.broadcast, cell.multicast, cell.unicast), (Some(true), Some(false), None));
        hearing.on_hello(ON, ANN, Cast::Multicast, at(2501));
        assert_eq!(hearing.ours(ON, ANN, at(2501), EVERY).multicast, Some(true), "one that comes proves it alive");
    }

    #[test]
    fn whoever_comes_by_unicast_alone_for_long_is_heard_by_no_cast() {
        let mut hearing = Hearing::default();
        hearing.on_hello(ON, ANN, Cast::Unicast, at(0));
        assert_eq!(hearing.ours(ON, ANN, at(5000), EVERY).multicast, None);
        let cell = hearing.ours(ON, ANN, at(6001), EVERY);
        assert_eq!((cell.broadcast, cell.multicast, cell.unicast), (Some(false), Some(false), Some(true)));
    }

    #[test]
    fn casts_that_both_end_are_not_heard_for_ever() {
        let mut hearing = Hearing::default();
        for cast in [Cast::Multicast, Cast::Broadcast] {
            hearing.on_hello(ON, ANN, cast, at(0));
        }
        let multicast = |hearing: &Hearing, ms| hearing.ours(ON, ANN, at(ms), EVERY).multicast;
        assert_eq!(multicast(&hearing, 60_000), Some(true), "nothing came that could tell otherwise");
        for ms in [4000, 8000, 10_500] {
            hearing.on_hello(ON, ANN, Cast::Unicast, at(ms));
        }
        assert_eq!((multicast(&hearing, 9000), multicast(&hearing, 10_500)), (Some(true), Some(false)));
    }

    #[test]
    fn what_is_denied_again_and_again_is_believed() {
        let mut hearing = Hearing::default();
        let mut say = |casts, ms| {
            hearing.on_statements(ON, ANN, [(BOB, casts)].into_iter(), at(ms));
            hearing.claimed(ON, ANN, BOB)
        };
        assert_eq!(say(0, 0).multicast, None, "there was no time yet");
        assert_eq!(say(2, 1000).multicast, None);
        assert_eq!(say(2, 1050).multicast, None, "the same, by another cast");
        for ms in [1500, 2000, 2500] {
            assert_eq!(say(2, ms).multicast, None);
        }
        let cell = say(2, 3000);
        assert_eq!((cell.broadcast, cell.multicast), (Some(true), Some(false)));
        assert_eq!(say(6, 3500).multicast, Some(true));
        hearing.on_gone(BOB);
        assert_eq!(hearing.claimed(ON, ANN, BOB), Cell::default());
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut hearing = Hearing::default();
        for n in 0..u16::MAX {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&n.to_be_bytes());
            hearing.on_hello(ON, PeerId(id), Cast::Broadcast, at(0));
            hearing.on_statements(ON, ANN, [(PeerId(id), 2)].into_iter(), at(0));
            hearing.on_statements(ON, PeerId(id), [(ANN, 2), (BOB, 2)].into_iter(), at(0));
        }
        let count = |hearing: &Hearing| hearing.claims.values().map(Row::len).sum::<usize>();
        assert_eq!((hearing.heard.len(), hearing.claimed), (SPEAKERS_MAX, CLAIMS_MAX));
        assert_eq!((count(&hearing), hearing.claims.values().any(Row::is_empty)), (CLAIMS_MAX, false));
        hearing.on_gone(BOB);
        assert_eq!(hearing.claimed, count(&hearing));
        hearing.on_segment_down(ON);
        assert_eq!((hearing.claimed, hearing.claims.len()), (0, 0));
    }
}
