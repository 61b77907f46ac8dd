//! What nodes tell each other about logs: frontiers, requests and repairs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Logs;
use super::joining::History;
use super::repair::{Repaired, answering, post_entries, weight};
use super::store::{Ask, Log, Tip};
use super::table::{Source, taken_ahead};
use super::whom::{holder, unclaimed};
use crate::id::{LogId, PeerId};
use crate::protocol::{Context, News, Post, To, earlier};
use crate::wire::Message;
use crate::wire::body::{self, Frontier, Hole, NO_HASH, Nack, Progress};

/// Ranges asked for in one datagram: as many as fit whatever their numbers.
const HOLES_MAX: usize = 22;
/// Authors who are told by unicast what came of theirs, or a quarter of all if those are more. With
/// more of them one cast, which everybody must read, is cheaper.
const CONFIRMED_ALONE_MAX: usize = 4;
/// An entry is not cast again for repair more often than this.
const RECAST_AFTER: Duration = Duration::from_secs(1);
/// Entries lacking in one log at which one holder is asked instead of everybody.
pub(super) const FAR_BEHIND: u64 = 32;
/// Rounds without an answer after which claims of others are not believed any more.
const ROUNDS_MAX: u32 = 24;
/// After this time what no holder claims to have is given up although its author may come back with it.
const GONE_AFTER: Duration = Duration::from_secs(600);
/// Rounds after which what nobody here claims to have is not asked for any more, but looked at this often.
const ROUNDS_UNCLAIMED: u32 = 9;
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Rounds after which what no holder claims to have is given up, ...
const ROUNDS_PATIENT: u32 = 4;
/// ... and the time that others have to say that they have it, once its author is not here.
const PATIENT_FOR: Duration = Duration::from_millis(1500);

/// The round of a request to everybody from which on so many answer that each gives half as much as in the one before.
const CROWDED_ROUND: u32 = 3;

/// Entries of one log that follow each other and have the same holders in the same order: weighing all
/// peers for each entry costs more than sending it.
const BLOCK: u64 = 16;
/// Entries looked at for one request, in requests of [`Config::ask_max`]: a log has no more holes than that.
const REQUESTS_SERVED: u64 = 2;

/// Entries that somebody asked for.
#[derive(Debug, Default)]
struct Repairs {
    looked_at: u64,
    to_one: Vec<Arc<[u8]>>,
    to_all: Vec<Arc<[u8]>>,
    /// Logs of which somebody was asked for what is not here.
    gone: Vec<Progress>,
}

impl Logs {
    /// A frontier of a peer that is online.
    pub fn on_frontier(&mut self, from: PeerId, frontier: &Frontier, ctx: &mut Context<'_>) {
        let mut disputed = Vec::new();
        for progress in &frontier.logs {
            let id = progress.log();
            disputed.extend(self.unproven(progress));
            if let Some(hole) = self.disputed(progress) {
                disputed.push(hole);
            } else if self.ends_here(id) {
                self.give_proof(from, progress, ctx);
            } else if id == self.own {
                self.confirm_own(from, progress.next, ctx);
            } else if (progress.next > self.forgotten.mark(id).unwrap_or(0) || self.logs.contains_key(&id))
                && self.open_log(id, progress.next, Source::Hearsay, ctx)
            {
                self.on_progress(from, progress, ctx);
            }
        }
        // Its word for it is no proof: what it has is.
        for holes in disputed.chunks(HOLES_MAX) {
            let nack = Nack { asked: Some(body::bytes(from)), round: 0, holes: holes.to_vec() };
            ctx.posts.push_back(Post { to: To::Peer(from), message: Message::Nack(nack) });
        }
        if frontier.whole == Some(true) {
            self.joining.on_compared();
        }
        // A part of a frontier says nothing by its hash unless all is equal.
        if frontier.logs.is_empty() || frontier.whole == Some(true) || frontier.hash == self.hash() {
            self.compare(from, frontier.hash, frontier.whole == Some(true), ctx);
        }
    }

