//! From which point on what is said is said to us: history, and the wait for it.
//!
//! A log is held until its author's hello says from which entry on it counts us as a listener. What
//! lies before is history: gathered until it is complete, told in the order it was said, and only
//! then does the rest of that log go on. Logs without history are not held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Logs;
use super::store::Log;
use crate::id::{LogId, PeerId};
use crate::protocol::{Context, News, Said};
use crate::time::{Time, WallTime};

/// How long after meeting the first peer what is learnt still counts as joining, at least ...
const JOINING_MIN: Duration = Duration::from_millis(700);
/// How long greetings may take before they are asked for.
const PLACING_PATIENCE: Duration = Duration::from_millis(150);
/// ... while history still comes, with no pause longer than this, ...
const JOINING_IDLE_MAX: Duration = Duration::from_millis(1500);
/// ... nor for what was asked for in vain so often, ...
const JOINING_ROUNDS: u32 = 8;
/// ... nor longer than this for greetings, ...
const PLACED_WITHIN: Duration = Duration::from_secs(5);
/// ... and at most.
const JOINING_MAX: Duration = Duration::from_secs(30);

/// While joining and history still comes, it is looked after this often.
const JOINING_STEP: Duration = Duration::from_millis(50);

/// A clock that shows an earlier time was never set: 2020 began then.
const SET_SINCE: WallTime = WallTime(1_577_836_800_000);

/// What an author who was never here said longer ago than this by its clock, before we woke, is not shown as news:
/// whoever passes it on may have told of it bit by bit. Clocks that were set differ by less.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(3600);

/// Which part of a log was said before we joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// Not known yet: its author has not said since when it counts us as a listener.
    Unknown,
    /// The entries below this one.
    Until(u64),
    /// Of the entries below this one what is older than our waking, by its author's clock: the author was not
    /// here to say it better when we joined.
    Before(u64),
}

impl History {
    /// The first entry that cannot have been said before we joined, as far as that is known.
    pub(super) const fn until(self) -> u64 {
        match self {
            Self::Unknown => u64::MAX,
            Self::Until(until) | Self::Before(until) => until,
        }
    }
}

/// Whether what we learn was said before we joined.
#[derive(Debug)]
pub(super) enum Joining {
    /// Nobody was met yet.
    Alone,
    /// Somebody was met; history is gathered, to be told in order.
    Since {
        met_at: Time,
        look_at: Time,
        /// Somebody told its whole frontier, or one equal to ours: we know which logs there are.
        compared: bool,
        gathered: Vec<Said>,
    },
    /// Everything that comes now is news.
    Done,
}

/// Entries of one log delivered at once.
const DELIVERED_MAX: u64 = 4;

impl Joining {
    /// Somebody is online: from now on we are joining.
    pub(super) fn on_met(&mut self, now: Time) {
        if matches!(self, Self::Alone) {
            *self = Self::Since { met_at: now, look_at: now + JOINING_STEP, compared: false, gathered: Vec::new() };
        }
    }

    /// A whole frontier was heard.
    pub(super) const fn on_compared(&mut self) {
        if let Self::Since { compared, .. } = self {
            *compared = true;
        }
    }

    pub(super) const fn wake_at(&self) -> Option<Time> {
        match self {
            Self::Since { look_at, .. } => Some(*look_at),
            Self::Alone | Self::Done => None,
        }
    }
}

impl Logs {
    /// Delivers what is due of one log, as far as the person takes it.
    pub(super) fn deliver(&mut self, id: LogId, ctx: &mut Context<'_>) {
        let is_joining = self.is_joining();
        let Some(log) = self.logs.get_mut(&id) else { return };
        // While joining, a log is held until it is known where in it we joined, and behind that
        // point until all history is told in order.
        let history = log.history;
        let until = match history {
            History::Unknown => 0,
            History::Until(until) if is_joining && until > 1 => until,
            History::Until(_) | History::Before(_) => u64::MAX,
        };
        // History that is gathered waits for nobody to read it.
        let reader_ready = self.reader_ready;
        let own = id == self.own;
        let gathers = |next: u64| is_joining && matches!(history, History::Until(until) if next < until);
        let takes = |next: u64| own || reader_ready || gathers(next);
        let (before, mut news, mut past) = (log.next, Vec::new(), 0);
        while takes(log.next)
            && log.next < until
            && log.continues()
            && log.deliver_next(id, ctx.config.woke, &mut news, ctx.stats)
        {
            // Of whom we met since we joined all is told that it said in this run, be it marked as history.
            if log.next <= history.until() && !(log.met && matches!(history, History::Before(_))) {
                past = news.len();
            }
            if !own && !gathers(log.next) && log.next - before >= DELIVERED_MAX {
                // The rest in a moment: by then whoever reads may have had enough.
                self.deliver_at = Some(ctx.now + Duration::from_millis(1));
                break;
            }
        }
        let broken = log.held.get(&log.next).filter(|_| !log.continues()).map(|held| (log.next, Arc::clone(&held.raw)));
        if log.next != before {
            self.bound_assemblies(id, ctx.config.assembling_max);
            self.hash = None;
            if id != self.own {
                self.confirmations.note(id, ctx.now, self.online.len(), ctx.rng, ctx.config);
            }
        }
        for (n, news) in news.into_iter().enumerate() {
            self.tell(news, n < past, ctx);
        }
        if let Some((seq, raw)) = broken {
            self.on_fork(id, seq, raw, ctx);
        }
    }

