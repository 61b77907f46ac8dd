//! Calling for those who are lost, and into segments where nobody is heard any more: who comes back
//! is to be seen at once.
//!
//! For one that is lost its next neighbours on the ring call most often, those far from it hardly
//! ever, and all the less the longer it is gone: together a few datagrams a second. Whoever hears
//! nobody on a segment says hello there, until somebody is heard.

use std::time::Duration;

use super::greeting::Telling;
use super::{Membership, Path, Peer, Presence, Standing};
use crate::address::{Cast, SegmentId};
use crate::id::PeerId;
use crate::protocol::{Context, Post, To};
use crate::wire::Message;
use crate::wire::body::{PROBE_DOUBTS, Probe};

/// The time between two calls grows to this part of the time that a peer is lost.
const CALLS_SLOW: u32 = 32;
/// A segment on which nobody was heard for this long is called into.
const QUIET_FOR: Duration = Duration::from_secs(1);
/// While at least so many are lost a part of the group is back with each of them: then hellos are
/// for all.
const MANY: usize = 8;
/// Within this, hellos for all are said when many come back.
const REUNION: Duration = Duration::from_millis(300);

impl Membership {
    /// One that was lost is heard.
    pub(super) fn on_back(&mut self, id: PeerId, ctx: &mut Context<'_>) {
        self.vigil.forget(id);
        if let Some(peer) = self.peers.get_mut(&id) {
            // It may have lived all the time and only not answered.
            peer.quality.mute = true;
        }
        if self.successors(ctx.me).contains(&id) {
            self.begin_doubt(id, ctx);
        }
        let soon = ctx.now + REUNION;
        if self.vigil.calls.len() >= MANY && self.hello_at.is_none_or(|at| at > soon) {
            self.hello_at = Some(ctx.now + ctx.rng.within(REUNION));
        }
    }

    /// Time passed: calls where it is due.
    pub(super) fn call(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        if self.vigil.call_at.is_some_and(|at| at <= ctx.now) {
            self.call_into_silence(standing, ctx);
        }
        let due: Vec<_> = self.vigil.calls.iter().filter(|(_, at)| **at <= ctx.now).map(|(&id, _)| id).collect();
        for id in due {
            self.vigil.calls.remove(&id);
            let Some(peer) = self.peers.get(&id).filter(|peer| peer.presence == Presence::Lost) else { continue };
            let age = ctx.now.since(peer.heard_at);
            if age > ctx.config.call_for {
                continue;
            }
            let neighbours = self.ring_after(ctx.me).take_while(|(other, _)| between(ctx.me, *other, id)).count();
            let rank = u32::try_from(neighbours / 2 + 1).unwrap_or(u32::MAX);
            let every = (age / CALLS_SLOW).max(ctx.config.lost_every) * rank;
            self.vigil.calls.insert(id, ctx.now + every);
            let (Some(place), boot) = (peer.best_path(), peer.boot) else { continue };
            let probe = Probe { flags: PROBE_DOUBTS, ..self.challenge(id, boot, place, ctx) };
            ctx.posts.push_back(Post { to: To::Peer(id), message: Message::Probe(probe) });
        }
    }

    /// Says hello on segments where we knew somebody and hear nobody.
    fn call_into_silence(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        self.vigil.call_at = None;
        // There: that it is heard on another segment is no reason to call for it here for ever.
        let fresh = |path: &Path| ctx.now.since(path.heard_last().unwrap_or(path.since)) < ctx.config.call_for;
        let waits =
            |peer: &Peer, on: SegmentId| peer.presence != Presence::Left && peer.paths.get(&on).is_some_and(fresh);
        for segment in self.segments.keys().copied().collect::<Vec<_>>() {
            let heard_at = self.vigil.heard_on.get(&segment);
            let silent = heard_at.is_some_and(|&at| ctx.now.since(at) >= QUIET_FOR);
            if !silent || !self.peers.values().any(|peer| waits(peer, segment)) {
                continue;
            }
            self.vigil.call_at = Some(ctx.now + ctx.config.call_every);
            let hello = Message::Hello(self.hello(segment, Telling::All, 0, standing, ctx));
            for cast in [Cast::Multicast, Cast::Broadcast] {
                ctx.posts.push_back(Post { to: To::Segment(segment, cast), message: hello.clone() });
            }
        }
    }
}

/// Whether `id` stands between two others on the ring, going up from the first.
fn between(from: PeerId, id: PeerId, to: PeerId) -> bool {
    if from < to { from < id && id < to } else { id > from || id < to }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_has_no_end() {
        let id = |n| PeerId([n; 16]);
        assert!(between(id(1), id(2), id(3)) && !between(id(1), id(4), id(3)) && !between(id(1), id(0), id(3)));
        assert!(between(id(3), id(4), id(1)) && between(id(3), id(0), id(1)) && !between(id(3), id(2), id(1)));
    }
}
