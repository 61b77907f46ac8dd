//! When a run has said everything: holds piped lines until somebody is there, and decides how a
//! run ends.
//!
//! Pure bookkeeping over what `node` reports; posts nothing. A person at a terminal has no
//! session to speak of: lines go at once and only `/quit` ends it.

use std::time::Duration;

use crate::config::Config;
use crate::event::Outcome;
use crate::protocol::{Tally, earlier};
use crate::time::Time;

/// What the session must know to decide.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Peers online.
    pub online: usize,
    /// When one joined last, or was asked who may be about to.
    pub last_stirred: Option<Time>,
    /// How what was said fared so far.
    pub said: Tally,
    /// When a confirmation came last.
    pub progress_at: Time,
}

/// The state of a run with an end.
#[derive(Debug)]
pub struct Session {
    open: bool,
    waiting_since: Option<Time>,
    alone_since: Option<Time>,
    ended_at: Option<Time>,
}

impl Session {
    /// A run that begins now, with nobody there.
    #[must_use]
    pub const fn new(now: Time, config: &Config) -> Self {
        Self { open: !config.piped, waiting_since: None, alone_since: Some(now), ended_at: None }
    }

    /// Whether lines may go.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// A line waits to be said.
    pub fn on_line_waiting(&mut self, now: Time) {
        self.waiting_since = self.waiting_since.or(Some(now));
    }

    /// Lines were said, or what waited was no line.
    pub const fn on_said(&mut self) {
        self.waiting_since = None;
    }

    /// Nothing more will be said.
    pub fn on_end(&mut self, now: Time) {
        self.ended_at = self.ended_at.or(Some(now));
    }

    /// We did not run for a while, and nobody had occasion to come or to confirm: all waiting begins anew.
    pub fn on_resumed(&mut self, now: Time) {
        for since in [&mut self.waiting_since, &mut self.alone_since, &mut self.ended_at] {
            *since = since.map(|_| now);
        }
    }

    /// Looks at the state of things; says how the run ended, if it has.
    pub fn step(&mut self, now: Time, view: &View, config: &Config) -> Option<Outcome> {
        self.alone_since = if view.online == 0 { self.alone_since.or(Some(now)) } else { None };
        if config.piped {
            self.open = view.online > 0 && (self.open || self.opens_at(view, config).is_some_and(|at| at <= now));
        }
        if !config.stay && self.gives_up_at(config).is_some_and(|at| at <= now) {
            return Some(Outcome::Nobody);
        }
        self.ended_at?;
        let late = self.ends_at(view, config).is_some_and(|at| at <= now);
        (view.said.open + view.said.private == 0 || late).then(|| outcome(&view.said))
    }

    /// When [`Session::step`] has something to do.
    #[must_use]
    pub fn wake_at(&self, view: &View, config: &Config) -> Option<Time> {
        let opens = if self.open || view.online == 0 { None } else { self.opens_at(view, config) };
        let gives_up = if config.stay { None } else { self.gives_up_at(config) };
        earlier(earlier(opens, gives_up), self.ends_at(view, config))
    }

    /// When held lines go: a while after the last joined or was about to, but no later than the wait allows.
    fn opens_at(&self, view: &View, config: &Config) -> Option<Time> {
        let settled = view.last_stirred? + config.settle;
        let latest = self.waiting_since.map_or(settled, |since| since + config.wait);
        Some(settled.min(latest))
    }

    /// When to leave because nobody is there to hear what waits.
    fn gives_up_at(&self, config: &Config) -> Option<Time> {
        Some(self.waiting_since?.max(self.alone_since?) + config.wait)
    }

    /// When to leave although not everybody has confirmed.
    fn ends_at(&self, view: &View, config: &Config) -> Option<Time> {
        Some(self.ended_at?.max(view.progress_at) + config.wait.max(Duration::from_millis(1)))
    }
}