    fn on_progress(&mut self, from: PeerId, progress: &Progress, ctx: &mut Context<'_>) {
        let id = progress.log();
        let here = self.online.get(&id.author) == Some(&id.boot);
        let is_author = here && from == id.author;
        let Some(log) = self.logs.get_mut(&id) else { return };
        // Of an author who is here others know little that it did not say itself.
        let next = if here && !is_author { progress.next.min(log.credible()) } else { progress.next };
        let floor = progress.floor.min(next);
        log.note_claim(from, next, floor, ctx.now);
        if progress.next == log.next && log.tip.is_news(*progress.tip) {
            log.tip = Tip::Told(*progress.tip);
            self.hash = None;
        }
        // The author itself does not have them any more: nobody gives them for certain.
        if is_author && floor > log.next {
            let given = log.claims.beyond(log.next).any(|(_, claim)| claim.floor < floor);
            if !given {
                log.skip_to(floor);
                self.hash = None;
                self.deliver(id, ctx);
            }
        }
        let Some(log) = self.logs.get_mut(&id) else { return };
        if log.ask.round >= ROUNDS_PATIENT && next > log.next && floor <= log.next {
            // Somebody has it after all: asking had slowed down for nothing.
            log.ask.round = ROUNDS_PATIENT;
            log.ask.at = earlier(log.ask.at, Some(ctx.now + self.round_trip.pause(0, ctx.config)));
        }
        self.look_for_told(id, ctx);
    }

    /// As [`Logs::look_for_holes`], when others say there is more: it may still be on its way, or
    /// come again by itself.
    pub(super) fn look_for_told(&mut self, id: LogId, ctx: &mut Context<'_>) {
        let patience = ctx.config.repeat_at[1] / 2;
        let few = self.logs.get(&id).is_some_and(|log| log.lacks(FAR_BEHIND + 1) <= FAR_BEHIND);
        let idle = self.logs.get(&id).is_some_and(|log| log.ask.at.is_none());
        self.look_for_holes(id, ctx);
        let here = self.online.get(&id.author) == Some(&id.boot);
        let Some(log) = self.logs.get_mut(&id).filter(|log| here && idle && few && log.ask.at.is_some()) else {
            return;
        };
        log.ask.at = log.ask.at.map(|at| at + patience);
    }

    /// Arms the timer of a log that lacks something, and disarms that of one that does not.
    pub(super) fn look_for_holes(&mut self, id: LogId, ctx: &mut Context<'_>) {
        let group = self.online.len();
        let Some(log) = self.logs.get_mut(&id) else { return };
        if id == self.own || log.forked || log.is_complete() {
            log.ask = Ask::default();
            return;
        }
        // Most of what was asked for is here: go on with the rest at once. What is still under way
        // is not sent again so soon.
        let little = if log.ask.far { ctx.config.ask_max / 4 } else { 0 };
        if log.ask.sent_at.is_some() && log.known > log.ask.until && log.outstanding() <= little {
            log.ask = Ask { at: Some(ctx.now), since: ctx.now, ..Ask::default() };
        } else if log.ask.at.is_none() {
            log.ask.since = ctx.now;
            let wait = ctx.config.reorder_grace + self.round_trip.backoff(group, ctx.rng, ctx.config);
            log.ask.at = Some(ctx.now + wait);
        }
        self.ask_at = earlier(self.ask_at, log.ask.at);
    }

