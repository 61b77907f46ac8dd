//! Our own hellos: to whom, how often, and what they tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use minicbor::bytes::ByteVec;

use super::meeting::challenge_len;
use super::way::Way;
use super::{Membership, Peer, Presence, Standing};
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

/// Greetings to a newcomer are spread over this time for each peer known, ...
const GREETING_SPREAD: Duration = Duration::from_millis(2);
/// ... but no longer than this: all see each other within a second.
const GREETING_MAX: Duration = Duration::from_millis(500);
/// Whoever does not say that it heard a greeting is greeted again after this and the time that answers of the
/// whole group are spread over, twice, then twice after twice that, and so on, ...
const GREET_AGAIN: Duration = Duration::from_millis(100);
/// ... so often: within two seconds in a small group, within half a minute in a large one.
const GREETINGS_MAX: u32 = 8;

/// Of whom a hello tells how they are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Of all.
    All,
    /// Of all, of this one first, heard or not.
    First(PeerId),
    /// Of this one alone, heard or not.
    Only(PeerId),
    /// Of nobody.
    Nobody,
}

impl Telling {
    /// Who is told how it is heard whether it is or not.
    const fn whom(self) -> Option<PeerId> {
        match self {
            Self::First(id) | Self::Only(id) => Some(id),
            Self::All | Self::Nobody => None,
        }
    }
}

/// So many challenges each of the first hellos pays for: at 30 % loss every second one is not answered.
const PAID: usize = 3;

/// What became of our greetings to a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Greetings {
    /// It greeted us: so it has met us.
    answered: bool,
    /// How often we greeted it.
    said: u32,
    /// The challenge that it sent us last, and where our proof is to go.
    asked: Option<(Way, u64)>,
}

impl Greetings {
    /// The peer greeted us. True if it was to be greeted again until it does.
    pub(super) const fn on_answer(&mut self) -> bool {
        let again = !self.answered && self.said > 0;
        self.answered = true;
        again
    }
}

/// Casts of a hello on an interface of one family; [`crate::config::Config::hello_rate`] is for each.
const CASTS_USUAL: u32 = 2;

