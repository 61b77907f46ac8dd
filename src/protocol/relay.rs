//! Passing entries on to segments where they were not heard: a line or a ring of nodes is one room.
//!
//! Nothing is routed: an entry that is news here is cast again, once, on the other segments, after
//! a moment in which it may turn out that they have it. Authors stay authors, entries are signed;
//! loops cannot form because nothing is news twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Errand, SegmentId};
use crate::id::LogId;
use crate::protocol::{Context, Post, To, earlier};
use crate::time::Time;
use crate::wire::{ENTRY_LEN_MAX, Message};

/// Entries that wait to be passed on. When full, one more is passed on without a wait.
const PENDING_MAX: usize = 1024;
/// How long it may take until the entry is heard elsewhere, at least and how much more.
const WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(4));

/// Entries on their way to other segments.
#[derive(Debug, Default)]
pub struct Relay {
    pending: BTreeMap<(LogId, u64), Pending>,
    wake: Option<Time>,
}

#[derive(Debug)]
struct Pending {
    raw: Arc<[u8]>,
    at: Time,
    /// Segments where it was heard, from one of that network.
    heard: BTreeSet<SegmentId>,
}

impl Relay {
    /// An entry is news here. `heard` is the segment it came by, unless who sent it is not of that
    /// network.
    pub fn on_news(&mut self, log: LogId, seq: u64, raw: Arc<[u8]>, heard: Option<SegmentId>, ctx: &mut Context<'_>) {
        let wait = if self.pending.len() < PENDING_MAX { WAIT.0 + ctx.rng.within(WAIT.1) } else { Duration::ZERO };
        let at = ctx.now + wait;
        self.wake = earlier(self.wake, Some(at));
        self.pending.insert((log, seq), Pending { raw, at, heard: heard.into_iter().collect() });
    }

    /// An entry was heard once more: there it need not be passed on.
    pub fn on_again(&mut self, log: LogId, seq: u64, segment: SegmentId) {
        if let Some(pending) = self.pending.get_mut(&(log, seq)) {
            pending.heard.insert(segment);
        }
    }

    /// When [`Relay::on_timeout`] has something to do.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Time> {
        self.wake
    }

    /// Time passed: passes on what is due, as many entries to a datagram as fit.
    pub fn on_timeout(&mut self, ctx: &mut Context<'_>) {
        if self.wake.is_none_or(|at| at > ctx.now) {
            return;
        }
        let due: Vec<_> = self.pending.iter().filter(|(_, entry)| entry.at <= ctx.now).map(|(&key, _)| key).collect();
        let mut bundles: BTreeMap<BTreeSet<SegmentId>, Vec<Arc<[u8]>>> = BTreeMap::new();
        for key in due {
            if let Some(entry) = self.pending.remove(&key) {
                bundles.entry(entry.heard).or_default().push(entry.raw);
            }
        }
        for (heard, entries) in bundles {
            pass_on(&heard, entries, ctx);
        }
        self.wake = self.pending.values().map(|entry| entry.at).min();
    }
}

fn pass_on(heard: &BTreeSet<SegmentId>, entries: Vec<Arc<[u8]>>, ctx: &mut Context<'_>) {
    let (mut bundle, mut len) = (Vec::new(), 0);
    let mut post = |bundle: Vec<Arc<[u8]>>| {
        let message = Message::Entries(Errand::Relay, bundle);
        ctx.posts.push_back(Post { to: To::Elsewhere(heard.clone()), message });
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
