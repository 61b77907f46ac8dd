//! An examination: a few rounds of hellos that ask all others for theirs, and datagrams filled up
//! to the brim, so that what is not known yet is known soon.
//!
//! ```text
//!   ann                                      bob
//!    |-- hello to all: say yours ------------>|
//!    |<-- hello to all: I hear ann by B ------|  soon, at most every so often
//!    |-- hello, filled up, asks ------------->|
//!    |<-- hello, filled up: yours came -------|
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::Padded;
use crate::id::PeerId;
use crate::time::Time;
use crate::wire::body::{Condition, PROBE_LARGE_CAME, PROBE_PROMPTS};

/// Between two rounds.
pub(super) const ROUND_EVERY: Duration = Duration::from_millis(400);

/// Rounds, if nothing ends the examination before.
const EXAM_ROUNDS: u8 = 10;

/// Peers that are tried with large datagrams. Those beyond are not.
const TRIED_MAX: usize = 32;

/// Large datagrams for each peer; after them small ones ask what became of those. Where one in ten is lost, all
/// six fail to come back for one peer in 20,000.
const LARGE_MAX: u8 = 6;

/// Answers that deny the large ones, until that is believed.
const LARGE_DENIALS_MIN: u8 = 2;

/// Addresses remembered that sent a large datagram. When full, no further one is.
const LARGE_FROM_MAX: usize = 64;

/// How long it is said that a large datagram came.
const LARGE_FOR: Duration = Duration::from_millis(4500);

/// Nobody is prompted more often than this.
const PROMPT_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// How one peer's large datagrams fare.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    large: u8,
    small: u8,
    ours_came: bool,
    theirs_came: bool,
    /// Small answers that came after large ones were sent, and said nothing of them.
    denied: u8,
    /// Small answers that said that ours came.
    granted: u8,
}

/// What an examination has to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Peers to be asked for their hello by unicast.
    pub ask: Vec<PeerId>,
}

/// An examination, and what is known of large datagrams without one.
#[derive(Debug, Default)]
pub struct Examination {
    next_at: Option<Time>,
    rounds: u8,
    since: Time,
    trials: BTreeMap<SocketAddr, Trial>,
    /// Those to whom the next datagram for them alone goes filled up.
    filled: BTreeSet<SocketAddr>,
    large_from: BTreeMap<SocketAddr, Time>,
    prompted_at: Option<Time>,
}

impl Examination {
    /// Begins, or begins anew.
    pub fn begin(&mut self, now: Time) {
        (self.next_at, self.rounds, self.since) = (Some(now), 0, now);
        self.trials.clear();
    }

    /// Ends.
    pub fn end(&mut self) {
        self.next_at = None;
    }

    /// Whether one goes on, and since when.
    #[must_use]
    pub fn since(&self) -> Option<Time> {
        self.next_at.map(|_| self.since)
    }

