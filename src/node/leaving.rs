//! How a run ends: byes, then nothing.

use super::{Context, Node, context};
use crate::config::Config;
use crate::event::{Event, Outcome};
use crate::time::Time;

/// How the run ends, once that is decided.
#[derive(Debug)]
pub(super) struct Leaving {
    since: Time,
    pub(super) byes: usize,
    outcome: Outcome,
}

impl Leaving {
    /// When the next bye is due.
    pub(super) fn bye_at(&self, config: &Config) -> Option<Time> {
        config.bye_at.get(self.byes).map(|&after| self.since + after)
    }
}

impl Node {
    pub(super) fn leave(&mut self, outcome: Outcome) {
        if self.leaving.is_none() {
            let undelivered: Vec<_> = self.directs.undelivered().collect();
            for (to, mid) in undelivered {
                self.events.push_back(Event::TellFailed { mid, to: self.name_of_peer(to) });
            }
            self.leaving = Some(Leaving { since: self.now, byes: 0, outcome });
            self.leave_on_time();
        }
    }

    /// Says the byes that are due; after the last, or at once if nobody is there, we are gone.
    pub(super) fn leave_on_time(&mut self) {
        let alone = self.membership.online().next().is_none();
        let Some(leaving) = self.leaving.as_mut() else { return };
        if leaving.bye_at(&self.config) > Some(self.now) {
            return;
        }
        leaving.byes += 1;
        let (byes, outcome) = (leaving.byes, leaving.outcome);
        self.membership.say_bye(self.logs.head(), &mut context!(self));
        if alone || byes == self.config.bye_at.len() {
            self.gone = true;
            self.events.push_back(Event::Done(outcome));
        }
    }
}
