//! Whether a cast of a peer still gets here, from what is missing of its rounds of hellos.
//!
//! A round goes out by multicast and by broadcast at once, numbered. A copy that is missing of a round that
//! came by the other cast tells of the cast, not of the peer; a round that is missing altogether is noticed when
//! it is overdue. One loss is no fault: but where nothing was lost for long, one is enough to ask for
//! other ways meanwhile, for a cast that is wrongly given up costs but a copy or two.

use std::time::Duration;

use crate::address::Cast;
use crate::time::Time;

/// How long the copies of one round may be apart.
const JUDGE_AFTER: Duration = Duration::from_millis(150);
/// How much later than its time a round may come: the machine was busy.
const ROUND_SLACK: Duration = Duration::from_millis(500);
/// Rounds that are remembered.
const REMEMBERED: u32 = u16::BITS;
/// So many rounds without a loss, and one that is missing is taken for a fault.
const SPOTLESS: u16 = 0x7F;

/// What came of the rounds of one peer on one segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    /// The latest round of which something came, and when.
    latest: Option<(u32, Time)>,
    /// When something came by any cast.
    alive_at: Time,
    /// Bit n: the round `latest - n` came, by broadcast and by multicast.
    seen: [u16; 2],
}

const fn slot(cast: Cast) -> Option<usize> {
    match cast {
        Cast::Unicast => None,
        Cast::Broadcast => Some(0),
        Cast::Multicast => Some(1),
    }
}

impl Rounds {
    /// A copy of a round came.
    pub(super) fn on_round(&mut self, cast: Cast, round: u32, now: Time) {
        let Some(slot) = slot(cast) else { return };
        self.alive_at = now;
        let latest = self.latest.map_or(round, |(latest, _)| latest);
        if round > latest {
            let ahead = round - latest;
            self.seen = self.seen.map(|seen| seen.checked_shl(ahead).unwrap_or(0));
        }
        if self.latest.is_none_or(|(latest, _)| round > latest) {
            self.latest = Some((round, now));
        }
        let behind = latest.saturating_sub(round);
        self.seen[slot] |= 1u16.checked_shl(behind).unwrap_or(0);
    }

    /// Something else came by a cast: then it works.
    pub(super) fn on_sign(&mut self, cast: Cast, now: Time) {
        if let Some(slot) = slot(cast) {
            self.alive_at = now;
            self.seen[slot] |= 1;
        }
    }

    /// Whether a cast works; `None` if that cannot be told of it.
    pub(super) fn works(&self, cast: Cast, now: Time, every: Duration) -> Option<bool> {
        let (slot, (_, at)) = (slot(cast)?, self.latest?);
        let overdue = self.overdue(now, every);
        let mut seen = self.seen[slot].checked_shl(overdue).unwrap_or(0);
        if overdue == 0 && seen & 1 == 0 && now.since(at) < JUDGE_AFTER {
            // Its copy of the latest round may still come.
            seen >>= 1;
        }
        Some(seen & 1 != 0 || (seen & 2 != 0 && seen >> 1 & SPOTLESS != SPOTLESS))
    }

    /// Rounds of which nothing came and something should have.
    fn overdue(&self, now: Time, every: Duration) -> u32 {
        let late = now.since(self.alive_at).as_micros() / Self::span(every).as_micros().max(1);
        u32::try_from(late).unwrap_or(REMEMBERED).min(REMEMBERED)
    }

    /// When the next round is overdue after the last: the period is off by at most a quarter.
    fn span(every: Duration) -> Duration {
        every + every / 4 + ROUND_SLACK
    }

