//! A node that was started to answer one question: waits until it knows enough, answers, leaves.

use std::time::Duration;

use super::Shell;
use crate::command::parse;
use crate::runtime::jobs::When;
use crate::time::Time;

/// By then everybody in a small group has said hello at least once, and so whom it hears: the period of hellos, a
/// quarter more at most.
const TOLD_AFTER: Duration = Duration::from_millis(2600);

impl Shell {
    /// When to look at the job again; it is done at the latest after the wait.
    pub(super) fn job_by(&self) -> Option<Time> {
        if self.ending.is_decided() {
            return None;
        }
        let waits = |when| if when == When::Told { TOLD_AFTER } else { self.wait };
        let at = self.job.as_ref().map(|job| Time::ZERO + waits(job.when).min(self.wait))?;
        Some(if at > self.now() { at } else { Time::ZERO + self.wait })
    }

    /// Does the job, once the node knows enough.
    pub(super) fn serve_job(&mut self) {
        let now = self.now();
        let Some(job) = self.job.take_if(|_| !self.ending.is_decided()) else { return };
        let is_due = match job.when {
            When::Settled => self.machine.wants_line(),
            When::Told => self.machine.wants_line() && now >= Time::ZERO + TOLD_AFTER,
            When::Examined => self.is_diagnosed(),
        };
        if !is_due && now < Time::ZERO + self.wait {
            self.job = Some(job);
            return;
        }
        self.survey();
        let answer = parse(&job.line).ok().and_then(|typed| self.answer(&typed));
        debug_assert!(answer.is_some(), "a job is a question");
        if let Some(answer) = &answer {
            self.teller.result(&job.show.shown(&answer.json), job.is_for_person());
        }
        self.leave(answer.map(|answer| answer.status));
    }

    /// Whether the network is examined and somebody is there; where nobody is, it is examined again.
    fn is_diagnosed(&mut self) -> bool {
        let done = self.is_examined();
        if done && !self.has_company() {
            self.discharge();
            return false;
        }
        done
    }
}
