//! `/doctor`: has the node examine the network, and answers when it has found out what it can.

use std::time::Duration;

use super::Shell;
use crate::command::{Command, Typed};
use crate::node::{Input, Node};
use crate::runtime::answers::Answer;
use crate::runtime::report;
use crate::text::Line;
use crate::time::Time;

/// How often the machine is looked at besides: what hellos say of it is to stay true.
const SURVEY_EVERY: Duration = Duration::from_secs(5);

/// Questions that wait for one examination. Whoever asks more at the prompt has the answers to these first.
const ASKED_MAX: usize = 16;

/// What goes on for those who ask the doctor.
#[derive(Debug, Default)]
pub(super) struct Practice {
    /// An examination was begun for somebody.
    examining: bool,
    /// What was asked at the prompt, or in a pipe.
    typed: Vec<Typed>,
    survey_at: Time,
}

impl Shell {
    /// Looks at the machine, and tells the node.
    pub(super) fn survey(&mut self) {
        if self.machine.native().is_none() {
            return;
        }
        self.practice.survey_at = self.now() + SURVEY_EVERY;
        let survey = self.surveyor.look(self.network.segments(), &self.sockets);
        self.handle(Input::Survey(survey));
    }

    /// Looks at the machine when it is time.
    pub(super) fn survey_on_time(&mut self) {
        if self.now() >= self.practice.survey_at {
            self.survey();
        }
    }

    /// Whether the doctor can answer; begins what is needed for that.
    pub(super) fn is_examined(&mut self) -> bool {
        let done = self.machine.native().is_none_or(Node::is_examined);
        if !self.practice.examining {
            self.practice.examining = true;
            self.survey();
            self.handle(Input::Command(Command::Examine));
            return false;
        }
        done
    }

    /// Whether an examination that somebody waits for is over.
    pub(super) fn has_examined(&self) -> bool {
        self.practice.examining && self.machine.native().is_none_or(Node::is_examined)
    }

    /// What was asked at the prompt is answered later.
    pub(super) fn ask_doctor(&mut self, typed: Typed) {
        if self.practice.typed.len() < ASKED_MAX {
            self.practice.typed.push(typed);
        }
        let _ = self.is_examined();
    }

    /// Answers at the prompt, when the examination is over.
    pub(super) fn serve_doctor(&mut self) {
        if !self.has_examined() {
            return;
        }
        for typed in std::mem::take(&mut self.practice.typed) {
            if let Some(answer) = self.answer(&typed) {
                self.tell_answer(&answer);
            }
        }
    }

    /// The answer, from what is known now. The next one who asks has the network examined anew.
    pub(super) fn diagnosis(&self, name: Option<&Line>) -> Option<Answer> {
        let node = self.machine.native()?;
        Some(report::answer(&node.diagnosable(), &report::Names::of(node), name))
    }

    /// The examination was made use of.
    pub(super) fn discharge(&mut self) {
        self.practice.examining = false;
    }

    /// Whether the prompt waits for an examination.
    pub(super) const fn is_asked(&self) -> bool {
        !self.practice.typed.is_empty()
    }

    /// Whether the prompt or a job of ours waits for an examination.
    pub(super) fn is_asked_to_examine(&self) -> bool {
        self.is_asked() || self.job.is_some()
    }

    /// Whether anybody else is there.
    pub(super) fn has_company(&self) -> bool {
        let online = |node: &Node| node.peers().any(|peer| peer.online);
        self.machine.native().is_some_and(online)
    }
}
