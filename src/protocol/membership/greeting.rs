//! Our own hellos: to whom, how often, and what they tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::meeting::Way;
use super::{Membership, Peer, Standing};
use crate::address::{Cast, Segment, SegmentId};
use crate::config::DATAGRAM_MAX;
use crate::id::PeerId;
use crate::protocol::{Context, Post, To};
use crate::time::Time;
use crate::wire::body::{self, FLAG_ASKS, FLAG_EPHEMERAL, FLAG_LISTENS, HEARD_BY_STREAM, Heard, Hello, Proof};
use crate::wire::{Message, SIGNED_OVERHEAD};

/// Peers told in one hello, if a datagram takes so many.
const HEARD_MAX: usize = 28;
/// Characters of the name of an interface that are told; Linux has no longer ones.
const INTERFACE_MAX: usize = 15;
/// The number of a round and its key take no more.
const ROUND_LEN_MAX: usize = 6;
/// What a node says of itself takes no more.
const CONDITION_LEN_MAX: usize = 48;

/// Casts of a hello on an interface of one family; [`crate::config::Config::hello_rate`] is for each.
const CASTS_USUAL: u32 = 2;

impl Membership {
    pub(super) fn say_hello(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        self.round = self.round.saturating_add(1);
        for segment in self.segments.keys().copied().collect::<Vec<_>>() {
            let hello = self.hello(segment, None, 0, standing, ctx);
            self.note_told(segment, &hello);
            if hello.of.is_some() {
                self.told_up_to.extend(hello.heard.last().map(|heard| (segment, PeerId(*heard.id))));
            }
            for cast in [Cast::Multicast, Cast::Broadcast] {
                let ttl = self.ttl(segment, cast);
                let hello = Hello { ttl, round: Some(self.round), ..hello.clone() };
                ctx.posts.push_back(Post { to: To::Segment(segment, cast), message: Message::Hello(hello) });
            }
        }
        self.proved_to_all();
        self.greet_afar(standing, ctx);
        self.starting += 1;
        let next = match ctx.config.hello_at.get(self.starting) {
            Some(&after) => self.started + after,
            None => ctx.now + ctx.rng.jitter(self.period(ctx)),
        };
        self.hello_at = Some(next.max(ctx.now + Duration::from_millis(1)));
    }

    /// Hellos by unicast: to static peers that are silent, and to those whom no cast reaches.
    fn greet_afar(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        for &address in &ctx.config.static_peers {
            let known = self.online().any(|(_, peer)| peer.paths.values().any(|path| path.address == address));
            if let Some(segment) = self.segment_towards(address).filter(|_| !known) {
                self.post_hello(segment, address, None, FLAG_ASKS, standing, ctx);
            }
        }
        let now = ctx.now;
        let mut afar = Vec::new();
        for (id, peer) in self.online() {
            let unheard = peer.paths.iter().filter(|(_, path)| path.only_unicast(now, peer.every));
            afar.extend(unheard.filter_map(|(&segment, path)| Some((id, segment, path.proven_address()?))));
        }
        for (id, segment, address) in afar {
            self.post_hello(segment, address, Some(id), 0, standing, ctx);
        }
    }

    pub(super) fn greet_due(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        let due: Vec<_> = self.greet.iter().filter(|(_, at)| **at <= ctx.now).map(|(&id, _)| id).collect();
        for id in due {
            self.greet.remove(&id);
            let Some((segment, address)) = self.peers.get(&id).and_then(Peer::best_path) else { continue };
            self.greet_at(Way { id, segment, address }, None, standing, ctx);
        }
    }

    /// Greets one peer, in few bytes: it is told whether it is heard, and of nobody else.
    pub(super) fn greet_at(
        &mut self,
        way: Way,
        proofs: Option<Vec<Proof>>,
        standing: Standing<'_>,
        ctx: &mut Context<'_>,
    ) {
        let Way { id, segment, address } = way;
        let hello = telling_only(Some(id), self.hello(segment, Some(id), 0, standing, ctx));
        self.note_told_alone(segment, id, &hello);
        let message = Message::Hello(Hello { proofs, ..hello });
        ctx.posts.push_back(Post { to: To::Address(segment, address), message });
    }

    /// A hello that asks for one and tells of nobody.
    pub(super) fn asking_hello(&self, segment: SegmentId, standing: Standing<'_>, ctx: &Context<'_>) -> Hello {
        telling_only(None, self.hello(segment, None, FLAG_ASKS, standing, ctx))
    }

    /// Says hello to one address, telling first whether whoever is there is heard.
    pub(super) fn post_hello(
        &mut self,
        segment: SegmentId,
        address: SocketAddr,
        whom: Option<PeerId>,
        flags: u8,
        standing: Standing<'_>,
        ctx: &mut Context<'_>,
    ) {
        let hello = self.hello(segment, whom, flags, standing, ctx);
        if let Some(whom) = whom {
            self.note_told_alone(segment, whom, &hello);
        }
        ctx.posts.push_back(Post { to: To::Address(segment, address), message: Message::Hello(hello) });
    }

