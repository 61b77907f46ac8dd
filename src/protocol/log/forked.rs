//! Logs that two machines write with one key: what each says in a place, the other says otherwise.
//!
//! What came first stays. From then on nothing more of such a log is taken, by us: of what follows nobody
//! could tell which of the two it continues, and the words of two would be shown as one's.

use super::Logs;
use super::store::Log;
use crate::id::{LogId, PeerId};
use crate::protocol::{Context, News};
use crate::wire::body::{Hole, NO_DIGEST, Progress, split_signed};
use crate::wire::digest;

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

    /// Two machines write a log: it ends here. Of our own nothing is marked as confirmed any more.
    pub fn on_fork(&mut self, id: LogId, ctx: &mut Context<'_>) {
        ctx.stats.forks += 1;
        ctx.news.push_back(News::Forked(id.author));
        self.doubled |= id == self.own;
        self.hash = None;
        let Some(log) = self.logs.get_mut(&id).filter(|log| id != self.own && !log.forked) else { return };
        log.forked = true;
        for held in log.held.split_off(&log.next).into_values() {
            self.bytes -= held.raw.len();
        }
        log.known = log.next;
        self.look_for_holes(id, ctx);
    }
}
