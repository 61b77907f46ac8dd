//! How well we and others hear each other, and that they know it: a cast that dies is noticed within a round of
//! hellos and told at once to whoever sends by it, so that it can take another.
//!
//! ```text
//!   ann                                 bob
//!    |-- hello 7 (broadcast) ----------->|
//!    |-- hello 7 (multicast) -->  x      |  missing, and none ever was
//!    |<-- hello (unicast): I hear you B -|  at once
//!    |-- entry (broadcast) ------------->|
//! ```

use std::time::Duration;

use super::greeting::Telling;
use super::peer::WIDE;
use super::{HearsUs, Membership, Path, Peer, Presence, Standing};
use crate::address::{Cast, SegmentId};
use crate::id::PeerId;
use crate::protocol::Context;
use crate::time::Time;
use crate::wire::body::{FLAG_ASKS, Hello};

/// Who has not heard us this long after we met on a segment will not hear us there.
pub(super) const DEAF_AFTER: Duration = Duration::from_secs(3);
/// What a peer said last holds for so many of its periods, more than it takes to tell everybody once.
const HOLDS_PERIODS: u32 = 3;
/// A hello that is to tell everybody tells so many at least, ...
const TOLD_USUAL: u32 = 16;
/// ... and is not believed to take more periods than this for it.
const PERIODS_MAX: u32 = 64;
/// What is told to many at once is spread over this time for each peer known, ...
const TELL_SPREAD: Duration = Duration::from_millis(2);
/// ... but over no more than this.
const TELL_MAX: Duration = Duration::from_millis(300);

/// For how long what a hello says holds if nothing more is said.
#[must_use]
fn holds_for(hello: &Hello, every: Duration) -> Duration {
    // Who tells one alone how it is heard does not need a hello for each of the others as well.
    let told = u32::try_from(hello.heard.len()).unwrap_or(u32::MAX).max(TOLD_USUAL);
    let hellos = hello.of.map_or(1, |of| u32::from(of).div_ceil(told));
    every * (hellos.min(PERIODS_MAX) + HOLDS_PERIODS - 1)
}

/// The cast that whoever was told this sends by. That another is lost or won can wait for the next hello.
const fn relied_on(told: u8) -> u8 {
    let multicast = Cast::Multicast.bit();
    if told & multicast != 0 { multicast } else { told }
}

impl Peer {
    /// What its hello says it hears of us on the segment where it sent it.
    pub(super) fn note_hearing(&mut self, segment: SegmentId, hello: &Hello, ctx: &Context<'_>) {
        let (at, until) = (ctx.now, ctx.now + holds_for(hello, self.every));
        let deaf = HearsUs { casts: 0, left: [None; 3], at, since: at, until };
        if let Some(heard) = hello.heard_of(ctx.me) {
            let left = [heard.unicast_ttl, heard.broadcast_ttl, heard.multicast_ttl];
            return self.note_hears_us(segment, HearsUs { casts: heard.casts, left, ..deaf });
        }
        // It tells everybody it hears, and has had time to hear us: then it does not.
        let whole = hello.of.is_none() && hello.flags & FLAG_ASKS == 0;
        let met_at = self.paths.get(&segment).map_or(ctx.now, |path| path.since.max(self.met_at));
        if whole && ctx.now.since(met_at) > DEAF_AFTER {
            self.note_hears_us(segment, deaf);
        }
    }
}

impl Membership {
    /// Until when what a hello of a peer says holds if nothing more is said.
    #[must_use]
    pub fn holds_until(&self, id: PeerId, hello: &Hello, now: Time) -> Option<Time> {
        self.peers.get(&id).map(|peer| now + holds_for(hello, peer.every))
    }

    /// A hello says to all on a segment how each of these is heard.
    pub(super) fn note_told(&mut self, segment: SegmentId, hello: &Hello) {
        for (id, peer) in &mut self.peers {
            let Some(path) = peer.paths.get_mut(&segment) else { continue };
            match hello.heard_of(*id) {
                Some(heard) => path.told = Some(heard.casts & WIDE),
                // Whoever is not among all of them is not heard.
                None if hello.of.is_none() => path.told = path.told.and(Some(0)),
                None => {}
            }
            if hello.of.is_none() {
                self.tell.remove((*id, segment));
            }
        }
    }

