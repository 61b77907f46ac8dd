//! How a run ends: a moment for the last words to arrive, byes, then nothing.

use super::{Context, Node, context};
use crate::config::Config;
use crate::event::{Event, Outcome};
use crate::time::Time;

/// How the run ends, once that is decided.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Until when what was said may still be confirmed, at most.
    lingers_until: Option<Time>,
    since: Time,
    pub(super) byes: usize,
    outcome: Outcome,
}

impl Leaving {
    /// When the next thing is due.
    pub(super) fn wake_at(&self, config: &Config) -> Option<Time> {
        self.lingers_until.or_else(|| self.bye_at(config))
    }

    /// Whether what was said may still be confirmed before the first bye.
    pub(super) const fn lingers(&self) -> bool {
        self.lingers_until.is_some()
    }

    fn bye_at(&self, config: &Config) -> Option<Time> {
        config.bye_at.get(self.byes).map(|&after| self.since + after)
    }
}

impl Node {
    /// A person wants to leave: at once, unless something was said that is not confirmed yet. That is
    /// repeated and repaired a moment longer. To be told so again ends the moment.
    pub(super) fn quit(&mut self) {
        let owed = self.is_owed();
        match &mut self.leaving {
            Some(leaving) => leaving.lingers_until = leaving.lingers_until.map(|_| self.now),
            None if owed => {
                let until = self.now + self.config.linger;
                let outcome = Outcome::Complete;
                self.leaving = Some(Leaving { lingers_until: Some(until), since: until, byes: 0, outcome });
            }
            None => return self.leave(Outcome::Complete),
        }
        self.stop_lingering();
    }

    fn is_owed(&self) -> bool {
        self.logs.tally().open > 0 || self.directs.undelivered().any(|(to, _)| self.membership.is_online(to))
    }

    /// Says bye once everything is confirmed, or the time is over.
    pub(super) fn stop_lingering(&mut self) {
        let owed = self.is_owed();
        let Some(leaving) =
            self.leaving.take_if(|leaving| leaving.lingers_until.is_some_and(|until| until <= self.now || !owed))
        else {
            return;
        };
        self.leave(leaving.outcome);
    }

    pub(super) fn leave(&mut self, outcome: Outcome) {
        if self.leaving.is_none() {
            self.logs.give_up(&mut context!(self));
            while let Some(news) = self.news.pop_front() {
                self.relate(news);
            }
            let undelivered: Vec<_> = self.directs.undelivered().collect();
            for (to, mid) in undelivered {
                self.events.push_back(Event::TellFailed { mid, to: self.name_of_peer(to) });
            }
            // What is acknowledged from now on was told as lost.
            self.directs.give_up();
            self.leaving = Some(Leaving { lingers_until: None, since: self.now, byes: 0, outcome });
            self.leave_on_time();
        }
    }

    /// Says the byes that are due; after the last, or at once if nobody is there, we are gone.
    pub(super) fn leave_on_time(&mut self) {
        let Some(leaving) = self.leaving.as_mut() else { return };
        if leaving.lingers() || leaving.bye_at(&self.config) > Some(self.now) {
            return;
        }
        let alone = self.membership.online().next().is_none();
        leaving.byes += 1;
        let (byes, outcome) = (leaving.byes, leaving.outcome);
        self.membership.say_bye(self.logs.head(), &mut context!(self));
        if alone || byes == self.config.bye_at.len() {
            self.gone = true;
            self.events.push_back(Event::Done(outcome));
        }
    }
}
