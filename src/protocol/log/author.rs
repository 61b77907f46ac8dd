//! Our own log: what we say, who has confirmed it, and how much may be under way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::config::{Config, DATAGRAM_MAX};
use crate::id::PeerId;
use crate::protocol::Tally;
use crate::protocol::{Draft, News};
use crate::text::Line;
use crate::time::Time;
use crate::wire::body::{self, Hole, Text};
use crate::wire::header::HEADER_LEN;

/// What stands around the body of an entry at most: signature and lengths 72, fields 103, a nick of
/// 48 characters 195, the array around it 3.
const ENTRY_OVERHEAD: usize = 373;

/// The longest body of an entry: with it an entry still fits a datagram alone.
const BODY_MAX: usize = DATAGRAM_MAX - HEADER_LEN - ENTRY_OVERHEAD;

/// What stands around one line in a body.
const LINE_OVERHEAD: usize = 3;

/// What stands around all lines of a body.
const BODY_OVERHEAD: usize = 14;

/// Somebody online who is to have what we say.
#[derive(Clone, Copy, Debug)]
struct Listener {
    /// The first entry said after it joined: it owes no confirmation for those before.
    base: u64,
    /// The first entry it has not confirmed.
    next: u64,
    /// When it last confirmed enough, or had nothing to confirm, ...
    progress_at: Time,
    /// ... and up to where that is: all that was said until then, or so much that it is worth waiting for.
    goal: u64,
    /// How often it was too slow since it joined: each time it is waited for half as long.
    stalls: u32,
    /// It was behind for too long: it is not waited for until it has caught up.
    stalled: bool,
    /// When it was last handed our latest entry, because it was behind, and how often since it confirmed something.
    handed: (Time, u32),
}

impl Listener {
    /// Whether an entry waits for it.
    const fn owes(&self, seq: u64) -> bool {
        !self.stalled && self.base <= seq && self.next <= seq
    }

    /// For how long it may be behind. Who never confirmed anything may be nobody.
    fn patience(&self, config: &Config) -> Duration {
        if self.next == 0 {
            config.unproven_after
        } else {
            config.stalled_after / 2u32.pow(self.stalls.min(STALLS_MAX))
        }
    }

    /// It confirmed everything below `next`, of what was said below `head`.
    fn on_confirm(&mut self, next: u64, head: u64, now: Time) {
        (self.next, self.handed.1) = (next, 0);
        if next >= self.goal {
            (self.progress_at, self.goal) = (now, head.min(next + WORTH_WAITING));
        }
        self.stalled &= next < head;
    }

    /// When it is to be handed our latest entry, if it is behind until then.
    fn hand_at(&self, after: Duration) -> Option<Time> {
        let (at, times) = self.handed;
        (times < HANDED_MAX).then(|| self.progress_at.max(at) + after * 2u32.pow(times))
    }

    /// Whether it has confirmed an entry that was meant for it.
    const fn has(&self, seq: u64) -> bool {
        self.base <= seq && self.next > seq
    }
}

/// An entry that somebody has not confirmed.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    seq: u64,
    first: u64,
    count: u32,
    audience: usize,
    /// Those who confirmed it and are not here any more.
    gone: usize,
}

/// The author's side of our own log.
#[derive(Debug)]
pub(super) struct Author {
    next: u64,
    next_message: u64,
    listeners: BTreeMap<PeerId, Listener>,
    bases: BTreeMap<PeerId, u64>,
    awaited: VecDeque<Awaited>,
    tally: Tally,
    /// Entries that may be under way: grows with what is confirmed, halves when repair is asked for.
    window: u32,
    confirmed_in_window: u32,
    halved_at: Option<Time>,
    pub(super) progress_at: Time,
    /// When we said something last.
    pub(super) said_at: Time,
}