/// How a run ended in which this was said.
fn outcome(said: &Tally) -> Outcome {
    if said.entries > 0 && said.unheard == said.entries {
        Outcome::Nobody
    } else if said.open + said.partial + said.unheard + said.private > 0 {
        Outcome::Partial
    } else {
        Outcome::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Nick;

    fn config(piped: bool) -> Config {
        let group = "239.192.7.7:5007".parse().expect("an address");
        Config { piped, ..Config::new(Nick::from_any("ann"), group) }
    }

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn view(online: usize, joined_ms: u64, said: Tally) -> View {
        View { online, last_stirred: (online > 0).then(|| at(joined_ms)), said, progress_at: at(0) }
    }

    #[test]
    fn piped_lines_wait_until_nobody_else_joins() {
        let config = config(true);
        let mut session = Session::new(at(0), &config);
        session.on_line_waiting(at(10));
        let none = Tally::default();
        assert_eq!(session.step(at(100), &view(1, 100, none), &config), None);
        assert!(!session.is_open());
        assert_eq!(session.wake_at(&view(1, 100, none), &config), Some(at(400)));
        session.step(at(300), &view(2, 300, none), &config);
        session.step(at(400), &view(2, 300, none), &config);
        assert!(!session.is_open(), "a second one joined");
        session.step(at(600), &view(2, 300, none), &config);
        assert!(session.is_open());
    }

    #[test]
    fn nobody_is_told_apart_from_nothing_to_say() {
        let config = config(true);
        let mut session = Session::new(at(0), &config);
        assert_eq!(session.step(at(60_000), &view(0, 0, Tally::default()), &config), None, "no line waits");
        session.on_line_waiting(at(60_000));
        assert_eq!(session.step(at(64_999), &view(0, 0, Tally::default()), &config), None);
        assert_eq!(session.step(at(65_000), &view(0, 0, Tally::default()), &config), Some(Outcome::Nobody));
        let mut empty = Session::new(at(0), &config);
        empty.on_end(at(1));
        assert_eq!(empty.step(at(1), &view(0, 0, Tally::default()), &config), Some(Outcome::Complete));
    }

    #[test]
    fn who_was_stopped_waits_anew() {
        let config = config(true);
        let mut session = Session::new(at(0), &config);
        session.on_line_waiting(at(10));
        session.on_end(at(20));
        session.on_resumed(at(100_000));
        assert_eq!(session.step(at(100_000), &view(0, 0, Tally { open: 1, ..Tally::default() }), &config), None);
        let seen = view(1, 100_000, Tally { entries: 1, open: 1, ..Tally::default() });
        assert_eq!(session.step(at(104_999), &seen, &config), None);
        assert_eq!(session.step(at(105_000), &seen, &config), Some(Outcome::Partial));
    }

    #[test]
    fn who_stays_does_not_give_up() {
        let config = Config { stay: true, ..config(true) };
        let mut session = Session::new(at(0), &config);
        session.on_line_waiting(at(0));
        assert_eq!(session.step(at(100_000), &view(0, 0, Tally::default()), &config), None);
    }

    #[test]
    fn the_end_waits_for_confirmations_after_the_last_progress() {
        let config = config(true);
        let open = Tally { entries: 3, open: 1, ..Tally::default() };
        let mut session = Session::new(at(0), &config);
        session.on_end(at(1000));
        let mut seen = view(2, 0, open);
        assert_eq!(session.step(at(5999), &seen, &config), None);
        seen.progress_at = at(5900);
        assert_eq!(session.step(at(6000), &seen, &config), None);
        assert_eq!(session.step(at(10_900), &seen, &config), Some(Outcome::Partial));
        seen.said = Tally { entries: 3, ..Tally::default() };
        assert_eq!(session.step(at(6000), &seen, &config), Some(Outcome::Complete));
        seen.said = Tally { entries: 3, partial: 1, ..Tally::default() };
        assert_eq!(session.step(at(6000), &seen, &config), Some(Outcome::Partial));
        seen.said = Tally { entries: 1, unheard: 1, ..Tally::default() };
        assert_eq!(session.step(at(6000), &seen, &config), Some(Outcome::Nobody));
    }

    #[test]
    fn a_terminal_is_always_open() {
        assert!(Session::new(at(0), &config(false)).is_open());
    }
}
