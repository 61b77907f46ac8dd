//! A node that was started to answer one question: waits until it knows enough, answers, leaves.

use super::Shell;
use crate::command::parse;
use crate::runtime::jobs::When;
use crate::time::Time;

impl Shell {
    /// When the job is to be done at the latest.
    pub(super) fn job_by(&self) -> Option<Time> {
        self.job.as_ref().map(|_| Time::ZERO + self.wait)
    }

    /// Does the job, once the node knows enough.
    pub(super) fn serve_job(&mut self) {
        let now = self.now();
        let due = |shell: &Self, when| match when {
            When::Settled => shell.machine.wants_line(),
        };
        let Some(job) = self.job.take_if(|_| !self.ending.is_decided()) else { return };
        if !due(self, job.when) && now < Time::ZERO + self.wait {
            self.job = Some(job);
            return;
        }
        let answer = parse(&job.line).ok().and_then(|typed| self.answer(&typed));
        debug_assert!(answer.is_some(), "a job is a question");
        if let Some(answer) = &answer {
            self.teller.output.push(&job.show.shown(&answer.json));
        }
        self.leave(answer.map(|answer| answer.status));
    }
}