impl Author {
    pub(super) const fn new(config: &Config, now: Time) -> Self {
        Self {
            next: 1,
            next_message: 1,
            listeners: BTreeMap::new(),
            bases: BTreeMap::new(),
            awaited: VecDeque::new(),
            tally: Tally { entries: 0, open: 0, partial: 0, unheard: 0, private: 0 },
            window: config.window_start,
            confirmed_in_window: 0,
            halved_at: None,
            progress_at: now,
            said_at: now,
        }
    }

    /// Our next entry.
    pub(super) const fn head(&self) -> u64 {
        self.next
    }

    /// The number of our next message.
    pub(super) const fn head_message(&self) -> u64 {
        self.next_message
    }

    /// Our oldest entry that somebody has not confirmed; our next one if all have all.
    pub(super) fn oldest_awaited(&self) -> u64 {
        self.awaited.front().map_or(self.next, |awaited| awaited.seq)
    }

    /// For each peer online, our first entry that was said after it joined.
    pub(super) const fn bases(&self) -> &BTreeMap<PeerId, u64> {
        &self.bases
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { open: self.awaited.len() as u64, ..self.tally }
    }

    /// Whether more may be said now.
    pub(super) fn has_room(&self) -> bool {
        self.next - self.oldest_awaited() < u64::from(self.window)
    }

    /// We did not run for a while: what was not confirmed meanwhile is nobody's fault.
    pub(super) fn on_resumed(&mut self, now: Time) {
        self.progress_at = now;
        for listener in self.listeners.values_mut() {
            listener.progress_at = now;
        }
    }

    pub(super) fn on_online(&mut self, peer: PeerId, now: Time) {
        let (base, handed) = (self.next, (now, 0));
        let listener = Listener { base, next: 0, progress_at: now, goal: base, stalls: 0, stalled: false, handed };
        self.listeners.insert(peer, listener);
        self.bases.insert(peer, self.next);
    }

    pub(super) fn on_gone(&mut self, peer: PeerId, news: &mut VecDeque<News>) {
        if let Some(listener) = self.listeners.remove(&peer) {
            for awaited in self.awaited.iter_mut().filter(|awaited| listener.has(awaited.seq)) {
                awaited.gone += 1;
            }
        }
        self.bases.remove(&peer);
        self.settle(news);
    }