    /// When what [`Rounds::works`] says may change although nothing comes.
    pub(super) fn look_at(&self, now: Time, every: Duration) -> Option<Time> {
        let (_, at) = self.latest?;
        let judge_at = at + JUDGE_AFTER;
        if judge_at > now {
            return Some(judge_at);
        }
        // After two rounds that are missing altogether nothing is left to be given up.
        let overdue = self.overdue(now, every);
        (overdue < 2).then(|| self.alive_at + Self::span(every) * (overdue + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    /// Rounds of which these came by multicast; all came by broadcast, 2 s apart.
    fn heard(multicasts: &[bool]) -> (Rounds, Time) {
        let (mut rounds, mut now) = (Rounds::default(), at(0));
        for (round, &multicast) in (1..).zip(multicasts) {
            now = at(u64::from(round) * 2000);
            if multicast {
                rounds.on_round(Cast::Multicast, round, now);
            }
            rounds.on_round(Cast::Broadcast, round, now);
        }
        (rounds, now)
    }

    fn works(multicasts: &[bool], after_ms: u64) -> Option<bool> {
        let (rounds, now) = heard(multicasts);
        rounds.works(Cast::Multicast, now + Duration::from_millis(after_ms), EVERY)
    }

    #[test]
    fn one_copy_missing_is_a_fault_only_where_none_was_lost() {
        let mut spotless = vec![true; 8];
        spotless.push(false);
        assert_eq!(works(&spotless, 10), Some(true), "it may be late");
        assert_eq!(works(&spotless, 200), Some(false));
        let mut lossy = spotless.clone();
        lossy[4] = false;
        assert_eq!(works(&lossy, 200), Some(true), "losses are usual here");
        lossy.push(false);
        assert_eq!(works(&lossy, 200), Some(false), "two in a row are not");
        lossy.push(true);
        assert_eq!(works(&lossy, 0), Some(true), "it is back with the next");
    }

    #[test]
    fn of_what_never_came_nothing_is_missed() {
        assert_eq!(works(&[false; 3], 200), Some(false));
        assert_eq!(Rounds::default().works(Cast::Multicast, at(9), EVERY), None);
    }

    #[test]
    fn a_round_that_is_overdue_is_missing_by_every_cast() {
        let (rounds, now) = heard(&[true; 9]);
        let due = rounds.look_at(now + JUDGE_AFTER, EVERY).expect("a time");
        assert_eq!(due, now + Duration::from_secs(3));
        for cast in [Cast::Broadcast, Cast::Multicast] {
            assert_eq!(rounds.works(cast, at(20_999), EVERY), Some(true));
            assert_eq!(rounds.works(cast, due, EVERY), Some(false));
        }
        let (few, now) = heard(&[true; 2]);
        assert_eq!(few.works(Cast::Multicast, now + Duration::from_secs(3), EVERY), Some(true));
        assert_eq!(few.works(Cast::Multicast, now + Duration::from_secs(6), EVERY), Some(false));
        assert_eq!(few.look_at(now + Duration::from_secs(6), EVERY), None, "there is nothing left to give up");
    }

    #[test]
    fn any_sign_by_a_cast_is_a_sign_of_it() {
        let (mut rounds, now) = heard(&[true, true, false, false]);
        let later = now + Duration::from_millis(900);
        assert_eq!(rounds.works(Cast::Multicast, later, EVERY), Some(false));
        rounds.on_sign(Cast::Multicast, later);
        assert_eq!(rounds.works(Cast::Multicast, later, EVERY), Some(true));
        rounds.on_sign(Cast::Unicast, later);
        assert_eq!(rounds.works(Cast::Unicast, later, EVERY), None);
    }

    #[test]
    fn numbers_that_leap_or_run_back_do_no_harm() {
        let mut rounds = Rounds::default();
        for round in [u32::MAX, 0, 7, u32::MAX - 3, u32::MAX] {
            rounds.on_round(Cast::Multicast, round, at(1));
        }
        assert_eq!(rounds.works(Cast::Multicast, at(1), Duration::ZERO), Some(true));
        assert_eq!(rounds.works(Cast::Multicast, at(u64::MAX / 2000), Duration::ZERO), Some(false));
    }
}
