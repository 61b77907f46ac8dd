//! What was said: one log per author and run, replicated among all.
//!
//! Sending is appending and casting. How far a node has each log is its *frontier*; frontiers are
//! the confirmations, and where two differ somebody lacks something and asks whoever holds it.
//! Knows peers only as names that are online or not; casts, names and signatures are `node`'s.
//!
//! ```text
//!   ann                    bob                 cleo
//!    |-- entry 7 (cast) --->|          x        |
//!    |<-- frontier ann:8 ---|                   |
//!    |-- entry 8 (cast) --->|------------------>|  8 without 7: a hole
//!    |<-- nack ann 7..8 (cast) -----------------|
//!    |-- entry 7 (cast) --->|------------------>|
//!    |<-- frontier ann:9 ---|-------------------|  delivered 2/2
//! ```

mod author;
mod claims;
mod converge;
mod detour;
mod exchange;
mod forgotten;
mod forked;
mod frontier;
mod joining;
mod repair;
mod store;
mod table;
mod whom;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Cast, Errand};
use crate::config::Config;
use crate::event::Arrival;
use crate::id::{LogId, PeerId};
use crate::protocol::Tally;
use crate::protocol::{Believed, Context, Draft, News, Post, To, earlier};
use crate::text::{Line, Nick};
use crate::time::Time;
use crate::wire::Message;
use crate::wire::body::{Digest, NO_DIGEST};
use author::Author;
use converge::{Confirmations, Pace, Telling, Trickle};
use forgotten::Forgotten;
use joining::{History, Joining};
use repair::{Budget, RoundTrip};
use store::{Held, Log};
use table::Source;
pub use table::Wants;

/// All logs, and the means to make them equal everywhere.
#[derive(Debug)]
pub struct Logs {
    own: LogId,
    logs: BTreeMap<LogId, Log>,
    forgotten: Forgotten,
    /// Logs that members tell of and that found no room.
    told: BTreeSet<LogId>,
    author: Author,
    /// Who is online, and in which run.
    online: BTreeMap<PeerId, u64>,
    confirmations: Confirmations,
    trickle: Trickle,
    round_trip: RoundTrip,
    budget: Budget,
    telling: Telling,
    pace: Pace,
    /// When something new came last: frontiers differ while entries are under way.
    busy_at: Time,
    repeat: Option<Repeat>,
    /// When somebody may have been behind for too long. Early, never late.
    detour_at: Option<Time>,
    /// When some log asks for what it lacks. Early, never late.
    ask_at: Option<Time>,
    joining: Joining,
    /// Past messages that may still be shown.
    history_left: usize,
    reader_ready: bool,
    /// When to deliver the rest of what could be delivered.
    deliver_at: Option<Time>,
    /// We stand between networks that are not to hear of each other: what others said is not passed
    /// on, so neither is it compared nor repaired by us.
    apart: bool,
    /// Another machine writes our log as well: what others confirm of it may be that one's.
    doubled: bool,
    bytes: usize,
    hash: Option<u64>,
}

/// Our latest entry, to be cast again until all have it.
#[derive(Debug)]
struct Repeat {
    seq: u64,
    said_at: Time,
    step: usize,
    at: Time,
}

impl Logs {
    /// No log but an empty one of our own.
    #[must_use]
    pub fn new(own: LogId, ctx: &Context<'_>) -> Self {
        Self {
            own,
            logs: BTreeMap::from([(own, Log::new(ctx.now, History::Until(0), 1))]),
            forgotten: Forgotten::default(),
            told: BTreeSet::new(),
            author: Author::new(ctx.config, ctx.now),
            online: BTreeMap::new(),
            confirmations: Confirmations::default(),
            trickle: Trickle::default(),
            round_trip: RoundTrip::new(ctx.config),
            budget: Budget::new(ctx.now),
            telling: Telling::default(),
            pace: Pace::default(),
            busy_at: ctx.now,
            repeat: None,
            detour_at: None,
            ask_at: None,
            joining: Joining::Alone,
            history_left: ctx.config.history,
            reader_ready: true,
            deliver_at: None,
            apart: false,
            doubled: false,
            bytes: 0,
            hash: None,
        }
    }