impl Membership {
    pub(super) fn say_hello(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        self.round = self.round.saturating_add(1);
        for segment in self.segments.keys().copied().collect::<Vec<_>>() {
            let hello = self.hello(segment, Telling::All, 0, standing, ctx);
            self.note_told(segment, &hello);
            if hello.of.is_some() {
                self.told_up_to.extend(hello.heard.last().map(|heard| (segment, PeerId(*heard.id))));
            }
            let pad = (self.starting < ctx.config.hello_at.len()).then(|| padding(&hello)).flatten();
            for cast in [Cast::Multicast, Cast::Broadcast] {
                let ttl = self.ttl(segment, cast);
                let hello = Hello { ttl, round: Some(self.round), pad: pad.clone(), ..hello.clone() };
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

    /// Hellos by unicast: to static peers that are silent, one try a round, and to those whom no cast reaches.
    fn greet_afar(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        for &address in &ctx.config.static_peers {
            if !self.hears(address) {
                self.try_address((address, self.round - 1), Telling::All, standing, ctx);
            }
        }
        let now = ctx.now;
        let mut afar = Vec::new();
        for (id, peer) in self.online() {
            let unheard = peer.paths.iter().filter(|(_, path)| path.only_unicast(now, peer.every));
            afar.extend(unheard.filter_map(|(&segment, path)| Some((id, segment, path.proven_address()?))));
        }
        for (id, segment, address) in afar {
            self.post_hello(segment, address, Telling::First(id), standing, ctx);
        }
    }

    pub(super) fn greet_due(&mut self, standing: Standing<'_>, ctx: &mut Context<'_>) {
        for id in self.greet.take_due(ctx.now) {
            let Some(peer) = self.peers.get(&id) else { continue };
            let best = peer.best_path().map(|(segment, address)| Way { id, segment, address });
            // Where it asked for a proof, as long as it is there.
            let asked = peer.greetings.asked.map(|(way, _)| way).filter(|way| self.is_on(way, None));
            let Some(way) = asked.or(best) else { continue };
            self.greet_at(way, standing, ctx);
        }
    }

    /// Greetings of the whole group to one are spread over this time.
    fn greeting_spread(&self) -> Duration {
        (GREETING_SPREAD * u32::try_from(self.peers.len()).unwrap_or(u32::MAX)).min(GREETING_MAX)
    }

    /// Greets a peer by unicast, at a moment that spreads the greetings of the whole group.
    pub(super) fn greet_soon(&mut self, id: PeerId, ctx: &mut Context<'_>) {
        let at = ctx.now + ctx.rng.within(self.greeting_spread());
        self.greet.set_by(id, at);
    }

    /// Proves to a peer, where it is, that we live; and again, until it greets us.
    pub(super) fn prove_at(&mut self, way: Way, challenge: u64, standing: Standing<'_>, ctx: &mut Context<'_>) {
        if let Some(peer) = self.peers.get_mut(&way.id) {
            // Whatever it knew of us, it does not know now that we live; or not that we are there as well.
            let elsewhere = peer.greetings.asked.is_some_and(|(at, _)| at != way) && peer.greetings.answered;
            if !elsewhere {
                peer.greetings = Greetings::default();
            }
            peer.greetings.asked = Some((way, challenge));
        }
        self.greet_at(way, standing, ctx);
    }

    /// Greets one peer, in few bytes: it is told whether it is heard, and of nobody else. As long as it has not
    /// greeted us, it is asked to, and given the proof that it asked for.
    fn greet_at(&mut self, way: Way, standing: Standing<'_>, ctx: &mut Context<'_>) {
        let again = GREET_AGAIN + self.greeting_spread() * 2;
        let Way { id, segment, address } = way;
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.presence == Presence::Online) else { return };
        let greetings = &mut peer.greetings;
        let asked = greetings.asked.filter(|(at, _)| *at == way);
        let proofs = asked.map(|(_, challenge)| vec![Proof { id: body::bytes(id), challenge }]);
        let mut flags = 0;
        self.greet.remove(id);
        if greetings.answered {
            // It lacked a way to us, not us: that is proven once.
            greetings.asked = None;
        } else {
            flags = if greetings.said > 0 { FLAG_ASKS } else { 0 };
            greetings.said += 1;
            if greetings.said < GREETINGS_MAX {
                self.greet.set(id, ctx.now + again * (1 << ((greetings.said - 1) / 2)));
            }
        }
        let hello = self.hello(segment, Telling::Only(id), flags, standing, ctx);
        self.note_told_alone(segment, id, &hello);
        let message = Message::Hello(Hello { proofs, ..hello });
        ctx.posts.push_back(Post { to: To::Address(segment, address), message });
    }

    /// A hello that asks for one and tells of nobody.
    pub(super) fn asking_hello(&self, segment: SegmentId, standing: Standing<'_>, ctx: &Context<'_>) -> Hello {
        self.hello(segment, Telling::Nobody, FLAG_ASKS, standing, ctx)
    }

    /// Says hello to one address, telling first whether whoever is there is heard.
    pub(super) fn post_hello(
        &mut self,
        segment: SegmentId,
        address: SocketAddr,
        telling: Telling,
        standing: Standing<'_>,
        ctx: &mut Context<'_>,
    ) {
        let hello = self.hello(segment, telling, 0, standing, ctx);
        if let Some(whom) = telling.whom() {
            self.note_told_alone(segment, whom, &hello);
        }
        ctx.posts.push_back(Post { to: To::Address(segment, address), message: Message::Hello(hello) });
    }

    /// Our hello for one segment: to one peer, to whoever is asked for its own, or to all.
    pub(super) fn hello(
        &self,
        segment: SegmentId,
        telling: Telling,
        flags: u8,
        standing: Standing<'_>,
        ctx: &Context<'_>,
    ) -> Hello {
        let ephemeral = if ctx.config.ephemeral { FLAG_EPHEMERAL } else { 0 };
        let on = self.segments.get(&segment);
        let listens = if ctx.config.listens && on.is_some_and(|on| on.listens) { FLAG_LISTENS } else { 0 };
        let every = self.period(ctx).as_millis();
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
            sends: on.map(Segment::sends),
            condition: None,
            away: self.away.as_ref().map(ToString::to_string),
            challenge: None,
            proofs: None,
            pad: None,
        };
        if telling == Telling::All && flags & FLAG_ASKS == 0 {
            self.prove_to_all(&mut hello, ctx.now);
        }
        let room = DATAGRAM_MAX - SIGNED_OVERHEAD - ROUND_LEN_MAX - CONDITION_LEN_MAX;
        let room = room.saturating_sub(body::encoded_len(&hello));
        (hello.heard, hello.of) = self.heard_on(segment, telling, room, standing, ctx.now);
        hello
    }

    /// The TTL with which a cast leaves a segment.
    fn ttl(&self, segment: SegmentId, cast: Cast) -> Option<u8> {
        self.segments.get(&segment).map(|on| on.ttls.of(cast))
    }

    /// Those heard on a segment who are to be told, as many as there is room for: from behind the one told last. And
    /// how many there are, or may be, if that is more.
    fn heard_on(
        &self,
        segment: SegmentId,
        telling: Telling,
        room: usize,
        standing: Standing<'_>,
        now: Time,
    ) -> (Vec<Heard>, Option<u16>) {
        let whom = telling.whom();
        let first = whom.and_then(|id| self.heard_as(segment, id, self.peers.get(&id)?, standing, now));
        let (mut told, mut all) = (Vec::from_iter(first), self.online_count);
        if matches!(telling, Telling::All | Telling::First(_)) {
            let told_up_to = self.told_up_to.get(&segment).copied();
            let (behind, before): (Vec<_>, Vec<_>) = self.online().partition(|(id, _)| Some(*id) > told_up_to);
            let others = behind.into_iter().chain(before).filter(|(id, _)| Some(*id) != whom);
            let mut len = told.iter().map(body::encoded_len).sum::<usize>();
            all = told.len();
            for heard in others.filter_map(|(id, peer)| self.heard_as(segment, id, peer, standing, now)) {
                if heard.casts == 0 {
                    continue;
                }
                all += 1;
                len += body::encoded_len(&heard);
                if told.len() + 1 == all && all <= HEARD_MAX && len <= room {
                    told.push(heard);
                }
            }
        }
        let of = (told.len() < all).then(|| u16::try_from(all).unwrap_or(u16::MAX));
        (told, of)
    }

    /// How a peer is heard on a segment, if it ever was.
    fn heard_as(
        &self,
        segment: SegmentId,
        id: PeerId,
        peer: &Peer,
        standing: Standing<'_>,
        now: Time,
    ) -> Option<Heard> {
        let path = peer.paths.get(&segment)?;
        let stream = if standing.streams.contains(&id) { HEARD_BY_STREAM } else { 0 };
        let casts = path.heard_casts(now, peer.every) | stream;
        let left = |cast: Cast| path.heard(cast).left.filter(|_| casts & cast.bit() != 0);
        Some(Heard {
            id: body::bytes(id),
            casts,
            base: standing.bases.get(&id).copied().unwrap_or(standing.head),
            unicast_ttl: left(Cast::Unicast),
            broadcast_ttl: left(Cast::Broadcast),
            multicast_ttl: left(Cast::Multicast),
        })
    }

    /// Time between our hellos: grows with the group, so that the group as a whole stays quiet, and
    /// with the casts that a hello takes on one interface beyond the two of IPv4.
    pub(super) fn period(&self, ctx: &Context<'_>) -> Duration {
        let group = u32::try_from(self.online_count()).unwrap_or(u32::MAX).saturating_add(1);
        let mut casts: BTreeMap<&str, u32> = BTreeMap::new();
        for segment in self.segments.values() {
            *casts.entry(&segment.name).or_default() += segment.sends().count_ones();
        }
        let casts = casts.into_values().max().unwrap_or(0).max(CASTS_USUAL);
        let each = Duration::from_secs(1) * group / ctx.config.hello_rate;
        ctx.config.hello_every.max(each * casts / CASTS_USUAL)
    }
}

/// What a hello lacks to pay for [`PAID`] challenges, as QUIC pads its first datagrams (RFC 9000, 8.1).
fn padding(hello: &Hello) -> Option<ByteVec> {
    let len = SIGNED_OVERHEAD + ROUND_LEN_MAX + body::encoded_len(hello);
    let lacking = (PAID * challenge_len()).checked_sub(len)?;
    Some(ByteVec::from(vec![0; lacking]))
}
