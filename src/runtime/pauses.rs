//! Notices that this machine slept, or that this process was stopped: what others said meanwhile was
//! not heard, and that they were silent means nothing.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Shorter pauses are nothing to speak of: no peer is missed for so little.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// What the clocks showed.
pub(crate) struct Pauses {
    asleep: Option<Duration>,
}

impl Pauses {
    /// Begins to watch.
    pub(crate) fn new() -> Self {
        Self { asleep: asleep() }
    }

    /// Whether there was a pause: between two looks this process meant to wait for `meant` and took
    /// `took`, by a clock that stands still while the machine sleeps.
    pub(crate) fn look(&mut self, meant: Duration, took: Duration) -> bool {
        let before = std::mem::replace(&mut self.asleep, asleep());
        paused(before, self.asleep, took.saturating_sub(meant))
    }
}

/// How long this machine has slept since it started.
fn asleep() -> Option<Duration> {
    let awake: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?.into();
    let all: Duration = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?.into();
    Some(all.saturating_sub(awake))
}

fn paused(before: Option<Duration>, after: Option<Duration>, late: Duration) -> bool {
    let slept = before.zip(after).map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before));
    slept >= PAUSE_MIN || late >= PAUSE_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_and_a_process_that_was_stopped() {
        let s = Duration::from_secs;
        let zero = Duration::ZERO;
        assert!(!paused(Some(s(5)), Some(s(5)), zero));
        assert!(!paused(Some(s(5)), Some(s(5) + Duration::from_micros(3)), zero), "two clocks are not read at once");
        assert!(paused(Some(s(5)), Some(s(65)), zero));
        assert!(paused(Some(s(5)), Some(s(5)), s(9)));
        assert!(!paused(None, Some(s(5)), zero) && paused(None, None, s(2)));
        assert!(!Pauses::new().look(zero, zero));
        assert!(Pauses::new().look(s(1), s(3)) && !Pauses::new().look(s(3), s(1)));
    }
}
