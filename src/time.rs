//! Time as the state machine sees it: microseconds since the node woke.
//!
//! There is no clock in here. Whoever drives the machine says what time it is, so a run can be
//! written down and played again. [`WallTime`] is the other kind: what a person's watch shows,
//! used for display only and never for a decision.

mod agenda;
mod bucket;

pub use agenda::Agenda;
pub use bucket::{Bucket, Rate};

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: microseconds since the node woke. Saturates at both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The moment the node woke.
    pub const ZERO: Self = Self(0);

    /// A point `micros` microseconds after the node woke.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the node woke.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(micros))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What a wall clock shows: milliseconds since 1970-01-01 UTC. For display only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seconds_and_micros() {
        assert_eq!(Time::from_micros(1_000_042).to_string(), "1.000042");
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::from_micros(u64::MAX) + Duration::from_secs(1), Time::from_micros(u64::MAX));
        assert_eq!(Time::ZERO.since(Time::from_micros(5)), Duration::ZERO);
    }
}
