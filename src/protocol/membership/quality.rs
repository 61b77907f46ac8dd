//! What is remembered of a peer by those who watch it: how good the way to it is, and how much it
//! may accuse others of.

use std::time::Duration;

use crate::config::Config;
use crate::time::{Rate, Time};

/// A new round trip counts this much, one of so many (RFC 6298).
const ROUND_TRIP_GAIN: u32 = 8;
/// Probes over which the loss is smoothed.
const LOSS_OVER: u32 = 32;
/// One, in the fixed point of the loss.
const ONE: u32 = 1 << 16;

/// What probes tell of the way to a peer and back.
#[derive(Clone, Debug, Default)]
pub struct Quality {
    round_trip: Option<Duration>,
    loss: u32,
    /// Probes so far, as far as that matters.
    probes: u32,
    /// It lived though it did not answer: until it does, not answering means nothing.
    pub(super) mute: bool,
    /// When it was probed last.
    pub(super) probed_at: Option<Time>,
}

impl Quality {
    /// How long a probe and its answer take, smoothed; `None` before the first answer.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How many of 100 probes get no answer, smoothed over some 32; `None` before the first answer.
    #[must_use]
    pub fn loss(&self) -> Option<u8> {
        self.round_trip.map(|_| u8::try_from((self.loss * 100 + ONE / 2) / ONE).unwrap_or(100))
    }

    /// An answer came after this time.
    pub(super) fn on_round_trip(&mut self, sample: Duration) {
        self.round_trip = Some(match self.round_trip {
            Some(smoothed) => (smoothed * (ROUND_TRIP_GAIN - 1) + sample) / ROUND_TRIP_GAIN,
            None => sample,
        });
        self.probes = (self.probes + 1).min(LOSS_OVER);
        self.loss -= self.loss / self.probes;
    }

    /// So many probes got no answer.
    pub(super) fn on_unanswered(&mut self, count: usize) {
        for _ in 0..count {
            self.probes = (self.probes + 1).min(LOSS_OVER);
            self.loss += (ONE - self.loss) / self.probes;
        }
    }

    /// How long an answer may take before the probe is sent again.
    pub(super) fn patience(&self, config: &Config) -> Duration {
        let slow = self.round_trip.map_or(Duration::ZERO, |round_trip| round_trip * 2);
        slow.clamp(config.probe_again * 2, config.probe_again * 8)
    }
}

/// How many accusations of a peer are looked at.
pub(super) const fn accusations(config: &Config) -> Rate {
    Rate::one_every(config.accusations_every, config.accusations_burst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Nick;
    use crate::time::Bucket;

    fn config() -> Config {
        Config::new(Nick::from_any("ann"), "239.192.7.7:5007".parse().expect("an address"))
    }

    #[test]
    fn round_trip_and_loss_are_smoothed() {
        let mut quality = Quality::default();
        assert_eq!((quality.round_trip(), quality.loss()), (None, None));
        quality.on_round_trip(Duration::from_millis(8));
        quality.on_round_trip(Duration::from_millis(16));
        assert_eq!((quality.round_trip(), quality.loss()), (Some(Duration::from_millis(9)), Some(0)));
        for _ in 0..200 {
            quality.on_unanswered(1);
            quality.on_round_trip(Duration::from_millis(9));
        }
        assert!((40..=60).contains(&quality.loss().expect("known")), "{quality:?}");
        assert_eq!(Quality::default().patience(&config()), Duration::from_millis(60));
        quality.on_round_trip(Duration::from_secs(9));
        assert_eq!(quality.patience(&config()), Duration::from_millis(240), "nobody waits for ever");
    }

    #[test]
    fn who_accuses_too_much_is_not_listened_to() {
        let (rate, mut left) = (accusations(&config()), Bucket::default());
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        let taken = (0..100).filter(|_| left.take(1, rate, at(50))).count();
        assert_eq!(taken, 32);
        let taken = (0..100).filter(|_| left.take(1, rate, at(53))).count();
        assert_eq!(taken, 3);
    }
}