    /// Asks for what is due, one datagram for each who is asked.
    pub(super) fn ask_due(&mut self, ctx: &mut Context<'_>) {
        let mut requests: BTreeMap<(Option<PeerId>, u8), Vec<Hole>> = BTreeMap::new();
        let ids: Vec<_> = self.logs.iter().filter(|(_, log)| log.ask.at.is_some()).map(|(&id, _)| id).collect();
        self.ask_at = None;
        for id in ids {
            if let Some((asked, round, holes)) = self.ask_for(id, ctx) {
                requests.entry((asked, round)).or_default().extend(holes);
            }
        }
        for ((asked, round), holes) in requests {
            for holes in holes.chunks(HOLES_MAX) {
                ctx.stats.nacks += 1;
                let nack = Nack { asked: asked.map(body::bytes), round, holes: holes.to_vec() };
                let to = asked.map_or(To::Group, To::Peer);
                ctx.posts.push_back(Post { to, message: Message::Nack(nack) });
            }
        }
    }

    /// What one log asks for now, and whom; arms its next round.
    fn ask_for(&mut self, id: LogId, ctx: &mut Context<'_>) -> Option<(Option<PeerId>, u8, Vec<Hole>)> {
        let (group, online) = (self.online.len(), &self.online);
        let log = self.logs.get_mut(&id)?;
        let at = log.ask.at?;
        if at > ctx.now || online.is_empty() {
            // With nobody there, the first to come back starts it again.
            log.ask.at = if online.is_empty() { None } else { Some(at) };
            self.ask_at = earlier(self.ask_at, log.ask.at);
            return None;
        }
        match log.ask.asked {
            _ if log.first_missing().is_none_or(|first| first > log.ask.first) => log.claims.on_progress(),
            Some(asked) => log.claims.on_vain(asked, ctx.now),
            None => {}
        }
        let ended = log.said_bye || online.get(&id.author).is_some_and(|&boot| boot > id.boot);
        let author_here = online.get(&id.author) == Some(&id.boot);
        // While the author was asked in vain, others were not: they may still have it.
        let rounds = if author_here { log.ask.round } else { log.ask.elsewhere };
        // A frontier, by which others say that they have it, takes its time.
        let in_vain_for = log.ask.elsewhere_since.map_or(Duration::ZERO, |at| ctx.now.since(at));
        let is_patient = rounds < ROUNDS_PATIENT || !author_here && in_vain_for < PATIENT_FOR;
        // What its author has not said cannot be behind us, whoever says so while it is here.
        let said = if author_here { log.author_said.max(log.proven) } else { u64::MAX };
        let given_up = unclaimed(log, ended || ctx.now.since(log.ask.since) >= GONE_AFTER).filter(|&to| to <= said);
        if !is_patient && let Some(to) = given_up {
            log.skip_to(to);
            log.ask = Ask::default();
            self.hash = None;
            self.deliver(id, ctx);
            self.look_for_holes(id, ctx);
            return None;
        }
        let proven = log.first_held().is_some();
        if !is_patient && !proven && (!log.is_claimed() || log.ask.round >= ROUNDS_MAX) {
            self.give_up_on(id, ctx);
            return None;
        }
        if log.ask.round >= ROUNDS_UNCLAIMED && !is_patient && !author_here && !log.is_claimed() {
            log.ask.at = Some(ctx.now + LOOK_EVERY);
            self.ask_at = earlier(self.ask_at, log.ask.at);
            return None;
        }
        // What is farther ahead would not be taken: while nobody reads that goes on.
        let taken = log.next.saturating_add(taken_ahead(author_here, ctx.config));
        let holes = log.missing_below(taken, ctx.config.ask_max, HOLES_MAX);
        let Some(&(_, until)) = holes.last() else {
            log.ask = Ask::default();
            return None;
        };
        let (far, first) = (log.lacks(FAR_BEHIND + 1) > FAR_BEHIND, holes[0].0);
        if far && first > log.ask.first {
            // Some came since: whoever is asked answers.
            log.ask.round = 0;
        }
        // Everybody is asked once, by whoever asks first; what then still lacks, lacks here.
        let asked = if far || log.ask.round > 0 { holder(id, log, online) } else { None };
        let told_round = u8::try_from(log.ask.round).unwrap_or(u8::MAX);
        let pause = self.round_trip.pause(log.ask.round, ctx.config);
        let spread = if asked.is_none() { self.round_trip.backoff(group, ctx.rng, ctx.config) } else { Duration::ZERO };
        let again = ctx.now + pause + spread;
        let (at, sent_at) = (Some(again), Some(ctx.now));
        let since = if first > log.ask.first { ctx.now } else { log.ask.since };
        let elsewhere = log.ask.elsewhere + u32::from(!author_here);
        let elsewhere_since = log.ask.elsewhere_since.or_else(|| (!author_here).then_some(ctx.now));
        let (round, put_off) = (log.ask.round + 1, false);
        log.ask = Ask { at, since, round, elsewhere, elsewhere_since, sent_at, until, first, far, asked, put_off };
        self.ask_at = earlier(self.ask_at, Some(again));
        Some((asked, told_round, holes.into_iter().map(|(from, to)| Hole::new(id, from, to)).collect()))
    }

