//! How much may be done: a token bucket, which is spent and comes back with time.

use std::time::Duration;

use super::Time;

/// How fast tokens come back, and how many there are at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens that come back each time.
    pub count: u32,
    /// How many there are at most.
    pub burst: u32,
    /// The time after which `count` come back, in microseconds; never zero.
    every: u32,
}

impl Rate {
    /// So many tokens come back each second.
    #[must_use]
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self { count, burst, every: 1_000_000 }
    }

    /// One token comes back after each such time, which is from a microsecond to `u32::MAX` of them, 71 minutes:
    /// a shorter or longer one counts as that.
    #[must_use]
    pub const fn one_every(every: Duration, burst: u32) -> Self {
        let micros = every.as_micros();
        let every = match micros {
            0 => 1,
            1..=0xFFFF_FFFF => micros as u32,
            _ => u32::MAX,
        };
        Self { count: 1, burst, every }
    }

    /// So many tokens in parts of one, of which `count` come back each microsecond.
    fn parts(self, count: u32) -> u64 {
        u64::from(count) * u64::from(self.every)
    }
}

/// A token bucket, full to begin with. What comes back is counted to the last part of a token, however often
/// it is asked. The rate is told each time: those told to one bucket are all per second, or all the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// What was taken and did not come back yet, in parts of a token.
    debt: u64,
    at: Time,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self { debt: 0, at: now }
    }

    /// When something was asked of it last, or when it was made.
    #[must_use]
    pub const fn asked_at(&self) -> Time {
        self.at
    }

    /// Takes so many tokens. False, and nothing taken, if there are fewer.
    pub fn take(&mut self, count: u32, rate: Rate, now: Time) -> bool {
        let micros = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        self.debt = self.debt.saturating_sub(micros.saturating_mul(rate.count.into()));
        self.at = self.at.max(now);
        let debt = self.debt.saturating_add(rate.parts(count));
        let enough = debt <= rate.parts(rate.burst);
        if enough {
            self.debt = debt;
        }
        enough
    }

    /// Takes so many tokens even if there are fewer: what is missing must come back first.
    pub fn charge(&mut self, count: u32, rate: Rate) {
        self.debt = self.debt.saturating_add(rate.parts(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    #[test]
    fn it_is_full_at_first_and_again_after_a_while_and_never_fuller() {
        let (rate, mut bucket) = (Rate::one_every(Duration::from_micros(10), 3), Bucket::default());
        for now in [0, 30, 1_000_000] {
            assert!(!bucket.take(4, rate, at(now)), "all or nothing");
            assert!(bucket.take(2, rate, at(now)) && bucket.take(1, rate, at(now)));
            assert!(!bucket.take(1, rate, at(now + 9)) && bucket.take(0, rate, at(now + 9)));
        }
        assert_eq!((bucket.asked_at(), Bucket::new(at(7)).asked_at()), (at(1_000_009), at(7)));
    }

    #[test]
    fn what_is_charged_must_come_back_first() {
        let (rate, mut bucket) = (Rate::per_second(1_000, 5), Bucket::default());
        bucket.charge(8, rate);
        assert!(!bucket.take(1, rate, at(3_999)) && bucket.take(1, rate, at(4_000)));
        bucket.charge(u32::MAX, rate);
        assert!(!bucket.take(1, rate, at(1_000_000)));
    }

    #[test]
    fn periods_out_of_bounds_are_the_nearest_within() {
        for (every, micros) in [(Duration::ZERO, 1), (Duration::from_secs(7), 7_000_000), (Duration::MAX, u32::MAX)] {
            assert_eq!(Rate::one_every(every, 1).every, micros);
        }
    }

    /// Rates of which most bounds matter.
    fn rates() -> impl Strategy<Value = Rate> {
        let few = prop_oneof![4 => 0..9u32, 1 => Just(u32::MAX), 1 => any::<u32>()];
        let every = prop_oneof![4 => 0..50u64, 1 => Just(1_000_000), 1 => any::<u64>()].prop_map(Duration::from_micros);
        let rate = |(count, burst, every)| Rate { count, ..Rate::one_every(every, burst) };
        (few.clone(), few, every).prop_map(rate)
    }

    /// Microseconds between two questions.
    fn passing() -> impl Strategy<Value = u64> {
        prop_oneof![9 => 0..50u64, 1 => any::<u64>()]
    }

    proptest! {
        #[test]
        fn it_agrees_with_what_is_counted_without_bounds(
            rate in rates(),
            steps in prop::collection::vec((passing(), 0..5u32, prop::bool::weighted(0.1)), 0..80),
        ) {
            let full = i128::from(rate.burst) * i128::from(rate.every);
            let (mut bucket, mut now, mut left) = (Bucket::default(), 0u64, full);
            for (passed, count, charged) in steps {
                let parts = i128::from(count) * i128::from(rate.every);
                if charged {
                    bucket.charge(count, rate);
                    left -= parts;
                    continue;
                }
                let before = now;
                now = now.saturating_add(passed);
                left = full.min(left + i128::from(now - before) * i128::from(rate.count));
                let enough = parts <= left;
                prop_assert_eq!(bucket.take(count, rate, at(now)), enough);
                left -= if enough { parts } else { 0 };
            }
        }

        #[test]
        fn time_that_runs_back_gains_nothing(rate in rates(), times in prop::collection::vec(0..1_000u64, 0..80)) {
            let mut bucket = Bucket::default();
            let taken: u64 = times.iter().map(|&now| u64::from(bucket.take(1, rate, at(now)))).sum();
            let gained = times.iter().max().unwrap_or(&0) * u64::from(rate.count) / u64::from(rate.every);
            prop_assert!(taken <= u64::from(rate.burst) + gained);
        }
    }
}