    /// When [`Examination::on_timeout`] has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        self.next_at
    }

    /// The next round, if it is time for one; `peers` are those online and where they are.
    pub fn on_timeout(&mut self, now: Time, peers: impl Iterator<Item = (PeerId, SocketAddr)>) -> Option<Round> {
        if self.wake_at().is_none_or(|at| at > now) {
            return None;
        }
        if self.rounds >= EXAM_ROUNDS {
            self.end();
            return None;
        }
        self.next_at = Some(now + ROUND_EVERY);
        self.rounds += 1;
        let mut round = Round::default();
        for (id, address) in peers.take(TRIED_MAX) {
            let trial = self.trials.entry(address).or_default();
            if trial.ours_came && trial.theirs_came {
                continue;
            }
            if trial.large < LARGE_MAX {
                trial.large += 1;
                self.filled.insert(address);
            } else {
                trial.small += 1;
            }
            round.ask.push(id);
        }
        Some(round)
    }

    /// A hello of a peer came; `alone` says that it was for us alone and `asks` that it wants ours. True
    /// if we are to say hello to all, soon.
    pub fn on_condition(
        &mut self,
        from: SocketAddr,
        told: Option<&Condition>,
        (alone, asks): (bool, bool),
        now: Time,
    ) -> bool {
        let probe = told.and_then(|told| told.probe).unwrap_or(0);
        let large = told.is_some_and(|told| told.pad.is_some());
        if large && (self.large_from.len() < LARGE_FROM_MAX || self.large_from.contains_key(&from)) {
            self.large_from.insert(from, now);
            if asks {
                self.filled.insert(from);
            }
        }
        if let Some(trial) = self.trials.get_mut(&from).filter(|_| alone) {
            trial.theirs_came |= large;
            match probe & PROBE_LARGE_CAME != 0 {
                true => {
                    trial.ours_came = true;
                    trial.granted = trial.granted.saturating_add(u8::from(!large));
                }
                false if trial.small > 0 => trial.denied = trial.denied.saturating_add(1),
                false => {}
            }
        }
        let prompts = probe & PROBE_PROMPTS != 0;
        if prompts && self.prompted_at.is_none_or(|at| now.since(at) >= PROMPT_AGAIN_AFTER) {
            self.prompted_at = Some(now);
            return true;
        }
        false
    }

    /// What a hello says of the examination: to all, or to one address alone. Also whether it is to be
    /// filled up.
    pub fn probe(&mut self, to: Option<SocketAddr>, now: Time) -> (u8, bool) {
        self.large_from.retain(|_, at| now.since(*at) <= LARGE_FOR);
        let (large_from, trials) = (&self.large_from, &self.trials);
        self.filled.retain(|address| large_from.contains_key(address) || trials.contains_key(address));
        let prompts = if self.next_at.is_some() { PROBE_PROMPTS } else { 0 };
        let Some(to) = to else { return (prompts, false) };
        let came = if self.large_from.contains_key(&to) { PROBE_LARGE_CAME } else { 0 };
        (prompts | came, self.filled.remove(&to))
    }

    /// How large datagrams fare between us and an address.
    #[must_use]
    pub fn padded(&self, address: SocketAddr) -> Padded {
        let Some(trial) = self.trials.get(&address) else { return Padded::Unknown };
        match (trial.ours_came, trial.theirs_came) {
            (true, true) => Padded::Fits,
            (false, _) if trial.denied >= LARGE_DENIALS_MIN => Padded::NotThere,
            (true, false) if trial.large >= LARGE_MAX && trial.granted >= LARGE_DENIALS_MIN => Padded::NotBack,
            _ => Padded::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: PeerId = PeerId([2; 16]);

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn place(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 5000 + u16::from(n)))
    }

    /// Ann examines bob; large datagrams there and back pass or not.
    fn examined(there: bool, back: bool) -> (Padded, u64) {
        let (mut ann, mut bob) = (Examination::default(), Examination::default());
        ann.begin(at(0));
        for ms in 0..10_000 {
            let Some(round) = ann.on_timeout(at(ms), [(BOB, place(2))].into_iter()) else { continue };
            let pass = |from: &mut Examination, to: &mut Examination, n: (u8, u8), asks, fits: bool| {
                let (probe, filled) = from.probe(Some(place(n.1)), at(ms));
                let told =
                    Condition { probe: Some(probe), pad: filled.then(|| vec![0].into()), ..Condition::default() };
                if fits || !filled {
                    to.on_condition(place(n.0), Some(&told), (true, asks), at(ms));
                    return true;
                }
                false
            };
            if round.ask == [BOB] && pass(&mut ann, &mut bob, (1, 2), true, there) {
                pass(&mut bob, &mut ann, (2, 1), false, back);
            }
            if ann.padded(place(2)) != Padded::Unknown {
                return (ann.padded(place(2)), ms);
            }
        }
        (ann.padded(place(2)), 10_000)
    }

    #[test]
    fn large_datagrams_are_followed_there_and_back() {
        assert_eq!(examined(true, true), (Padded::Fits, 0));
        assert_eq!(examined(false, true).0, Padded::NotThere);
        assert_eq!(examined(true, false).0, Padded::NotBack);
        assert_eq!(examined(false, false).0, Padded::NotThere);
        let rounds = ROUND_EVERY * u32::from(EXAM_ROUNDS);
        assert!([(true, false), (false, true)].iter().all(|&(a, b)| u128::from(examined(a, b).1) < rounds.as_millis()));
    }

    #[test]
    fn whoever_is_prompted_without_end_answers_at_its_pace() {
        let mut bob = Examination::default();
        let told = Condition { probe: Some(PROBE_PROMPTS), ..Condition::default() };
        let answers = (0..3000).filter(|&ms| bob.on_condition(place(1), Some(&told), (false, false), at(ms))).count();
        assert_eq!(answers, 10);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_large_answers_only_large() {
        let mut bob = Examination::default();
        let large = Condition { pad: Some(vec![0].into()), ..Condition::default() };
        for n in 0..=255 {
            bob.on_condition(place(n), Some(&large), (true, true), at(0));
            bob.on_condition(place(n), None, (true, true), at(0));
        }
        assert!(bob.large_from.len() <= LARGE_FROM_MAX && bob.filled.len() <= LARGE_FROM_MAX);
        assert_eq!(bob.probe(Some(place(1)), at(1)), (PROBE_LARGE_CAME, true));
        assert_eq!(bob.probe(Some(place(1)), at(1)), (PROBE_LARGE_CAME, false));
        assert_eq!(bob.probe(Some(place(1)), at(60_000)), (0, false));
    }
}