    /// Nobody who is here has what a log lacks. If its author will not come back with it, it is gone.
    fn give_up_on(&mut self, id: LogId, ctx: &mut Context<'_>) {
        let ended = self.online.get(&id.author).is_some_and(|&boot| boot > id.boot);
        let Some(log) = self.logs.get_mut(&id) else { return };
        // What the author itself told of: others may say what they like.
        let since = if let History::Until(until) = log.history { until.max(log.next) } else { log.next };
        let lacking = log.author_said.saturating_sub(since);
        let held = log.first_held().is_some();
        log.forget_claims();
        if (ended || log.said_bye) && !held && lacking > 0 {
            // Once, whoever claims to have it after all.
            log.author_said = log.next;
            ctx.stats.lost = ctx.stats.lost.saturating_add(lacking);
            ctx.news.push_back(News::Gap { log: id, nick: None, count: lacking });
        }
    }

    /// A request of a peer that is online: repairs what is ours to repair, and does not ask for
    /// the same itself.
    pub fn on_nack(&mut self, from: PeerId, nack: &Nack, ctx: &mut Context<'_>) {
        ctx.stats.nacks_heard += 1;
        let asked = nack.asked.as_ref().map(|id| PeerId(**id));
        if asked.is_some_and(|asked| asked != ctx.me) {
            return;
        }
        let mut repairs = Repairs::default();
        for hole in nack.holes.iter().take(HOLES_MAX) {
            // Nobody is believed to lack more than can be asked for at once.
            let hole = &Hole { to: hole.to.min(hole.from.saturating_add(ctx.config.ask_max)), ..*hole };
            if asked.is_none() {
                self.hold_back(hole, ctx);
            }
            if hole.log() == self.own {
                self.author.on_asked(from, hole, ctx.now, self.round_trip.get());
            }
            self.collect_repairs(from, nack.round, asked.is_some(), hole, &mut repairs, ctx);
        }
        if !repairs.gone.is_empty() {
            Self::post_pages(&To::Peer(from), NO_HASH, repairs.gone, None, ctx);
        }
        post_entries(&To::Peer(from), repairs.to_one, ctx);
        post_entries(&To::Group, repairs.to_all, ctx);
    }

    /// Somebody else asks for what we lack as well: the answer will come to us too.
    fn hold_back(&mut self, hole: &Hole, ctx: &mut Context<'_>) {
        let group = self.online.len();
        // Once until we ask ourselves: nobody can keep us from asking.
        let waits = |log: &&mut Log| log.ask.at.is_some() && !log.ask.put_off;
        let Some(log) = self.logs.get_mut(&hole.log()).filter(waits) else { return };
        if log.first_missing().is_some_and(|seq| (hole.from..hole.to).contains(&seq)) {
            let pause = self.round_trip.pause(log.ask.round, ctx.config);
            let later = ctx.now + pause + self.round_trip.backoff(group, ctx.rng, ctx.config);
            log.ask.at = log.ask.at.max(Some(later));
            log.ask.put_off = true;
            log.ask.round = log.ask.round.max(1);
        }
    }

