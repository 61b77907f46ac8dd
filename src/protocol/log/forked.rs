//! Logs that two machines write with one key: what each says in a place, the other says otherwise.
//!
//! What came first stays. From then on nothing more of such a log is taken, by us: of what follows nobody
//! could tell which of the two it continues, and the words of two would be shown as one's.

use super::Logs;
use crate::id::{LogId, PeerId};
use crate::protocol::Context;
use crate::wire::body::split_signed;

impl Logs {
    /// Whether what is signed here - `bytes`, without the signature - is not what stands in this place.
    /// Of what is not kept any more that cannot be told.
    #[must_use]
    pub fn contradicts(&self, id: LogId, seq: u64, bytes: &[u8]) -> bool {
        let kept = self.logs.get(&id).and_then(|log| log.held.get(&seq));
        match kept {
            Some(held) => split_signed(&held.raw).is_ok_and(|(kept, _)| kept != bytes),
            None => id == self.own && seq >= self.author.head(),
        }
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
        self.doubled |= id == self.own;
        let Some(log) = self.logs.get_mut(&id).filter(|log| id != self.own && !log.forked) else { return };
        log.forked = true;
        for held in log.held.split_off(&log.next).into_values() {
            self.bytes -= held.raw.len();
        }
        log.known = log.next;
        self.look_for_holes(id, ctx);
    }
}
