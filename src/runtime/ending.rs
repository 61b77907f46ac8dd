//! How a run ends: who asked for it, how long it may take, and what status it makes.
//!
//! Pure: the loop asks and tells. A signal decides over an outcome, and the first decision stands;
//! only another signal on top of it ends the run at once.

use std::time::Duration;

use crate::event::{Event, Outcome};
use crate::time::Time;

/// How long leaving may take before it is cut short.
const LEAVING_MAX: Duration = Duration::from_secs(3);

/// Statuses above this are those of signals.
const SIGNALLED: u8 = 128;

/// That of SIGHUP, and of a terminal that is closed.
pub(crate) const HANGUP: u8 = SIGNALLED + 1;

/// Whether somebody who sends a signal of this status a second time wants the end at once.
pub(crate) const fn is_impatient(status: u8) -> bool {
    status != HANGUP
}

/// A decision to leave.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    /// The exit status, if the outcome does not decide it.
    status: Option<u8>,
    by: Time,
    /// A signal asked for it as well.
    signalled: bool,
}

/// How a run ends, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    leaving: Option<Leaving>,
    /// End at once, with this status.
    abort: Option<u8>,
    outcome: Option<Outcome>,
    /// Something was not sent that was to be.
    refused: bool,
    /// What was to be printed was not.
    failed: bool,
    /// Messages said, and those of them that everybody confirmed.
    said: u64,
    confirmed: u64,
}

impl Ending {
    /// Decides to leave, with this status unless the outcome is to decide it. True if that was
    /// news: then bye is to be said.
    pub(crate) fn leave(&mut self, status: Option<u8>, now: Time) -> bool {
        let news = self.leaving.is_none();
        self.leaving.get_or_insert(Leaving { status, by: now + LEAVING_MAX, signalled: false });
        news
    }

    /// As [`Ending::leave`], by a signal: the first one ends all waiting for others, the second one the run at once.
    /// Not SIGHUP, with which nobody is impatient: a terminal that is closed ends what is typed, and is told of by the
    /// shell and by the kernel as well.
    pub(crate) fn on_signal(&mut self, status: u8, now: Time) -> bool {
        let news = self.leave(Some(status), now);
        let Some(leaving) = self.leaving.as_mut().filter(|leaving| !leaving.signalled) else {
            if is_impatient(status) {
                self.abort(status);
            }
            return false;
        };
        // A signal decides over whatever else was decided, and the first one over the others.
        leaving.status = Some(status);
        leaving.signalled = news || is_impatient(status);
        leaving.signalled
    }

    /// Ends the run at once.
    pub(crate) fn abort(&mut self, status: u8) {
        self.abort = self.abort.or(Some(status));
    }

    /// Something was not sent: the run did not do what it was to do, whatever else it did.
    pub(crate) const fn refuse(&mut self) {
        self.refused = true;
    }

    /// What was to be printed was not: whatever else is said of this run, it failed, unless a signal ends it.
    pub(crate) const fn fail(&mut self) {
        self.failed = true;
    }

    /// Learns from what the node told.
    pub(crate) const fn on_event(&mut self, event: &Event) {
        match event {
            Event::Done(outcome) => self.outcome = Some(*outcome),
            Event::Sent { .. } | Event::Told { .. } => self.said += 1,
            Event::TellDelivered { .. } => self.confirmed += 1,
            Event::Delivered { confirmed, online, .. } if *confirmed == *online && *online > 0 => {
                self.confirmed += 1;
            }
            _ => {}
        }
    }

    /// Whether it is decided that this ends: nothing more is to be read.
    pub(crate) const fn is_decided(&self) -> bool {
        self.leaving.is_some() || self.abort.is_some() || self.outcome.is_some()
    }

    /// When to end at the latest.
    pub(crate) fn by(&self) -> Option<Time> {
        self.leaving.map(|leaving| leaving.by)
    }

    /// Whether there is time for what is left to be printed.
    pub(crate) const fn is_patient(&self) -> bool {
        self.abort.is_none()
    }

    /// The exit status, once the run is over.
    pub(crate) fn status(&self, now: Time) -> Option<u8> {
        if self.abort.is_some() {
            return self.abort;
        }
        let asked = self.leaving.and_then(|leaving| leaving.status);
        let asked = if self.failed { asked.filter(|&status| status > SIGNALLED).or(Some(1)) } else { asked };
        match self.outcome {
            Some(outcome) => Some(asked.unwrap_or_else(|| status_of(outcome).max(u8::from(self.refused)))),
            None => self.by().filter(|&by| by <= now).map(|_| asked.unwrap_or(0)),
        }
    }