    /// The entries of a hole that we are to send, within the budget.
    fn collect_repairs(
        &mut self,
        from: PeerId,
        round: u8,
        asked: bool,
        hole: &Hole,
        repairs: &mut Repairs,
        ctx: &mut Context<'_>,
    ) {
        let id = hole.log();
        if self.apart && id != self.own {
            return;
        }
        let Some(log) = self.logs.get_mut(&id).filter(|_| hole.from < hole.to) else { return };
        let given = log.held.range(hole.from..).next().map_or(log.next, |(&seq, _)| seq.min(log.next));
        if given > hole.from && log.next > hole.from && (asked || id == self.own) {
            // What is not here any more, or never was, cannot be given: say so, so that nobody asks in vain.
            repairs.gone.push(Progress { floor: given, ..log.progress(id) });
        }
        let author_online = self.online.contains_key(&id.author) || id == self.own;
        let answering = answering(round, author_online);
        if !asked && id != self.own && answering == 0 {
            return;
        }
        let quiet = self.round_trip.get() * if asked { 1 } else { 2 };
        let others: Vec<_> = self.online.keys().copied().filter(|&p| p != from && p != id.author).collect();
        let alone = self.online.len() <= 1;
        // Where everybody answers at once each gives a little.
        let crowd = if asked { 0 } else { u32::from(round).saturating_sub(CROWDED_ROUND).min(6) };
        let room = usize::try_from(ctx.config.ask_max >> crowd).unwrap_or(usize::MAX).max(1);
        let looks_max = ctx.config.ask_max * REQUESTS_SERVED;
        let mut ours = (u64::MAX, asked || id == self.own);
        for (&seq, held) in log.held.range_mut(hole.from..hole.to) {
            repairs.looked_at += 1;
            if repairs.to_one.len() + repairs.to_all.len() >= room || repairs.looked_at > looks_max {
                return;
            }
            if !asked && id != self.own && ours.0 != seq / BLOCK {
                let mine = weight(ctx.me, id, seq / BLOCK);
                let before = others.iter().filter(|&&p| weight(p, id, seq / BLOCK) < mine).count();
                ours = (seq / BLOCK, before < answering);
            }
            if !ours.1 || held.repaired.is_under_way(from, quiet, ctx.now) {
                continue;
            }
            let bytes = u32::try_from(held.raw.len()).unwrap_or(u32::MAX);
            if !self.budget.take(bytes, from, alone, ctx.now, ctx.config) {
                ctx.stats.repairs_throttled += 1;
                return;
            }
            // Most have it since it was cast again: who still asks for it lacks it alone.
            let recast = held.recast_at.is_some_and(|at| ctx.now.since(at) < RECAST_AFTER);
            let to_one = asked || alone || recast;
            held.repaired = Repaired::now(to_one.then_some(from), ctx.now);
            if to_one {
                repairs.to_one.push(Arc::clone(&held.raw));
            } else {
                held.recast_at = Some(ctx.now);
                repairs.to_all.push(Arc::clone(&held.raw));
            }
        }
    }

    /// Confirms what came: to its author alone, or to everybody where there are several.
    pub(super) fn confirm_due(&mut self, ctx: &mut Context<'_>) {
        let Some(due) = self.confirmations.take_due(ctx.now) else { return };
        let here = |id: &LogId| self.online.get(&id.author) == Some(&id.boot);
        let due: Vec<_> = due.into_iter().filter(here).collect();
        for id in &due {
            if let Some(log) = self.logs.get_mut(id) {
                log.confirmed_at = Some(ctx.now);
            }
        }
        if due.len() > CONFIRMED_ALONE_MAX.max(self.online.len() / 4) {
            let logs = due.iter().filter_map(|id| self.progress(*id)).collect();
            return self.post_frontier(&To::Group, logs, None, ctx);
        }
        for id in due {
            let logs = self.progress(id).into_iter().collect();
            self.post_frontier(&To::Peer(id.author), logs, None, ctx);
        }
    }
}
