//! Logs that two machines write with one key: what each says in a place, the other says otherwise.
//!
//! What came first stays. From then on nothing more of such a log is taken, by us: of what follows nobody
//! could tell which of the two it continues, and the words of two would be shown as one's.

use std::sync::Arc;

use super::Logs;
use super::repair::{Repaired, post_entries};
use super::store::{Log, Tip};
use crate::id::{LogId, PeerId};
use crate::protocol::{Context, News, To};
use crate::wire::body::{Digest, Hole, NO_DIGEST, Progress, split_signed};
use crate::wire::digest;

/// An entry that does not go with what is here: with the one of its number, or with the one before.
/// One for each log that two machines write: as many as there are logs, at most.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    seq: u64,
    raw: Arc<[u8]>,
    /// When it was last given to somebody who does not know.
    given: Repaired,
}

impl Logs {
    /// Whether what is signed here - `bytes`, without the signature - is not what stands in this place.
    /// Of what is not kept any more that cannot be told.
    #[must_use]
    pub fn contradicts(&self, id: LogId, seq: u64, bytes: &[u8]) -> bool {
        let log = self.logs.get(&id);
        if let Some(held) = log.and_then(|log| log.held.get(&seq)) {
            return split_signed(&held.raw).is_ok_and(|(kept, _)| kept != bytes);
        }
        let before = log.and_then(|log| log.digest_before(seq.saturating_add(1)));
        before.map_or_else(|| id == self.own && seq >= self.author.head(), |before| before != digest(bytes))
    }

    /// The entry by which somebody is not where we are though it has as much of a log: what it was told there is not
    /// what we were told. Nothing, if it could not give it.
    pub(super) fn disputed(&self, progress: &Progress) -> Option<Hole> {
        let id = progress.log();
        let log = self.logs.get(&id).filter(|log| !self.is_doubled(id, log))?;
        let ours = log.digest_before(progress.next).filter(|_| progress.next > 1)?;
        let differs = ours != *progress.tip && *progress.tip != NO_DIGEST;
        let is_given = differs && progress.floor < progress.next;
        is_given.then(|| Hole::new(id, progress.next - 1, progress.next))
    }

    /// The entry that would show what a digest that somebody tells is the digest of, where ours is but told as well: it
    /// was skipped. Nothing, if it could not give it.
    pub(super) fn unproven(&self, progress: &Progress) -> Option<Hole> {
        let id = progress.log();
        let log = self.logs.get(&id).filter(|log| !log.forked && log.next == progress.next)?;
        let lacks = log.tip.known().is_none() && ![NO_DIGEST, log.tip.digest()].contains(&*progress.tip);
        let skipped = Hole::new(id, log.next - 1, log.next);
        Some(skipped).filter(|_| lacks && progress.floor < progress.next)
    }

    /// What was skipped came after all: what it is the digest of that stands for it.
    pub(super) fn note_tip(&mut self, id: LogId, seq: u64, digest: Digest) {
        if let Some(log) = self.logs.get_mut(&id).filter(|log| log.lacks_tip(seq)) {
            log.tip = Tip::Known(digest);
            self.hash = None;
        }
    }

    /// Whether nothing more is taken of a log, for two machines write it.
    pub(super) fn ends_here(&self, id: LogId) -> bool {
        self.logs.get(&id).is_some_and(|log| self.is_doubled(id, log))
    }

    /// A member tells of a log as if it had one writer: it is given what shows that it has two, if it is far enough to
    /// see that.
    pub(super) fn give_proof(&mut self, to: PeerId, progress: &Progress, ctx: &mut Context<'_>) {
        let quiet = self.round_trip.get() * 2;
        let id = progress.log();
        let knows = *progress.tip == NO_DIGEST || self.apart && id != self.own;
        let Some(log) = self.logs.get_mut(&id).filter(|_| !knows) else { return };
        let Some(proof) = log.proof.as_mut().filter(|proof| progress.next >= proof.seq) else { return };
        if proof.given.is_under_way(to, quiet, ctx.now) {
            return;
        }
        let places = [proof.seq - 1, proof.seq];
        let ours = places.iter().filter_map(|seq| log.held.get(seq)).map(|held| Arc::clone(&held.raw));
        let both: Vec<_> = ours.chain([Arc::clone(&proof.raw)]).collect();
        let bytes = both.iter().map(|raw| u32::try_from(raw.len()).unwrap_or(u32::MAX)).sum();
        let alone = self.online.len() <= 1;
        if !self.budget.take(bytes, to, alone, ctx.now, ctx.config) {
            ctx.stats.repairs_throttled += 1;
            return;
        }
        proof.given = Repaired::now(Some(to), ctx.now);
        post_entries(&To::Peer(to), both, ctx);
    }

    /// Whether two machines write a log, as far as we know.
    pub(super) fn is_doubled(&self, id: LogId, log: &Log) -> bool {
        log.forked || self.doubled && id == self.own
    }

    /// A peer confirms our log, if it can be told that it is ours.
    pub(super) fn confirm_own(&mut self, from: PeerId, next: u64, ctx: &mut Context<'_>) {
        if !self.doubled {
            self.author.on_confirm(from, next, ctx.now, ctx.config, ctx.news);
        }
    }

    /// Two machines write a log, as this entry of it shows: it ends here. Of our own nothing is marked as confirmed any
    /// more.
    pub fn on_fork(&mut self, id: LogId, seq: u64, raw: Arc<[u8]>, ctx: &mut Context<'_>) {
        ctx.stats.forks += 1;
        ctx.news.push_back(News::Forked(id.author));
        self.doubled |= id == self.own;
        self.hash = None;
        let Some(log) = self.logs.get_mut(&id) else { return };
        log.proof.get_or_insert_with(|| Proof { seq, raw, given: Repaired::default() });
        if id == self.own || log.forked {
            return;
        }
        log.forked = true;
        for held in log.held.split_off(&log.next).into_values() {
            self.bytes -= held.raw.len();
        }
        log.known = log.next;
        self.look_for_holes(id, ctx);
    }
}
