//! When to tell how far we are: confirmations, and the quiet comparison of frontiers.
//!
//! The hash of the frontier goes out under Trickle (RFC 6206): often after a difference was seen,
//! hardly ever while all agree, and not at all if enough others have just said the same.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::Config;
use crate::id::LogId;
use crate::protocol::earlier;
use crate::rng::Rng;
use crate::time::Time;

/// The Trickle timer over the frontier hash.
#[derive(Debug, Default)]
pub(super) struct Trickle {
    interval: Duration,
    ends_at: Option<Time>,
    fires_at: Option<Time>,
    equal_heard: u32,
}

impl Trickle {
    /// Begins with the shortest interval: somebody is new, or differs.
    pub(super) fn reset(&mut self, now: Time, rng: &mut Rng, config: &Config) {
        if self.interval > config.trickle_min || self.ends_at.is_none() {
            self.begin(config.trickle_min, now, rng);
        }
    }

    /// Nobody is there to compare with.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    fn begin(&mut self, interval: Duration, now: Time, rng: &mut Rng) {
        self.interval = interval;
        self.ends_at = Some(now + interval);
        self.fires_at = Some(now + interval / 2 + rng.within(interval / 2));
        self.equal_heard = 0;
    }

    /// Somebody said the same, or what will not become the same by our saying it once more.
    pub(super) const fn on_equal(&mut self) {
        self.equal_heard += 1;
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        earlier(self.fires_at, self.ends_at)
    }

    /// Whether our hash is to go out now.
    pub(super) fn on_timeout(&mut self, now: Time, rng: &mut Rng, config: &Config) -> bool {
        let mut tell = false;
        if self.fires_at.is_some_and(|at| at <= now) {
            self.fires_at = None;
            tell = self.equal_heard < config.trickle_k;
        }
        if self.ends_at.is_some_and(|at| at <= now) {
            let doubled = (self.interval * 2).min(config.trickle_max);
            self.begin(doubled, now, rng);
        }
        tell
    }
}

/// How often a difference is looked into. Where frontiers stay different though they were told, for
/// nobody has what is lacking or somebody lies, telling them again helps less and less.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How often the same was told.
    times: u32,
    told_at: Option<Time>,
    /// The hash of our frontier when it was told.
    hash: u64,
    /// Somebody had the same since.
    agreed: bool,
}

impl Pace {
    /// The same is told so often without a pause: datagrams get lost.
    const PATIENT_TIMES: u32 = 4;

    /// Somebody is new or was lost: it has not heard what was told before.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether a difference is looked into now, or was a moment ago. What changed since has to be told.
    pub(super) fn allows(&self, hash: u64, now: Time, config: &Config) -> bool {
        let doublings = self.times.saturating_sub(Self::PATIENT_TIMES).min(16);
        let pause = (config.trickle_min * 2u32.pow(doublings)).min(config.frontier_max);
        hash != self.hash || self.times == 0 || self.told_at.is_none_or(|at| now.since(at) >= pause)
    }

    /// Somebody has the same as we have: telling it helps.
    pub(super) const fn on_equal(&mut self) {
        self.agreed = true;
    }

    /// Our whole frontier is told. That it is another one than before does not make it more of use: where nobody ever
    /// agrees, it changes with each line that is said.
    pub(super) const fn on_told(&mut self, hash: u64, now: Time) {
        let again = hash == self.hash || !self.agreed;
        self.times = if again { self.times.saturating_add(1) } else { 1 };
        (self.told_at, self.hash, self.agreed) = (Some(now), hash, false);
    }
}

/// When our whole frontier is told, because somebody's differs.
///
/// While nothing is under way that is soon. While entries come all the time frontiers differ because of them, but not
/// for that alone: who never sees an equal one tells its own now and then, and one of the others answers with theirs.
#[derive(Debug, Default)]
pub(super) struct Telling {
    at: Option<Time>,
    why: Why,
    /// How often another one told its own before we answered.
    yielded: usize,
    told_at: Option<Time>,
}

/// Why our frontier is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Why {
    /// Nothing is under way that could make the difference.
    #[default]
    Differs,
    /// Something is, all the time.
    Late,
    /// Another one told its own meanwhile.
    Answer,
}

impl Telling {
    /// While entries come all the time differences are looked into after this, and up to twice as much.
    const LATE: Duration = Duration::from_secs(3);

    /// Somebody's frontier differs from ours.
    pub(super) fn on_differs(&mut self, busy: bool, now: Time, rng: &mut Rng, config: &Config) {
        if !busy && (self.at.is_none() || self.why == Why::Late) {
            self.at = earlier(self.at, Some(now + rng.within(config.trickle_min)));
            self.why = Why::Differs;
        } else if busy && self.at.is_none() {
            (self.at, self.why) = (Some(now + Self::LATE + rng.within(Self::LATE)), Why::Late);
        }
    }