    /// Tells at once, or keeps history until it is complete. Of the `past` no more is told than the person wants to
    /// see; what came since is told in any case, however old its author's clock makes it.
    fn tell(&mut self, news: News, past: bool, ctx: &mut Context<'_>) {
        match (&mut self.joining, news) {
            (Joining::Since { gathered, .. }, News::Said(said)) if past && said.history => {
                gathered.push(said);
                // Not sorted for each line, and never many more than will be shown.
                if gathered.len() > 2 * ctx.config.history + 64 {
                    latest(gathered, ctx.config.history, ctx.config.woke);
                }
            }
            (_, News::Said(said)) if past && said.history && self.history_left == 0 => {}
            (_, news) => {
                if past && matches!(&news, News::Said(said) if said.history) {
                    self.history_left -= 1;
                }
                ctx.news.push_back(news);
            }
        }
    }

    /// Long lines that are never finished would take more and more room: those go first whose author is not here.
    fn bound_assemblies(&mut self, grown: LogId, most: usize) {
        if self.logs.get(&grown).is_none_or(|log| log.assembling() == 0) {
            return;
        }
        while self.logs.values().map(Log::assembling).sum::<usize>() > most {
            let others = self.logs.iter().filter(|(id, log)| **id != grown && log.assembling() > 0);
            let is_here = |id: &LogId| self.online.get(&id.author) == Some(&id.boot);
            let Some(id) = others.min_by_key(|(id, log)| (is_here(id), log.heard_at)).map(|(&id, _)| id) else {
                return;
            };
            if let Some(log) = self.logs.get_mut(&id) {
                log.drop_assembly();
            }
        }
    }

    pub(super) fn deliver_all(&mut self, ctx: &mut Context<'_>) {
        for id in self.logs.keys().copied().collect::<Vec<_>>() {
            self.deliver(id, ctx);
        }
    }

    /// When the joining is over, history is told in the order it was said, and the rest goes on.
    pub(super) fn end_joining(&mut self, ctx: &mut Context<'_>) {
        let Joining::Since { met_at, look_at, compared, .. } = &mut self.joining else { return };
        if *look_at > ctx.now {
            return;
        }
        *look_at = ctx.now + JOINING_STEP;
        let (age, idle) = (ctx.now.since(*met_at), ctx.now.since(self.busy_at.max(*met_at)));
        let compared = *compared;
        let waits = age < JOINING_MAX && idle < JOINING_IDLE_MAX;
        let placed = age >= PLACED_WITHIN || self.unplaced().next().is_none();
        let complete = compared && placed && self.is_complete();
        if age < JOINING_MIN || waits && !complete {
            return;
        }
        // Authors who are not here, or are beyond those who relay: what they said is history, but for
        // what they said meanwhile.
        for log in self.logs.values_mut().filter(|log| log.history == History::Unknown) {
            log.history = History::Until(log.first_news(ctx.config.woke));
        }
        self.deliver_all(ctx);
        if let Joining::Since { mut gathered, .. } = std::mem::replace(&mut self.joining, Joining::Done) {
            latest(&mut gathered, ctx.config.history, ctx.config.woke);
            self.history_left -= gathered.len();
            ctx.news.extend(gathered.into_iter().map(News::Said));
        }
        self.deliver_all(ctx);
    }

    /// Peers online of whom we still do not know from which entry on they count us as a listener:
    /// their hellos to us were lost.
    pub fn unplaced_since(&self, now: Time) -> impl Iterator<Item = PeerId> {
        let patient = matches!(&self.joining, Joining::Since { met_at, .. } if now.since(*met_at) >= PLACING_PATIENCE);
        self.unplaced().filter(move |_| patient)
    }