    /// Our next entry.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.author.head()
    }

    /// What stands for our last entry in the next one.
    #[must_use]
    pub fn tip(&self) -> Digest {
        self.logs.get(&self.own).map_or(NO_DIGEST, |log| log.tip.digest())
    }

    /// For each peer online, our first entry that was said after it joined.
    #[must_use]
    pub const fn bases(&self) -> &BTreeMap<PeerId, u64> {
        self.author.bases()
    }

    /// How what we said fared.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.author.tally()
    }

    /// When a confirmation came last.
    #[must_use]
    pub const fn progress_at(&self) -> Time {
        self.author.progress_at
    }

    /// Whether more may be said now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.author.has_room()
    }

    /// Those who said something, with what they called themselves last and how their last entry came here.
    pub fn authors(&self) -> impl Iterator<Item = (PeerId, &Nick, Option<Arrival>)> {
        let last = |log: &Log| log.held.values().next_back().and_then(|held| held.arrival);
        self.logs.iter().rev().filter_map(move |(id, log)| Some((id.author, log.nick()?, last(log))))
    }

    /// How long the group takes to answer, as far as it was measured.
    #[must_use]
    pub const fn round_trip(&self) -> Duration {
        self.round_trip.get()
    }

    /// Bytes kept, and entries.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        (self.bytes, self.logs.values().map(|log| log.held.len()).sum())
    }

    /// We did not run for a while.
    pub fn on_resumed(&mut self, now: Time) {
        self.author.on_resumed(now);
    }

    /// A peer joined or came back, in this run of its.
    pub fn on_online(&mut self, peer: PeerId, boot: u64, ctx: &mut Context<'_>) {
        self.online.insert(peer, boot);
        self.author.on_online(peer, ctx.now);
        // What it said in a run before and nobody had is asked for once more, and told as lost if nobody has it now.
        let before = self.logs.range_mut(LogId { author: peer, boot: 0 }..LogId { author: peer, boot });
        before.for_each(|(_, log)| log.known = log.known.max(log.author_said));
        self.joining.on_met(ctx.now);
        self.set_apart(self.apart);
        self.on_connected(ctx);
    }

    /// Somebody can be heard who could not: what was asked for in vain may be had now.
    pub fn on_connected(&mut self, ctx: &mut Context<'_>) {
        let lacking: Vec<_> = self.logs.iter().filter(|(_, log)| !log.is_complete()).map(|(&id, _)| id).collect();
        for id in lacking {
            self.look_for_holes(id, ctx);
        }
        self.pace.reset();
        self.trickle.reset(ctx.now, ctx.rng, ctx.config);
    }

    /// A peer left or was lost.
    pub fn on_gone(&mut self, peer: PeerId, ctx: &mut Context<'_>) {
        self.online.remove(&peer);
        self.budget.forget(peer);
        self.author.on_gone(peer, ctx.news);
        for log in self.logs.values_mut() {
            log.claims.forget(peer);
        }
        if self.online.is_empty() {
            self.trickle.stop();
            self.repeat = None;
        }
    }

    /// A peer's hello: how far its own log goes, and from which entry on it counts us as a listener.
    pub fn on_hello(&mut self, log: LogId, head: u64, base: Option<u64>, hash: u64, ctx: &mut Context<'_>) {
        let joining = self.is_joining();
        if self.open_log(log, head, Source::Author, ctx) {
            let entry = self.logs.get_mut(&log).expect("opened");
            (entry.heard_at, entry.met) = (ctx.now, true);
            entry.note_author(log.author, head, ctx.now);
            if let (History::Unknown, Some(base)) = (entry.history, base) {
                entry.history = History::Until(base);
            } else if !joining && entry.next == 1 && matches!(entry.history, History::Until(1..)) {
                // Met after we joined: what it said since we woke was said while we were there.
                entry.history = History::Before(head);
            }
            self.deliver(log, ctx);
            self.look_for_holes(log, ctx);
        }
        self.compare(log.author, hash, false, ctx);
    }

    /// A peer's bye: what of its log is not here must now come from others.
    pub fn on_bye(&mut self, log: LogId, head: u64, ctx: &mut Context<'_>) {
        if self.online.contains_key(&log.author) && self.open_log(log, head, Source::Author, ctx) {
            let entry = self.logs.get_mut(&log).expect("opened");
            entry.note_author(log.author, head, ctx.now);
            entry.said_bye = true;
            self.look_for_holes(log, ctx);
        }
    }

    /// Lines to say: what is to be signed. The drafts must come back through [`Logs::on_said`].
    pub fn draft(&mut self, lines: &[Line], ctx: &mut Context<'_>) -> Vec<Draft> {
        let numbered = (self.author.head_message()..).zip(lines);
        ctx.news.extend(numbered.map(|(seq, text)| News::Sent { seq, text: text.clone() }));
        self.author.said_at = ctx.now;
        self.author.draft(lines)
    }

    /// Our own entries, signed: kept, and cast.
    pub fn on_said(&mut self, entries: Vec<Believed>, ctx: &mut Context<'_>) {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return };
        for entry in entries {
            let message = Message::Entries(Errand::Said, vec![Arc::clone(&entry.raw)]);
            ctx.posts.push_back(Post { to: To::Group, message });
            self.keep(entry.log, entry.seq, Held::new(entry, None, None));
        }
        let own = self.own;
        let log = self.logs.get_mut(&own).expect("our own log");
        (log.known, log.heard_at) = (last + 1, ctx.now);
        self.deliver(own, ctx);
        self.repeat_from(last, ctx);
        self.plan_detour(ctx);
        self.make_room(ctx);
    }

    fn repeat_from(&mut self, seq: u64, ctx: &mut Context<'_>) {
        if self.online.is_empty() {
            return;
        }
        let first = ctx.rng.jitter(ctx.config.repeat_at[0]).max(self.confirm_span(ctx) + self.round_trip.get());
        self.repeat = Some(Repeat { seq, said_at: ctx.now, step: 0, at: ctx.now + first });
    }

    /// By when everybody who has an entry has confirmed it.
    fn confirm_span(&self, ctx: &Context<'_>) -> Duration {
        let online = u32::try_from(self.online.len()).unwrap_or(u32::MAX);
        (ctx.config.confirm_spread * online).min(ctx.config.confirm_max)
    }

    /// Whether an entry was said just now, as far as we can tell: it is further than any that was proven, and no
    /// answer while much of its log is asked for.
    #[must_use]
    pub fn is_news(&self, id: LogId, seq: u64, arrival: &Arrival) -> bool {
        let is_asked_for = |far: bool| far && arrival.errand == Errand::Repair;
        self.logs.get(&id).is_none_or(|log| seq >= log.proven && !is_asked_for(log.ask.far))
    }

    /// An entry that was here already, as far as its number tells: its author may not know that we have it.
    pub fn on_duplicate(&mut self, id: LogId, seq: u64, raw: &[u8], arrival: &Arrival, ctx: &mut Context<'_>) {
        ctx.stats.duplicates += 1;
        let Some(log) = self.logs.get_mut(&id) else { return };
        if let Some(held) = log.held.get_mut(&seq).filter(|held| is_recast(arrival) && *held.raw == *raw) {
            // Another holder seems to have given it to everybody: nothing vouches for that, so who asks is answered.
            held.recast_at = Some(ctx.now);
        }
        let told = log.confirmed_at.is_some_and(|at| ctx.now.since(at) < ctx.config.repeat_at[0]);
        if self.online.contains_key(&id.author) && !told && log.tells_again() {
            self.confirmations.note_again(id, ctx.now, self.online.len(), ctx.rng, ctx.config);
        }
    }

    /// A member answered a probe after this time.
    pub fn on_round_trip(&mut self, from: PeerId, took: Duration, config: &Config) {
        self.round_trip.sample(from, took, config);
    }

    /// An entry so far ahead that it is not kept: yet it tells how far the log goes.
    pub fn on_too_far(&mut self, id: LogId, seq: u64, ctx: &mut Context<'_>) {
        ctx.stats.too_far_ahead += 1;
        if self.open_log(id, seq, Source::Author, ctx) {
            let log = self.logs.get_mut(&id).expect("opened");
            log.proven = log.proven.max(seq.saturating_add(1));
            log.known = log.known.max(log.proven);
            self.look_for_holes(id, ctx);
        }
    }

    /// An entry that [`Logs::wants`] called new, its signature checked.
    pub fn on_entry(&mut self, entry: Believed, arrival: Arrival, ctx: &mut Context<'_>) {
        if !self.open_log(entry.log, entry.seq, Source::Author, ctx) {
            return;
        }
        ctx.stats.entries += 1;
        self.busy_at = ctx.now;
        let (id, seq) = (entry.log, entry.seq);
        self.note_tip(id, seq, entry.digest);
        // Whoever else lacks it heard that as well, or asks alone.
        let recast_at = is_recast(&arrival).then_some(ctx.now);
        self.keep(id, seq, Held::new(entry, Some(arrival), recast_at));
        let log = self.logs.get_mut(&id).expect("opened");
        log.heard_at = ctx.now;
        log.proven = log.proven.max(seq + 1);
        log.known = log.known.max(log.proven);
        self.deliver(id, ctx);
        self.look_for_holes(id, ctx);
        self.make_room(ctx);
    }

    /// Whoever reads our events keeps up, or does not: then nothing is delivered nor confirmed.
    pub fn on_reader(&mut self, ready: bool, ctx: &mut Context<'_>) {
        self.reader_ready = ready;
        if ready {
            self.deliver_all(ctx);
        }
    }

    /// Whether we stand between networks that are not to hear of each other.
    pub fn set_apart(&mut self, apart: bool) {
        self.apart = apart;
        if apart {
            self.joining.on_compared();
        }
    }

    /// Gives up waiting for confirmations.
    pub fn give_up(&mut self, ctx: &mut Context<'_>) {
        self.author.give_up(ctx.news);
        self.repeat = None;
    }

    /// Asserts what must always hold.
    pub fn check(&self, config: &Config) {
        assert!(self.logs.len() <= config.logs_max, "the table of logs is bounded");
        for (id, log) in &self.logs {
            assert!(log.next <= log.known, "{id:?}: what is delivered is known");
            assert!(log.floor() <= log.next, "{id:?}: the floor is below");
            let wakes = log.ask.at.is_none_or(|at| self.ask_at.is_some_and(|wake| wake <= at));
            assert!(wakes, "{id:?}: its wake-up is not forgotten");
        }
    }

    /// When [`Logs::on_timeout`] has something to do.
    #[must_use]
    pub fn wake_at(&self, config: &Config) -> Option<Time> {
        let look_at = self.joining.wake_at();
        let repeat_at = self.repeat.as_ref().map(|repeat| repeat.at);
        let mut wake = earlier(self.confirmations.wake_at(), self.trickle.wake_at());
        wake = earlier(wake, earlier(self.telling.wake_at(), self.ask_at));
        wake = earlier(wake, earlier(self.deliver_at, self.author.wake_at(config)));
        earlier(earlier(wake, self.detour_at), earlier(repeat_at, look_at))
    }

    /// Time passed: confirms, compares, repeats and asks.
    pub fn on_timeout(&mut self, ctx: &mut Context<'_>) {
        if self.deliver_at.take_if(|at| *at <= ctx.now).is_some() {
            self.deliver_all(ctx);
        }
        self.end_joining(ctx);
        self.author.on_timeout(ctx.now, ctx.config, ctx.news);
        self.confirm_due(ctx);
        self.repeat_due(ctx);
        self.hand_due(ctx);
        if self.ask_at.is_some_and(|at| at <= ctx.now) {
            self.ask_due(ctx);
        }
        // While entries are under way all frontiers differ, and saying so would help nobody.
        if self.trickle.on_timeout(ctx.now, ctx.rng, ctx.config) && !self.is_busy(ctx.now) && !self.apart {
            self.tell_hash(ctx);
        }
        if self.telling.take_due(ctx.now) {
            self.tell_frontier(To::Group, ctx);
        }
    }

    /// Casts our latest entry again, unless everybody has it.
    fn repeat_due(&mut self, ctx: &mut Context<'_>) {
        let Some(repeat) = self.repeat.as_mut().filter(|repeat| repeat.at <= ctx.now) else { return };
        let seq = repeat.seq;
        repeat.step += 1;
        let next = ctx.config.repeat_at.get(repeat.step).map(|&after| repeat.said_at + ctx.rng.jitter(after));
        match next {
            Some(at) => repeat.at = at.max(ctx.now + Duration::from_millis(1)),
            None => self.repeat = None,
        }
        if self.author.is_settled(seq) {
            self.repeat = None;
            return;
        }
        let Some(held) = self.logs.get(&self.own).and_then(|log| log.held.get(&seq)) else { return };
        ctx.stats.repeats += 1;
        let message = Message::Entries(Errand::Repeat, vec![Arc::clone(&held.raw)]);
        ctx.posts.push_back(Post { to: To::Group, message });
    }
}

/// Whether somebody gave it to everybody because it was asked for.
fn is_recast(arrival: &Arrival) -> bool {
    arrival.errand == Errand::Repair && arrival.cast != Cast::Unicast
}