    /// Another one among `online` told all of one that differs, while entries come: one answers.
    pub(super) fn on_other(&mut self, online: usize, now: Time, rng: &mut Rng, config: &Config) {
        let told = self.told_at.is_some_and(|at| now.since(at) < Self::LATE);
        if self.why != Why::Answer && !told {
            (self.at, self.why) = (Some(now + rng.within(config.trickle_min)), Why::Answer);
        } else if self.why == Why::Answer && self.yielded < online {
            // With an answer in each one's name nobody keeps ours back for good.
            (self.at, self.why) = (None, Why::Differs);
            self.yielded += 1;
        }
    }

    /// Somebody's is the same: it told all of it, or nothing but what was under way made the difference.
    pub(super) fn on_equal(&mut self, told_all: bool) {
        if told_all || self.why == Why::Late {
            (self.at, self.why) = (None, Why::Differs);
        }
    }

    /// Whether it is told now.
    pub(super) fn take_due(&mut self, now: Time) -> bool {
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            *self = Self { told_at: Some(now), ..Self::default() };
        }
        due
    }

    pub(super) const fn wake_at(&self) -> Option<Time> {
        self.at
    }
}

/// What is to be confirmed, and when.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    /// Logs of which entries came.
    pub(super) logs: BTreeSet<LogId>,
    at: Option<Time>,
    entries: u32,
}

impl Confirmations {
    /// An entry of `log` came: confirm it soon, at a moment of our own among `online` peers; at
    /// once after a burst.
    pub(super) fn note(&mut self, log: LogId, now: Time, online: usize, rng: &mut Rng, config: &Config) {
        self.entries += 1;
        self.note_again(log, now, online, rng, config);
        if self.entries >= config.confirm_burst {
            self.at = Some(now);
        }
    }

    /// As [`Confirmations::note`], of an entry that was here already.
    pub(super) fn note_again(&mut self, log: LogId, now: Time, online: usize, rng: &mut Rng, config: &Config) {
        self.logs.insert(log);
        let spread = config.confirm_spread * u32::try_from(online).unwrap_or(u32::MAX);
        let soon = now + Duration::from_millis(1) + rng.within(spread.min(config.confirm_max));
        self.at = Some(self.at.unwrap_or(soon));
    }

    pub(super) const fn wake_at(&self) -> Option<Time> {
        self.at
    }

    /// The logs to confirm now.
    pub(super) fn take_due(&mut self, now: Time) -> Option<BTreeSet<LogId>> {
        self.at.filter(|&at| at <= now)?;
        Some(std::mem::take(self).logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Nick;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    #[test]
    fn trickle_slows_down_while_all_agree_and_speeds_up_when_they_do_not() {
        let config = Config::new(Nick::from_any("ann"), "239.192.7.7:5007".parse().expect("an address"));
        let (mut trickle, mut rng) = (Trickle::default(), Rng::new(1));
        assert_eq!(trickle.wake_at(), None);
        trickle.reset(at(0), &mut rng, &config);
        let (mut told, mut now) = (0, at(0));
        while now < at(60_000) {
            now = trickle.wake_at().expect("it runs");
            told += u32::from(trickle.on_timeout(now, &mut rng, &config));
        }
        // 100, 200 and 400 ms, then one each 0.8 s.
        assert!((72..=82).contains(&told), "{told}");
        trickle.reset(now, &mut rng, &config);
        assert!(trickle.wake_at().is_some_and(|at| at.since(now) <= config.trickle_min));
        trickle.on_equal();
        trickle.on_equal();
        now = trickle.wake_at().expect("it runs");
        assert!(!trickle.on_timeout(now, &mut rng, &config), "two others said it");
    }

    #[test]
    fn a_burst_is_confirmed_at_once() {
        let config = Config::new(Nick::from_any("ann"), "239.192.7.7:5007".parse().expect("an address"));
        let (mut due, mut rng) = (Confirmations::default(), Rng::new(1));
        let log = LogId { author: crate::id::PeerId([1; 16]), boot: 1 };
        due.note(log, at(5), 100, &mut rng, &config);
        assert!(due.wake_at() > Some(at(5)) && due.take_due(at(5)).is_none());
        for _ in 0..config.confirm_burst {
            due.note(log, at(5), 100, &mut rng, &config);
        }
        assert_eq!(due.take_due(at(5)).map(|logs| logs.len()), Some(1));
        assert_eq!(due.wake_at(), None);
    }
}
