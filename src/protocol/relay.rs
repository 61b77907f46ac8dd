//! Passing entries on to segments where they were not heard: a line or a ring of nodes is one room.
//!
//! Nothing is routed: an entry that is news here is cast again, once, on the other segments, after
//! a moment in which it may turn out that they have it. Authors stay authors, entries are signed;
//! loops cannot form because nothing is news twice. Who never met an author takes a member's word, which
//! is signed and no recording, that there is such a log: a frontier goes ahead of its first entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Errand, SegmentId};
use crate::id::{LogId, PeerId};
use crate::protocol::{Context, Post, To, earlier};
use crate::time::Time;
use crate::wire::body::{Frontier, Progress};
use crate::wire::{ENTRY_LEN_MAX, Message};

/// Entries that wait to be passed on. When full, one more is passed on without a wait.
const PENDING_MAX: usize = 1024;
/// Logs told in one datagram: as many as fit whatever their numbers.
const LOGS_MAX: usize = 16;
/// Logs of which others were told. When full, all are told again.
const TOLD_MAX: usize = 256;
/// Whoever came since is told of a log again after this, if it goes on.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long it may take until the entry is heard elsewhere, at least and how much more.
const WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(4));

/// Entries on their way to other segments.
#[derive(Debug, Default)]
pub struct Relay {
    pending: BTreeMap<(LogId, u64), Pending>,
    /// When others were told of a log.
    told: BTreeMap<LogId, Time>,
    wake: Option<Time>,
}

#[derive(Debug)]
struct Pending {
    raw: Arc<[u8]>,
    at: Time,
    /// Segments where it was heard, from one of that network.
    heard: BTreeSet<SegmentId>,
}

/// Entries that go together, and the first entry of each log of which others are to be told ahead of them.
type Bundle = (Vec<Arc<[u8]>>, BTreeMap<LogId, u64>);

impl Relay {
    /// An entry is news here. `heard` is the segment it came by, unless who sent it is not of that
    /// network.
    pub fn on_news(&mut self, log: LogId, seq: u64, raw: Arc<[u8]>, heard: Option<SegmentId>, ctx: &mut Context<'_>) {
        let wait = if self.pending.len() < PENDING_MAX { WAIT.0 + ctx.rng.within(WAIT.1) } else { Duration::ZERO };
        let at = ctx.now + wait;
        self.wake = earlier(self.wake, Some(at));
        self.pending.insert((log, seq), Pending { raw, at, heard: heard.into_iter().collect() });
    }

    /// An entry was heard once more: there it need not be passed on. Nobody checked its signature, so nothing but the
    /// same bytes will do.
    pub fn on_again(&mut self, log: LogId, seq: u64, raw: &[u8], segment: SegmentId) {
        if let Some(pending) = self.pending.get_mut(&(log, seq)).filter(|pending| *pending.raw == *raw) {
            pending.heard.insert(segment);
        }
    }

    /// When [`Relay::on_timeout`] has something to do.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Time> {
        self.wake
    }

    /// Time passed: passes on what is due, as many entries to a datagram as fit. `progress` says how far we
    /// have a log.
    pub fn on_timeout(&mut self, progress: impl Fn(LogId) -> Option<Progress>, ctx: &mut Context<'_>) {
        if self.wake.is_none_or(|at| at > ctx.now) {
            return;
        }
        let due: Vec<_> = self.pending.iter().filter(|(_, entry)| entry.at <= ctx.now).map(|(&key, _)| key).collect();
        let mut bundles: BTreeMap<(BTreeSet<SegmentId>, PeerId), Bundle> = BTreeMap::new();
        for key in due {
            if let Some(entry) = self.pending.remove(&key) {
                let (log, seq) = key;
                let (entries, logs) = bundles.entry((entry.heard, log.author)).or_default();
                entries.push(entry.raw);
                if logs.contains_key(&log) || self.is_untold(log, ctx.now) {
                    logs.entry(log).and_modify(|first| *first = seq.min(*first)).or_insert(seq);
                }
            }
        }
        for ((heard, author), (entries, logs)) in bundles {
            let to = || To::Elsewhere(heard.clone(), author);
            // What follows at once is told of by itself: it is news to whoever hears it.
            let told = |(log, first)| progress(log).map(|told| told.up_to(first));
            let logs: Vec<_> = logs.into_iter().filter_map(told).collect();
            for logs in logs.chunks(LOGS_MAX) {
                let frontier = Frontier { logs: logs.to_vec(), ..Frontier::default() };
                ctx.posts.push_back(Post { to: to(), message: Message::Frontier(frontier) });
            }
            pass_on(&to(), entries, ctx);
        }
        self.wake = self.pending.values().map(|entry| entry.at).min();
    }

    /// Whether others are to be told now that there is this log.
    fn is_untold(&mut self, log: LogId, now: Time) -> bool {
        if self.told.get(&log).is_some_and(|&at| now.since(at) < TELL_AGAIN_AFTER) {
            return false;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(log, now);
        true
    }
}

fn pass_on(to: &To, entries: Vec<Arc<[u8]>>, ctx: &mut Context<'_>) {
    let (mut bundle, mut len) = (Vec::new(), 0);
    let mut post = |bundle: Vec<Arc<[u8]>>| {
        let message = Message::Entries(Errand::Relay, bundle);
        ctx.posts.push_back(Post { to: to.clone(), message });
    };
    for raw in entries {
        if len + raw.len() > ENTRY_LEN_MAX {
            post(std::mem::take(&mut bundle));
            len = 0;
        }
        len += raw.len();
        bundle.push(raw);
    }
    post(bundle);
}
