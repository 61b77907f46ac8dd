//! The frontier: how far we have each log, its hash, and when which of the two is told.

use std::time::Duration;

use super::Logs;
use crate::config::DATAGRAM_MAX;
use crate::id::PeerId;
use crate::protocol::{Context, Post, To};
use crate::time::Time;
use crate::wire::body::{self, Frontier, NO_HASH, Progress};
use crate::wire::{Message, SIGNED_OVERHEAD};

/// Room for the logs of a frontier in one datagram.
const LOGS_LEN_MAX: usize = DATAGRAM_MAX - SIGNED_OVERHEAD - 24;
/// While entries came this recently, frontiers differ because of them: nothing is wrong.
const BUSY_FOR: Duration = Duration::from_millis(100);

impl Logs {
    /// What hellos tell: the hash of our frontier, or 0 if ours is not to be compared.
    pub fn told_hash(&mut self) -> u64 {
        if self.apart { NO_HASH } else { self.hash() }
    }

    /// The hash of our frontier: equal where two nodes have the same of every log.
    pub(super) fn hash(&mut self) -> u64 {
        if let Some(hash) = self.hash {
            return hash;
        }
        // Of a log that two machines write everybody has what came first.
        let open = self.logs.iter().filter(|&(&id, log)| log.next > 1 && !self.is_doubled(id, log));
        let open = open.map(|(&id, log)| (id, log.next, log.tip.digest()));
        let mut all: Vec<_> = open.chain(self.forgotten.iter()).collect();
        all.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for (id, next, tip) in all {
            hasher.update(&id.author.0);
            hasher.update(&id.boot.to_be_bytes());
            hasher.update(&next.to_be_bytes());
            hasher.update(&tip);
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        let hash = u64::from_be_bytes(first).max(NO_HASH + 1);
        self.hash = Some(hash);
        hash
    }

    /// A peer's hash: an equal one calms us down, and confirms all that we said; another one, while
    /// nothing is under way, is looked into.
    pub(super) fn compare(&mut self, from: PeerId, hash: u64, told_all: bool, ctx: &mut Context<'_>) {
        if self.apart || hash == NO_HASH {
            return;
        }
        if hash == self.hash() {
            self.trickle.on_equal();
            self.pace.on_equal();
            self.joining.on_compared();
            let head = self.logs.get(&self.own).map_or(1, |log| log.next);
            self.confirm_own(from, head, ctx);
            self.telling.on_equal(told_all);
            return;
        }
        let own = self.hash();
        if !self.pace.allows(own, ctx.now, ctx.config) {
            // A difference that stays is not worth more words than none.
            return self.trickle.on_equal();
        }
        self.trickle.reset(ctx.now, ctx.rng, ctx.config);
        match self.is_busy(ctx.now) {
            true if told_all => self.telling.on_other(self.online.len(), ctx.now, ctx.rng, ctx.config),
            busy => self.telling.on_differs(busy, ctx.now, ctx.rng, ctx.config),
        }
    }

    /// Whether entries came a moment ago.
    pub(super) fn is_busy(&self, now: Time) -> bool {
        now.since(self.busy_at) < BUSY_FOR
    }

    /// Tells our hash alone.
    pub(super) fn tell_hash(&mut self, ctx: &mut Context<'_>) {
        let message = Message::Frontier(Frontier { hash: self.hash(), ..Frontier::default() });
        ctx.stats.frontiers += 1;
        ctx.posts.push_back(Post { to: To::Group, message });
    }

    /// Tells our whole frontier.
    pub(super) fn tell_frontier(&mut self, to: To, ctx: &mut Context<'_>) {
        let hash = self.hash();
        self.pace.on_told(hash, ctx.now);
        let told = self.logs.iter().filter(|(_, log)| log.next > 1);
        let told = told.map(|(&id, log)| log.progress(id));
        let forgotten = self.forgotten.iter().map(|(id, next, tip)| Progress::new(id, next, next, tip));
        let logs = told.chain(forgotten).collect();
        self.post_frontier(&to, logs, Some(true), ctx);
    }

    pub(super) fn post_frontier(&mut self, to: &To, logs: Vec<Progress>, whole: Option<bool>, ctx: &mut Context<'_>) {
        let hash = self.told_hash();
        Self::post_pages(to, hash, logs, whole, ctx);
    }

    /// On as many datagrams as it takes.
    pub(super) fn post_pages(to: &To, hash: u64, logs: Vec<Progress>, whole: Option<bool>, ctx: &mut Context<'_>) {
        let (mut page, mut len) = (Vec::new(), 0);
        let mut pages = Vec::new();
        for progress in logs {
            let more = body::encoded_len(&progress);
            if len + more > LOGS_LEN_MAX {
                pages.push(std::mem::take(&mut page));
                len = 0;
            }
            page.push(progress);
            len += more;
        }
        pages.push(page);
        for logs in pages {
            ctx.stats.frontiers += 1;
            let message = Message::Frontier(Frontier { hash, logs, whole });
            ctx.posts.push_back(Post { to: to.clone(), message });
        }
    }
}