    /// Our hello for one segment: to one peer, to whoever is asked for its own, or to all.
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
        let on = self.segments.get(&segment);
        let mut hello = Hello {
            nick: self.nick.as_str().into(),
            flags: flags | ephemeral | listens,
            every_ms: u32::try_from(every).unwrap_or(u32::MAX),
            head: standing.head,
            hash: standing.hash,
            heard: Vec::new(),
            interface: on.map(|on| on.name.chars().take(INTERFACE_MAX).collect()),
            ttl: self.ttl(segment, Cast::Unicast),
            of: Some(u16::MAX),
            round: None,
            sends: on.map(sends),
            condition: None,
            away: self.away.as_ref().map(ToString::to_string),
            challenge: None,
            proofs: None,
        };
        if whom.is_none() && flags & FLAG_ASKS == 0 {
            self.prove_to_all(&mut hello, ctx.now);
        }
        let room = DATAGRAM_MAX - SIGNED_OVERHEAD - ROUND_LEN_MAX - CONDITION_LEN_MAX;
        let room = room.saturating_sub(body::encoded_len(&hello));
        (hello.heard, hello.of) = self.heard_on(segment, whom, room, standing, ctx.now);
        hello
    }

    /// The TTL with which a cast leaves a segment.
    fn ttl(&self, segment: SegmentId, cast: Cast) -> Option<u8> {
        self.segments.get(&segment).map(|on| on.ttls.of(cast))
    }

    /// Those heard on a segment, as many as there is room for: first `whom`, heard or not, then from behind the
    /// one told last. And how many there are, if that is more.
    fn heard_on(
        &self,
        segment: SegmentId,
        whom: Option<PeerId>,
        room: usize,
        standing: Standing<'_>,
        now: Time,
    ) -> (Vec<Heard>, Option<u16>) {
        let told_up_to = self.told_up_to.get(&segment).copied();
        let (behind, before): (Vec<_>, Vec<_>) = self.online().partition(|(id, _)| Some(*id) > told_up_to);
        let first = whom.and_then(|id| self.peers.get(&id).map(|peer| (id, peer)));
        let others = behind.into_iter().chain(before).filter(|(id, _)| Some(*id) != whom);
        let heard = first.into_iter().chain(others).filter_map(|(id, peer)| {
            let path = peer.paths.get(&segment)?;
            let stream = if standing.streams.contains(&id) { HEARD_BY_STREAM } else { 0 };
            let casts = path.heard_casts(now, peer.every) | stream;
            let left = |cast: Cast| path.heard(cast).left.filter(|_| casts & cast.bit() != 0);
            (casts != 0 || Some(id) == whom).then(|| Heard {
                id: body::bytes(id),
                casts,
                base: standing.bases.get(&id).copied().unwrap_or(standing.head),
                unicast_ttl: left(Cast::Unicast),
                broadcast_ttl: left(Cast::Broadcast),
                multicast_ttl: left(Cast::Multicast),
            })
        });
        let (mut told, mut len, mut all) = (Vec::new(), 0, 0);
        for heard in heard {
            all += 1;
            len += body::encoded_len(&heard);
            if told.len() + 1 == all && all <= HEARD_MAX && len <= room {
                told.push(heard);
            }
        }
        let of = (told.len() < all).then(|| u16::try_from(all).unwrap_or(u16::MAX));
        (told, of)
    }

    /// Time between our hellos: grows with the group, so that the group as a whole stays quiet, and
    /// with the casts that a hello takes on one interface beyond the two of IPv4.
    pub(super) fn period(&self, ctx: &Context<'_>) -> Duration {
        let group = u32::try_from(self.online_count()).unwrap_or(u32::MAX).saturating_add(1);
        let mut casts: BTreeMap<&str, u32> = BTreeMap::new();
        for segment in self.segments.values() {
            let here = u32::from(segment.group.is_some()) + u32::from(segment.broadcast.is_some());
            *casts.entry(&segment.name).or_default() += here;
        }
        let casts = casts.into_values().max().unwrap_or(0).max(CASTS_USUAL);
        let each = Duration::from_secs(1) * group / ctx.config.hello_rate;
        ctx.config.hello_every.max(each * casts / CASTS_USUAL)
    }
}

/// The hello without all those heard but one.
pub(super) fn telling_only(whom: Option<PeerId>, mut hello: Hello) -> Hello {
    let all = hello.of.unwrap_or_else(|| u16::try_from(hello.heard.len()).unwrap_or(u16::MAX));
    let whom = whom.map(body::bytes);
    hello.heard.retain(|heard| Some(heard.id) == whom);
    hello.of = Some(all).filter(|&all| usize::from(all) > hello.heard.len());
    hello
}

/// The casts by which hellos go out on a segment, as bits.
fn sends(segment: &Segment) -> u8 {
    let casts = [(Cast::Broadcast, segment.broadcast), (Cast::Multicast, segment.group)];
    casts.into_iter().filter(|(_, to)| to.is_some()).map(|(cast, _)| cast.bit()).sum()
}
