//! The table of logs: which are open, what is kept of them, and what makes room.

use super::Logs;
use super::joining::History;
use super::store::{Held, Log};
use crate::config::Config;
use crate::id::LogId;
use crate::protocol::Context;
use crate::wire::body::Progress;

/// Logs that are told of and for which there is no room, until they say something themselves. When full, all
/// are forgotten: they are told of again.
const TOLD_MAX: usize = 256;

/// What to do with an entry that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Check its signature and hand it in.
    New,
    /// It is here.
    Duplicate,
    /// It is too far ahead to be kept.
    TooFar,
    /// Nobody who is here tells of its log: it may be a recording of a group that is no more.
    Unclaimed,
    /// We said it ourselves.
    Own,
    /// Two machines write this log: nothing more of it is taken.
    Nothing,
}

/// Who tells of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Its author, with its signature.
    Author,
    /// Somebody else: not believed so far that anything makes room for it.
    Hearsay,
}

/// How many entries are taken beyond what is delivered: of who is not here no more than can be asked for.
pub(super) const fn taken_ahead(is_here: bool, config: &Config) -> u64 {
    if is_here { config.ahead_max } else { config.ask_max * 2 }
}

impl Logs {
    /// Whether an entry is one we could use: checked before its signature is, which costs more.
    #[must_use]
    pub fn wants(&self, id: LogId, seq: u64, ctx: &Context<'_>) -> Wants {
        if id == self.own {
            return Wants::Own;
        }
        let here = self.online.get(&id.author) == Some(&id.boot);
        let ahead = taken_ahead(here, ctx.config);
        let log = self.logs.get(&id);
        if log.is_some_and(|log| log.forked) {
            return Wants::Nothing;
        }
        if log.is_none() && !here && !self.told.contains(&id) && self.forgotten.mark(id).is_none() {
            return Wants::Unclaimed;
        }
        if log.is_some_and(|log| log.lacks_tip(seq) && !log.held.contains_key(&seq)) {
            return Wants::New;
        }
        let next = log.map_or_else(|| self.forgotten.mark(id).unwrap_or(1), |log| log.next);
        if seq < next || log.is_some_and(|log| log.held.contains_key(&seq)) {
            Wants::Duplicate
        } else if seq >= next + ahead {
            Wants::TooFar
        } else {
            Wants::New
        }
    }

    /// How far we have a log, for those who may not have heard of it.
    #[must_use]
    pub fn progress(&self, id: LogId) -> Option<Progress> {
        self.logs.get(&id).map(|log| log.progress(id))
    }

    /// The log is there, or is now; false if there is no room for it.
    ///
    /// `until` is the first entry that cannot have been said before we joined.
    pub(super) fn open_log(&mut self, id: LogId, until: u64, source: Source, ctx: &mut Context<'_>) -> bool {
        if self.logs.contains_key(&id) {
            return true;
        }
        if self.logs.len() >= ctx.config.logs_max && !self.forget_a_log(source, ctx) {
            ctx.stats.logs_refused += 1;
            if self.told.len() >= TOLD_MAX {
                self.told.clear();
            }
            self.told.insert(id);
            return false;
        }
        self.told.remove(&id);
        let history = if self.is_joining() { History::Unknown } else { History::Before(until) };
        let log = Log::new(ctx.now, history, until);
        self.logs.insert(
            id,
            match self.forgotten.take(id) {
                Some(mark) => log.resumed(mark),
                None => log,
            },
        );
        true
    }

    /// Makes room for a log, of authors who are not in that run now: the one silent longest of those
    /// that are but told of, else of those of which nothing is kept, else of those whose author was never here,
    /// else of all.
    fn forget_a_log(&mut self, source: Source, ctx: &mut Context<'_>) -> bool {
        let idle = |id: &LogId| *id != self.own && self.online.get(&id.author) != Some(&id.boot);
        let worth = |log: &Log| (log.next > 1 || !log.held.is_empty(), !log.held.is_empty(), log.met);
        let idle = self.logs.iter().filter(|(id, _)| idle(id));
        let Some((&id, log)) = idle.min_by_key(|(_, log)| (worth(log), log.heard_at)) else { return false };
        if source == Source::Hearsay && worth(log).0 {
            return false;
        }
        if let Some(log) = self.logs.remove(&id) {
            self.bytes -= log.bytes();
            self.forgotten.remember(id, &log, ctx.now);
        }
        self.hash = None;
        true
    }

    pub(super) fn keep(&mut self, id: LogId, seq: u64, held: Held) {
        let Some(log) = self.logs.get_mut(&id) else { return };
        self.bytes += held.raw.len();
        if let Some(old) = log.held.insert(seq, held) {
            self.bytes -= old.raw.len();
        }
    }

    /// Drops entries where there are too many: the oldest of those that are delivered. What waits
    /// behind holes, which never come where a stranger made them up, may take half of what is kept.
    pub(super) fn make_room(&mut self, ctx: &mut Context<'_>) {
        let unconfirmed = self.author.oldest_awaited();
        while self.bytes > ctx.config.store_max || self.logs.values().any(|l| l.held.len() > ctx.config.entries_max) {
            let droppable = |(id, log): &(&LogId, &Log)| {
                let below = if **id == self.own { unconfirmed } else { log.next };
                log.held.keys().next().is_some_and(|&first| first < below)
            };
            let longest = self.logs.iter().filter(droppable).max_by_key(|(_, log)| log.held.len());
            let waits = self.logs.iter().filter(|(_, log)| log.ahead() > 0).max_by_key(|(_, log)| log.ahead());
            let (all, ahead) = self.logs.values().fold((0, 0), |(a, b), log| (a + log.held.len(), b + log.ahead()));
            let dropped = match (longest.map(|(&id, _)| id), waits.map(|(&id, _)| id)) {
                (longest, Some(id)) if longest.is_none() || ahead > all / 2 => {
                    self.logs.get_mut(&id).and_then(|log| log.held.pop_last())
                }
                (Some(id), _) => self.logs.get_mut(&id).and_then(|log| log.held.pop_first()),
                (None, _) => return,
            };
            let Some((_, held)) = dropped else { return };
            self.bytes -= held.raw.len();
            ctx.stats.forgotten += 1;
        }
    }
}