    /// Cuts lines into entries: many short lines into one, a long one into many.
    pub(super) fn draft(&mut self, lines: &[Line]) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let mut rest = lines;
        while let Some(line) = rest.first() {
            if line.as_str().len() + LINE_OVERHEAD + BODY_OVERHEAD > BODY_MAX {
                self.draft_parts(line, &mut drafts);
                rest = &rest[1..];
            } else {
                let taken = self.draft_lines(rest, &mut drafts);
                rest = &rest[taken..];
            }
        }
        drafts
    }

    fn draft_lines(&mut self, lines: &[Line], drafts: &mut Vec<Draft>) -> usize {
        let (mut size, mut taken) = (BODY_OVERHEAD, Vec::new());
        for line in lines {
            size += line.as_str().len() + LINE_OVERHEAD;
            if size > BODY_MAX {
                break;
            }
            taken.push(line.as_str().to_owned());
        }
        let count = taken.len();
        let text = Text { lines: taken, part: None, parts: None };
        drafts.push(self.entry(&text, u32::try_from(count).unwrap_or(u32::MAX)));
        count
    }

    fn draft_parts(&mut self, line: &Line, drafts: &mut Vec<Draft>) {
        let chunks = line.chunks(BODY_MAX - BODY_OVERHEAD - LINE_OVERHEAD);
        let parts = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
        for (part, chunk) in (0..).zip(chunks) {
            let text = Text { lines: vec![chunk.to_owned()], part: Some(part), parts: Some(parts) };
            drafts.push(self.entry(&text, u32::from(part + 1 == parts)));
        }
    }

    fn entry(&mut self, text: &Text, count: u32) -> Draft {
        let mut bytes = Vec::new();
        body::encode(&mut bytes, text);
        debug_assert!(bytes.len() <= BODY_MAX, "{} bytes of body", bytes.len());
        let draft = Draft { seq: self.next, first: self.next_message, count, body: bytes };
        let (next, now) = (self.next, self.said_at);
        for listener in self.listeners.values_mut().filter(|listener| listener.next.max(listener.base) == next) {
            // It was up to date until now: only from now on is it behind.
            (listener.progress_at, listener.goal) = (now, next + 1);
        }
        let audience = self.listeners.len();
        self.tally.entries += 1;
        if audience == 0 {
            self.tally.unheard += 1;
        } else {
            self.awaited.push_back(Awaited { seq: draft.seq, first: draft.first, count, audience, gone: 0 });
        }
        self.next += 1;
        self.next_message += u64::from(count);
        draft
    }

    /// A peer says that it has everything below `next`.
    pub(super) fn on_confirm(
        &mut self,
        peer: PeerId,
        next: u64,
        now: Time,
        config: &Config,
        news: &mut VecDeque<News>,
    ) {
        let Some(listener) = self.listeners.get_mut(&peer) else { return };
        let next = next.min(self.next);
        if next <= listener.next {
            return;
        }
        listener.on_confirm(next, self.next, now);
        self.progress_at = now;
        let before = self.awaited.len();
        self.settle(news);
        self.open_window(before - self.awaited.len(), config);
    }

    /// Half as much again for each window confirmed.
    fn open_window(&mut self, confirmed: usize, config: &Config) {
        self.confirmed_in_window += u32::try_from(confirmed).unwrap_or(u32::MAX);
        if self.confirmed_in_window >= self.window {
            self.confirmed_in_window = 0;
            self.window = (self.window + self.window / 2 + 1).min(config.window_max);
        }
    }

    /// Somebody lacks what we said a moment ago, and did not confirm it before: half the window, but once a round trip.
    pub(super) fn on_asked(&mut self, from: PeerId, hole: &Hole, now: Time, round_trip: Duration) {
        let to = hole.to.min(self.next);
        let lacks = |listener: &Listener| !listener.stalled && listener.next.max(listener.base) < to;
        let lacks = hole.from < to && self.listeners.get(&from).is_some_and(lacks);
        if lacks && self.halved_at.is_none_or(|at| now.since(at) > round_trip * 2) {
            self.halved_at = Some(now);
            self.window = (self.window / 2).max(WINDOW_MIN);
            self.confirmed_in_window = 0;
        }
    }

    /// Whether everybody who was there has confirmed `seq`.
    pub(super) fn is_settled(&self, seq: u64) -> bool {
        self.awaited.back().is_none_or(|awaited| awaited.seq < seq)
            || !self.listeners.values().any(|listener| listener.owes(seq))
    }

    /// Tells of everything that nobody's confirmation is awaited for any more.
    fn settle(&mut self, news: &mut VecDeque<News>) {
        while let Some(&awaited) = self.awaited.front() {
            if self.listeners.values().any(|listener| listener.owes(awaited.seq)) {
                return;
            }
            let confirmed = self.listeners.values().filter(|listener| listener.has(awaited.seq)).count();
            self.awaited.pop_front();
            self.close(&awaited, confirmed, news);
        }
    }

    /// When somebody who confirms nothing is not waited for any longer.
    pub(super) fn wake_at(&self, config: &Config) -> Option<Time> {
        let oldest = self.awaited.front()?.seq;
        let behind = self.listeners.values().filter(|listener| listener.owes(oldest));
        behind.map(|listener| listener.progress_at + listener.patience(config)).min()
    }

    /// Time passed: who confirmed nothing for long does not hold up the others. It catches up later.
    pub(super) fn on_timeout(&mut self, now: Time, config: &Config, news: &mut VecDeque<News>) {
        let Some(oldest) = self.awaited.front().map(|awaited| awaited.seq) else { return };
        for listener in self.listeners.values_mut().filter(|listener| listener.owes(oldest)) {
            if listener.progress_at + listener.patience(config) <= now {
                (listener.stalled, listener.stalls) = (true, listener.stalls + 1);
            }
        }
        self.settle(news);
    }

    /// When somebody is to be handed our latest entry who has been behind for `after`.
    pub(super) fn hand_at(&self, after: Duration) -> Option<Time> {
        let oldest = self.awaited.front()?.seq;
        let behind = self.listeners.values().filter(|listener| listener.owes(oldest));
        behind.filter_map(|listener| listener.hand_at(after)).min()
    }

    /// Those whose time has come.
    pub(super) fn take_behind(&mut self, now: Time, after: Duration) -> Vec<PeerId> {
        let Some(oldest) = self.awaited.front().map(|awaited| awaited.seq) else { return Vec::new() };
        let mut behind = Vec::new();
        for (&peer, listener) in self.listeners.iter_mut().filter(|(_, listener)| listener.owes(oldest)) {
            if listener.hand_at(after).is_some_and(|at| at <= now) {
                listener.handed = (now, listener.handed.1 + 1);
                behind.push(peer);
            }
        }
        behind
    }

    /// Gives up waiting: tells what was confirmed so far.
    pub(super) fn give_up(&mut self, news: &mut VecDeque<News>) {
        for awaited in std::mem::take(&mut self.awaited) {
            let confirmed = self.listeners.values().filter(|listener| listener.has(awaited.seq)).count();
            self.close(&awaited, confirmed, news);
        }
    }

    fn close(&mut self, awaited: &Awaited, here: usize, news: &mut VecDeque<News>) {
        let confirmed = here + awaited.gone;
        if confirmed < awaited.audience {
            self.tally.partial += 1;
        }
        let numbers = awaited.first..awaited.first + u64::from(awaited.count);
        news.extend(numbers.map(|seq| News::Delivered { seq, confirmed, online: awaited.audience }));
    }
}