    /// A hello says to one peer how it is heard.
    pub(super) fn note_told_alone(&mut self, segment: SegmentId, whom: PeerId, hello: &Hello) {
        let told = hello.heard_of(whom);
        if let (Some(told), Some(path)) = (told, self.peers.get_mut(&whom).and_then(|p| p.paths.get_mut(&segment))) {
            path.told = Some(told.casts & WIDE);
            self.tell.remove((whom, segment));
        }
    }

    /// Looks who is heard otherwise than it was told, and tells those whose time has come.
    pub(super) fn look_due(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        let spread = TELL_SPREAD * u32::try_from(self.online_count).unwrap_or(u32::MAX);
        for on in self.look.take_due(ctx.now) {
            let Some((path, every)) = self.path_on(on) else { continue };
            let again = path.look_at(ctx.now, every);
            if is_untold(path, every, ctx.now) {
                let at = ctx.now + ctx.rng.within(spread.min(TELL_MAX));
                self.tell.set_by(on, at);
            } else if is_back(path, every, ctx.now) {
                // In a small group our next hello tells it. All who hear it again do so at once.
                let period = self.period(ctx);
                self.tell.set_once(on, ctx.now + period * 5 / 4 + ctx.rng.within(period / 4));
            }
            if let Some(at) = again {
                self.look.set(on, at);
            }
        }
        for on in self.tell.take_due(ctx.now) {
            let Some((path, every)) = self.path_on(on) else { continue };
            let Some(address) = path.proven_address() else { continue };
            let telling = match path.only_unicast(ctx.now, every) {
                // It may hear nothing else of us.
                true => Telling::First(on.0),
                false if is_untold(path, every, ctx.now) || is_back(path, every, ctx.now) => Telling::Only(on.0),
                // Meanwhile it is heard again as it was told.
                false => continue,
            };
            self.post_hello(on.1, address, telling, standing, ctx);
        }
    }

    /// How a peer that is online is heard on a segment, and how often it says hello.
    fn path_on(&self, (id, segment): (PeerId, SegmentId)) -> Option<(&Path, Duration)> {
        let peer = self.peers.get(&id).filter(|peer| peer.presence == Presence::Online)?;
        peer.paths.get(&segment).map(|path| (path, peer.every))
    }
}

/// Whether a peer sends to us alone what it casts, and need not: in a crowd it takes long until a hello to all tells.
fn is_back(path: &Path, every: Duration, now: Time) -> bool {
    path.told == Some(0) && path.heard_casts(now, every) & WIDE != 0
}

/// Whether a peer relies on a cast by which it is not heard any more.
fn is_untold(path: &Path, every: Duration, now: Time) -> bool {
    path.told.is_some_and(|told| relied_on(told) & !path.heard_casts(now, every) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::body::Heard;

    #[test]
    fn what_is_told_holds_until_it_is_told_again() {
        let every = Duration::from_secs(2);
        let periods = |told: usize, of: Option<u16>| {
            let heard = vec![
                Heard {
                    id: [7; 16].into(),
                    casts: 6,
                    base: 1,
                    unicast_ttl: None,
                    broadcast_ttl: None,
                    multicast_ttl: None
                };
                told
            ];
            holds_for(&Hello { heard, of, ..Hello::default() }, every).as_secs() / every.as_secs()
        };
        assert_eq!((periods(0, None), periods(20, None)), (3, 3), "each hello tells all");
        assert_eq!(periods(28, Some(255)), 10 + 2);
        assert_eq!(periods(1, Some(20)), 2 + 2, "told alone; all are told by two hellos");
        assert_eq!(periods(1, Some(255)), 16 + 2, "not a hello for each of the 255");
        assert_eq!(periods(1, Some(u16::MAX)), 64 + 2);
    }
}
