//! Our own hellos: to whom, how often, and what they tell.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Membership, Peer, Standing};
use crate::address::{Cast, SegmentId};
use crate::id::PeerId;
use crate::protocol::{Context, Post, To};
use crate::time::Time;
use crate::wire::Message;
use crate::wire::body::{self, FLAG_ASKS, FLAG_EPHEMERAL, FLAG_LISTENS, Heard, Hello};

/// Peers told in one hello: as many as a datagram takes.
pub(super) const HEARD_MAX: usize = 28;

impl Membership {
    pub(super) fn say_hello(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        for segment in self.segments.keys().copied().collect::<Vec<_>>() {
            let hello = Message::Hello(self.hello(segment, None, 0, standing, ctx));
            for cast in [Cast::Multicast, Cast::Broadcast] {
                ctx.posts.push_back(Post { to: To::Segment(segment, cast), message: hello.clone() });
            }
        }
        self.greet_afar(standing, ctx);
        self.told_up_to = self.next_told();
        self.starting += 1;
        let next = match ctx.config.hello_at.get(self.starting) {
            Some(&after) => self.started + after,
            None => ctx.now + ctx.rng.jitter(self.period(ctx)),
        };
        self.hello_at = Some(next.max(ctx.now + Duration::from_millis(1)));
    }

    /// Hellos by unicast: to static peers that are silent, and to those whom no cast reaches.
    fn greet_afar(&self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        for &address in &ctx.config.static_peers {
            let known = self.online().any(|(_, peer)| peer.paths.values().any(|path| path.address == address));
            if let Some(segment) = self.segment_towards(address.ip()).filter(|_| !known) {
                self.post_hello(segment, address, None, FLAG_ASKS, standing, ctx);
            }
        }
        let now = ctx.now;
        for (id, peer) in self.online() {
            for (&segment, path) in peer.paths.iter().filter(|(_, path)| path.only_unicast(now, peer.every)) {
                self.post_hello(segment, path.address, Some(id), 0, standing, ctx);
            }
        }
    }

    pub(super) fn greet_due(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        let due: Vec<_> = self.greet.iter().filter(|(_, at)| **at <= ctx.now).map(|(&id, _)| id).collect();
        for id in due {
            self.greet.remove(&id);
            let Some((segment, address)) = self.peers.get(&id).and_then(Peer::best_path) else { continue };
            // Whom we have just met may not be who it says, nor where: it is told no more than it told.
            let mut hello = self.hello(segment, Some(id), 0, standing, ctx);
            hello.heard.retain(|heard| heard.id == body::bytes(id));
            ctx.posts.push_back(Post { to: To::Address(segment, address), message: Message::Hello(hello) });
        }
    }

    /// A hello that asks for one and tells of nobody.
    pub(super) fn asking_hello(&self, segment: SegmentId, standing: Standing<'_>, ctx: &Context<'_>) -> Hello {
        Hello { heard: Vec::new(), ..self.hello(segment, None, FLAG_ASKS, standing, ctx) }
    }

    /// Says hello to one address, telling first whether whoever is there is heard.
    pub(super) fn post_hello(
        &self,
        segment: SegmentId,
        address: SocketAddr,
        whom: Option<PeerId>,
        flags: u8,
        standing: Standing<'_>,
        ctx: &mut Context<'_>,
    ) {
        let hello = self.hello(segment, whom, flags, standing, ctx);
        ctx.posts.push_back(Post { to: To::Address(segment, address), message: Message::Hello(hello) });
    }

    /// Our hello for one segment.
    pub(super) fn hello(
        &self,
        segment: SegmentId,
        whom: Option<PeerId>,
        flags: u8,
        standing: Standing<'_>,
        ctx: &Context<'_>,
    ) -> Hello {
        let ephemeral = if ctx.config.ephemeral { FLAG_EPHEMERAL } else { 0 };
        let listens = if ctx.config.listens { FLAG_LISTENS } else { 0 };
        let every = self.period(ctx).as_millis();
        Hello {
            nick: self.nick.as_str().into(),
            flags: flags | ephemeral | listens,
            every_ms: u32::try_from(every).unwrap_or(u32::MAX),
            head: standing.head,
            hash: standing.hash,
            heard: self.heard_on(segment, whom, standing, ctx.now),
        }
    }

    /// Those heard on a segment: first `whom`, then from behind the one told last.
    fn heard_on(&self, segment: SegmentId, whom: Option<PeerId>, standing: Standing<'_>, now: Time) -> Vec<Heard> {
        let (behind, before): (Vec<_>, Vec<_>) = self.online().partition(|(id, _)| Some(*id) > self.told_up_to);
        let first = whom.and_then(|id| self.peers.get(&id).map(|peer| (id, peer)));
        let others = behind.into_iter().chain(before).filter(|(id, _)| Some(*id) != whom);
        let heard = first.into_iter().chain(others).filter_map(|(id, peer)| {
            let casts = peer.paths.get(&segment)?.heard_casts(now, peer.every);
            let base = standing.bases.get(&id).copied().unwrap_or(standing.head);
            (casts != 0).then(|| Heard { id: body::bytes(id), casts, base })
        });
        heard.take(HEARD_MAX).collect()
    }

    /// The last peer that a full hello tells, from where it begins now.
    fn next_told(&self) -> Option<PeerId> {
        let behind = self.online().filter(|(id, _)| Some(*id) > self.told_up_to).map(|(id, _)| id);
        let told: Vec<_> = behind.take(HEARD_MAX).collect();
        if told.len() < HEARD_MAX { None } else { told.last().copied() }
    }

    /// Time between our hellos: grows with the group, so that the group as a whole stays quiet.
    fn period(&self, ctx: &Context<'_>) -> Duration {
        let group = u32::try_from(self.online_count()).unwrap_or(u32::MAX).saturating_add(1);
        ctx.config.hello_every.max(Duration::from_secs(1) * group / ctx.config.hello_rate)
    }
}