    /// What to say about a run that ended with this status because not everybody heard it.
    pub(crate) fn remark(&self, status: u8, wait: Duration) -> Option<String> {
        let outcome = self.outcome.filter(|&outcome| status_of(outcome) == status)?;
        match outcome {
            Outcome::Complete => None,
            Outcome::Nobody => {
                let wait = wait.as_secs_f64();
                Some(format!("nobody is there: no peer within {wait} s to hear what was to be said"))
            }
            Outcome::Partial => {
                let Self { said, confirmed, .. } = self;
                Some(format!("only some confirmed: {confirmed} of {said} messages reached everybody"))
            }
        }
    }
}

const fn status_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => 0,
        Outcome::Nobody => 3,
        Outcome::Partial => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Line;

    const NOW: Time = Time::ZERO;

    #[test]
    fn the_outcome_decides_unless_somebody_else_did() {
        let mut ending = Ending::default();
        assert_eq!(ending.status(NOW), None);
        ending.on_event(&Event::Done(Outcome::Nobody));
        assert_eq!(ending.status(NOW), Some(3));
        assert!(ending.remark(3, Duration::from_millis(2500)).is_some_and(|r| r.contains("within 2.5 s")));
        assert!(ending.leave(Some(143), NOW));
        assert_eq!((ending.status(NOW), ending.remark(143, Duration::ZERO)), (Some(143), None));
    }

    #[test]
    fn what_was_refused_makes_a_failure() {
        let mut ending = Ending::default();
        ending.refuse();
        ending.on_event(&Event::Done(Outcome::Complete));
        assert_eq!(ending.status(NOW), Some(1));
    }

    #[test]
    fn what_cannot_be_printed_is_a_failure_whatever_was_answered() {
        for (asked, status) in [(None, 1), (Some(0), 1), (Some(3), 1), (Some(143), 143)] {
            let mut ending = Ending::default();
            ending.leave(asked, NOW);
            ending.fail();
            ending.on_event(&Event::Done(Outcome::Complete));
            assert_eq!(ending.status(NOW), Some(status), "{asked:?}");
        }
    }

    #[test]
    fn leaving_waits_for_the_byes_but_not_for_ever() {
        let mut ending = Ending::default();
        assert!(ending.leave(None, NOW) && !ending.leave(Some(1), NOW));
        assert_eq!(ending.status(NOW), None);
        assert_eq!(ending.status(NOW + LEAVING_MAX), Some(0));
    }

    #[test]
    fn a_terminal_that_is_closed_is_told_of_more_than_once() {
        let mut ending = Ending::default();
        assert!(ending.leave(None, NOW), "nothing more is typed");
        assert!(!ending.on_signal(HANGUP, NOW) && !ending.on_signal(HANGUP, NOW));
        assert_eq!(ending.status(NOW), None, "it still says bye");
        ending.on_event(&Event::Done(Outcome::Complete));
        assert_eq!((ending.status(NOW), ending.is_patient()), (Some(HANGUP), true));
    }

    #[test]
    fn a_signal_decides_over_a_reader_that_is_gone() {
        for status in [HANGUP, 143] {
            let mut ending = Ending::default();
            ending.leave(Some(0), NOW);
            ending.on_signal(status, NOW);
            ending.on_event(&Event::Done(Outcome::Complete));
            assert_eq!(ending.status(NOW), Some(status));
        }
    }

    #[test]
    fn the_first_signal_after_quit_does_not_cut_the_byes_short() {
        let mut ending = Ending::default();
        assert!(ending.leave(None, NOW), "typed");
        assert!(ending.on_signal(130, NOW), "what is waited for is waited for no more");
        assert_eq!((ending.status(NOW), ending.is_patient()), (None, true));
        assert!(!ending.on_signal(130, NOW));
        assert_eq!((ending.status(NOW), ending.is_patient()), (Some(130), false));
    }

    #[test]
    fn a_second_signal_ends_at_once() {
        let mut ending = Ending::default();
        assert!(ending.on_signal(130, NOW));
        assert_eq!((ending.status(NOW), ending.is_patient()), (None, true));
        assert!(!ending.on_signal(143, NOW));
        assert_eq!((ending.status(NOW), ending.is_patient()), (Some(143), false));
    }

    #[test]
    fn it_is_told_how_many_confirmed() {
        let mut ending = Ending::default();
        for seq in 1..=3 {
            ending.on_event(&Event::Sent { boot: 1, seq, text: Line::from_peer("x") });
        }
        ending.on_event(&Event::Delivered { seq: 1, confirmed: 2, online: 2 });
        ending.on_event(&Event::Delivered { seq: 2, confirmed: 1, online: 2 });
        ending.on_event(&Event::Delivered { seq: 3, confirmed: 0, online: 0 });
        ending.on_event(&Event::Done(Outcome::Partial));
        assert!(ending.remark(4, Duration::ZERO).is_some_and(|remark| remark.contains("1 of 3")));
    }
}