    fn unplaced(&self) -> impl Iterator<Item = PeerId> {
        let placed = |id: LogId| self.logs.get(&id).is_some_and(|log| log.history != History::Unknown);
        let joining = self.is_joining();
        // Looked at with each turn: who has joined has nobody to go through.
        let online = joining.then(|| self.online.iter().map(|(&author, &boot)| LogId { author, boot }));
        online.into_iter().flatten().filter(move |&id| !placed(id)).map(|id| id.author)
    }

    pub(super) fn is_joining(&self) -> bool {
        !matches!(self.joining, Joining::Done)
    }

    /// Whether everything is here that will soon be.
    fn is_complete(&self) -> bool {
        let in_vain = |log: &Log| log.forked || log.ask.round >= JOINING_ROUNDS;
        self.logs.values().all(|log| log.is_complete() || in_vain(log))
    }
}

/// Whether an author's clock, if it was ever set, says that something was said before `woke`.
pub(super) const fn is_before(wall: WallTime, woke: WallTime) -> bool {
    wall.0 >= SET_SINCE.0 && wall.0 < woke.0
}

/// The same, and by how much more than clocks differ.
pub(super) const fn is_long_before(wall: WallTime, woke: WallTime) -> bool {
    is_before(wall, WallTime(woke.0.saturating_sub(CLOCKS_APART_MAX.as_millis() as u64)))
}

/// Keeps the last `count` by the clocks of their authors, in order: what an author said later is later, whatever its
/// clock was set back to. A clock that is ahead of ours is taken back to when we `woke`: history is of before that.
fn latest(gathered: &mut Vec<Said>, count: usize, woke: WallTime) {
    gathered.sort_by_key(|said| (said.log, said.seq));
    let mut ahead = BTreeMap::new();
    // Without a clock of our own nothing is ahead of it.
    for said in gathered.iter().filter(|_| woke > WallTime(0)) {
        let most: &mut u64 = ahead.entry(said.log).or_default();
        *most = (*most).max(said.wall.0.saturating_sub(woke.0));
    }
    let (mut log, mut wall) = (None, WallTime(0));
    let keyed = gathered.drain(..).map(|said| {
        let at = WallTime(said.wall.0 - ahead.get(&said.log).copied().unwrap_or(0).min(said.wall.0));
        wall = if log == Some(said.log) { wall.max(at) } else { at };
        log = Some(said.log);
        ((wall, said.log, said.seq), said)
    });
    let mut keyed: Vec<_> = keyed.collect();
    keyed.sort_by_key(|(key, _)| *key);
    let surplus = keyed.len().saturating_sub(count);
    gathered.extend(keyed.into_iter().skip(surplus).map(|(_, said)| said));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Cast, Errand};
    use crate::event::Arrival;
    use crate::text::{Line, Nick};

    fn said(author: u8, seq: u64, wall: u64) -> Said {
        let arrival = Arrival {
            segment: crate::address::SegmentId(1),
            cast: Cast::Multicast,
            address: std::net::SocketAddr::from(([10, 0, 0, 2], 5002)),
            ttl: None,
            errand: Errand::Said,
        };
        Said {
            log: LogId { author: PeerId([author; 16]), boot: 1 },
            nick: Nick::from_any("bob"),
            seq,
            wall: WallTime(wall),
            text: Line::from_peer("hi"),
            history: true,
            arrival,
        }
    }

    #[test]
    fn what_an_author_said_stays_in_its_order_whatever_its_clock_shows() {
        // The clock of the first was set back between its lines 2 and 3.
        let mut gathered = vec![said(1, 3, 100), said(2, 1, 500), said(1, 1, 900), said(1, 2, 1000), said(1, 4, 110)];
        latest(&mut gathered, 4, WallTime(2000));
        let order: Vec<_> = gathered.iter().map(|said| (said.log.author.0[0], said.seq)).collect();
        assert_eq!(order, [(1, 1), (1, 2), (1, 3), (1, 4)]);
    }

    #[test]
    fn a_clock_that_is_ahead_takes_no_places_from_what_was_said_since() {
        const DAY: u64 = 86_400_000;
        let hour = DAY / 24;
        // Of the first the clock is a day ahead: it said this one, three and two hours ago.
        let ahead = (0..3).map(|n| said(1, n + 1, 2 * DAY - (3 - n) * hour));
        let others = (0..3).map(|n| said(2, n + 1, DAY - hour / 2 + n));
        let mut gathered: Vec<_> = ahead.chain(others).collect();
        latest(&mut gathered, 4, WallTime(DAY));
        let order: Vec<_> = gathered.iter().map(|said| (said.log.author.0[0], said.seq)).collect();
        assert_eq!(order, [(2, 1), (2, 2), (2, 3), (1, 3)]);
    }
}