/// Who is behind is handed our latest entry so often, unless it confirms something.
const HANDED_MAX: u32 = 5;
/// Who confirms as many entries goes on, be it slowly: fewer, and not all, in the time that it has is too slow.
const WORTH_WAITING: u64 = 32;
/// The time that it has is halved so often at most.
const STALLS_MAX: u32 = 4;
/// The window never closes further than this: one lost datagram must not stop the talk.
const WINDOW_MIN: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LogId;
    use crate::text::Nick;

    #[test]
    fn only_who_may_lack_what_is_under_way_slows_the_talk() {
        let config = Config::new(Nick::from_any("ann"), "239.192.7.7:5007".parse().expect("an address"));
        let (mut author, round_trip) = (Author::new(&config, Time::ZERO), Duration::from_millis(20));
        let [bob, cleo] = [2, 3].map(|n| PeerId([n; 16]));
        let hole = |from, to| Hole::new(LogId { author: PeerId([1; 16]), boot: 1 }, from, to);
        author.on_online(bob, Time::ZERO);
        (0..8).for_each(|_| _ = author.draft(&[Line::from_peer("hi")]));
        author.on_online(cleo, Time::ZERO);
        author.on_confirm(bob, 9, Time::ZERO, &config, &mut VecDeque::new());
        let window = author.window;
        author.on_asked(cleo, &hole(1, 9), Time::ZERO, round_trip);
        author.on_asked(bob, &hole(9, 1 << 48), Time::ZERO, round_trip);
        author.on_asked(bob, &hole(1, 1 << 48), Time::ZERO, round_trip);
        assert_eq!(author.window, window, "history, and what is not said yet");
        _ = author.draft(&[Line::from_peer("hi")]);
        author.on_asked(cleo, &hole(1, 9), Time::ZERO, round_trip);
        assert_eq!(author.window, window, "history still");
        author.on_asked(cleo, &hole(9, 10), Time::ZERO, round_trip);
        assert_eq!(author.window, (window / 2).max(WINDOW_MIN));
    }
}
